package tcg

import (
	"sync/atomic"
	"unsafe"

	"goemu/target/x86"
	"goemu/tcg/ir"
)

// FastLookup finds the block at a program counter, enters it in the jump cache and gives its entry; 0 if the execution loop must look.
//
//go:nosplit
//go:norace
func FastLookup(h *ir.Header, pc uint64) uint64 {
	e := (*x86.Env)(unsafe.Pointer(h))
	c := owner(e)
	if c == nil || c.once || uint(c.jump) >= numJumpSets || e.DR[7]&0xff != 0 {
		return 0
	}
	s := &c.jumpSets[c.jump]
	flags, base := e.BlockFlags(), e.Seg[x86.CS].Base
	if s.flags != e.HFlags || s.csBase != base || s.space != c.jumpSpace(flags) {
		return 0
	}
	addr := pc
	if flags&x86.HFCS64 == 0 {
		addr = (pc + base) & 0xffffffff
	}
	mmu := uint8(x86.MMUKernelSMAP)
	if flags&x86.HFCPLMask == 3 {
		mmu = x86.MMUUser
	} else if e.EFlags&x86.FlagAC != 0 {
		mmu = x86.MMUKernelAC
	}
	host := fastHost(e, addr, 1, mmu, accExec)
	if host == 0 {
		return 0
	}
	b := c.recent[recentSlot(host, pc, flags)].Load()
	if b == nil || b.key.host != uintptr(host) || b.key.pc != pc || b.key.csBase != base || b.key.flags != flags || b.key.cond != 0 ||
		b.dead.Load() {
		return 0
	}
	if b.page2 != nil && fastHost(e, addr&pageMask+1<<ir.PageBits, 1, mmu, accExec) != uint64(b.page2.host) {
		return 0
	}
	t := c.table(mmu)
	i := addr >> ir.PageBits & uint64(len(t.entries)-1)
	if i >= uint64(len(t.meta)) {
		return 0
	}
	m := &t.meta[i]
	if !s.add(pc, b.target, m.flags&metaGlobal != 0 && b.page2 == nil) {
		return 0
	}
	c.jumpPages.add(addr, m.flags)
	if b.dead.Load() { // another CPU has looked for it in vain
		s.entries[ir.JumpIndex(pc)].PC = emptyPC
		return 0
	}
	return b.target
}

// mayTransfer tells whether a control transfer to other mode bits can stay in generated code.
//
//go:nosplit
//go:norace
func (c *CPU) mayTransfer(hflags uint32) bool {
	e := c.env
	return !c.once && (e.HFlags|hflags)&uncacheable == 0 && e.DR[7]&0xff == 0
}

// enterMode makes EFLAGS and mode bits that mayTransfer allowed the current ones, if there is a jump cache for them.
//
//go:nosplit
//go:norace
func (c *CPU) enterMode(flags uint64, hflags uint32) bool {
	e := c.env
	if flags&x86.FlagIF != 0 && e.IRQWait != 0 || !c.findJumps(hflags, 0) {
		return false
	}
	e.EFlags = flags&^arithFlags | 2
	e.CCOp, e.CCDst, e.CCSrc = 0, 0, flags&arithFlags
	e.HFlags = hflags
	mmu := x86.MMUKernelSMAP
	if flags&x86.FlagAC != 0 {
		mmu = x86.MMUKernelAC
	}
	e.TLB[x86.MMUKernel] = e.TLB[mmu]
	return true
}

// longMode are the mode bits of 64-bit code at a privilege level with these flags, which have neither TF nor RF nor VM.
//
//go:nosplit
//go:norace
func longMode(e *x86.Env, flags uint64, cpl uint32) uint32 {
	const changes = x86.HFCPLMask | x86.HFIOPLMask | x86.HFAddSeg | x86.HFAlign
	h := e.HFlags&^changes | cpl | uint32(flags&x86.FlagIOPL)>>12<<x86.HFIOPLShift
	if cpl == 3 && flags&x86.FlagAC != 0 && e.CR[0]&x86.CR0AM != 0 {
		h |= x86.HFAlign
	}
	return h
}

// rare are the flags with which transfers go the normal way.
const rare = x86.FlagTF | x86.FlagVM | x86.FlagRF

// fastSyscall is SYSCALL in long mode.
//
//go:nosplit
//go:norace
func (c *CPU) fastSyscall(next uint64) (pc uint64, ok bool) {
	e := c.env
	if e.EFER&(x86.EFERSCE|x86.EFERLMA) != x86.EFERSCE|x86.EFERLMA {
		return 0, false
	}
	pc = e.LStar
	if e.HFlags&x86.HFCS64 == 0 {
		pc = e.CStar
	}
	old := e.EFlags | ir.Image(e.CCOp, e.CCDst, e.CCSrc) | 2
	flags := old &^ e.FMask
	hf := longMode(e, flags, 0)&^x86.HFLimits | x86.HFCS64 | x86.HFCS32 | x86.HFSS32
	if old&rare != 0 || !c.mayTransfer(hf) || !c.enterMode(flags, hf) {
		return 0, false
	}
	e.Regs[x86.RCX], e.Regs[x86.R11] = next, old
	sel := uint16(e.Star>>32) &^ 3
	setFlat(&e.Seg[x86.CS], sel, flatCode64)
	setFlat(&e.Seg[x86.SS], sel+8, flatData)
	return pc, true
}

// fastSysret is SYSRET in 64-bit code.
//
//go:nosplit
//go:norace
func (c *CPU) fastSysret(size uint64) (pc uint64, ok bool) {
	e := c.env
	if e.EFER&(x86.EFERSCE|x86.EFERLMA) != x86.EFERSCE|x86.EFERLMA || e.HFlags&(x86.HFCS64|x86.HFCPLMask) != x86.HFCS64 {
		return 0, false
	}
	const mask = x86.FlagAC | x86.FlagID | x86.FlagIF | x86.FlagIOPL | x86.FlagNT | x86.FlagDF | arithFlags
	r11 := e.Regs[x86.R11]
	flags := e.EFlags&^mask | r11&mask
	if (flags|r11)&x86.FlagTF != 0 || flags&rare != 0 {
		return 0, false
	}
	cs, ss := e.Seg[x86.CS], e.Seg[x86.SS]
	sel := uint16(e.Star >> 48)
	setFlat(&e.Seg[x86.SS], (sel+8)|3, flatData|3<<x86.SegDPLShift)
	hf := longMode(e, flags, 3)
	pc = e.Regs[x86.RCX]
	if size == 8 {
		setFlat(&e.Seg[x86.CS], (sel+16)|3, flatCode64|3<<x86.SegDPLShift)
	} else {
		setFlat(&e.Seg[x86.CS], sel|3, flatCode32|3<<x86.SegDPLShift)
		hf = hf&^x86.HFCS64 | e.CompatBits()
		pc &= 0xffffffff
	}
	if !c.mayTransfer(hf) || !c.enterMode(flags, hf) {
		e.Seg[x86.CS], e.Seg[x86.SS] = cs, ss
		return 0, false
	}
	return pc, true
}

const (
	flatData   = x86.SegG | x86.SegP | x86.SegS | x86.SegA | x86.SegW | x86.SegB
	flatCode32 = x86.SegG | x86.SegP | x86.SegS | x86.SegA | x86.SegW | code32
	flatCode64 = x86.SegG | x86.SegP | x86.SegS | x86.SegA | x86.SegW | code64
)

//go:nosplit
//go:norace
func setFlat(s *x86.Segment, sel uint16, flags uint32) {
	s.Selector, s.Base, s.Limit, s.Flags = sel, 0, 0xffffffff, flags
}

// fastIret is IRETQ in 64-bit code at privilege level 0, to 64-bit code of level 0 or 3.
//
//go:nosplit
//go:norace
func (c *CPU) fastIret(size uint64) (pc uint64, ok bool) {
	e := c.env
	if size != 8 || e.EFER&x86.EFERLMA == 0 || e.HFlags&(x86.HFCS64|x86.HFCPLMask) != x86.HFCS64 || e.EFlags&(x86.FlagNT|rare) != 0 || c.nmiBlocked {
		return 0, false
	}
	at := fastHost(e, e.Regs[x86.RSP], 40, x86.MMUKernel, accRead)
	if at == 0 {
		return 0, false
	}
	f := (*[5]uint64)(ptr(uintptr(at)))
	pc, cs, flags, sp, ss := f[0], uint16(f[1]), f[2], f[3], uint16(f[4])
	cpl := uint32(cs & 3)
	if flags&(rare&^x86.FlagRF) != 0 || uint64(int64(pc<<16)>>16) != pc || cpl != 0 && cpl != 3 {
		return 0, false
	}
	const (
		codeIs   = x86.SegP | x86.SegS | x86.SegCode | x86.SegL | x86.SegA
		codeBits = codeIs | x86.SegB | x86.SegC | x86.SegDPLMask
		dataIs   = x86.SegP | x86.SegS | x86.SegW | x86.SegA
		dataBits = dataIs | x86.SegCode | x86.SegDPLMask
	)
	csLo, csHi, ok := fastDescriptor(e, cs)
	if !ok || csHi&codeBits != codeIs|cpl<<x86.SegDPLShift || descBase(csLo, csHi) != 0 {
		return 0, false
	}
	var ssLo, ssHi uint32
	if null := ss&^3 == 0; !null {
		ssLo, ssHi, ok = fastDescriptor(e, ss)
		if !ok || ssHi&dataBits != dataIs|cpl<<x86.SegDPLShift || uint32(ss&3) != cpl {
			return 0, false
		}
	} else if cpl != 0 {
		return 0, false
	}
	const mask = x86.FlagDF | x86.FlagNT | x86.FlagAC | x86.FlagID | x86.FlagIOPL | x86.FlagVIF | x86.FlagVIP | x86.FlagIF | arithFlags
	flags = e.EFlags&^mask | flags&mask
	hf := longMode(e, flags, cpl)
	if !c.mayTransfer(hf) || !c.enterMode(flags, hf) {
		return 0, false
	}
	if ss&^3 == 0 {
		s := &e.Seg[x86.SS]
		s.Selector, s.Base, s.Limit, s.Flags = ss, 0, 0, x86.SegP|x86.SegS|x86.SegW|x86.SegA|x86.SegB
	} else {
		setDescriptor(&e.Seg[x86.SS], ss, ssLo, ssHi)
	}
	setDescriptor(&e.Seg[x86.CS], cs, csLo, csHi)
	e.Regs[x86.RSP] = sp
	if cpl == 3 {
		c.dropInner(3)
	}
	return pc, true
}

// fastDescriptor reads a descriptor of the GDT.
//
//go:nosplit
//go:norace
func fastDescriptor(e *x86.Env, sel uint16) (lo, hi uint32, ok bool) {
	if sel&4 != 0 || sel&^3 == 0 || uint32(sel|7) > e.GDT.Limit {
		return 0, 0, false
	}
	at := fastHost(e, e.GDT.Base+uint64(sel&^7), 8, x86.MMUKernelSMAP, accRead)
	if at == 0 {
		return 0, 0, false
	}
	v := *(*uint64)(ptr(uintptr(at)))
	return uint32(v), uint32(v >> 32), true
}

//go:nosplit
//go:norace
func setDescriptor(s *x86.Segment, sel uint16, lo, hi uint32) {
	s.Selector, s.Base, s.Limit, s.Flags = sel, descBase(lo, hi), descLimit(lo, hi), hi&0xf0ff00
}

// fastCR3 is MOV to CR3 in long mode, of an address space that is known.
//
//go:nosplit
//go:norace
func (c *CPU) fastCR3(v uint64) bool {
	e := c.env
	if e.EFER&x86.EFERLMA == 0 || e.CR[4]&x86.CR4PGE == 0 {
		return false
	}
	keep, pcid := false, uint64(0)
	if e.CR[4]&x86.CR4PCIDE != 0 {
		keep = v&cr3Keep != 0
		v &^= cr3Keep
		pcid = v & pcidMask
	}
	i := c.findSpace(pcid)
	if v>>(uint(c.cfg.PhysBits)&63) != 0 || i == noSpace {
		return false
	}
	e.CR[3] = v
	c.switchSpace(i, keep)
	return true
}

// fastINVLPG is INVLPG of a page that no large page and no cached code is near.
//
//go:nosplit
//go:norace
func (c *CPU) fastINVLPG(addr uint64) bool {
	if c.jumpPages.has(addr) {
		return false
	}
	for _, mmu := range regimes {
		t := c.table(mmu)
		k := addr >> ir.PageBits & uint64(len(t.entries)-1)
		if t.large2M.has(addr>>21) || t.large1G.has(addr>>30) || k >= uint64(len(t.entries)) {
			return false
		}
		if e := &t.entries[k]; (e.Read^addr)>>ir.PageBits == 0 || (e.Write^addr)>>ir.PageBits == 0 || (e.Code^addr)>>ir.PageBits == 0 {
			t.drop(k)
		}
	}
	for i := range c.spaces {
		if s := &c.spaces[i]; i != c.current && s.valid && !(s.user.dropGlobal(addr) && s.ac.dropGlobal(addr)) {
			s.valid = false
		}
	}
	c.env.Gen = c.accel.gen.Add(1)
	return true
}

// fastCmpXchg8 is CMPXCHG8B within a cache line.
//
//go:nosplit
//go:norace
func fastCmpXchg8(e *x86.Env, addr uint64) bool {
	const line = 64
	mmu := uint8(x86.MMUKernel)
	if e.HFlags&x86.HFCPLMask == 3 {
		mmu = x86.MMUUser
	}
	if addr&(line-1) > line-8 || e.HFlags&x86.HFAlign != 0 {
		return false
	}
	host := fastHost(e, addr, 8, mmu, accWrite)
	if host == 0 {
		return false
	}
	p, r := (*uint64)(ptr(uintptr(host))), &e.Regs
	want, val := r[x86.RDX]<<32|r[x86.RAX]&0xffffffff, r[x86.RCX]<<32|r[x86.RBX]&0xffffffff
	f := ir.Image(e.CCOp, e.CCDst, e.CCSrc) &^ ir.FlagZ
	for {
		if old := atomic.LoadUint64(p); old != want {
			r[x86.RAX], r[x86.RDX] = old&0xffffffff, old>>32
			break
		}
		if atomic.CompareAndSwapUint64(p, want, val) {
			f |= ir.FlagZ
			break
		}
	}
	e.CCOp, e.CCDst, e.CCSrc = 0, 0, f
	return true
}

// fastCmpXchg16 is CMPXCHG16B.
//
//go:nosplit
//go:norace
func fastCmpXchg16(e *x86.Env, addr uint64) bool {
	mmu := uint8(x86.MMUKernel)
	if e.HFlags&x86.HFCPLMask == 3 {
		mmu = x86.MMUUser
	}
	if addr&15 != 0 {
		return false
	}
	host := fastHost(e, addr, 16, mmu, accWrite)
	if host == 0 {
		return false
	}
	r := &e.Regs
	lo, hi := cas16(uintptr(host), r[x86.RAX], r[x86.RDX], r[x86.RBX], r[x86.RCX])
	f := ir.Image(e.CCOp, e.CCDst, e.CCSrc) &^ ir.FlagZ
	if lo == r[x86.RAX] && hi == r[x86.RDX] {
		f |= ir.FlagZ
	} else {
		r[x86.RAX], r[x86.RDX] = lo, hi
	}
	e.CCOp, e.CCDst, e.CCSrc = 0, 0, f
	return true
}

// dropLocal empties the entries that are not global, without the lock: others that look at them may only mark them.
//
//go:nosplit
//go:norace
func (t *tlb) dropLocal() {
	for k := 0; k < t.locals && k < len(t.local); k++ {
		i := uint64(t.local[k])
		if i >= uint64(len(t.meta)) || i >= uint64(len(t.entries)) {
			continue
		}
		if t.meta[i].flags&metaGlobal == 0 {
			t.drop(i)
		}
		t.meta[i].flags &^= metaListed
	}
	t.fills = max(t.fills-t.locals, 0) // filling these again says nothing about the size
	t.locals = 0
}
