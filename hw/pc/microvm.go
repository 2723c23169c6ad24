package pc

import (
	"fmt"
	"strings"

	"goemu/hw/firmware"
	"goemu/hw/firmware/acpi"
	"goemu/hw/hotplug"
	"goemu/hw/intc/ioapic"
	"goemu/hw/isa"
	"goemu/hw/misc"
	"goemu/hw/qdev"
	"goemu/hw/virtio/transport"
	"goemu/internal/memory"
)

// Places of the microvm's parts.
const (
	microvmGED        = 0xfea00000
	microvmGEDIRQ     = 9
	microvmVirtio     = 0xfeb00000
	microvmVirtioSize = 0x200
	microvmIOAPIC2    = 0xfec10000
	microvmSplit      = 0xe0000000

	// Virtio transports and their first interrupt: with the second I/O APIC, with ACPI alone, and without ACPI.
	slotsIOAPIC2, irqIOAPIC2 = 24, 24
	slotsSingle              = 8
	irqACPI, irqPlain        = 16, 5
)

// microvmProps are the properties that the microvm has.
var microvmProps = strings.Fields("acpi append auto-kernel-cmdline dump-guest-core firmware graphics initrd ioapic2 isa-serial kernel mem-merge memory-backend pic pit rtc x-oem-id x-oem-table-id x-relaxed-resume x-user-offloads")

func microvmType() *Type {
	return &Type{
		Name: "microvm", Desc: "microvm (i386)", MaxCPUs: 288, DefaultRAM: 128 << 20, DefaultCPU: "qemu64", RAMID: "microvm.ram", DriveIF: "virtio", BlockBus: "virtio-blk-device", Firmware: "bios-microvm.bin",
		props: microvmProps, split: microvmSplit, build: buildMicroVM,
	}
}

// chipsetMicroVM is what the microvm has instead of a chipset.
type chipsetMicroVM struct {
	devices  []*transport.MMIO
	firstIRQ int
	second   bool // there is a second I/O APIC
}

func buildMicroVM(m *Machine) error {
	p := &m.cfg.Props
	c := &chipsetMicroVM{second: p.ACPI != qdev.Off && p.IOAPIC2 != qdev.Off}
	m.chips = c
	m.gsi = make([]*qdev.IRQ, gsiCount)
	bridge, err := m.Tree.Create(&isa.BridgeClass, nil)
	if err != nil {
		return err
	}
	m.isa = isa.NewBus(bridge, "isa.0", m.mem, m.io)
	m.isa.SetIRQs(qdev.NewIRQs(func(n int, level bool) { m.gsi[n].Set(level) }, isa.Lines))
	steps := []func() error{m.interrupts, func() error { return c.transports(m) }, m.legacyTimers, func() error { return serialPort(m) }, m.fwcfg}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	if p.ACPI == qdev.Off {
		return nil
	}
	_, err = misc.NewGED(m.Tree, m.mem, microvmGED, m.isa.Line(microvmGEDIRQ), m.VM)
	return err
}

// serialPort makes the only serial port, unless it is left out.
func serialPort(m *Machine) error {
	if !m.cfg.Props.ISASerial {
		m.cfg.Serials = nil
	}
	m.cfg.Serials = m.cfg.Serials[:min(len(m.cfg.Serials), 1)]
	return m.serialPorts()
}

// transports makes the second I/O APIC and the virtio transports.
func (c *chipsetMicroVM) transports(m *Machine) error {
	slots := slotsSingle
	switch {
	case c.second:
		a, err := ioapic.New(m.Tree, nil, m.mem, microvmIOAPIC2, m.apics, nil)
		if err != nil {
			return err
		}
		m.gsi = append(m.gsi, a.Inputs()...)
		slots, c.firstIRQ = slotsIOAPIC2, irqIOAPIC2
	case m.cfg.Props.ACPI != qdev.Off:
		c.firstIRQ = irqACPI
	default:
		c.firstIRQ = irqPlain
	}
	for i := range slots {
		t, err := transport.NewMMIO(m.Tree, i, m.memory, m.gsi[c.firstIRQ+i])
		if err != nil {
			return err
		}
		m.mem.Add(t.Region(), c.addr(i), 0)
		c.devices = append(c.devices, t)
	}
	return nil
}

func (c *chipsetMicroVM) addr(slot int) uint64 { return microvmVirtio + uint64(slot)*microvmVirtioSize }

// afterReset implements chipset.
func (c *chipsetMicroVM) afterReset(m *Machine) {
	if m.image != nil {
		m.setupInterrupts(0)
	}
}

// describe implements chipset.
func (c *chipsetMicroVM) describe(m *Machine, f *firmware.Machine) {
	f.LowTables, f.ROMSize = true, 0
	d := f.ACPI
	if d == nil {
		return
	}
	d.GED = &acpi.GED{Base: microvmGED, IRQ: microvmGEDIRQ, Register: microvmGED + misc.GEDRegisters}
	if c.second {
		d.IOAPICs = append(d.IOAPICs, acpi.IOAPIC{ID: 1, Addr: microvmIOAPIC2, Base: gsiCount})
	}
	for i, t := range c.devices {
		if t.Present() {
			d.VirtioMMIO = append(d.VirtioMMIO, acpi.VirtioMMIO{UID: uint64(i), Addr: uint32(c.addr(i)), Size: microvmVirtioSize, IRQ: uint32(c.firstIRQ + i)})
		}
	}
}

// commandLine implements chipset: without ACPI the kernel learns of the virtio devices here; with it, it takes the machine to be without
// any timer that it could compare its counters with, and has to be told their rate.
func (c *chipsetMicroVM) commandLine(m *Machine) string {
	if !m.cfg.Props.AutoCmdline {
		return ""
	}
	if m.cfg.Props.ACPI != qdev.Off {
		return c.rate(m)
	}
	var b strings.Builder
	for i, t := range c.devices {
		if t.Present() {
			fmt.Fprintf(&b, " virtio_mmio.device=%d@%#x:%d", microvmVirtioSize, c.addr(i), c.firstIRQ+i)
		}
	}
	return b.String()
}

// raise implements chipset: the event device tells of no event that is raised here.
func (c *chipsetMicroVM) raise(uint8) {}

// slots implements chipset: CPUs and memory stay.
func (*chipsetMicroVM) slots() (*hotplug.CPUs, *hotplug.DIMMs) { return nil, nil }

func (*chipsetMicroVM) mayPlugCPU() error   { return nil }
func (*chipsetMicroVM) mayUnplugCPU() error { return nil }

// pciMemory implements chipset.
func (c *chipsetMicroVM) pciMemory() *memory.Region { return nil }

// argTSC is the kernel's argument for the rate of the time stamp counter in kHz.
const argTSC = "tsc_early_khz="

// rate tells the kernel the rate of its time stamp counter, unless the user does.
func (c *chipsetMicroVM) rate(m *Machine) string {
	a, ok := m.accel.(interface{ TSCFrequency() uint64 })
	if !ok || strings.Contains(m.cfg.Boot.Cmdline, argTSC) {
		return ""
	}
	return fmt.Sprintf(" %s%d", argTSC, a.TSCFrequency()/1000)
}
