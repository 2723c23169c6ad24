package ir

// Op is an operation.
type Op uint8

// The operations. A, B, C are Inst.A…; dst and dst2 are Inst.Dst and Inst.Dst2; f means that FOut may be set, fin that FIn may.
const (
	OpInvalid Op = iota

	// Structure.
	OpInsn // start of a guest instruction; Imm = its program counter, Size = its length in bytes

	// State.
	OpConst    // dst = Imm (ValInfo.IsConst)
	OpGet      // dst = global Global
	OpSet      // global Global = A
	OpLdEnv    // dst = zero-extended field of Size bytes at env offset Imm; Signed (Mem.Signed) sign-extends
	OpStEnv    // field of Size bytes at env offset Imm = A
	OpGetFlags // f: the guest's current flags
	OpSetFlags // the guest's current flags = FIn
	OpImage    // dst = image of FIn (Flag* bits, others 0)
	OpFromImg  // f: flags from the image A (bits outside FlagAll ignored)

	// Arithmetic; all take Size.
	OpAdd  // dst = A + B, f
	OpSub  // dst = A - B, f (dst may be None: compare)
	OpAnd  // dst = A & B, f (dst may be None: test)
	OpOr   // dst = A | B, f
	OpXor  // dst = A ^ B, f
	OpAndN // dst = ^A & B, f
	OpNot  // dst = ^A
	OpNeg  // dst = -A, f
	OpAdc  // dst = A + B + carry(FIn), f
	OpSbb  // dst = A - B - carry(FIn), f
	OpInc  // dst = A + 1, f with the carry of FIn (FIn may be None when nobody needs the carry)
	OpDec  // dst = A - 1, likewise
	OpAdcx // dst = A + B + C(FIn); f changes only C
	OpAdox // dst = A + B + V(FIn); f changes only V

	// Shifts. The count is B & 63 for Size 8, else B & 31. With a zero count dst = A and f = FIn. FIn may be None (but for rotations
	// through carry) if the bits of f that come from it do not matter: always when FOut is None.
	OpShl  // f
	OpShr  // f
	OpSar  // f
	OpRol  // f: C and V change, the others come from FIn (for Size 1 and 2 the count is taken modulo the width, C as on x86)
	OpRor  // f: likewise
	OpRcl  // rotate through carry(FIn), f likewise
	OpRcr  // f
	OpShld // dst = A shifted left by C, filled from the top of B; f
	OpShrd // dst = A shifted right by C, filled from the bottom of B; f
	OpShlx // dst = A << (B & mask), no flags, no fin
	OpShrx // dst = A >> (B & mask)
	OpSarx // dst = A >> (B & mask), arithmetic
	OpRorx // dst = A rotated right by B

	// Multiplication and division.
	OpMul  // dst = low half of A * B, f as signed multiply (C = V = the product does not fit)
	OpMulU // dst = low, dst2 = high half of the unsigned product (Size 1: halves are bytes), f (C = V = high half not zero)
	OpMulS // likewise signed; f (C = V = high half is not the sign of the low half)
	OpDivU // (B:A) / C, unsigned: dst = quotient, dst2 = remainder; leaves by ExitDivide if C is 0 or the quotient does not fit
	OpDivS // likewise signed (truncating)

	// Bits.
	OpBsf    // dst = index of the lowest set bit of A, or B if A is 0 (B unextended for Size 4, see x86); f: Z = (A == 0)
	OpBsr    // likewise highest
	OpTzcnt  // dst = trailing zeros, Size*8 if 0; f: C = (A == 0), Z = (dst == 0)
	OpLzcnt  // likewise leading
	OpPopcnt // f: Z = (A == 0), others 0
	OpBswap  // Size 4, 8
	OpPdep   // dst = bits of A deposited at mask B
	OpPext   // dst = bits of A extracted by mask B
	OpBextr  // dst = A >> B[7:0] masked to B[15:8] bits; f
	OpBzhi   // dst = A with the bits from index B[7:0] up cleared; f
	OpBlsi   // dst = A & -A; f
	OpBlsr   // dst = A & (A-1); f
	OpBlsmsk // dst = A ^ (A-1); f
	OpBt     // f: C = bit (B & (width-1)) of A, others from FIn (FIn may be None when nobody needs them)
	OpBts    // dst = A with that bit set; f likewise
	OpBtr    // reset
	OpBtc    // complemented
	OpCrc32  // dst = CRC-32C of the Size bytes of B onto A (32 bits, zero-extended)

	// Moves between widths.
	OpExt     // dst = A zero-extended from Size (1, 2, 4)
	OpSext    // dst = A sign-extended from Size to 64 bits
	OpExtract // dst = zero-extended field of A: position Imm&0xff, length Imm>>8
	OpDeposit // dst = A with the field (position Imm&0xff, length Imm>>8) replaced by the low bits of B
	OpLea     // dst = A + (B << (Imm2)) + sext(Imm); B may be None; Size 4 truncates and zero-extends

	// Conditions.
	OpSetCond // dst = Cond(FIn) ? 1 : 0
	OpSelect  // dst = Cond(FIn) ? A : B, Size
	OpSelectZ // dst = (C == 0 in Size) ? A : B, all 64 bits moved

	// Memory: address = A + Imm, 64 bits, wrapping. May leave by a fault.
	OpLd      // dst = load Mem
	OpSt      // store B, Mem
	OpLdRMW   // dst = load Mem; faults as a store would (the frontend stores to the same address next)
	OpAtomic  // dst = old value; memory = AtomicKind(Imm2)(old, B) in one indivisible step
	OpCmpXchg // dst = old value; if old == B then memory = C, indivisible (memory is written in either case as far as faults go)
	OpFence   // full memory barrier
	OpProbe   // fault as a store (Imm2=1) or load (Imm2=0) of Mem would, without accessing

	// Vectors and floating point; see vec.go and x87.go.
	OpLdV // VD = load of Mem.Size bytes, zero-extended to Size (≥ Mem.Size), the rest of the 32 bytes zero (or kept above Size if AttrMerge)
	OpStV // store the low Mem.Size bytes of VA
	OpVec // VecOp
	OpX87 // X87Op

	// Leaving.
	OpCall   // dst = helper Imm(A, B, C); see Helper. Imm2 = a Bulk kind: generated code may do the work itself, as Bulk says, with dst = 0
	OpExitIf // leave by Exits[Imm] if Cond(FIn)
	OpExitNZ // leave by Exits[Imm] if A != 0 (Size)
	OpExitZ  // leave by Exits[Imm] if A == 0 (Size)
	OpGoto   // leave by Exits[Imm]; ends the block
	OpJump   // leave for the guest program counter A; ends the block

	OpEnd // number of operations
)

// Attr are attributes of one instruction.
type Attr uint8

// The attributes.
const (
	AttrMerge   Attr = 1 << iota // vector: bytes above the operation's width are kept (otherwise zeroed up to 32)
	AttrNoLock                   // atomic: one CPU only, the operation need not be indivisible
	AttrSoft                     // vector, x87: use the software path (unmasked exceptions must be seen)
	AttrImplied                  // vector: the memory operand was VT0
)

// AtomicKind is the operation of OpAtomic.
type AtomicKind uint8

// The atomic operations.
const (
	AtomicXchg AtomicKind = iota
	AtomicAdd
	AtomicAnd
	AtomicOr
	AtomicXor
)

// Inst is one instruction. Unused fields are zero (VRegs: VNone).
type Inst struct {
	Op             Op
	Size           uint8 // bytes
	Cond           Cond
	Attr           Attr
	Global         Global
	Imm2           uint8
	Dst, Dst2      Val
	FOut, FIn      Val
	A, B, C        Val
	Imm            uint64
	Mem            MemOp
	Vec            uint16 // VecOp or X87Op
	VD, VA, VB, VC VReg
}

// ExitKind is how a block is left.
type ExitKind uint8

// The kinds of exits.
const (
	ExitDirect ExitKind = iota // to the guest program counter PC, known at translation time: can be chained
	ExitTo                     // to the main loop with reason Reason, after setting the program counter to PC
)

// Exit is a way out of a block.
type Exit struct {
	Kind   ExitKind
	PC     uint64
	Reason uint32 // for ExitTo, the frontend's (x86.Exit*)
}

// Block is the unit of translation.
type Block struct {
	PC    uint64 // guest program counter of the entry
	Insts []Inst
	Vals  []ValInfo // Vals[0] is None
	Exits []Exit
	// Insns and Bytes are the number and the total length of the guest instructions.
	Insns, Bytes int
	// UsesVec tells that vector or x87 instructions occur: the backend loads the guest's vector state at entry.
	UsesVec bool
	// Hot tells that the block executes often: code may be larger and rest on what its accesses did before.
	Hot bool
}
