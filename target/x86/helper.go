package x86

// Helper numbers the operations that translated code leaves to the accelerator (ir.OpCall, Imm = Helper). A helper sees the whole
// environment, may change it and may raise an exception. Arguments are A, B, C of the instruction.
//
// A helper that changes what HFlags, CS or paging say is the last one of its block: the frontend ends the block with ExitMode.
// next is the program counter of the following instruction. The frontend owns this list; the accelerator has a function for each row.
type Helper uint32

// The helpers.
const (
	HelperNone Helper = iota

	// Exceptions and interrupts. None of these comes back.
	HelperTrap    // (vector, next): #BP, #OF, #DB as a trap: INT3, INTO, INT1
	HelperSoftInt // (vector, next): INT n

	// Control transfers; all set PC (and ExitMode follows).
	HelperFarJump  // (selector, offset, next)
	HelperFarCall  // (selector, offset, next | opsize<<62: 1=16, 2=32, 3=64 bits)
	HelperFarRet   // (opsize bytes, bytes to release)
	HelperIret     // (opsize bytes, next)
	HelperSyscall  // (next)
	HelperSysret   // (opsize bytes)
	HelperSysenter // ()
	HelperSysexit  // (opsize bytes)
	HelperRSM      // ()
	HelperStepJump // (pc, reason): an indirect jump in a single-stepped block: sets PC and stops with this exit reason

	// Segments and descriptor tables.
	HelperLoadSeg       // (segment number, selector) → changed mode bits
	HelperLLDT          // (selector)
	HelperLTR           // (selector)
	HelperLAR           // (selector) → value, ZF through the flags
	HelperLSL           // (selector) → value, ZF
	HelperVERR          // (selector): ZF
	HelperVERW          // (selector): ZF
	HelperARPL          // (destination, source) → destination, ZF
	HelperLGDT          // (base, limit)
	HelperLIDT          // (base, limit)
	HelperWriteFSGSBase // (segment number, value)

	// Control and debug registers, MSRs.
	HelperReadCR  // (n) → value
	HelperWriteCR // (n, value)
	HelperCLTS    // ()
	HelperLMSW    // (value)
	HelperReadDR  // (n) → value
	HelperWriteDR // (n, value)
	HelperRDMSR   // (): EDX:EAX by ECX
	HelperWRMSR   // ()
	HelperXGETBV  // ()
	HelperXSETBV  // ()
	HelperINVLPG  // (linear address)
	HelperINVPCID // (type, linear address of the descriptor)
	HelperWBINVD  // ()
	HelperCPUID   // ()
	HelperRDTSC   // (): EDX:EAX
	HelperRDTSCP  // (): also ECX
	HelperRDPMC   // ()
	HelperRDPKRU  // ()
	HelperWRPKRU  // ()
	HelperRDRAND  // (size in bytes) → value; CF
	HelperRDSEED  // (size in bytes) → value; CF
	HelperMONITOR // (linear address)
	HelperMWAIT   // (next)

	// Flags.
	HelperPushF // (opsize bytes) → image of all flags as PUSHF stores it
	HelperPopF  // (value, opsize bytes) → not 0 if the mode has changed or an interrupt may be taken: leave the block
	HelperCLI   // (): with VME, PVI and IOPL checks; the frontend inlines the plain case
	HelperSTI   // ()

	// Secure virtual machine mode.
	HelperIntercept // (exit code, next, parameter): ends the nested guest if this instruction is intercepted; see SVMExit* and translate_svm.go
	HelperVMRUN     // (next, address size): starts one; sets PC
	HelperVMLOAD    // (address size)
	HelperVMSAVE    // (address size)
	HelperVMMCALL   // ()
	HelperSTGI      // ()
	HelperCLGI      // ()
	HelperINVLPGA   // (linear address)

	// Ports; sizes are bytes. The helper checks the I/O permission bitmap.
	HelperIn  // (port, size) → value
	HelperOut // (port, size, value)

	// String instructions. Executes as much as is good (at least one iteration, stopping at page ends and when ExitReq is set) with
	// exact RSI/RDI/RCX; returns 1 if the instruction must be executed again, 0 if it is finished.
	// Arguments: size in bytes | address size in bytes<<8 | segment of the source<<16 | rep kind (0 none, 1 rep/repe, 2 repne)<<24.
	HelperMovs
	HelperStos
	HelperLods
	HelperScas // sets flags
	HelperCmps // sets flags
	HelperIns
	HelperOuts

	// Odd integer instructions.
	HelperEnter      // (frame size, level, opsize bytes | stack size bytes<<8)
	HelperBound      // (index, linear address, size)
	HelperCmpXchg8B  // (linear address)
	HelperCmpXchg16B // (linear address)
	HelperDAA
	HelperDAS
	HelperAAA
	HelperAAS
	HelperAAM // (base)
	HelperAAD // (base)

	// FPU and vector state.
	HelperFXSAVE  // (linear address, rexw)
	HelperFXRSTOR // this and the other two → not 0 if the mode has changed
	HelperXSAVE   // (linear address, rexw)
	HelperXSAVEOPT
	HelperXSAVEC
	HelperXSAVES
	HelperXRSTOR
	HelperXRSTORS
	HelperFSAVE // (linear address, opsize bytes)
	HelperFRSTOR
	HelperFSTENV
	HelperFLDENV
	HelperFNINIT   // ()
	HelperFWAIT    // (): raises a pending #MF
	HelperLDMXCSR  // (value): checks reserved bits, updates HFSSESoft
	HelperFLDCW    // (value): updates HFFPSoft
	HelperMaskMov  // (linear address, kind): MASKMOVQ/MASKMOVDQU, VMASKMOV/VPMASKMOV, gathers; see the frontend
	HelperCheckSeg // (segment | size<<8 | write<<24, offset): raises #GP or #SS beyond limits and rights

	// AMD's vector instructions.
	Helper3DNow // (operation | destination<<8 | source<<16 | AMDMem, value of a source in memory)
	HelperSSE4A // (kind | destination<<8 | source<<16, length | index<<8)

	NumHelpers
)
