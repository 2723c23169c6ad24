package pc

import (
	"strconv"

	"goemu/accel"
	"goemu/hw/char"
	"goemu/hw/intc/i8259"
	"goemu/hw/intc/ioapic"
	"goemu/hw/isa"
	"goemu/hw/qdev"
	"goemu/hw/timer/i8254"
	"goemu/hw/timer/mc146818"
)

// gsiCount is the number of global interrupts: the inputs of the I/O APIC.
const gsiCount = ioapic.Pins

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
	copy(m.gsi, m.ioapic.Lines())
	for i := range isa.Lines {
		m.gsi[i] = qdev.Split(a[i], b[i])
	}
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
	if err == nil {
		m.rtc.SetPC(mc146818.PC{Below4G: m.map_.below, Above4G: m.map_.above, CPUs: m.cfg.CPUs, Boot: "cda"})
	}
	return err
}

// serialPorts makes a 16550A for each character device given.
func (m *Machine) serialPorts() error {
	for i, b := range m.cfg.Serials {
		if b == nil {
			continue
		}
		if _, err := m.Tree.Create(&char.SerialClass, m.isa, qdev.Setting{Name: "index", Value: strconv.Itoa(i)}, qdev.Setting{Name: "chardev", Value: b.ID}); err != nil {
			return err
		}
	}
	return nil
}

// raiseSMI is the chipset's system management interrupt: it goes to the first CPU.
func (m *Machine) raiseSMI(_ int, level bool) {
	if level {
		m.cpus[0].Raise(accel.IRQSMI)
	}
}
