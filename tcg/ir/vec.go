package ir

// VF0 … VF7 are the eight 80-bit registers of a stack or flat floating-point unit, by physical number; the SIMD operations of Size 8
// see their low 8 bytes (MMX). The vector registers below them are 32 bytes each.
const (
	VF0 VReg = 32 + iota
	VF1
	VF2
	VF3
	VF4
	VF5
	VF6
	VF7
)

// VecLayout tells an engine where the vector state lies in the CPU environment (offsets in bytes).
type VecLayout struct {
	V     uint32 // 16 vector registers and VT0 … VT2, 32 bytes each
	FP    uint32 // VF0 … VF7, 16 bytes each (10 used)
	MXCSR uint32 // 4 bytes: rounding, masks, sticky exception flags as on x86
	FPCW  uint32 // 2 bytes: x87 control word
	FPSW  uint32 // 2 bytes: x87 status word without TOP
}

// Offset is the place of a vector register (not VNone).
func (l *VecLayout) Offset(v VReg) uint32 {
	if v >= VF0 {
		return l.FP + uint32(v-VF0)*16
	}
	return l.V + uint32(v)*32
}

// VecOp is a SIMD operation (Inst.Vec of OpVec).
//
// Inst.Size is the width: 8 (MMX or half a register), 16 or 32 bytes; a floating-point operation of the element's own size is scalar.
// Operations on 32 bytes treat the two 16-byte lanes alike and apart unless said otherwise. Operands are read before results are
// written. What is above the result:
//   - packed: bytes from Size up are kept with AttrMerge, else zeroed up to 32 (VF registers: never touched);
//   - scalar (Scalar in the table): only the low element is computed; with AttrMerge all other bytes of VD are kept, without it bytes
//     up to 16 are those of VA (of VD for fused multiply-add) and bytes 16…31 are zeroed.
//
// One-operand operations have it in VB (VA is then only what scalar ones pass through; VNone for packed ones). The immediate is Inst.Imm. Floating point
// follows MXCSR: rounding, FTZ, DAZ, x86 rules for NaN, sticky flags. With AttrSoft exceptions may be unmasked: if one occurs the result
// is not written, and Dst2, when present, is the set of unmasked exceptions that occurred (bits as in MXCSR), else 0.
type VecOp uint16

// The operations. Element types: 8…64 integer bits (S signed, U unsigned where it matters), F16, F32, F64.
const (
	VInvalid VecOp = iota

	// Moves and bit operations.
	VMov       // VD = VB; Size 4 and 8: scalar
	VMovZ64    // VD = low 8 bytes of VB, zero-extended to 16 (any register kind)
	VAnd       // VA & VB
	VAndN      // ^VA & VB
	VOr        // VA | VB
	VXor       // VA ^ VB
	VFromInt   // VD = low Imm bytes (4, 8) of A, zero-extended to Size
	VToInt     // Dst = low Imm bytes (4, 8) of VB, zero-extended
	VExtract8  // Dst = element Imm of VB, zero-extended
	VExtract16 // likewise
	VExtract32
	VExtract64
	VInsert8 // VD = VA with element Imm replaced by the low bits of A
	VInsert16
	VInsert32
	VInsert64
	VMovMsk8  // Dst = the sign bits of VB's bytes
	VMovMsk32 // … of its 32-bit elements
	VMovMsk64
	VTest     // flags: Z = (VA & VB == 0), C = (^VA & VB == 0), others 0
	VTest32   // likewise looking only at the sign bits of 32-bit elements
	VTest64   // … of 64-bit elements
	VZeroHigh // bytes 16…31 of the first Imm vector registers = 0
	VZeroAll  // the first Imm vector registers = 0
	VGetCSR   // Dst = MXCSR
	VSetCSR   // MXCSR = A (the caller has checked it; no exception is unmasked)

	// Integer arithmetic.
	VAdd8
	VAdd16
	VAdd32
	VAdd64
	VSub8
	VSub16
	VSub32
	VSub64
	VAddS8 // saturating
	VAddS16
	VAddU8
	VAddU16
	VSubS8
	VSubS16
	VSubU8
	VSubU16
	VAvgU8 // (a + b + 1) >> 1
	VAvgU16
	VMinS8
	VMinS16
	VMinS32
	VMinU8
	VMinU16
	VMinU32
	VMaxS8
	VMaxS16
	VMaxS32
	VMaxU8
	VMaxU16
	VMaxU32
	VCmpEq8 // all ones or zero
	VCmpEq16
	VCmpEq32
	VCmpEq64
	VCmpGt8 // signed
	VCmpGt16
	VCmpGt32
	VCmpGt64
	VMulLo16
	VMulLo32
	VMulHiS16
	VMulHiU16
	VMulHrs16 // (a * b >> 14) + 1 >> 1
	VMulU32   // 64-bit products of the even 32-bit elements
	VMulS32
	VMAdd16  // sums of neighbouring products of signed 16-bit elements
	VMAddUS8 // saturated sums of neighbouring products: VA unsigned, VB signed
	VSad8    // sums of absolute differences of 8 bytes each, in 64-bit elements
	VAbs8
	VAbs16
	VAbs32
	VSign8 // VA with the sign of VB (0 where VB is 0)
	VSign16
	VSign32
	VHAdd16 // sums of neighbours: the low half from VA, the high half from VB
	VHAdd32
	VHAddS16 // saturating
	VHSub16
	VHSub32
	VHSubS16
	VMpSad     // MPSADBW with Imm
	VMinPosU16 // PHMINPOSUW
	VMovSx8x16 // widen the low elements of VB; Size is the result's
	VMovSx8x32
	VMovSx8x64
	VMovSx16x32
	VMovSx16x64
	VMovSx32x64
	VMovZx8x16
	VMovZx8x32
	VMovZx8x64
	VMovZx16x32
	VMovZx16x64
	VMovZx32x64

	// Shifts: by the low 64 bits of VB (not truncated), by Imm (0…255), by VB's elements (variable).
	VShl16
	VShl32
	VShl64
	VShr16
	VShr32
	VShr64
	VSar16
	VSar32
	VShlI16 // VB << Imm
	VShlI32
	VShlI64
	VShrI16
	VShrI32
	VShrI64
	VSarI16
	VSarI32
	VShlB // whole 16-byte lanes of VB by Imm bytes
	VShrB
	VShlV32
	VShlV64
	VShrV32
	VShrV64
	VSarV32

	// Packing, interleaving, shuffling.
	VPackS16 // to signed bytes
	VPackS32
	VPackU16 // signed words to unsigned bytes
	VPackU32
	VUnpackL8
	VUnpackL16
	VUnpackL32
	VUnpackL64
	VUnpackH8
	VUnpackH16
	VUnpackH32
	VUnpackH64
	VShuf8      // PSHUFB: VA's bytes selected by VB
	VShuf16     // PSHUFW (Size 8 only): four words of VB by Imm
	VShufL16    // PSHUFLW
	VShufH16    // PSHUFHW
	VShuf32     // PSHUFD
	VShufF32    // SHUFPS: two of VA, two of VB
	VShufF64    // SHUFPD
	VAlign      // PALIGNR: VA:VB >> Imm bytes
	VPermV32    // VPERMD, VPERMPS: VB's elements selected by VA, across lanes
	VPerm64     // VPERMQ, VPERMPD: VB by Imm, across lanes
	VPerm128    // VPERM2F128
	VPermIn32   // VPERMILPS: VA by VB's elements
	VPermIn64   // VPERMILPD
	VPermInI32  // VPERMILPS: VB by Imm
	VPermInI64  // VPERMILPD
	VMovDup64   // even 64-bit elements of VB twice
	VMovDupL32  // even 32-bit elements twice (MOVSLDUP)
	VMovDupH32  // odd 32-bit elements twice (MOVSHDUP)
	VMovHL      // low 8 = high 8 of VB, high 8 = high 8 of VA
	VInsertF32  // INSERTPS with a register operand
	VBlend16    // elements of VB where Imm's bits are 1 (the same 8 bits for both lanes), else VA
	VBlend32    // likewise, 8 bits for the 8 elements
	VBlend64    // likewise
	VBlendV8    // VB where the sign bits of VC's elements are 1, else VA
	VBlendV32   //
	VBlendV64   //
	VBroadcast8 // of the lowest element of VB
	VBroadcast16
	VBroadcast32
	VBroadcast64
	VBroadcast128
	VExtract128 // VD = lane Imm&1 of VB; Size 16
	VInsert128  // VD = VA with lane Imm&1 replaced by VB's low lane; Size 32

	// Floating point, packed and scalar.
	VAddF32
	VAddF64
	VSubF32
	VSubF64
	VMulF32
	VMulF64
	VDivF32
	VDivF64
	VMinF32 // VB if either is NaN or both are zero
	VMinF64
	VMaxF32
	VMaxF64
	VSqrtF32
	VSqrtF64
	VRcpF32   // relative error at most 1.5 * 2^-12
	VRsqrtF32 // likewise
	VHAddF32
	VHAddF64
	VHSubF32
	VHSubF64
	VAddSubF32
	VAddSubF64
	VCmpF32 // predicate Imm (0…31)
	VCmpF64
	VComF32 // flags: Z, P, C as COMISS of VA, VB; others 0; Imm 1: quiet NaN is invalid too
	VComF64
	VRoundF32 // Imm as ROUNDPS
	VRoundF64
	VDpF32 // DPPS with Imm
	VDpF64

	// Fused multiply-add: VD = ±(VA * VB) ± VC. Scalars keep bytes up to 16 of VD.
	VFMAddF32
	VFMAddF64
	VFMSubF32
	VFMSubF64
	VFNMAddF32
	VFNMAddF64
	VFNMSubF32
	VFNMSubF64
	VFMAddSubF32
	VFMAddSubF64
	VFMSubAddF32
	VFMSubAddF64

	// Conversions. Packed ones of different widths have the Size of the wider side; a narrower result lies in the low half and the other
	// half up to 16 is zero. With a VF register as VB or VD, Size is 8 (two elements, one side 16 for F64; AttrMerge for a vector VD).
	VCvtI32F32  // CVTDQ2PS, CVTPI2PS
	VCvtI32F64  // CVTDQ2PD, CVTPI2PD (Size 16)
	VCvtF32I32  // CVTPS2DQ, CVTPS2PI
	VCvtTF32I32 // truncating
	VCvtF64I32  // CVTPD2DQ, CVTPD2PI (Size 16)
	VCvtTF64I32
	VCvtF32F64  // CVTPS2PD; scalar CVTSS2SD: Size 8 (result)
	VCvtF64F32  // CVTPD2PS; scalar CVTSD2SS: Size 4 (result)
	VCvtF16F32  // VCVTPH2PS: Size is the result's
	VCvtF32F16  // VCVTPS2PH: Size is the source's, Imm the rounding control
	VCvtIntF32  // scalar: VD = the signed integer A of Imm bytes (4, 8)
	VCvtIntF64  //
	VCvtF32Int  // Dst = VB's low element as a signed integer of Imm bytes, zero-extended
	VCvtF64Int  //
	VCvtTF32Int // truncating
	VCvtTF64Int

	// Cryptography and strings.
	VAesEnc // VA state, VB round key
	VAesEncLast
	VAesDec
	VAesDecLast
	VAesIMC    // of VB
	VAesKeyGen // of VB, Imm
	VClMul     // PCLMULQDQ
	VSha1Rnds4 // VA, VB, Imm
	VSha1NextE
	VSha1Msg1
	VSha1Msg2
	VSha256Rnds2 // VA, VB, VC = message words and constants
	VSha256Msg1
	VSha256Msg2
	VGfMul      // GF2P8MULB
	VGfAffine   // GF2P8AFFINEQB with Imm
	VGfAffInv   // GF2P8AFFINEINVQB with Imm
	VStrIndex   // PCMPISTRI: Dst = index, flags; Imm
	VStrMask    // PCMPISTRM: VD = mask, flags
	VStrLenIdx  // PCMPESTRI: lengths of VA and VB are A and B as signed 64-bit integers
	VStrLenMask // PCMPESTRM

	NumVecOps
)

// VecUse is the set of fields of Inst that an operation uses.
type VecUse uint16

// The fields.
const (
	UseVD VecUse = 1 << iota // written
	UseVA
	UseVB
	UseVC
	UseImm
	UseA
	UseB
	UseDst
	UseDst2
	UseFOut
	UseFIn
	UseCond
	UseVC2 // VC is a second result

	useBin   = UseVD | UseVA | UseVB
	useUn    = UseVD | UseVB
	useBinI  = useBin | UseImm
	useUnI   = useUn | UseImm
	useTri   = useBin | UseVC
	useFlags = UseVA | UseVB | UseFOut
	useToInt = UseDst | UseVB | UseImm
)

// VecInfo describes a VecOp.
type VecInfo struct {
	Name   string
	Use    VecUse
	Elem   uint8 // element size in bytes (of the wider side for conversions); 0 when the bytes have no structure
	Sizes  uint8 // OR of the sizes that may occur
	Scalar bool  // Size == scalar size means one element (Scalar rule for the upper bytes)
	FP     bool  // follows MXCSR and may raise floating-point exceptions
}

// Info is the row of a VecOp; operations that do not exist have an empty name.
func (o VecOp) Info() *VecInfo {
	if o >= NumVecOps {
		o = VInvalid
	}
	return &vecTable[o]
}

func (o VecOp) String() string { return o.Info().Name }

// IsScalar tells whether the operation on size bytes computes one element only.
func (o VecOp) IsScalar(size uint8) bool {
	i := o.Info()
	if !i.Scalar {
		return false
	}
	switch o {
	case VMov:
		return size <= 8
	case VCvtF32F64:
		return size == 8
	case VCvtF64F32:
		return size == 4
	}
	return size == i.Elem
}
