package apic

// Registers of the local APIC by their number, which is the offset in its page divided by 16 and the MSR number minus 0x800
// (Intel SDM volume 3, table 10-1 and 10-6).
const (
	regID          = 0x02
	regVersion     = 0x03
	regTPR         = 0x08
	regAPR         = 0x09
	regPPR         = 0x0a
	regEOI         = 0x0b
	regRRD         = 0x0c
	regLDR         = 0x0d
	regDFR         = 0x0e
	regSVR         = 0x0f
	regISR         = 0x10
	regTMR         = 0x18
	regIRR         = 0x20
	regESR         = 0x28
	regICRLow      = 0x30
	regICRHigh     = 0x31
	regLVT         = 0x32 // timer, thermal, performance, LINT0, LINT1, error
	regInitCount   = 0x38
	regCurrCount   = 0x39
	regDivide      = 0x3e
	regSelfIPI     = 0x3f // x2APIC only
	bitmapRegs     = 8
	firstMSR       = 0x800
	pageOffsetMask = 0xfff
)

// Entries of the local vector table.
const (
	lvtTimer = iota
	lvtThermal
	lvtPerformance
	lvtLINT0
	lvtLINT1
	lvtError
	lvtEntries
)

// Bits of IA32_APIC_BASE.
const (
	baseBSP    = 1 << 8
	baseX2APIC = 1 << 10
	baseEnable = 1 << 11

	// DefaultAddress is where the register page is after reset, and where messages are written.
	DefaultAddress = 0xfee00000
	addressBits    = 52
)

// Fields of the registers.
const (
	version     = 0x14 // as QEMU's
	versionLVTs = (lvtEntries - 1) << 16

	svrEnable = 1 << 8
	svrNoEOI  = 1 << 12 // no broadcast of end of interrupt

	lvtVector   = 0xff
	lvtPending  = 1 << 12
	lvtLevel    = 1 << 15
	lvtMasked   = 1 << 16
	lvtPeriodic = 1 << 17
	lvtDeadline = 1 << 18

	esrIllegalAddress = 1 << 7

	dfrShift = 28
	dfrFlat  = 0xf

	icrLogical    = 1 << 11
	icrPending    = 1 << 12
	icrAssert     = 1 << 14
	icrLevel      = 1 << 15
	icrShorthand  = 18
	shorthandSelf = 1
	shorthandAll  = 2
	shorthandRest = 3

	broadcast8 = 0xff
	broadcast  = 0xffffffff
)

// DeliveryMode is how an interrupt message is to be taken.
type DeliveryMode uint8

// The delivery modes.
const (
	Fixed DeliveryMode = iota
	LowestPriority
	SMI
	remoteRead
	NMI
	INIT
	StartUp
	ExtINT
)
