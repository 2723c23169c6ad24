package storage

import "goemu/hw/usb"

// The class (Universal Serial Bus Mass Storage Class Bulk-Only Transport 1.0, section 4).
const (
	classStorage, subClassSCSI, protocolBulk = 8, 6, 0x50

	endpointIn, endpointOut = 1, 2
)

// describe makes the descriptors of a speed.
func describe(bcd uint16, packet0, config uint8, bulk uint16, burst uint8) *usb.DescDevice {
	return &usb.DescDevice{USB: bcd, MaxPacket0: packet0, Configs: []usb.DescConfig{{Value: 1, Name: config, Attributes: usb.AttrAlways | usb.AttrSelfPowered,
		Interfaces: []usb.DescInterface{{Class: classStorage, SubClass: subClassSCSI, Protocol: protocolBulk, Endpoints: []usb.DescEndpoint{
			{Address: usb.DirIn | endpointIn, Attributes: usb.TransferBulk, MaxPacket: bulk, MaxBurst: burst},
			{Address: endpointOut, Attributes: usb.TransferBulk, MaxPacket: bulk, MaxBurst: burst},
		}}}}}}
}

var desc = &usb.Desc{Vendor: 0x46f4, Product: 1, Manufacturer: 1, ProductName: 2, Serial: 3,
	Strings: map[uint8]string{1: "QEMU", 2: "QEMU USB HARDDRIVE", 3: "1", 4: "Full speed config (usb 1.1)", 5: "High speed config (usb 2.0)", 6: "Super speed config (usb 3.0)"},
	Full:    describe(0x0200, 8, 4, 64, 0),
	High:    describe(0x0200, 64, 5, 512, 0),
	Super:   describe(0x0300, 9, 6, 1024, 15),
}
