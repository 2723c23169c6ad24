package amd64

import "goemu/tcg/ir"

// vecEnc is the host encoding of a VecOp: legacy (dst = dst op src) and VEX (dst = src1 op src2) share opcode and map.
type vecEnc struct {
	pp, mp, code byte
	form         vecEncForm
	digit        byte // of shifts by an immediate
	leg, vex     hostFeat
	vex256       hostFeat // of the 256-bit form; noForm: there is none
}

// vecEncForm says how operands are placed.
type vecEncForm uint8

const (
	encNone    vecEncForm = iota // handled by a function of its own (vecSpecial)
	encBin                       // reg, vvvv, r/m
	encUn                        // reg, r/m
	encBinImm                    // with an immediate byte
	encUnImm                     //
	encFP                        // encBin, prefix by element and scalar
	encFPUn                      // packed: encUn, scalar: encBin
	encFPImm                     // encFP with an immediate byte
	encShift                     // vvvv, r/m, opcode extension, immediate
	encFMA                       // see fma
	encBinW                      // encBin with VEX.W
	encUnImmW                    //
	encBinImmW                   // encBinImm with VEX.W
	encRound                     // packed: encUnImm; scalar: encBinImm with opcode + 2
)

// hostFeat is a feature of the host CPU.
type hostFeat uint8

const (
	hfBase hostFeat = iota // SSE2
	hfSSE3
	hfSSSE3
	hfSSE41
	hfSSE42
	hfAES
	hfPCLMUL
	hfSHA
	hfGFNI
	hfAVX
	hfAVX2
	hfFMA
	hfF16C
	hfVAES
	hfVPCLMUL
	noForm
	numHostFeats = noForm
)

const p66 = 0x66

// intOp is an integer operation of map 0F with MMX, SSE2, AVX and AVX2 forms.
func intOp(code byte) vecEnc { return vecEnc{p66, map0F, code, encBin, 0, hfBase, hfAVX, hfAVX2} }

func intOp38(code byte, leg hostFeat) vecEnc {
	return vecEnc{p66, map0F38, code, encBin, 0, leg, hfAVX, hfAVX2}
}

func unOp38(code byte, leg hostFeat) vecEnc {
	return vecEnc{p66, map0F38, code, encUn, 0, leg, hfAVX, hfAVX2}
}

func fpOp(code byte) vecEnc { return vecEnc{0, map0F, code, encFP, 0, hfBase, hfAVX, hfAVX} }

func shiftI(code, digit byte) vecEnc {
	return vecEnc{p66, map0F, code, encShift, digit, hfBase, hfAVX, hfAVX2}
}

func vexOp(mp, code byte, f vecEncForm, h hostFeat) vecEnc {
	return vecEnc{p66, mp, code, f, 0, noForm, h, h}
}

func fma(code byte) vecEnc { return vecEnc{p66, map0F38, code, encFMA, 0, noForm, hfFMA, hfFMA} }

// vecEncs are the encodings of the operations that follow a common pattern.
var vecEncs = [ir.NumVecOps]vecEnc{
	ir.VAnd:  {p66, map0F, 0xdb, encBin, 0, hfBase, hfAVX, hfAVX2},
	ir.VAndN: {p66, map0F, 0xdf, encBin, 0, hfBase, hfAVX, hfAVX2},
	ir.VOr:   {p66, map0F, 0xeb, encBin, 0, hfBase, hfAVX, hfAVX2},
	ir.VXor:  {p66, map0F, 0xef, encBin, 0, hfBase, hfAVX, hfAVX2},

	ir.VAdd8: intOp(0xfc), ir.VAdd16: intOp(0xfd), ir.VAdd32: intOp(0xfe), ir.VAdd64: intOp(0xd4),
	ir.VSub8: intOp(0xf8), ir.VSub16: intOp(0xf9), ir.VSub32: intOp(0xfa), ir.VSub64: intOp(0xfb),
	ir.VAddS8: intOp(0xec), ir.VAddS16: intOp(0xed), ir.VAddU8: intOp(0xdc), ir.VAddU16: intOp(0xdd),
	ir.VSubS8: intOp(0xe8), ir.VSubS16: intOp(0xe9), ir.VSubU8: intOp(0xd8), ir.VSubU16: intOp(0xd9),
	ir.VAvgU8: intOp(0xe0), ir.VAvgU16: intOp(0xe3),
	ir.VMinU8: intOp(0xda), ir.VMinS16: intOp(0xea), ir.VMaxU8: intOp(0xde), ir.VMaxS16: intOp(0xee),
	ir.VMinS8: intOp38(0x38, hfSSE41), ir.VMinS32: intOp38(0x39, hfSSE41), ir.VMinU16: intOp38(0x3a, hfSSE41), ir.VMinU32: intOp38(0x3b, hfSSE41),
	ir.VMaxS8: intOp38(0x3c, hfSSE41), ir.VMaxS32: intOp38(0x3d, hfSSE41), ir.VMaxU16: intOp38(0x3e, hfSSE41), ir.VMaxU32: intOp38(0x3f, hfSSE41),
	ir.VCmpEq8: intOp(0x74), ir.VCmpEq16: intOp(0x75), ir.VCmpEq32: intOp(0x76), ir.VCmpEq64: intOp38(0x29, hfSSE41),
	ir.VCmpGt8: intOp(0x64), ir.VCmpGt16: intOp(0x65), ir.VCmpGt32: intOp(0x66), ir.VCmpGt64: intOp38(0x37, hfSSE42),
	ir.VMulLo16: intOp(0xd5), ir.VMulLo32: intOp38(0x40, hfSSE41), ir.VMulHiS16: intOp(0xe5), ir.VMulHiU16: intOp(0xe4),
	ir.VMulHrs16: intOp38(0x0b, hfSSSE3), ir.VMulU32: intOp(0xf4), ir.VMulS32: intOp38(0x28, hfSSE41),
	ir.VMAdd16: intOp(0xf5), ir.VMAddUS8: intOp38(0x04, hfSSSE3), ir.VSad8: intOp(0xf6),
	ir.VAbs8: unOp38(0x1c, hfSSSE3), ir.VAbs16: unOp38(0x1d, hfSSSE3), ir.VAbs32: unOp38(0x1e, hfSSSE3),
	ir.VSign8: intOp38(0x08, hfSSSE3), ir.VSign16: intOp38(0x09, hfSSSE3), ir.VSign32: intOp38(0x0a, hfSSSE3),
	ir.VHAdd16: intOp38(0x01, hfSSSE3), ir.VHAdd32: intOp38(0x02, hfSSSE3), ir.VHAddS16: intOp38(0x03, hfSSSE3),
	ir.VHSub16: intOp38(0x05, hfSSSE3), ir.VHSub32: intOp38(0x06, hfSSSE3), ir.VHSubS16: intOp38(0x07, hfSSSE3),
	ir.VMpSad:     {p66, map0F3A, 0x42, encBinImm, 0, hfSSE41, hfAVX, hfAVX2},
	ir.VMinPosU16: {p66, map0F38, 0x41, encUn, 0, hfSSE41, hfAVX, noForm},
	ir.VMovSx8x16: unOp38(0x20, hfSSE41), ir.VMovSx8x32: unOp38(0x21, hfSSE41), ir.VMovSx8x64: unOp38(0x22, hfSSE41),
	ir.VMovSx16x32: unOp38(0x23, hfSSE41), ir.VMovSx16x64: unOp38(0x24, hfSSE41), ir.VMovSx32x64: unOp38(0x25, hfSSE41),
	ir.VMovZx8x16: unOp38(0x30, hfSSE41), ir.VMovZx8x32: unOp38(0x31, hfSSE41), ir.VMovZx8x64: unOp38(0x32, hfSSE41),
	ir.VMovZx16x32: unOp38(0x33, hfSSE41), ir.VMovZx16x64: unOp38(0x34, hfSSE41), ir.VMovZx32x64: unOp38(0x35, hfSSE41),

	ir.VShl16: intOp(0xf1), ir.VShl32: intOp(0xf2), ir.VShl64: intOp(0xf3), ir.VShr16: intOp(0xd1), ir.VShr32: intOp(0xd2),
	ir.VShr64: intOp(0xd3), ir.VSar16: intOp(0xe1), ir.VSar32: intOp(0xe2),
	ir.VShlI16: shiftI(0x71, 6), ir.VShlI32: shiftI(0x72, 6), ir.VShlI64: shiftI(0x73, 6), ir.VShrI16: shiftI(0x71, 2),
	ir.VShrI32: shiftI(0x72, 2), ir.VShrI64: shiftI(0x73, 2), ir.VSarI16: shiftI(0x71, 4), ir.VSarI32: shiftI(0x72, 4),
	ir.VShlB: shiftI(0x73, 7), ir.VShrB: shiftI(0x73, 3),
	ir.VShlV32: vexOp(map0F38, 0x47, encBin, hfAVX2), ir.VShlV64: vexOp(map0F38, 0x47, encBinW, hfAVX2),
	ir.VShrV32: vexOp(map0F38, 0x45, encBin, hfAVX2), ir.VShrV64: vexOp(map0F38, 0x45, encBinW, hfAVX2),
	ir.VSarV32: vexOp(map0F38, 0x46, encBin, hfAVX2),

	ir.VPackS16: intOp(0x63), ir.VPackS32: intOp(0x6b), ir.VPackU16: intOp(0x67), ir.VPackU32: intOp38(0x2b, hfSSE41),
	ir.VUnpackL8: intOp(0x60), ir.VUnpackL16: intOp(0x61), ir.VUnpackL32: intOp(0x62), ir.VUnpackL64: intOp(0x6c),
	ir.VUnpackH8: intOp(0x68), ir.VUnpackH16: intOp(0x69), ir.VUnpackH32: intOp(0x6a), ir.VUnpackH64: intOp(0x6d),
	ir.VShuf8:   intOp38(0x00, hfSSSE3),
	ir.VShuf16:  {0, map0F, 0x70, encUnImm, 0, hfBase, noForm, noForm},
	ir.VShufL16: {0xf2, map0F, 0x70, encUnImm, 0, hfBase, hfAVX, hfAVX2},
	ir.VShufH16: {0xf3, map0F, 0x70, encUnImm, 0, hfBase, hfAVX, hfAVX2},
	ir.VShuf32:  {p66, map0F, 0x70, encUnImm, 0, hfBase, hfAVX, hfAVX2},
	ir.VShufF32: {0, map0F, 0xc6, encBinImm, 0, hfBase, hfAVX, hfAVX},
	ir.VShufF64: {p66, map0F, 0xc6, encBinImm, 0, hfBase, hfAVX, hfAVX},
	ir.VAlign:   {p66, map0F3A, 0x0f, encBinImm, 0, hfSSSE3, hfAVX, hfAVX2},
	ir.VPermV32: vexOp(map0F38, 0x36, encBin, hfAVX2), ir.VPerm64: vexOp(map0F3A, 0x00, encUnImmW, hfAVX2),
	ir.VPerm128: vexOp(map0F3A, 0x06, encBinImm, hfAVX), ir.VPermIn32: vexOp(map0F38, 0x0c, encBin, hfAVX),
	ir.VPermIn64: vexOp(map0F38, 0x0d, encBin, hfAVX), ir.VPermInI32: vexOp(map0F3A, 0x04, encUnImm, hfAVX),
	ir.VPermInI64: vexOp(map0F3A, 0x05, encUnImm, hfAVX),
	ir.VMovDup64:  {0xf2, map0F, 0x12, encUn, 0, hfSSE3, hfAVX, hfAVX}, ir.VMovDupL32: {0xf3, map0F, 0x12, encUn, 0, hfSSE3, hfAVX, hfAVX},
	ir.VMovDupH32: {0xf3, map0F, 0x16, encUn, 0, hfSSE3, hfAVX, hfAVX}, ir.VInsertF32: {p66, map0F3A, 0x21, encBinImm, 0, hfSSE41, hfAVX, noForm},
	ir.VBlend16: {p66, map0F3A, 0x0e, encBinImm, 0, hfSSE41, hfAVX, hfAVX2}, ir.VBlend32: {p66, map0F3A, 0x0c, encBinImm, 0, hfSSE41, hfAVX, hfAVX},
	ir.VBlend64:     {p66, map0F3A, 0x0d, encBinImm, 0, hfSSE41, hfAVX, hfAVX},
	ir.VBroadcast8:  vexOp(map0F38, 0x78, encUn, hfAVX2),
	ir.VBroadcast16: vexOp(map0F38, 0x79, encUn, hfAVX2), ir.VBroadcast32: vexOp(map0F38, 0x58, encUn, hfAVX2),
	ir.VBroadcast64: vexOp(map0F38, 0x59, encUn, hfAVX2), ir.VInsert128: vexOp(map0F3A, 0x18, encBinImm, hfAVX),

	ir.VAddF32: fpOp(0x58), ir.VAddF64: fpOp(0x58), ir.VMulF32: fpOp(0x59), ir.VMulF64: fpOp(0x59), ir.VSubF32: fpOp(0x5c), ir.VSubF64: fpOp(0x5c),
	ir.VMinF32: fpOp(0x5d), ir.VMinF64: fpOp(0x5d), ir.VDivF32: fpOp(0x5e), ir.VDivF64: fpOp(0x5e), ir.VMaxF32: fpOp(0x5f), ir.VMaxF64: fpOp(0x5f),
	ir.VSqrtF32: {0, map0F, 0x51, encFPUn, 0, hfBase, hfAVX, hfAVX}, ir.VSqrtF64: {0, map0F, 0x51, encFPUn, 0, hfBase, hfAVX, hfAVX},
	ir.VRsqrtF32: {0, map0F, 0x52, encFPUn, 0, hfBase, hfAVX, hfAVX}, ir.VRcpF32: {0, map0F, 0x53, encFPUn, 0, hfBase, hfAVX, hfAVX},
	ir.VHAddF32: {0xf2, map0F, 0x7c, encBin, 0, hfSSE3, hfAVX, hfAVX}, ir.VHAddF64: {p66, map0F, 0x7c, encBin, 0, hfSSE3, hfAVX, hfAVX},
	ir.VHSubF32: {0xf2, map0F, 0x7d, encBin, 0, hfSSE3, hfAVX, hfAVX}, ir.VHSubF64: {p66, map0F, 0x7d, encBin, 0, hfSSE3, hfAVX, hfAVX},
	ir.VAddSubF32: {0xf2, map0F, 0xd0, encBin, 0, hfSSE3, hfAVX, hfAVX}, ir.VAddSubF64: {p66, map0F, 0xd0, encBin, 0, hfSSE3, hfAVX, hfAVX},
	ir.VCmpF32: {0, map0F, 0xc2, encFPImm, 0, hfBase, hfAVX, hfAVX}, ir.VCmpF64: {0, map0F, 0xc2, encFPImm, 0, hfBase, hfAVX, hfAVX},
	ir.VRoundF32: {p66, map0F3A, 0x08, encRound, 0, hfSSE41, hfAVX, hfAVX}, ir.VRoundF64: {p66, map0F3A, 0x09, encRound, 0, hfSSE41, hfAVX, hfAVX},
	ir.VDpF32: {p66, map0F3A, 0x40, encBinImm, 0, hfSSE41, hfAVX, hfAVX}, ir.VDpF64: {p66, map0F3A, 0x41, encBinImm, 0, hfSSE41, hfAVX, noForm},

	ir.VFMAddSubF32: fma(0x96), ir.VFMAddSubF64: fma(0x96), ir.VFMSubAddF32: fma(0x97), ir.VFMSubAddF64: fma(0x97),
	ir.VFMAddF32: fma(0x98), ir.VFMAddF64: fma(0x98), ir.VFMSubF32: fma(0x9a), ir.VFMSubF64: fma(0x9a),
	ir.VFNMAddF32: fma(0x9c), ir.VFNMAddF64: fma(0x9c), ir.VFNMSubF32: fma(0x9e), ir.VFNMSubF64: fma(0x9e),

	ir.VCvtI32F32: {0, map0F, 0x5b, encUn, 0, hfBase, hfAVX, hfAVX}, ir.VCvtI32F64: {0xf3, map0F, 0xe6, encUn, 0, hfBase, hfAVX, hfAVX},
	ir.VCvtF32I32: {p66, map0F, 0x5b, encUn, 0, hfBase, hfAVX, hfAVX}, ir.VCvtTF32I32: {0xf3, map0F, 0x5b, encUn, 0, hfBase, hfAVX, hfAVX},
	ir.VCvtF64I32: {0xf2, map0F, 0xe6, encUn, 0, hfBase, hfAVX, hfAVX}, ir.VCvtTF64I32: {p66, map0F, 0xe6, encUn, 0, hfBase, hfAVX, hfAVX},
	ir.VCvtF16F32: vexOp(map0F38, 0x13, encUn, hfF16C),

	ir.VAesEnc: {p66, map0F38, 0xdc, encBin, 0, hfAES, hfAVX, hfVAES}, ir.VAesEncLast: {p66, map0F38, 0xdd, encBin, 0, hfAES, hfAVX, hfVAES},
	ir.VAesDec: {p66, map0F38, 0xde, encBin, 0, hfAES, hfAVX, hfVAES}, ir.VAesDecLast: {p66, map0F38, 0xdf, encBin, 0, hfAES, hfAVX, hfVAES},
	ir.VAesIMC: {p66, map0F38, 0xdb, encUn, 0, hfAES, hfAVX, noForm}, ir.VAesKeyGen: {p66, map0F3A, 0xdf, encUnImm, 0, hfAES, hfAVX, noForm},
	ir.VClMul:     {p66, map0F3A, 0x44, encBinImm, 0, hfPCLMUL, hfAVX, hfVPCLMUL},
	ir.VSha1Rnds4: {0, map0F3A, 0xcc, encBinImm, 0, hfSHA, noForm, noForm}, ir.VSha1NextE: {0, map0F38, 0xc8, encBin, 0, hfSHA, noForm, noForm},
	ir.VSha1Msg1: {0, map0F38, 0xc9, encBin, 0, hfSHA, noForm, noForm}, ir.VSha1Msg2: {0, map0F38, 0xca, encBin, 0, hfSHA, noForm, noForm},
	ir.VSha256Msg1: {0, map0F38, 0xcc, encBin, 0, hfSHA, noForm, noForm}, ir.VSha256Msg2: {0, map0F38, 0xcd, encBin, 0, hfSHA, noForm, noForm},
	ir.VGfMul:    {p66, map0F38, 0xcf, encBin, 0, hfGFNI, hfGFNI, hfGFNI},
	ir.VGfAffine: {p66, map0F3A, 0xce, encBinImmW, 0, hfGFNI, hfGFNI, hfGFNI},
	ir.VGfAffInv: {p66, map0F3A, 0xcf, encBinImmW, 0, hfGFNI, hfGFNI, hfGFNI},
}
