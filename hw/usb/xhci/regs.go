package xhci

// Layout of the registers (eXtensible Host Controller Interface, revision 1.0, section 5).
const (
	regBytes  = 0x4000
	capBytes  = 0x40
	operAt    = capBytes
	operBytes = 0x400
	portsAt   = operAt + operBytes
	portBytes = 0x10
	runtimeAt = 0x1000
	doorbells = 0x2000
	tableAt   = 0x3000
	pendingAt = 0x3800

	interrupterBytes = 0x20

	maxPorts        = 15 // of each kind
	maxSlots        = 64
	maxInterrupters = 16
	maxEndpoints    = 31
	primaryStreams  = 7
)

// Operational registers.
const (
	operCommand, operStatus, operPageSize, operNotify = 0x00, 0x04, 0x08, 0x14
	operRing, operRingHigh                            = 0x18, 0x1c
	operContexts, operContextsHigh, operConfig        = 0x30, 0x34, 0x38

	cmdRun       = 1 << 0
	cmdReset     = 1 << 1
	cmdInterrupt = 1 << 2
	cmdSave      = 1 << 8
	cmdRestore   = 1 << 9
	cmdWrap      = 1 << 10
	cmdKept      = 0xc0f

	stsHalted       = 1 << 0
	stsHostError    = 1 << 2
	stsEvent        = 1 << 3
	stsPort         = 1 << 4
	stsRestoreError = 1 << 10
	stsError        = 1 << 12
	stsClearOnes    = stsHostError | stsEvent | stsPort | stsRestoreError

	ringStop    = 1 << 1
	ringAbort   = 1 << 2
	ringRunning = 1 << 3
)

// Port registers.
const (
	portConnected = 1 << 0
	portEnabled   = 1 << 1
	portReset     = 1 << 4
	portLinkAt    = 5
	portLink      = 15 << portLinkAt
	portPower     = 1 << 9
	portSpeedAt   = 10
	portWriteLink = 1 << 16
	portConnectCh = 1 << 17
	portWarmCh    = 1 << 19
	portResetCh   = 1 << 21
	portLinkCh    = 1 << 22
	portClearOnes = 0x7f << 17
	portWritable  = portPower | 7<<25
	portWarm      = 1 << 31

	linkU0, linkU3, linkDetect, linkPolling, linkResume = 0, 3, 5, 7, 15
)

// Registers of an interrupter.
const (
	intManage, intModerate, intTableSize                   = 0x00, 0x04, 0x08
	intTable, intTableHigh, intDequeue, intDequeueHigh     = 0x10, 0x14, 0x18, 0x1c
	manPending, manEnabled, dequeueBusy                    = 1, 2, 1 << 3
	minSegment, maxSegment                             int = 16, 4096
)

// Types of transfer request blocks (section 6.4.6).
const (
	trNormal  = 1
	trSetup   = 2
	trData    = 3
	trStatus  = 4
	trIsoch   = 5
	trLink    = 6
	trEvent   = 7
	crEnable  = 9
	crDisable = 10
	crAddress = 11
	crConfig  = 12
	crEval    = 13
	crResetEP = 14
	crStopEP  = 15
	crDequeue = 16
	crReset   = 17
	crBand    = 21
	crNoOp    = 23

	erTransfer = 32
	erCommand  = 33
	erPort     = 34
	erHost     = 37
	erWrap     = 39

	crNECFirmware, crNECChallenge, erNEC = 49, 50, 48
	necFirmware                          = 0x3034
	necKey                               = 0x49434878
)

// Bits of transfer request blocks.
const (
	trbBytes       = 16
	trbCycle       = 1 << 0
	trbToggle      = 1 << 1
	trbEventData   = 1 << 2
	trbShort       = 1 << 2
	trbChain       = 1 << 4
	trbInterrupt   = 1 << 5
	trbImmediate   = 1 << 6
	trbBlock       = 1 << 9 // of an address command: no SET_ADDRESS
	trbDeconfigure = 1 << 9
	trbTypeAt      = 10
	trbIn          = 1 << 16
	trbEndpointAt  = 16
	trbFrameAt     = 20
	trbStreamAt    = 16
	trbTargetAt    = 22
	trbSlotAt      = 24
	trbASAP        = 1 << 31
	trbLength      = 0x1ffff
	setupBytes     = 8
)

// Completion codes (section 6.4.5).
const (
	ccSuccess      = 1
	ccBabble       = 3
	ccTransaction  = 4
	ccTRB          = 5
	ccStall        = 6
	ccNoSlots      = 9
	ccStreamType   = 10
	ccSlotDisabled = 11
	ccEPDisabled   = 12
	ccShort        = 13
	ccUnderrun     = 14
	ccOverrun      = 15
	ccContext      = 19
	ccRingFull     = 21
	ccRingStopped  = 24
	ccStopped      = 26
	ccStreamID     = 34
)

// Contexts (section 6.2): words of slots and endpoints.
const (
	contextBytes = 32

	epStateMask                                = 7
	epDisabled, epRunning, epHalted, epStopped = 0, 1, 2, 3
	epStreamsAt                                = 10
	epStreams                                  = primaryStreams << epStreamsAt
	epLinear                                   = 1 << 15

	slotStateAt                                = 27
	slotEntries                                = 31 << 27
	slotDefault, slotAddressed, slotConfigured = 1, 2, 3
	epIsochOut, epBulkOut, epIntOut            = 1, 2, 3
	epControl, epIsochIn, epBulkIn, epIntIn    = 4, 5, 6, 7
)

// Limits of what is done at once.
const (
	maxLinks     = 32
	maxChain     = 8192 // blocks of a transfer
	maxCommands  = 256
	maxTransfers = 256
	maxWaiting   = 16 // transfers of an endpoint that wait for the device

	microframe = 125_000 // nanoseconds
	wrapAt     = 0x4000  // microframes
)
