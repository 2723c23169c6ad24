package memory

import (
	"slices"
	"sync/atomic"

	"goemu/internal/mainloop"
)

// Listener hears of changes of an address space, under the machine lock, after the new view is in force.
type Listener interface {
	// ViewChanged gets the ranges that are gone and those that are new; a range whose extent changed is in both.
	ViewChanged(removed, added []Range)
}

// AddressSpace is what a CPU or a bus master sees: a region tree behind a flat view. Access methods may be called from any goroutine;
// those that can reach I/O regions require the machine lock unless they say otherwise.
type AddressSpace struct {
	name      string
	root      *Region
	view      atomic.Pointer[FlatView]
	listeners []Listener
}

// NewAddressSpace returns an address space that shows root.
func NewAddressSpace(name string, root *Region) *AddressSpace {
	as := &AddressSpace{name: name, root: root}
	root.spaces = append(root.spaces, as)
	as.view.Store(flatten(root))
	as.register()
	return as
}

// Close detaches the address space from its tree.
func (as *AddressSpace) Close() {
	as.forget()
	as.root.spaces = slices.DeleteFunc(as.root.spaces, func(x *AddressSpace) bool { return x == as })
}

// Name returns the name of the address space.
func (as *AddressSpace) Name() string { return as.name }

// Root returns the region tree.
func (as *AddressSpace) Root() *Region { return as.root }

// View returns the present flat view.
func (as *AddressSpace) View() *FlatView { return as.view.Load() }

// Listen registers l and reports the present ranges to it as new.
func (as *AddressSpace) Listen(l Listener) {
	as.listeners = append(as.listeners, l)
	l.ViewChanged(nil, as.View().Ranges)
}

// Unlisten undoes Listen.
func (as *AddressSpace) Unlisten(l Listener) {
	as.listeners = slices.DeleteFunc(slices.Clone(as.listeners), func(x Listener) bool { return x == l })
}

// update renders the tree again and reports differences.
func (as *AddressSpace) update() {
	old, v := as.view.Load(), flatten(as.root)
	if slices.Equal(old.Ranges, v.Ranges) {
		return
	}
	as.view.Store(v)
	if len(as.listeners) == 0 {
		return
	}
	removed, added := difference(old.Ranges, v.Ranges), difference(v.Ranges, old.Ranges)
	for _, l := range as.listeners {
		l.ViewChanged(removed, added)
	}
}

// difference returns the ranges of a that are not in b; both are sorted.
func difference(a, b []Range) []Range {
	var out []Range
	j := 0
	for _, r := range a {
		for j < len(b) && b[j].Start < r.Start {
			j++
		}
		if j >= len(b) || b[j] != r {
			out = append(out, r)
		}
	}
	return out
}

// Load reads size (1, 2, 4 or 8) bytes as one access. Where nothing answers the value is zero, as in QEMU.
func (as *AddressSpace) Load(addr uint64, size int) (uint64, Result) {
	r := as.View().Find(addr)
	if r == nil {
		return 0, DecodeError
	}
	off := r.Offset + (addr - r.Start)
	if r.Last-addr < uint64(size-1) && r.RAM != nil {
		return as.loadSplit(addr, size)
	}
	if r.RAM != nil {
		return r.RAM.load(off, size), OK
	}
	return r.Region.dispatchRead(off, size)
}

// Store writes size (1, 2, 4 or 8) bytes as one access.
func (as *AddressSpace) Store(addr uint64, size int, value uint64) Result {
	r := as.View().Find(addr)
	if r == nil {
		return DecodeError
	}
	off := r.Offset + (addr - r.Start)
	switch {
	case r.RAM == nil:
		return r.Region.dispatchWrite(off, size, value)
	case r.Last-addr < uint64(size-1):
		return as.storeSplit(addr, size, value)
	case !r.ReadOnly:
		r.RAM.store(off, size, value)
		r.RAM.MarkDirty(off, uint64(size))
	case r.Device():
		return r.Region.dispatchWrite(off, size, value)
	}
	return OK
}

// loadSplit and storeSplit handle an access over the end of a range of RAM.
func (as *AddressSpace) loadSplit(addr uint64, size int) (uint64, Result) {
	var b [8]byte
	res := as.Read(addr, b[:size])
	return le(b[:size]), res
}

func (as *AddressSpace) storeSplit(addr uint64, size int, value uint64) Result {
	var b [8]byte
	putLE(b[:size], value)
	return as.Write(addr, b[:size])
}

// Read copies len(p) bytes from addr on. I/O regions see accesses of the sizes they allow.
func (as *AddressSpace) Read(addr uint64, p []byte) Result {
	res := OK
	v := as.View()
	for len(p) > 0 {
		n := 0
		switch r := v.Find(addr); {
		case r == nil:
			n = min(len(p), v.gap(addr))
			clear(p[:n])
			res = max(res, DecodeError)
		case r.RAM != nil:
			n = copy(p, r.RAM.bytes[r.Offset+(addr-r.Start):r.Offset+(r.Last-r.Start)+1])
		default:
			off := r.Offset + (addr - r.Start)
			n = r.Region.accessSize(off, len(p))
			val, rr := r.Region.dispatchRead(off, n)
			putLE(p[:n], val)
			res = max(res, rr)
		}
		p, addr = p[n:], addr+uint64(n)
	}
	return res
}

// Write copies p to addr on.
func (as *AddressSpace) Write(addr uint64, p []byte) Result {
	res := OK
	v := as.View()
	for len(p) > 0 {
		n := 0
		switch r := v.Find(addr); {
		case r == nil:
			n = min(len(p), v.gap(addr))
			res = max(res, DecodeError)
		case r.RAM != nil:
			off := r.Offset + (addr - r.Start)
			n = int(min(uint64(len(p)), r.Last-addr+1))
			switch {
			case !r.ReadOnly:
				copy(r.RAM.bytes[off:], p[:n])
				r.RAM.MarkDirty(off, uint64(n))
			case r.Device():
				n = r.Region.accessSize(off, n)
				res = max(res, r.Region.dispatchWrite(off, n, le(p[:n])))
			}
		default:
			off := r.Offset + (addr - r.Start)
			n = r.Region.accessSize(off, len(p))
			res = max(res, r.Region.dispatchWrite(off, n, le(p[:n])))
		}
		p, addr = p[n:], addr+uint64(n)
	}
	return res
}

// WriteROM copies p to addr on, into ROM too, as firmware loading does; I/O regions are left alone.
func (as *AddressSpace) WriteROM(addr uint64, p []byte) Result {
	v := as.View()
	for len(p) > 0 {
		r := v.Find(addr)
		if r == nil || r.RAM == nil {
			return DecodeError
		}
		off := r.Offset + (addr - r.Start)
		n := int(min(uint64(len(p)), r.Last-addr+1))
		copy(r.RAM.bytes[off:], p[:n])
		r.RAM.MarkDirty(off, uint64(n))
		p, addr = p[n:], addr+uint64(n)
	}
	return OK
}

// gap returns the number of bytes from addr on that nothing answers.
func (v *FlatView) gap(addr uint64) int {
	for i := range v.Ranges {
		if v.Ranges[i].Start > addr {
			return int(min(v.Ranges[i].Start-addr, 1<<30))
		}
	}
	return 1 << 30
}

// Map returns the guest memory [addr, addr+n) as slices for direct access; ok is false if any byte of it is not RAM, or is ROM and
// write is set. It needs no lock. After writing through the slices call MarkDirty.
func (as *AddressSpace) Map(addr, n uint64, write bool) (iov [][]byte, ok bool) {
	return as.AppendMap(nil, addr, n, write)
}

// AppendMap is Map that appends to iov, to save an allocation.
func (as *AddressSpace) AppendMap(iov [][]byte, addr, n uint64, write bool) ([][]byte, bool) {
	v := as.View()
	for n > 0 {
		r := v.Find(addr)
		if r == nil || r.RAM == nil || write && r.ReadOnly {
			return iov, false
		}
		off := r.Offset + (addr - r.Start)
		k := min(n, r.Last-addr+1)
		iov = append(iov, r.RAM.bytes[off:off+k:off+k])
		n, addr = n-k, addr+k
	}
	return iov, true
}

// MarkDirty reports that guest memory in [addr, addr+n) has been written through slices from Map. It needs no lock.
func (as *AddressSpace) MarkDirty(addr, n uint64) {
	v := as.View()
	for n > 0 {
		r := v.Find(addr)
		if r == nil {
			return
		}
		k := min(n, r.Last-addr+1)
		if r.RAM != nil && !r.ReadOnly {
			r.RAM.MarkDirty(r.Offset+(addr-r.Start), k)
		}
		n, addr = n-k, addr+k
	}
}

// BusLoad is Load as a CPU makes it: called without the machine lock, which it takes when the region wants it.
func (as *AddressSpace) BusLoad(addr uint64, size int) (uint64, Result) {
	r := as.View().Find(addr)
	if r == nil {
		return 0, DecodeError
	}
	if r.RAM != nil {
		return as.Load(addr, size)
	}
	if !r.Region.Unlocked {
		mainloop.Lock.Lock()
		defer mainloop.Lock.Unlock()
		return as.Load(addr, size) // the view may have changed
	}
	return r.Region.dispatchRead(r.Offset+(addr-r.Start), size)
}

// BusStore is Store as a CPU makes it: called without the machine lock, which it takes when the region wants it.
func (as *AddressSpace) BusStore(addr uint64, size int, value uint64) Result {
	r := as.View().Find(addr)
	if r == nil {
		return DecodeError
	}
	if r.RAM != nil && !r.Device() {
		return as.Store(addr, size, value)
	}
	if !r.Region.Unlocked {
		mainloop.Lock.Lock()
		defer mainloop.Lock.Unlock()
		return as.Store(addr, size, value)
	}
	return r.Region.dispatchWrite(r.Offset+(addr-r.Start), size, value)
}
