package amd64

import "goemu/tcg/ir"

// needsFlags tells whether anybody uses f.
func (c *compiler) needsFlags(f ir.Val) bool { return f != ir.None && c.v[f].last > c.i }

// clobber prepares for a host instruction that overwrites EFLAGS: a value that is needed from instruction c.i+1 on is saved.
func (c *compiler) clobber() { c.clobberFrom(c.i + 1) }

// clobberFrom is clobber for a value that is needed from instruction n on.
func (c *compiler) clobberFrom(n int32) {
	f := c.hostFlags
	c.hostFlags = ir.None
	if f != ir.None && c.v[f].last >= n && c.cc != f && c.v[f].slot < 0 {
		c.saveImage(f)
	}
}

// flagsFree tells whether EFLAGS may be overwritten at no cost.
func (c *compiler) flagsFree() bool { return c.hostFlags == ir.None || !c.alive(c.hostFlags) }

// saveImage stores EFLAGS to a slot of f.
func (c *compiler) saveImage(f ir.Val) {
	s := c.newSlot()
	c.v[f].slot = s
	c.pushfq()
	c.pop(spillMem(slotBase + int(s)))
}

// ensure brings f into EFLAGS; only the bits of mask need to be right.
func (c *compiler) ensure(f ir.Val, mask uint64) {
	if c.hostFlags == f {
		return
	}
	c.clobber()
	switch {
	case c.v[f].slot >= 0:
		m := spillMem(slotBase + int(c.v[f].slot))
		if mask == ir.FlagC {
			c.btImm(4, m, 0)
			return // partial: EFLAGS are not f
		}
		c.push(m)
		c.popfq()
	case c.cc == f:
		if !c.fromPending() {
			c.flushFree()
			c.fromEnv(mask)
		}
		if mask == ir.FlagC && !c.pending.on && c.ccKnown && ir.CC(c.ccOp>>2) == ir.CCImage {
			return
		}
	default:
		c.bug(errUndefined)
	}
	c.hostFlags = f
}

// fromEnv computes EFLAGS from Header.CC*.
func (c *compiler) fromEnv(mask uint64) {
	if !c.ccKnown || !c.canAlloc() {
		c.callAbs(c.e.flagsStub)
		return
	}
	size := uint8(1) << (c.ccOp & 3)
	switch ir.CC(c.ccOp >> 2) {
	case ir.CCAdd: // first operand = result - second
		t := c.temp()
		c.load(8, t, envMem(offCCDst))
		c.alu(aluSub, 8, t, envMem(offCCSrc))
		c.alu(aluAdd, size, t, envMem(offCCSrc))
		c.free(t)
	case ir.CCSub:
		t := c.temp()
		c.load(8, t, envMem(offCCDst))
		c.alu(aluAdd, 8, t, envMem(offCCSrc))
		c.alu(aluSub, size, t, envMem(offCCSrc))
		c.free(t)
	case ir.CCCmp:
		t := c.temp()
		c.load(8, t, envMem(offCCDst))
		c.alu(aluCmp, size, t, envMem(offCCSrc))
		c.free(t)
	case ir.CCLogic:
		c.aluImm(aluCmp, size, envMem(offCCDst), 0)
	case ir.CCInc, ir.CCDec:
		t := c.temp()
		c.load(8, t, envMem(offCCDst))
		d, back := Reg(g4Inc), int32(-1)
		if ir.CC(c.ccOp>>2) == ir.CCDec {
			d, back = g4Dec, 1
		}
		c.lea(8, t, M(t, back))
		c.btImm(4, envMem(offCCSrc), 0)
		c.digit(opGrp4, size, d, R(t))
		c.free(t)
	default:
		if mask == ir.FlagC {
			c.btImm(4, envMem(offCCSrc), 0)
			return
		}
		c.loadImage(envMem(offCCSrc))
	}
}

// loadImage puts an image of unknown origin into EFLAGS.
func (c *compiler) loadImage(o Operand) {
	t := c.temp()
	c.rm(opMovLoad, 4, t, o)
	c.aluImm(aluAnd, 4, R(t), ir.FlagAll)
	c.push(R(t))
	c.popfq()
	c.free(t)
}

func (c *compiler) btImm(size uint8, o Operand, n byte) {
	c.digit(opBtImm, size, 4, o)
	c.b1(n)
}

// keepCC saves the flags value in Header.CC* if it is still needed, before others are stored there.
func (c *compiler) keepCC(f ir.Val) {
	old := c.cc
	if old == ir.None || old == f || c.v[old].last <= c.i || c.v[old].slot >= 0 {
		if c.pending.on && old != f && c.b.Insts[c.i].FIn != old && !barrier(c.b.Insts[c.i].Op) {
			c.unpend()
		}
		return
	}
	c.ensure(old, ir.FlagAll)
	c.saveImage(old)
}

// setCCOp stores Header.CCOp unless it is known to be right.
func (c *compiler) setCCOp(k ir.CC, size uint8) {
	v := ir.PackCC(k, size)
	if c.ccKnown && c.ccOp == v {
		return
	}
	c.storeImm(4, envMem(offCCOp), int32(v))
	c.ccKnown, c.ccOp = true, v
}

// lazy tells whether the flags f of the current instruction go to Header.CC* when they are defined.
func (c *compiler) lazy(f ir.Val) bool { return c.needsFlags(f) && c.flagsSetAhead(f) }

// storeVal stores v to an environment field without changing EFLAGS.
func (c *compiler) storeVal(m Operand, v ir.Val) {
	if n, ok := c.imm(v, 8); ok {
		c.storeImm(8, m, n)
		return
	}
	c.store(8, m, c.use(v))
}

// defined notes that EFLAGS hold f, and stores an image if f is to become the guest's flags and has no recipe.
func (c *compiler) defined(f ir.Val) {
	c.hostFlags = ir.None
	if !c.needsFlags(f) {
		return
	}
	c.hostFlags = f
	if c.lazy(f) {
		c.storeImage(f)
	}
}

// storeImage makes EFLAGS, which hold f, the guest's flags.
func (c *compiler) storeImage(f ir.Val) {
	c.unpend()
	c.pushfq()
	c.pop(envMem(offCCSrc))
	c.setCCOp(ir.CCImage, 1)
	c.cc = f
}

// setFlags is OpSetFlags.
func (c *compiler) setFlags(in *ir.Inst) {
	f := in.FIn
	if c.cc == f {
		return
	}
	c.keepCC(f)
	switch {
	case c.hostFlags == f:
		c.storeImage(f)
	case c.v[f].slot >= 0:
		c.unpend()
		t := c.temp()
		c.load(8, t, spillMem(slotBase+int(c.v[f].slot)))
		c.store(8, envMem(offCCSrc), t)
		c.setCCOp(ir.CCImage, 1)
		c.cc = f
	default:
		c.bug(errUndefined)
	}
}

func (c *compiler) getFlags(in *ir.Inst) {
	c.flush()
	if c.cc != ir.None && c.cc != in.FOut {
		c.keepCC(in.FOut)
	}
	c.cc = in.FOut
}

// image is OpImage.
func (c *compiler) image(in *ir.Inst) {
	t := c.plan(in.Dst)
	c.ensure(in.FIn, ir.FlagAll)
	t = c.dest(t, ir.None)
	c.pushfq()
	c.pop(R(t.reg))
	c.clobber()
	c.aluImm(aluAnd, 4, R(t.reg), ir.FlagAll)
	c.define(in.Dst, t)
}

// fromImage is OpFromImg.
func (c *compiler) fromImage(in *ir.Inst) {
	f := in.FOut
	if !c.needsFlags(f) {
		return
	}
	if c.lazy(f) {
		c.unpend()
		c.store(8, envMem(offCCSrc), c.use(in.A))
		c.setCCOp(ir.CCImage, 1)
		c.cc = f
		return
	}
	c.clobber()
	c.loadImage(c.operand(in.A))
	c.hostFlags = f
}

// testBit maps conditions that are one bit to the bit in the low byte of an image.
var testBit = [8]int32{1: ir.FlagC, 2: ir.FlagZ, 3: ir.FlagC | ir.FlagZ, 4: ir.FlagS, 5: ir.FlagP}

// condition makes the host's flags fit to evaluate cond on f and gives the host condition.
func (c *compiler) condition(cond ir.Cond, f ir.Val) byte {
	if c.hostFlags != f && c.v[f].slot >= 0 && testBit[cond>>1] != 0 {
		c.clobber()
		c.testImm(1, spillMem(slotBase+int(c.v[f].slot)), testBit[cond>>1])
		return byte(ir.CondNE ^ cond&1)
	}
	if c.hostFlags != f && c.cc == f && !c.pending.on && c.ccKnown && ir.CC(c.ccOp>>2) == ir.CCImage && testBit[cond>>1] != 0 {
		c.clobber()
		c.testImm(1, envMem(offCCSrc), testBit[cond>>1])
		return byte(ir.CondNE ^ cond&1)
	}
	c.ensure(f, cond.Mask())
	return byte(cond)
}
