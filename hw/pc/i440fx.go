package pc

import (
	"strings"

	"goemu/hw/char"
	"goemu/hw/intc/i8259"
	"goemu/hw/intc/ioapic"
	"goemu/hw/isa"
	"goemu/hw/qdev"
	"goemu/hw/timer/i8254"
	"goemu/hw/timer/mc146818"
	"goemu/internal/memory"
)

// i440fxProps are the properties that the PC has.
var i440fxProps = strings.Fields("acpi dump-guest-core graphics hpet i8042 max-ram-below-4g mem-merge pic pit smm usb vmport x-oem-id x-oem-table-id")

func i440fxType(version string) *Type {
	return &Type{
		Name: "pc-i440fx-" + version, Desc: "Standard PC (i440FX + PIIX, 1996)", MaxCPUs: 255,
		DefaultRAM: 128 << 20, DefaultCPU: "qemu64", BlockBus: "virtio-blk-pci", props: i440fxProps, build: buildI440FX,
	}
}

type i440fx struct{}

func (*i440fx) afterReset(*Machine) {}
func (*i440fx) powerButton()        {}

func buildI440FX(m *Machine) error {
	m.chips = new(i440fx)
	m.isa = isa.NewBus(nil, "isa.0", m.mem, m.io)
	if err := m.interrupts(); err != nil {
		return err
	}
	if err := m.legacyTimers(); err != nil {
		return err
	}
	return m.serialPorts()
}

// interrupts makes the 8259 pair and the I/O APIC and wires the ISA lines to both.
func (m *Machine) interrupts() (err error) {
	if m.pics, err = i8259.NewPair(m.Tree, m.isa, m.apics.ExtIntLine()); err != nil {
		return err
	}
	m.apics.SetExtInt(m.pics)
	if m.ioapic, err = ioapic.New(m.Tree, m.mem, ioapic.Address, m.apics, m.pics); err != nil {
		return err
	}
	a, b := m.pics.Lines(), m.ioapic.ISALines()
	m.gsi = m.ioapic.Lines()
	for i := range a {
		m.gsi[i] = qdev.Split(a[i], b[i])
	}
	m.isa.SetIRQs(m.gsi[:isa.Lines])
	return nil
}

// legacyTimers makes the 8254 with the speaker port and the real-time clock.
func (m *Machine) legacyTimers() error {
	pit, err := i8254.New(m.Tree, m.isa, m.isa.Line(0))
	if err != nil {
		return err
	}
	if _, err := i8254.NewSpeaker(m.Tree, m.isa, pit); err != nil {
		return err
	}
	m.rtc, err = mc146818.New(m.Tree, m.isa, mc146818.Config{Start: m.cfg.RTC.Start, Clock: m.cfg.RTC.Clock, IRQ: m.isa.Line(8), Wakeup: m.VM.RequestWakeup})
	return err
}

// serialPorts makes a 16550A for each character device given.
func (m *Machine) serialPorts() error {
	for i, b := range m.cfg.Serials {
		if b == nil {
			continue
		}
		if _, err := m.Tree.Create(&char.SerialClass, &m.isa.Bus, qdev.Setting{Name: "index", Value: string(rune('0' + i))}, qdev.Setting{Name: "chardev", Value: b.ID}); err != nil {
			return err
		}
	}
	return nil
}

var _ = memory.Whole
