package pci

// Configuration header registers (PCI Local Bus Specification 3.0, §6.1).
const (
	RegVendorID     = 0x00
	RegDeviceID     = 0x02
	RegCommand      = 0x04
	RegStatus       = 0x06
	RegRevision     = 0x08
	RegProgIf       = 0x09
	RegClass        = 0x0a
	RegCacheLine    = 0x0c
	RegLatency      = 0x0d
	RegHeaderType   = 0x0e
	RegBAR0         = 0x10
	RegSubVendorID  = 0x2c
	RegSubDeviceID  = 0x2e
	RegROM          = 0x30
	RegCapabilities = 0x34
	RegIntLine      = 0x3c
	RegIntPin       = 0x3d

	headerSize = 0x40
	// ConfigSize is the size of a conventional configuration space, ExpressConfigSize that of an extended one.
	ConfigSize        = 0x100
	ExpressConfigSize = 0x1000
)

// Bits of the command register.
const (
	CommandIO          = 0x0001
	CommandMemory      = 0x0002
	CommandMaster      = 0x0004
	commandSERR        = 0x0100
	CommandIntxDisable = 0x0400
)

// Bits of the status register.
const (
	statusInterrupt = 0x0008
	StatusCapList   = 0x0010
	StatusFastBack  = 0x0080
	StatusDevselMed = 0x0200
	statusW1C       = 0xf900 // parity, system, master abort, target abort errors
)

// Bits of the header type and of a BAR.
const (
	headerMultifunction = 0x80

	barIO       = 0x1
	barMem64    = 0x4
	barPrefetch = 0x8
	romEnable   = 0x1
)

// Device classes.
const (
	ClassOthers          = 0x00ff
	ClassStorageSCSI     = 0x0100
	ClassStorageIDE      = 0x0101
	ClassNetworkEthernet = 0x0200
	ClassDisplayVGA      = 0x0300
	ClassDisplayOther    = 0x0380
	ClassBridgeHost      = 0x0600
	ClassBridgeISA       = 0x0601
	ClassBridgePCI       = 0x0604
	ClassBridgeOther     = 0x0680
	ClassCommSerial      = 0x0700
	ClassCommOther       = 0x0780
	ClassSystemOther     = 0x0880
	ClassSerialUSB       = 0x0c03
	ClassSerialSMBus     = 0x0c05
)

// Capability identifiers.
const (
	CapPower   = 0x01
	CapSlotID  = 0x04
	CapMSI     = 0x05
	CapVendor  = 0x09
	CapSHPC    = 0x0c
	CapSSVID   = 0x0d
	CapExpress = 0x10
	CapMSIX    = 0x11
)

// Vendors and QEMU's default subsystem.
const (
	VendorIntel  = 0x8086
	VendorTI     = 0x104c
	VendorQEMU   = 0x1234
	VendorRedHat = 0x1b36
	VendorVirtio = 0x1af4

	defaultSubVendor = 0x1af4
	defaultSubDevice = 0x1100
)
