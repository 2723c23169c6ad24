package amd64

import "goemu/tcg/ir"

// vTemp1 names xTemp1 in instructions that emitters rewrite.
const vTemp1 ir.VReg = 0xfe

// vpin is the host register of a vector register, if it has one.
func vpin(v ir.VReg) (Reg, bool) {
	switch {
	case v < numPinnedV:
		return Reg(v), true
	case v == ir.VT0:
		return xVT0, true
	case v == vTemp1:
		return xTemp1, true
	}
	return NoReg, false
}

// vmem is the place of a vector register in the environment.
func (c *compiler) vmem(v ir.VReg) Operand { return envMem(c.e.opt.Vec.Offset(v)) }

// vrm is a vector register as r/m operand.
func (c *compiler) vrm(v ir.VReg) Operand {
	if r, ok := vpin(v); ok {
		return R(r)
	}
	return c.vmem(v)
}

// Moves between registers and memory.
var (
	opMovups  = op{0, map0F, 0x10, false}
	opMovss   = op{0xf3, map0F, 0x10, false}
	opMovsd   = op{0xf2, map0F, 0x10, false}
	opMovq    = op{0xf3, map0F, 0x7e, false}
	opMovqSt  = op{p66, map0F, 0xd6, false}
	opMovaps  = op{0, map0F, 0x28, false}
	opMovlps  = op{0, map0F, 0x12, false}
	opMovdXR  = op{p66, map0F, 0x6e, false} // to a vector register
	opMovdRX  = op{p66, map0F, 0x7e, false} // to a general register
	opMmxLoad = op{0, map0F, 0x6f, false}
	opMmxSt   = op{0, map0F, 0x7f, false}
)

func storeForm(o op) op { o.code++; return o }

// vfetch gives a register that holds v: its own, or t loaded with 32 or 16 bytes.
func (c *compiler) vfetch(v ir.VReg, t Reg, wide bool) Reg {
	if r, ok := vpin(v); ok {
		return r
	}
	c.vload(t, c.vmem(v), wide)
	return t
}

// vload loads a whole register; wide: with VEX, 32 bytes.
func (c *compiler) vload(r Reg, m Operand, wide bool) {
	if wide {
		c.vex(0, map0F, false, true, opMovups.code, r, NoReg, m)
	} else {
		c.rm(opMovups, 4, r, m)
	}
}

// vstore stores a whole register.
func (c *compiler) vstore(m Operand, r Reg, wide bool) {
	if wide {
		c.vex(0, map0F, false, true, opMovups.code+1, r, NoReg, m)
	} else {
		c.rm(storeForm(opMovups), 4, r, m)
	}
}

// dstReg is the register to compute v in; done stores it if v lives in memory.
func dstReg(v ir.VReg, t Reg) Reg {
	if r, ok := vpin(v); ok {
		return r
	}
	return t
}

func (c *compiler) done(v ir.VReg, r Reg, wide bool) {
	if _, ok := vpin(v); !ok {
		c.vstore(c.vmem(v), r, wide)
	}
}

// vec is OpVec.
func (c *compiler) vec(in *ir.Inst) {
	o := ir.VecOp(in.Vec)
	if o >= ir.NumVecOps || in.Attr&ir.AttrSoft != 0 {
		c.soft(in)
		return
	}
	if f := c.e.vecSpecials[o]; f != nil {
		if !f(c, in) {
			c.soft(in)
		}
		return
	}
	e := &vecEncs[o]
	ok := false
	switch {
	case e.form == encNone:
	case in.Size == 8 && (in.VD >= ir.VF0 || in.VA >= ir.VF0 && in.VA != ir.VNone || in.VB >= ir.VF0 && in.VB != ir.VNone):
		ok = c.vecMMX(in, e)
	case in.Attr&ir.AttrMerge != 0:
		ok = c.vecLegacy(in, e)
	default:
		ok = c.vecVEX(in, e)
	}
	if !ok {
		c.soft(in)
	}
}

// has tells whether the host has an encoding.
func (c *compiler) has(f hostFeat) bool { return f < numHostFeats && c.e.feats[f] }

// hasImm tells whether a form ends in an immediate byte.
func (f vecEncForm) hasImm() bool {
	switch f {
	case encBinImm, encUnImm, encFPImm, encShift, encUnImmW, encBinImmW, encRound:
		return true
	}
	return false
}

// unary tells whether the packed form has one source only.
func (f vecEncForm) unary() bool {
	return f == encUn || f == encUnImm || f == encUnImmW || f == encFPUn || f == encRound
}

// w is the VEX.W of a form.
func (f vecEncForm) w() bool { return f == encBinW || f == encUnImmW || f == encBinImmW }

// prefix is the mandatory prefix and opcode of an operation.
func (e *vecEnc) prefix(in *ir.Inst) (pp, code byte, scalar bool) {
	o := ir.VecOp(in.Vec)
	scalar = o.IsScalar(in.Size)
	pp, code = e.pp, e.code
	switch e.form {
	case encFP, encFPUn, encFPImm:
		pp = fpPrefix(o.Info().Elem, scalar)
	case encRound:
		if scalar {
			code += 2
		}
	}
	return pp, code, scalar
}

// fpPrefix is the mandatory prefix by element size.
func fpPrefix(elem uint8, scalar bool) byte {
	switch {
	case scalar && elem == 4:
		return 0xf3
	case scalar:
		return 0xf2
	case elem == 4:
		return 0
	}
	return p66
}

// vecLegacy emits dst = dst op src, which keeps what is above the result.
func (c *compiler) vecLegacy(in *ir.Inst, e *vecEnc) bool {
	unary := e.form.unary()
	if !c.has(e.leg) || in.Size > 16 || !unary && e.form != encShift && in.VA != in.VD || e.form == encShift && in.VB != in.VD {
		return false
	}
	pp, code, scalar := e.prefix(in)
	d := dstReg(in.VD, xTemp0)
	if d == xTemp0 && (!unary || scalar) {
		c.vload(d, c.vmem(in.VD), false)
	}
	if e.form == encShift {
		c.digit(op{pp, e.mp, code, false}, 4, Reg(e.digit), R(d))
	} else {
		c.rm(op{pp, e.mp, code, false}, 4, d, c.vrm(in.VB))
	}
	if e.form.hasImm() {
		c.b1(byte(in.Imm))
	}
	c.done(in.VD, d, false)
	return true
}

// vecVEX emits dst = src1 op src2 with everything above the result cleared.
func (c *compiler) vecVEX(in *ir.Inst, e *vecEnc) bool {
	l256 := in.Size == 32
	if l256 && !c.has(e.vex256) || !c.has(e.vex) || e.leg != noForm && !c.has(e.leg) { // AVX forms need the feature of the legacy form as well
		return false
	}
	if e.form == encFMA {
		return c.vecFMA(in, e)
	}
	pp, code, scalar := e.prefix(in)
	d := dstReg(in.VD, xTemp0)
	switch {
	case e.form == encShift:
		s := c.vfetch(in.VB, xTemp1, true)
		c.vex(pp, e.mp, false, l256, code, Reg(e.digit), d, R(s))
	case e.form.unary() && !scalar:
		c.vex(pp, e.mp, e.form.w(), l256, code, d, NoReg, c.vrm(in.VB))
	case in.VA == ir.VNone:
		return false
	default:
		t := xTemp1
		if in.VB == vTemp1 { // taken
			t = xTemp0
		}
		a := c.vfetch(in.VA, t, true)
		c.vex(pp, e.mp, e.form.w(), l256, code, d, a, c.vrm(in.VB))
	}
	if e.form.hasImm() {
		c.b1(byte(in.Imm))
	}
	c.done(in.VD, d, true)
	return true
}

// vecFMA emits ±(VA * VB) ± VC in the form in which VD is one of the operands, which also makes the right operand's NaN win.
func (c *compiler) vecFMA(in *ir.Inst, e *vecEnc) bool {
	const form213, form231 = 0x10, 0x20
	code, second, third := e.code, in.VC, in.VB
	switch in.VD {
	case in.VA:
	case in.VB:
		code, second, third = code+form213, in.VA, in.VC
	case in.VC:
		code, second = code+form231, in.VA
	default:
		return false
	}
	o := ir.VecOp(in.Vec)
	if o.IsScalar(in.Size) {
		code++
	}
	d := dstReg(in.VD, xTemp0)
	if d == xTemp0 {
		c.vload(d, c.vmem(in.VD), true)
	}
	s := c.vfetch(second, xTemp1, true)
	c.vex(p66, e.mp, o.Info().Elem == 8, in.Size == 32, code, d, s, c.vrm(third))
	c.done(in.VD, d, true)
	return true
}

// mmxOperand is a register operand of an MMX instruction: in the environment, or VT0 moved to the host's MM1.
func (c *compiler) mmxOperand(v ir.VReg) Operand {
	if r, ok := vpin(v); ok {
		c.rm(op{0xf2, map0F, 0xd6, false}, 4, 1, R(r)) // movdq2q
		return R(1)
	}
	return c.vmem(v)
}

func (c *compiler) emms() { c.buf = append(c.buf, 0x0f, 0x77) }

// vecMMX emits an operation on 8 bytes in the host's MMX registers; the guest's are in the environment.
func (c *compiler) vecMMX(in *ir.Inst, e *vecEnc) bool {
	if e.mp == map0F38 && !c.has(e.leg) || e.form == encFMA || in.VD < ir.VF0 || in.VD == ir.VNone {
		return false
	}
	enc := op{0, e.mp, e.code, false}
	switch {
	case e.form == encShift:
		c.rm(opMmxLoad, 4, 0, c.vmem(in.VB))
		c.digit(enc, 4, Reg(e.digit), R(0))
	case e.form.unary():
		c.rm(enc, 4, 0, c.mmxOperand(in.VB))
	default:
		c.rm(opMmxLoad, 4, 0, c.mmxOperand(in.VA))
		c.rm(enc, 4, 0, c.mmxOperand(in.VB))
	}
	if e.form.hasImm() {
		c.b1(byte(in.Imm))
	}
	c.rm(opMmxSt, 4, 0, c.vmem(in.VD))
	c.emms()
	return true
}
