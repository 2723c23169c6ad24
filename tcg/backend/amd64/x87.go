package amd64

import "goemu/tcg/ir"

// The guest's x87 registers are in the environment; each operation loads its operands to the host's stack and stores the result. The
// last result stays in the host's ST(0) as well (see x87Cache), because loading what was just stored is slow; apart from that the
// host's stack is empty between operations, and altogether at exits of a block. An operand that is converted from memory for the next operation (x87Temp) waits in
// vecArg in its memory format; that operation takes it from there, as the guest's instruction does, which also gets the exceptions right.
const x87Temp = ir.VT1

// x87Enc is a host instruction with a memory operand: opcode and digit.
type x87Enc struct{ code, digit byte }

var (
	fld80  = x87Enc{0xdb, 5}
	fstp80 = x87Enc{0xdb, 7}
	fnstsw = x87Enc{0xdd, 7}
	x87Int = x87Enc{0xdf, 5} // fild qword
)

// Condition bits of the status word.
const (
	swC0   = 1 << 8
	swC1   = 1 << 9
	swC2   = 1 << 10
	swC3   = 1 << 14
	swCond = swC0 | swC1 | swC2 | swC3
)

func (c *compiler) x87m(e x87Enc, m Operand) {
	c.digit(op{0, map1, e.code, false}, 4, Reg(e.digit), m)
}

// x87Cache tells what the host's stack holds between operations.
type x87Cache struct {
	held  bool  // there is a value in ST(0)
	regs  uint8 // the guest's registers that it equals, by bit
	depth uint8 // number of values that the current operation has on the stack above it
}

func x87Bit(v ir.VReg) uint8 {
	if v < ir.VF0 || v > ir.VF7 {
		return 0
	}
	return 1 << (v - ir.VF0)
}

// fld pushes a guest register.
func (c *compiler) fld(v ir.VReg) {
	if k := &c.x87c; k.held && k.regs&x87Bit(v) != 0 {
		c.d9(0xc0 | k.depth)
	} else {
		c.x87m(fld80, c.vmem(v))
	}
	c.x87c.depth++
}

// fstp pops to a guest register.
func (c *compiler) fstp(v ir.VReg) {
	c.x87m(fstp80, c.vmem(v))
	c.x87c.regs &^= x87Bit(v)
	c.x87c.depth--
}

// result stores the only value of an operation to a guest register and keeps it as the cached one.
func (c *compiler) result(v ir.VReg) {
	k := &c.x87c
	c.d9(0xc0) // fld st0
	c.x87m(fstp80, c.vmem(v))
	if k.held {
		c.buf = append(c.buf, 0xdd, 0xd9) // fstp st1: the new value replaces the old one
	}
	*k = x87Cache{held: true, regs: x87Bit(v)}
}

// drop pops the host's stack.
func (c *compiler) drop() {
	c.buf = append(c.buf, 0xdd, 0xd8)
	c.x87c.depth--
}

// flushX87 empties the host's stack.
func (c *compiler) flushX87() {
	if c.x87c.held {
		c.drop()
	}
	c.x87c = x87Cache{}
}

// keepsX87 tells whether an instruction leaves the host's stack alone and cannot leave the block for good other than by a fault.
func (c *compiler) keepsX87(in *ir.Inst) bool {
	switch in.Op {
	case ir.OpX87:
		return in.Attr&ir.AttrSoft == 0
	case ir.OpExitIf, ir.OpExitNZ, ir.OpExitZ, ir.OpGoto, ir.OpJump, ir.OpCall, ir.OpVec, ir.OpLdV, ir.OpDivU, ir.OpDivS:
		return false
	case ir.OpStEnv: // into the registers
		fp := uint64(c.e.opt.Vec.FP)
		return in.Imm+8 <= fp || in.Imm >= fp+8*16
	}
	return true
}

// d9 emits a stack operation D9 code.
func (c *compiler) d9(code byte) { c.buf = append(c.buf, 0xd9, code) }

// x87Emit emits one operation.
type x87Emit func(c *compiler, in *ir.Inst)

// makeX87 lists the code generators.
func makeX87() [ir.NumX87Ops]x87Emit {
	return [ir.NumX87Ops]x87Emit{
		ir.X87Mov:     x87Mov,
		ir.X87Xchg:    func(c *compiler, in *ir.Inst) { c.fld(in.VA); c.fld(in.VB); c.fstp(in.VA); c.fstp(in.VB) },
		ir.X87Select:  x87Select,
		ir.X87Const:   x87Const,
		ir.X87Add:     x87Arith(0xc1, 0, 0),
		ir.X87Mul:     x87Arith(0xc9, 1, 1),
		ir.X87Sub:     x87Arith(0xe9, 4, 5),
		ir.X87Div:     x87Arith(0xf9, 6, 7),
		ir.X87Sqrt:    x87Unary(0xfa),
		ir.X87Abs:     x87Unary(0xe1),
		ir.X87Chs:     x87Unary(0xe0),
		ir.X87Round:   x87Unary(0xfc),
		ir.X87F2XM1:   x87Unary(0xf0),
		ir.X87Scale:   x87Two(0xfd, 0),
		ir.X87Rem:     x87Two(0xf8, swCond),
		ir.X87Rem1:    x87Two(0xf5, swCond),
		ir.X87Extract: func(c *compiler, in *ir.Inst) { c.fld(in.VA); c.d9(0xf4); c.x87c.depth++; c.fstp(in.VC); c.fstp(in.VD) },
		ir.X87FYL2X:   x87Pop(0xf1),
		ir.X87FYL2XP1: x87Pop(0xf9),
		ir.X87FPAtan:  x87Pop(0xf3),
		ir.X87FSin:    x87Trig(0xfe, x87One),
		ir.X87FCos:    x87Trig(0xff, x87One),
		ir.X87FSinCos: x87Trig(0xfb, x87Pair),
		ir.X87FPTan:   x87Trig(0xf2, x87Pair),
		ir.X87Com:     x87Com,
		ir.X87ComF:    x87ComF,
		ir.X87Tst:     func(c *compiler, in *ir.Inst) { c.fld(in.VA); c.d9(0xe4); c.condition87(swCond); c.drop() },
		ir.X87Xam:     x87Xam,
		ir.X87FromF32: x87From(x87Enc{0xd9, 0}, 4),
		ir.X87FromF64: x87From(x87Enc{0xdd, 0}, 8),
		ir.X87FromInt: x87From(x87Int, 8),
		ir.X87FromBCD: x87FromBCD,
		ir.X87ToF32:   x87To(x87Enc{0xd9, 3}, 4),
		ir.X87ToF64:   x87To(x87Enc{0xdd, 3}, 8),
		ir.X87ToI16:   x87To(x87Enc{0xdf, 3}, 2),
		ir.X87ToI32:   x87To(x87Enc{0xdb, 3}, 4),
		ir.X87ToI64:   x87To(x87Enc{0xdf, 7}, 8),
		ir.X87ToI16T:  x87To(x87Enc{0xdf, 1}, 2),
		ir.X87ToI32T:  x87To(x87Enc{0xdb, 1}, 4),
		ir.X87ToI64T:  x87To(x87Enc{0xdd, 1}, 8),
		ir.X87ToBCD:   x87ToBCD,
		ir.X87GetSW:   x87GetSW,
		ir.X87ClearSW: x87ClearSW,
		ir.X87SetCW:   x87SetCW,
	}
}

// x87 is OpX87.
func (c *compiler) x87(in *ir.Inst) {
	if in.Attr&ir.AttrSoft != 0 || in.Vec >= uint16(ir.NumX87Ops) || c.e.x87Emits[in.Vec] == nil {
		c.flushX87()
		c.soft(in)
		return
	}
	c.x87c.depth = 0
	c.e.x87Emits[in.Vec](c, in)
}

// x87Mov copies; both registers equal the cached value then.
func x87Mov(c *compiler, in *ir.Inst) {
	c.fld(in.VA)
	if k := &c.x87c; k.held && k.regs&x87Bit(in.VA) != 0 {
		c.fstp(in.VD)
		k.regs |= x87Bit(in.VD)
		return
	}
	c.result(in.VD)
	c.x87c.regs |= x87Bit(in.VA)
}

func x87Unary(code byte) x87Emit {
	return func(c *compiler, in *ir.Inst) { c.fld(in.VA); c.d9(code); c.result(in.VD) }
}

// x87Two is an operation on ST(0) = VA and ST(1) = VB that leaves both on the stack.
func x87Two(code byte, cond int32) x87Emit {
	return func(c *compiler, in *ir.Inst) {
		c.fld(in.VB)
		c.fld(in.VA)
		c.d9(code)
		if cond != 0 {
			c.condition87(cond)
		}
		c.fstp(in.VD)
		c.drop()
	}
}

// x87Pop is an operation on ST(1) = VA and ST(0) = VB that pops.
func x87Pop(code byte) x87Emit {
	return func(c *compiler, in *ir.Inst) { c.fld(in.VA); c.fld(in.VB); c.d9(code); c.result(in.VD) }
}

// x87Arith emits VD = VA op VB: code computes ST(1) op ST(0). With the temporary as an operand, digit computes ST(0) op memory,
// rev memory op ST(0).
func x87Arith(code, digit, rev byte) x87Emit {
	return func(c *compiler, in *ir.Inst) {
		switch {
		case in.VB == x87Temp:
			c.withTemp(in.VA, digit)
		case in.VA == x87Temp:
			c.withTemp(in.VB, rev)
		default:
			c.fld(in.VA)
			c.fld(in.VB)
			c.buf = append(c.buf, 0xde, code)
		}
		c.result(in.VD)
	}
}

// withTemp loads v and operates on it with the temporary.
func (c *compiler) withTemp(v ir.VReg, digit byte) {
	m := spillMem(vecArg)
	if c.x87Src == ir.X87FromInt { // ST(1) = the integer, ST(0) = v; the result replaces ST(1)
		c.x87m(x87Int, m)
		c.x87c.depth++
		c.fld(v)
		c.buf = append(c.buf, 0xde, 0xc1|digit<<3)
		return
	}
	c.fld(v)
	e := x87Enc{0xd8, digit}
	if c.x87Src == ir.X87FromF64 {
		e.code = 0xdc
	}
	c.x87m(e, m)
}

func x87Const(c *compiler, in *ir.Inst) {
	c.d9(0xe8 + byte(in.Imm%ir.NumX87Consts))
	c.result(in.VD)
}

// x87Select copies if the condition holds.
func x87Select(c *compiler, in *ir.Inst) {
	cc := c.condition(in.Cond, in.FIn)
	skip := c.jccShort(cc ^ 1)
	c.fld(in.VA)
	c.fstp(in.VD)
	c.bindShort(skip)
}

// hostSW loads the host's status word to a register.
func (c *compiler) hostSW(r Reg) {
	c.x87m(fnstsw, spillMem(vecCW))
	c.load(2, r, spillMem(vecCW))
}

// condition87 copies condition bits from the host's to the guest's status word. It changes EFLAGS.
func (c *compiler) condition87(mask int32) {
	c.clobber()
	t := c.temp()
	c.hostSW(t)
	c.mergeSW(t, mask)
	c.free(t)
}

// mergeSW puts the condition bits in t to the guest's status word.
func (c *compiler) mergeSW(t Reg, mask int32) {
	sw := envMem(c.e.opt.Vec.FPSW)
	c.aluImm(aluAnd, 4, R(t), mask)
	c.aluImm(aluAnd, 2, sw, ^mask)
	c.aluStore(aluOr, 2, sw, t)
}

// pushPair loads ST(0) = VA, ST(1) = VB.
func (c *compiler) pushPair(in *ir.Inst) {
	c.fld(in.VB)
	c.fld(in.VA)
}

func x87Com(c *compiler, in *ir.Inst) {
	if in.VB == x87Temp {
		c.compareTemp(in)
		return
	}
	c.pushPair(in)
	if in.Imm != 0 {
		c.buf = append(c.buf, 0xda, 0xe9) // fucompp
	} else {
		c.buf = append(c.buf, 0xde, 0xd9) // fcompp
	}
	c.condition87(swCond)
}

// compareTemp compares VA with the temporary.
func (c *compiler) compareTemp(in *ir.Inst) {
	const fcomp = 3
	m := spillMem(vecArg)
	if c.x87Src == ir.X87FromInt {
		c.x87m(x87Int, m)
		c.x87c.depth++
		c.fld(in.VA)
		c.buf = append(c.buf, 0xde, 0xd9) // fcompp
	} else {
		c.fld(in.VA)
		e := x87Enc{0xd8, fcomp}
		if c.x87Src == ir.X87FromF64 {
			e.code = 0xdc
		}
		c.x87m(e, m)
	}
	c.condition87(swCond)
}

func x87ComF(c *compiler, in *ir.Inst) {
	c.clobber()
	c.pushPair(in)
	code := byte(0xf1) // fcomip
	if in.Imm != 0 {
		code = 0xe9 // fucomip
	}
	sw := envMem(c.e.opt.Vec.FPSW)
	c.aluImm(aluAnd, 2, sw, ^swC1)
	c.buf = append(c.buf, 0xdf, code)
	c.drop()
	c.defined(in.FOut)
}

// x87Xam: an empty register has its own class.
func x87Xam(c *compiler, in *ir.Inst) {
	c.fld(in.VA)
	c.d9(0xe5)
	c.clobber()
	t := c.temp()
	c.hostSW(t)
	c.drop() // some hosts clear C1 then
	tag := c.use(in.A)
	c.rm(opTest, 4, tag, R(tag))
	skip := c.jccShort(byte(ir.CondE))
	c.aluImm(aluAnd, 4, R(t), swC1)
	c.aluImm(aluOr, 4, R(t), swC3|swC0)
	c.bindShort(skip)
	c.mergeSW(t, swCond)
	c.free(t)
}

// What a trigonometric instruction leaves on the stack when its operand is in range.
type x87Results uint8

const (
	x87One  x87Results = iota // the result
	x87Pair                   // VD's result below, VC's on top
)

func x87Trig(code byte, res x87Results) x87Emit {
	return func(c *compiler, in *ir.Inst) {
		c.clobber()
		c.fld(in.VA)
		c.d9(code)
		t := c.dest(target{reg: NoReg}, ir.None)
		c.hostSW(t.reg)
		c.mergeSW(t.reg, swC2)
		c.rm(opTest, 4, t.reg, R(t.reg))
		out := c.jccFwd(byte(ir.CondNE))
		if res == x87Pair {
			c.x87c.depth++
			c.fstp(in.VC)
		}
		c.fstp(in.VD)
		end := c.jmpFwd()
		c.bind(out) // nothing was pushed
		c.drop()
		c.bind(end)
		c.shiftImm(shShr, 4, R(t.reg), 10)
		c.define(in.Dst, t)
	}
}

// x87From converts an integer temporary's bits.
func x87From(e x87Enc, size uint8) x87Emit {
	return func(c *compiler, in *ir.Inst) {
		m := spillMem(vecArg)
		c.store(size, m, c.use(in.A))
		if in.VD == x87Temp {
			c.x87Src = ir.X87Op(in.Vec)
			return
		}
		c.x87m(e, m)
		c.result(in.VD)
	}
}

func x87FromBCD(c *compiler, in *ir.Inst) {
	c.store(8, spillMem(vecArg), c.use(in.A))
	c.store(2, spillMem(vecArg2), c.use(in.B))
	c.x87m(x87Enc{0xdf, 4}, spillMem(vecArg))
	c.result(in.VD)
}

func x87To(e x87Enc, size uint8) x87Emit {
	return func(c *compiler, in *ir.Inst) {
		t := c.dest(c.plan(in.Dst), ir.None)
		m := spillMem(vecArg)
		c.fld(in.VA)
		c.x87m(e, m)
		c.load(size, t.reg, m)
		c.define(in.Dst, t)
	}
}

func x87ToBCD(c *compiler, in *ir.Inst) {
	t, t2 := c.dest(target{reg: NoReg}, ir.None), c.dest(target{reg: NoReg}, ir.None)
	c.fld(in.VA)
	c.x87m(x87Enc{0xdf, 6}, spillMem(vecArg))
	c.load(8, t.reg, spillMem(vecArg))
	c.load(2, t2.reg, spillMem(vecArg2))
	c.define(in.Dst, t)
	c.define(in.Dst2, t2)
}

func x87GetSW(c *compiler, in *ir.Inst) {
	c.clobber()
	t := c.dest(target{reg: NoReg}, ir.None)
	u := c.temp()
	c.hostSW(t.reg)
	c.load(2, u, envMem(c.e.opt.Vec.FPSW))
	c.aluImm(aluAnd, 4, R(t.reg), swSticky)
	c.alu(aluOr, 4, t.reg, R(u))
	c.free(u)
	c.define(in.Dst, t)
}

func x87ClearSW(c *compiler, _ *ir.Inst) {
	const keep = 0x7f00 // all but the exception flags, SF, ES, B
	c.clobber()
	c.fnclex()
	c.aluImm(aluAnd, 2, envMem(c.e.opt.Vec.FPSW), keep)
}

func x87SetCW(c *compiler, in *ir.Inst) {
	c.clobber()
	r := c.use(in.A)
	t := c.temp()
	c.store(2, envMem(c.e.opt.Vec.FPCW), r)
	c.mov(4, t, r)
	c.aluImm(aluOr, 4, R(t), cwMasks)
	c.store(4, spillMem(vecCW), t)
	c.x87m(x87Enc{opFLDCW.code, 5}, spillMem(vecCW))
	c.free(t)
}
