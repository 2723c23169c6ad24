package x86

import (
	"goemu/target/x86"
	"goemu/tcg/ir"
)

// vecInsn is a SIMD instruction being translated.
type vecInsn struct {
	t   *Translator
	b   *ir.Builder
	row *vecRow

	vex     bool
	w       bool  // REX.W or VEX.W
	mmx     bool  // operands are MMX registers
	mem     bool  // ModRM.mod is not 3
	len     uint8 // vector length in bytes: 8 (MMX), 16, 32
	reg, rm uint8 // register numbers, extended
	vvvv    uint8
	imm     uint64
}

// size is the width of the operation.
func (v *vecInsn) size() uint8 {
	if v.row.size != 0 {
		return v.row.size
	}
	return v.len
}

// attr is the instruction attributes of an operation writing a vector register.
func (v *vecInsn) attr(op ir.VecOp) ir.Attr {
	var a ir.Attr
	if !v.vex {
		a = ir.AttrMerge
	}
	if op.Info().FP && v.t.hflags&x86.HFSSESoft != 0 {
		a |= ir.AttrSoft
	}
	return a
}

// vreg names register n of the instruction's register file.
func (v *vecInsn) vreg(n uint8) ir.VReg {
	if v.mmx {
		return ir.VF0 + ir.VReg(n&7)
	}
	return ir.VReg(n)
}

func (v *vecInsn) dst() ir.VReg { return v.vreg(v.reg) }

// src1 is the first source: VEX.vvvv, or the destination of a legacy instruction.
func (v *vecInsn) src1() ir.VReg {
	if v.vex {
		return ir.VReg(v.vvvv)
	}
	return v.dst()
}

// memSize is the size of the row's memory operand.
func (v *vecInsn) memSize() uint8 {
	switch m := v.row.msiz; m {
	case 0:
		return v.size()
	case mHalf, mQuarter, mEighth:
		return v.len / (m & 0x7f)
	default:
		return m
	}
}

// memOp describes a memory access of n bytes with the alignment rules of the row.
func (v *vecInsn) memOp(n uint8) ir.MemOp {
	m := v.t.memOp(n)
	a := v.row.attr
	if n >= 16 && (!v.vex && a&unal == 0 || a&algn != 0) {
		m.Align = n
	}
	return m
}

// src2 is the second source: ModRM.rm, a memory operand being loaded to VT0.
func (v *vecInsn) src2() ir.VReg {
	if !v.mem {
		return v.vreg(v.rm)
	}
	v.loadTo(ir.VT0, v.memSize())
	return ir.VT0
}

// loadTo loads n bytes of the memory operand; sizes 1 and 2 go through an integer.
func (v *vecInsn) loadTo(d ir.VReg, n uint8) {
	base, disp := v.t.ea()
	if n < 4 {
		x := v.b.Ld(v.t.memOp(n), base, disp)
		v.b.Vec(uint16(ir.VFromInt), 16, 0, d, ir.VNone, ir.VNone, ir.VNone, 4).A = x
		return
	}
	v.b.LdV(v.memOp(n), n, 0, d, base, disp)
}

// storeFrom stores the low n bytes of a register to the memory operand.
func (v *vecInsn) storeFrom(s ir.VReg, n uint8) {
	base, disp := v.t.ea()
	v.b.StV(v.memOp(n), s, base, disp)
}

// emit emits an operation and, where exceptions may be unmasked, the exit that raises them.
func (v *vecInsn) emit(op ir.VecOp, size uint8, d, a, b, c ir.VReg) *ir.Inst {
	at := v.attr(op)
	in := v.b.Vec(uint16(op), size, at, d, a, b, c, v.imm)
	if at&ir.AttrSoft == 0 {
		return in
	}
	in.Dst2 = v.b.NewVal(1)
	return in
}

// finish completes an operation emitted by emit: raises an unmasked exception, marks a written MMX register.
func (v *vecInsn) finish(in *ir.Inst) {
	raised, d := in.Dst2, in.VD
	if raised != ir.None && in.Attr&ir.AttrSoft != 0 {
		v.t.raiseSIMD(raised)
	}
	if d >= ir.VF0 && d != ir.VNone {
		v.t.mmxWritten(uint8(d - ir.VF0))
	}
}

func (v *vecInsn) op(size uint8, d, a, b, c ir.VReg) {
	v.finish(v.emit(v.row.vop, size, d, a, b, c))
}

const cr4OSXMMEXCPT = 10 // bit number

// raiseSIMD leaves with #XM (#UD without CR4.OSXMMEXCPT) if raised is not zero.
func (t *Translator) raiseSIMD(raised ir.Val) {
	b := t.b
	on := b.Extract(b.LdEnv(8, offCR4), cr4OSXMMEXCPT, 1)
	vec := b.SelectZ(8, on, b.Const(x86.ExcUD), b.Const(x86.ExcXM))
	b.StEnv(8, offArg0, vec)
	b.StEnv(8, offArg1, b.Const(x86.NoErrorCode))
	b.ExitNZ(4, raised, b.ReasonExit(t.pc, x86.ExitException))
}

// enterMMX makes all x87 registers valid and the top 0, once in a block.
func (t *Translator) enterMMX() {
	if t.fp.mmx {
		return
	}
	t.b.StEnv(4, offFPTop, t.b.Const(0))
	t.b.StEnv(8, offFPTag, t.b.Const(0))
	t.fp = fpState{mmx: true, known: true, valid: 0xff}
}

// mmxWritten gives a written MMX register the exponent and sign that MMX code leaves there.
func (t *Translator) mmxWritten(n uint8) {
	t.b.StEnv(2, offFP+uintptr(n)*16+8, t.b.Const(0xffff))
}

// vecFields are the encoding fields that a SIMD instruction needs besides its row.
type vecFields struct {
	vex, w, l256 bool
	mod, reg, rm uint8 // reg and rm extended by REX or VEX
	vvvv         uint8 // not inverted
	imm          uint64
}

// vector translates the SIMD instruction of a row found by vecLookup.
func (t *Translator) vector(row *vecRow, isMMX bool, e *vecFields) {
	if !t.vecLegal(row, isMMX, e) {
		t.raiseUD()
		return
	}
	if t.hflags&x86.HFTS != 0 {
		t.raise(x86.ExcNM, x86.NoErrorCode)
		return
	}
	v := &t.vecI
	*v = vecInsn{t: t, b: t.b, row: row, vex: e.vex, w: e.w, mmx: isMMX, mem: e.mod != 3, reg: e.reg, rm: e.rm, vvvv: e.vvvv, imm: e.imm}
	switch {
	case isMMX:
		v.len = 8
	case e.l256 && row.attr&lig == 0:
		v.len = 32
	default:
		v.len = 16
	}
	if isMMX && t.hflags&x86.HFFPSoft != 0 {
		t.b.Call(uint32(x86.HelperFWAIT), ir.None, ir.None, ir.None)
	}
	row.form(v)
	if isMMX && !t.b.Ended() {
		t.enterMMX()
	}
}

// vecLegal checks CPUID features, control registers and the fields that must have fixed values.
func (t *Translator) vecLegal(row *vecRow, isMMX bool, e *vecFields) bool {
	a := row.attr
	switch {
	case !row.available(&t.cfg.Features, e.vex, isMMX, e.l256),
		a&vMem != 0 && e.mod == 3,
		a&vReg != 0 && e.mod != 3:
		return false
	case !e.vex:
		return t.hflags&x86.HFEM == 0 && (isMMX || t.hflags&x86.HFOSFXSR != 0)
	}
	return t.hflags&x86.HFAVX != 0 && t.hflags&x86.HFPE != 0 && t.hflags&x86.HFVM == 0 &&
		(a&vl0 == 0 || !e.l256) && (a&vl1 == 0 || e.l256) && (!row.vexNoSource(e) || e.vvvv == 0)
}

// vexNoSource tells whether VEX.vvvv names no operand and must be 1111.
func (r *vecRow) vexNoSource(e *vecFields) bool {
	if r.attr&nods != 0 {
		return true
	}
	// Scalar moves have a second source only between registers.
	return r.attr&lig != 0 && r.vop == ir.VMov && e.mod != 3
}

// emms translates 0F 77: EMMS, VZEROUPPER, VZEROALL.
func (t *Translator) emms(vex, l256 bool, vvvv uint8) {
	b := t.b
	switch {
	case vex && (t.hflags&x86.HFAVX == 0 || t.hflags&x86.HFPE == 0 || t.hflags&x86.HFVM != 0 || vvvv != 0),
		!vex && t.hflags&x86.HFEM != 0:
		t.raiseUD()
	case t.hflags&x86.HFTS != 0:
		t.raise(x86.ExcNM, x86.NoErrorCode)
	case !vex:
		if t.hflags&x86.HFFPSoft != 0 {
			b.Call(uint32(x86.HelperFWAIT), ir.None, ir.None, ir.None)
		}
		b.StEnv(4, offFPTop, b.Const(0))
		b.StEnv(8, offFPTag, b.Const(allEmpty))
		t.fp = fpState{known: true, empty: 0xff}
	default:
		op, n := ir.VZeroHigh, uint64(8)
		if l256 {
			op = ir.VZeroAll
		}
		if t.code64() {
			n = 16
		}
		b.Vec(uint16(op), 32, 0, ir.VNone, ir.VNone, ir.VNone, ir.VNone, n)
	}
}

// allEmpty is FPTag with all registers empty.
const allEmpty = 0x0101010101010101

// ldmxcsr translates LDMXCSR of the memory operand. A value that unmasks exceptions, or asks for an exception (reserved bits), goes
// the way of the helper; the common case stays in the block.
func (t *Translator) ldmxcsr() {
	b := t.b
	base, disp := t.ea()
	v := b.Ld(t.memOp(4), base, disp)
	b.Call(uint32(x86.HelperLDMXCSR), v, ir.None, ir.None)
	t.leave(x86.ExitMode)
}

// stmxcsr translates STMXCSR.
func (t *Translator) stmxcsr() {
	b := t.b
	v := b.NewVal(4)
	b.Vec(uint16(ir.VGetCSR), 4, 0, ir.VNone, ir.VNone, ir.VNone, ir.VNone, 0).Dst = v
	base, disp := t.ea()
	b.St(t.memOp(4), base, disp, v)
}

// sseUsable raises the exceptions of instructions on the SSE state and tells whether none was due.
func (t *Translator) sseUsable(vex bool) bool {
	need := t.hflags&(x86.HFEM|x86.HFOSFXSR) == x86.HFOSFXSR
	if vex {
		need = t.hflags&x86.HFAVX != 0
	}
	switch {
	case !need:
		t.raiseUD()
	case t.hflags&x86.HFTS != 0:
		t.raise(x86.ExcNM, x86.NoErrorCode)
	default:
		return true
	}
	return false
}

// csrInsn translates LDMXCSR or STMXCSR, legacy or VEX.
func (t *Translator) csrInsn(vex, load bool) {
	if !t.sseUsable(vex) {
		return
	}
	if load {
		t.ldmxcsr()
	} else {
		t.stmxcsr()
	}
}

// fpStateInsn translates FXSAVE, XSAVE and their relatives by the helper h. Those that load state end the block.
func (t *Translator) fpStateInsn(h x86.Helper, rexW, loads bool) {
	b := t.b
	if t.hflags&x86.HFTS != 0 || (h == x86.HelperFXSAVE || h == x86.HelperFXRSTOR) && t.hflags&x86.HFEM != 0 {
		t.raise(x86.ExcNM, x86.NoErrorCode)
		return
	}
	var w uint64
	if rexW && t.code64() {
		w = 1
	}
	base, disp := t.ea()
	changed := b.Call(uint32(h), b.Lea(8, base, ir.None, 0, disp), b.Const(w), ir.None)
	if !loads {
		return
	}
	if t.reason != 0 {
		t.leave(x86.ExitMode)
		return
	}
	b.ExitNZ(8, changed, b.ReasonExit(t.d.next, x86.ExitMode))
	t.gotoPC(t.d.next)
}
