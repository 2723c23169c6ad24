package pc

import "goemu/hw/pci"

// Windows from which BARs get their addresses.
const (
	pciIOBase  = 0xc000
	pciMemTop  = 0xfec00000
	numBARs    = 6
	barIOBit   = 1
	bar64Bits  = 4
	bar64Mask  = 6
	barIOMask  = 3
	barMemMask = 0xf
)

// configurePCI gives every function on bus 0 addresses and interrupt lines, as firmware does before it starts a kernel. Larger BARs
// are placed first, so that none is misaligned.
func (m *Machine) configurePCI() {
	type bar struct {
		f    *pci.Device
		n    int
		size uint64
		io   bool
		wide bool
	}
	var bars []bar
	for devfn := 0; devfn < 256; devfn++ {
		f := m.pci.Function(uint8(devfn))
		if f == nil {
			continue
		}
		d := f.PCI()
		for n := 0; n < numBARs; n++ {
			size, io, wide := barSize(f, n)
			if size != 0 {
				bars = append(bars, bar{d, n, size, io, wide})
			}
			if wide {
				n++
			}
		}
		if pin := d.Config[pci.RegIntPin]; pin != 0 {
			d.Config[pci.RegIntLine] = pirqIRQ[(devfn>>3+int(pin)-2)&3]
		}
	}
	io, mem := uint64(pciIOBase), uint64(pciMemTop)
	for size := uint64(1) << 31; size >= 4; size >>= 1 {
		for _, b := range bars {
			if b.size != size {
				continue
			}
			addr := &mem
			at := (mem - size) &^ (size - 1)
			if b.io {
				addr, at = &io, (io+size-1)&^(size-1)
			}
			if *addr = at; b.io {
				*addr += size
			}
			writeConfig(b.f, pci.RegBAR0+4*b.n, 4, uint32(at))
			if b.wide {
				writeConfig(b.f, pci.RegBAR0+4*b.n+4, 4, 0)
			}
		}
	}
	for _, b := range bars {
		bits := uint16(pci.CommandMemory)
		if b.io {
			bits = pci.CommandIO
		}
		writeConfig(b.f, pci.RegCommand, 2, uint32(b.f.Get16(pci.RegCommand)|bits))
	}
}

// barSize finds out what a base address register wants.
func barSize(f pci.Function, n int) (size uint64, io, wide bool) {
	d, at := f.PCI(), pci.RegBAR0+4*n
	old := d.Get32(at)
	writeConfig(d, at, 4, ^uint32(0))
	v := d.Get32(at)
	writeConfig(d, at, 4, old)
	if v == 0 {
		return 0, false, false
	}
	if v&barIOBit != 0 {
		return uint64(-(v &^ barIOMask) & 0xffff), true, false
	}
	return uint64(-(v &^ barMemMask)), false, v&bar64Mask == bar64Bits
}

// writeConfig writes a function's configuration space as the guest does.
func writeConfig(d *pci.Device, at, size int, v uint32) {
	d.Bus().WriteConfig(uint32(d.DevFn())<<8|uint32(at), size, v)
}
