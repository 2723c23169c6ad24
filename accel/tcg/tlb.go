package tcg

import (
	"sync"

	"goemu/target/x86"
	"goemu/tcg/ir"
)

// Sizes of a soft TLB, in entries (powers of two).
const (
	tlbMin  = 1 << 9
	tlbMax  = 1 << 14
	entSize = 32
)

// regimes are those with tables of their own (CPU.table).
var regimes = [...]uint8{x86.MMUUser, x86.MMUKernelAC, x86.MMUKernelSMAP}

// Flags of an entry's shadow.
const (
	metaGlobal = 1 << iota
	metaListed // its index is in tlb.local
	metaLarge2M
	metaLarge1G
	metaROM // RAM that ignores writes
)

// meta is what the CPU knows of a TLB entry beyond what generated code needs.
type meta struct {
	phys  uint64 // guest physical page
	flags uint32
	pkey  uint8
}

// tlb is the soft TLB of one translation regime.
type tlb struct {
	mu       sync.Mutex // held by the owner when it changes entries, by others when they look at or mark them
	mem      []ir.TLBEntry
	entries  []ir.TLBEntry // mem[:size]
	meta     []meta
	hdr      ir.TLBTable // what generated code is to use
	writable pageSet     // host pages that entries allow stores to
	local    []uint32    // the first locals are the entries that are not global
	locals   int
	fills    int   // since the last flush or change of size
	large2M  bloom // 2 MiB units that have entries of large pages
	large1G  bloom
}

// bloom is a set of numbers with false positives.
type bloom [16]uint64

//go:nosplit
func (b *bloom) slot(n uint64) (int, uint64) {
	h := (n * 0x9e3779b97f4a7c15) >> 54
	return int(h >> 6), 1 << (h & 63)
}

//go:nosplit
func (b *bloom) add(n uint64) { i, m := b.slot(n); b[i] |= m }

//go:nosplit
func (b *bloom) has(n uint64) bool { i, m := b.slot(n); return b[i]&m != 0 }

func (t *tlb) init(mem []ir.TLBEntry, base uintptr) {
	t.mem = mem
	t.hdr.Base = uint64(base)
	t.resize(tlbMin)
}

// resize changes the number of entries and empties the table. The CPU must call showTables. Generated code may still look at entries
// that are given up.
func (t *tlb) resize(n int) {
	for i := min(n, len(t.entries)); i < len(t.entries); i++ {
		t.drop(uint64(i))
	}
	t.entries = t.mem[:n]
	t.meta, t.local = make([]meta, n), make([]uint32, n)
	t.hdr.Mask = uint64(n-1) * entSize
	t.clear()
}

// clear empties the table.
func (t *tlb) clear() {
	for i := range t.entries {
		t.entries[i] = ir.TLBEntry{Read: ir.TLBInvalid, Write: ir.TLBInvalid, Code: ir.TLBInvalid}
	}
	clear(t.meta)
	t.locals = 0
	t.large2M, t.large1G, t.writable = bloom{}, bloom{}, pageSet{}
	t.fills = 0
}

func (t *tlb) index(addr uint64) uint64 { return addr >> ir.PageBits & uint64(len(t.entries)-1) }

// drop empties one entry.
//
//go:nosplit
func (t *tlb) drop(i uint64) {
	e := &t.entries[i]
	e.Read, e.Write, e.Code = ir.TLBInvalid, ir.TLBInvalid, ir.TLBInvalid
}

const pageMask = ^uint64(1<<ir.PageBits - 1)

// pageOf is the page an entry maps; ok is false for an empty one.
func pageOf(e *ir.TLBEntry) (page uint64, ok bool) {
	for _, tag := range [3]uint64{e.Read, e.Write, e.Code} {
		if tag&ir.TLBInvalid == 0 {
			return tag & pageMask, true
		}
	}
	return 0, false
}

// flush empties the table and adapts its size. The CPU must call showTables.
func (t *tlb) flush() {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(t.entries)
	switch {
	case t.fills > n && n < tlbMax:
		t.resize(n * 2)
	case t.fills < n/16 && n > tlbMin:
		t.resize(n / 2)
	default:
		t.clear()
	}
}

// flushPage drops what maps addr, large pages wholly.
func (t *tlb) flushPage(addr uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p, ok := pageOf(&t.entries[t.index(addr)]); ok && p == addr&pageMask {
		t.drop(t.index(addr))
	}
	if !t.large2M.has(addr>>21) && !t.large1G.has(addr>>30) {
		return
	}
	first, n := uint64(0), len(t.entries)
	if !t.large1G.has(addr >> 30) { // the pages of 2 MiB have successive indices
		first, n = t.index(addr>>21<<21), min(n, 1<<(21-ir.PageBits))
	}
	for i := range t.entries[first : int(first)+n] {
		i += int(first)
		p, ok := pageOf(&t.entries[i])
		if !ok {
			continue
		}
		f := t.meta[i].flags
		if f&metaLarge2M != 0 && p>>21 == addr>>21 || f&metaLarge1G != 0 && p>>30 == addr>>30 {
			t.drop(uint64(i))
		}
	}
}

// fill enters a translation; it tells whether the table was made larger for that.
func (t *tlb) fill(addr uint64, e ir.TLBEntry, m meta) (resized bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fills++; t.fills > 4*len(t.entries) && len(t.entries) < tlbMax {
		t.resize(len(t.entries) * 2)
		resized = true
	}
	i := t.index(addr)
	old := &t.meta[i]
	if m.flags&metaGlobal == 0 {
		if old.flags&metaListed == 0 {
			t.local[t.locals] = uint32(i) // each is listed once
			t.locals++
		}
		m.flags |= metaListed
	} else {
		m.flags |= old.flags & metaListed
	}
	*old = m
	if m.flags&metaLarge2M != 0 {
		t.large2M.add(addr >> 21)
	}
	if m.flags&metaLarge1G != 0 {
		t.large1G.add(addr >> 30)
	}
	if e.Write&(ir.TLBInvalid|ir.TLBMMIO) == 0 {
		t.writable.add(e.Write&pageMask + e.Addend)
	}
	t.entries[i] = e
	return resized
}

// protect makes stores to a page of RAM take the slow path, because it holds code now.
func (t *tlb) protect(hostPage uintptr) {
	if !t.writable.has(uint64(hostPage)) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.entries {
		e := &t.entries[i]
		if e.Write&^pageMask == 0 && uint64(hostPage) == e.Write+e.Addend {
			orTag(&e.Write, ir.TLBNotDirty)
		}
	}
}

// relog makes the first store to every page take the slow path.
func (t *tlb) relog() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.entries {
		if e := &t.entries[i]; e.Write&^pageMask == 0 {
			orTag(&e.Write, ir.TLBNotDirty)
		}
	}
}

// pageSet is a set of pages with false positives.
type pageSet [256]uint64

//go:nosplit
func (s *pageSet) slot(addr uint64) (int, uint64) {
	h := (addr >> ir.PageBits * 0x9e3779b97f4a7c15) >> 50
	return int(h >> 6), 1 << (h & 63)
}

//go:nosplit
func (s *pageSet) add(addr uint64) { i, m := s.slot(addr); s[i] |= m }

//go:nosplit
func (s *pageSet) has(addr uint64) bool { i, m := s.slot(addr); return s[i]&m != 0 }
