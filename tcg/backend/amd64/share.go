package amd64

import "goemu/tcg/ir"

// Accesses off the same base with known displacements share one check of the soft TLB: the first one checks that the whole span lies in
// one accessible page and keeps the addend that makes host addresses; the others use it. An addend of 0 says that the span
// could not be proved and that each access must be checked by itself, out of line.

// Limits of sharing.
const (
	maxSpan    = 512 // bytes; a larger span crosses pages too often
	openGroups = 4
)

// group is a set of accesses that share a check.
type group struct {
	root   ir.Val
	mmu    uint8
	write  bool
	lo, hi int64 // span relative to root, hi inclusive
	n      int
	first  int32
	last   int32
}

// rootOf splits an address into a root value and an offset.
func (c *compiler) rootOf(v ir.Val) (ir.Val, int64) {
	if s := &c.v[v]; s.root != ir.None {
		return s.root, s.off
	}
	return v, 0
}

// noteRoot records that an instruction's result is a root plus a constant.
func (c *compiler) noteRoot(in *ir.Inst) {
	if in.Size != 8 || in.Dst == ir.None {
		return
	}
	var a ir.Val
	var k int64
	switch {
	case in.Op == ir.OpAdd && c.v[in.B].con:
		a, k = in.A, int64(c.v[in.B].value)
	case in.Op == ir.OpAdd && c.v[in.A].con:
		a, k = in.B, int64(c.v[in.A].value)
	case in.Op == ir.OpSub && c.v[in.B].con:
		a, k = in.A, -int64(c.v[in.B].value)
	case in.Op == ir.OpLea && in.B == ir.None:
		a, k = in.A, int64(in.Imm)
	default:
		return
	}
	root, off := c.rootOf(a)
	c.v[in.Dst].root, c.v[in.Dst].off = root, off+k
}

// groupAccess assigns a memory access to a group.
func (c *compiler) groupAccess(i int32, in *ir.Inst) {
	if in.Mem.Align > 1 || in.Imm != uint64(int64(int32(in.Imm))) {
		return
	}
	root, off := c.rootOf(in.A)
	lo := off + int64(in.Imm)
	hi := lo + int64(in.Mem.Size) - 1
	write := in.Op != ir.OpLd && in.Op != ir.OpLdV
	for k := len(c.groups) - 1; k >= c.closed && k >= len(c.groups)-openGroups; k-- {
		g := &c.groups[k]
		l, h := min(lo, g.lo), max(hi, g.hi)
		if g.root == root && g.mmu == in.Mem.MMU && h-l < maxSpan {
			g.lo, g.hi, g.write, g.last = l, h, g.write || write, i
			g.n++
			c.share[i] = uint16(k + 1)
			return
		}
	}
	c.groups = append(c.groups, group{root: root, mmu: in.Mem.MMU, write: write, lo: lo, hi: hi, n: 1, first: i, last: i})
	c.share[i] = uint16(len(c.groups))
}

// groupVal is the temporary that holds a group's addend.
func (c *compiler) groupVal(k int) ir.Val { return ir.Val(len(c.b.Vals) + 1 + k) }

// groupOf is the group of the current instruction if it is worth sharing.
func (c *compiler) groupOf() (g *group, v ir.Val) {
	k := int(c.share[c.i]) - 1
	if k < 0 || c.groups[k].n < 2 {
		return nil, ir.None
	}
	return &c.groups[k], c.groupVal(k)
}

// access emits one guest access at a. h and u are temps; emit makes the access itself to a host operand, which uses h or the group's
// register; it may use u. keep tells that h must survive: then it is not given to the group. d describes the slow path.
func (c *compiler) access(a ref, m ir.MemOp, write bool, h, u Reg, s slowPath, x transfer) {
	g, v := c.groupOf()
	switch {
	case g == nil:
		host, k := c.tlb(a, m, write, h, u)
		c.transfer(&x, m, host)
		s.check, s.resume = k, c.pos()
		c.slow = append(c.slow, s)
	case g.first == c.i:
		c.leadGroup(g, v, a, m, write, h, u, s, x)
	default:
		c.followGroup(v, a, m, write, h, u, s, x)
		if sl := c.v[v].slot; sl >= 0 && g.last == c.i {
			c.slots |= 1 << sl
			c.v[v].slot = -1
		}
	}
}

// leadGroup is the first access of a group.
func (c *compiler) leadGroup(g *group, v ir.Val, a ref, m ir.MemOp, write bool, h, u Reg, s slowPath, x transfer) {
	in := &c.b.Insts[c.i]
	_, off := c.rootOf(in.A)
	k := c.tlbSpan(span{base: a.base, lo: int32(g.lo - off), hi: int32(g.hi - off), mmu: g.mmu, write: g.write, t: h, u: u})
	c.transfer(&x, m, MX(h, a.base, 0, a.disp))
	resume := c.pos()
	c.v[v] = valState{last: g.last, setAt: -1, reg: h, slot: -1}
	c.reg[h] = v
	c.ool = append(c.ool, outOfLine{check: k, resume: resume, a: a, m: m, write: write, h: h, u: u, s: s, x: x, clear: true})
}

// followGroup is a further access.
func (c *compiler) followGroup(v ir.Val, a ref, m ir.MemOp, write bool, h, u Reg, s slowPath, x transfer) {
	base := c.v[v].reg
	if base == NoReg {
		base = h
		c.load(8, h, spillMem(slotBase+int(c.v[v].slot)))
	}
	c.noteCC()
	c.rm(opTest, 8, base, R(base))
	jcc := c.jccFwd(byte(ir.CondE))
	c.transfer(&x, m, MX(base, a.base, 0, a.disp))
	c.ool = append(c.ool, outOfLine{check: check{jcc: jcc}, resume: c.pos(), a: a, m: m, write: write, h: h, u: u, s: s, x: x})
}

// outOfLine is an access that is checked by itself because its group's check failed.
type outOfLine struct {
	check
	resume int
	a      ref
	m      ir.MemOp
	write  bool
	h, u   Reg
	s      slowPath
	x      transfer
	clear  bool // set the addend to 0 afterwards
}

// emitOOL emits the out-of-line accesses; their slow paths follow.
func (c *compiler) emitOOL() {
	c.late = true
	for i := range c.ool {
		o := &c.ool[i]
		c.missed(&o.check)
		host, k := c.tlb(o.a, o.m, o.write, o.h, o.u)
		c.transfer(&o.x, o.m, host)
		o.s.check, o.s.resume = k, c.pos()
		if o.clear {
			c.movImm(o.h, 0)
		}
		c.b1(0xe9)
		c.u32(uint32(o.resume - (c.pos() + 4)))
		c.slow = append(c.slow, o.s)
	}
}
