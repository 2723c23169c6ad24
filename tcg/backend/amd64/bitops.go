package amd64

import "goemu/tcg/ir"

// scanOps maps operations to host instructions with a source operand.
var scanOps = [ir.OpEnd]op{
	ir.OpBsf: opBsf, ir.OpBsr: opBsr, ir.OpTzcnt: opTzcnt, ir.OpLzcnt: opLzcnt, ir.OpPopcnt: opPopcnt,
}

// count is Tzcnt, Lzcnt and Popcnt.
func (c *compiler) count(in *ir.Inst) {
	t := c.plan(in.Dst)
	o := c.operand(in.A)
	t = c.dest(t, ir.None) // a new register: the host may depend on the old content
	c.clobber()
	c.rm(scanOps[in.Op], in.Size, t.reg, o)
	c.defined(in.FOut)
	c.define(in.Dst, t)
}

// scan is Bsf and Bsr: all 64 bits of B for a zero source.
func (c *compiler) scan(in *ir.Inst) {
	t := c.plan(in.Dst)
	o, b := c.operand(in.A), c.src(in.B, 8)
	u := c.temp()
	c.clobber()
	c.rm(scanOps[in.Op], in.Size, u, o)
	if in.Size == 2 {
		c.rm(opMovzx16, 4, u, R(u))
	}
	c.defined(in.FOut)
	t = c.dest(t, ir.None)
	c.movSrc(t.reg, b, 8)
	c.cmov(byte(ir.CondNE), 8, t.reg, R(u))
	c.define(in.Dst, t)
}

// bswap is Bswap; on 2 bytes a rotation.
func (c *compiler) bswap(in *ir.Inst) {
	t := c.plan(in.Dst)
	o := c.operand(in.A)
	t = c.dest(t, in.A)
	c.movOp(t.reg, o)
	if in.Size == 2 {
		c.clobber()
		c.shiftImm(shRol, 2, R(t.reg), 8)
	} else {
		rex := byte(0x40) | byte(t.reg>>3)
		if in.Size == 8 {
			rex |= 8
		}
		c.buf = append(c.buf, rex, 0x0f, 0xc8|byte(t.reg&7))
	}
	c.define(in.Dst, t)
}

// bmiForm describes an instruction of BMI1 and BMI2: VEX prefix, map, opcode, digit; kind of operands.
type bmiForm struct {
	pp, mp, code byte
	kind         uint8
	digit        Reg
}

// Kinds of operands of BMI instructions.
const (
	bmiNone = iota
	bmiAB   // reg = A (vvvv), B (r/m)
	bmiBA   // reg = A (r/m), B (vvvv)
	bmiVVVV // vvvv = A (r/m), digit
)

var bmiForms = [ir.OpEnd]bmiForm{
	ir.OpPdep:   {0xf2, map0F38, 0xf5, bmiAB, 0},
	ir.OpPext:   {0xf3, map0F38, 0xf5, bmiAB, 0},
	ir.OpBextr:  {0, map0F38, 0xf7, bmiBA, 0},
	ir.OpBzhi:   {0, map0F38, 0xf5, bmiBA, 0},
	ir.OpBlsi:   {0, map0F38, 0xf3, bmiVVVV, 3},
	ir.OpBlsr:   {0, map0F38, 0xf3, bmiVVVV, 1},
	ir.OpBlsmsk: {0, map0F38, 0xf3, bmiVVVV, 2},
}

// bmi is Pdep, Pext, Bextr, Bzhi, Blsi, Blsr, Blsmsk.
func (c *compiler) bmi(in *ir.Inst) {
	f := bmiForms[in.Op]
	t := c.plan(in.Dst)
	reg, v := NoReg, NoReg
	var o Operand
	switch f.kind {
	case bmiAB:
		v, o = c.use(in.A), c.operand(in.B)
	case bmiBA:
		v, o = c.use(in.B), c.operand(in.A)
	default:
		o = c.operand(in.A)
	}
	t = c.dest(t, in.A)
	if f.kind == bmiVVVV {
		reg, v = f.digit, t.reg
	} else {
		reg = t.reg
	}
	if in.Op != ir.OpPdep && in.Op != ir.OpPext {
		c.clobber()
	}
	c.vex(f.pp, f.mp, in.Size == 8, false, f.code, reg, v, o)
	if in.FOut != ir.None {
		c.defined(in.FOut)
	}
	c.define(in.Dst, t)
}

// bitOps maps operations to host instructions; the digit of the immediate form follows from the order.
var bitOps = [ir.OpEnd]op{ir.OpBt: opBt, ir.OpBts: opBts, ir.OpBtr: opBtr, ir.OpBtc: opBtc}

// bitTest is Bt, Bts, Btr, Btc. The host changes only the carry as far as the architecture defines flags.
func (c *compiler) bitTest(in *ir.Inst) {
	flags := c.needsFlags(in.FOut)
	live := c.alive(in.Dst)
	if !flags && !live {
		return
	}
	t := c.plan(in.Dst)
	n, isImm := uint8(0), false
	var b Reg
	if s := &c.v[in.B]; s.con {
		n, isImm = uint8(s.value)&(in.Size*8-1), true
	} else {
		b = c.use(in.B)
	}
	o := c.operand(in.A)
	if in.Op != ir.OpBt || o.IsMem() { // a memory operand would be a bit string
		u := c.temp()
		if in.Op == ir.OpBtr || in.Op == ir.OpBts || in.Op == ir.OpBtc || o.IsMem() {
			c.rm(opMovLoad, max(in.Size, 4), u, o)
		}
		o = R(u)
	}
	c.carryIn(in, flags && in.FIn != ir.None, false)
	if isImm {
		c.digit(opBtImm, in.Size, Reg(4+in.Op-ir.OpBt), o)
		c.b1(n)
	} else {
		c.rm(bitOps[in.Op], in.Size, b, o)
	}
	c.defined(in.FOut)
	if in.Op != ir.OpBt {
		c.place(in.Dst, t, o.Reg)
	}
}

// crc32 is Crc32.
func (c *compiler) crc32(in *ir.Inst) {
	t := c.plan(in.Dst)
	o := c.operand(in.B)
	a := c.src(in.A, 4)
	u := c.temp()
	c.movSrc(u, a, 4)
	c.rm(opCrc32, in.Size, u, o)
	c.place(in.Dst, t, u)
}
