package x86

import "goemu/tcg/ir"

// The operand forms of SIMD instructions (vecRow.form).

// fBinary: reg = src1 op src2.
func fBinary(v *vecInsn) { v.op(v.size(), v.dst(), v.src1(), v.src2(), ir.VNone) }

// fCmp is fBinary with a predicate, of which legacy encodings have fewer bits.
func fCmp(v *vecInsn) {
	v.imm &= 31
	if !v.vex {
		v.imm &= 7
	}
	fBinary(v)
}

// fUnary: reg = op src2.
func fUnary(v *vecInsn) { v.op(v.size(), v.dst(), ir.VNone, v.src2(), ir.VNone) }

// fWiden is fUnary with a narrower source.
func fWiden(v *vecInsn) { fUnary(v) }

// fShift: counts in memory are whole 16-byte (8-byte) operands, whatever the vector length.
func fShift(v *vecInsn) {
	s := v.vreg(v.rm)
	if v.mem {
		v.loadTo(ir.VT0, min(v.len, 16))
		s = ir.VT0
	}
	v.op(v.len, v.dst(), v.src1(), s, ir.VNone)
}

// fShiftImm: rm (legacy) or vvvv (VEX) = rm shifted by the immediate.
func fShiftImm(v *vecInsn) {
	d := v.vreg(v.rm)
	if v.vex {
		d = ir.VReg(v.vvvv)
	}
	v.op(v.len, d, ir.VNone, v.vreg(v.rm), ir.VNone)
}

// fMovDDup reads 8 bytes in its 128-bit form, 32 in the 256-bit one.
func fMovDDup(v *vecInsn) {
	s := v.vreg(v.rm)
	if v.mem {
		n := v.len
		if n == 16 {
			n = 8
		}
		v.t.loadUnaligned(v, n)
		s = ir.VT0
	}
	v.op(v.len, v.dst(), ir.VNone, s, ir.VNone)
}

// loadUnaligned loads n bytes of the memory operand to VT0 without an alignment check.
func (t *Translator) loadUnaligned(v *vecInsn, n uint8) {
	base, disp := t.ea()
	t.b.LdV(t.memOp(n), n, 0, ir.VT0, base, disp)
}

// load loads n bytes of memory right into the destination, zero-extended to width.
func (v *vecInsn) load(n, width uint8) {
	base, disp := v.t.ea()
	at := v.attr(ir.VMov)
	v.b.LdV(v.memOp(n), width, at, v.dst(), base, disp)
	if v.mmx {
		v.t.mmxWritten(v.reg & 7)
	}
}

// move copies a register.
func (v *vecInsn) move(d, s ir.VReg) {
	v.finish(v.b.Vec(uint16(ir.VMov), v.len, v.attr(ir.VMov), d, ir.VNone, s, ir.VNone, 0))
}

func fLoad(v *vecInsn) {
	if v.mem {
		v.load(v.len, v.len)
		return
	}
	v.move(v.dst(), v.vreg(v.rm))
}

func fStore(v *vecInsn) {
	if v.mem {
		v.storeFrom(v.dst(), v.len)
		return
	}
	v.move(v.vreg(v.rm), v.dst())
}

// fLoadScalar is MOVSS and MOVSD to a register: memory clears the rest, a register does not.
func fLoadScalar(v *vecInsn) {
	if v.mem {
		v.load(v.row.size, 16)
		return
	}
	v.op(v.row.size, v.dst(), v.src1(), v.vreg(v.rm), ir.VNone)
}

func fStoreScalar(v *vecInsn) {
	if v.mem {
		v.storeFrom(v.dst(), v.row.size)
		return
	}
	d := v.vreg(v.rm)
	a := d
	if v.vex {
		a = ir.VReg(v.vvvv)
	}
	v.op(v.row.size, d, a, v.dst(), ir.VNone)
}

// fLoadLow is MOVLPS, MOVLPD, MOVHLPS.
func fLoadLow(v *vecInsn) {
	switch {
	case !v.mem:
		v.op(16, v.dst(), v.src1(), v.vreg(v.rm), ir.VNone)
	case !v.vex:
		v.load(8, 8)
	default:
		v.loadTo(ir.VT0, 8)
		v.b.Vec(uint16(ir.VMov), 8, 0, v.dst(), v.src1(), ir.VT0, ir.VNone, 0)
	}
}

// fLoadHigh is MOVHPS, MOVHPD, MOVLHPS.
func fLoadHigh(v *vecInsn) { v.op(16, v.dst(), v.src1(), v.src2(), ir.VNone) }

func fStoreLow(v *vecInsn) { v.storeFrom(v.dst(), 8) }

func fStoreHigh(v *vecInsn) {
	v.b.Vec(uint16(ir.VUnpackH64), 16, 0, ir.VT0, v.dst(), v.dst(), ir.VNone, 0)
	v.storeFrom(ir.VT0, 8)
}

// fLoadQ and fStoreQ are MOVQ between the low halves of XMM registers and memory.
func fLoadQ(v *vecInsn) {
	if v.mem {
		v.load(8, 16)
		return
	}
	v.op(16, v.dst(), ir.VNone, v.vreg(v.rm), ir.VNone)
}

func fStoreQ(v *vecInsn) {
	if v.mem {
		v.storeFrom(v.dst(), 8)
		return
	}
	v.op(16, v.vreg(v.rm), ir.VNone, v.dst(), ir.VNone)
}

func fMovQ2DQ(v *vecInsn) {
	v.t.enterMMX()
	v.op(16, v.dst(), ir.VNone, ir.VF0+ir.VReg(v.rm&7), ir.VNone)
}

func fMovDQ2Q(v *vecInsn) {
	v.t.enterMMX()
	v.op(8, ir.VF0+ir.VReg(v.reg&7), ir.VNone, v.vreg(v.rm), ir.VNone)
}

// fFromMMX converts two integers of an MMX register or memory; only the register form is an MMX instruction.
func fFromMMX(v *vecInsn) {
	s := ir.VF0 + ir.VReg(v.rm&7)
	if v.mem {
		v.loadTo(ir.VT0, 8)
		s = ir.VT0
	} else {
		v.t.enterMMX()
	}
	v.op(v.row.size, v.dst(), ir.VNone, s, ir.VNone)
}

// fToMMX converts to two integers in an MMX register.
func fToMMX(v *vecInsn) {
	s := v.src2()
	v.t.enterMMX()
	v.op(v.row.size, ir.VF0+ir.VReg(v.reg&7), ir.VNone, s, ir.VNone)
}

// intSize is the operand size of a general register or memory operand selected by W.
func (v *vecInsn) intSize() uint8 {
	if v.w && v.t.code64() {
		return 8
	}
	return 4
}

// intSrc is a general register or memory operand of n bytes.
func (v *vecInsn) intSrc(n uint8) ir.Val {
	if !v.mem {
		return v.t.gpr(v.rm)
	}
	base, disp := v.t.ea()
	return v.b.Ld(v.t.memOp(n), base, disp)
}

func fFromInt(v *vecInsn) {
	n := v.intSize()
	x := v.intSrc(n)
	v.imm = uint64(n)
	in := v.emit(v.row.vop, v.row.size, v.dst(), v.src1(), ir.VNone, ir.VNone)
	in.A = x
	v.finish(in)
}

func fToInt(v *vecInsn) {
	n := v.intSize()
	s := v.src2()
	v.imm = uint64(n)
	v.toGPR(v.row.vop, v.row.size, s, n, v.reg)
}

// toGPR emits an operation with an integer result of n bytes and sets general register g to it.
func (v *vecInsn) toGPR(op ir.VecOp, size uint8, s ir.VReg, n, g uint8) {
	d := v.b.NewVal(min(n, 4))
	if n == 8 {
		d = v.b.NewVal(8)
	}
	in := v.emit(op, size, ir.VNone, ir.VNone, s, ir.VNone)
	in.Dst = d
	v.finish(in)
	v.t.setGPR(8, g, d) // the result is zero-extended
}

// fMovFromInt and fMovToInt are MOVD and MOVQ with a general register or memory.
func fMovFromInt(v *vecInsn) {
	n := v.intSize()
	x := v.intSrc(n)
	v.imm = uint64(n)
	in := v.emit(v.row.vop, v.len, v.dst(), ir.VNone, ir.VNone, ir.VNone)
	in.A = x
	v.finish(in)
}

func fMovToInt(v *vecInsn) {
	n := v.intSize()
	if v.mem {
		v.storeFrom(v.dst(), n)
		return
	}
	v.imm = uint64(n)
	v.toGPR(v.row.vop, v.len, v.dst(), n, v.rm)
}

// flagsOp emits an operation that defines the flags.
func (v *vecInsn) flagsOp(op ir.VecOp, size uint8, a, b ir.VReg) {
	f := v.b.NewFlags()
	in := v.emit(op, size, ir.VNone, a, b, ir.VNone)
	in.FOut = f
	v.finish(in)
	v.b.SetFlags(f)
}

func fCompare(v *vecInsn)    { v.flagsOp(v.row.vop, v.row.size, v.dst(), v.src2()) }
func fCompareSig(v *vecInsn) { v.imm = 1; fCompare(v) }
func fTest(v *vecInsn)       { v.flagsOp(v.row.vop, v.len, v.dst(), v.src2()) }

func fMoveMask(v *vecInsn) { v.toGPR(v.row.vop, v.len, v.vreg(v.rm), 4, v.reg) }

// fInsert is PINSRB, PINSRW, PINSRD, PINSRQ.
func fInsert(v *vecInsn) {
	op, n := v.row.vop, v.row.size
	if n == 4 && v.intSize() == 8 {
		op, n = ir.VInsert64, 8
	}
	x := v.intSrc(n)
	v.imm &= uint64(v.len/n) - 1
	in := v.emit(op, v.len, v.dst(), v.src1(), ir.VNone, ir.VNone)
	in.A = x
	v.finish(in)
}

// fExtractReg is PEXTRW to a general register.
func fExtractReg(v *vecInsn) {
	v.imm &= uint64(v.len/2) - 1
	v.toGPR(v.row.vop, v.len, v.vreg(v.rm), 2, v.reg)
}

// fExtract is PEXTRB, PEXTRW, PEXTRD, PEXTRQ to a general register or memory.
func fExtract(v *vecInsn) {
	op, n := v.row.vop, v.row.size
	if n == 4 && v.intSize() == 8 {
		op, n = ir.VExtract64, 8
	}
	v.extract(op, n)
}

// fExtractPS is EXTRACTPS, which ignores W.
func fExtractPS(v *vecInsn) { v.extract(v.row.vop, 4) }

func (v *vecInsn) extract(op ir.VecOp, n uint8) {
	v.imm &= uint64(16/n) - 1
	if !v.mem {
		v.toGPR(op, 16, v.dst(), n, v.rm)
		return
	}
	x := v.b.NewVal(n)
	v.emit(op, 16, ir.VNone, ir.VNone, v.dst(), ir.VNone).Dst = x
	base, disp := v.t.ea()
	v.b.St(v.t.memOp(n), base, disp, x)
}

// fInsertPS: a memory operand is one element, so the selection of the source element does not apply.
func fInsertPS(v *vecInsn) {
	if v.mem {
		v.imm &= 0x3f
	}
	v.op(16, v.dst(), v.src1(), v.src2(), ir.VNone)
}

func fInsert128(v *vecInsn) {
	v.imm &= 1
	v.op(32, v.dst(), v.src1(), v.src2(), ir.VNone)
}

func fExtract128(v *vecInsn) {
	v.imm &= 1
	d := v.vreg(v.rm)
	if v.mem {
		d = ir.VT0
	}
	v.op(16, d, ir.VNone, v.dst(), ir.VNone)
	if v.mem {
		v.storeFrom(d, 16)
	}
}

// fToHalf is VCVTPS2PH, whose destination is ModRM.rm with half the vector length.
func fToHalf(v *vecInsn) {
	if !v.mem {
		v.op(v.len, v.vreg(v.rm), ir.VNone, v.dst(), ir.VNone)
		return
	}
	base, disp := v.t.ea()
	v.b.Probe(v.t.memOp(8), base, disp+int64(v.len/2-8), true)
	v.b.Probe(v.t.memOp(8), base, disp, true)
	v.op(v.len, ir.VT0, ir.VNone, v.dst(), ir.VNone)
	v.b.StV(v.t.memOp(v.len/2), ir.VT0, base, disp)
}

// fBroadcast is fUnary with a memory operand of one element.
func fBroadcast(v *vecInsn) { fUnary(v) }

// fBlendV0 has XMM0 as implicit third operand (legacy blends, SHA256RNDS2).
func fBlendV0(v *vecInsn) { v.op(v.len, v.dst(), v.dst(), v.src2(), 0) }

// fBlendV has its third operand in the immediate's upper half.
func fBlendV(v *vecInsn) {
	c := uint8(v.imm >> 4)
	if !v.t.code64() {
		c &= 7
	}
	v.imm = 0
	v.op(v.len, v.dst(), v.src1(), v.src2(), ir.VReg(c))
}

// Fused multiply-add: the digits are the operands' places in a * b + c.
func fFMA132(v *vecInsn) { s := v.src2(); v.op(v.size(), v.dst(), v.dst(), s, v.src1()) }
func fFMA213(v *vecInsn) { s := v.src2(); v.op(v.size(), v.dst(), v.src1(), v.dst(), s) }
func fFMA231(v *vecInsn) { s := v.src2(); v.op(v.size(), v.dst(), v.src1(), s, v.dst()) }

// fString is the family PCMPxSTRx: index to ECX, mask to XMM0, flags.
func fString(v *vecInsn) {
	use := v.row.vop.Info().Use
	var a, l, d ir.Val
	s, mask := v.src2(), ir.VNone
	if use&ir.UseA != 0 {
		a, l = v.length(0), v.length(2)
	}
	if use&ir.UseVD != 0 {
		mask = 0
	} else {
		d = v.b.NewVal(4)
	}
	f := v.b.NewFlags()
	in := v.emit(v.row.vop, 16, mask, v.dst(), s, ir.VNone)
	in.A, in.B, in.Dst, in.FOut = a, l, d, f
	if d != ir.None {
		v.t.setGPR(8, 1, d)
	}
	v.b.SetFlags(f)
}

// length is a string length in EAX or EDX (RAX, RDX with W), sign-extended.
func (v *vecInsn) length(g uint8) ir.Val {
	x := v.t.gpr(g)
	if v.intSize() == 8 {
		return x
	}
	return v.b.Sext(4, x)
}
