package pc

import (
	"goemu/hw/firmware/loader"
	"goemu/internal/memory"
)

// Addresses of the PC's memory map.
const (
	lowTop      = 0xa0000 // end of conventional memory
	vgaTop      = 0xc0000
	romTop      = 0x100000
	tablesBase  = 0xf0000 // where the firmware tables lie, reserved in the map given to the guest
	fourGiB     = 1 << 32
	splitAt     = 0xe0000000 // RAM up to here stays below 4 GiB
	splitLower  = 0xc0000000 // otherwise it is cut here
	highROMBase = 0xfffc0000
	hypervisor  = 0xfd00000000 // reserved by QEMU's map on AMD-like CPUs
)

// memoryMap is how the RAM lies in the address space.
type memoryMap struct {
	below, above uint64 // bytes below and above 4 GiB
	ram          *memory.Region
	noHole       bool // no VGA and ROM windows in the first MiB (microvm has them as well as RAM)
}

func layout(ram uint64, t *Type, p *Props) memoryMap {
	m := memoryMap{below: ram}
	limit, cut := uint64(splitAt), uint64(splitLower)
	if t.split != 0 {
		limit, cut = t.split, t.split
	}
	if p.MaxRAMBelow4G != 0 {
		limit, cut = p.MaxRAMBelow4G, p.MaxRAMBelow4G
	}
	if ram >= limit {
		m.below, m.above = cut, ram-cut
	}
	return m
}

// place maps the RAM.
func (m *memoryMap) place(sys *memory.Region) (err error) {
	if m.ram, err = memory.NewRAM("pc.ram", m.below+m.above); err != nil {
		return err
	}
	sys.Add(memory.NewAlias("ram-below-4g", m.ram, 0, m.below), 0, 0)
	if m.above != 0 {
		sys.Add(memory.NewAlias("ram-above-4g", m.ram, m.below, m.above), fourGiB, 0)
	}
	return nil
}

// e820 is the map that the guest sees; tables is the size of what lies at the top of low RAM.
func (m *memoryMap) e820(acpiTop uint64) []loader.E820 {
	top := m.below - acpiTop
	e := []loader.E820{
		{Addr: 0, Size: 0x9fc00, Type: loader.RAMUsable},
		{Addr: 0x9fc00, Size: 0x400, Type: loader.RAMReserved},
		{Addr: tablesBase, Size: romTop - tablesBase, Type: loader.RAMReserved},
		{Addr: romTop, Size: top - romTop, Type: loader.RAMUsable},
		{Addr: top, Size: acpiTop, Type: loader.RAMReserved},
		{Addr: highROMBase, Size: fourGiB - highROMBase, Type: loader.RAMReserved},
	}
	if m.above != 0 {
		e = append(e, loader.E820{Addr: fourGiB, Size: m.above, Type: loader.RAMUsable})
	}
	return append(e, loader.E820{Addr: hypervisor, Size: 3 << 32, Type: loader.RAMReserved})
}
