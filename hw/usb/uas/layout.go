package uas

import "goemu/hw/usb"

// Pipes, by the numbers of their endpoints (USB Attached SCSI 1.0, section 5.2).
const (
	pipeCommand = 1 + iota
	pipeStatus
	pipeIn
	pipeOut
)

// Information units (section 6.2): their kinds and where their parts are. All numbers are big-endian.
const (
	unitCommand    = 0x01
	unitSense      = 0x03
	unitResponse   = 0x04
	unitTask       = 0x05
	unitReadReady  = 0x06
	unitWriteReady = 0x07

	unitBytes  = 32 // of a command without more bytes for it
	headBytes  = 4
	atTag      = 2
	atMore     = 6 // how many more
	atLUN      = 8
	atCDB      = 16
	atFunction = 4
	atTaskTag  = 6

	senseBytes, atStatus, atSenseLength = 16, 6, 14 // without the sense itself
	responseBytes, atResponse           = 8, 7
)

// Functions of task management and the responses to them (sections 6.2.6 and 6.2.5).
const (
	taskAbort    = 0x01
	taskResetLUN = 0x08

	responseComplete     = 0x00
	responseInvalidUnit  = 0x02
	responseNotSupported = 0x04
	responseIncorrectLUN = 0x09
	responseOverlapped   = 0x0a
)

const (
	classStorage, subClassSCSI, protocolUAS = 8, 6, 0x62
	descPipeUsage                           = 0x24

	maxBurst   = 15
	streamBits = 4
	maxStreams = 1 << streamBits
)

// describe makes the descriptors of a speed.
func describe(bcd uint16, packet0, config uint8, bulk uint16, burst, streams uint8) *usb.DescDevice {
	pipe := func(n, dir, streams uint8) usb.DescEndpoint {
		return usb.DescEndpoint{Address: dir | n, Attributes: usb.TransferBulk, MaxPacket: bulk, MaxBurst: burst, Streams: streams, Extra: []byte{4, descPipeUsage, n, 0}}
	}
	return &usb.DescDevice{USB: bcd, MaxPacket0: packet0, Configs: []usb.DescConfig{{Value: 1, Name: config, Attributes: usb.AttrAlways | usb.AttrSelfPowered,
		Interfaces: []usb.DescInterface{{Class: classStorage, SubClass: subClassSCSI, Protocol: protocolUAS, Endpoints: []usb.DescEndpoint{
			pipe(pipeCommand, 0, 0), pipe(pipeStatus, usb.DirIn, streams), pipe(pipeIn, usb.DirIn, streams), pipe(pipeOut, 0, streams),
		}}}}}}
}

var desc = &usb.Desc{Vendor: 0x46f4, Product: 3, Manufacturer: 1, ProductName: 2, Serial: 3,
	Strings: map[uint8]string{1: "QEMU", 2: "USB Attached SCSI HBA", 3: "27842", 4: "High speed config (usb 2.0)", 5: "Super speed config (usb 3.0)"},
	High:    describe(0x0200, 64, 4, 512, 0, 0),
	Super:   describe(0x0300, 9, 5, 1024, maxBurst, streamBits),
}
