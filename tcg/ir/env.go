package ir

// NumMMU is the number of translation regimes a frontend may use (Mem.MMU).
const NumMMU = 4

// TLBEntry is one entry of a soft TLB: the tags are page-aligned guest virtual addresses with zero low bits when plain host access is allowed;
// any low bit set (TLBSlow…) or a different page makes the access take the slow path. Addend + guest virtual address = host address.
type TLBEntry struct {
	Read, Write, Code uint64
	Addend            uint64
}

// Bits of a tag within the page. They lie above those that an alignment check looks at, so that an engine may compare the low bits of
// an address together with its page: a misaligned address never equals a tag.
const (
	TLBInvalid  = 1 << 8  // never matches
	TLBMMIO     = 1 << 9  // not RAM
	TLBNotDirty = 1 << 10 // write tag: the page holds translated code or is dirty-logged: the slow path must be told
	TLBWatch    = 1 << 11 // a watchpoint is in the page
)

// PageBits is the page size of the soft TLB as a power of two.
const PageBits = 12

// TLBTable describes the current table of one regime: entry i is at Base + i*32, i = (addr >> 12) & (Mask >> 5).
type TLBTable struct {
	Base uint64 // host address of the entries
	Mask uint64 // (entries-1) << 5
}

// JumpEntry is an entry of the indirect-jump cache, indexed by JumpIndex(pc).
type JumpEntry struct {
	PC   uint64 // guest program counter; all ones: empty
	Code uint64 // host address of the block's chained entry
}

// JumpBits is the size of the indirect-jump cache as a power of two.
const JumpBits = 14

// JumpIndex is the index of a program counter in the jump cache.
func JumpIndex(pc uint64) uint64 { return (pc ^ pc>>JumpBits) & (1<<JumpBits - 1) }

// NumSites is the number of places per regime in which an engine remembers soft TLB entries (a power of two).
const NumSites = 1024

// Site is what an engine remembers of an access: the host address of the soft TLB entry that it used last, and how often it may use
// another one before somebody asks whether that pays. An entry is valid only as long as its tags say so: whoever shrinks a table
// empties the entries that it gives up.
type Site struct {
	Entry uint64
	Left  uint32
	Quota uint32 // what Left was set to
	Since uint64 // when Left was set, in nanoseconds
}

// Header is the generic head of a CPU environment; guest state follows it. The environment lies outside the Go heap, holds no Go
// pointer, and its address is what generated code has in its base register (plus EnvBias).
type Header struct {
	// ExitReq is polled at every loop back edge, indirect jump and block entry from the main loop: non-zero makes the CPU leave generated code.
	ExitReq uint32
	// The guest's current flags; see CC.
	CCOp         uint32
	CCDst, CCSrc uint64
	// PC is the guest program counter whenever generated code is not running.
	PC uint64

	// Mailbox between generated code and Go.
	Args     [4]uint64 // arguments of a helper
	Ret      uint64    // its result
	Resume   uint64    // host address at which generated code goes on
	ExitTB   uint64    // identity of the block that was left (Code.ID)
	ExitSlot uint32    // which of its exits
	ExitInfo uint32    // reason specific
	Addr     uint64    // slow memory access: guest virtual address
	MemInfo  uint64    // packed MemOp and kind of access (backend defined)
	Vec      [4]uint64 // vector value of a slow access

	TLB   [NumMMU]TLBTable
	Jumps uint64 // host address of 1<<JumpBits JumpEntry
	// Gen changes whenever a translation or mode change makes chained jumps across pages stale.
	Gen uint64

	// Spill is the backend's: saved host registers and spilled temporaries.
	Spill [127]uint64

	// Stack is the top of a stack for what the backend calls while generated code runs; 0 if there is none.
	Stack uint64

	// Sites is the backend's: by regime, what it knows of accesses in hot blocks; all zero at first.
	Sites [NumMMU][NumSites]Site
}
