package ir

// Val names a temporary of a Block: an index into Block.Vals. The zero Val is "none".
type Val int32

// None is the absent value.
const None Val = 0

// Kind is the kind of a temporary.
type Kind uint8

// The kinds of temporaries.
const (
	KindNone Kind = iota
	KindInt
	KindFlags
)

// ValInfo describes a temporary.
type ValInfo struct {
	Kind    Kind
	IsConst bool
	Const   uint64 // value of a constant
}

// Global names a guest register that lives in the CPU environment and that a backend may pin to a host register. Its index is the
// frontend's; its place is Globals[g].
type Global uint8

// GlobalInfo describes a Global: 8 bytes at Offset from the start of the CPU environment.
type GlobalInfo struct {
	Name   string
	Offset uint32
	Hot    int // pinning priority: a higher one is pinned first, 0 never
}

// Kinds of bulk operations that a helper does (Inst.Imm2 of OpCall).
const (
	BulkNone = iota
	BulkCopy // Count elements of Mem.Size bytes are copied from Src to Dst, ascending
	BulkFill // Count elements at Dst are set to Value
)

// Bulk names the globals of a guest's bulk operations: a string instruction that a loop of single accesses would do. Afterwards Dst
// (and Src) point behind the strings and Count is zero. With any bit of DownMask set in the byte at DownOffset of the environment the
// operation runs downwards, and is the helper's.
type Bulk struct {
	Dst, Src, Count, Value Global
	DownOffset             uint32
	DownMask               uint8
}

// VReg names a vector register: 0…15 are the guest's, VT0…VT2 temporaries, VNone absent.
type VReg uint8

// The temporaries and the absent register.
const (
	VT0 VReg = 16 + iota
	VT1
	VT2
	NumVRegs
	VNone VReg = 0xff
)

// Cond is a condition over a Flags value.
type Cond uint8

// The conditions; the lowest bit inverts.
const (
	CondO  Cond = iota // V
	CondNO             // !V
	CondB              // C
	CondAE             // !C
	CondE              // Z
	CondNE             // !Z
	CondBE             // C|Z
	CondA              // !(C|Z)
	CondS              // S
	CondNS             // !S
	CondP              // P
	CondNP             // !P
	CondL              // S!=V
	CondGE             // S==V
	CondLE             // Z|(S!=V)
	CondG              // !Z&(S==V)
)

// Not is the opposite condition.
func (c Cond) Not() Cond { return c ^ 1 }

// Flag bits of a flags image. The layout is that of x86's EFLAGS, the richest set among the guests.
const (
	FlagC   = 1 << 0
	FlagP   = 1 << 2
	FlagA   = 1 << 4
	FlagZ   = 1 << 6
	FlagS   = 1 << 7
	FlagV   = 1 << 11
	FlagAll = FlagC | FlagP | FlagA | FlagZ | FlagS | FlagV
)

// MemOp describes a guest memory access.
type MemOp struct {
	Size   uint8 // 1, 2, 4, 8; vectors also 16, 32 (and 10 is not one access: two are made)
	Signed bool  // sign-extend the loaded value to 64 bits (otherwise zero-extend)
	Align  uint8 // 0, or the power of two that the address must be a multiple of; else the access faults (#GP on x86)
	MMU    uint8 // index of the translation regime: Header.TLB[MMU]
}
