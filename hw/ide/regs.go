// Package ide is the ATA bus: the register file of a channel with two drives, the ATA command set with PIO and DMA, SMART and ATAPI
// CD-ROM drives (ATA8-ACS, MMC-5). Host adapters are packages of their own.
package ide

// Registers of the command block by offset. Reading the last ones gives error and status.
const (
	regData        = 0
	regFeatures    = 1
	regSectorCount = 2
	regSector      = 3
	regCylLow      = 4
	regCylHigh     = 5
	regDevice      = 6
	regCommand     = 7
	numRegs        = 8
)

// Status register.
const (
	StatusERR   = 0x01
	StatusDRQ   = 0x08
	StatusSeek  = 0x10
	StatusFault = 0x20
	StatusReady = 0x40
	StatusBusy  = 0x80
)

// Error register.
const errAbort = 0x04

// Device register.
const (
	devHead     = 0x0f
	devSelect   = 0x10
	devLBA      = 0x40
	devAlwaysOn = 0xa0
)

// Device control register.
const (
	CtlNoIRQ = 0x02
	CtlReset = 0x04
	ctlHOB   = 0x80
)

// Interrupt reason of packet commands, in the sector count register.
const (
	reasonCommand = 0x01
	reasonToHost  = 0x02
	reasonMask    = 0x07
)

// Commands (ATA8-ACS, annex B).
const (
	cmdDataSetManagement = 0x06
	cmdDeviceReset       = 0x08
	cmdRecalibrate       = 0x10
	cmdRead              = 0x20
	cmdReadOnce          = 0x21
	cmdReadExt           = 0x24
	cmdReadDMAExt        = 0x25
	cmdReadNativeMaxExt  = 0x27
	cmdReadMultipleExt   = 0x29
	cmdWrite             = 0x30
	cmdWriteOnce         = 0x31
	cmdWriteExt          = 0x34
	cmdWriteDMAExt       = 0x35
	cmdWriteMultipleExt  = 0x39
	cmdWriteVerify       = 0x3c
	cmdVerify            = 0x40
	cmdVerifyOnce        = 0x41
	cmdVerifyExt         = 0x42
	CmdReadFPDMA         = 0x60
	CmdWriteFPDMA        = 0x61
	cmdSeek              = 0x70
	cmdDiagnose          = 0x90
	cmdSpecify           = 0x91
	cmdStandbyNow2       = 0x94
	cmdIdleImmediate2    = 0x95
	cmdStandby2          = 0x96
	cmdSetIdle2          = 0x97
	cmdCheckPower2       = 0x98
	cmdSleep2            = 0x99
	CmdPacket            = 0xa0
	cmdIdentifyPacket    = 0xa1
	cmdSMART             = 0xb0
	cmdReadMultiple      = 0xc4
	cmdWriteMultiple     = 0xc5
	cmdSetMultiple       = 0xc6
	cmdReadDMA           = 0xc8
	cmdReadDMAOnce       = 0xc9
	cmdWriteDMA          = 0xca
	cmdWriteDMAOnce      = 0xcb
	cmdStandbyNow        = 0xe0
	cmdIdleImmediate     = 0xe1
	cmdStandby           = 0xe2
	cmdSetIdle           = 0xe3
	cmdCheckPower        = 0xe5
	cmdSleep             = 0xe6
	cmdFlush             = 0xe7
	cmdFlushExt          = 0xea
	CmdIdentify          = 0xec
	cmdSetFeatures       = 0xef
	cmdSecurityFreeze    = 0xf5
	cmdReadNativeMax     = 0xf8

	dsmTrim = 1 // feature of data set management
)

// Sizes.
const (
	SectorSize  = 512
	cdSector    = 2048
	rawSector   = 2352
	packetSize  = 12
	maxMultiple = 16                        // sectors that a multiple command may move at a time
	bufferBytes = 256*SectorSize + 4        // of a drive
	maxCDSector = 80 * 60 * 75 * 2048 / 512 // a disc with more 512-byte sectors is a DVD
)
