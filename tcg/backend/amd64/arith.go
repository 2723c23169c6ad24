package amd64

import "goemu/tcg/ir"

// aluOps maps operations to the host's.
var aluOps = [ir.OpEnd]byte{
	ir.OpAdd: aluAdd, ir.OpSub: aluSub, ir.OpAnd: aluAnd, ir.OpOr: aluOr, ir.OpXor: aluXor, ir.OpAdc: aluAdc, ir.OpSbb: aluSbb,
}

// recipes tells which operations have a lazy form of their flags; size is that of the instruction.
var recipes = [ir.OpEnd]ir.CC{
	ir.OpAdd: ir.CCAdd, ir.OpSub: ir.CCSub, ir.OpAnd: ir.CCLogic, ir.OpOr: ir.CCLogic, ir.OpXor: ir.CCLogic, ir.OpAndN: ir.CCLogic,
	ir.OpNeg: ir.CCSub, ir.OpInc: ir.CCInc, ir.OpDec: ir.CCDec,
}

// opSize is the size for the host instruction: narrow ones compute on 32 bits if nobody wants flags.
func opSize(size uint8, flags bool) uint8 {
	if size < 4 && !flags {
		return 4
	}
	return size
}

// src is an operand fetched for a host instruction: an immediate, or a register or memory operand.
type src struct {
	isImm bool
	imm   int32
	op    Operand
}

// src fetches v for an instruction that takes an immediate, register or memory.
func (c *compiler) src(v ir.Val, size uint8) src {
	if n, ok := c.imm(v, size); ok {
		return src{isImm: true, imm: n, op: Operand{Base: NoReg, Index: NoReg, Reg: NoReg}}
	}
	return src{op: c.operand(v)}
}

func (c *compiler) aluSrc(k byte, size uint8, d Reg, s src) {
	if s.isImm {
		c.aluImm(k, size, R(d), s.imm)
	} else {
		c.alu(k, size, d, s.op)
	}
}

// movSrc loads an operand into d without changing EFLAGS.
func (c *compiler) movSrc(d Reg, s src, size uint8) {
	switch {
	case s.isImm && size == 8:
		c.movImm(d, uint64(int64(s.imm)))
	case s.isImm:
		c.movImm(d, uint64(uint32(s.imm)))
	case s.op.Reg != d:
		c.rm(opMovLoad, max(size, 4), d, s.op)
	}
}

// binary is Add, Sub, And, Or, Xor, Adc, Sbb.
func (c *compiler) binary(in *ir.Inst) {
	flags, live := c.needsFlags(in.FOut), c.alive(in.Dst)
	if !live && !flags {
		return
	}
	withCarry := in.Op == ir.OpAdc || in.Op == ir.OpSbb
	if !live && in.Op == ir.OpXor && c.zeroed(in) {
		return
	}
	if !live && (in.Op == ir.OpSub || in.Op == ir.OpAnd) && c.compare(in) {
		return
	}
	if !flags && !withCarry && c.leaAdd(in) {
		return
	}
	t := c.plan(in.Dst)
	a, b := in.A, in.B
	commutes := in.Op != ir.OpSub && in.Op != ir.OpSbb
	if commutes && (c.v[a].con || t.reg != NoReg && c.regOf(b) == t.reg && c.regOf(a) != t.reg) {
		a, b = b, a
	}
	size := opSize(in.Size, flags)
	lazy := !withCarry && c.lazy(in.FOut)
	sb := c.src(b, size)
	sa := c.src(a, size)
	pend := lazy && live && c.pendable(in.Op, a, b, t)
	if lazy && !pend {
		c.unpend()
		if recipes[in.Op] != ir.CCLogic {
			c.storeVal(envMem(offCCSrc), b)
		}
	}
	t = c.dest(t, a)
	d := t.reg
	if !sb.isImm && sb.op.Reg == d && (sa.isImm || sa.op.Reg != d) {
		d = c.temp() // the result's register is the second operand
	}
	if withCarry {
		c.ensure(in.FIn, ir.FlagC)
	} else {
		c.clobber()
	}
	c.movSrc(d, sa, size)
	c.aluSrc(aluOps[in.Op], size, d, sb)
	if d != t.reg {
		c.mov(8, t.reg, d)
	}
	if pend {
		c.define(in.Dst, t)
		if recipes[in.Op] == ir.CCLogic {
			b = ir.None
		}
		c.unpend()
		c.pend(in.FOut, recipes[in.Op], size, in.Dst, b)
		return
	}
	c.afterALU(in, t.reg, lazy, size)
	c.define(in.Dst, t)
}

// zeroed is Xor of the constant 0 with itself, what is left of the idiom that clears a register: nothing needs to be computed.
func (c *compiler) zeroed(in *ir.Inst) bool {
	if v := &c.v[in.A]; in.A != in.B || !v.con || v.value != 0 || !c.lazy(in.FOut) {
		return false
	}
	host := c.hostFlags
	c.unpend()
	c.pend(in.FOut, ir.CCLogic, in.Size, in.A, ir.None)
	c.hostFlags = host
	return true
}

// pendable tells whether the operands of lazy flags stay at hand: the result is live, and so can be the second operand b.
func (c *compiler) pendable(o ir.Op, a, b ir.Val, t target) bool {
	if recipes[o] == ir.CCLogic {
		return true
	}
	s := &c.v[b]
	if s.con {
		_, ok := c.imm(b, 8)
		return ok
	}
	return a != b && c.regOf(b) != NoReg && (!t.pinned || s.reg != NoReg || s.alias != uint8(t.g)+1)
}

// afterALU notes the flags of an operation whose result is in d.
func (c *compiler) afterALU(in *ir.Inst, d Reg, lazy bool, size uint8) {
	if !lazy {
		c.defined(in.FOut)
		return
	}
	c.unpend()
	c.store(8, envMem(offCCDst), d)
	c.setCCOp(recipes[in.Op], size)
	c.cc, c.hostFlags = in.FOut, in.FOut
}

// compare is Sub and And of which only the flags are wanted. It declines a test with operands that cannot be kept.
func (c *compiler) compare(in *ir.Inst) bool {
	lazy := c.lazy(in.FOut)
	a, b := in.A, in.B
	if in.Op == ir.OpAnd {
		if c.v[a].con {
			a, b = b, a
		}
		if lazy && a != b && !(c.canPend(a) && c.canPend(b)) {
			return false
		}
	}
	if lazy && !(c.canPend(a) && c.canPend(b)) {
		c.unpend()
		c.storeVal(envMem(offCCDst), a)
		c.storeVal(envMem(offCCSrc), b)
	}
	c.clobber()
	sb := c.src(b, in.Size)
	var oa Operand
	if sb.isImm || !sb.op.IsMem() {
		oa = c.operand(a)
	} else {
		oa = R(c.use(a))
	}
	switch {
	case in.Op == ir.OpSub && sb.isImm:
		c.aluImm(aluCmp, in.Size, oa, sb.imm)
	case in.Op == ir.OpSub && oa.IsMem():
		c.aluStore(aluCmp, in.Size, oa, sb.op.Reg)
	case in.Op == ir.OpSub:
		c.alu(aluCmp, in.Size, oa.Reg, sb.op)
	case sb.isImm:
		c.testImm(in.Size, oa, sb.imm)
	case oa.IsMem():
		c.rm(opTest, in.Size, sb.op.Reg, oa)
	default:
		c.rm(opTest, in.Size, oa.Reg, sb.op)
	}
	if !lazy {
		c.defined(in.FOut)
		return true
	}
	k, and := ir.CCCmp, false
	if in.Op == ir.OpAnd {
		k, and = ir.CCLogic, a != b
		if !and {
			b = ir.None
		}
	}
	if c.canPend(a) && (b == ir.None || c.canPend(b)) {
		c.unpend()
		c.pend(in.FOut, k, in.Size, a, b)
		c.pending.and = and
		return true
	}
	c.setCCOp(k, in.Size)
	c.cc, c.hostFlags = in.FOut, in.FOut
	return true
}

// leaAdd does an addition without flags by LEA where that saves a move.
func (c *compiler) leaAdd(in *ir.Inst) bool {
	if in.Op != ir.OpAdd && in.Op != ir.OpSub {
		return false
	}
	a, b := in.A, in.B
	if in.Op == ir.OpAdd && c.v[a].con {
		a, b = b, a
	}
	if c.v[a].con {
		return false
	}
	n, isImm := c.imm(b, in.Size)
	if in.Op == ir.OpSub {
		if !isImm || n == -n && n != 0 {
			return false
		}
		n = -n
	}
	size := uint8(4)
	if in.Size == 8 {
		size = 8
	}
	t := c.plan(in.Dst)
	ra := c.use(a)
	m := M(ra, n)
	if !isImm {
		m = MX(ra, c.use(b), 0, 0)
	}
	t = c.dest(t, a)
	c.lea(size, t.reg, m)
	c.define(in.Dst, t)
	return true
}

// incDec is Inc and Dec: the carry is that of FIn.
func (c *compiler) incDec(in *ir.Inst) {
	flags, live := c.needsFlags(in.FOut), c.alive(in.Dst)
	if !live && !flags {
		return
	}
	t := c.plan(in.Dst)
	size := opSize(in.Size, flags)
	sa := c.src(in.A, size)
	t = c.dest(t, in.A)
	c.movSrc(t.reg, sa, size)
	lazy := c.lazy(in.FOut)
	if flags && in.FIn != ir.None {
		c.ensure(in.FIn, ir.FlagC)
	}
	c.clobber()
	d := Reg(g4Inc)
	if in.Op == ir.OpDec {
		d = g4Dec
	}
	c.digit(opGrp4, size, d, R(t.reg))
	if lazy && live && in.FIn == ir.None {
		c.define(in.Dst, t)
		c.unpend()
		c.pend(in.FOut, recipes[in.Op], size, in.Dst, ir.None)
		return
	}
	if lazy {
		c.unpend()
		c.setcc(byte(ir.CondB), envMem(offCCSrc))
	}
	c.afterALU(in, t.reg, lazy, size)
	c.define(in.Dst, t)
}

// unary is Not and Neg.
func (c *compiler) unary(in *ir.Inst) {
	flags := c.needsFlags(in.FOut)
	if !flags && !c.alive(in.Dst) {
		return
	}
	t := c.plan(in.Dst)
	size := opSize(in.Size, flags)
	lazy := c.lazy(in.FOut)
	if lazy {
		c.unpend()
		c.storeVal(envMem(offCCSrc), in.A)
	}
	sa := c.src(in.A, size)
	t = c.dest(t, in.A)
	c.movSrc(t.reg, sa, size)
	if in.Op == ir.OpNot {
		c.digit(opGrp3, size, g3Not, R(t.reg))
	} else {
		c.clobber()
		c.digit(opGrp3, size, g3Neg, R(t.reg))
		c.afterALU(in, t.reg, lazy, size)
	}
	c.define(in.Dst, t)
}

// andN is AndN: not A, and B.
func (c *compiler) andN(in *ir.Inst) {
	flags := c.needsFlags(in.FOut)
	if !flags && !c.alive(in.Dst) {
		return
	}
	size := opSize(in.Size, flags)
	lazy := c.lazy(in.FOut)
	sb := c.src(in.B, size)
	u := c.temp()
	c.movSrc(u, c.src(in.A, size), size)
	c.digit(opGrp3, size, g3Not, R(u))
	c.clobber()
	c.aluSrc(aluAnd, size, u, sb)
	c.afterALU(in, u, lazy, size)
	c.define(in.Dst, target{reg: u})
}

// adcxAdox is Adcx and Adox: addition with carry or overflow in and out; the other flags come from FIn.
func (c *compiler) adcxAdox(in *ir.Inst) {
	e := opAdcx
	if in.Op == ir.OpAdox {
		e = opAdox
	}
	sb := c.operand(in.B)
	u := c.temp()
	c.movSrc(u, c.src2(in.A), in.Size)
	c.ensure(in.FIn, ir.FlagAll)
	c.clobber()
	c.rm2(e, in.Size, u, sb)
	c.defined(in.FOut)
	c.define(in.Dst, target{reg: u})
}

// src2 is src without immediates.
func (c *compiler) src2(v ir.Val) src { return src{op: c.operand(v)} }

// rm2 emits an instruction whose prefix byte is mandatory, with the operand size only from REX.
func (c *compiler) rm2(e op, size uint8, d Reg, o Operand) { c.rm(e, max(size, 4), d, o) }
