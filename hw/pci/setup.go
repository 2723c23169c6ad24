package pci

import (
	"errors"
	"slices"
)

// Setup is what firmware does to a PCI bus before an operating system starts: it gives every base address register a place, sets the
// interrupt line registers and switches the devices on (not as bus masters). The places are those that SeaBIOS chooses: I/O from
// 0xc000 on, memory as high as possible below MemEnd.
type Setup struct {
	MemStart, MemEnd uint64                           // window for memory below 4 GiB
	Line             func(devfn uint8, pin int) uint8 // interrupt line of a pin (0..3)
}

// Bounds of the I/O areas for devices: the usual one, and the one that is used when that is too small.
const (
	ioBase, ioSize           = 0xc000, 0x4000
	ioLargeBase, ioLargeSize = 0x1000, 0x9000
	pageSize                 = 0x1000
)

// resource is a register that wants a place.
type resource struct {
	d    *Device
	n    int
	size uint64
}

// pool is all registers of a kind, in the order in which they get their places.
type pool []resource

// add keeps the larger ones first, and otherwise the order of the slots.
func (p *pool) add(r resource) {
	i := slices.IndexFunc(*p, func(x resource) bool { return x.size < r.size })
	if i < 0 {
		i = len(*p)
	}
	*p = slices.Insert(*p, i, r)
}

func (p pool) sum() (n uint64) {
	for _, r := range p {
		n += r.size
	}
	return n
}

func (p pool) align() uint64 {
	if len(p) == 0 {
		return 1
	}
	return p[0].size
}

// below returns the highest base for the pool under end.
func (p pool) below(end uint64) uint64 { return (end - p.sum()) &^ (p.align() - 1) }

func (p pool) assign(base uint64) {
	for _, r := range p {
		at := r.d.barOffset(r.n)
		r.d.writeConfig(at, 4, uint32(base))
		if r.d.wide(r.n) {
			r.d.writeConfig(at+4, 4, uint32(base>>32))
		}
		base += r.size
	}
}

// ErrNoSpace says that the devices want more addresses than there are.
var ErrNoSpace = errors.New("PCI: out of address space")

// Run sets the bus up. Call it under the machine lock after a reset.
func (s Setup) Run(b *Bus) error {
	var io, mem, pref pool
	for _, fn := range b.funcs {
		if fn == nil {
			continue
		}
		d := fn.PCI()
		for n := range d.bars {
			bar := &d.bars[n]
			switch r := (resource{d, n, bar.size}); {
			case bar.region == nil:
			case bar.typ&barIO != 0:
				io.add(r)
			case bar.typ&barPrefetch != 0:
				r.size = max(r.size, pageSize)
				pref.add(r)
			default:
				r.size = max(r.size, pageSize)
				mem.add(r)
			}
		}
	}
	base := uint64(ioBase)
	if io.sum() >= ioSize {
		base = ioLargeBase
		if io.sum() >= ioLargeSize {
			return ErrNoSpace
		}
	}
	high, low := pref, mem
	if low.align() < high.align() {
		high, low = low, high
	}
	if high.sum()+low.sum() > s.MemEnd-s.MemStart {
		return ErrNoSpace
	}
	top := high.below(s.MemEnd)
	bottom := low.below(top)
	if bottom < s.MemStart || bottom > top {
		return ErrNoSpace
	}
	io.assign(base)
	high.assign(top)
	low.assign(bottom)
	s.enable(b)
	return nil
}

// enable sets interrupt lines and switches decoding on.
func (s Setup) enable(b *Bus) {
	for _, fn := range b.funcs {
		if fn == nil {
			continue
		}
		d := fn.PCI()
		if pin := int(d.Config[RegIntPin]); pin != 0 && s.Line != nil {
			d.writeConfig(RegIntLine, 1, uint32(s.Line(d.devfn, pin-1)))
		}
		d.writeConfig(RegCommand, 2, uint32(d.Get16(RegCommand)|CommandIO|CommandMemory|commandSERR))
	}
}
