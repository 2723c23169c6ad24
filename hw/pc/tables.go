package pc

import (
	"encoding/hex"
	"slices"
	"strings"

	"goemu/hw/char"
	"goemu/hw/firmware"
	"goemu/hw/firmware/acpi"
	"goemu/hw/firmware/smbios"
	"goemu/hw/intc/ioapic"
	"goemu/hw/misc"
	"goemu/hw/qdev"
	"goemu/target/x86"
)

// firmwareMachine describes the machine to the code that does the firmware's work.
func (m *Machine) firmwareMachine() *firmware.Machine {
	f := &firmware.Machine{Below4G: m.map_.below, Above4G: m.map_.above, ROMSize: romSize, PhysBits: m.cfg.CPU.PhysBits, SMBIOS: m.smbios()}
	serials := m.serials()
	for _, s := range serials {
		f.SerialPorts = append(f.SerialPorts, s.Port)
	}
	if m.cfg.Props.ACPI != qdev.Off {
		f.ACPI = &acpi.Machine{RTC: m.rtc != nil, FWCfg: true, Serials: serials, PVPanic: m.pvpanic(),
			IOAPICs: []acpi.IOAPIC{{Addr: ioapic.Address}}, OEMID: m.cfg.Props.OEMID, OEMTableID: m.cfg.Props.OEMTableID}
		for i := range m.cfg.CPU.Topology.CPUs() {
			f.ACPI.CPUs = append(f.ACPI.CPUs, acpi.CPU{APICID: m.cfg.CPU.Topology.APICID(i), Enabled: i < m.cfg.CPUs})
		}
		m.numa(f.ACPI)
	}
	f.TextScreen = m.hasVGA()
	m.chips.describe(m, f)
	return f
}

// serials lists the serial ports that exist, given by -serial or -device.
func (m *Machine) serials() (out []acpi.Serial) {
	for _, d := range m.isa.Devices() {
		if s, ok := d.(*char.Serial); ok {
			out = append(out, acpi.Serial{Port: uint16(s.IOBase), IRQ: uint8(s.IRQ)})
		}
	}
	slices.SortFunc(out, func(a, b acpi.Serial) int {
		return slices.Index(serialOrder, a.Port) - slices.Index(serialOrder, b.Port)
	})
	return out
}

// serialOrder are the standard places of serial ports in the order of their numbers.
var serialOrder = []uint16{0x3f8, 0x2f8, 0x3e8, 0x2e8}

// pvpanic is the port of the panic device, 0 if there is none.
func (m *Machine) pvpanic() uint16 {
	for _, d := range m.isa.Devices() {
		if p, ok := d.(*misc.PVPanic); ok {
			return p.IOPort
		}
	}
	return 0
}

// numa puts the nodes of -numa into the tables: memory in the order of the nodes, CPUs as assigned.
func (m *Machine) numa(a *acpi.Machine) {
	addr := uint64(0)
	for i, n := range m.cfg.NUMA {
		node := acpi.Node{Distance: make([]uint8, len(m.cfg.NUMA))}
		for j := range node.Distance {
			node.Distance[j] = 20
		}
		node.Distance[i] = 10
		for left := n.Memory; left > 0; {
			if addr == m.map_.below {
				addr = fourGiB
			}
			size := left
			if addr < m.map_.below {
				size = min(left, m.map_.below-addr)
			}
			node.Memory = append(node.Memory, acpi.Range{Addr: addr, Size: size})
			addr, left = addr+size, left-size
		}
		for _, c := range n.CPUs {
			if c < len(a.CPUs) {
				a.CPUs[c].Node = uint32(i)
			}
		}
		a.Nodes = append(a.Nodes, node)
	}
}

// smbios describes the machine as QEMU does.
func (m *Machine) smbios() *smbios.System {
	product := smbios.Product{Manufacturer: "QEMU", Product: m.cfg.Type.Desc, Version: m.cfg.Type.Name}
	t := m.cfg.CPU.Topology
	s := &smbios.System{
		BIOS: smbios.BIOS{Vendor: "goemu", Version: "1.0", Date: "04/01/2014"}, System: product,
		Chassis: smbios.Product{Manufacturer: "QEMU", Version: m.cfg.Type.Name},
		CPU: smbios.Processor{Manufacturer: "QEMU", Version: m.cfg.Type.Name, ID: uint64(m.cfg.CPU.Features[x86.F1EDX])<<32 | uint64(m.cfg.CPU.Signature()),
			Cores: t.Cores, Threads: t.Cores * t.Threads, Speed: 2000},
		Sockets: t.Sockets, RAMSize: m.cfg.RAM, Memory: []smbios.Range{{Addr: 0, Size: m.map_.below}},
	}
	if m.map_.above > 0 {
		s.Memory = append(s.Memory, smbios.Range{Addr: fourGiB, Size: m.map_.above})
	}
	if b, err := hex.DecodeString(strings.ReplaceAll(m.cfg.UUID, "-", "")); err == nil {
		copy(s.UUID[:], b)
	}
	return s
}

// has tells whether a part is there that is left out only on request.
func (m *Machine) has(v qdev.OnOffAuto) bool { return v != qdev.Off }
