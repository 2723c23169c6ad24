// Package net is the virtio network device (virtio 1.2, section 5.1).
package net

// Feature bits.
const (
	featCsum          = 0
	featGuestCsum     = 1
	featGuestOffloads = 2 // the control queue changes what the guest takes
	featMTU           = 3
	featMAC           = 5
	featGSO           = 6 // legacy: any segmentation
	featGuestTSO4     = 7
	featGuestTSO6     = 8
	featGuestECN      = 9
	featGuestUFO      = 10
	featHostTSO4      = 11
	featHostTSO6      = 12
	featHostECN       = 13
	featHostUFO       = 14
	featMergeable     = 15
	featStatus        = 16
	featCtrlVQ        = 17
	featCtrlRX        = 18
	featCtrlVLAN      = 19
	featCtrlRXExtra   = 20
	featAnnounce      = 21
	featMultiQueue    = 22
	featCtrlMAC       = 23
	featHashReport    = 57
	featRSS           = 60
	featStandby       = 62
	featSpeedDuplex   = 63
)

// Header before each frame: u8 flags, u8 segmentation type, le16 header length, segment size, checksum start and offset; in the longer
// form le16 number of buffers; in the longest le32 hash, le16 what was hashed, and two bytes of nothing.
const (
	hdrSize       = 10
	hdrLong       = 12
	hdrHashed     = 20
	hdrGSOType    = 1
	hdrHdrLen     = 2
	hdrGSOSize    = 4
	hdrCsumStart  = 6
	hdrCsumOffset = 8
	hdrBuffers    = 10
	hdrHash       = 12
	hdrHashOf     = 16
)

// Configuration space: u8 mac[6], le16 status, le16 queue pairs, le16 MTU, le32 speed, u8 duplex; of spreading by hash u8 longest key, le16
// longest table, le32 what can be hashed.
const (
	cfgStatus = 6
	cfgPairs  = 8
	cfgMTU    = 10
	cfgSpeed  = 12
	cfgDuplex = 16
	cfgKey    = 17
	cfgTable  = 18
	cfgHashes = 20
	cfgEnd    = 24

	statusLinkUp   = 1
	statusAnnounce = 2

	duplexHalf, duplexFull, duplexUnknown = 0, 1, 0xff
)

// Classes and commands of the control queue, and the device's answer.
const (
	ctrlRX       = 0
	ctrlMAC      = 1
	ctrlVLAN     = 2
	ctrlAnnounce = 3
	ctrlMQ       = 4
	ctrlOffloads = 5

	rxPromisc, rxAllMulti, rxAllUni, rxNoMulti, rxNoUni, rxNoBcast = 0, 1, 2, 3, 4, 5
	macTableSet, macAddrSet                                        = 0, 1
	vlanAdd, vlanDel                                               = 0, 1
	announceAck                                                    = 0
	mqPairsSet, mqRSS, mqHash                                      = 0, 1, 2
	offloadsSet                                                    = 0

	ctrlOK  = 0
	ctrlErr = 1
)

// Sizes.
const (
	macEntries  = 64
	vlans       = 4096
	ctrlSize    = 64
	minQueue    = 256
	maxPairs    = 512
	maxGuestTX  = 64 << 10
	etherHeader = 14
)
