package amd64

import "goemu/tcg/ir"

// vecSpecial emits an operation that follows no common pattern; false: execute it in software.
type vecSpecial func(c *compiler, in *ir.Inst) bool

// makeVecSpecials lists them.
func makeVecSpecials() (t [ir.NumVecOps]vecSpecial) {
	t[ir.VMov] = vMov
	t[ir.VMovZ64] = vMovZ64
	t[ir.VFromInt] = vFromInt
	t[ir.VToInt] = vToInt
	t[ir.VMovHL] = vMovHL
	t[ir.VInsertF32] = vInsertF32
	t[ir.VTest] = vTest(op{p66, map0F38, 0x17, false}, true)
	t[ir.VTest32] = vTest(op{p66, map0F38, 0x0e, false}, false)
	t[ir.VTest64] = vTest(op{p66, map0F38, 0x0f, false}, false)
	t[ir.VZeroHigh] = vZeroHigh
	t[ir.VZeroAll] = vZeroAll
	t[ir.VGetCSR] = vGetCSR
	t[ir.VSetCSR] = vSetCSR
	t[ir.VCvtF32F64] = vCvtFF(4)
	t[ir.VCvtF64F32] = vCvtFF(8)
	t[ir.VCvtF32F16] = vToHalf
	t[ir.VExtract128] = vExtract128
	t[ir.VBroadcast128] = vBroadcast128
	t[ir.VStrIndex] = vString(0x63)
	t[ir.VStrMask] = vString(0x62)
	t[ir.VStrLenIdx] = vString(0x61)
	t[ir.VStrLenMask] = vString(0x60)
	t[ir.VSha256Rnds2] = vImplicit0(op{0, map0F38, 0xcb, false}, 0, hfSHA)
	t[ir.VBlendV8] = vImplicit0(op{p66, map0F38, 0x10, false}, 0x4c, hfSSE41)
	t[ir.VBlendV32] = vImplicit0(op{p66, map0F38, 0x14, false}, 0x4a, hfSSE41)
	t[ir.VBlendV64] = vImplicit0(op{p66, map0F38, 0x15, false}, 0x4b, hfSSE41)
	t[ir.VExtract8] = vExtract(op{p66, map0F3A, 0x14, false}, 4)
	t[ir.VExtract16] = vExtract16
	t[ir.VExtract32] = vExtract(op{p66, map0F3A, 0x16, false}, 4)
	t[ir.VExtract64] = vExtract(op{p66, map0F3A, 0x16, false}, 8)
	t[ir.VInsert8] = vInsert(op{p66, map0F3A, 0x20, false}, 4, hfSSE41)
	t[ir.VInsert16] = vInsert(op{p66, map0F, 0xc4, false}, 4, hfBase)
	t[ir.VInsert32] = vInsert(op{p66, map0F3A, 0x22, false}, 4, hfSSE41)
	t[ir.VInsert64] = vInsert(op{p66, map0F3A, 0x22, false}, 8, hfSSE41)
	t[ir.VMovMsk8] = vMoveMask(op{p66, map0F, 0xd7, false})
	t[ir.VMovMsk32] = vMoveMask(op{0, map0F, 0x50, false})
	t[ir.VMovMsk64] = vMoveMask(op{p66, map0F, 0x50, false})
	for i, o := range [...]ir.VecOp{ir.VComF32, ir.VComF64} {
		t[o] = vCompare(byte(i) * p66)
	}
	for i, o := range [...]ir.VecOp{ir.VCvtIntF32, ir.VCvtIntF64} {
		t[o] = vCvtInt(op{0xf3 - byte(i), map0F, 0x2a, false})
	}
	for i, o := range [...]ir.VecOp{ir.VCvtF32Int, ir.VCvtF64Int} {
		t[o] = vCvtToInt(op{0xf3 - byte(i), map0F, 0x2d, false})
	}
	for i, o := range [...]ir.VecOp{ir.VCvtTF32Int, ir.VCvtTF64Int} {
		t[o] = vCvtToInt(op{0xf3 - byte(i), map0F, 0x2c, false})
	}
	t[ir.VCvtI32F32] = vFromMMX(op{0, map0F, 0x2a, false}, 8)
	t[ir.VCvtI32F64] = vFromMMX(op{p66, map0F, 0x2a, false}, 16)
	t[ir.VCvtF32I32] = vToMMX(op{0, map0F, 0x2d, false})
	t[ir.VCvtTF32I32] = vToMMX(op{0, map0F, 0x2c, false})
	t[ir.VCvtF64I32] = vToMMX(op{p66, map0F, 0x2d, false})
	t[ir.VCvtTF64I32] = vToMMX(op{p66, map0F, 0x2c, false})
	return t
}

func merges(in *ir.Inst) bool { return in.Attr&ir.AttrMerge != 0 }

// isMMX tells whether v is a register of the x87 file.
func isMMX(v ir.VReg) bool { return v >= ir.VF0 && v != ir.VNone }

// form checks that the host has the form that the instruction needs: legacy with leg, or AVX.
func (c *compiler) form(in *ir.Inst, leg hostFeat) bool {
	if merges(in) {
		return c.has(leg) && in.Size <= 16
	}
	return c.has(hfAVX)
}

// vMov copies: whole registers, or one element.
func vMov(c *compiler, in *ir.Inst) bool {
	switch {
	case isMMX(in.VD) || isMMX(in.VB):
		return c.moveMMX(in)
	case !c.form(in, hfBase):
		return false
	case in.Size <= 8:
		return vMovScalar(c, in)
	}
	d, ok := vpin(in.VD)
	if !ok { // register to memory
		s := c.vfetch(in.VB, xTemp0, !merges(in))
		if !merges(in) && in.Size == 16 {
			c.vex(0, map0F, false, false, opMovaps.code, xTemp0, NoReg, R(s))
			s = xTemp0
		}
		c.vstore(c.vmem(in.VD), s, !merges(in))
		return true
	}
	if merges(in) {
		c.rm(opMovaps, 4, d, c.vrm(in.VB))
	} else {
		c.vex(0, map0F, false, in.Size == 32, opMovups.code, d, NoReg, c.vrm(in.VB))
	}
	return true
}

// moveMMX copies 8 bytes from or to a register of the x87 file.
func (c *compiler) moveMMX(in *ir.Inst) bool {
	if in.Size != 8 || !isMMX(in.VD) {
		return false
	}
	s := xTemp1
	if isMMX(in.VB) {
		c.rm(opMovq, 4, s, c.vmem(in.VB))
	} else {
		s = c.vfetch(in.VB, xTemp1, false)
	}
	c.rm(opMovqSt, 4, s, c.vmem(in.VD))
	return true
}

// vMovScalar replaces the low element.
func vMovScalar(c *compiler, in *ir.Inst) bool {
	e := opMovss
	if in.Size == 8 {
		e = opMovsd
	}
	s := c.vfetch(in.VB, xTemp1, false)
	d := dstReg(in.VD, xTemp0)
	if merges(in) {
		if d == xTemp0 {
			c.vload(d, c.vmem(in.VD), false)
		}
		c.rm(e, 4, d, R(s))
		c.done(in.VD, d, false)
		return true
	}
	if in.VA == ir.VNone {
		return false
	}
	a := c.vfetch(in.VA, xTemp0, true)
	c.vex(e.pfx, map0F, false, false, e.code, d, a, R(s))
	c.done(in.VD, d, true)
	return true
}

func vMovZ64(c *compiler, in *ir.Inst) bool {
	switch {
	case isMMX(in.VD):
		return c.moveMMX(in)
	case !c.form(in, hfBase):
		return false
	}
	d := dstReg(in.VD, xTemp0)
	if merges(in) {
		c.rm(opMovq, 4, d, c.vrm(in.VB))
	} else {
		c.vex(opMovq.pfx, map0F, false, false, opMovq.code, d, NoReg, c.vrm(in.VB))
	}
	c.done(in.VD, d, !merges(in))
	return true
}

// intBytes is the operand size of an instruction with a general register, for Imm = 4 or 8.
func intBytes(in *ir.Inst) uint8 { return uint8(in.Imm) & 12 }

func vFromInt(c *compiler, in *ir.Inst) bool {
	n := intBytes(in)
	if isMMX(in.VD) {
		c.store(n, c.vmem(in.VD), c.use(in.A))
		if n == 4 {
			m := c.vmem(in.VD)
			m.Disp += 4
			c.storeImm(4, m, 0)
		}
		return true
	}
	if !c.form(in, hfBase) {
		return false
	}
	r := c.use(in.A)
	d := dstReg(in.VD, xTemp0)
	if merges(in) {
		c.rm(opMovdXR, n, d, R(r))
	} else {
		c.vex(p66, map0F, n == 8, false, opMovdXR.code, d, NoReg, R(r))
	}
	c.done(in.VD, d, !merges(in))
	return true
}

// intResult emits the instruction that leaves its result in a general register.
func (c *compiler) intResult(in *ir.Inst, emit func(d Reg)) bool {
	t := c.dest(c.plan(in.Dst), ir.None)
	emit(t.reg)
	c.define(in.Dst, t)
	return true
}

func vToInt(c *compiler, in *ir.Inst) bool {
	n := intBytes(in)
	return c.intResult(in, func(d Reg) {
		if s, ok := vpin(in.VB); ok {
			c.rm(opMovdRX, n, s, R(d))
		} else {
			c.load(n, d, c.vmem(in.VB))
		}
	})
}

// vExtract is PEXTRx, with the general register as r/m operand.
func vExtract(e op, size uint8) vecSpecial {
	return func(c *compiler, in *ir.Inst) bool {
		if !c.has(hfSSE41) {
			return false
		}
		return c.intResult(in, func(d Reg) {
			s := c.vfetch(in.VB, xTemp1, false)
			c.rm(e, size, s, R(d))
			c.b1(byte(in.Imm))
		})
	}
}

func vExtract16(c *compiler, in *ir.Inst) bool {
	return c.intResult(in, func(d Reg) {
		if isMMX(in.VB) {
			m := c.vmem(in.VB)
			m.Disp += int32(in.Imm&3) * 2
			c.load(2, d, m)
			return
		}
		s := c.vfetch(in.VB, xTemp1, false)
		c.rm(op{p66, map0F, 0xc5, false}, 4, d, R(s))
		c.b1(byte(in.Imm))
	})
}

// vInsert is PINSRx.
func vInsert(e op, size uint8, leg hostFeat) vecSpecial {
	return func(c *compiler, in *ir.Inst) bool {
		if isMMX(in.VD) {
			m := c.vmem(in.VD)
			m.Disp += int32(in.Imm&3) * 2
			if in.VA != in.VD || in.Size != 8 {
				return false
			}
			c.store(2, m, c.use(in.A))
			return true
		}
		if !c.form(in, leg) || merges(in) && in.VA != in.VD {
			return false
		}
		r := c.use(in.A)
		d := dstReg(in.VD, xTemp0)
		if merges(in) {
			if d == xTemp0 {
				c.vload(d, c.vmem(in.VD), false)
			}
			c.rm(e, size, d, R(r))
		} else {
			a := c.vfetch(in.VA, xTemp1, true)
			c.vex(e.pfx, e.mp, size == 8, false, e.code, d, a, R(r))
		}
		c.b1(byte(in.Imm))
		c.done(in.VD, d, !merges(in))
		return true
	}
}

// vMoveMask is PMOVMSKB, MOVMSKPS, MOVMSKPD.
func vMoveMask(e op) vecSpecial {
	return func(c *compiler, in *ir.Inst) bool {
		switch {
		case isMMX(in.VB):
			return c.intResult(in, func(d Reg) {
				c.rm(opMmxLoad, 4, 0, c.vmem(in.VB))
				c.rm(op{0, e.mp, e.code, false}, 4, d, R(0))
				c.emms()
			})
		case in.Size == 32 && !c.has(hfAVX2):
			return false
		}
		return c.intResult(in, func(d Reg) {
			s := c.vfetch(in.VB, xTemp1, in.Size == 32)
			if in.Size == 32 {
				c.vex(e.pfx, e.mp, false, true, e.code, d, NoReg, R(s))
			} else {
				c.rm(e, 4, d, R(s))
			}
		})
	}
}

// flagsResult emits an instruction that defines EFLAGS.
func (c *compiler) flagsResult(in *ir.Inst, emit func(a Reg, b Operand)) bool {
	c.clobber()
	a := c.vfetch(in.VA, xTemp0, in.Size == 32)
	emit(a, c.vrm(in.VB))
	c.defined(in.FOut)
	return true
}

func vTest(e op, legacy bool) vecSpecial {
	return func(c *compiler, in *ir.Inst) bool {
		wide := in.Size == 32 || !legacy
		if wide && !c.has(hfAVX) || !wide && !c.has(hfSSE41) {
			return false
		}
		return c.flagsResult(in, func(a Reg, b Operand) {
			if wide {
				c.vex(e.pfx, e.mp, false, in.Size == 32, e.code, a, NoReg, b)
			} else {
				c.rm(e, 4, a, b)
			}
		})
	}
}

// vCompare is UCOMISx, or COMISx with Imm 1.
func vCompare(pp byte) vecSpecial {
	return func(c *compiler, in *ir.Inst) bool {
		return c.flagsResult(in, func(a Reg, b Operand) {
			c.rm(op{pp, map0F, 0x2e | byte(in.Imm&1), false}, 4, a, b)
		})
	}
}

// vMovHL: low 8 = high 8 of VB, high 8 = high 8 of VA.
func vMovHL(c *compiler, in *ir.Inst) bool {
	if !c.form(in, hfBase) || merges(in) && in.VA != in.VD {
		return false
	}
	s := c.vfetch(in.VB, xTemp1, false)
	d := dstReg(in.VD, xTemp0)
	if merges(in) {
		if d == xTemp0 {
			c.vload(d, c.vmem(in.VD), false)
		}
		c.rm(opMovlps, 4, d, R(s))
	} else {
		a := c.vfetch(in.VA, xTemp0, true)
		c.vex(0, map0F, false, false, opMovlps.code, d, a, R(s))
	}
	c.done(in.VD, d, !merges(in))
	return true
}

// vZeroHigh clears the upper halves of the first Imm registers.
func vZeroHigh(c *compiler, in *ir.Inst) bool {
	if !c.has(hfAVX) {
		return false
	}
	if in.Imm >= 16 {
		c.vzeroupper()
	}
	for v := ir.VReg(0); v < 16 && uint64(v) < in.Imm; v++ {
		if r, ok := vpin(v); !ok {
			c.clearUpper(v)
		} else if in.Imm < 16 {
			c.vex(0, map0F, false, false, opMovaps.code, r, NoReg, R(r))
		}
	}
	return true
}

func vZeroAll(c *compiler, in *ir.Inst) bool {
	if !c.has(hfAVX) {
		return false
	}
	c.vex(0, map0F, false, false, 0x57, xTemp0, xTemp0, R(xTemp0))
	for v := ir.VReg(0); v < 16 && uint64(v) < in.Imm; v++ {
		if r, ok := vpin(v); ok {
			c.vex(0, map0F, false, false, 0x57, r, r, R(r))
		} else {
			c.vstore(c.vmem(v), xTemp0, true)
		}
	}
	return true
}

func vGetCSR(c *compiler, in *ir.Inst) bool {
	t := c.plan(in.Dst)
	c.clobber()
	t = c.dest(t, ir.None)
	c.digit(opStMXCSR, 4, 3, spillMem(vecCSR))
	c.load(4, t.reg, spillMem(vecCSR))
	c.aluImm(aluAnd, 4, R(t.reg), csrSticky)
	c.alu(aluOr, 4, t.reg, envMem(c.e.opt.Vec.MXCSR))
	c.define(in.Dst, t)
	return true
}

func vSetCSR(c *compiler, in *ir.Inst) bool {
	c.clobber()
	r := c.use(in.A)
	t := c.temp()
	c.mov(4, t, r)
	c.store(4, envMem(c.e.opt.Vec.MXCSR), t)
	c.aluImm(aluOr, 4, R(t), csrMasks)
	c.store(4, spillMem(vecCSR), t)
	c.digit(opLdMXCSR, 4, 2, spillMem(vecCSR))
	return true
}

// vCvtFF converts between single and double precision; the prefix tells the source.
func vCvtFF(src uint8) vecSpecial {
	return func(c *compiler, in *ir.Inst) bool {
		scalar := ir.VecOp(in.Vec).IsScalar(in.Size)
		e := vecEnc{fpPrefix(src, scalar), map0F, 0x5a, encUn, 0, hfBase, hfAVX, hfAVX}
		if !scalar {
			if merges(in) {
				return c.vecLegacy(in, &e)
			}
			return c.vecVEX(in, &e)
		}
		if merges(in) && in.VA != in.VD {
			return false
		}
		e.form = encBin
		if merges(in) {
			return c.vecLegacy(in, &e)
		}
		return c.vecVEX(in, &e)
	}
}

// vCvtInt is CVTSI2Sx.
func vCvtInt(e op) vecSpecial {
	return func(c *compiler, in *ir.Inst) bool {
		if !c.form(in, hfBase) || merges(in) && in.VA != in.VD {
			return false
		}
		r := c.use(in.A)
		n := intBytes(in)
		d := dstReg(in.VD, xTemp0)
		if merges(in) {
			if d == xTemp0 {
				c.vload(d, c.vmem(in.VD), false)
			}
			c.rm(e, n, d, R(r))
		} else {
			a := c.vfetch(in.VA, xTemp1, true)
			c.vex(e.pfx, map0F, n == 8, false, e.code, d, a, R(r))
		}
		c.done(in.VD, d, !merges(in))
		return true
	}
}

// vCvtToInt is CVTSx2SI and CVTTSx2SI.
func vCvtToInt(e op) vecSpecial {
	return func(c *compiler, in *ir.Inst) bool {
		return c.intResult(in, func(d Reg) { c.rm(e, intBytes(in), d, c.vrm(in.VB)) })
	}
}

// vToHalf is VCVTPS2PH, whose destination is the r/m operand.
func vToHalf(c *compiler, in *ir.Inst) bool {
	if !c.has(hfF16C) || merges(in) {
		return false
	}
	s := c.vfetch(in.VB, xTemp1, true)
	d := dstReg(in.VD, xTemp0)
	c.vex(p66, map0F3A, false, in.Size == 32, 0x1d, s, NoReg, R(d))
	c.b1(byte(in.Imm))
	c.done(in.VD, d, true)
	return true
}

func vExtract128(c *compiler, in *ir.Inst) bool {
	if !c.has(hfAVX) || merges(in) {
		return false
	}
	s := c.vfetch(in.VB, xTemp1, true)
	d := dstReg(in.VD, xTemp0)
	c.vex(p66, map0F3A, false, true, 0x19, s, NoReg, R(d))
	c.b1(byte(in.Imm & 1))
	c.done(in.VD, d, true)
	return true
}

// vBroadcast128 inserts the low half of a register into its own upper half.
func vBroadcast128(c *compiler, in *ir.Inst) bool {
	if !c.has(hfAVX) || merges(in) {
		return false
	}
	s := c.vfetch(in.VB, xTemp1, true)
	d := dstReg(in.VD, xTemp0)
	c.vex(p66, map0F3A, false, true, 0x18, d, s, R(s))
	c.b1(1)
	c.done(in.VD, d, true)
	return true
}

// vImplicit0 is an operation whose legacy form has XMM0 as third operand; the VEX form (code is4, 0: none) names it.
func vImplicit0(leg op, is4 byte, f hostFeat) vecSpecial {
	return func(c *compiler, in *ir.Inst) bool {
		d := dstReg(in.VD, xTemp0)
		if merges(in) {
			if !c.has(f) || in.VC != 0 || in.VA != in.VD {
				return false
			}
			if d == xTemp0 {
				c.vload(d, c.vmem(in.VD), false)
			}
			c.rm(leg, 4, d, c.vrm(in.VB))
			c.done(in.VD, d, false)
			return true
		}
		if is4 == 0 || !c.has(hfAVX) || in.Size == 32 && is4 == 0x4c && !c.has(hfAVX2) {
			return false
		}
		a := c.vfetch(in.VA, xTemp0, true)
		m := c.vfetch(in.VC, xTemp1, true)
		c.vex(p66, map0F3A, false, in.Size == 32, is4, d, a, c.vrm(in.VB))
		c.b1(byte(m) << 4)
		c.done(in.VD, d, true)
		return true
	}
}

// vFromMMX converts two integers from a register of the x87 file, or from VT0 for the memory forms; otherwise it is the SSE2 form.
func vFromMMX(e op, size uint8) vecSpecial {
	return func(c *compiler, in *ir.Inst) bool {
		mem := isMMX(in.VB)
		if !mem && in.Size != 8 {
			return c.common(in)
		}
		if in.Size != size || !merges(in) {
			return false
		}
		src := c.vrm(in.VB)
		if !mem { // only memory and MMX registers can be named
			c.rm(opMovqSt, 4, c.vfetch(in.VB, xTemp1, false), spillMem(vecArg))
			src = spillMem(vecArg)
		}
		d := dstReg(in.VD, xTemp0)
		if d == xTemp0 {
			c.vload(d, c.vmem(in.VD), false)
		}
		c.rm(e, 4, d, src)
		c.done(in.VD, d, false)
		return true
	}
}

// vToMMX converts to two integers in a register of the x87 file; otherwise it is the SSE2 form.
func vToMMX(e op) vecSpecial {
	return func(c *compiler, in *ir.Inst) bool {
		if !isMMX(in.VD) {
			return c.common(in)
		}
		s := c.vfetch(in.VB, xTemp1, false)
		c.rm(e, 4, 0, R(s))
		c.rm(opMmxSt, 4, 0, c.vmem(in.VD))
		c.emms()
		return true
	}
}

// common emits an operation by its row in vecEncs.
func (c *compiler) common(in *ir.Inst) bool {
	e := &vecEncs[in.Vec]
	if merges(in) {
		return c.vecLegacy(in, e)
	}
	return c.vecVEX(in, e)
}

// vString is PCMPxSTRx. The host's fixed registers ECX (index), EAX and EDX (lengths) are lent by their owners.
func vString(code byte) vecSpecial {
	return func(c *compiler, in *ir.Inst) bool {
		o := ir.VecOp(in.Vec)
		use := o.Info().Use
		mask := use&ir.UseVD != 0
		if !c.has(hfSSE42) || mask && (in.VD != 0 || !merges(in) && !c.has(hfAVX)) {
			return false
		}
		c.clobber()
		t := target{reg: NoReg}
		if !mask {
			t = c.dest(t, ir.None)
		}
		a := c.vfetch(in.VA, xTemp0, false)
		if use&ir.UseA != 0 {
			la, lb := c.use(in.A), c.use(in.B)
			c.store(8, spillMem(vecArg), lb)
			c.store(8, spillMem(vecRAX), RAX)
			c.store(8, spillMem(vecArg2), RDX)
			c.mov(8, RAX, la)
			c.load(8, RDX, spillMem(vecArg))
		}
		if !mask {
			c.store(8, spillMem(vecCSR), RCX)
		}
		w := uint8(4)
		if use&ir.UseA != 0 {
			w = 8
		}
		if mask && !merges(in) {
			c.vex(p66, map0F3A, w == 8, false, code, a, NoReg, c.vrm(in.VB))
		} else {
			c.rm(op{p66, map0F3A, code, false}, w, a, c.vrm(in.VB))
		}
		c.b1(byte(in.Imm))
		if use&ir.UseA != 0 {
			c.load(8, RAX, spillMem(vecRAX))
			c.load(8, RDX, spillMem(vecArg2))
		}
		if !mask {
			c.mov(4, t.reg, RCX)
			if t.reg != RCX {
				c.load(8, RCX, spillMem(vecCSR))
			}
		}
		c.defined(in.FOut)
		if !mask {
			c.define(in.Dst, t)
		}
		return true
	}
}

// vInsertF32 needs its second operand in a register: in memory it would be a single element.
func vInsertF32(c *compiler, in *ir.Inst) bool {
	if _, ok := vpin(in.VB); !ok {
		c.vload(xTemp1, c.vmem(in.VB), false)
		in := *in
		in.VB = vTemp1
		return c.common(&in)
	}
	return c.common(in)
}
