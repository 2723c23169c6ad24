package pc

import (
	"goemu/hw/firmware/acpi"
	"goemu/hw/firmware/loader"
	"goemu/hw/intc/ioapic"
	"goemu/hw/qdev"
)

// Places of the tables that firmware would leave.
const rsdpAddr = 0xf5270

// firmwareTables builds what firmware would leave in memory.
func (m *Machine) firmwareTables() (segs []loader.Segment, rsdp uint64, err error) {
	if m.cfg.Props.ACPI == qdev.Off {
		return nil, 0, nil
	}
	d := m.describe()
	b := acpi.Build(d, 0)
	b = acpi.Build(d, m.chips.tables(m, uint64(len(b.Data))))
	add := func(name string, addr uint64, data []byte) {
		segs = append(segs, loader.Segment{Name: name, Addr: addr, Data: data, Size: uint64(len(data))})
	}
	add("acpi tables", b.Addr, b.Data)
	add("rsdp", rsdpAddr, d.RSDP(b))
	return segs, rsdpAddr, nil
}

// describe is the machine as its ACPI tables show it.
func (m *Machine) describe() *acpi.Machine {
	d := &acpi.Machine{
		Below4G: m.map_.below, Above4G: m.map_.above, PIC: m.has(m.cfg.Props.PIC), RTC: m.has(m.cfg.Props.RTC), Keyboard: m.cfg.Props.I8042, Mouse: m.cfg.Props.I8042,
		IOAPICs: []acpi.IOAPIC{{ID: 0, Addr: ioapic.Address}}, OEMID: m.cfg.Props.OEMID, OEMTableID: m.cfg.Props.OEMTableID,
	}
	for i := range m.cfg.CPU.Topology.CPUs() {
		d.CPUs = append(d.CPUs, acpi.CPU{APICID: m.cfg.CPU.Topology.APICID(i), Enabled: i < m.cfg.CPUs})
	}
	for i, b := range m.cfg.Serials {
		if b != nil && i < 4 {
			d.Serials = append(d.Serials, []acpi.Serial{{Port: 0x3f8, IRQ: 4}, {Port: 0x2f8, IRQ: 3}, {Port: 0x3e8, IRQ: 4}, {Port: 0x2e8, IRQ: 3}}[i])
		}
	}
	m.chips.describe(m, d)
	return d
}

// has tells whether a part is there that is left out only on request.
func (m *Machine) has(v qdev.OnOffAuto) bool { return v != qdev.Off }
