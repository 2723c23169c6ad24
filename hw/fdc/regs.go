// Package fdc is the floppy disk controller of the PC with its drives (Intel 82078 data sheet), as far as QEMU has it: FORMAT TRACK leaves
// the medium as it is, and there is no deleted data.
package fdc

// Registers of the controller, by their ports.
const (
	regStatusA, regStatusB = 0, 1
	regOutput              = 2 // DOR
	regTape                = 3 // TDR
	regStatus              = 4 // MSR; the data rate (DSR) when written
	regFIFO                = 5
	regInput               = 7 // DIR; the configuration (CCR) when written
)

// Bits of the registers.
const (
	sraIntPending, sraNoDrive2 = 0x80, 0x40

	srbMotor0, srbMotor1, srbDrive0 = 0x01, 0x02, 0x20
	srbReset                        = 0xc0

	dorSelect, dorRunning, dorDMA, dorMotor0, dorMotor1 = 0x01, 0x04, 0x08, 0x10, 0x20

	tdrBootSelect = 0x04

	dsrRate, dsrPowerDown, dsrReset = 0x03, 0x40, 0x80

	msrBusy, msrNonDMA, msrToHost, msrReady = 0x10, 0x20, 0x40, 0x80

	dirChanged = 0x80
)

// Status bytes of results.
const (
	st0Drive, st0Head, st0Seek, st0Abnormal, st0Invalid, st0Ready = 0x03, 0x04, 0x20, 0x40, 0x80, 0xc0
	st1NoAddressMark, st1NotWritable, st1EndOfCylinder            = 0x01, 0x02, 0x80
	st2ScanHit                                                    = 0x08
	st3Ones                                                       = 0x28 // ready, two sides
	st3Track0, st3Protected                                       = 0x10, 0x40
)

const (
	sectorSize    = 512
	sectorCode    = 2 // of the sector size
	MaxDrives     = 2
	resetSenses   = 4 // interrupts to be sensed after a reset, one for each drive that there could be
	version82078  = 0x90
	partID        = 0x41
	configDefault = 0x60     // implied seeks, no FIFO
	multiTrack    = 0x80     // of a command
	stateMulti    = 0x01     // of the data state, as it is migrated
	readIDNS      = 1e9 / 50 // how long a sector takes to come by
)

// phase is what the controller does, in the numbers of the migration stream.
type phase uint8

const (
	phaseUnknown phase = iota // of a stream that does not tell
	phaseCommand
	phaseExecution
	phaseResult
)

// direction is what a transfer does with the medium, in the numbers of the migration stream.
type direction uint8

const (
	dirWrite direction = iota
	dirRead
	dirScanEqual
	dirScanLow
	dirScanHigh
	dirVerify
)

func (d direction) scans() bool { return d == dirScanEqual || d == dirScanLow || d == dirScanHigh }
