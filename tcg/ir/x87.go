package ir

// X87Op is an operation on 80-bit floating-point registers (Inst.Vec of OpX87).
//
// Registers are named by physical number: VF0 … VF7 in VD, VA, VB, VC; the low 10 bytes of VT1 and VT2 are temporaries. The stack top is not known here: frontends translate for
// a known top and keep the environment's copy up to date by OpStEnv, likewise the tags. Operations follow the control word
// (rounding, precision) and collect exception flags in the status word; masked responses are those of x87 with all registers valid.
// Operations marked C set the condition bits C0…C3 of the status word as documented for the x87 instruction; all others leave them
// alone, but may clear or set C1. With AttrSoft exceptions may be unmasked: an unmasked invalid operation, denormal operand or
// division by zero leaves the destination unchanged and gives 1 in Dst2 where that is present (otherwise 0; not X87ToBCD, which has a
// result there); any unmasked exception sets ES and B in the status word.
type X87Op uint16

// The operations.
const (
	X87Invalid X87Op = iota

	X87Mov     // VD = VA, all 80 bits, no exception
	X87Xchg    // VA ↔ VB, likewise
	X87Select  // VD = VA if Cond(FIn), likewise
	X87Const   // VD = constant Imm: X87One…, rounded as RC says
	X87Add     // VD = VA + VB
	X87Sub     // VD = VA - VB
	X87Mul     // VD = VA * VB
	X87Div     // VD = VA / VB
	X87Sqrt    // VD = √VA
	X87Abs     // VD = |VA|
	X87Chs     // VD = -VA
	X87Round   // VD = VA rounded to an integer (FRNDINT)
	X87Scale   // VD = VA * 2^trunc(VB)
	X87Extract // FXTRACT of VA: VD = exponent, VC = significand
	X87Rem     // C: FPREM step of VA by VB
	X87Rem1    // C: FPREM1

	X87F2XM1   // VD = 2^VA - 1
	X87FYL2X   // VD = VA * log2(VB)
	X87FYL2XP1 // VD = VA * log2(VB + 1)
	X87FPAtan  // VD = arctan(VA / VB)
	X87FSin    // C: VD = sin VA. FSIN…FPTAN: Dst = 1 and C2 set, no result, if |VA| is 2^63 or more; else Dst = 0, C2 clear
	X87FCos    // C
	X87FSinCos // C: VD = sin VA, VC = cos VA
	X87FPTan   // C: VD = tan VA, VC = 1.0 (both the NaN if VA is one)

	X87Com  // C: compare VA with VB; Imm 1: unordered compare (only signalling NaN is invalid)
	X87ComF // the same, result in FOut: Z, P, C as FCOMI, others 0; C1 cleared
	X87Tst  // C: compare VA with +0.0
	X87Xam  // C: class of VA; A = 1 if the register is empty

	X87FromF32 // VD = the single-precision value with bits A
	X87FromF64 // VD = the double-precision value with bits A
	X87FromInt // VD = the signed 64-bit integer A
	X87FromBCD // VD = the packed decimal with bytes 0…7 in A, 8…9 in B
	X87ToF32   // Dst = bits of VA rounded to single precision
	X87ToF64
	X87ToI16 // Dst = VA rounded to a signed integer as RC says, zero-extended
	X87ToI32
	X87ToI64
	X87ToI16T // truncating
	X87ToI32T
	X87ToI64T
	X87ToBCD // Dst, Dst2 = packed decimal of VA: bytes 0…7, 8…9

	X87GetSW   // Dst = status word without TOP
	X87ClearSW // clear the exception flags, SF, ES and B (FNCLEX)
	X87SetCW   // control word = A, which masks all exceptions

	NumX87Ops
)

// Constants of X87Const.
const (
	X87One  = iota // 1
	X87L2T         // log2 10
	X87L2E         // log2 e
	X87Pi          // π
	X87LG2         // log10 2
	X87LN2         // ln 2
	X87Zero        // 0
	NumX87Consts
)

const (
	useX1 = UseVD | UseVA
	useX2 = UseVD | UseVA | UseVB
)

// x87Table has the properties of every X87Op; Elem and Sizes are unused.
var x87Table = [NumX87Ops]VecInfo{
	X87Mov:     {Name: "fmov", Use: useX1},
	X87Xchg:    {Name: "fxchg", Use: UseVA | UseVB},
	X87Select:  {Name: "fselect", Use: useX1 | UseFIn | UseCond},
	X87Const:   {Name: "fconst", Use: UseVD | UseImm},
	X87Add:     {Name: "fadd", Use: useX2, FP: true},
	X87Sub:     {Name: "fsub", Use: useX2, FP: true},
	X87Mul:     {Name: "fmul", Use: useX2, FP: true},
	X87Div:     {Name: "fdiv", Use: useX2, FP: true},
	X87Sqrt:    {Name: "fsqrt", Use: useX1, FP: true},
	X87Abs:     {Name: "fabs", Use: useX1},
	X87Chs:     {Name: "fchs", Use: useX1},
	X87Round:   {Name: "frndint", Use: useX1, FP: true},
	X87Scale:   {Name: "fscale", Use: useX2, FP: true},
	X87Extract: {Name: "fxtract", Use: useX1 | UseVC2, FP: true},
	X87Rem:     {Name: "fprem", Use: useX2, FP: true},
	X87Rem1:    {Name: "fprem1", Use: useX2, FP: true},
	X87F2XM1:   {Name: "f2xm1", Use: useX1, FP: true},
	X87FYL2X:   {Name: "fyl2x", Use: useX2, FP: true},
	X87FYL2XP1: {Name: "fyl2xp1", Use: useX2, FP: true},
	X87FPAtan:  {Name: "fpatan", Use: useX2, FP: true},
	X87FSin:    {Name: "fsin", Use: useX1 | UseDst, FP: true},
	X87FCos:    {Name: "fcos", Use: useX1 | UseDst, FP: true},
	X87FSinCos: {Name: "fsincos", Use: useX1 | UseVC2 | UseDst, FP: true},
	X87FPTan:   {Name: "fptan", Use: useX1 | UseVC2 | UseDst, FP: true},
	X87Com:     {Name: "fcom", Use: UseVA | UseVB | UseImm, FP: true},
	X87ComF:    {Name: "fcomf", Use: useFlags | UseImm, FP: true},
	X87Tst:     {Name: "ftst", Use: UseVA, FP: true},
	X87Xam:     {Name: "fxam", Use: UseVA | UseA},
	X87FromF32: {Name: "fromf32", Use: UseVD | UseA, FP: true},
	X87FromF64: {Name: "fromf64", Use: UseVD | UseA, FP: true},
	X87FromInt: {Name: "fromint", Use: UseVD | UseA},
	X87FromBCD: {Name: "frombcd", Use: UseVD | UseA | UseB},
	X87ToF32:   {Name: "tof32", Use: UseDst | UseVA, FP: true},
	X87ToF64:   {Name: "tof64", Use: UseDst | UseVA, FP: true},
	X87ToI16:   {Name: "toi16", Use: UseDst | UseVA, FP: true},
	X87ToI32:   {Name: "toi32", Use: UseDst | UseVA, FP: true},
	X87ToI64:   {Name: "toi64", Use: UseDst | UseVA, FP: true},
	X87ToI16T:  {Name: "toi16t", Use: UseDst | UseVA, FP: true},
	X87ToI32T:  {Name: "toi32t", Use: UseDst | UseVA, FP: true},
	X87ToI64T:  {Name: "toi64t", Use: UseDst | UseVA, FP: true},
	X87ToBCD:   {Name: "tobcd", Use: UseDst | UseDst2 | UseVA, FP: true},
	X87GetSW:   {Name: "getsw", Use: UseDst},
	X87ClearSW: {Name: "clearsw"},
	X87SetCW:   {Name: "setcw", Use: UseA},
}

// Info is the row of an X87Op; operations that do not exist have an empty name.
func (o X87Op) Info() *VecInfo {
	if o >= NumX87Ops {
		o = X87Invalid
	}
	return &x87Table[o]
}

func (o X87Op) String() string { return o.Info().Name }
