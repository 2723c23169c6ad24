// Package pam is the windows of a host bridge through which RAM is seen between 768 KiB and 1 MiB: its programmable attribute map says
// for each of them whether reads and writes go to RAM or to PCI.
package pam

import "goemu/internal/memory"

// Bits of a window's attributes.
const (
	read, write = 1, 2
	attributes  = read | write
)

// Places of the windows: the first is the BIOS segment, the others the expansion areas.
const (
	expansionBase, expansionSize = 0xc0000, 0x4000
	biosBase, biosSize           = 0xf0000, 0x10000
	count                        = 13
	priority                     = 1

	// Bytes is the number of registers.
	Bytes = 7
)

// window is one of them in its three forms.
type window struct {
	ram, rom, pci *memory.Region
}

// Map is the windows of a bridge.
type Map struct {
	windows [count]window
	config  []byte // the registers
}

// Init puts the windows into mem: they show ram, all of RAM, or pci. config are the registers, of which the caller keeps hold.
func (m *Map) Init(mem, ram, pci *memory.Region, config []byte) {
	m.config = config
	for i := range m.windows {
		at, size := windowAt(i)
		w := &m.windows[i]
		w.ram = memory.NewAlias("pam-ram", ram, at, size)
		w.rom = memory.NewAlias("pam-rom", ram, at, size)
		w.rom.SetReadOnly(true)
		w.pci = memory.NewAlias("pam-pci", pci, at, size)
		for _, r := range []*memory.Region{w.ram, w.rom, w.pci} {
			r.SetEnabled(false)
			mem.Add(r, at, priority)
		}
	}
}

func windowAt(i int) (at, size uint64) {
	if i == 0 {
		return biosBase, biosSize
	}
	return expansionBase + uint64(i-1)*expansionSize, expansionSize
}

// field returns where the attributes of a window are: the BIOS segment has the upper half of the first register, the others follow.
func field(i int) (reg, shift int) { return (i + 1) / 2, (i + 1) % 2 * 4 }

// Update connects the windows as the registers say.
func (m *Map) Update() {
	memory.Begin()
	defer memory.Commit()
	for i := range m.windows {
		reg, shift := field(i)
		w, a := &m.windows[i], m.config[reg]>>shift&attributes
		w.ram.SetEnabled(a == attributes)
		w.rom.SetEnabled(a == read)
		w.pci.SetEnabled(a&read == 0)
	}
}

// Shadow makes a range between 0xc0000 and 0xfffff RAM, as firmware does: writable or read-only.
func (m *Map) Shadow(from, to uint64, writable bool) {
	attr := uint8(read)
	if writable {
		attr |= write
	}
	for i := range m.windows {
		if at, size := windowAt(i); at >= from && at+size <= to {
			reg, shift := field(i)
			m.config[reg] = m.config[reg]&^(attributes<<shift) | attr<<shift
		}
	}
	m.Update()
}
