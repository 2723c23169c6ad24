package x86

// Exit codes of secure virtual machine mode: why a nested guest ends (AMD64 APM volume 2, appendix C).
const (
	SVMExitReadCR   = 0x00 // + number
	SVMExitWriteCR  = 0x10
	SVMExitReadDR   = 0x20
	SVMExitWriteDR  = 0x30
	SVMExitExc      = 0x40 // + vector
	SVMExitINTR     = 0x60
	SVMExitNMI      = 0x61
	SVMExitSMI      = 0x62
	SVMExitINIT     = 0x63
	SVMExitVINTR    = 0x64
	SVMExitCR0Sel   = 0x65
	SVMExitReadIDTR = 0x66
	SVMExitReadGDTR = 0x67
	SVMExitReadLDTR = 0x68
	SVMExitReadTR   = 0x69
	SVMExitLoadIDTR = 0x6a
	SVMExitLoadGDTR = 0x6b
	SVMExitLoadLDTR = 0x6c
	SVMExitLoadTR   = 0x6d
	SVMExitRDTSC    = 0x6e
	SVMExitRDPMC    = 0x6f
	SVMExitPUSHF    = 0x70
	SVMExitPOPF     = 0x71
	SVMExitCPUID    = 0x72
	SVMExitRSM      = 0x73
	SVMExitIRET     = 0x74
	SVMExitINT      = 0x75
	SVMExitINVD     = 0x76
	SVMExitPAUSE    = 0x77
	SVMExitHLT      = 0x78
	SVMExitINVLPG   = 0x79
	SVMExitINVLPGA  = 0x7a
	SVMExitIOIO     = 0x7b
	SVMExitMSR      = 0x7c
	SVMExitTask     = 0x7d
	SVMExitShutdown = 0x7f
	SVMExitVMRUN    = 0x80
	SVMExitVMMCALL  = 0x81
	SVMExitVMLOAD   = 0x82
	SVMExitVMSAVE   = 0x83
	SVMExitSTGI     = 0x84
	SVMExitCLGI     = 0x85
	SVMExitRDTSCP   = 0x87
	SVMExitICEBP    = 0x88
	SVMExitWBINVD   = 0x89
	SVMExitMONITOR  = 0x8a
	SVMExitMWAIT    = 0x8b
	SVMExitXSETBV   = 0x8d
	SVMExitNPF      = 0x400
	SVMExitInvalid  = ^uint64(0)
)

// Offsets in the virtual machine control block: the control area and, from 0x400, the state save area (appendix B). Segments have 16 bytes:
// selector, attributes, limit, base.
const (
	VMCBCRRead, VMCBCRWrite, VMCBDRRead, VMCBDRWrite = 0x00, 0x02, 0x04, 0x06 // 2 bytes each
	VMCBExceptions                                   = 0x08                   // 4
	VMCBIntercept                                    = 0x0c                   // 8
	VMCBIOPM                                         = 0x40
	VMCBMSRPM                                        = 0x48
	VMCBTSCOffset                                    = 0x50
	VMCBASID                                         = 0x58 // 4
	VMCBIntCtl                                       = 0x60 // 4
	VMCBIntVector                                    = 0x64 // 4
	VMCBIntState                                     = 0x68 // 4
	VMCBExitCode                                     = 0x70
	VMCBExitInfo1                                    = 0x78
	VMCBExitInfo2                                    = 0x80
	VMCBExitIntInfo                                  = 0x88
	VMCBNestedCtl                                    = 0x90
	VMCBEventInj                                     = 0xa8
	VMCBNestedCR3                                    = 0xb0

	VMCBSegs         = 0x400 // ES CS SS DS FS GS
	VMCBGDTR         = 0x460
	VMCBLDTR         = 0x470
	VMCBIDTR         = 0x480
	VMCBTR           = 0x490
	VMCBCPL          = 0x4cb // 1
	VMCBEFER         = 0x4d0
	VMCBCR4          = 0x548
	VMCBCR3          = 0x550
	VMCBCR0          = 0x558
	VMCBDR7          = 0x560
	VMCBDR6          = 0x568
	VMCBRFLAGS       = 0x570
	VMCBRIP          = 0x578
	VMCBRSP          = 0x5d8
	VMCBRAX          = 0x5f8
	VMCBSTAR         = 0x600
	VMCBLSTAR        = 0x608
	VMCBCSTAR        = 0x610
	VMCBSFMASK       = 0x618
	VMCBKernelGSBase = 0x620
	VMCBSysenterCS   = 0x628
	VMCBSysenterESP  = 0x630
	VMCBSysenterEIP  = 0x638
	VMCBCR2          = 0x640
)

// Bits of the field int_ctl.
const (
	VIntTPR       = 0xf     // virtual task priority
	VIntIRQ       = 1 << 8  // a virtual interrupt waits
	VIntGIF       = 1 << 9  // virtual global interrupt flag
	VIntPrioShift = 16      // four bits: priority of the virtual interrupt
	VIntIgnoreTPR = 1 << 20 // it has priority over any
	VIntMasking   = 1 << 24 // EFLAGS.IF and CR8 of the guest are for virtual interrupts only
	VIntGIFEnable = 1 << 25 // STGI and CLGI act on VIntGIF
)

// Bits of the fields event_inj and exit_int_info; the error code is in the high half.
const (
	SVMEventTypeShift = 8
	SVMEventErr       = 1 << 11
	SVMEventValid     = 1 << 31

	SVMEventINTR, SVMEventNMI, SVMEventException, SVMEventSoft = 0, 2, 3, 4
)

// Bits of exit_info_1 for SVMExitIOIO, beside the port from bit 16 on, the operand size from bit 4 on (bit 4: 1, 5: 2, 6: 4 bytes) and the
// address size from bit 7 on (bit 7: 2, 8: 4, 9: 8 bytes).
const (
	SVMIOIn     = 1 << 0
	SVMIOString = 1 << 2
	SVMIORep    = 1 << 3
)

// Bits of exit_info_1 for SVMExitNPF beside those of a page fault: of which access the address is.
const (
	SVMNPFFinal = 1 << 32 // the guest's own
	SVMNPFTable = 1 << 33 // its page tables'
)

// SVMState is what the CPU keeps of a nested guest, which Env.HFlags tells of (HFGuest); QEMU's migration has the same.
type SVMState struct {
	HSave, VMCB                      uint64 // guest physical addresses
	Intercept                        uint64 // of exit codes from SVMExitINTR on
	CRRead, CRWrite, DRRead, DRWrite uint16
	Exceptions                       uint32
	vTPR                             uint8 // in QEMU's state without a use
	NestedCR3                        uint64
	PagingMode, IntCtl               uint32 // Paging*: of the host's page tables; VInt*
}

// Bits of SVMState.PagingMode.
const (
	PagingPAE = 1 << iota
	PagingLMA
	PagingNXE
	PagingPSE
	PagingLA57

	PagingSMEP = 1 << 19
)
