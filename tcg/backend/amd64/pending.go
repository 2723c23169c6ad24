package amd64

import "goemu/tcg/ir"

// Flags that become the guest's are kept pending: a recipe over temporaries that are still at hand. They are stored to Header.CC* only
// where somebody may look: out of line when a memory access goes the slow way, in an exit whose target does not overwrite them
// first, inline before helpers and indirect jumps, or when an operand would be lost.

// pending is the guest's flags not yet stored.
type pending struct {
	on           bool
	op           uint32 // Header.CCOp
	d, s         ir.Val // operands; s None: CCSrc does not matter
	and          bool   // CCDst is d and s, computed when it is stored
	dLast, sLast int32  // their last uses but for this
}

// ccSnap is where the operands of pending flags are at some point, for code that runs out of line.
type ccSnap struct {
	on      bool
	op      uint32
	opKnown bool // Header.CCOp is right already
	d, s    argLoc
	and     bool
}

const endless = 1 << 30 // last use of an operand of pending flags

// pend makes f, computed by the current instruction, the guest's flags without storing them.
func (c *compiler) pend(f ir.Val, k ir.CC, size uint8, d, s ir.Val) {
	p := &c.pending
	*p = pending{on: true, op: ir.PackCC(k, size), d: d, s: s, dLast: c.v[d].last, sLast: c.v[s].last}
	c.v[d].last = endless
	if s != ir.None {
		c.v[s].last = endless
	}
	c.cc, c.hostFlags = f, f
}

// unpend forgets pending flags.
func (c *compiler) unpend() {
	p := &c.pending
	if !p.on {
		return
	}
	p.on = false
	c.shorten(p.d, p.dLast)
	if p.s != ir.None && p.s != p.d {
		c.shorten(p.s, p.sLast)
	}
}

// shorten gives an operand its own last use back. Its register is freed at the end of the instruction.
func (c *compiler) shorten(v ir.Val, last int32) {
	s := &c.v[v]
	s.last = last
	if last < c.i && s.slot >= 0 { // the current instruction's operands are finish's
		c.slots |= 1 << s.slot
		s.slot = -1
	}
}

// flush stores pending flags. EFLAGS stay.
func (c *compiler) flush() { c.storePending(false) }

// flushFree is flush where EFLAGS may change; clobber was called if need be.
func (c *compiler) flushFree() { c.storePending(true) }

func (c *compiler) storePending(free bool) {
	p := &c.pending
	if !p.on {
		return
	}
	c.keepOperand(envMem(offCCDst), p.d)
	switch {
	case p.and:
		if free = free || c.hostFlags == c.cc; !free { // it computes the pending flags
			c.pushfq()
		}
		c.keepAnd(p)
		if !free {
			c.popfq()
		}
	case p.s != ir.None:
		c.keepOperand(envMem(offCCSrc), p.s)
	}
	c.setCCOp(ir.CC(p.op>>2), 1<<(p.op&3))
	c.unpend()
}

// keepOperand stores an operand without needing a register.
func (c *compiler) keepOperand(m Operand, v ir.Val) {
	if l, ok := c.snapLoc(v); ok {
		if l.isImm {
			c.storeImm(8, m, l.imm)
		} else {
			c.store(8, m, l.op.Reg)
		}
		return
	}
	o, ok := c.home(v)
	if !ok {
		c.bug(errUndefined)
		return
	}
	c.push(o)
	c.pop(m)
}

// keepAnd completes the result of a test in Header.CCDst. EFLAGS become the pending flags.
func (c *compiler) keepAnd(p *pending) {
	size := uint8(1) << (p.op & 3)
	l, ok := c.snapLoc(p.s)
	if ok {
		c.andArg(&l, size)
		return
	}
	o, ok := c.home(p.s)
	if !ok {
		c.bug(errUndefined)
		return
	}
	c.push(R(R10))
	c.rm(opMovLoad, 8, R10, o)
	c.aluStore(aluAnd, size, envMem(offCCDst), R10)
	c.pop(R(R10))
}

// andArg combines Header.CCDst with the second operand of a test.
func (c *compiler) andArg(l *argLoc, size uint8) {
	if l.isImm {
		c.aluImm(aluAnd, size, envMem(offCCDst), l.imm)
	} else {
		c.aluStore(aluAnd, size, envMem(offCCDst), l.op.Reg)
	}
}

// canPend tells whether v can be an operand of pending flags: a constant must fit an immediate.
func (c *compiler) canPend(v ir.Val) bool {
	if !c.v[v].con {
		return true
	}
	_, ok := c.imm(v, 8)
	return ok
}

// noteCC remembers where pending flags are at the check of a memory access.
func (c *compiler) noteCC() {
	if !c.late {
		c.instCC, c.haveCC = c.snap(), true
		if c.instCC.on && !c.instCC.opKnown {
			c.ccKnown = false // the slow path stores it and comes back
		}
	}
}

// fromPending computes EFLAGS from the operands of pending flags; false if they must be stored for that.
func (c *compiler) fromPending() bool {
	p := &c.pending
	if !p.on {
		return false
	}
	size := uint8(1) << (p.op & 3)
	d := c.regOf(p.d)
	if d == NoReg {
		return false
	}
	k := ir.CC(p.op >> 2)
	switch {
	case p.and:
		if n, ok := c.imm(p.s, size); ok {
			c.testImm(size, R(d), n)
			return true
		}
		if s := c.regOf(p.s); s != NoReg {
			c.rm(opTest, size, s, R(d))
			return true
		}
	case k == ir.CCLogic:
		c.rm(opTest, size, d, R(d))
		return true
	case k == ir.CCCmp:
		if n, ok := c.imm(p.s, size); ok {
			c.aluImm(aluCmp, size, R(d), n)
			return true
		}
		if s := c.regOf(p.s); s != NoReg {
			c.alu(aluCmp, size, d, R(s))
			return true
		}
	}
	return false
}

// outlives tells whether v is kept only for pending flags.
func (c *compiler) outlives(v ir.Val) bool {
	p := &c.pending
	return p.on && (v == p.d && p.dLast <= c.i || v == p.s && p.sLast <= c.i)
}

// snap describes pending flags for out-of-line code; operands that are not in registers are stored now.
func (c *compiler) snap() ccSnap {
	p := &c.pending
	if !p.on {
		return ccSnap{}
	}
	d, ok := c.snapLoc(p.d)
	s := argLoc{}
	if ok && p.s != ir.None {
		s, ok = c.snapLoc(p.s)
	}
	if !ok {
		c.flush()
		return ccSnap{}
	}
	return ccSnap{on: true, op: p.op, opKnown: c.ccKnown && c.ccOp == p.op, d: d, s: s, and: p.and}
}

func (c *compiler) snapLoc(v ir.Val) (argLoc, bool) {
	if n, ok := c.imm(v, 8); ok {
		return argLoc{used: true, isImm: true, imm: n}, true
	}
	if r := c.regOf(v); r != NoReg {
		return argLoc{used: true, op: R(r)}, true
	}
	return argLoc{}, false
}

// emitSnap stores the flags of a snapshot. EFLAGS may change.
func (c *compiler) emitSnap(s *ccSnap) {
	if !s.on {
		return
	}
	c.storeArg(&s.d, offCCDst)
	if s.and {
		c.andArg(&s.s, 1<<(s.op&3))
	} else {
		c.storeArg(&s.s, offCCSrc)
	}
	if !s.opKnown {
		c.storeImm(4, envMem(offCCOp), int32(s.op))
	}
}

// flagsDead tells whether instructions overwrite the guest's flags before anybody looks at them.
func flagsDead(in []ir.Inst) bool {
	for i := range in {
		switch op := in[i].Op; {
		case op == ir.OpSetFlags:
			return true
		case op == ir.OpGetFlags || op == ir.OpVec || op == ir.OpX87 || ir.Ops[op].Attr&(ir.OpLeaves|ir.OpHelper) != 0:
			return false
		}
	}
	return false
}
