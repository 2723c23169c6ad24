package x86

import "goemu/tcg/ir"

// vecRow describes one SIMD instruction: its legacy encoding, its VEX encoding, or both.
type vecRow struct {
	op   uint8
	pfx  uint8  // mandatory prefix: pNone, p66, pF3, pF2
	name string // legacy mnemonic; the VEX form has a v in front unless vexOnly
	form vecForm
	vop  ir.VecOp
	size uint8 // of a scalar or narrower operation; 0: the vector length
	msiz uint8 // of the memory operand if it is not size: bytes, or mHalf … of the vector length
	attr vecAttr
	feat vecFeat // CPUID feature of the legacy form; for vexOnly rows of the VEX form
	reg  uint8   // 0, or 1 + ModRM.reg for groups
}

// vecForm translates an instruction of one operand form.
type vecForm func(v *vecInsn)

// Mandatory prefixes.
const (
	pNone = iota
	p66
	pF3
	pF2
)

// Sizes of memory operands in terms of the vector length.
const (
	mHalf    = 0x82
	mQuarter = 0x84
	mEighth  = 0x88
)

// vecAttr are properties of a SIMD row.
type vecAttr uint16

const (
	mmx     vecAttr = 1 << iota // without prefix: an MMX instruction
	legOnly                     // no VEX form
	vexOnly                     // no legacy form
	vImm                        // an immediate byte follows
	avx2                        // the 256-bit form needs AVX2
	lig                         // VEX.L is ignored
	vl0                         // VEX.L must be 0
	vl1                         // VEX.L must be 1
	vw0                         // VEX.W must be 0
	vw1                         // VEX.W must be 1
	unal                        // a legacy 16-byte memory operand need not be aligned
	algn                        // the VEX form's memory operand must be aligned
	nods                        // VEX.vvvv must be 1111
	vMem                        // ModRM.mod 3 is #UD
	vReg                        // only ModRM.mod 3
	vex3                        // VEX.W selects 64-bit (for disassembly only)
)

// vecFeat names the CPUID feature that a row needs.
type vecFeat uint8

const (
	ftMMX vecFeat = iota
	ftSSE
	ftSSE2
	ftSSE3
	ftSSSE3
	ftSSE41
	ftSSE42
	ftAES
	ftPCLMUL
	ftSHA
	ftGFNI
	ftAVX
	ftAVX2
	ftFMA
	ftF16C
	numVecFeats
)

// sse0F is opcode map 0F.
var sse0F = []vecRow{
	{0x10, pNone, "movups", fLoad, ir.VMov, 0, 0, unal | nods, ftSSE, 0},
	{0x10, p66, "movupd", fLoad, ir.VMov, 0, 0, unal | nods, ftSSE2, 0},
	{0x10, pF3, "movss", fLoadScalar, ir.VMov, 4, 0, lig, ftSSE, 0},
	{0x10, pF2, "movsd", fLoadScalar, ir.VMov, 8, 0, lig, ftSSE2, 0},
	{0x11, pNone, "movups", fStore, ir.VMov, 0, 0, unal | nods, ftSSE, 0},
	{0x11, p66, "movupd", fStore, ir.VMov, 0, 0, unal | nods, ftSSE2, 0},
	{0x11, pF3, "movss", fStoreScalar, ir.VMov, 4, 0, lig, ftSSE, 0},
	{0x11, pF2, "movsd", fStoreScalar, ir.VMov, 8, 0, lig, ftSSE2, 0},
	{0x12, pNone, "movlps", fLoadLow, ir.VMovHL, 8, 0, vl0, ftSSE, 0},
	{0x12, p66, "movlpd", fLoadLow, ir.VMov, 8, 0, vl0 | vMem, ftSSE2, 0},
	{0x12, pF3, "movsldup", fUnary, ir.VMovDupL32, 0, 0, nods, ftSSE3, 0},
	{0x12, pF2, "movddup", fMovDDup, ir.VMovDup64, 0, 0, nods, ftSSE3, 0},
	{0x13, pNone, "movlps", fStoreLow, ir.VMov, 8, 0, vl0 | vMem | nods, ftSSE, 0},
	{0x13, p66, "movlpd", fStoreLow, ir.VMov, 8, 0, vl0 | vMem | nods, ftSSE2, 0},
	{0x14, pNone, "unpcklps", fBinary, ir.VUnpackL32, 0, 0, 0, ftSSE, 0},
	{0x14, p66, "unpcklpd", fBinary, ir.VUnpackL64, 0, 0, 0, ftSSE2, 0},
	{0x15, pNone, "unpckhps", fBinary, ir.VUnpackH32, 0, 0, 0, ftSSE, 0},
	{0x15, p66, "unpckhpd", fBinary, ir.VUnpackH64, 0, 0, 0, ftSSE2, 0},
	{0x16, pNone, "movhps", fLoadHigh, ir.VUnpackL64, 8, 0, vl0, ftSSE, 0},
	{0x16, p66, "movhpd", fLoadHigh, ir.VUnpackL64, 8, 0, vl0 | vMem, ftSSE2, 0},
	{0x16, pF3, "movshdup", fUnary, ir.VMovDupH32, 0, 0, nods, ftSSE3, 0},
	{0x17, pNone, "movhps", fStoreHigh, ir.VUnpackH64, 8, 0, vl0 | vMem | nods, ftSSE, 0},
	{0x17, p66, "movhpd", fStoreHigh, ir.VUnpackH64, 8, 0, vl0 | vMem | nods, ftSSE2, 0},
	{0x28, pNone, "movaps", fLoad, ir.VMov, 0, 0, algn | nods, ftSSE, 0},
	{0x28, p66, "movapd", fLoad, ir.VMov, 0, 0, algn | nods, ftSSE2, 0},
	{0x29, pNone, "movaps", fStore, ir.VMov, 0, 0, algn | nods, ftSSE, 0},
	{0x29, p66, "movapd", fStore, ir.VMov, 0, 0, algn | nods, ftSSE2, 0},
	{0x2a, pNone, "cvtpi2ps", fFromMMX, ir.VCvtI32F32, 8, 8, legOnly, ftSSE, 0},
	{0x2a, p66, "cvtpi2pd", fFromMMX, ir.VCvtI32F64, 16, 8, legOnly, ftSSE2, 0},
	{0x2a, pF3, "cvtsi2ss", fFromInt, ir.VCvtIntF32, 4, 0, lig, ftSSE, 0},
	{0x2a, pF2, "cvtsi2sd", fFromInt, ir.VCvtIntF64, 8, 0, lig, ftSSE2, 0},
	{0x2b, pNone, "movntps", fStore, ir.VMov, 0, 0, algn | nods | vMem, ftSSE, 0},
	{0x2b, p66, "movntpd", fStore, ir.VMov, 0, 0, algn | nods | vMem, ftSSE2, 0},
	{0x2c, pNone, "cvttps2pi", fToMMX, ir.VCvtTF32I32, 8, 8, legOnly, ftSSE, 0},
	{0x2c, p66, "cvttpd2pi", fToMMX, ir.VCvtTF64I32, 16, 16, legOnly, ftSSE2, 0},
	{0x2c, pF3, "cvttss2si", fToInt, ir.VCvtTF32Int, 4, 0, lig | nods, ftSSE, 0},
	{0x2c, pF2, "cvttsd2si", fToInt, ir.VCvtTF64Int, 8, 0, lig | nods, ftSSE2, 0},
	{0x2d, pNone, "cvtps2pi", fToMMX, ir.VCvtF32I32, 8, 8, legOnly, ftSSE, 0},
	{0x2d, p66, "cvtpd2pi", fToMMX, ir.VCvtF64I32, 16, 16, legOnly, ftSSE2, 0},
	{0x2d, pF3, "cvtss2si", fToInt, ir.VCvtF32Int, 4, 0, lig | nods, ftSSE, 0},
	{0x2d, pF2, "cvtsd2si", fToInt, ir.VCvtF64Int, 8, 0, lig | nods, ftSSE2, 0},
	{0x2e, pNone, "ucomiss", fCompare, ir.VComF32, 4, 0, lig | nods, ftSSE, 0},
	{0x2e, p66, "ucomisd", fCompare, ir.VComF64, 8, 0, lig | nods, ftSSE2, 0},
	{0x2f, pNone, "comiss", fCompareSig, ir.VComF32, 4, 0, lig | nods, ftSSE, 0},
	{0x2f, p66, "comisd", fCompareSig, ir.VComF64, 8, 0, lig | nods, ftSSE2, 0},
	{0x50, pNone, "movmskps", fMoveMask, ir.VMovMsk32, 0, 0, nods | vReg, ftSSE, 0},
	{0x50, p66, "movmskpd", fMoveMask, ir.VMovMsk64, 0, 0, nods | vReg, ftSSE2, 0},
	{0x51, pNone, "sqrtps", fUnary, ir.VSqrtF32, 0, 0, nods, ftSSE, 0},
	{0x51, p66, "sqrtpd", fUnary, ir.VSqrtF64, 0, 0, nods, ftSSE2, 0},
	{0x51, pF3, "sqrtss", fBinary, ir.VSqrtF32, 4, 0, lig, ftSSE, 0},
	{0x51, pF2, "sqrtsd", fBinary, ir.VSqrtF64, 8, 0, lig, ftSSE2, 0},
	{0x52, pNone, "rsqrtps", fUnary, ir.VRsqrtF32, 0, 0, nods, ftSSE, 0},
	{0x52, pF3, "rsqrtss", fBinary, ir.VRsqrtF32, 4, 0, lig, ftSSE, 0},
	{0x53, pNone, "rcpps", fUnary, ir.VRcpF32, 0, 0, nods, ftSSE, 0},
	{0x53, pF3, "rcpss", fBinary, ir.VRcpF32, 4, 0, lig, ftSSE, 0},
	{0x54, pNone, "andps", fBinary, ir.VAnd, 0, 0, 0, ftSSE, 0},
	{0x54, p66, "andpd", fBinary, ir.VAnd, 0, 0, 0, ftSSE2, 0},
	{0x55, pNone, "andnps", fBinary, ir.VAndN, 0, 0, 0, ftSSE, 0},
	{0x55, p66, "andnpd", fBinary, ir.VAndN, 0, 0, 0, ftSSE2, 0},
	{0x56, pNone, "orps", fBinary, ir.VOr, 0, 0, 0, ftSSE, 0},
	{0x56, p66, "orpd", fBinary, ir.VOr, 0, 0, 0, ftSSE2, 0},
	{0x57, pNone, "xorps", fBinary, ir.VXor, 0, 0, 0, ftSSE, 0},
	{0x57, p66, "xorpd", fBinary, ir.VXor, 0, 0, 0, ftSSE2, 0},
	{0x58, pNone, "addps", fBinary, ir.VAddF32, 0, 0, 0, ftSSE, 0},
	{0x58, p66, "addpd", fBinary, ir.VAddF64, 0, 0, 0, ftSSE2, 0},
	{0x58, pF3, "addss", fBinary, ir.VAddF32, 4, 0, lig, ftSSE, 0},
	{0x58, pF2, "addsd", fBinary, ir.VAddF64, 8, 0, lig, ftSSE2, 0},
	{0x59, pNone, "mulps", fBinary, ir.VMulF32, 0, 0, 0, ftSSE, 0},
	{0x59, p66, "mulpd", fBinary, ir.VMulF64, 0, 0, 0, ftSSE2, 0},
	{0x59, pF3, "mulss", fBinary, ir.VMulF32, 4, 0, lig, ftSSE, 0},
	{0x59, pF2, "mulsd", fBinary, ir.VMulF64, 8, 0, lig, ftSSE2, 0},
	{0x5a, pNone, "cvtps2pd", fWiden, ir.VCvtF32F64, 0, mHalf, nods, ftSSE2, 0},
	{0x5a, p66, "cvtpd2ps", fUnary, ir.VCvtF64F32, 0, 0, nods, ftSSE2, 0},
	{0x5a, pF3, "cvtss2sd", fBinary, ir.VCvtF32F64, 8, 4, lig, ftSSE2, 0},
	{0x5a, pF2, "cvtsd2ss", fBinary, ir.VCvtF64F32, 4, 8, lig, ftSSE2, 0},
	{0x5b, pNone, "cvtdq2ps", fUnary, ir.VCvtI32F32, 0, 0, nods, ftSSE2, 0},
	{0x5b, p66, "cvtps2dq", fUnary, ir.VCvtF32I32, 0, 0, nods, ftSSE2, 0},
	{0x5b, pF3, "cvttps2dq", fUnary, ir.VCvtTF32I32, 0, 0, nods, ftSSE2, 0},
	{0x5c, pNone, "subps", fBinary, ir.VSubF32, 0, 0, 0, ftSSE, 0},
	{0x5c, p66, "subpd", fBinary, ir.VSubF64, 0, 0, 0, ftSSE2, 0},
	{0x5c, pF3, "subss", fBinary, ir.VSubF32, 4, 0, lig, ftSSE, 0},
	{0x5c, pF2, "subsd", fBinary, ir.VSubF64, 8, 0, lig, ftSSE2, 0},
	{0x5d, pNone, "minps", fBinary, ir.VMinF32, 0, 0, 0, ftSSE, 0},
	{0x5d, p66, "minpd", fBinary, ir.VMinF64, 0, 0, 0, ftSSE2, 0},
	{0x5d, pF3, "minss", fBinary, ir.VMinF32, 4, 0, lig, ftSSE, 0},
	{0x5d, pF2, "minsd", fBinary, ir.VMinF64, 8, 0, lig, ftSSE2, 0},
	{0x5e, pNone, "divps", fBinary, ir.VDivF32, 0, 0, 0, ftSSE, 0},
	{0x5e, p66, "divpd", fBinary, ir.VDivF64, 0, 0, 0, ftSSE2, 0},
	{0x5e, pF3, "divss", fBinary, ir.VDivF32, 4, 0, lig, ftSSE, 0},
	{0x5e, pF2, "divsd", fBinary, ir.VDivF64, 8, 0, lig, ftSSE2, 0},
	{0x5f, pNone, "maxps", fBinary, ir.VMaxF32, 0, 0, 0, ftSSE, 0},
	{0x5f, p66, "maxpd", fBinary, ir.VMaxF64, 0, 0, 0, ftSSE2, 0},
	{0x5f, pF3, "maxss", fBinary, ir.VMaxF32, 4, 0, lig, ftSSE, 0},
	{0x5f, pF2, "maxsd", fBinary, ir.VMaxF64, 8, 0, lig, ftSSE2, 0},
	{0x7c, p66, "haddpd", fBinary, ir.VHAddF64, 0, 0, 0, ftSSE3, 0},
	{0x7c, pF2, "haddps", fBinary, ir.VHAddF32, 0, 0, 0, ftSSE3, 0},
	{0x7d, p66, "hsubpd", fBinary, ir.VHSubF64, 0, 0, 0, ftSSE3, 0},
	{0x7d, pF2, "hsubps", fBinary, ir.VHSubF32, 0, 0, 0, ftSSE3, 0},
	{0xc2, pNone, "cmpps", fCmp, ir.VCmpF32, 0, 0, vImm, ftSSE, 0},
	{0xc2, p66, "cmppd", fCmp, ir.VCmpF64, 0, 0, vImm, ftSSE2, 0},
	{0xc2, pF3, "cmpss", fCmp, ir.VCmpF32, 4, 0, vImm | lig, ftSSE, 0},
	{0xc2, pF2, "cmpsd", fCmp, ir.VCmpF64, 8, 0, vImm | lig, ftSSE2, 0},
	{0xc6, pNone, "shufps", fBinary, ir.VShufF32, 0, 0, vImm, ftSSE, 0},
	{0xc6, p66, "shufpd", fBinary, ir.VShufF64, 0, 0, vImm, ftSSE2, 0},
	{0xd0, p66, "addsubpd", fBinary, ir.VAddSubF64, 0, 0, 0, ftSSE3, 0},
	{0xd0, pF2, "addsubps", fBinary, ir.VAddSubF32, 0, 0, 0, ftSSE3, 0},
	{0xd6, p66, "movq", fStoreQ, ir.VMovZ64, 8, 0, vl0 | nods, ftSSE2, 0},
	{0xd6, pF3, "movq2dq", fMovQ2DQ, ir.VMovZ64, 8, 0, legOnly | vReg, ftSSE2, 0},
	{0xd6, pF2, "movdq2q", fMovDQ2Q, ir.VMov, 8, 0, legOnly | vReg, ftSSE2, 0},
	{0xe6, p66, "cvttpd2dq", fUnary, ir.VCvtTF64I32, 0, 0, nods, ftSSE2, 0},
	{0xe6, pF3, "cvtdq2pd", fWiden, ir.VCvtI32F64, 0, mHalf, nods, ftSSE2, 0},
	{0xe6, pF2, "cvtpd2dq", fUnary, ir.VCvtF64I32, 0, 0, nods, ftSSE2, 0},
	{0xe7, pNone, "movntq", fStore, ir.VMov, 0, 0, mmx | legOnly | vMem, ftSSE, 0},
	{0xe7, p66, "movntdq", fStore, ir.VMov, 0, 0, algn | nods | vMem, ftSSE2, 0},
	{0xf0, pF2, "lddqu", fLoad, ir.VMov, 0, 0, unal | nods | vMem, ftSSE3, 0},
	{0xf7, pNone, "maskmovq", fMaskMov, ir.VMov, 0, 0, mmx | legOnly | vReg, ftSSE, 0},
	{0xf7, p66, "maskmovdqu", fMaskMov, ir.VMov, 0, 0, nods | vReg | vl0, ftSSE2, 0},
}
