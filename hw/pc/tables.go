package pc

import (
	"fmt"
	"slices"

	"goemu/hw/char"
	"goemu/hw/fdc"
	"goemu/hw/firmware"
	"goemu/hw/firmware/acpi"
	"goemu/hw/firmware/smbios"
	"goemu/hw/input"
	"goemu/hw/intc/ioapic"
	"goemu/hw/misc"
	"goemu/hw/pc/ich9"
	"goemu/hw/pc/piix"
	"goemu/hw/pci"
	"goemu/hw/qdev"
	"goemu/hw/timer/mc146818"
	"goemu/target/x86"
)

// firmwareMachine describes the machine to the code that does the firmware's work.
func (m *Machine) firmwareMachine() *firmware.Machine {
	f := &firmware.Machine{Below4G: m.map_.below, Above4G: m.map_.above, ROMSize: romSize, PhysBits: m.cfg.CPU.PhysBits, SMBIOS: m.smbios()}
	isa := m.isaDevices()
	for _, d := range slices.Backward(isa) {
		if d.Kind == acpi.ISASerial {
			f.SerialPorts = append(f.SerialPorts, d.Port)
		}
	}
	slices.SortFunc(f.SerialPorts, func(a, b uint16) int { return slices.Index(serialOrder, a) - slices.Index(serialOrder, b) })
	if m.cfg.Props.ACPI != qdev.Off {
		f.ACPI = &acpi.Machine{FWCfg: true, ISA: isa, User: m.cfg.ACPI,
			IOAPICs: []acpi.IOAPIC{{Addr: ioapic.Address}}, OEMID: m.cfg.Props.OEMID, OEMTableID: m.cfg.Props.OEMTableID}
		for i := range m.cfg.CPU.Topology.CPUs() {
			f.ACPI.CPUs = append(f.ACPI.CPUs, acpi.CPU{APICID: m.cfg.CPU.Topology.APICID(i), Enabled: m.unit(i) != nil})
		}
		m.numa(f.ACPI)
	}
	f.TextScreen = m.hasVGA()
	m.chips.describe(m, f)
	return f
}

// isaDevices lists the devices at fixed ports, the newest first.
func (m *Machine) isaDevices() (out []acpi.ISADevice) {
	for _, d := range slices.Backward(m.isa.Devices()) {
		switch d := d.(type) {
		case *char.Serial:
			out = append(out, acpi.ISADevice{Kind: acpi.ISASerial, Index: int(d.Index), Port: uint16(d.IOBase), IRQ: uint8(d.IRQ)})
		case *char.Parallel:
			out = append(out, acpi.ISADevice{Kind: acpi.ISAParallel, Index: int(d.Index), Port: uint16(d.IOBase), IRQ: uint8(d.IRQ)})
		case *fdc.Controller:
			out = append(out, floppyDevice(d))
		case *input.I8042:
			out = append(out, acpi.ISADevice{Kind: acpi.ISAKeyboard}, acpi.ISADevice{Kind: acpi.ISAMouse})
		case *mc146818.RTC:
			out = append(out, acpi.ISADevice{Kind: acpi.ISAClock})
		case *misc.PVPanic:
			out = append(out, acpi.ISADevice{Kind: acpi.ISAPanic, Port: d.IOPort})
		}
	}
	return out
}

// serialOrder are the standard places of serial ports in the order of their numbers.
var serialOrder = []uint16{0x3f8, 0x2f8, 0x3e8, 0x2e8}

// pciBus describes a bus with what is on it.
func pciBus(b *pci.Bus) acpi.Bus {
	out := acpi.Bus{Selector: b.Selector(), Express: b.Express()}
	for devfn := range pciFunctions {
		f := b.Function(uint8(devfn))
		if f == nil {
			continue
		}
		c := f.Dev().Class()
		d := acpi.PCIDevice{DevFn: uint8(devfn), Removable: !c.NoHotplug, Kind: pciKinds[c.Name]}
		if slices.Contains(c.Parents, "pci-vga") {
			d.Kind = acpi.PCIVGA
		}
		if br, ok := f.(pci.BridgeDevice); ok && !f.Dev().Hotplugged() {
			behind := pciBus(br.AsBridge().Secondary())
			d.Bridge = &behind
		}
		out.Devices = append(out.Devices, d)
	}
	for _, s := range b.Secondaries() {
		out.Behind = append(out.Behind, s.Owner().(pci.Function).PCI().DevFn())
	}
	return out
}

// pciFunctions is the number of addresses on a bus.
const pciFunctions = 256

// pciKinds are the functions about which the tables say more, by type.
var pciKinds = map[string]acpi.PCIKind{
	piix.PIIX3Class.Name: acpi.PCIISABridge,
	ich9.Class.Name:      acpi.PCIISABridge,
	ich9.SMBusClass.Name: acpi.PCISMBus,
}

// numa puts the nodes of -numa into the tables: memory in the order of the nodes, CPUs as assigned.
func (m *Machine) numa(a *acpi.Machine) {
	addr := uint64(0)
	for i, n := range m.cfg.NUMA {
		node := acpi.Node{Distance: n.Distance}
		for left := n.Memory; left > 0; {
			if addr == m.map_.below {
				addr = fourGiB
			}
			size := left
			if addr < m.map_.below {
				size = min(left, m.map_.below-addr)
			}
			for _, r := range withoutHole(acpi.Range{Addr: addr, Size: size}) {
				if r.Size > 0 {
					node.Memory = append(node.Memory, r)
				}
			}
			addr, left = addr+size, left-size
		}
		for _, c := range n.CPUs {
			if c < len(a.CPUs) {
				a.CPUs[c].Node = uint32(i)
			}
		}
		a.Nodes = append(a.Nodes, node)
	}
	a.HMAT = m.cfg.HMAT
}

// The hole below 1 MiB, which has adapters and ROMs in it.
const holeStart, holeEnd = 640 << 10, 1 << 20

// withoutHole is what of a range lies before and behind the hole.
func withoutHole(r acpi.Range) [2]acpi.Range {
	part := func(from, to uint64) acpi.Range {
		from, to = max(from, r.Addr), min(to, r.Addr+r.Size)
		return acpi.Range{Addr: from, Size: max(to, from) - from}
	}
	return [2]acpi.Range{part(0, holeStart), part(holeEnd, ^uint64(0))}
}

// smiCommand is the port at which ACPI mode is entered and left, 0 if it cannot be left.
func smiCommand(acpiOnly bool) uint16 {
	if acpiOnly {
		return 0
	}
	return 0xb2
}

// smbios describes the machine as QEMU does.
func (m *Machine) smbios() *smbios.System {
	product := smbios.Product{Manufacturer: "QEMU", Product: m.cfg.Type.Desc, Version: m.cfg.Type.Name}
	t := m.cfg.CPU.Topology
	s := &smbios.System{
		BIOS: smbios.BIOS{Vendor: "goemu", Version: "1.0", Date: "04/01/2014"}, System: product,
		Chassis: smbios.Product{Manufacturer: "QEMU", Version: m.cfg.Type.Name},
		CPU: smbios.Processor{Manufacturer: "QEMU", Version: m.cfg.Type.Name, ID: uint64(m.cfg.CPU.Features[x86.F1EDX])<<32 | uint64(m.cfg.CPU.Signature()),
			Cores: t.Dies * t.Cores, Threads: t.Dies * t.Cores * t.Threads},
		Maker: product, Entry64: m.cfg.Props.SMBIOS64,
		Sockets: t.Sockets, RAMSize: m.cfg.RAM, Memory: []smbios.Range{{Addr: 0, Size: m.map_.below}},
	}
	if m.map_.above > 0 {
		s.Memory = append(s.Memory, smbios.Range{Addr: fourGiB, Size: m.map_.above})
	}
	s.UUID = m.uuid()
	return s
}

// placeOnboard finds the PCI devices that SMBIOS is to tell of.
func (m *Machine) placeOnboard(s *smbios.System) error {
	for i := range s.Onboard {
		d := &s.Onboard[i]
		if d.PCI == "" {
			continue
		}
		f, ok := m.Tree.Find(d.PCI).(pci.Function)
		switch {
		case !ok:
			return fmt.Errorf("No PCI device %s for SMBIOS type 41 entry %s", d.PCI, d.Designation)
		case !f.PCI().Bus().Root():
			return fmt.Errorf("Cannot create type 41 entry for PCI device %s: not attached to the root bus", d.PCI)
		}
		d.DevFn = f.PCI().DevFn()
	}
	return nil
}

// has tells whether a part is there that is left out only on request.
func (m *Machine) has(v qdev.OnOffAuto) bool { return v != qdev.Off }
