// Package qtest holds the same conversations with QEMU's chips and with ours.
package qtest

import (
	"fmt"
	"os"
	"testing"
	"time"

	"goemu/accel"
	"goemu/hw/intc/apic"
	"goemu/hw/intc/i8259"
	"goemu/hw/intc/ioapic"
	"goemu/hw/misc"
	"goemu/hw/pc/i440fx"
	"goemu/hw/pc/piix"
	"goemu/hw/qdev"
	"goemu/hw/qdev/qtest"
	"goemu/hw/timer/hpet"
	"goemu/hw/timer/i8254"
	"goemu/hw/timer/mc146818"
	"goemu/internal/clock"
	"goemu/internal/mainloop"
	"goemu/internal/memory"
)

func TestMain(m *testing.M) {
	clock.Virtual.SetFake(0)
	os.Exit(m.Run())
}

// cpu is a CPU that only notes its request lines.
type cpu struct {
	id    int
	lines accel.IRQ
}

func (c *cpu) Index() int          { return c.id }
func (c *cpu) APICID() uint32      { return uint32(c.id) }
func (c *cpu) Raise(irq accel.IRQ) { c.lines |= irq }
func (c *cpu) Lower(irq accel.IRQ) { c.lines &^= irq }
func (c *cpu) Do(f func())         { f() }
func (c *cpu) Halted() bool        { return true }

// machine is the chipset of a pc with 128 MiB of RAM and nothing plugged in.
type machine struct {
	tree    *qdev.Tree
	mem, io *memory.AddressSpace
	loop    *mainloop.Loop
	vm      *mainloop.VM
	cpu     cpu
	apic    *apic.APIC
	pics    *i8259.Pair
	ioapic  *ioapic.IOAPIC
	pit     *i8254.PIT
	rtc     *mc146818.RTC
	hpet    *hpet.HPET
	host    *i440fx.Host
	piix3   *piix.PIIX3
	pm      *piix.PM
	events  []mainloop.Event
}

const ramSize = 128 << 20

func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
		return v
	}
}

var rtcStart = time.Date(2020, 2, 28, 23, 59, 58, 0, time.UTC)

func newMachine(t testing.TB) *machine {
	t.Helper()
	clock.Virtual.SetFake(0)
	m := &machine{tree: qdev.NewTree(qdev.NewRegistry()), loop: mainloop.NewLoop()}
	t.Cleanup(m.loop.Close)
	m.vm = mainloop.NewVM(m.loop)
	mem, io := memory.NewContainer("system", memory.Whole), memory.NewPortSpace("io")
	m.mem, m.io = memory.NewAddressSpace("memory", mem), memory.NewAddressSpace("io", io)
	ram := must[*memory.Region](t)(memory.NewRAM("pc.ram", ramSize))
	t.Cleanup(func() { _ = ram.RAM().Free() })
	mem.Add(memory.NewAlias("ram-below-4g", ram, 0, ramSize), 0, 0)
	timers := clock.Virtual.NewList(nil)
	t.Cleanup(timers.Close)
	apics := apic.NewSet(timers)
	m.apic = must[*apic.APIC](t)(apics.New(m.tree, &m.cpu, true))
	mem.Add(apics.Region(), apic.DefaultAddress, 4096)
	m.host = must[*i440fx.Host](t)(i440fx.New(m.tree, mem, ram, io))
	gsi := make([]*qdev.IRQ, ioapic.Pins)
	m.piix3 = must[*piix.PIIX3](t)(piix.NewPIIX3(m.tree, m.host.Bus, 1<<3, mem, io, qdev.NewIRQs(func(n int, l bool) { gsi[n].Set(l) }, 16), m.vm))
	bus := m.piix3.ISA
	m.pics = must[*i8259.Pair](t)(i8259.NewPair(m.tree, bus, apics.ExtIntLine()))
	apics.SetExtInt(m.pics)
	m.ioapic = must[*ioapic.IOAPIC](t)(ioapic.New(m.tree, nil, mem, ioapic.Address, apics, m.pics))
	pic, pins := m.pics.Lines(), m.ioapic.Inputs()
	for i := range gsi {
		if gsi[i] = pins[i]; i < len(pic) {
			gsi[i] = qdev.Split(pic[i], pins[i])
		}
	}
	m.hpet = must[*hpet.HPET](t)(hpet.New(m.tree, hpet.Config{Memory: mem, DMA: m.mem, IRQs: gsi, IntCap: 4,
		PIT: qdev.NewIRQ(func(_ int, on bool) {
			if m.pit != nil {
				m.pit.Enable(on)
			}
		}, 0)}))
	pitLine, rtcLine := m.hpet.LegacyLines()
	m.rtc = must[*mc146818.RTC](t)(mc146818.New(m.tree, bus, mc146818.Config{Start: rtcStart, Clock: clock.Virtual, IRQ: rtcLine}))
	m.rtc.SetPC(mc146818.PC{Below4G: ramSize, CPUs: 1, Boot: "cad"})
	m.pit = must[*i8254.PIT](t)(i8254.New(m.tree, bus, pitLine, nil))
	must[*i8254.Speaker](t)(i8254.NewSpeaker(m.tree, bus, m.pit, ""))
	must[*misc.Port92](t)(misc.NewPort92(m.tree, bus, nil, m.vm))
	m.pm = must[*piix.PM](t)(piix.NewPM(m.tree, m.host.Bus, 1<<3|3, piix.PMConfig{SCI: gsi[9], VM: m.vm, IO: io, SMM: true, SMBBase: 0xb100}))
	m.vm.OnEvent(func(e mainloop.Event) { m.events = append(m.events, e) })
	m.tree.Reset()
	t.Cleanup(m.tree.Reset) // the clock is the next machine's, too
	return m
}

// In, Out, Load and Store are those of qtest.QEMU.
func (m *machine) In(port uint16, size int) uint32 {
	v, _ := m.io.Load(uint64(port), size)
	return uint32(v)
}

func (m *machine) Out(port uint16, size int, v uint32) { m.io.Store(uint64(port), size, uint64(v)) }

func (m *machine) Load(addr uint64, size int) uint64 {
	v, _ := m.mem.Load(addr, size)
	return v
}

func (m *machine) Store(addr uint64, size int, v uint64) { m.mem.Store(addr, size, v) }

// pair is QEMU and our chipset side by side.
type pair struct {
	t   testing.TB
	q   *qtest.QEMU
	m   *machine
	log []string
}

// newPair starts QEMU with args beyond what every test needs.
func newPair(t testing.TB, args ...string) *pair {
	args = append([]string{"-M", "pc-i440fx-7.2", "-nodefaults", "-m", "128", "-no-shutdown",
		"-rtc", "base=" + rtcStart.Format("2006-01-02T15:04:05") + ",clock=vm"}, args...)
	return &pair{t: t, m: newMachine(t), q: qtest.Start(t, args...)}
}

const logLines = 60

func (p *pair) note(format string, a ...any) {
	p.log = append(p.log, fmt.Sprintf(format, a...))
	if len(p.log) > logLines {
		p.log = p.log[1:]
	}
}

func (p *pair) out(port uint16, size int, v uint32) {
	p.note("out %#x,%d = %#x", port, size, v)
	p.q.Out(port, size, v)
	p.m.Out(port, size, v)
}

func (p *pair) in(port uint16, size int) uint32 {
	p.t.Helper()
	want, got := p.q.In(port, size), p.m.In(port, size)
	p.note("in %#x,%d = %#x", port, size, want)
	if got != want {
		p.t.Fatalf("port %#x, %d bytes: got %#x, QEMU has %#x\n%q", port, size, got, want, p.log)
	}
	return want
}

func (p *pair) store(addr uint64, size int, v uint64) {
	p.note("store %#x,%d = %#x", addr, size, v)
	p.q.Store(addr, size, v)
	p.m.Store(addr, size, v)
}

func (p *pair) load(addr uint64, size int) uint64 {
	p.t.Helper()
	want, got := p.q.Load(addr, size), p.m.Load(addr, size)
	p.note("load %#x,%d = %#x", addr, size, want)
	if got != want {
		p.t.Fatalf("address %#x, %d bytes: got %#x, QEMU has %#x\n%q", addr, size, got, want, p.log)
	}
	return want
}

func (p *pair) config(devfn uint8, reg, size int) uint32 {
	p.t.Helper()
	p.out(0xcf8, 4, 0x80000000|uint32(devfn)<<8|uint32(reg&^3))
	return p.in(0xcfc+uint16(reg&3), size)
}

func (p *pair) setConfig(devfn uint8, reg, size int, v uint32) {
	p.out(0xcf8, 4, 0x80000000|uint32(devfn)<<8|uint32(reg&^3))
	p.out(0xcfc+uint16(reg&3), size, v)
}
