// Package rtl8139 is Realtek's RTL8139C+ Fast Ethernet controller: the four transmit buffers and the receive ring of the RTL8139
// (RTL8139D(L) data sheet, revision 1.4) and the descriptor rings of the C+ mode (RTL8139C(L)+ data sheet, revision 1.6).
package rtl8139

// Identity of the PCI function.
const (
	vendorRealtek  = 0x10ec
	device8139     = 0x8139
	revision8139C  = 0x20
	regsSize       = 0x100
	capabilitiesAt = 0xdc // the register is set though the status has no list
)

// Registers: offsets in both BARs.
const (
	regMAC       = 0x00 // 6 bytes
	regMAR       = 0x08 // multicast filter, 8 bytes
	regTxStatus  = 0x10 // four of 32 bits; in C+ mode the first two are the address for the statistics
	regTxAddr    = 0x20 // four of 32 bits; in C+ mode the first two are the address of the ring
	regRxBuf     = 0x30
	regCmd       = 0x37
	regRxRead    = 0x38 // CAPR
	regRxWritten = 0x3a // CBR
	regIntrMask  = 0x3c
	regIntr      = 0x3e
	regTxConfig  = 0x40
	regRxConfig  = 0x44
	regTimer     = 0x48
	regRxMissed  = 0x4c
	reg9346      = 0x50
	regConfig0   = 0x51
	regConfig1   = 0x52
	regTimerInt  = 0x54
	regMedia     = 0x58
	regConfig3   = 0x59
	regConfig4   = 0x5a
	regHalt      = 0x5b
	regMultiIntr = 0x5c
	regRevision  = 0x5e
	regTxSummary = 0x60
	regBMCR      = 0x62
	regBMSR      = 0x64
	regAdvert    = 0x66
	regPartner   = 0x68
	regExpansion = 0x6a
	regCSCR      = 0x74
	regConfig5   = 0xd8
	regTxPoll    = 0xd9
	regCpCmd     = 0xe0
	regRxRingLow = 0xe4
	regRxRingHi  = 0xe8
	regTxThresh  = 0xec
)

// Bits of registers.
const (
	cmdEmpty, cmdTx, cmdRx, cmdReset = 0x01, 0x04, 0x08, 0x10

	cpTx, cpRx, cpVLAN = 0x01, 0x02, 0x40

	irqRxOK, irqTxOK, irqOverflow, irqLink, irqTimer = 0x0001, 0x0004, 0x0010, 0x0020, 0x4000

	txOwn, txUnderrun, txOK, txAborted = 1 << 13, 1 << 14, 1 << 15, 1 << 30 // TxStatus; own: the driver's
	txSize                             = 0x1fff

	rxAcceptAll, rxAcceptMine, rxAcceptMulti, rxAcceptBroad = 0x01, 0x02, 0x04, 0x08
	rxNoWrap, rxSizeShift                                   = 0x80, 11

	loopback       = 3 << 17    // TxConfig
	chipCPlus      = 0x74800000 // TxConfig: the chip's version
	eepromAutoload = 0x40
	eepromProgram  = 0x80
	eepromUnlock   = 0xc0 // the configuration registers can be written
	eepromMode     = 0xc0

	pollNormal = 0x40

	bmcrReset, bmcrAutoneg = 0x8000, 0x1000
	bmsrReset, bmsrLink    = 0x7829, 0x04
	advertAll              = 0x05e1
	expansionAuto          = 0x01
	cscrReset              = 0x0340
	mediaReset             = 0xd0
	config1Reset           = 0x0c
	config3Reset           = 0x01
	dumpTally              = 0x08 // in C+ mode in the first TxStatus
)

// The word before each frame of the receive ring, over which its length stands.
const (
	headOK, headBroad, headMine, headMulti = 0x0001, 0x2000, 0x4000, 0x8000
)

// Descriptors of the C+ mode: le32 command and status, le32 VLAN tag, le64 address.
const (
	descSize            = 16
	maxTxDescs          = 64
	descOwn, descEnd    = 1 << 31, 1 << 30 // own: the chip's
	descFirst, descLast = 1 << 29, 1 << 28

	rxDescMulti, rxDescMine, rxDescBroad = 1 << 26, 1 << 25, 1 << 24
	rxDescSize                           = 0x1fff
	rxTagged                             = 1 << 16

	txDescLarge, txDescIP, txDescUDP, txDescTCP = 1 << 27, 1 << 18, 1 << 17, 1 << 16
	txDescMSS, txDescMSSShift                   = 0x7ff, 16
	txDescSize                                  = 0xffff
	txDescErrors                                = 1<<25 | 1<<23 | 1<<22 | 1<<21 | 1<<20
	txTagged                                    = 1 << 17
)

// Sizes.
const (
	minFrame    = 60
	minRoom     = 1514 // in the receive ring, for which frames wait
	vlanLen     = 4
	etherVLAN   = 0x8100
	etherIPv4   = 0x0800
	macsLen     = 12 // the two addresses
	etherLen    = 14
	maxTxBuffer = 0x10000
	ringMin     = 8192
	ringMax     = 65536
	readBias    = 16 // CAPR stands so far before the next byte to read
	tickNS      = 30 // of the timer
)
