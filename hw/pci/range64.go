package pci

// fourGiB is where addresses of 64 bits begin.
const fourGiB = 1 << 32

// Range64 is from where to where the guest has placed memory of the bus's functions, and what is behind its bridges, above 4 GiB; ok is
// false if there is none. The end is inclusive.
func (b *Bus) Range64() (first, last uint64, ok bool) {
	extend := func(from, to uint64) {
		if from = max(from, fourGiB); to < from {
			return
		}
		if !ok {
			first, last, ok = from, to, true
		}
		first, last = min(first, from), max(last, to)
	}
	for _, fn := range b.funcs {
		if fn == nil || fn.PCI().Get16(RegCommand)&CommandMemory == 0 {
			continue
		}
		d := fn.PCI()
		for n := range d.bars {
			if d.bars[n].region == nil || !d.wide(n) {
				continue
			}
			if at, ok := d.barAddress(n); ok {
				extend(at, at+d.bars[n].size-1)
			}
		}
	}
	for _, br := range b.children() {
		if br.Get16(RegCommand)&CommandMemory != 0 {
			extend(br.Window(WindowPrefetchable))
		}
	}
	return first, last, ok
}
