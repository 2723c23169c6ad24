package tcg

import (
	"goemu/internal/memory"
	"goemu/target/x86"
	"goemu/tcg/ir"
)

// access is a kind of memory access.
type access uint8

const (
	accRead access = iota
	accWrite
	accExec
)

// Rights of a mapping.
const (
	protR = 1 << accRead
	protW = 1 << accWrite
	protX = 1 << accExec
)

// Bits of page-table entries.
const (
	pteP     = 1 << 0
	pteRW    = 1 << 1
	pteUS    = 1 << 2
	pteA     = 1 << 5
	pteD     = 1 << 6
	ptePS    = 1 << 7
	pteG     = 1 << 8
	pteHigh  = 0x7ff << 52 // reserved but in long mode
	pteNX    = 1 << 63
	ptePKey  = 59
	pteAddr  = 0x000ffffffffff000
	maxLevel = 5

	pdpteReserved = 0x1e6   // of a page-directory pointer in PAE paging
	largeReserved = 1 << 21 // of an entry for a page of 4 MiB
)

// Bits of a page fault's error code.
const (
	pfP    = 1 << 0
	pfW    = 1 << 1
	pfU    = 1 << 2
	pfRSVD = 1 << 3
	pfI    = 1 << 4
	pfPK   = 1 << 5
)

// mapping is the result of a walk: the 4 KiB page that holds the address.
type mapping struct {
	phys  uint64
	prot  uint8
	flags uint32 // meta*
	pkey  uint8
}

// walker is one page walk.
type walker struct {
	c      *CPU
	addr   uint64
	acc    access
	mmu    uint8
	rights uint64 // RW and US of all levels so far
	nx     bool
	rsvd   uint64 // reserved bits of every 64-bit entry
	top    uint64 // … and of those of the highest levels

	cr3, cr4, efer uint64
	nested         bool // it is a nested guest's walk: addresses in its page tables are to be translated themselves
	ended          bool // … which has ended the guest
}

// newWalker prepares a walk of the present page tables.
func (c *CPU) newWalker(addr uint64, acc access, mmu uint8) walker {
	e := c.env
	return walker{c: c, addr: addr, acc: acc, mmu: mmu, cr3: e.CR[3], cr4: e.CR[4], efer: e.EFER, nested: c.nestedPaging()}
}

// pageFault is what a walk ends with: error code bits beside W, U and I.
type walkResult uint8

const (
	walkOK walkResult = iota
	walkFault
	walkRetry
)

// translate maps a linear address. On failure it records the exception and ok is false.
func (c *CPU) translate(addr uint64, acc access, mmu uint8) (m mapping, ok bool) {
	e := c.env
	if e.CR[0]&x86.CR0PG == 0 {
		m = mapping{phys: addr & 0xffffffff & pageMask & e.A20Mask, prot: protR | protW | protX}
		return m, !c.nestedPaging() || c.translateNested(&m, addr, acc)
	}
	if e.EFER&x86.EFERLMA != 0 {
		if sh := c.canonicalShift(); uint64(int64(addr<<sh)>>sh) != addr {
			c.nonCanonical(addr, acc)
			return m, false
		}
	} else {
		addr &= 0xffffffff
	}
	w := c.newWalker(addr, acc, mmu)
	code, ok := w.walk(&m)
	switch {
	case w.ended:
		return m, false
	case !ok:
		c.setPageFault(addr, code|w.accessCode())
		return m, false
	}
	return m, !w.nested || c.translateNested(&m, addr, acc)
}

// walk walks until no other CPU changes the tables meanwhile. On failure it returns the error code that the walk tells of.
func (w *walker) walk(m *mapping) (code uint32, ok bool) {
	for {
		code, res := w.run(m)
		switch {
		case res == walkFault || w.ended:
			return code, false
		case res == walkOK:
			return 0, true
		}
	}
}

// canonicalShift is 64 minus the number of bits of linear addresses.
func (c *CPU) canonicalShift() uint {
	if c.env.CR[4]&x86.CR4LA57 != 0 {
		return 7
	}
	return 16
}

func (w *walker) accessCode() (code uint32) {
	if w.acc == accWrite {
		code |= pfW
	}
	if w.mmu == x86.MMUUser {
		code |= pfU
	}
	if w.acc == accExec && (w.efer&x86.EFERNXE != 0 && w.cr4&x86.CR4PAE != 0 || w.cr4&x86.CR4SMEP != 0) {
		code |= pfI
	}
	return code
}

// run walks once.
func (w *walker) run(m *mapping) (code uint32, res walkResult) {
	w.rights, w.nx = pteRW|pteUS, false
	if w.cr4&x86.CR4PAE == 0 {
		return w.run32(m)
	}
	w.rsvd = pteAddr &^ (1<<w.c.cfg.PhysBits - 1)
	if w.efer&x86.EFERNXE == 0 {
		w.rsvd |= pteNX
	}
	table := w.cr3 & pteAddr
	level := 4
	switch {
	case w.efer&x86.EFERLMA == 0:
		return w.runPAE(m)
	case w.cr4&x86.CR4LA57 != 0:
		level = 5
	}
	return w.levels(table, level, m)
}

// runPAE starts at the four page-directory pointers.
func (w *walker) runPAE(m *mapping) (uint32, walkResult) {
	w.rsvd |= pteHigh
	pdpte := w.load64(w.cr3&0xffffffe0 + w.addr>>30<<3)
	if pdpte&pteP == 0 {
		return 0, walkFault
	}
	if pdpte&(w.rsvd|pteNX|pdpteReserved) != 0 {
		return pfRSVD | pfP, walkFault
	}
	return w.levels(pdpte&pteAddr, 2, m)
}

// levels walks 64-bit entries from a table of the given level down.
func (w *walker) levels(table uint64, level int, m *mapping) (uint32, walkResult) {
	for ; ; level-- {
		shift := uint(12 + 9*(level-1))
		at := table + w.addr>>shift&511<<3
		pte := w.load64(at)
		if pte&pteP == 0 {
			return 0, walkFault
		}
		rsvd := w.rsvd
		leaf := level == 1
		if level > 1 && pte&ptePS != 0 {
			if level > 3 || level == 3 && !w.c.cfg.Features.Has(x86.FeatPDPE1GB) {
				rsvd |= ptePS
			} else {
				leaf = true
				rsvd |= (1<<shift - 1) &^ 0x1fff
			}
		}
		if level > 3 {
			rsvd |= w.top
		}
		if pte&rsvd != 0 {
			return pfRSVD | pfP, walkFault
		}
		w.rights &= pte
		w.nx = w.nx || pte&pteNX != 0
		if !leaf {
			if pte&pteA == 0 && !w.update64(at, pte, pte|pteA) {
				return 0, walkRetry
			}
			table = pte & pteAddr
			continue
		}
		code, set, ok := w.permit(pte, m)
		if !ok {
			return code, walkFault
		}
		if pte|set != pte && !w.update64(at, pte, pte|set) {
			return 0, walkRetry
		}
		w.finish(m, pte|set, pte&pteAddr&^(1<<shift-1)|w.addr&(1<<shift-1)&pageMask, shift)
		return 0, walkOK
	}
}

// run32 walks two levels of 32-bit entries.
func (w *walker) run32(m *mapping) (uint32, walkResult) {
	at := w.cr3&0xfffff000 + w.addr>>22<<2
	pde := w.load32(at)
	if pde&pteP == 0 {
		return 0, walkFault
	}
	w.rights &= pde
	if pde&ptePS != 0 && w.cr4&x86.CR4PSE != 0 {
		if pde&largeReserved != 0 {
			return pfRSVD | pfP, walkFault
		}
		return w.leaf32(m, at, pde, large32(pde, w.addr), 22)
	}
	if pde&pteA == 0 && !w.update32(at, pde, pde|pteA) {
		return 0, walkRetry
	}
	at = pde&0xfffff000 + w.addr>>12&1023<<2
	pte := w.load32(at)
	if pte&pteP == 0 {
		return 0, walkFault
	}
	w.rights &= pte
	return w.leaf32(m, at, pte, pte&0xfffff000, 12)
}

// large32 is the physical address of the 4 KiB page around addr in a page of 4 MiB, which may lie above 4 GiB (PSE-36).
//
//go:nosplit
func large32(pde, addr uint64) uint64 { return pde&0xffc00000 | pde>>13&0xff<<32 | addr&0x3ff000 }

func (w *walker) leaf32(m *mapping, at, pte, phys uint64, shift uint) (uint32, walkResult) {
	code, set, ok := w.permit(pte, m)
	if !ok {
		return code, walkFault
	}
	if pte|set != pte && !w.update32(at, pte, pte|set) {
		return 0, walkRetry
	}
	w.finish(m, pte|set, phys, shift)
	return 0, walkOK
}

// permit checks the access and finds all rights of the page; set are the bits to set in the leaf entry.
func (w *walker) permit(pte uint64, m *mapping) (code uint32, set uint64, ok bool) {
	e := w.c.env
	user, rw := w.rights&pteUS != 0, w.rights&pteRW != 0
	var prot uint8
	switch {
	case w.mmu == x86.MMUUser && !user:
	case w.mmu == x86.MMUUser:
		prot = protR | protX
		if rw {
			prot |= protW
		}
	default:
		if !(user && w.mmu == x86.MMUKernelSMAP && w.cr4&x86.CR4SMAP != 0) {
			prot = protR
			if rw || e.CR[0]&x86.CR0WP == 0 {
				prot |= protW
			}
		}
		if !(user && w.cr4&x86.CR4SMEP != 0) {
			prot |= protX
		}
	}
	if w.nx {
		prot &^= protX
	}
	code = pfP
	m.pkey = 0
	enable, keys := uint64(x86.CR4PKS), e.PKRS
	if user {
		enable, keys = x86.CR4PKE, e.PKRU
	}
	if w.cr4&enable != 0 && w.efer&x86.EFERLMA != 0 {
		m.pkey = uint8(pte >> ptePKey & 15)
		deny := w.keyDenies(m.pkey, keys)
		if w.acc != accExec && deny>>w.acc&1 != 0 { // whatever else forbids the access
			code |= pfPK
		}
		prot &^= deny
	}
	if prot>>w.acc&1 == 0 {
		return code, 0, false
	}
	set = pteA
	if w.acc == accWrite {
		set |= pteD
	}
	m.prot = prot
	return 0, set, true
}

// keyDenies is the set of rights that a protection key takes away, by the register for user or supervisor pages.
func (w *walker) keyDenies(key uint8, keys uint32) (deny uint8) {
	e := w.c.env
	k := keys >> (2 * key) & 3
	if k&1 != 0 {
		deny |= protR | protW
	}
	if k&2 != 0 && (w.mmu == x86.MMUUser || e.CR[0]&x86.CR0WP != 0) {
		deny |= protW
	}
	return deny
}

// finish completes the mapping of a permitted access.
func (w *walker) finish(m *mapping, pte, phys uint64, shift uint) {
	if pte&pteD == 0 {
		m.prot &^= protW // the first write must come here
	}
	m.phys = phys & w.c.env.A20Mask
	m.flags = 0
	if pte&pteG != 0 && w.cr4&x86.CR4PGE != 0 {
		m.flags |= metaGlobal
	}
	switch {
	case shift >= 30:
		m.flags |= metaLarge1G
	case shift > 21:
		m.flags |= metaLarge1G // 4 MiB: two 2 MiB units; the coarse filter covers both
	case shift == 21:
		m.flags |= metaLarge2M
	}
}

// physRange finds what answers at a guest physical address.
func (c *CPU) physRange(addr uint64) *memory.Range {
	v := c.space().View()
	if r := c.lastRange; r != nil && v == c.lastView && addr >= r.Start && addr <= r.Last {
		if c.fastRAMs == 0 {
			c.noteRAM(r)
		}
		return r
	}
	r := v.Find(addr)
	if r != nil && r.RAM != nil {
		c.lastRange, c.lastView = r, v
		c.noteRAM(r)
	}
	return r
}

// hostOf is the host address of guest RAM, 0 if there is none for n bytes.
func (c *CPU) hostOf(addr uint64, n uint64, write bool) uintptr {
	r := c.physRange(addr)
	if r == nil || r.RAM == nil || r.Last-addr < n-1 || write && r.ReadOnly {
		return 0
	}
	return uintptr(r.RAM.Host()) + uintptr(r.Offset+(addr-r.Start))
}

// table is where an entry of the page tables really is; false if the nested guest whose tables they are has ended.
func (w *walker) table(at uint64) (uint64, bool) {
	if w.nested {
		m := mapping{phys: at & pageMask}
		if w.ended = w.ended || !w.c.translateTable(&m, at); w.ended {
			return 0, false
		}
		at = m.phys | at&^pageMask
	}
	return at & w.c.env.A20Mask, true
}

func (w *walker) load64(at uint64) uint64 {
	at, ok := w.table(at)
	if !ok {
		return 0
	}
	if h := w.c.hostOf(at, 8, false); h != 0 {
		return pteLoad64(h)
	}
	v, _ := w.c.space().BusLoad(at, 8)
	return v
}

func (w *walker) load32(at uint64) uint64 {
	at, ok := w.table(at)
	if !ok {
		return 0
	}
	if h := w.c.hostOf(at, 4, false); h != 0 {
		return pteLoad32(h)
	}
	v, _ := w.c.space().BusLoad(at, 4)
	return v
}

// update64 and update32 set bits in an entry; false means that it changed meanwhile. Entries outside RAM are left alone.
func (w *walker) update64(at, old, val uint64) bool {
	at, ok := w.table(at)
	if !ok {
		return true
	}
	h := w.c.hostOf(at, 8, true)
	if h == 0 {
		return true
	}
	w.c.tableWritten(at, 8)
	return pteCAS64(h, old, val)
}

func (w *walker) update32(at, old, val uint64) bool {
	at, ok := w.table(at)
	if !ok {
		return true
	}
	h := w.c.hostOf(at, 4, true)
	if h == 0 {
		return true
	}
	w.c.tableWritten(at, 4)
	return pteCAS32(h, old, val)
}

// tableWritten reports a write to a page table for dirty tracking.
func (c *CPU) tableWritten(at uint64, n uint64) {
	if r := c.physRange(at); r.RAM.Tracked() {
		r.RAM.MarkDirty(r.Offset+(at-r.Start), n)
	}
}

// fillTLB walks and enters the page of addr into the TLB of a regime.
func (c *CPU) fillTLB(addr uint64, acc access, mmu uint8) (i uint64, ok bool) {
	m, ok := c.translate(addr, acc, mmu)
	if !ok {
		return 0, false
	}
	t := c.table(mmu)
	e, mt := c.makeEntry(addr&pageMask, &m)
	if t.fill(addr, e, mt) {
		c.showTables()
	}
	i = t.index(addr)
	if n := &t.entries[i]; c.accel.parallel() && n.Write == addr&pageMask {
		if ram, p, ok := c.ramAt(uintptr(n.Write + n.Addend)); ok && ram.HasCode(p) { // made code in between
			orTag(&n.Write, ir.TLBNotDirty)
		}
	}
	return i, true
}

// makeEntry builds the TLB entry of a mapping.
func (c *CPU) makeEntry(page uint64, m *mapping) (ir.TLBEntry, meta) {
	e := ir.TLBEntry{Read: ir.TLBInvalid, Write: ir.TLBInvalid, Code: ir.TLBInvalid}
	mt := meta{phys: m.phys, flags: m.flags, pkey: m.pkey}
	var low, lowW uint64
	r := c.physRange(m.phys)
	switch {
	case r == nil || r.RAM == nil || r.Start > m.phys || r.Last-m.phys < ^pageMask || c.isAPICPage(m.phys):
		low, lowW = ir.TLBMMIO, ir.TLBMMIO
	default:
		off := r.Offset + (m.phys - r.Start)
		e.Addend = uint64(uintptr(r.RAM.Host())) + off - page
		switch {
		case r.ReadOnly:
			lowW = ir.TLBMMIO
			if !r.Device() {
				mt.flags |= metaROM
			}
		case r.RAM.HasCode(off>>ir.PageBits) || r.RAM.Tracked() && !r.RAM.Settled(off>>ir.PageBits):
			lowW = ir.TLBNotDirty
		}
	}
	if c.watchPages != nil && c.watched(page) {
		low, lowW = low|ir.TLBWatch, lowW|ir.TLBWatch
	}
	if m.prot&protR != 0 {
		e.Read = page | low
	}
	if m.prot&protW != 0 {
		e.Write = page | lowW
	}
	if m.prot&protX != 0 {
		e.Code = page | low&ir.TLBMMIO
	}
	return e, mt
}
