// Package ahci is the Serial ATA adapter of Intel's ICH9 (AHCI 1.0): ports with a command list and received frames in memory, native command
// queueing, the index/data pair.
package ahci

import "encoding/binary"

var le = binary.LittleEndian

// Sizes of the adapter.
const (
	numPorts   = 6
	slots      = 32
	memBytes   = 0x1000
	portFirst  = 0x100
	portStride = 0x80
)

// Registers of the adapter (AHCI 1.3.1, §3.1).
const (
	regCap, regGHC, regIS, regPI, regVS = 0x00, 0x04, 0x08, 0x0c, 0x10

	capNCQ, cap64, capAHCIOnly = 1 << 30, 1 << 31, 1 << 18
	capSlotsShift, capSlots    = 8, slots - 1
	capSpeedGen1               = 1 << 20
	version10                  = 0x10000

	ghcReset, ghcInterrupts, ghcEnable = 1 << 0, 1 << 1, 1 << 31
)

// Registers of a port (§3.3).
const (
	regCLB, regCLBU, regFB, regFBU    = 0x00, 0x04, 0x08, 0x0c
	regPIS, regPIE, regCMD            = 0x10, 0x14, 0x18
	regTFD, regSIG, regSSTS, regSCTL  = 0x20, 0x24, 0x28, 0x2c
	regSERR, regSACT, regCI           = 0x30, 0x34, 0x38
	enabledInterrupts                 = 0xfdc000ff
	statusPresent                     = 0x113 // device there, first generation, active
	controlDetect                     = 0x0f
	tfdReset, sigReset                = 0x7f, 0xffffffff
	cmdStart, cmdSpinUp, cmdPowerOn   = 1 << 0, 1 << 1, 1 << 2
	cmdReceive, cmdReceiving, cmdList = 1 << 4, 1 << 14, 1 << 15
	cmdReadOnly, cmdICC               = 0x007dffe0, 0xf0000000
)

// Interrupts of a port, by bit.
const (
	intFrame, intPIO, intDeviceBits = 0, 1, 3
	intOverflow                     = 24
	intBusFatal                     = 29
	intTaskFile                     = 30
)

// A command header (§4.2.2) and its options, a command table (§4.2.3) and a descriptor.
const (
	listBytes, headerBytes    = 1024, 32
	hdrCount, hdrTable        = 4, 8
	optPacket, optWrite       = 1 << 5, 1 << 6
	optClearBusy              = 1 << 10
	tableBytes, tablePacket   = 0x80, 0x40
	packetBytes               = 16
	prdBytes, prdSize         = 16, 12
	prdSizeMask               = 0x3fffff
	maxDescriptors            = 0xffff
	receivedBytes             = 256
	rcvPIO, rcvFrame, rcvBits = 0x20, 0x40, 0x58
)

// Frames (SATA 3.2, §10.5).
const (
	frameToDevice, frameToHost, framePIO, frameBits = 0x27, 0x34, 0x5f, 0xa1

	frameCommand   = 0x80 // the command register is written, not device control
	framePortMask  = 0x7f
	frameInterrupt = 0x40
	controlReset   = 0x04
)
