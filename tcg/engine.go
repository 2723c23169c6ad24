// Package tcg is the contract between what executes translated blocks (the interpreter, the code generators) and the accelerator
// that owns the virtual CPUs. It knows no guest and no host instruction set.
package tcg

import "goemu/tcg/ir"

// Code is a compiled block. ID is chosen by the caller of Compile and comes back in Header.ExitTB.
type Code struct {
	ID    uint64
	Entry uintptr // engine defined: host address of the entry, or an index
	Size  int     // bytes of code cache used
}

// Leave tells why Engine.Run came back.
type Leave uint8

// The reasons.
const (
	LeaveDirect Leave = iota // a direct exit that is not linked: Header.ExitTB, ExitSlot; Header.PC is the target
	LeaveLookup              // Header.PC has no entry in the jump cache; Header.Addr is the address of the indirect jump
	LeavePoll                // Header.ExitReq was set; Header.PC is where to go on, Header.Addr the address of the indirect jump or PC again
	LeaveReason              // Exit.Reason in Header.ExitInfo; Header.PC is set
	LeaveFault               // CPU.… reported a fault (Fault action): guest state is that at the start of the instruction at Header.PC
	LeaveDivide              // division error at Header.PC
)

// Action is what a callback wants the engine to do next.
type Action uint8

// The actions.
const (
	Continue Action = iota // go on behind the instruction
	Fault                  // abandon the instruction: Run returns LeaveFault (the callback has recorded what is to be raised)
	Stop                   // leave with LeaveReason: the callback set Header.PC and Header.ExitInfo
)

// CPU is what an engine calls back for one virtual CPU. At every callback Header.PC is the address of the guest instruction being executed,
// and every Global, the flags and the vector and x87 registers are in the environment; a callback may change any of them.
type CPU interface {
	// Header is the environment. Its address is that of the whole environment.
	Header() *ir.Header
	// Helper runs the frontend's helper with up to three arguments.
	Helper(id uint32, a, b, c uint64) (ret uint64, act Action)
	// Load and Store do one guest access of 1 to 8 bytes the slow way: permission checks, TLB fill, devices, watchpoints.
	Load(addr uint64, m ir.MemOp) (val uint64, act Action)
	Store(addr uint64, m ir.MemOp, val uint64) Action
	// LoadVec and StoreVec do the same for len(buf) = 4 … 32 bytes.
	LoadVec(addr uint64, m ir.MemOp, buf []byte) Action
	StoreVec(addr uint64, m ir.MemOp, buf []byte) Action
	// Probe checks an access without making it and fills the TLB; host is the host address of the first byte, 0 if the access must
	// go through Load and Store (device, watchpoint, page crossing).
	Probe(addr uint64, m ir.MemOp, write bool) (host uintptr, act Action)
	// Atomic and CmpXchg are the indivisible accesses that cannot be made directly on RAM (devices, page crossing).
	Atomic(addr uint64, m ir.MemOp, k ir.AtomicKind, val uint64) (old uint64, act Action)
	CmpXchg(addr uint64, m ir.MemOp, expected, val uint64) (old uint64, act Action)
}

// Engine executes blocks. One Engine serves all virtual CPUs of a machine; Compile, Link and Unlink are called under the
// translator's lock, Run from each CPU's goroutine.
type Engine interface {
	Name() string
	// Compile makes a block executable. The block is not retained by engines that generate code. ErrFull asks the caller to flush.
	Compile(b *ir.Block, id uint64) (Code, error)
	// Run executes from c until there is a reason to leave; chained and cached blocks follow each other inside.
	Run(cpu CPU, c Code) Leave
	// Link makes exit slot of from go straight to to; crossPage links are valid only while Header.Gen is unchanged (the engine compares). Unlink undoes it.
	Link(from Code, slot int, to Code, crossPage bool)
	Unlink(from Code, slot int)
	// JumpTarget is the value for JumpEntry.Code.
	JumpTarget(c Code) uint64
	// Flush drops all code. No CPU is in Run.
	Flush()
	Close() error
}

// Retranslator is an Engine that may ask for a block to be compiled anew, by its identity, while a CPU executes. The block may be gone.
type Retranslator interface{ OnRetranslate(f func(id uint64)) }

// Patterner is an Engine that can copy compiled blocks for other program counters.
type Patterner interface {
	// Pattern is called right after Compile made code for pc. other is the same guest code translated for another program counter. It
	// returns nil if code does not depend on the program counter in a way that is understood. A pattern is good until Flush.
	Pattern(code Code, pc uint64, other *ir.Block) Pattern
}

// Pattern makes blocks.
type Pattern interface {
	// Compile is Engine.Compile for a program counter.
	Compile(pc, id uint64) (Code, error)
}

// ErrFull is returned by Compile when the code cache has no room.
type ErrFull struct{}

func (ErrFull) Error() string { return "code cache is full" }
