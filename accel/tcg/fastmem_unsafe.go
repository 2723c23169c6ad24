package tcg

import (
	"sync/atomic"
	"unsafe"

	"goemu/internal/memory"
	"goemu/target/x86"
	"goemu/tcg/ir"
)

// What is in the files fast*.go runs while generated code stays in the runtime's system-call state. It must be nosplit, and must not
// allocate, lock, panic or store Go pointers. It does the plain cases; everything else goes the normal way.

// fastRanges is how many parts of the memory map the fast page walk knows.
const fastRanges = 4

// ramRange is a part of the memory map that is writable RAM and does not hold the page of the CPU's interrupt controller.
type ramRange struct {
	start, last uint64 // guest physical
	host        uint64 // of start
	off         uint64 // of start in ram
	ram         *memory.RAMBlock
}

// owner is the CPU of an environment, nil if it has none.
//
//go:nosplit
//go:norace
func owner(e *x86.Env) *CPU { return (*CPU)(ptr(uintptr(e.Owner))) }

// noteRAM makes a range known to the fast page walk.
func (c *CPU) noteRAM(r *memory.Range) {
	if r.ReadOnly || c.fastRAMs == fastRanges {
		return
	}
	if c.ic != nil {
		if p := c.ic.Base() & pteAddr; p >= r.Start && p <= r.Last {
			return
		}
	}
	for i := range c.fastRAMs {
		if c.fastRAM[i].start == r.Start {
			return
		}
	}
	c.fastRAM[c.fastRAMs] = ramRange{start: r.Start, last: r.Last, host: uint64(uintptr(r.RAM.Host())) + r.Offset, off: r.Offset, ram: r.RAM}
	c.fastRAMs++
}

// fastRange finds the RAM that holds the whole page around a physical address.
//
//go:nosplit
//go:norace
func (c *CPU) fastRange(phys uint64) *ramRange {
	phys &= pageMask
	for i := 0; i < c.fastRAMs; i++ {
		r := &c.fastRAM[i&(fastRanges-1)]
		if phys >= r.start && phys|^pageMask <= r.last {
			return r
		}
	}
	return nil
}

// FastHost is the host address of size bytes of plain RAM that may be read or written, after a page walk if need be; 0 if the access
// must be made the normal way.
//
//go:nosplit
//go:norace
func FastHost(h *ir.Header, addr, size uint64, mmu uint8, write bool) uint64 {
	acc := accRead
	if write {
		acc = accWrite
	}
	return fastHost((*x86.Env)(unsafe.Pointer(h)), addr, size, mmu, acc)
}

//go:nosplit
//go:norace
func fastHost(e *x86.Env, addr, size uint64, mmu uint8, acc access) uint64 {
	if addr&^pageMask+size > 1<<ir.PageBits {
		return 0
	}
	t := &e.TLB[mmu&(ir.NumMMU-1)]
	for range 2 {
		ent := (*ir.TLBEntry)(unsafe.Add(nil, t.Base+addr>>(ir.PageBits-5)&t.Mask))
		tag := ent.Read
		switch acc {
		case accWrite:
			tag = ent.Write
		case accExec:
			tag = ent.Code
		}
		if tag == addr&pageMask {
			return addr + ent.Addend
		}
		if tag&(pageMask|ir.TLBInvalid) == addr&pageMask { // not plain RAM
			return 0
		}
		if c := owner(e); c == nil || !c.fastFill(addr, acc, mmu) {
			return 0
		}
	}
	return 0
}

// fastLeaf is the entry that a fast page walk ends at.
type fastLeaf struct {
	at    uint64 // its guest physical address
	host  uint64 // … and where that is
	pte   uint64
	all   uint64 // RW and US of all levels
	nx    uint64
	shift uint64 // bits of an address within the page
	phys  uint64 // of the 4 KiB page that holds the address
}

// fastFill walks the page tables and fills the soft TLB; it reports false if anything is out of the ordinary.
//
//go:nosplit
//go:norace
func (c *CPU) fastFill(addr uint64, acc access, mmu uint8) bool {
	e := c.env
	if e.CR[0]&x86.CR0PG == 0 || c.watchPages != nil || c.svm.mode2&x86.Mode2NPT != 0 || e.A20Mask != ^uint64(0) {
		return false
	}
	var l fastLeaf
	if e.CR[4]&x86.CR4PAE == 0 {
		if !c.fastWalk32(addr, &l) {
			return false
		}
	} else if !c.fastWalk64(addr, &l) {
		return false
	}
	if mmu == x86.MMUKernel {
		mmu = x86.MMUKernelSMAP
		if e.EFlags&x86.FlagAC != 0 {
			mmu = x86.MMUKernelAC
		}
	}
	prot, key, ok := fastPermit(e, l.pte, l.all, l.nx, acc, mmu)
	if !ok {
		return false
	}
	set := l.pte | pteA
	if acc == accWrite {
		set |= pteD
	}
	if set != l.pte && !c.setPTE(&l, set) {
		return false
	}
	if set&pteD == 0 {
		prot &^= protW // the first write must come here
	}
	m := meta{phys: l.phys, pkey: key}
	if set&pteG != 0 && e.CR[4]&x86.CR4PGE != 0 {
		m.flags = metaGlobal
	}
	switch l.shift {
	case 21:
		m.flags |= metaLarge2M
	case 22, 30:
		m.flags |= metaLarge1G
	}
	r := c.fastRange(m.phys)
	return r != nil && c.table(mmu).fastEnter(addr, prot, m, r)
}

// fastWalk64 walks tables of 64-bit entries, those of long mode or of PAE paging.
//
//go:nosplit
//go:norace
func (c *CPU) fastWalk64(addr uint64, l *fastLeaf) bool {
	e := c.env
	rsvd := pteAddr &^ (uint64(1)<<(uint(c.cfg.PhysBits)&63) - 1)
	if e.EFER&x86.EFERNXE == 0 {
		rsvd |= pteNX
	}
	table, shift := e.CR[3]&pteAddr, uint64(39)
	if e.EFER&x86.EFERLMA == 0 {
		rsvd |= pteHigh
		if addr>>32 != 0 || !c.fastEntry(l, e.CR[3]&0xffffffe0+addr>>30<<3) {
			return false
		}
		pdpte := atomic.LoadUint64(l.entry64())
		if pdpte&pteP == 0 || pdpte&(rsvd|pteNX|pdpteReserved) != 0 {
			return false
		}
		table, shift = pdpte&pteAddr, 21
	} else {
		unused := uint64(16)
		if e.CR[4]&x86.CR4LA57 != 0 {
			shift, unused = 48, 7
		}
		if uint64(int64(addr<<unused)>>unused) != addr {
			return false
		}
	}
	l.all = pteRW | pteUS
	for ; ; shift -= 9 {
		if !c.fastEntry(l, table+addr>>(shift&63)&511<<3) {
			return false
		}
		l.pte = atomic.LoadUint64(l.entry64())
		bad, leaf := rsvd, shift == 12
		if !leaf && l.pte&ptePS != 0 {
			if shift > 30 || shift == 30 && !c.cfg.Features.Has(x86.FeatPDPE1GB) {
				return false
			}
			leaf = true
			bad |= (uint64(1)<<(shift&63) - 1) &^ 0x1fff
		}
		if l.pte&pteP == 0 || l.pte&bad != 0 {
			return false
		}
		l.all &= l.pte
		l.nx |= l.pte & pteNX
		if leaf {
			within := uint64(1)<<(shift&63) - 1
			l.shift, l.phys = shift, l.pte&pteAddr&^within|addr&within&pageMask
			return true
		}
		if l.pte&pteA == 0 && !c.setPTE(l, l.pte|pteA) {
			return false
		}
		table = l.pte & pteAddr
	}
}

// fastWalk32 walks two levels of 32-bit entries.
//
//go:nosplit
//go:norace
func (c *CPU) fastWalk32(addr uint64, l *fastLeaf) bool {
	e := c.env
	if addr>>32 != 0 || !c.fastEntry(l, e.CR[3]&0xfffff000+addr>>22<<2) {
		return false
	}
	l.pte = uint64(atomic.LoadUint32(l.entry32()))
	l.all, l.shift = l.pte, 22
	switch {
	case l.pte&pteP == 0:
		return false
	case l.pte&ptePS != 0 && e.CR[4]&x86.CR4PSE != 0:
		l.phys = large32(l.pte, addr)
		return l.pte&largeReserved == 0
	case l.pte&pteA == 0 && !c.setPTE(l, l.pte|pteA):
		return false
	}
	if !c.fastEntry(l, l.pte&0xfffff000+addr>>12&1023<<2) {
		return false
	}
	l.pte = uint64(atomic.LoadUint32(l.entry32()))
	l.all, l.shift, l.phys = l.all&l.pte, 12, l.pte&0xfffff000
	return l.pte&pteP != 0
}

// fastEntry finds the entry at a guest physical address in RAM.
//
//go:nosplit
//go:norace
func (c *CPU) fastEntry(l *fastLeaf, at uint64) bool {
	r := c.fastRange(at)
	if r == nil {
		return false
	}
	l.at, l.host = at, r.host+at-r.start
	return true
}

//go:nosplit
func (l *fastLeaf) entry64() *uint64 { return (*uint64)(ptr(uintptr(l.host))) }

//go:nosplit
func (l *fastLeaf) entry32() *uint32 { return (*uint32)(ptr(uintptr(l.host))) }

// setPTE changes the entry and marks its page dirty.
//
//go:nosplit
//go:norace
func (c *CPU) setPTE(l *fastLeaf, val uint64) bool {
	if c.env.CR[4]&x86.CR4PAE != 0 {
		if !atomic.CompareAndSwapUint64(l.entry64(), l.pte, val) {
			return false
		}
	} else if !atomic.CompareAndSwapUint32(l.entry32(), uint32(l.pte), uint32(val)) {
		return false
	}
	if r := c.fastRange(l.at); r != nil && r.ram.Tracked() {
		r.ram.NotePage((r.off + l.at - r.start) >> ir.PageBits)
	}
	return true
}

// fastPermit checks an access as walker.permit does.
//
//go:nosplit
//go:norace
func fastPermit(e *x86.Env, pte, all, nx uint64, acc access, mmu uint8) (prot, key uint8, ok bool) {
	user := all&pteUS != 0
	prot = protR | protX
	switch {
	case mmu == x86.MMUUser && !user:
		return 0, 0, false
	case mmu == x86.MMUUser:
		if all&pteRW != 0 {
			prot |= protW
		}
	default:
		if all&pteRW != 0 || e.CR[0]&x86.CR0WP == 0 {
			prot |= protW
		}
		if user && mmu == x86.MMUKernelSMAP && e.CR[4]&x86.CR4SMAP != 0 {
			prot &^= protR | protW
		}
		if user && e.CR[4]&x86.CR4SMEP != 0 {
			prot &^= protX
		}
	}
	if nx != 0 {
		prot &^= protX
	}
	enable, keys := uint64(x86.CR4PKS), e.PKRS
	if user {
		enable, keys = x86.CR4PKE, e.PKRU
	}
	if e.CR[4]&enable != 0 && e.EFER&x86.EFERLMA != 0 {
		key = uint8(pte >> ptePKey & 15)
		k := keys >> (2 * key) & 3
		if k&1 != 0 {
			prot &^= protR | protW
		}
		if k&2 != 0 && (mmu == x86.MMUUser || e.CR[0]&x86.CR0WP != 0) {
			prot &^= protW
		}
	}
	return prot, key, prot>>(acc&7)&1 != 0
}

// fastEnter enters the mapping of addr into the table. Another CPU that makes the page code marks the entry, or is noticed here.
//
//go:nosplit
//go:norace
func (t *tlb) fastEnter(addr uint64, prot uint8, m meta, r *ramRange) bool {
	n := uint64(len(t.entries))
	if t.fills > 4*int(n) && n < tlbMax {
		return false // is to be made larger
	}
	i := addr >> ir.PageBits & (n - 1)
	if i >= n || i >= uint64(len(t.meta)) {
		return false
	}
	t.fills++
	old := &t.meta[i]
	if m.flags&metaGlobal == 0 && old.flags&metaListed == 0 {
		if t.locals >= len(t.local) {
			return false
		}
		t.local[t.locals] = uint32(i)
		t.locals++
		m.flags |= metaListed
	}
	m.flags |= old.flags & metaListed
	*old = m
	if m.flags&metaLarge2M != 0 {
		t.large2M.add(addr >> 21)
	}
	if m.flags&metaLarge1G != 0 {
		t.large1G.add(addr >> 30)
	}
	page, off := addr&pageMask, r.off+(m.phys-r.start)
	e := &t.entries[i]
	read, write, code := uint64(ir.TLBInvalid), uint64(ir.TLBInvalid), uint64(ir.TLBInvalid)
	if prot&protR != 0 {
		read = page
	}
	if prot&protX != 0 {
		code = page
	}
	if prot&protW != 0 {
		write = page
		t.writable.add(r.host + (m.phys - r.start))
		if r.ram.Tracked() && !r.ram.Settled(off>>ir.PageBits) {
			write |= ir.TLBNotDirty
		}
	}
	e.Addend = r.host + (m.phys - r.start) - page
	e.Read, e.Code = read, code
	atomic.StoreUint64(&e.Write, write)
	if w := off >> ir.PageBits; write&ir.TLBInvalid == 0 && r.ram.HasCode(w) {
		atomic.OrUint64(&e.Write, ir.TLBNotDirty)
	}
	return true
}
