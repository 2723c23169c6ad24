package x86

// Bits of CR0.
const (
	CR0PE = 1 << 0
	CR0MP = 1 << 1
	CR0EM = 1 << 2
	CR0TS = 1 << 3
	CR0ET = 1 << 4
	CR0NE = 1 << 5
	CR0WP = 1 << 16
	CR0AM = 1 << 18
	CR0NW = 1 << 29
	CR0CD = 1 << 30
	CR0PG = 1 << 31
)

// Bits of CR4.
const (
	CR4VME        = 1 << 0
	CR4PVI        = 1 << 1
	CR4TSD        = 1 << 2
	CR4DE         = 1 << 3
	CR4PSE        = 1 << 4
	CR4PAE        = 1 << 5
	CR4MCE        = 1 << 6
	CR4PGE        = 1 << 7
	CR4PCE        = 1 << 8
	CR4OSFXSR     = 1 << 9
	CR4OSXMMEXCPT = 1 << 10
	CR4UMIP       = 1 << 11
	CR4LA57       = 1 << 12
	CR4FSGSBASE   = 1 << 16
	CR4PCIDE      = 1 << 17
	CR4OSXSAVE    = 1 << 18
	CR4SMEP       = 1 << 20
	CR4SMAP       = 1 << 21
	CR4PKE        = 1 << 22
	CR4PKS        = 1 << 24
)

// Bits of EFER.
const (
	EFERSCE   = 1 << 0
	EFERLME   = 1 << 8
	EFERLMA   = 1 << 10
	EFERNXE   = 1 << 11
	EFERSVME  = 1 << 12
	EFERFFXSR = 1 << 14
)

// Bits of IA32_APIC_BASE.
const (
	APICBaseBSP    = 1 << 8
	APICBaseX2     = 1 << 10
	APICBaseEnable = 1 << 11
)

// Bits of Segment.Flags (the high dword of a descriptor).
const (
	SegTypeShift = 8
	SegTypeMask  = 15 << SegTypeShift
	SegA         = 1 << 8  // accessed (code and data)
	SegW         = 1 << 9  // data: writable
	SegR         = 1 << 9  // code: readable
	SegE         = 1 << 10 // data: expands down
	SegC         = 1 << 10 // code: conforming
	SegCode      = 1 << 11 // code segment (with SegS)
	SegTSSBusy   = 1 << 9
	SegS         = 1 << 12 // code or data
	SegDPLShift  = 13
	SegDPLMask   = 3 << SegDPLShift
	SegP         = 1 << 15
	SegAVL       = 1 << 20
	SegL         = 1 << 21
	SegB         = 1 << 22 // D/B: 32 bits
	SegG         = 1 << 23
)

// DPL is the privilege level of a segment.
func (s *Segment) DPL() int { return int(s.Flags >> SegDPLShift & 3) }

// Bits of DR6 and DR7.
const (
	DR6BD    = 1 << 13
	DR6BS    = 1 << 14
	DR6BT    = 1 << 15
	DR6Fixed = 0xffff0ff0
	DR7GD    = 1 << 13
	DR7Fixed = 0x400
)

// MXCSRDefault and FPCWInit are the values after reset and FNINIT.
const (
	MXCSRDefault = 0x1f80
	FPCWInit     = 0x037f
	MXCSRMask    = 0xffff
	MXCSRExcMask = 0x1f80
)

// Reset puts the environment in the state after power-up (or, with init, after INIT, which keeps the vector and x87 state and the TSC).
func (e *Env) Reset(cfg *Config, init bool) {
	for i := range e.Regs {
		e.Regs[i] = 0
	}
	e.Regs[RDX] = uint64(cfg.Signature())
	e.PC = 0xfff0
	e.CCOp, e.CCDst, e.CCSrc = 0, 0, 0
	e.EFlags = 2
	e.Shadow = 0
	for i := range e.Seg {
		e.Seg[i] = Segment{Limit: 0xffff, Flags: SegP | SegS | SegW | SegA}
	}
	e.Seg[CS] = Segment{Selector: 0xf000, Base: 0xffff0000, Limit: 0xffff, Flags: SegP | SegS | SegCode | SegR | SegA}
	e.Seg[LDTR] = Segment{Limit: 0xffff, Flags: SegP | 2<<SegTypeShift}
	e.Seg[TR] = Segment{Limit: 0xffff, Flags: SegP | 11<<SegTypeShift}
	e.GDT, e.IDT = Table{Limit: 0xffff}, Table{Limit: 0xffff}
	cr0 := uint64(CR0CD | CR0NW | CR0ET)
	if init {
		cr0 = e.CR[0]&(CR0CD|CR0NW) | CR0ET
	}
	e.CR = [5]uint64{cr0}
	e.CR8, e.EFER, e.PKRU, e.PKRS = 0, 0, 0, 0
	e.DR = [8]uint64{6: DR6Fixed, 7: DR7Fixed}
	if !init {
		e.A20Mask = ^uint64(0)
		e.SMBase = 0x30000
		e.XCR0 = XFeatX87
		e.XSS = 0
		e.TSCAux = 0
		e.Star, e.LStar, e.CStar, e.FMask, e.KernelGSBase = 0, 0, 0, 0, 0
		e.SysenterCS, e.SysenterESP, e.SysenterEIP = 0, 0, 0
		e.resetFPU()
	}
	e.UpdateHFlags()
}

func (e *Env) resetFPU() {
	for i := range e.V {
		e.V[i] = [32]byte{}
	}
	e.FP = [8][16]byte{}
	e.FPTop, e.FPSW, e.FPCW = 0, 0, FPCWInit // as FNINIT leaves it, like QEMU: code that never initialises it works
	e.FPTag = [8]uint8{1, 1, 1, 1, 1, 1, 1, 1}
	e.FPOp, e.FPIP, e.FPDP, e.FPCS, e.FPDS = 0, 0, 0, 0, 0
	e.MXCSR = MXCSRDefault
}

// CPL is the current privilege level.
func (e *Env) CPL() int { return int(e.HFlags & HFCPLMask) }

// Flags is the whole of RFLAGS.
func (e *Env) Flags() uint64 { return e.EFlags | e.Image() | 2 }

// SetFlags replaces the whole of RFLAGS; HFlags must be updated afterwards if TF, IOPL, VM, AC or RF changed.
func (e *Env) SetFlags(v uint64) {
	e.EFlags = v&^arith | 2
	e.CCOp, e.CCDst, e.CCSrc = 0, 0, v&arith
}
