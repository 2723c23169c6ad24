package uhci

// Registers (Universal Host Controller Interface Design Guide 1.1, section 2).
const (
	regCommand  = 0x00
	regStatus   = 0x02
	regEnable   = 0x04
	regFrame    = 0x06
	regBase     = 0x08
	regBaseHigh = 0x0a
	regSOF      = 0x0c
	regPorts    = 0x10
	regBytes    = 0x20

	ports   = 2
	noPort  = 0xff7f
	initSOF = 64
)

// Command register.
const (
	cmdRun         = 1 << 0
	cmdReset       = 1 << 1
	cmdGlobalReset = 1 << 2
	cmdSuspend     = 1 << 3
	cmdResume      = 1 << 4
)

// Status register. The first bit is two conditions, which are told apart in status2.
const (
	stsInterrupt  = 1 << 0
	stsError      = 1 << 1
	stsResume     = 1 << 2
	stsHostError  = 1 << 3
	stsProcessErr = 1 << 4
	stsHalted     = 1 << 5

	causeComplete = 1 << 0
	causeShort    = 1 << 1

	enableTimeout  = 1 << 0
	enableResume   = 1 << 1
	enableComplete = 1 << 2
	enableShort    = 1 << 3
)

// Port registers.
const (
	portConnected       = 1 << 0
	portConnectChanged  = 1 << 1
	portEnabled         = 1 << 2
	portEnableChanged   = 1 << 3
	portResumeDetected  = 1 << 6
	portAlways          = 1 << 7
	portLowSpeed        = 1 << 8
	portReset           = 1 << 9
	portSuspended       = 1 << 12
	portReadOnly        = 0x1bb
	portWriteClear      = portConnectChanged | portEnableChanged
	legacyClock         = 0x6a // register of configuration space
	releaseNumber       = 0x60
	release10           = 0x10
	frameNanoseconds    = 1_000_000
	frameMask           = 0x7ff
	frameListMask       = 0x3ff
	maxFramesPerTick    = 16
	queueLife           = 32 // frames that a queue is kept which the schedule no longer has
	maxLinks            = 256
	maxQueues           = 128
	controlTransferSize = 0x7ff
)

// Links of the schedule and transfer descriptors (section 3).
const (
	linkEnd   = 1 << 0
	linkQueue = 1 << 1
	linkDepth = 1 << 2
	linkMask  = ^uint32(15)

	tdLengthMask   = 0x7ff
	tdTimeout      = 1 << 18
	tdNAK          = 1 << 19
	tdBabble       = 1 << 20
	tdStalled      = 1 << 22
	tdActive       = 1 << 23
	tdInterrupt    = 1 << 24
	tdIsochronous  = 1 << 25
	tdErrorsMask   = 3 << 27
	tdShort        = 1 << 29
	tokenEndpoint  = 0xf << 15
	tokenControl   = 0x7ff00 // address and endpoint
	tokenWhole     = 0x7ffff // PID, too
	tdBytes        = 16
	queueHeadBytes = 8
)
