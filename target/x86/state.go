package x86

// State is the architectural state of a CPU as it moves between accelerators and machines, in the terms of QEMU's migration section
// "cpu" (see CPUState). An accelerator fills it from a stopped CPU and takes it over again.
type State struct {
	Regs        [16]uint64
	RIP, RFLAGS uint64
	// Mode and Mode2 hold what no register shows: Mode* and Mode2*.
	Mode, Mode2 uint32

	FCW, FSW uint16 // FSW with the stack top
	FTags    uint16 // bit i: physical register i is in use
	fpFormat uint16 // 0
	FP       [8]FPReg
	FOp      uint16
	FIP, FDP uint64
	MXCSR    uint32
	Vec      [16][4]uint64 // YMM0…15
	// AVX512 and Tiles are what only hardware virtualisation has of the extended state.
	AVX512 AVX512State
	Tiles  TileState
	Bounds BoundState

	Seg                                  [NumSegs]SegmentState
	GDT, IDT                             SegmentState
	SysenterCS                           uint32
	SysenterESP, SysenterEIP             uint64
	CR0, CR2, CR3, CR4                   uint64
	DR                                   [8]uint64
	A20Mask                              int32 // -1, or with bit 20 clear
	EFER, Star, LStar, CStar, FMask      uint64
	KernelGSBase, TSCAux, PAT, XCR0, XSS uint64
	XStateBV                             uint64 // parts of the XSAVE area that are not in their initial state; 0 under a translator
	SMBase                               uint32
	PKRU, PKRS                           uint32
	Umwait                               uint32

	MTRRFixed   [11]uint64
	MTRRDefType uint64
	MTRRVar     [8]MTRR
	MCGCap      uint64
	MCGStatus   uint64
	MCGCtl      uint64
	MCBanks     [MCBankRegs * MCBanks]uint64

	TSCOffset, TSC, TSCAdjust, TSCDeadline uint64
	TSCKHz                                 int64
	MiscEnable, FeatureControl             uint64
	SMICount, PollControl                  uint64
	SpecCtrl, VirtSSBD, MCGExtCtl          uint64

	// What only hardware virtualisation has: kernels' paravirtual registers and events on their way into the CPU.
	SystemTime, WallClock, AsyncPF, AsyncPFInt, PVEOI, StealTime uint64
	InterruptInjected, ExceptionNr                               int32
	MPState, SIPIVector                                          uint32
	SoftInterrupt, NMIInjected, NMIPending, HasErrorCode         uint8

	PMU         PMUState
	HyperV      HyperVState
	XFD, XFDErr uint64
	PDPTRValid  bool // PDPTR are the page directory pointers that the CPU has loaded
	PDPTR       [4]uint64
	TripleFault uint8 // one is pending

	// SVM is of a nested guest, beside bits of Mode and Mode2.
	SVM SVMState

	// Halted and WaitSIPI travel in other sections, "cpu_common" and that of the local APIC.
	Halted, WaitSIPI bool
	// Requests are the request lines (Request*), of section "cpu_common".
	Requests       uint32
	Crashed        bool // the guest's kernel has told that it panicked
	exceptionIndex int32
}

// FPReg is an x87 register.
type FPReg struct {
	Mantissa uint64
	Exponent uint16 // with the sign
}

// SegmentState is a segment register, or a table register, which has no flags.
type SegmentState struct {
	Selector     uint32
	Base         uint64
	Limit, Flags uint32
}

// MTRR is a pair of variable-range registers.
type MTRR struct{ Base, Mask uint64 }

// Bits of State.Mode: QEMU's hflags.
const (
	ModeCPL     = 3 << 0
	ModeInhibit = 1 << 3 // interrupt shadow
	ModeCS32    = 1 << 4
	ModeSS32    = 1 << 5
	ModeAddSeg  = 1 << 6
	ModePE      = 1 << 7
	ModeMP      = 1 << 9
	ModeEM      = 1 << 10
	ModeTS      = 1 << 11
	ModeLMA     = 1 << 14
	ModeCS64    = 1 << 15
	ModeSMM     = 1 << 19
	ModeGuest   = 1 << 21
	ModeOSFXSR  = 1 << 22
	ModeSMAP    = 1 << 23
	ModeIOBreak = 1 << 24
	ModeUMIP    = 1 << 27
	ModeAVX     = 1 << 28
)

// Bits of State.Mode2: QEMU's hflags2.
const (
	Mode2GIF          = 1 << 0 // global interrupt flag
	Mode2HIF          = 1 << 1 // EFLAGS.IF of the nested guest's host
	Mode2NMI          = 1 << 2 // non-maskable interrupts are blocked
	Mode2VIntr        = 1 << 3 // VIntMasking
	Mode2SMMInsideNMI = 1 << 4
	Mode2NPT          = 1 << 6 // nested paging
	Mode2VGIF         = 1 << 8

	// Mode2SVM are the bits of secure virtual machine mode.
	Mode2SVM = Mode2GIF | Mode2HIF | Mode2VIntr | Mode2NPT | Mode2VGIF
)

// Bits of State.Requests: QEMU's interrupt_request.
const (
	RequestHard    = 1 << 1
	RequestPoll    = 1 << 4
	RequestSMI     = 1 << 6
	RequestVirtual = 1 << 8 // the virtual interrupt of a nested guest
	RequestNMI     = 1 << 9
	RequestInit    = 1 << 10
	RequestSIPI    = 1 << 11
	RequestMCE     = 1 << 12
)

// Values that say "none".
const (
	noInterrupt   = -1
	noException   = -1
	a20MaskOpen   = -1
	a20MaskClosed = ^int32(1 << 20)
)

// modeBits maps what Env derives from registers to State.Mode.
var modeBits = [...]struct{ env, mode uint32 }{
	{HFCS32, ModeCS32}, {HFSS32, ModeSS32}, {HFPE, ModePE}, {HFMP, ModeMP}, {HFEM, ModeEM}, {HFTS, ModeTS}, {HFLMA, ModeLMA},
	{HFCS64, ModeCS64}, {HFSMM, ModeSMM}, {HFGuest, ModeGuest}, {HFOSFXSR, ModeOSFXSR}, {HFUMIP, ModeUMIP}, {HFAVX, ModeAVX},
}

// save fills s from the environment; what is not in it stays.
func (e *Env) save(s *State) {
	s.Regs, s.RIP, s.RFLAGS = e.Regs, e.PC, e.Flags()
	s.Mode = e.HFlags & HFCPLMask
	for _, b := range modeBits {
		if e.HFlags&b.env != 0 {
			s.Mode |= b.mode
		}
	}
	if e.CR[4]&CR4SMAP != 0 {
		s.Mode |= ModeSMAP
	}
	if e.Shadow != 0 {
		s.Mode |= ModeInhibit
	}
	s.addSeg(e)
	e.saveFPU(s)
	for i := range e.Seg {
		g := &e.Seg[i]
		s.Seg[i] = SegmentState{uint32(g.Selector), g.Base, g.Limit, g.Flags}
	}
	s.GDT, s.IDT = SegmentState{Base: e.GDT.Base, Limit: e.GDT.Limit}, SegmentState{Base: e.IDT.Base, Limit: e.IDT.Limit}
	s.CR0, s.CR2, s.CR3, s.CR4, s.DR = e.CR[0], e.CR[2], e.CR[3], e.CR[4], e.DR
	s.A20Mask = a20MaskOpen
	if e.A20Mask != ^uint64(0) {
		s.A20Mask = a20MaskClosed
	}
	s.SysenterCS, s.SysenterESP, s.SysenterEIP = uint32(e.SysenterCS), e.SysenterESP, e.SysenterEIP
	s.EFER, s.Star, s.LStar, s.CStar, s.FMask = e.EFER, e.Star, e.LStar, e.CStar, e.FMask
	s.KernelGSBase, s.TSCAux, s.XCR0, s.XSS = e.KernelGSBase, e.TSCAux, e.XCR0, e.XSS
	s.SMBase, s.PKRU, s.PKRS, s.TSCOffset = e.SMBase, e.PKRU, e.PKRS, e.TSCOffset
}

// addSeg sets ModeAddSeg where a data segment's base has to be added: always but in flat 32-bit code and in 64-bit code.
func (s *State) addSeg(e *Env) {
	switch {
	case e.HFlags&HFCS64 != 0:
	case e.CR[0]&CR0PE == 0 || e.EFlags&FlagVM != 0 || e.HFlags&HFCS32 == 0, e.HFlags&HFAddSeg != 0:
		s.Mode |= ModeAddSeg
	}
}

func (e *Env) saveFPU(s *State) {
	s.FCW, s.FSW, s.FTags, s.fpFormat = e.FPCW, e.FPSW&^fswTop|uint16(e.FPTop&7)<<fswTopShift, 0, 0
	for i := range e.FP {
		s.FP[i] = FPReg{le.Uint64(e.FP[i][:]), le.Uint16(e.FP[i][8:])}
		if e.FPTag[i] == 0 {
			s.FTags |= 1 << i
		}
	}
	s.FOp, s.FIP, s.FDP, s.MXCSR = e.FPOp, e.FPIP, e.FPDP, e.MXCSR
	for i := range s.Vec {
		for q := range s.Vec[i] {
			s.Vec[i][q] = le.Uint64(e.V[i][8*q:])
		}
	}
}

// Place of the stack top in the x87 status word.
const (
	fswTopShift = 11
	fswTop      = 7 << fswTopShift
)

// Save returns what the environment holds of the CPU's state.
func (e *Env) Save() *State {
	s := &State{InterruptInjected: noInterrupt, ExceptionNr: noException, Mode2: Mode2GIF | Mode2VGIF}
	e.save(s)
	return s
}

// SaveTo fills s with what the environment holds of the CPU's state; the rest of s stays.
func (e *Env) SaveTo(s *State) { e.save(s) }

// Load takes over what the environment holds of the CPU's state. Translations, watched pages and the like are the accelerator's to drop.
func (e *Env) Load(s *State) {
	e.Regs, e.PC = s.Regs, s.RIP
	e.SetFlags(s.RFLAGS)
	e.Shadow = 0
	if s.Mode&ModeInhibit != 0 {
		e.Shadow = ShadowSTI
	}
	for i := range e.Seg {
		g := &s.Seg[i]
		e.Seg[i] = Segment{Selector: uint16(g.Selector), Base: g.Base, Limit: g.Limit, Flags: g.Flags}
	}
	e.GDT, e.IDT = Table{Base: s.GDT.Base, Limit: s.GDT.Limit}, Table{Base: s.IDT.Base, Limit: s.IDT.Limit}
	e.CR, e.DR = [5]uint64{s.CR0, 0, s.CR2, s.CR3, s.CR4}, s.DR
	e.A20Mask = uint64(int64(s.A20Mask))
	e.SysenterCS, e.SysenterESP, e.SysenterEIP = uint64(s.SysenterCS), s.SysenterESP, s.SysenterEIP
	e.EFER, e.Star, e.LStar, e.CStar, e.FMask = s.EFER, s.Star, s.LStar, s.CStar, s.FMask
	e.KernelGSBase, e.TSCAux, e.XCR0, e.XSS = s.KernelGSBase, s.TSCAux, s.XCR0, s.XSS
	e.SMBase, e.PKRU, e.PKRS, e.TSCOffset = s.SMBase, s.PKRU, s.PKRS, s.TSCOffset
	e.loadFPU(s)
	e.SetCPL(e.Seg[SS].DPL())
	e.HFlags &^= HFSMM | HFGuest
	if s.Mode&ModeSMM != 0 {
		e.HFlags |= HFSMM
	}
	if s.Mode&ModeGuest != 0 {
		e.HFlags |= HFGuest
	}
	e.UpdateHFlags()
}

func (e *Env) loadFPU(s *State) {
	e.FPCW, e.FPSW, e.FPTop = s.FCW, s.FSW&^fswTop, uint32(s.FSW>>fswTopShift&7)
	for i := range e.FP {
		e.FP[i] = [16]byte{}
		le.PutUint64(e.FP[i][:], s.FP[i].Mantissa)
		le.PutUint16(e.FP[i][8:], s.FP[i].Exponent)
		e.FPTag[i] = uint8(^s.FTags >> i & 1)
	}
	e.FPOp, e.FPIP, e.FPDP, e.MXCSR = s.FOp, s.FIP, s.FDP, s.MXCSR
	for i := range s.Vec {
		for q := range s.Vec[i] {
			le.PutUint64(e.V[i][8*q:], s.Vec[i][q])
		}
	}
}

// StackOrder puts the x87 registers into the order of the stack, as QEMU's states under KVM have them.
func (s *State) StackOrder() { s.rotateFP(int(s.FSW >> fswTopShift & 7)) }

// PhysicalOrder puts the x87 registers from the order of the stack into their own.
func (s *State) PhysicalOrder() { s.rotateFP(-int(s.FSW >> fswTopShift & 7)) }

func (s *State) rotateFP(by int) {
	old := s.FP
	for i := range s.FP {
		s.FP[i] = old[(i+by)&7]
	}
}
