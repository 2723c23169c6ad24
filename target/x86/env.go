// Package x86 is the state of an x86 guest CPU: registers, CPUID models, feature names and its migrated form. It executes nothing.
package x86

import "goemu/tcg/ir"

// Register numbers as encoded in instructions.
const (
	RAX = iota
	RCX
	RDX
	RBX
	RSP
	RBP
	RSI
	RDI
	R8
	R9
	R10
	R11
	R12
	R13
	R14
	R15
)

// Segment register numbers as encoded in instructions; LDTR and TR follow.
const (
	ES = iota
	CS
	SS
	DS
	FS
	GS
	LDTR
	TR
	NumSegs
)

// Segment is a segment register with its hidden part. Flags is the high descriptor dword (type, S, DPL, P, AVL, L, D/B, G at their places).
type Segment struct {
	Base     uint64
	Limit    uint32 // in bytes, granularity applied
	Flags    uint32
	Selector uint16
	_        [6]byte
}

// Table is GDTR or IDTR.
type Table struct {
	Base  uint64
	Limit uint32
	_     uint32
}

// Env is the CPU environment of an x86 guest: fixed layout, no Go pointers, outside the Go heap. Generated code addresses its fields.
type Env struct {
	ir.Header

	Regs [16]uint64 // RAX … R15

	// EFlags has every bit but the six arithmetic ones, which are in Header.CC*; DF is in it as well (bit 10).
	EFlags uint64
	// HFlags are the translation-relevant mode bits (HF*), kept up to date by whoever changes CRs, EFER, CS, SS, EFLAGS.
	HFlags uint32
	// Shadow is ShadowSTI after STI and ShadowSS after MOV SS until the next instruction ended.
	Shadow uint32

	Seg      [NumSegs]Segment
	GDT, IDT Table
	CR       [5]uint64 // CR0, -, CR2, CR3, CR4
	CR8      uint64    // cached; the local APIC owns it
	XCR0     uint64
	DR       [8]uint64
	EFER     uint64
	PKRU     uint32
	PKRS     uint32
	A20Mask  uint64 // all ones, or with bit 20 clear
	SMBase   uint32
	// IRQWait is not 0 while a request line is up that could not be served: to be looked at again when interrupts are enabled.
	IRQWait uint32

	// x87: FP[i] is physical register i (80 bits, in the low 10 bytes); FPTop the stack top; FPTag[i] 1 = empty.
	_     [8]byte // aligns FP to 16 bytes
	FP    [8][16]byte
	FPTop uint32
	FPCW  uint16
	FPSW  uint16 // without the TOP field
	FPTag [8]uint8
	FPOp  uint16
	FPCS  uint16
	FPDS  uint16
	_     uint16
	FPIP  uint64
	FPDP  uint64

	MXCSR uint32
	_     uint32
	_     [32]byte                   // aligns V to 32 bytes
	V     [int(ir.NumVRegs)][32]byte // YMM0…15 and the three temporaries

	// MSRs used by instructions.
	Star, LStar, CStar, FMask            uint64
	KernelGSBase, TSCAux                 uint64
	SysenterCS, SysenterESP, SysenterEIP uint64
	TSCOffset                            uint64 // guest TSC = host-derived TSC + offset
	XSS                                  uint64

	TSCDelta uint64 // guest TSC = host's counter + delta while the CPU executes; all ones: not so simple

	// Owner is the address of the accelerator's CPU, which stays where it is and is kept alive by the accelerator.
	Owner uint64

	// Scratch for the frontend's multi-step instructions.
	Tmp [8]uint64
}

// Translation-relevant mode bits of Env.HFlags; together with the program counter and CS.Base they identify a translated block.
const (
	HFCPLMask   = 3 << 0
	HFCS32      = 1 << 2  // CS.D: 32-bit code
	HFSS32      = 1 << 3  // SS.B: 32-bit stack
	HFCS64      = 1 << 4  // 64-bit code segment in long mode
	HFLMA       = 1 << 5  // EFER.LMA
	HFPE        = 1 << 6  // CR0.PE
	HFVM        = 1 << 7  // EFLAGS.VM
	HFAddSeg    = 1 << 8  // some of DS, ES, SS has a base other than 0 (never in 64-bit code)
	HFTF        = 1 << 9  // EFLAGS.TF: single step
	HFRF        = 1 << 10 // EFLAGS.RF
	HFIOPLShift = 11      // two bits: EFLAGS.IOPL
	HFIOPLMask  = 3 << HFIOPLShift
	HFMP        = 1 << 13 // CR0.MP
	HFEM        = 1 << 14 // CR0.EM
	HFTS        = 1 << 15 // CR0.TS
	HFOSFXSR    = 1 << 16 // CR4.OSFXSR
	HFAVX       = 1 << 17 // CR4.OSXSAVE and XCR0 has SSE and AVX
	HFAlign     = 1 << 18 // CPL 3, CR0.AM and EFLAGS.AC: misaligned accesses raise #AC
	HFUMIP      = 1 << 19 // CR4.UMIP
	HFFPSoft    = 1 << 20 // FPCW has an unmasked exception or one is pending: x87 takes the software path
	HFSSESoft   = 1 << 21 // MXCSR has an unmasked exception (or what the host cannot do): SSE takes the software path
	HFSMM       = 1 << 22 // in SMM
	HFInhibit   = 1 << 23 // interrupt shadow: translate one instruction, then leave
	HFLimits    = 1 << 24 // some segment has a limit or type that must be checked on access (never set for flat segments or 64-bit code)
	HFOSXSAVE   = 1 << 25 // CR4.OSXSAVE
	HFFSGSBase  = 1 << 26 // CR4.FSGSBASE
	HFOneInsn   = 1 << 27 // debugger or breakpoint: one instruction a block
	HFGuest     = 1 << 28 // a nested guest of secure virtual machine mode executes: intercepts are checked

	// HFTopShift is the place of the x87 stack top in BlockFlags: three bits, always 0 in Env.HFlags itself.
	HFTopShift = 29
	HFTopMask  = 7 << HFTopShift
)

// BlockFlags is what a block is translated for and looked up by: HFlags and the x87 stack top. Blocks with x87 code check the top
// themselves (leaving with ExitMode if it is another), so direct links and the jump cache need not.
func (e *Env) BlockFlags() uint32 { return e.HFlags | e.FPTop&7<<HFTopShift }

// Translation regimes (ir.MemOp.MMU).
const (
	MMUUser       = 0 // CPL 3
	MMUKernel     = 1 // CPL 0–2: that of the following two which EFLAGS.AC selects (SelectMMU); it has no table of its own
	MMUKernelAC   = 2 // CPL 0–2, EFLAGS.AC set
	MMUKernelSMAP = 3 // CPL 0–2, EFLAGS.AC clear: CR4.SMAP is in force
)

// Bits of EFLAGS.
const (
	FlagTF   = 1 << 8
	FlagIF   = 1 << 9
	FlagDF   = 1 << 10
	FlagIOPL = 3 << 12
	FlagNT   = 1 << 14
	FlagRF   = 1 << 16
	FlagVM   = 1 << 17
	FlagAC   = 1 << 18
	FlagVIF  = 1 << 19
	FlagVIP  = 1 << 20
	FlagID   = 1 << 21
)

// Exit reasons of blocks (ir.Exit.Reason).
const (
	ExitHalt      = iota + 1 // HLT executed; PC is behind it
	ExitIRQ                  // look at pending interrupts (after STI, POPF, MOV CR8, …)
	ExitPause                // PAUSE: let others run
	ExitException            // raise Header.Args[0] (vector), Args[1] (error code or NoErrorCode); PC is the instruction's
	ExitMode                 // HFlags or CS changed: find the next block anew
	ExitDebug                // the single step of HFTF / HFOneInsn is done
	ExitX87Stack             // the x87 instruction at PC would read an empty register or push onto a full stack
)

// NoErrorCode marks an exception without an error code.
const NoErrorCode = ^uint64(0)

// Exception vectors.
const (
	ExcDE  = 0
	ExcDB  = 1
	ExcNMI = 2
	ExcBP  = 3
	ExcOF  = 4
	ExcBR  = 5
	ExcUD  = 6
	ExcNM  = 7
	ExcDF  = 8
	ExcTS  = 10
	ExcNP  = 11
	ExcSS  = 12
	ExcGP  = 13
	ExcPF  = 14
	ExcMF  = 16
	ExcAC  = 17
	ExcMC  = 18
	ExcXM  = 19
)

// Values of Env.Shadow: why interrupts wait for the end of the next instruction. MOV SS and POP SS also hold back the single-step trap.
const (
	ShadowSTI = 1
	ShadowSS  = 2
)
