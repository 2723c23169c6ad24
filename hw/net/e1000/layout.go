// Package e1000 is Intel's 8254x Gigabit Ethernet controllers, above all the 82540EM (PCI/PCI-X Family of Gigabit Ethernet Controllers
// Software Developer's Manual, 317453).
package e1000

// Sizes.
const (
	numRegs   = 0x8000 // of 32 bits
	numPHY    = 0x20
	romWords  = 64
	mmioSize  = 0x20000
	portsSize = 0x40
	descSize  = 16

	minFrame  = 60
	maxFrame  = 1522  // without long packets
	maxLong   = 16384 // with
	maxPacket = 0x10000
	headerMax = 256
)

// Registers: numbers of 32-bit words (section 13.2). First those that are in every state that migrates.
const (
	regCTRL   = 0x00000 >> 2
	regSTATUS = 0x00008 >> 2
	regEECD   = 0x00010 >> 2
	regEERD   = 0x00014 >> 2
	regMDIC   = 0x00020 >> 2
	regVET    = 0x00038 >> 2
	regICR    = 0x000c0 >> 2
	regITR    = 0x000c4 >> 2
	regICS    = 0x000c8 >> 2
	regIMS    = 0x000d0 >> 2
	regIMC    = 0x000d8 >> 2
	regRCTL   = 0x00100 >> 2
	regTCTL   = 0x00400 >> 2
	regAIT    = 0x00458 >> 2
	regLEDCTL = 0x00e00 >> 2
	regPBA    = 0x01000 >> 2
	regRDFH   = 0x02410 >> 2
	regRDFT   = 0x02418 >> 2
	regRDFHS  = 0x02420 >> 2
	regRDFTS  = 0x02428 >> 2
	regRDFPC  = 0x02430 >> 2
	regRDBAL  = 0x02800 >> 2
	regRDBAH  = 0x02804 >> 2
	regRDLEN  = 0x02808 >> 2
	regRDH    = 0x02810 >> 2
	regRDT    = 0x02818 >> 2
	regRDTR   = 0x02820 >> 2
	regRADV   = 0x0282c >> 2
	regTDFH   = 0x03410 >> 2
	regTDFT   = 0x03418 >> 2
	regTDFHS  = 0x03420 >> 2
	regTDFTS  = 0x03428 >> 2
	regTDFPC  = 0x03430 >> 2
	regTDBAL  = 0x03800 >> 2
	regTDBAH  = 0x03804 >> 2
	regTDLEN  = 0x03808 >> 2
	regTDH    = 0x03810 >> 2
	regTDT    = 0x03818 >> 2
	regTXDCTL = 0x03828 >> 2
	regTADV   = 0x0382c >> 2

	// Statistics (section 13.7).
	regCRCERRS = 0x04000 >> 2
	regMPC     = 0x04010 >> 2
	regSCC     = 0x04014 >> 2
	regMCC     = 0x0401c >> 2
	regLATECOL = 0x04020 >> 2
	regCOLC    = 0x04028 >> 2
	regDC      = 0x04030 >> 2
	regCEXTERR = 0x0403c >> 2
	regRLEC    = 0x04040 >> 2
	regXONRXC  = 0x04048 >> 2
	regXOFFTXC = 0x04054 >> 2
	regFCRUC   = 0x04058 >> 2
	regPRC64   = 0x0405c >> 2
	regPRC1522 = 0x04070 >> 2
	regGPRC    = 0x04074 >> 2
	regBPRC    = 0x04078 >> 2
	regMPRC    = 0x0407c >> 2
	regGPTC    = 0x04080 >> 2
	regGORCL   = 0x04088 >> 2
	regGORCH   = 0x0408c >> 2
	regGOTCL   = 0x04090 >> 2
	regGOTCH   = 0x04094 >> 2
	regRNBC    = 0x040a0 >> 2
	regRUC     = 0x040a4 >> 2
	regRFC     = 0x040a8 >> 2
	regROC     = 0x040ac >> 2
	regRJC     = 0x040b0 >> 2
	regMGTPRC  = 0x040b4 >> 2
	regMGTPTC  = 0x040bc >> 2
	regTORL    = 0x040c0 >> 2
	regTORH    = 0x040c4 >> 2
	regTOTL    = 0x040c8 >> 2
	regTOTH    = 0x040cc >> 2
	regTPR     = 0x040d0 >> 2
	regTPT     = 0x040d4 >> 2
	regPTC64   = 0x040d8 >> 2
	regPTC1522 = 0x040ec >> 2
	regMPTC    = 0x040f0 >> 2
	regBPTC    = 0x040f4 >> 2
	regTSCTC   = 0x040f8 >> 2
	regTSCTFC  = 0x040fc >> 2

	regMTA   = 0x05200 >> 2 // multicast table, 128
	regRA    = 0x05400 >> 2 // addresses, 16 of two registers
	regVFTA  = 0x05600 >> 2 // VLAN filter, 128
	regWUC   = 0x05800 >> 2
	regWUFC  = 0x05808 >> 2
	regWUS   = 0x05810 >> 2
	regMANC  = 0x05820 >> 2
	regIPAV  = 0x05838 >> 2
	regIP4AT = 0x05840 >> 2
	regIP6AT = 0x05880 >> 2
	regWUPM  = 0x05a00 >> 2
	regSWSM  = 0x05b50 >> 2
	regFFLT  = 0x05f00 >> 2
	regFFMT  = 0x09000 >> 2
	regFFVT  = 0x09800 >> 2
	regPBM   = 0x10000 >> 2 // packet buffer memory
)

// Bits of registers.
const (
	ctrlSLU, ctrlSpeed1000, ctrlReset, ctrlVLAN = 0x40, 0x200, 0x04000000, 0x40000000
	ctrlPin0, ctrlPin2                          = 0x00040000, 0x00100000

	statusFD, statusLU, statusSpeed1000 = 0x01, 0x02, 0x80
	statusASDV, statusTXCKOK            = 0x300, 0x400
	statusMaster, statusReset           = 0x80000, 0x80000000

	mancRMCP, manc0298, mancARP, mancTCO, mancHost = 0x100, 0x200, 0x2000, 0x20000, 0x200000

	eecdSK, eecdCS, eecdDI, eecdDO    = 0x01, 0x02, 0x04, 0x08
	eecdFWE, eecdREQ, eecdGNT, eecdIn = 0x30, 0x40, 0x80, 0x100

	eerdStart, eerdDone          = 0x01, 0x10
	eerdAddr, eerdData           = 8, 16 // shifts
	romChecksum, romSum, romRead = 0x3f, 0xbaba, 6

	mdicData, mdicReg, mdicPHY            = 0xffff, 16, 21 // mask, shifts
	mdicWrite, mdicRead, mdicReady        = 0x04000000, 0x08000000, 0x10000000
	mdicInterrupt, mdicError, mdicOnlyPHY = 0x20000000, 0x40000000, 1

	irqTXDW, irqTXQE, irqLSC, irqRXDMT0 = 0x01, 0x02, 0x04, 0x10
	irqRXO, irqRXT0, irqMDAC            = 0x40, 0x80, 0x200

	rctlEN, rctlSBP, rctlUPE, rctlMPE, rctlLPE  = 0x02, 0x04, 0x08, 0x10, 0x20
	rctlRDMTS, rctlMO, rctlBAM, rctlSZ, rctlVFE = 8, 12, 0x8000, 16, 0x40000
	rctlBSEX, rctlSECRC                         = 0x02000000, 0x04000000

	tctlEN      = 0x02
	addrValid   = 0x80000000 // in the upper register of an address
	etherVLAN   = 0x8100
	checksumLen = 4
)

// Transmit descriptors: le64 address, le32 command and length, le32 status. Receive descriptors: le64 address, le16 length, le16
// checksum, u8 status, u8 errors, le16 special.
const (
	txEOP, txRS, txRPS, txDEXT  = 0x01000000, 0x08000000, 0x10000000, 0x20000000
	txVLE, txIDE, txData, txTSE = 0x40000000, 0x80000000, 0x00100000, 0x04000000
	txTCP, txIP                 = 0x01000000, 0x02000000
	txDone, txFailures          = 0x01, 0x02 | 0x04 | 0x08
	popIXSM, popTXSM            = 0x01, 0x02

	rxDone, rxEOP, rxIXSM, rxVLAN = 0x01, 0x02, 0x04, 0x08
)

// Registers of the PHY (section 13.4.1.1) and their bits.
const (
	phyCtrl, phyStatus, phyID1, phyID2 = 0, 1, 2, 3
	phyAdv, phyPartner, phyExpansion   = 4, 5, 6
	phy1000Ctrl, phy1000Status         = 9, 10
	phySpecCtrl, phySpecStatus         = 0x10, 0x11
	phyExtCtrl, phyErrors              = 0x14, 0x15

	crSpeedMSB, crFullDuplex, crRestart = 0x40, 0x100, 0x200
	crAutoneg, crLoopback, crReset      = 0x1000, 0x4000, 0x8000
	crReserved                          = 0x3f

	srExtended, srLink, srAutoneg, srComplete = 0x01, 0x04, 0x08, 0x20
	srPreamble, srExtStatus                   = 0x40, 0x100
	sr10HD, sr10FD, sr100HD, sr100FD          = 0x800, 0x1000, 0x2000, 0x4000

	partnerAck = 0x4000
)

// phyReset are the PHY's registers at power-on, but for the second half of its identifier.
var phyReset = [numPHY]uint16{
	phyCtrl:   crSpeedMSB | crFullDuplex | crAutoneg,
	phyStatus: srExtended | srLink | srAutoneg | srPreamble | srExtStatus | sr10HD | sr10FD | sr100HD | sr100FD,
	phyID1:    0x141, phyAdv: 0xde1, phyPartner: 0x1e0, phy1000Ctrl: 0x0e00, phy1000Status: 0x3c00,
	phySpecCtrl: 0x360, phySpecStatus: 0xac00, phyExtCtrl: 0x0d60,
}

// phyAccess are the PHY's registers that can be read and written.
var phyAccess = [numPHY]struct{ r, w bool }{
	phyCtrl: {true, true}, phyStatus: {true, false}, phyID1: {true, false}, phyID2: {true, false}, phyAdv: {true, true},
	phyPartner: {true, false}, phyExpansion: {true, false}, phy1000Ctrl: {true, true}, phy1000Status: {true, false},
	phySpecCtrl: {true, true}, phySpecStatus: {true, false}, phyExtCtrl: {true, true}, phyErrors: {true, false},
}

// romTemplate is the EEPROM (section 5.6) without address, device identifiers and checksum.
var romTemplate = [romWords]uint16{
	0x0000, 0x0000, 0x0000, 0x0000, 0xffff, 0x0000, 0x0000, 0x0000, 0x3000, 0x1000, 0x6403, 0x0000, 0x8086, 0x0000, 0x8086, 0x3040,
	0x0008, 0x2000, 0x7e14, 0x0048, 0x1000, 0x00d8, 0x0000, 0x2700, 0x6cc9, 0x3150, 0x0722, 0x040b, 0x0984, 0x0000, 0xc000, 0x0706,
	0x1008, 0x0000, 0x0f04, 0x7fff, 0x4d01, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff,
	0x0100, 0x4000, 0x121c, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0x0000,
}

// Words of the EEPROM that hold the device identifier.
const romDevice1, romDevice2 = 11, 13

// How a register is read and written.
const (
	rdNone uint8 = iota
	rdPlain
	rdLow4
	rdLow11
	rdLow13
	rdLow16
	rdClear     // reading clears it
	rdClearPair // and the one before
	rdICR
	rdEECD
	rdEERD
)

const (
	wrNone uint8 = iota
	wrPlain
	wrLow16
	wrLength
	wrRDT
	wrTransmit // TCTL and TDT
	wrMDIC
	wrICS
	wrIMC
	wrIMS
	wrICR
	wrEECD
	wrRCTL
	wrCTRL
)

// Options that registers need.
const (
	needMitigation uint8 = 1 << iota
	needExtra
)

// regInfo describes registers from one number to another.
type regInfo struct {
	from, to    int
	read, write uint8
	need        uint8 // of the first one
}

// regTable are all registers.
var regTable = []regInfo{
	{regCTRL, regCTRL, rdPlain, wrCTRL, 0},
	{regSTATUS, regSTATUS, rdPlain, wrNone, 0},
	{regEECD, regEECD, rdEECD, wrEECD, 0},
	{regEERD, regEERD, rdEERD, wrPlain, 0},
	{regMDIC, regMDIC, rdPlain, wrMDIC, 0},
	{regVET, regVET, rdPlain, wrPlain, 0},
	{regICR, regICR, rdICR, wrICR, 0},
	{regITR, regITR, rdPlain, wrLow16, needMitigation},
	{regICS, regICS, rdPlain, wrICS, 0},
	{regIMS, regIMS, rdPlain, wrIMS, 0},
	{regIMC, regIMC, rdNone, wrIMC, 0},
	{regRCTL, regRCTL, rdPlain, wrRCTL, 0},
	{regTCTL, regTCTL, rdPlain, wrTransmit, 0},
	{regAIT, regAIT, rdLow16, wrPlain, needExtra},
	{regLEDCTL, regLEDCTL, rdPlain, wrPlain, 0},
	{regPBA, regPBA, rdPlain, wrPlain, 0},
	{regRDFH, regRDFH, rdLow13, wrPlain, needExtra},
	{regRDFT, regRDFT, rdLow13, wrPlain, needExtra},
	{regRDFHS, regRDFHS, rdLow13, wrPlain, needExtra},
	{regRDFTS, regRDFTS, rdLow13, wrPlain, needExtra},
	{regRDFPC, regRDFPC, rdLow13, wrPlain, needExtra},
	{regRDBAL, regRDBAH, rdPlain, wrPlain, 0},
	{regRDLEN, regRDLEN, rdPlain, wrLength, 0},
	{regRDH, regRDH, rdPlain, wrLow16, 0},
	{regRDT, regRDT, rdPlain, wrRDT, 0},
	{regRDTR, regRDTR, rdPlain, wrLow16, needMitigation},
	{regRADV, regRADV, rdPlain, wrLow16, needMitigation},
	{regTDFH, regTDFH, rdLow11, wrPlain, needExtra},
	{regTDFT, regTDFT, rdLow11, wrPlain, needExtra},
	{regTDFHS, regTDFHS, rdLow13, wrPlain, needExtra},
	{regTDFTS, regTDFTS, rdLow13, wrPlain, needExtra},
	{regTDFPC, regTDFPC, rdLow13, wrPlain, needExtra},
	{regTDBAL, regTDBAH, rdPlain, wrPlain, 0},
	{regTDLEN, regTDLEN, rdPlain, wrLength, 0},
	{regTDH, regTDH, rdPlain, wrLow16, 0},
	{regTDT, regTDT, rdPlain, wrTransmit, 0},
	{regTXDCTL, regTXDCTL, rdPlain, wrPlain, 0},
	{regTADV, regTADV, rdPlain, wrLow16, needMitigation},
	{regCRCERRS, regMPC, rdPlain, wrNone, 0},
	{regSCC, regSCC, rdPlain, wrNone, needExtra},
	{regSCC + 1, regSCC + 1, rdPlain, wrNone, needExtra}, // ECOL
	{regMCC, regMCC, rdPlain, wrNone, needExtra},
	{regLATECOL, regLATECOL, rdPlain, wrNone, needExtra},
	{regCOLC, regCOLC, rdPlain, wrNone, needExtra},
	{regDC, regDC, rdPlain, wrNone, needExtra},
	{regDC + 1, regDC + 1, rdPlain, wrNone, needExtra}, // TNCRS
	{regDC + 2, regDC + 2, rdPlain, wrNone, needExtra}, // SEQEC
	{regCEXTERR, regCEXTERR, rdPlain, wrNone, needExtra},
	{regRLEC, regRLEC, rdPlain, wrNone, needExtra},
	{regXONRXC, regXONRXC, rdPlain, wrNone, needExtra},
	{regXONRXC + 1, regXONRXC + 1, rdPlain, wrNone, needExtra}, // XONTXC
	{regXONRXC + 2, regXONRXC + 2, rdPlain, wrNone, needExtra}, // XOFFRXC
	{regXOFFTXC, regXOFFTXC, rdPlain, wrNone, needExtra},
	{regFCRUC, regFCRUC, rdPlain, wrPlain, needExtra},
	{regPRC64, regPRC64, rdClear, wrNone, needExtra},
	{regPRC64 + 1, regPRC64 + 1, rdClear, wrNone, needExtra},
	{regPRC64 + 2, regPRC64 + 2, rdClear, wrNone, needExtra},
	{regPRC64 + 3, regPRC64 + 3, rdClear, wrNone, needExtra},
	{regPRC64 + 4, regPRC64 + 4, rdClear, wrNone, needExtra},
	{regPRC1522, regPRC1522, rdClear, wrNone, needExtra},
	{regGPRC, regGPRC, rdClear, wrNone, 0},
	{regBPRC, regBPRC, rdClear, wrNone, needExtra},
	{regMPRC, regMPRC, rdClear, wrNone, needExtra},
	{regGPTC, regGPTC, rdClear, wrNone, 0},
	{regGORCL, regGORCL, rdPlain, wrNone, needExtra},
	{regGORCH, regGORCH, rdClearPair, wrNone, needExtra},
	{regGOTCL, regGOTCL, rdPlain, wrNone, needExtra},
	{regGOTCH, regGOTCH, rdClearPair, wrNone, needExtra},
	{regRNBC, regRNBC, rdPlain, wrNone, needExtra},
	{regRUC, regRUC, rdClear, wrNone, needExtra},
	{regRFC, regRFC, rdPlain, wrNone, needExtra},
	{regROC, regROC, rdClear, wrNone, needExtra},
	{regRJC, regRJC, rdPlain, wrNone, needExtra},
	{regMGTPRC, regMGTPRC, rdPlain, wrNone, needExtra},
	{regMGTPRC + 1, regMGTPRC + 1, rdPlain, wrNone, needExtra}, // MGTPDC
	{regMGTPTC, regMGTPTC, rdPlain, wrNone, needExtra},
	{regTORL, regTORL, rdPlain, wrNone, 0},
	{regTORH, regTORH, rdClearPair, wrNone, 0},
	{regTOTL, regTOTL, rdPlain, wrNone, 0},
	{regTOTH, regTOTH, rdClearPair, wrNone, 0},
	{regTPR, regTPR, rdClear, wrNone, 0},
	{regTPT, regTPT, rdClear, wrNone, 0},
	{regPTC64, regPTC64, rdClear, wrNone, needExtra},
	{regPTC64 + 1, regPTC64 + 1, rdClear, wrNone, needExtra},
	{regPTC64 + 2, regPTC64 + 2, rdClear, wrNone, needExtra},
	{regPTC64 + 3, regPTC64 + 3, rdClear, wrNone, needExtra},
	{regPTC64 + 4, regPTC64 + 4, rdClear, wrNone, needExtra},
	{regPTC1522, regPTC1522, rdClear, wrNone, needExtra},
	{regMPTC, regMPTC, rdClear, wrNone, needExtra},
	{regBPTC, regBPTC, rdClear, wrNone, needExtra},
	{regTSCTC, regTSCTC, rdClear, wrNone, needExtra},
	{regTSCTFC, regTSCTFC, rdPlain, wrNone, needExtra},
	{regMTA, regMTA + 127, rdPlain, wrPlain, 0},
	{regRA, regRA + 31, rdPlain, wrPlain, 0},
	{regVFTA, regVFTA + 127, rdPlain, wrPlain, 0},
	{regWUC, regWUC, rdPlain, wrPlain, needExtra},
	{regWUFC, regWUFC, rdPlain, wrPlain, 0},
	{regWUS, regWUS, rdPlain, wrPlain, needExtra},
	{regMANC, regMANC, rdPlain, wrNone, 0},
	{regIPAV, regIPAV, rdPlain, wrPlain, needExtra},
	{regIP4AT, regIP4AT + 6, rdPlain, wrPlain, needExtra},
	{regIP6AT, regIP6AT + 3, rdPlain, wrPlain, needExtra},
	{regWUPM, regWUPM + 31, rdPlain, wrPlain, needExtra},
	{regSWSM, regSWSM, rdPlain, wrPlain, 0},
	{regFFLT, regFFLT + 6, rdLow11, wrPlain, needExtra},
	{regFFMT, regFFMT + 254, rdLow4, wrPlain, needExtra},
	{regFFVT, regFFVT + 254, rdPlain, wrPlain, needExtra},
	{regPBM, regPBM + 16383, rdPlain, wrPlain, needExtra},
}

// access are the rows of regTable by register.
var access = func() (a [numRegs]struct{ read, write, need uint8 }) {
	for _, r := range regTable {
		for i := r.from; i <= r.to; i++ {
			a[i].read, a[i].write = r.read, r.write
		}
		a[r.from].need = r.need
	}
	return a
}()
