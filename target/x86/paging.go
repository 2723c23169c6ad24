package x86

// PageMap maps linear addresses to physical ones by the page tables, as a debugger does it: nothing is marked as accessed and no right
// is checked.
type PageMap struct {
	// Load reads 4 or 8 bytes of a table at a physical address.
	Load   func(addr uint64, size int) uint64
	Levels int // 0: paging is off
	root   uint64
	entry  int // bytes of an entry
	pse    bool
}

// Page is a page of a PageMap: its place, its size and the entries' bits: those of the last entry, with the rights all levels agree on.
type Page struct {
	Addr, Phys, Size uint64
	Entry            uint64
	Rights           uint64 // RW, US of all levels, NX of any
}

// Bits of page-table entries.
const (
	PTEPresent = 1 << 0
	PTEWrite   = 1 << 1
	PTEUser    = 1 << 2
	PTEPS      = 1 << 7
	PTENX      = 1 << 63

	pteAddrMask = 0x000ffffffffff000
)

// PageMap returns the map of a CPU's state.
func (s *State) PageMap(load func(addr uint64, size int) uint64) *PageMap {
	m := &PageMap{Load: load, pse: s.CR4&CR4PSE != 0}
	switch {
	case s.CR0&CR0PG == 0:
	case s.CR4&CR4PAE == 0:
		m.Levels, m.root, m.entry = 2, s.CR3&0xfffff000, 4
	case s.EFER&EFERLMA == 0:
		m.Levels, m.root, m.entry = 3, s.CR3&0xffffffe0, 8
	case s.CR4&CR4LA57 == 0:
		m.Levels, m.root, m.entry = 4, s.CR3&pteAddrMask, 8
	default:
		m.Levels, m.root, m.entry = 5, s.CR3&pteAddrMask, 8
	}
	return m
}

// index is the place of an address in a table, with its shift. Level 1 is that of the smallest pages.
func (m *PageMap) index(addr uint64, level int) (i uint64, shift uint) {
	if m.entry == 4 {
		shift = 12 + 10*uint(level-1)
		return addr >> shift & 1023, shift
	}
	shift = 12 + 9*uint(level-1)
	if m.Levels == 3 && level == 3 {
		return addr >> shift & 3, shift
	}
	return addr >> shift & 511, shift
}

// leaf tells whether an entry of a level maps a page.
func (m *PageMap) leaf(pte uint64, level int) bool {
	switch {
	case level == 1:
		return true
	case m.entry == 4:
		return pte&PTEPS != 0 && m.pse
	case m.Levels == 3 && level == 3:
		return false
	}
	return pte&PTEPS != 0 && level <= 3
}

func (m *PageMap) page(addr, pte, rights uint64, shift uint) Page {
	size := uint64(1) << shift
	p := Page{Addr: addr &^ (size - 1), Size: size, Entry: pte, Rights: rights}
	if m.entry == 4 && shift > 12 {
		p.Phys = pte&0xffc00000 | pte>>13&0xff<<32
	} else {
		p.Phys = pte & pteAddrMask &^ (size - 1)
	}
	return p
}

// join is what two levels allow together.
func join(rights, pte uint64) uint64 { return rights&pte&(PTEWrite|PTEUser) | (rights|pte)&PTENX }

// Lookup finds the page of an address; without paging it is one of 4 KiB.
func (m *PageMap) Lookup(addr uint64) (Page, bool) {
	if m.Levels == 0 {
		a := addr & 0xfffff000
		return Page{Addr: a, Phys: a, Size: 4096, Rights: PTEWrite | PTEUser}, true
	}
	if m.Levels < 4 {
		addr &= 0xffffffff
	} else if top := uint(64 - 12 - 9*m.Levels); uint64(int64(addr<<top)>>top) != addr {
		return Page{}, false
	}
	table, rights := m.root, uint64(PTEWrite|PTEUser)
	for level := m.Levels; ; level-- {
		i, shift := m.index(addr, level)
		pte := m.Load(table+i*uint64(m.entry), m.entry)
		if pte&PTEPresent == 0 {
			return Page{}, false
		}
		if m.Levels != 3 || level != 3 { // the top entries of PAE have no rights
			rights = join(rights, pte)
		}
		if m.leaf(pte, level) {
			return m.page(addr, pte, rights, shift), true
		}
		table = m.next(pte)
	}
}

func (m *PageMap) next(pte uint64) uint64 {
	if m.entry == 4 {
		return pte & 0xfffff000
	}
	return pte & pteAddrMask
}

// Walk calls f for every page that is mapped, in ascending order of addresses. It does nothing without paging.
func (m *PageMap) Walk(f func(Page)) {
	if m.Levels > 0 {
		m.walk(m.root, 0, PTEWrite|PTEUser, m.Levels, f)
	}
}

// walk goes through the table at a physical address, whose first entry is for addr.
func (m *PageMap) walk(table, addr, rights uint64, level int, f func(Page)) {
	_, shift := m.index(0, level)
	entries := uint64(512)
	switch {
	case m.entry == 4:
		entries = 1024
	case m.Levels == 3 && level == 3:
		entries = 4
	}
	for i := range entries {
		pte := m.Load(table+i*uint64(m.entry), m.entry)
		if pte&PTEPresent == 0 {
			continue
		}
		allowed, at := rights, addr|i<<shift
		if m.Levels != 3 || level != 3 {
			allowed = join(rights, pte)
		}
		if m.leaf(pte, level) {
			f(m.page(at, pte, allowed, shift))
		} else {
			m.walk(m.next(pte), at, allowed, level-1, f)
		}
	}
}

// Canonical extends the sign of a linear address of the map, as CPUs do in 64-bit mode.
func (m *PageMap) Canonical(addr uint64) uint64 {
	if m.Levels < 4 {
		return addr
	}
	top := uint(64 - 12 - 9*m.Levels)
	return uint64(int64(addr<<top) >> top)
}

// End is the first address beyond those that the tables can map.
func (m *PageMap) End() uint64 {
	if m.Levels < 4 {
		return 1 << 32
	}
	return 1 << uint(12+9*m.Levels)
}
