package amd64

import "goemu/tcg/ir"

// Offsets inside a TLB entry.
const (
	tlbRead   = 0
	tlbWrite  = 8
	tlbAddend = 24
)

// slowPath is code to be emitted behind the block: the call that leaves for Go when an inline check fails.
type slowPath struct {
	check
	d      desc
	mem    ir.MemOp
	kind   uint8 // of an atomic
	resume int   // position to go on at; 0: never comes back
	args   [2]argLoc
	extra  slowExtra
	in     *ir.Inst // for extra
	more   [3]int   // further jumps that lead here, 0 for none
	cc     ccSnap   // pending flags
}

// slowExtra is what a slow path does beside the call.
type slowExtra uint8

const (
	slowPlain  slowExtra = iota
	slowBulk             // a descriptor without a place to resume
	slowLoadV            // load what Header.Vec has
	slowStoreV           // store to Header.Vec first
)

// argLoc is a value that a slow path stores to Header.Args.
type argLoc struct {
	used  bool
	isImm bool
	imm   int32
	op    Operand
	tmp   Reg // register that may be used to move a memory operand
}

// ref is a guest address in registers: base + disp.
type ref struct {
	base Reg
	disp int32
}

// addr fetches the address of a memory instruction.
func (c *compiler) addr(in *ir.Inst) ref {
	d := int64(in.Imm)
	if d == int64(int32(d)) && int32(d) < 1<<31-64 {
		return ref{c.use(in.A), int32(d)}
	}
	r := c.use(in.A)
	u := c.temp()
	c.movImm(u, in.Imm)
	c.lea(8, u, MX(u, r, 0, 0))
	c.locked &^= 1 << r
	return ref{u, 0}
}

// tlb emits the check of an access. It returns the host operand (using temp t, which holds the addend) and the jumps to the slow path.
// t and u are temps; u is free afterwards.
func (c *compiler) tlb(a ref, m ir.MemOp, write bool, t, u Reg) (host Operand, k check) {
	s := span{base: a.base, lo: a.disp, hi: a.disp + int32(m.Size) - 1, mmu: m.MMU, write: write, t: t, u: u}
	if m.Align > 1 { // what is aligned to less than its size goes the slow way: it might cross a page
		s.hi, s.alignMask = s.lo, max(int32(m.Align), int32(m.Size))-1
	}
	if c.guesses() {
		k = c.guess(s, max(s.alignMask, int32(m.Size)-1)) // what is not aligned is looked at out of line
	} else {
		k.jcc = c.lookupSpan(&s)
	}
	c.load(8, t, M(t, tlbAddend))
	return MX(t, a.base, 0, a.disp), k
}

// span is what a check is about: the bytes from base+lo to base+hi must be in one page that may be accessed directly, and base+lo aligned. t and u are
// temps.
type span struct {
	base      Reg
	lo, hi    int32
	mmu       uint8
	write     bool
	t, u      Reg
	alignMask int32
}

// tlbSpan checks a span. The addend goes to t.
func (c *compiler) tlbSpan(s span) (k check) {
	if c.guesses() {
		k = c.guessSpan(s)
	} else {
		k.jcc = c.lookupSpan(&s)
	}
	c.load(8, s.t, M(s.t, tlbAddend))
	return k
}

// lookupSpan looks the entry for a span up in the soft TLB, and jumps if it does not allow the access. The entry's address goes to t.
func (c *compiler) lookupSpan(s *span) (jcc int) {
	c.noteCC()
	c.leaOrMov(s.t, s.base, s.lo)
	c.leaOrMov(s.u, s.base, s.hi)
	return c.tlbCompare(s.mmu, s.write, s.t, s.u, s.alignMask)
}

// tlbCompare checks the access whose first address is in t and whose last one is in u. The entry's address goes to t.
func (c *compiler) tlbCompare(mmu uint8, write bool, t, u Reg, alignMask int32) (jcc int) {
	c.shiftImm(shShr, 8, R(t), ir.PageBits-5)
	c.alu(aluAnd, 8, t, envMem(offTLB+uint32(mmu)*16+8))
	c.alu(aluAdd, 8, t, envMem(offTLB+uint32(mmu)*16))
	c.aluImm(aluAnd, 8, R(u), -1<<ir.PageBits|alignMask)
	c.alu(aluCmp, 8, u, M(t, tagOf(write)))
	return c.jccFwd(byte(ir.CondNE))
}

// tagOf is the offset of the tag that an access compares with.
func tagOf(write bool) int32 {
	if write {
		return tlbWrite
	}
	return tlbRead
}

func (c *compiler) leaOrMov(d, base Reg, disp int32) {
	if disp == 0 {
		c.mov(8, d, base)
	} else {
		c.lea(8, d, M(base, disp))
	}
}

// slowAccess describes a slow memory access.
func (c *compiler) slowAccess(k leaveKind, a ref, result Reg) desc {
	return desc{kind: k, reg: result, reg2: a.base, n: a.disp, pc: c.insnPC}
}

// ld is OpLd.
func (c *compiler) ld(in *ir.Inst) {
	t := c.plan(in.Dst)
	a := c.addr(in)
	h, u := c.temp(), c.temp()
	if !t.pinned {
		t.reg = u
	}
	c.clobber()
	m, d := in.Mem, t.reg
	c.access(a, m, false, h, u, slowPath{d: c.slowAccess(leaveLoad, a, d), mem: m}, transfer{kind: transferLoad, r: d})
	c.define(in.Dst, t)
}

// transferKind is what an access does with host memory.
type transferKind uint8

const (
	transferLoad     transferKind = iota // to r
	transferStore                        // of r
	transferStoreImm                     // of imm
	transferRMW                          // load to r, the host address to w
	transferLoadV                        // as in says
	transferStoreV
)

// transfer is the part of an access that comes after the check. Register numbers stay right out of line.
type transfer struct {
	kind transferKind
	r, w Reg
	imm  int32
	in   *ir.Inst
}

// transfer emits an access to the host operand o.
func (c *compiler) transfer(x *transfer, m ir.MemOp, o Operand) {
	switch x.kind {
	case transferLoad:
		c.loadMem(m, x.r, o)
	case transferStore:
		c.store(m.Size, o, x.r)
	case transferStoreImm:
		c.storeImm(m.Size, o, x.imm)
	case transferRMW:
		c.lea(8, x.w, o)
		c.loadMem(m, x.r, M(x.w, 0))
	case transferLoadV:
		c.vecFrom(x.in, o)
	case transferStoreV:
		c.vecTo(x.in, o)
	}
}

// loadMem loads as a memory operation says.
func (c *compiler) loadMem(m ir.MemOp, d Reg, o Operand) {
	if m.Signed {
		c.loadSigned(m.Size, d, o)
	} else {
		c.load(m.Size, d, o)
	}
}

// st is OpSt.
func (c *compiler) st(in *ir.Inst) {
	if c.rmwAt == c.i {
		c.stRMW(in)
		return
	}
	a := c.addr(in)
	var r Reg = NoReg
	n, isImm := c.imm(in.B, in.Mem.Size)
	if !isImm {
		r = c.use(in.B)
	}
	h, u := c.temp(), c.temp()
	c.clobber()
	s := slowPath{d: c.slowAccess(leaveStore, a, NoReg), mem: in.Mem}
	if isImm {
		s.args[0] = argLoc{used: true, isImm: true, imm: n}
		c.access(a, in.Mem, true, h, u, s, transfer{kind: transferStoreImm, imm: n})
	} else {
		s.args[0] = argLoc{used: true, op: R(r)}
		c.access(a, in.Mem, true, h, u, s, transfer{kind: transferStore, r: r})
	}
}

// rmwVal is the temporary that holds the host address of an open OpLdRMW.
func (c *compiler) rmwVal() ir.Val { return ir.Val(len(c.b.Vals)) }

// ldRMW is OpLdRMW. The host address is kept for the store that follows in the same guest instruction; 0 means: store the slow way.
func (c *compiler) ldRMW(in *ir.Inst) {
	c.rmwAt = -1
	for k := c.i + 1; int(k) < len(c.b.Insts) && c.b.Insts[k].Op != ir.OpInsn; k++ {
		if s := &c.b.Insts[k]; s.Op == ir.OpSt && s.A == in.A && s.Imm == in.Imm && s.Mem.Size == in.Mem.Size {
			c.rmwAt = k
			break
		} else if s.Op == ir.OpCall {
			break
		}
	}
	a := c.addr(in)
	h, u := c.temp(), c.temp()
	c.clobber()
	m, t := in.Mem, target{reg: u}
	w := h // the host address; a group keeps h for its addend
	if g, _ := c.groupOf(); g != nil {
		w = c.temp()
	}
	d := c.slowAccess(leaveRMW, a, u)
	d.aux = uint8(w)
	c.access(a, m, true, h, u, slowPath{d: d, mem: m}, transfer{kind: transferRMW, r: u, w: w})
	h = w
	if c.rmwAt >= 0 {
		v := c.rmwVal()
		c.v[v] = valState{last: c.rmwAt, setAt: -1, reg: h, slot: -1}
		c.reg[h] = v
	}
	c.define(in.Dst, t)
}

// stRMW completes a read-modify-write on the address that ldRMW checked.
func (c *compiler) stRMW(in *ir.Inst) {
	v := c.rmwVal()
	a := c.addr(in)
	h := c.use(v)
	n, isImm := c.imm(in.B, in.Mem.Size)
	r := NoReg
	if !isImm {
		r = c.use(in.B)
	}
	c.clobber()
	c.noteCC()
	c.rm(opTest, 8, h, R(h))
	s := slowPath{check: check{jcc: c.jccFwd(byte(ir.CondE))}, d: c.slowAccess(leaveStore, a, NoReg), mem: in.Mem}
	if isImm {
		c.storeImm(in.Mem.Size, M(h, 0), n)
		s.args[0] = argLoc{used: true, isImm: true, imm: n}
	} else {
		c.store(in.Mem.Size, M(h, 0), r)
		s.args[0] = argLoc{used: true, op: R(r)}
	}
	s.resume = c.pos()
	c.slow = append(c.slow, s)
	if sl := c.v[v].slot; sl >= 0 {
		c.slots |= 1 << sl
		c.v[v].slot = -1
	}
	c.rmwAt = -1
}

// probe is OpProbe.
func (c *compiler) probe(in *ir.Inst) {
	a := c.addr(in)
	h, u := c.temp(), c.temp()
	c.clobber()
	m := in.Mem
	_, k := c.tlb(a, m, in.Imm2 != 0, h, u)
	c.slow = append(c.slow, slowPath{check: k, d: c.slowAccess(leaveProbe, a, NoReg), mem: m, kind: in.Imm2, resume: c.pos()})
}

// emitSlow emits the slow paths collected in a block.
func (c *compiler) emitSlow() {
	for i := range c.slow {
		s := &c.slow[i]
		c.missed(&s.check)
		for _, at := range s.more {
			if at != 0 {
				c.bind(at)
			}
		}
		if s.extra == slowStoreV {
			c.vecTo(s.in, envMem(offVec))
		}
		c.emitSnap(&s.cc)
		for k := range s.args {
			c.storeArg(&s.args[k], offArgs+uint32(k)*8)
		}
		if s.d.kind >= leaveLoad && s.d.kind <= leaveCmpXchg || s.d.kind >= leaveLoadV {
			at := c.pos() + 5 // of the descriptor
			resume := s.resume - at
			if s.extra == slowLoadV {
				resume = descSize
			}
			s.d.x = packMem(s.mem, s.kind, int32(resume))
		}
		c.leave(s.d)
		if s.extra == slowLoadV {
			c.vecFrom(s.in, envMem(offVec))
		}
		if s.extra == slowLoadV || s.extra == slowBulk {
			c.b1(0xe9)
			c.u32(uint32(s.resume - (c.pos() + 4)))
		}
	}
}

func (c *compiler) storeArg(l *argLoc, off uint32) {
	switch {
	case !l.used:
	case l.isImm:
		c.storeImm(8, envMem(off), l.imm)
	case l.op.IsMem():
		c.rm(opMovLoad, 8, l.tmp, l.op)
		c.store(8, envMem(off), l.tmp)
	default:
		c.store(8, envMem(off), l.op.Reg)
	}
}
