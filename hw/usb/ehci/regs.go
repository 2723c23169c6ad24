package ehci

// Registers (Enhanced Host Controller Interface Specification 1.0, section 2). Those from regCommand on are relative to operational.
const (
	capsBytes   = 0x10
	operational = 0x20
	mmioBytes   = 0x1000
	portsAt     = 0x44 // relative to operational

	regCommand  = 0x00
	regStatus   = 0x04
	regEnable   = 0x08
	regFrame    = 0x0c
	regSegment  = 0x10
	regPeriodic = 0x14
	regAsync    = 0x18
	regUnused   = 0x1c
	regConfig   = 0x40

	ports = 6
)

// Command register.
const (
	cmdRun          = 1 << 0
	cmdReset        = 1 << 1
	cmdListSize     = 3 << 2
	cmdPeriodic     = 1 << 4
	cmdAsync        = 1 << 5
	cmdDoorbell     = 1 << 6
	cmdThresholdAt  = 16
	defaultInterval = 8 // microframes between interrupts
)

// Status register.
const (
	stsInterrupt   = 1 << 0
	stsError       = 1 << 1
	stsPort        = 1 << 2
	stsRollover    = 1 << 3
	stsHostError   = 1 << 4
	stsAdvance     = 1 << 5
	stsHalted      = 1 << 12
	stsReclamation = 1 << 13
	stsPeriodic    = 1 << 14
	stsAsync       = 1 << 15
	stsCauses      = 0x3f
)

// Port registers.
const (
	portConnected      = 1 << 0
	portConnectChanged = 1 << 1
	portEnabled        = 1 << 2
	portEnableChanged  = 1 << 3
	portOverChanged    = 1 << 5
	portResume         = 1 << 6
	portSuspended      = 1 << 7
	portReset          = 1 << 8
	portPower          = 1 << 12
	portOwner          = 1 << 13
	portClearOnes      = portConnectChanged | portEnableChanged | portOverChanged
	portWritable       = 0x007001c0
)

// Configuration space.
const (
	cfgRelease     = 0x60
	cfgFrameLength = 0x61
	cfgLegacy      = 0x68
	cfgLegacyCtl   = 0x6f
	release20      = 0x20
	progIfEHCI     = 0x20
)

// Times in nanoseconds and microframes.
const (
	frameNS          = 1_000_000
	microframeNS     = frameNS / 8
	minPerTick       = 24 // microframes done at once even if the driver has been interrupted
	periodicActivity = 512
	frameLimit       = 0x4000
	rollover         = 0x2000

	maxHeads  = 100      // looked at to find the head of the asynchronous list
	maxBytes  = 5 * 4096 // of a transfer descriptor
	maxQueued = 256      // transfer descriptors of a queue under way
	maxIsoch  = 16       // isochronous descriptors in a frame
	maxSteps  = 4096     // of a schedule at once
)

// Links.
const (
	linkEnd      = 1
	linkMask     = ^uint32(31)
	typeIsoch    = 0
	typeQueue    = 1
	typeSplitIso = 2
)

func linkType(v uint32) uint32 { return v >> 1 & 3 }

// Words of a queue head (section 3.6); its overlay begins at qhNext and is laid out as a transfer descriptor from there on.
const (
	qhLink, qhEndpoint, qhCaps, qhCurrent, qhNext, qhAlternate, qhToken, qhBuffers = 0, 1, 2, 3, 4, 5, 6, 7

	qhWords = 12

	epAddress   = 0x7f
	epNumberAt  = 8
	epSpeedAt   = 12
	epToggle    = 1 << 14
	epHead      = 1 << 15
	epReloadAt  = 28
	speedHigh   = 2
	capsMultAt  = 30
	nakCount    = 0x1e
	nakCountAt  = 1
	bufProgress = 0xff
	bufFrameTag = 0x1f
)

// Words of a transfer descriptor (section 3.5).
const (
	tdNext, tdAlternate, tdToken, tdBuffers = 0, 1, 2, 3

	tdWords = 8

	tokenPing      = 1 << 0
	tokenError     = 1 << 3
	tokenBabble    = 1 << 4
	tokenHalted    = 1 << 6
	tokenActive    = 1 << 7
	tokenPIDAt     = 8
	tokenErrors    = 3 << 10
	tokenPageAt    = 12
	tokenPage      = 7 << tokenPageAt
	tokenInterrupt = 1 << 15
	tokenBytesAt   = 16
	tokenBytes     = 0x7fff << tokenBytesAt
	tokenToggle    = 1 << 31
	pageMask       = ^uint32(0xfff)
	pageBytes      = 4096
	tdPages        = 5
)

// Words of an isochronous transfer descriptor (section 3.3).
const (
	itdNext, itdTransactions, itdBuffers = 0, 1, 9

	itdWords = 16

	isoActive    = 1 << 31
	isoBabble    = 1 << 29
	isoError     = 1 << 28
	isoLengthAt  = 16
	isoLength    = 0xfff << isoLengthAt
	isoInterrupt = 1 << 15
	isoPageAt    = 12
	isoIn        = 1 << 11
	isoMaxPacket = 0x7ff
	isoMult      = 3
	isoPages     = 7
)
