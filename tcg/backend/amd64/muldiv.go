package amd64

import "goemu/tcg/ir"

// mul is Mul: the low half of a product.
func (c *compiler) mul(in *ir.Inst) {
	flags := c.needsFlags(in.FOut)
	if !flags && !c.alive(in.Dst) {
		return
	}
	size := opSize(in.Size, flags)
	t := c.plan(in.Dst)
	a, b := in.A, in.B
	if c.v[a].con {
		a, b = b, a
	}
	if n, ok := c.imm(b, size); ok {
		o := c.operand(a)
		t = c.dest(t, a)
		c.clobber()
		c.rm(opImulImm, size, t.reg, o)
		c.immZ(size, n)
	} else {
		ob, oa := c.operand(b), c.src(a, size)
		u := c.temp()
		c.clobber()
		c.movSrc(u, oa, size)
		c.rm(opImul, size, u, ob)
		if t.pinned {
			c.mov(8, t.reg, u)
		} else {
			t.reg = u
		}
	}
	c.defined(in.FOut)
	c.define(in.Dst, t)
}

// wideMul is MulU and MulS. RAX and RDX are saved in two temporaries, which get the results by an exchange.
func (c *compiler) wideMul(in *ir.Inst) {
	digit := Reg(g3Mul)
	if in.Op == ir.OpMulS {
		digit = g3Imul
	}
	t, t2 := c.plan(in.Dst), c.plan(in.Dst2)
	if in.Size >= 4 && c.regOf(in.A) == RAX && t.reg == RAX && t2.reg == RDX {
		b := c.operand(in.B)
		c.clobber()
		c.digit(opGrp3, in.Size, digit, b)
		c.defined(in.FOut)
		c.define(in.Dst, t)
		c.define(in.Dst2, t2)
		return
	}
	a, b := c.src(in.A, 8), c.operand(in.B)
	lo, hi := c.temp(), c.temp()
	c.clobber()
	c.mov(8, lo, RAX)
	c.mov(8, hi, RDX)
	if b.Reg == RAX {
		b = R(lo)
	}
	c.movSrc(RAX, a, 8)
	c.digit(opGrp3, in.Size, digit, b)
	c.defined(in.FOut)
	if in.Size == 1 { // AX is the product
		c.mov(4, RDX, RAX)
		c.rorx(4, RDX, R(RDX), 8)
	}
	c.finishAXDX(in, t, t2, lo, hi)
}

// finishAXDX moves results in RAX and RDX to their places and puts the saved content of both back.
func (c *compiler) finishAXDX(in *ir.Inst, t, t2 target, lo, hi Reg) {
	c.rm(opXchg, 8, RAX, R(lo))
	c.rm(opXchg, 8, RDX, R(hi))
	c.place(in.Dst, t, lo)
	c.place(in.Dst2, t2, hi)
}

// place defines dst, whose value is in temp r.
func (c *compiler) place(dst ir.Val, t target, r Reg) {
	if t.pinned {
		c.mov(8, t.reg, r)
	} else {
		t.reg = r
	}
	c.define(dst, t)
}

// divide is DivU and DivS.
func (c *compiler) divide(in *ir.Inst) {
	c.toMem(in.A)
	c.toMem(in.B)
	c.toMem(in.C)
	if in.Op == ir.OpDivS && in.Size == 8 {
		c.flush()
		c.divideS64(in)
		return
	}
	t, t2 := c.plan(in.Dst), c.plan(in.Dst2)
	if t.reg == RAX && t2.reg == RDX && c.divideInPlace(in) {
		c.define(in.Dst, t)
		c.define(in.Dst2, t2)
		return
	}
	d, lo, hi := c.temp(), c.temp(), c.temp()
	c.loadInto(d, in.C, 8)
	c.clobberFrom(c.i)
	switch {
	case in.Op == ir.OpDivU && in.Size >= 4:
		c.loadInto(hi, in.B, 8)
		c.alu(aluCmp, in.Size, hi, R(d))
		c.divideIf(ir.CondAE)
		c.loadInto(lo, in.A, 8)
		c.rm(opXchg, 8, RAX, R(lo))
		c.rm(opXchg, 8, RDX, R(hi))
		c.digit(opGrp3, in.Size, g3Div, R(d))
		c.finishAXDX(in, t, t2, lo, hi)
		return
	case in.Size == 4:
		c.divideWide(in, d, lo, hi)
	default:
		c.divideNarrow(in, d, lo, hi)
	}
	c.place(in.Dst, t, lo)
	c.place(in.Dst2, t2, hi)
}

// divideInPlace is an unsigned division of a value in RAX whose results belong to RAX and RDX; false if it cannot be done so.
func (c *compiler) divideInPlace(in *ir.Inst) bool {
	if in.Op != ir.OpDivU || in.Size < 4 || c.regOf(in.A) != RAX {
		return false
	}
	if r := c.regOf(in.C); r == RAX || r == RDX {
		return false
	}
	d := c.use(in.C)
	c.clobberFrom(c.i)
	if b := &c.v[in.B]; b.con && b.value&ir.SizeMask(in.Size) == 0 {
		c.rm(opTest, in.Size, d, R(d))
		c.divideIf(ir.CondE)
		c.movImm(RDX, 0)
	} else {
		b := c.use(in.B)
		c.alu(aluCmp, in.Size, b, R(d))
		c.divideIf(ir.CondAE)
		if b != RDX {
			c.mov(8, RDX, b)
		}
	}
	c.digit(opGrp3, in.Size, g3Div, R(d))
	return true
}

// divideIf leaves with a division error if cc holds.
func (c *compiler) divideIf(cc ir.Cond) {
	s := c.snap()
	c.slow = append(c.slow, slowPath{check: check{jcc: c.jccFwd(byte(cc))}, d: desc{kind: leaveDivide, pc: c.insnPC}, cc: s})
}

// divideWide is the signed division of 64 by 32 bits: done on 64 bits, then the quotient must fit.
func (c *compiler) divideWide(in *ir.Inst, d, lo, hi Reg) {
	c.loadInto(lo, in.A, 4)
	c.loadInto(hi, in.B, 8)
	c.shiftImm(shShl, 8, R(hi), 32)
	c.mov(4, lo, lo)
	c.alu(aluOr, 8, lo, R(hi))
	c.rm(opMovsxd, 8, d, R(d))
	c.quotient(d, lo, hi, 4, true)
}

// divideNarrow is the division of 16 and 8 bit operands on 64 bits.
func (c *compiler) divideNarrow(in *ir.Inst, d, lo, hi Reg) {
	signed := in.Op == ir.OpDivS
	c.loadInto(lo, in.A, 8)
	c.extend(lo, R(lo), in.Size, false)
	c.loadInto(hi, in.B, 8)
	c.extend(hi, R(hi), in.Size, signed)
	c.shiftImm(shShl, 8, R(hi), in.Size*8)
	c.alu(aluOr, 8, lo, R(hi))
	c.extend(d, R(d), in.Size, signed)
	c.quotient(d, lo, hi, in.Size, signed)
}

// quotient divides the 64-bit value in lo by the one in d, checking that the quotient fits size bytes; results to lo and hi.
func (c *compiler) quotient(d, lo, hi Reg, size uint8, signed bool) {
	c.rm(opTest, 8, d, R(d))
	c.divideIf(ir.CondE)
	// The dividend has at most 63 significant bits beside its sign unless it is the least number: -2^63 / -1 would trap.
	if signed && size == 4 {
		c.movImm(hi, 1<<63)
		c.alu(aluCmp, 8, lo, R(hi))
		c.divideIf(ir.CondE) // no divisor brings that into range
	}
	c.mov(8, hi, RDX)
	c.rm(opXchg, 8, RAX, R(lo))
	if signed {
		c.buf = append(c.buf, 0x48, 0x99) // cqo
		c.digit(opGrp3, 8, g3Idiv, R(d))
	} else {
		c.movImm(RDX, 0)
		c.digit(opGrp3, 8, g3Div, R(d))
	}
	c.rm(opXchg, 8, RAX, R(lo))
	c.rm(opXchg, 8, RDX, R(hi))
	c.extend(d, R(lo), size, signed)
	c.alu(aluCmp, 8, d, R(lo))
	c.divideIf(ir.CondNE)
	if size == 4 {
		c.mov(4, lo, lo)
		c.mov(4, hi, hi)
	}
}

// divideS64 is the signed division of 128 by 64 bits: inline if the high half is the sign of the low one, else in Go.
func (c *compiler) divideS64(in *ir.Inst) {
	t, t2 := c.plan(in.Dst), c.plan(in.Dst2)
	d, lo, hi := c.temp(), c.temp(), c.temp()
	c.clobberFrom(c.i)
	c.loadInto(d, in.C, 8)
	c.loadInto(lo, in.A, 8)
	c.loadInto(hi, in.B, 8)
	c.signed64(d, lo, hi)
	c.place(in.Dst, t, lo)
	c.place(in.Dst2, t2, hi)
}

// signed64 divides hi:lo by d, results to lo and hi.
func (c *compiler) signed64(d, lo, hi Reg) {
	// hi must be the sign of lo, and d neither 0 nor -1.
	c.store(8, spillMem(saveRCX), RCX)
	c.mov(8, RCX, lo)
	c.shiftImm(shSar, 8, R(RCX), 63)
	c.alu(aluXor, 8, RCX, R(hi))
	c.load(8, RCX, spillMem(saveRCX))
	j1 := c.jccFwd(byte(ir.CondNE))
	c.lea(8, hi, M(d, 1)) // hi is not needed any more in the inline case
	c.aluImm(aluCmp, 8, R(hi), 1)
	j2 := c.jccFwd(byte(ir.CondBE))
	c.mov(8, hi, RDX)
	c.rm(opXchg, 8, RAX, R(lo))
	c.buf = append(c.buf, 0x48, 0x99) // cqo
	c.digit(opGrp3, 8, g3Idiv, R(d))
	c.rm(opXchg, 8, RAX, R(lo))
	c.rm(opXchg, 8, RDX, R(hi))
	done := c.jmpFwd()
	c.bind(j2)
	c.mov(8, hi, lo)
	c.shiftImm(shSar, 8, R(hi), 63)
	c.bind(j1)
	c.store(8, envMem(offArgs), lo)
	c.store(8, envMem(offArgs+8), hi)
	c.store(8, envMem(offArgs+16), d)
	c.leave(desc{kind: leaveDivS, reg: NoReg, reg2: NoReg, pc: c.insnPC})
	c.load(8, lo, envMem(offArgs))
	c.load(8, hi, envMem(offArgs+8))
	c.bind(done)
}
