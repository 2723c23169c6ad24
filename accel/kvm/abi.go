package kvm

// request is the number of an ioctl: direction, size of the argument, type and number.
type request uint32

// Directions and the type of KVM's requests (asm-generic/ioctl.h).
const (
	dirNone, dirWrite, dirRead, dirBoth = 0, 1, 2, 3
	kvmType                             = 0xae
)

func makeRequest(dir, size, number uint32) request {
	return request(dir<<30 | size<<16 | kvmType<<8 | number)
}

// apiVersion is the only version of the interface since Linux 2.6.22.
const apiVersion = 12

// Sizes of structures (linux/kvm.h).
const (
	sizeRegs, sizeSregs, sizeXsave, sizeXcrs = 0x90, 0x138, 0x1000, 0x188
	sizeSregs2                               = 0x140
	sizeEvents, sizeDebugRegs, sizeLAPIC     = 0x40, 0x80, 0x400
	sizeIRQChip, sizePIT                     = 0x208, 0x70
	sizeGuestDebug, sizeIOEventFD, sizeIRQFD = 0x48, 0x40, 0x20
)

// The requests. Those of the system go to /dev/kvm, the others to the descriptor of the machine or of a CPU.
var (
	reqGetAPIVersion     = makeRequest(dirNone, 0, 0x00)
	reqCreateVM          = makeRequest(dirNone, 0, 0x01)
	reqGetMSRIndexList   = makeRequest(dirBoth, 4, 0x02)
	reqCheckExtension    = makeRequest(dirNone, 0, 0x03)
	reqGetVCPUMmapSize   = makeRequest(dirNone, 0, 0x04)
	reqGetSupportedCPUID = makeRequest(dirBoth, 8, 0x05)
	reqMCECapSupported   = makeRequest(dirRead, 8, 0x9d)
	reqGetDeviceAttr     = makeRequest(dirWrite, 0x18, 0xe2)
	reqGetHyperVCPUID    = makeRequest(dirBoth, 8, 0xc1)

	reqCreateVCPU      = makeRequest(dirNone, 0, 0x41)
	reqGetDirtyLog     = makeRequest(dirWrite, 0x10, 0x42)
	reqClearDirtyLog   = makeRequest(dirBoth, 0x18, 0xc0)
	reqResetRings      = makeRequest(dirNone, 0, 0xc7)
	reqSetMemoryRegion = makeRequest(dirWrite, 0x20, 0x46)
	reqSetTSSAddr      = makeRequest(dirNone, 0, 0x47)
	reqSetIdentityMap  = makeRequest(dirWrite, 8, 0x48)
	reqIOEventFD       = makeRequest(dirWrite, sizeIOEventFD, 0x79)
	reqIRQFD           = makeRequest(dirWrite, sizeIRQFD, 0x76)
	reqCoalesce        = makeRequest(dirWrite, 0x10, 0x67)
	reqUncoalesce      = makeRequest(dirWrite, 0x10, 0x68)
	reqEnableCap       = makeRequest(dirWrite, 0x68, 0xa3)
	reqSetClock        = makeRequest(dirWrite, 0x30, 0x7b)
	reqGetClock        = makeRequest(dirRead, 0x30, 0x7c)

	reqCreateIRQChip = makeRequest(dirNone, 0, 0x60)
	reqIRQLine       = makeRequest(dirWrite, 8, 0x61)
	reqGetIRQChip    = makeRequest(dirBoth, sizeIRQChip, 0x62)
	reqSetIRQChip    = makeRequest(dirRead, sizeIRQChip, 0x63)
	reqSetGSIRouting = makeRequest(dirWrite, 8, 0x6a)
	reqReinject      = makeRequest(dirNone, 0, 0x71)
	reqCreatePIT     = makeRequest(dirWrite, 0x40, 0x77)
	reqGetPIT        = makeRequest(dirRead, sizePIT, 0x9f)
	reqSetPIT        = makeRequest(dirWrite, sizePIT, 0xa0)
	reqSignalMSI     = makeRequest(dirWrite, 0x20, 0xa5)
	reqGetLAPIC      = makeRequest(dirRead, sizeLAPIC, 0x8e)
	reqSetLAPIC      = makeRequest(dirWrite, sizeLAPIC, 0x8f)

	reqRun           = makeRequest(dirNone, 0, 0x80)
	reqGetRegs       = makeRequest(dirRead, sizeRegs, 0x81)
	reqSetRegs       = makeRequest(dirWrite, sizeRegs, 0x82)
	reqGetSregs      = makeRequest(dirRead, sizeSregs, 0x83)
	reqSetSregs      = makeRequest(dirWrite, sizeSregs, 0x84)
	reqInterrupt     = makeRequest(dirWrite, 4, 0x86)
	reqGetMSRs       = makeRequest(dirBoth, 8, 0x88)
	reqSetMSRs       = makeRequest(dirWrite, 8, 0x89)
	reqSetCPUID2     = makeRequest(dirWrite, 8, 0x90)
	reqGetMPState    = makeRequest(dirRead, 4, 0x98)
	reqSetMPState    = makeRequest(dirWrite, 4, 0x99)
	reqNMI           = makeRequest(dirNone, 0, 0x9a)
	reqSetGuestDebug = makeRequest(dirWrite, sizeGuestDebug, 0x9b)
	reqSetupMCE      = makeRequest(dirWrite, 8, 0x9c)
	reqGetEvents     = makeRequest(dirRead, sizeEvents, 0x9f)
	reqSetEvents     = makeRequest(dirWrite, sizeEvents, 0xa0)
	reqGetDebugRegs  = makeRequest(dirRead, sizeDebugRegs, 0xa1)
	reqSetDebugRegs  = makeRequest(dirWrite, sizeDebugRegs, 0xa2)
	reqGetXsave      = makeRequest(dirRead, sizeXsave, 0xa4)
	reqSetXsave      = makeRequest(dirWrite, sizeXsave, 0xa5)
	reqGetXsave2     = makeRequest(dirRead, sizeXsave, 0xcf)
	reqGetSregs2     = makeRequest(dirRead, sizeSregs2, 0xcc)
	reqSetSregs2     = makeRequest(dirWrite, sizeSregs2, 0xcd)
	reqSMI           = makeRequest(dirNone, 0, 0xb7)
	reqGetXcrs       = makeRequest(dirRead, sizeXcrs, 0xa6)
	reqSetXcrs       = makeRequest(dirWrite, sizeXcrs, 0xa7)
	reqGetTSCKHz     = makeRequest(dirNone, 0, 0xa3)
	reqSetTSCKHz     = makeRequest(dirNone, 0, 0xa2)
	reqKVMClockCtrl  = makeRequest(dirNone, 0, 0xad)
	reqGetStatsFD    = makeRequest(dirNone, 0, 0xce) // of the machine, too
)

// requestNames is for messages.
var requestNames = map[request]string{
	reqGetAPIVersion: "KVM_GET_API_VERSION", reqCreateVM: "KVM_CREATE_VM", reqGetMSRIndexList: "KVM_GET_MSR_INDEX_LIST",
	reqCheckExtension: "KVM_CHECK_EXTENSION", reqGetVCPUMmapSize: "KVM_GET_VCPU_MMAP_SIZE", reqGetSupportedCPUID: "KVM_GET_SUPPORTED_CPUID",
	reqMCECapSupported: "KVM_X86_GET_MCE_CAP_SUPPORTED", reqCreateVCPU: "KVM_CREATE_VCPU", reqGetDirtyLog: "KVM_GET_DIRTY_LOG", reqClearDirtyLog: "KVM_CLEAR_DIRTY_LOG", reqResetRings: "KVM_RESET_DIRTY_RINGS",
	reqSetMemoryRegion: "KVM_SET_USER_MEMORY_REGION", reqSetTSSAddr: "KVM_SET_TSS_ADDR", reqSetIdentityMap: "KVM_SET_IDENTITY_MAP_ADDR",
	reqEnableCap: "KVM_ENABLE_CAP", reqSetClock: "KVM_SET_CLOCK", reqGetClock: "KVM_GET_CLOCK", reqCreateIRQChip: "KVM_CREATE_IRQCHIP", reqIRQLine: "KVM_IRQ_LINE", reqGetIRQChip: "KVM_GET_IRQCHIP", reqSetIRQChip: "KVM_SET_IRQCHIP",
	reqReinject: "KVM_REINJECT_CONTROL", reqCreatePIT: "KVM_CREATE_PIT2", reqGetPIT: "KVM_GET_PIT2", reqSetPIT: "KVM_SET_PIT2",
	reqSetGSIRouting: "KVM_SET_GSI_ROUTING", reqSignalMSI: "KVM_SIGNAL_MSI", reqGetLAPIC: "KVM_GET_LAPIC", reqSetLAPIC: "KVM_SET_LAPIC", reqRun: "KVM_RUN", reqGetRegs: "KVM_GET_REGS",
	reqSetRegs: "KVM_SET_REGS", reqGetSregs: "KVM_GET_SREGS", reqSetSregs: "KVM_SET_SREGS", reqInterrupt: "KVM_INTERRUPT", reqGetMSRs: "KVM_GET_MSRS",
	reqSetMSRs: "KVM_SET_MSRS", reqSetCPUID2: "KVM_SET_CPUID2", reqGetMPState: "KVM_GET_MP_STATE", reqSetMPState: "KVM_SET_MP_STATE",
	reqNMI: "KVM_NMI", reqSetGuestDebug: "KVM_SET_GUEST_DEBUG", reqSetupMCE: "KVM_X86_SETUP_MCE", reqGetEvents: "KVM_GET_VCPU_EVENTS",
	reqSetEvents: "KVM_SET_VCPU_EVENTS", reqGetDebugRegs: "KVM_GET_DEBUGREGS", reqSetDebugRegs: "KVM_SET_DEBUGREGS", reqGetXsave: "KVM_GET_XSAVE",
	reqSetXsave: "KVM_SET_XSAVE", reqGetXsave2: "KVM_GET_XSAVE2", reqGetSregs2: "KVM_GET_SREGS2", reqSetSregs2: "KVM_SET_SREGS2", reqSMI: "KVM_SMI",
	reqIOEventFD: "KVM_IOEVENTFD", reqIRQFD: "KVM_IRQFD", reqCoalesce: "KVM_REGISTER_COALESCED_MMIO", reqUncoalesce: "KVM_UNREGISTER_COALESCED_MMIO",
	reqGetDeviceAttr: "KVM_GET_DEVICE_ATTR", reqGetHyperVCPUID: "KVM_GET_SUPPORTED_HV_CPUID", reqGetXcrs: "KVM_GET_XCRS", reqSetXcrs: "KVM_SET_XCRS", reqGetTSCKHz: "KVM_GET_TSC_KHZ",
	reqSetTSCKHz: "KVM_SET_TSC_KHZ", reqKVMClockCtrl: "KVM_KVMCLOCK_CTRL", reqGetStatsFD: "KVM_GET_STATS_FD",
}

// Exit reasons in the shared page.
const (
	exitUnknown       = 0
	exitException     = 1
	exitIO            = 2
	exitHypercall     = 3
	exitDebug         = 4
	exitHLT           = 5
	exitMMIO          = 6
	exitIRQWindow     = 7
	exitShutdown      = 8
	exitFailEntry     = 9
	exitIntr          = 10
	exitSetTPR        = 11
	exitTPRAccess     = 12
	exitNMI           = 16
	exitInternalError = 17
	exitSystemEvent   = 24
	exitIOAPICEOI     = 26
	exitHyperV        = 27
	exitReadMSR       = 29
	exitWriteMSR      = 30
	exitRingFull      = 31
	exitBusLock       = 33
	exitNotify        = 37
	exitMemoryFault   = 39
)

// Places in the shared page (struct kvm_run).
const (
	runImmediateExit = 1 // byte
	runWindow        = 0 // byte: exit when an interrupt can be injected
	runReason        = 8
	runReady         = 12 // byte: an interrupt can be injected now
	runIF            = 13 // byte: EFLAGS.IF
	runFlags         = 14
	runSMM           = 1 // in runFlags: the access is one of system management mode
	runCR8           = 16
	runAPICBase      = 24
	runExit          = 32 // what belongs to the reason
	runMin           = 32 + 256
)

// regs is struct kvm_regs.
type regs struct {
	RAX, RBX, RCX, RDX, RSI, RDI, RSP, RBP uint64
	R8                                     [8]uint64
	RIP, RFLAGS                            uint64
}

// segment is struct kvm_segment, table struct kvm_dtable.
type segment struct {
	Base                                                 uint64
	Limit                                                uint32
	Selector                                             uint16
	Type, Present, DPL, DB, S, L, G, AVL, Unusable, Zero uint8
}

type table struct {
	Base  uint64
	Limit uint16
	_     [3]uint16
}

// sregsHead is what both forms of the special registers begin with.
type sregsHead struct {
	CS, DS, ES, FS, GS, SS, TR, LDT segment
	GDT, IDT                        table
	CR0, CR2, CR3, CR4, CR8         uint64
	EFER, APICBase                  uint64
}

// sregs is struct kvm_sregs.
type sregs struct {
	sregsHead
	Interrupts [4]uint64
}

// sregs2 is struct kvm_sregs2: with the page directory pointers in the place of the pending interrupt, which the events tell, too.
type sregs2 struct {
	sregsHead
	Flags uint64
	PDPTR [4]uint64
}

// sregsPDPTR is the flag that PDPTR is valid.
const sregsPDPTR = 1

// xcrs is struct kvm_xcrs.
type xcrs struct {
	N, Flags uint32
	X        [16]struct {
		Index, _ uint32
		Value    uint64
	}
	_ [16]uint64
}

// events is struct kvm_vcpu_events.
type events struct {
	ExceptionInjected, ExceptionNr, ExceptionHasError, ExceptionPending uint8
	ExceptionError                                                      uint32
	IntInjected, IntNr, IntSoft, IntShadow                              uint8
	NMIInjected, NMIPending, NMIMasked, _                               uint8
	SIPIVector                                                          uint32
	Flags                                                               uint32
	SMM, SMIPending, SMMInsideNMI, LatchedINIT                          uint8
	TripleFault                                                         uint8
	_                                                                   [26]uint8
	HasPayload                                                          uint8
	Payload                                                             uint64
}

// Flags of events: which parts are to be taken over.
const (
	eventNMIPending = 1 << 0
	eventSIPI       = 1 << 1
	eventShadow     = 1 << 2
	eventSMM        = 1 << 3
	eventPayload    = 1 << 4
	eventTriple     = 1 << 5

	// Bits of IntShadow.
	shadowMOVSS, shadowSTI = 1, 2
)

// debugRegs is struct kvm_debugregs.
type debugRegs struct {
	DB       [4]uint64
	DR6, DR7 uint64
	Flags    uint64
	_        [9]uint64
}

// guestDebug is struct kvm_guest_debug.
type guestDebug struct {
	Control, _ uint32
	DebugReg   [8]uint64
}

// Bits of guestDebug.Control.
const (
	debugEnable   = 1 << 0
	debugStep     = 1 << 1
	debugSoft     = 1 << 16 // breakpoint instructions come here
	debugHard     = 1 << 17 // the debug registers are ours
	debugBlockIRQ = 1 << 20 // no interrupts while stepping
)

// memoryRegion is struct kvm_userspace_memory_region.
type memoryRegion struct {
	Slot, Flags            uint32
	Guest, Size, Userspace uint64
}

// Flags of a memory region.
const (
	memLogDirty = 1 << 0
	memReadOnly = 1 << 1
)

// dirtyLog is struct kvm_dirty_log; Bitmap is an address.
type dirtyLog struct {
	Slot, _ uint32
	Bitmap  uint64
}

// clearLog is struct kvm_clear_dirty_log.
type clearLog struct {
	Slot, Pages uint32
	First       uint64
	Bitmap      uint64
}

// cpuidEntry is struct kvm_cpuid_entry2, cpuidList struct kvm_cpuid2.
type cpuidEntry struct {
	Function, Index, Flags uint32
	Regs                   [4]uint32
	_                      [3]uint32
}

type cpuidList struct {
	N, _    uint32
	Entries [maxCPUID]cpuidEntry
}

const (
	maxCPUID     = 256
	cpuidIndexed = 1 // the index matters
)

// msrEntry is struct kvm_msr_entry, msrList struct kvm_msrs.
type msrEntry struct {
	Index, _ uint32
	Value    uint64
}

type msrList struct {
	N, _    uint32
	Entries [maxMSRs]msrEntry
}

const maxMSRs = 256

// msrIndices is struct kvm_msr_list.
type msrIndices struct {
	N       uint32
	Indices [maxIndices]uint32
}

const maxIndices = 1024

// enableCap is struct kvm_enable_cap.
type enableCap struct {
	Cap, Flags uint32
	Args       [4]uint64
	_          [64]uint8
}

// States of a CPU (struct kvm_mp_state).
const (
	mpRunnable      = 0
	mpUninitialized = 1
	mpInitReceived  = 2
	mpHalted        = 3
	mpSIPIReceived  = 4
)
