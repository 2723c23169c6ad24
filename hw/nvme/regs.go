package nvme

// Controller registers (NVM Express 1.4, section 3.1), and where the doorbells begin.
const (
	regCAP    = 0x00
	regVS     = 0x08
	regINTMS  = 0x0c
	regINTMC  = 0x10
	regCC     = 0x14
	regCSTS   = 0x1c
	regNSSR   = 0x20
	regAQA    = 0x24
	regASQ    = 0x28
	regACQ    = 0x30
	regCMBLOC = 0x38
	regCMBSZ  = 0x3c
	regCMBMSC = 0x50
	regCMBSTS = 0x58

	barBytes = 0x1000

	regPMRCAP, regPMRCTL, regPMRSTS, regPMRMSCL, regPMRMSCU = 0xe00, 0xe04, 0xe08, 0xe14, 0xe18
	pmrReads, pmrWrites, pmrBARAt, pmrBarrier, pmrWindowed  = 1 << 3, 1 << 4, 5, 2 << 10, 1 << 24
	pmrEnable, pmrNotReady, pmrBadBase                      = 1 << 0, 1 << 8, 1 << 12
	pmrWindowOn, pmrBaseUnit                                = 1 << 1, 1 << 12
	doorbells                                               = 0x1000
	dbBytes                                                 = 4
	maxEntries                                              = 0x7ff // of a queue, less one
	version14                                               = 0x00010400
)

// Capabilities: largest queue, contiguous queues, time limit, command sets, largest page, memory buffer.
const (
	capCQR        = 1 << 16
	capTimeout    = 0xf << 24
	capNVM        = 1 << 37
	capManySets   = 1 << 43
	capAdminOnly  = 1 << 44
	capMaxPage    = 4
	capMaxPageAt  = 52
	capMemoryBuf  = 1 << 57
	capPersistent = 1 << 56
	capSetsAt     = 37
	capQueueCount = maxEntries
)

// Fields of the configuration register.
const (
	ccEnable                   = 1
	ccSetsAt, ccPageAt, ccShut = 4, 7, 14
	ccSQEntryAt, ccCQEntryAt   = 16, 20
	setNVM, setMany, setNone   = 0, 6, 7 // command sets that may be selected
)

// Status register.
const (
	stsReady    = 1
	stsFailed   = 2
	stsShutMask = 3 << 2
	stsShutDone = 2 << 2
)

// Entries of queues, as powers of two.
const (
	sqEntryBits, cqEntryBits = 6, 4
	sqEntry, cqEntry         = 1 << sqEntryBits, 1 << cqEntryBits
)

// Admin commands (section 5) and NVM commands (section 6).
const (
	admDeleteSQ    = 0x00
	admCreateSQ    = 0x01
	admGetLog      = 0x02
	admDeleteCQ    = 0x04
	admCreateCQ    = 0x05
	admIdentify    = 0x06
	admAbort       = 0x08
	admSetFeatures = 0x09
	admGetFeatures = 0x0a
	admAsyncEvent  = 0x0c
	admAttach      = 0x15
	admDoorbells   = 0x7c
	admFormat      = 0x80

	cmdFlush   = 0x00
	cmdWrite   = 0x01
	cmdRead    = 0x02
	cmdCompare = 0x05
	cmdZeroes  = 0x08
	cmdDSM     = 0x09
	cmdVerify  = 0x0c
	cmdCopy    = 0x19
)

// Offsets in a command.
const (
	cmdOpcode = 0
	cmdFlags  = 1
	cmdID     = 2
	cmdNSID   = 4
	cmdPRP1   = 24
	cmdPRP2   = 32
	cmdDW10   = 40

	flagFuse    = 3
	flagSGL     = 0xc0
	flagSGLData = 0x40
	flagSGLBoth = 0x80
)

// status is the outcome of a command: code and type, with the bit that says that another try is useless.
type status uint16

const (
	dnr = 0x4000
	// pending means that the command is not done yet.
	pending status = 0xffff

	success         status = 0
	invalidOpcode   status = 0x001 | dnr
	invalidField    status = 0x002 | dnr
	invalidFieldTry status = 0x002
	transferError   status = 0x004
	internalError   status = 0x006
	invalidNSID     status = 0x00b | dnr
	sequenceError   status = 0x00c | dnr
	badSGLSegment   status = 0x00d | dnr
	badSGLCount     status = 0x00e | dnr
	badSGLLength    status = 0x00f | dnr
	badSGLType      status = 0x011 | dnr
	badPRPOffset    status = 0x013 | dnr
	setsRejected    status = 0x02b | dnr
	lbaRange        status = 0x080 | dnr
	formatRunning   status = 0x084
	invalidCQ       status = 0x100 | dnr
	invalidQueue    status = 0x101 | dnr
	queueTooLarge   status = 0x102 | dnr
	tooManyEvents   status = 0x105
	invalidVector   status = 0x108 | dnr
	invalidFormat   status = 0x10a | dnr
	queueInUse      status = 0x10c
	notSaveable     status = 0x10d | dnr
	notChangeable   status = 0x10e | dnr
	notPerNamespace status = 0x10f | dnr

	alreadyAttached  status = 0x118 | dnr
	privateNamespace status = 0x119 | dnr
	notAttached      status = 0x11a | dnr
	badControllers   status = 0x11c | dnr

	sizeLimit status = 0x183 | dnr

	badCommandSet    status = 0x02c | dnr
	badZoneOperation status = 0x1b6 | dnr
	noRandomArea     status = 0x1b7 | dnr
	zoneBoundary     status = 0x1b8
	zoneIsFull       status = 0x1b9
	badZoneWrite     status = 0x1bc
	tooManyActive    status = 0x1bd
	tooManyOpen      status = 0x1be
	badTransition    status = 0x1bf

	writeFault    status = 0x280
	readFault     status = 0x281
	compareFailed status = 0x285
	deallocated   status = 0x287
)

// Identification and limits.
const (
	vendorIntel, deviceIntel = 0x8086, 0x5845
	vendorQEMU, deviceQEMU   = 0x1b36, 0x0010
	classNVMe, progIfNVMe    = 0x0108, 2
	pageBits                 = 12
	maxNamespaces            = 256
	allNamespaces            = 0xffffffff
	maxIOQueuePairs          = 0xffff
	identifyBytes            = 4096
	memoryBAR                = 2
	exclusiveBAR             = 4
)
