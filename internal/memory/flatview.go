package memory

import "sort"

// Range is a piece of a flat view: consecutive addresses that one region answers.
type Range struct {
	Start, Last uint64 // addresses, inclusive
	Region      *Region
	Offset      uint64    // of Start in Region
	RAM         *RAMBlock // memory behind it, nil for I/O; Offset is also the offset in the block
	ReadOnly    bool
}

// FlatView is the rendered form of a region tree: immutable, sorted, without overlaps.
type FlatView struct {
	Ranges []Range
}

// Find returns the range that holds addr, nil if none does.
func (v *FlatView) Find(addr uint64) *Range {
	lo, hi := 0, len(v.Ranges)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if v.Ranges[mid].Last < addr {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < len(v.Ranges) && v.Ranges[lo].Start <= addr {
		return &v.Ranges[lo]
	}
	return nil
}

// Device tells whether the guest's writes to memory go to a device.
func (r *Range) Device() bool { return r.ReadOnly && r.Region.ops != nil }

// renderer collects ranges, the most important first.
type renderer struct{ ranges []Range }

// render adds what r shows in [lo, last] of the address space, with offset 0 of r at address base (which may lie below zero).
func (f *renderer) render(r *Region, base, lo, last int64, readOnly bool) {
	if r.disabled || r.size == 0 {
		return
	}
	lo = max(lo, base)
	if end := base + (r.size - 1); end >= base || base < 0 { // no overflow
		last = min(last, end)
	}
	if lo > last {
		return
	}
	readOnly = readOnly || r.readOnly
	switch r.kind {
	case kindAlias:
		f.render(r.target, base-r.targetAt, lo, last, readOnly)
		return
	}
	for _, s := range r.subs {
		if at := base + s.at; at >= base { // no overflow
			f.render(s, at, lo, last, readOnly)
		}
	}
	if r.kind != kindContainer {
		f.fill(r, base, lo, last, readOnly)
	}
}

// fill adds [lo, last] where nothing is yet.
func (f *renderer) fill(r *Region, base, lo, last int64, readOnly bool) {
	i := sort.Search(len(f.ranges), func(i int) bool { return int64(f.ranges[i].Last) >= lo })
	for lo <= last {
		end := last
		if i < len(f.ranges) {
			next := f.ranges[i]
			if int64(next.Start) <= lo {
				lo = int64(next.Last) + 1
				i++
				continue
			}
			end = min(end, int64(next.Start)-1)
		}
		ram := r.ram
		if r.covered {
			ram = nil
		}
		n := Range{Start: uint64(lo), Last: uint64(end), Region: r, Offset: uint64(lo - base), RAM: ram, ReadOnly: readOnly}
		f.ranges = append(f.ranges, Range{})
		copy(f.ranges[i+1:], f.ranges[i:])
		f.ranges[i] = n
		i++
		lo = end + 1
	}
}

// flatten renders the tree under root.
func flatten(root *Region) *FlatView {
	var f renderer
	f.render(root, 0, 0, root.size-1, false)
	v := &FlatView{}
	for _, r := range f.ranges { // join neighbours
		if n := len(v.Ranges); n > 0 {
			p := &v.Ranges[n-1]
			if p.Last+1 == r.Start && p.Region == r.Region && p.ReadOnly == r.ReadOnly && p.Offset+(r.Start-p.Start) == r.Offset {
				p.Last = r.Last
				continue
			}
		}
		v.Ranges = append(v.Ranges, r)
	}
	return v
}
