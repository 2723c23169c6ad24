package pc

import (
	"goemu/internal/memory"
)

// Addresses of the PC's memory map.
const (
	vgaTop     = 0xc0000
	romTop     = 0x100000
	fourGiB    = 1 << 32
	splitAt    = 0xe0000000 // RAM up to here stays below 4 GiB
	splitLower = 0xc0000000 // otherwise it is cut here
	romSize    = 0x40000    // of the firmware below 4 GiB
)

// memoryMap is how the RAM lies in the address space.
type memoryMap struct {
	below, above uint64 // bytes below and above 4 GiB
	ram          *memory.Region
	// modules is where memory modules go, deviceSize bytes from deviceBase on; nil without any.
	modules                *memory.Region
	deviceBase, deviceSize uint64
}

// gib is the alignment of memory modules at most.
const gib = 1 << 30

// reserve finds room for memory modules.
func (m *memoryMap) reserve(c *Config) {
	if c.MaxRAM <= c.RAM {
		return
	}
	m.deviceBase = (fourGiB + m.above + gib - 1) &^ (gib - 1)
	m.deviceSize = c.MaxRAM - c.RAM + gib*uint64(c.MemorySlots)
}

// reservedEnd is where memory ends, that of modules included, on the next boundary of 1 GiB.
func (m *memoryMap) reservedEnd() uint64 {
	return (max(fourGiB+m.above, m.deviceBase+m.deviceSize) + gib - 1) &^ (gib - 1)
}

func layout(ram uint64, t *Type, p *Props) memoryMap {
	m := memoryMap{below: ram}
	limit, cut := uint64(splitAt), uint64(splitLower)
	switch {
	case t.limit != 0:
		limit, cut = t.limit, t.split
	case t.split != 0:
		limit, cut = t.split, t.split
	}
	switch below := p.MaxRAMBelow4G; {
	case below == 0:
	case t.limit == 0:
		limit, cut = below, below
	case ram >= limit && below < cut || ram < limit && below < limit:
		limit, cut = below, below
	}
	if ram >= limit {
		m.below, m.above = cut, ram-cut
	}
	return m
}

// memory is the RAM as one region.
func (c *Config) memory(size uint64) (*memory.Region, error) {
	var parts []MemoryBackend
	for _, n := range c.NUMA {
		if n.Backend != nil {
			parts = append(parts, n.Backend)
		}
	}
	if len(parts) == 0 {
		if c.Backend == nil {
			return memory.NewRAM(c.Type.RAMID, size)
		}
		return takeMemory(c.Backend)
	}
	all, at := memory.NewContainer(c.Type.RAMID, size), uint64(0)
	for _, p := range parts {
		r, err := takeMemory(p)
		if err != nil {
			return nil, err
		}
		all.Add(r, at, 0)
		at += r.Size()
	}
	return all, nil
}

func takeMemory(b MemoryBackend) (*memory.Region, error) {
	block, err := b.Take()
	if err != nil {
		return nil, err
	}
	return memory.NewRAMFrom(block), nil
}

// hole64Size is the size of the window for PCI devices above 4 GiB.
const hole64Size = 2 << 30

// hole64 is that window, of at least size bytes: after the RAM, or where firmware has begun to place devices. The end is inclusive.
func (m *Machine) hole64(size uint64) (first, last uint64) {
	const granule = 1 << 30
	first = m.map_.reservedEnd()
	from, to, ok := m.pci.Range64()
	if ok {
		first = from
	}
	return first, max(to, (first+size+granule-1)&^(granule-1)-1)
}

// place maps the RAM, which comes from a backend for the whole or from one for each NUMA node.
func (m *memoryMap) place(sys *memory.Region, cfg *Config) (err error) {
	if m.below == 0 {
		return nil
	}
	if m.ram, err = cfg.memory(m.below + m.above); err != nil {
		return err
	}
	sys.Add(memory.NewAlias("ram-below-4g", m.ram, 0, m.below), 0, 0)
	if m.above != 0 {
		sys.Add(memory.NewAlias("ram-above-4g", m.ram, m.below, m.above), fourGiB, 0)
	}
	if m.deviceSize != 0 {
		m.modules = memory.NewContainer("device-memory", m.deviceSize)
		sys.Add(m.modules, m.deviceBase, 0)
	}
	return nil
}
