// Package e1000e is Intel's 82574L Gigabit Ethernet controller (82574 GbE Controller Family Datasheet, 317694): two queues in each
// direction, MSI-X with moderation, receive-side scaling, packet split, checksums and segmentation. Time stamps, management and the
// serial EEPROM interface are not there, as in QEMU.
package e1000e

// Sizes.
const (
	numRegs               = 0x8000 // of 32 bits
	phyPages, phyPageRegs = 7, 0x20
	romWords              = 64
	mmioSize, flashSize   = 0x20000, 0x20000
	portsSize, msixSize   = 32, 0x4000
	msixPBA               = 0x2000
	numVectors, numQueues = 5, 2

	unit                = 16 // of rings
	psBuffers           = 4
	maxDesc             = 32
	minFrame            = 60
	maxFrame            = 1522  // without long packets
	maxLong             = 16384 // with
	maxPacket           = 256 << 10
	maxFragments        = 64
	checksumLen         = 4
	delayNS, throttleNS = 1024, 256 // units of the delays and of the throttles
	minThrottle         = 500
)

// Registers: numbers of 32-bit words (section 10.2).
const (
	regCTRL, regCTRLDup, regSTATUS = 0x0000 >> 2, 0x0004 >> 2, 0x0008 >> 2
	regEECD, regEERD, regCTRLEXT   = 0x0010 >> 2, 0x0014 >> 2, 0x0018 >> 2
	regMDIC                        = 0x0020 >> 2
	regFCAH, regFCT, regVET        = 0x002c >> 2, 0x0030 >> 2, 0x0038 >> 2
	regICR, regITR, regICS         = 0x00c0 >> 2, 0x00c4 >> 2, 0x00c8 >> 2
	regIMS, regIMC, regEIAC        = 0x00d0 >> 2, 0x00d8 >> 2, 0x00dc >> 2
	regIAM, regIVAR, regEITR       = 0x00e0 >> 2, 0x00e4 >> 2, 0x00e8 >> 2
	regRCTL, regFCTTV              = 0x0100 >> 2, 0x0170 >> 2
	regTCTL, regTIPG, regAIT       = 0x0400 >> 2, 0x0410 >> 2, 0x0458 >> 2
	regLEDCTL, regEXTCNF, regPOEMB = 0x0e00 >> 2, 0x0f00 >> 2, 0x0f10 >> 2
	regPBA, regPBS, regEEMNGCTL    = 0x1000 >> 2, 0x1008 >> 2, 0x1010 >> 2
	regFLASHT, regEEWR, regFLSWCTL = 0x1028 >> 2, 0x102c >> 2, 0x1030 >> 2
	regFLOL                        = 0x1050 >> 2
	regFCRTL, regFCRTH, regPSRCTL  = 0x2160 >> 2, 0x2168 >> 2, 0x2170 >> 2
	regRDFH                        = 0x2410 >> 2
	regRDBAL, regRDLEN             = 0x2800 >> 2, 0x2808 >> 2 // of queue 0; the high half of the address follows the low one
	regRDH, regRDT                 = 0x2810 >> 2, 0x2818 >> 2
	regRDTR, regRXDCTL, regRADV    = 0x2820 >> 2, 0x2828 >> 2, 0x282c >> 2
	regRSRPD, regRAID              = 0x2c00 >> 2, 0x2c08 >> 2
	regTDFH                        = 0x3410 >> 2
	regTDBAL, regTDLEN             = 0x3800 >> 2, 0x3808 >> 2
	regTDH, regTDT                 = 0x3810 >> 2, 0x3818 >> 2
	regTIDV, regTADV, regTARC      = 0x3820 >> 2, 0x382c >> 2, 0x3840 >> 2
	queueStep                      = 0x0100 >> 2 // between the queues' registers

	regCRCERRS, regMPC, regPRC64 = 0x4000 >> 2, 0x4010 >> 2, 0x405c >> 2
	regGPRC, regBPRC, regMPRC    = 0x4074 >> 2, 0x4078 >> 2, 0x407c >> 2
	regGPTC, regGORCL, regGOTCL  = 0x4080 >> 2, 0x4088 >> 2, 0x4090 >> 2
	regRUC, regROC, regTORL      = 0x40a4 >> 2, 0x40ac >> 2, 0x40c0 >> 2
	regTOTL, regTPR, regTPT      = 0x40c8 >> 2, 0x40d0 >> 2, 0x40d4 >> 2
	regPTC64, regMPTC, regBPTC   = 0x40d8 >> 2, 0x40f0 >> 2, 0x40f4 >> 2
	regTSCTC, regIAC             = 0x40f8 >> 2, 0x4100 >> 2

	regRXCSUM, regRFCTL, regMAVTV = 0x5000 >> 2, 0x5008 >> 2, 0x5010 >> 2
	regMTA, regRA, regVFTA        = 0x5200 >> 2, 0x5400 >> 2, 0x5600 >> 2
	regMRQC, regMANC              = 0x5818 >> 2, 0x5820 >> 2
	regIP4AT, regIP6AT, regMDEF   = 0x5840 >> 2, 0x5880 >> 2, 0x5890 >> 2
	regWUPM, regGCR, regFACTPS    = 0x5a00 >> 2, 0x5b00 >> 2, 0x5b30 >> 2
	regSWSM, regPBACLR            = 0x5b50 >> 2, 0x5b68 >> 2
	regRETA, regRSSRK             = 0x5c00 >> 2, 0x5c80 >> 2
	regFFLT, regFCRTV             = 0x5f00 >> 2, 0x5f40 >> 2
	regFFMT, regFTFT, regFFVT     = 0x9000 >> 2, 0x9400 >> 2, 0x9800 >> 2
	regRXCFGL, regRXUDP           = 0xb634 >> 2, 0xb638 >> 2
	regPBM                        = 0x10000 >> 2
)

// Bits of registers.
const (
	ctrlFD, ctrlNoMaster, ctrlSLU          = 1 << 0, 1 << 2, 1 << 6
	ctrlSpeed, ctrlSpeed1000, ctrlForceSpd = 3 << 8, 2 << 8, 1 << 11
	ctrlForceDpx, ctrlReset, ctrlPHYReset  = 1 << 12, 1 << 26, 1 << 31
	ctrlRFCE, ctrlTFCE, ctrlVLAN           = 1 << 27, 1 << 28, 1 << 30
	ctrlPin0, ctrlPin2                     = 1 << 18, 1 << 20

	extSelfClear, extSpeedBypass = 3 << 12, 1 << 15
	extEIAME, extIAME            = 1 << 24, 1 << 27
	extTimersClear, extPBAClear  = 1 << 29, 1 << 31

	statusFD, statusLU, statusSpeed1000 = 1 << 0, 1 << 1, 2 << 6
	statusASDV1000, statusPHYRA         = 2 << 8, 1 << 10
	statusMaster                        = 1 << 19

	eecdPresent, eecdAutoRead, eecdReadOnly = 1 << 8, 1 << 9, 1<<8 | 1<<9 | 0xf<<11

	rctlEN, rctlSBP, rctlUPE, rctlMPE, rctlLPE = 1 << 1, 1 << 2, 1 << 3, 1 << 4, 1 << 5
	rctlLoopback, rctlRDMTS, rctlType, rctlPS  = 1 << 6, 8, 3 << 10, 1 << 10
	rctlMO, rctlBAM, rctlSZ, rctlVFE           = 12, 1 << 15, 16, 1 << 18
	rctlBSEX, rctlSECRC, rctlFlex              = 1 << 25, 1 << 26, 27
	tctlEN, tarcEnable                         = 1 << 1, 1 << 10

	rxcsumIP, rxcsumL4, rxcsumPCSD                        = 1 << 8, 1 << 9, 1 << 13
	rfctlNoIPv6, rfctlNoIPv6Sum, rfctlNoACK, rfctlACKData = 1 << 10, 1 << 11, 1 << 12, 1 << 13
	rfctlNoFragSplit, rfctlExtended                       = 1 << 14, 1 << 15
	rfctlNoIPv6Ex                                         = 1 << 16

	mrqcEnable, mrqcTCP4, mrqcIP4, mrqcTCP6, mrqcIP6Ex, mrqcIP6 = 3, 1 << 16, 1 << 17, 1 << 18, 1 << 19, 1 << 20

	mdicData, mdicReg, mdicPHY, mdicOnlyPHY = 0xffff, 16, 21, 1
	mdicWrite, mdicRead                     = 1 << 26, 1 << 27
	mdicReady, mdicInterrupt, mdicError     = 1 << 28, 1 << 29, 1 << 30

	nvmStart, nvmDone, nvmAddr, nvmData = 1, 2, 2, 16
	gcrReadOnly                         = 1<<23 | 1<<25 | 1<<26
	flushDelay                          = 1 << 31 // of RDTR and TIDV
	addrValid                           = 1 << 31
	ivarValid, ivarVector, ivarEvery    = 8, 7, 1 << 31
)

// Causes of interrupts.
const (
	irqTXDW, irqTXQE, irqLSC, irqRXDMT0, irqRXO, irqRXT0 = 1 << 0, 1 << 1, 1 << 2, 1 << 4, 1 << 6, 1 << 7
	irqMDAC, irqTXDLow, irqSRPD, irqACK, irqMNG          = 1 << 9, 1 << 15, 1 << 16, 1 << 17, 1 << 18
	irqRXQ0, irqRXQ1, irqTXQ0, irqTXQ1, irqOther         = 1 << 20, 1 << 21, 1 << 22, 1 << 23, 1 << 24
	irqAsserted                                          = 1 << 31

	irqOthers = irqLSC | irqRXO | irqMDAC | irqSRPD | irqACK | irqMNG
	irqQueues = irqRXQ0 | irqRXQ1 | irqTXQ0 | irqTXQ1 | irqOther
	irqValid  = irqTXDW | irqTXQE | irqLSC | irqRXDMT0 | irqRXO | irqRXT0 | irqMDAC | irqTXDLow | irqSRPD | irqACK | irqMNG | irqQueues
)

// Registers of the PHY: those of IEEE 802.3 clause 22, and those on pages.
const (
	phyCtrl, phyStatus, phyID1, phyID2           = 0, 1, 2, 3
	phyAdv, phyPartner, phyExp, phyNext          = 4, 5, 6, 7
	phy1000Ctrl, phy1000Status, phyExtStatus     = 9, 10, 15
	phyPage, phyOEM                              = 0x16, 0x19
	crReserved, crRestart, crAutoneg, crLoopback = 0x3f, 1 << 9, 1 << 12, 1 << 14
	crReset                                      = 1 << 15
	srLink, srComplete, partnerAck               = 1 << 2, 1 << 5, 1 << 14
	phyPageMask, oemRestart                      = 0x7f, 1 << 10
)

// Descriptors.
const (
	txData, txEOP, txTSE, txRS, txDEXT, txVLE, txIDE = 1 << 20, 1 << 24, 1 << 26, 1 << 27, 1 << 29, 1 << 30, 1 << 31
	txTCP, txIP, txDone                              = 1 << 24, 1 << 25, 1
	popIXSM, popTXSM                                 = 1, 2

	rxDone, rxEOP, rxVLAN, rxUDPSum, rxL4Sum, rxIPSum = 1 << 0, 1 << 1, 1 << 3, 1 << 4, 1 << 5, 1 << 6
	rxIPID, rxACK, rxPacketType                       = 1 << 9, 1 << 15, 16
	rxL4Bad, rxIPBad                                  = 1 << 29, 1 << 30
	rxSplit                                           = 1 << 15
)
