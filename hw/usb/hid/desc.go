package hid

import "goemu/hw/usb"

// Strings of the devices.
const (
	strManufacturer = 1
	strProduct      = 2 // + kind
	strCompat       = 5
	strConfig       = 6
	strSerial       = 9
)

var names = map[uint8]string{strManufacturer: "QEMU",
	strProduct: "QEMU USB Mouse", strProduct + 1: "QEMU USB Tablet", strProduct + 2: "QEMU USB Keyboard",
	strCompat: "42",
	strConfig: "HID Mouse", strConfig + 1: "HID Tablet", strConfig + 2: "HID Keyboard",
	strSerial: "89126", strSerial + 1: "28754", strSerial + 2: "68284"}

// kind is a kind of device; the order is that of its strings.
type kind uint8

const (
	mouse kind = iota
	tablet
	keyboard
)

// Descriptors of the class (HID 1.11, section 6.2).
const (
	classHID, bootInterface = 3, 1
	descHID, descReport     = 0x21, 0x22
)

// model is what is different between the kinds.
type model struct {
	product            string
	subClass, protocol uint8
	version            byte // of the class, 1.version
	extra              byte // lower part of it
	maxPacket          uint16
	interval           uint8 // at high speed: 2^(n-1) microframes
	report             []byte
}

var models = [...]model{
	mouse:    {"QEMU USB Mouse", bootInterface, 2, 0x00, 0x01, 4, 7, mouseReport},
	tablet:   {"QEMU USB Tablet", 0, 0, 0x00, 0x01, 8, 4, tabletReport},
	keyboard: {"QEMU USB Keyboard", bootInterface, 1, 0x01, 0x11, 8, 7, keyboardReport},
}

const fullInterval = 10 // milliseconds

// describe makes the descriptors of a kind: those of version 2 have high speed, too.
func describe(k kind, version uint32) *usb.Desc {
	m := &models[k]
	device := func(bcd uint16, packet0, interval uint8) *usb.DescDevice {
		return &usb.DescDevice{USB: bcd, MaxPacket0: packet0, Configs: []usb.DescConfig{{Value: 1, Name: strConfig + uint8(k),
			Attributes: usb.AttrAlways | usb.AttrWakeup, MaxPower: 50,
			Interfaces: []usb.DescInterface{{Class: classHID, SubClass: m.subClass, Protocol: m.protocol,
				Extra:     []byte{9, descHID, m.extra, m.version, 0, 1, descReport, byte(len(m.report)), 0},
				Endpoints: []usb.DescEndpoint{{Address: usb.DirIn | 1, Attributes: usb.TransferInterrupt, MaxPacket: m.maxPacket, Interval: interval}}}}}}}
	}
	d := &usb.Desc{Vendor: 0x0627, Product: 1, Manufacturer: strManufacturer, ProductName: strProduct + uint8(k), Serial: strSerial + uint8(k),
		Strings: names, Microsoft: true, SelectiveSuspendMS: true, Full: device(0x0100, 8, fullInterval)}
	if version > 1 {
		d.High = device(0x0200, 64, m.interval)
	}
	return d
}

// Items of report descriptors (HID 1.11, section 6.2.2) with one byte of data, and usage pages (HID Usage Tables).
const (
	usagePage, usage, usageMin, usageMax               = 0x05, 0x09, 0x19, 0x29
	logicalMin, logicalMax, logicalMax16               = 0x15, 0x25, 0x26
	physicalMin, physicalMax, physicalMax16            = 0x35, 0x45, 0x46
	reportSize, reportCount                            = 0x75, 0x95
	inputItem, outputItem                              = 0x81, 0x91
	collection, endCollection                          = 0xa1, 0xc0
	pageDesktop, pageKeys, pageLEDs, pageButtons       = 1, 7, 8, 9
	usagePointer, usageMouse, usageKeyboard            = 1, 2, 6
	usageX, usageY, usageWheel                         = 0x30, 0x31, 0x38
	physical, application                              = 0, 1
	dataArray, constant, dataAbsolute, dataRelative    = 0, 1, 2, 6
	minus127, plus127                                  = 0x81, 0x7f
	firstModifier, lastModifier                        = 0xe0, 0xe7
	mouseButtons, tabletButtons, keyboardLEDs, keySlot = 5, 3, 5, 6
)

// buttonsReport begins the reports of pointing devices: a byte of buttons.
func buttonsReport(n byte) []byte {
	return []byte{
		usagePage, pageDesktop, usage, usageMouse, collection, application, usage, usagePointer, collection, physical,
		usagePage, pageButtons, usageMin, 1, usageMax, n, logicalMin, 0, logicalMax, 1, reportCount, n, reportSize, 1, inputItem, dataAbsolute,
		reportCount, 1, reportSize, 8 - n, inputItem, constant,
	}
}

var mouseReport = append(buttonsReport(mouseButtons),
	usagePage, pageDesktop, usage, usageX, usage, usageY, usage, usageWheel, logicalMin, minus127, logicalMax, plus127,
	reportSize, 8, reportCount, 3, inputItem, dataRelative, endCollection, endCollection)

var tabletReport = append(buttonsReport(tabletButtons),
	usagePage, pageDesktop, usage, usageX, usage, usageY, logicalMin, 0, logicalMax16, 0xff, 0x7f, physicalMin, 0, physicalMax16, 0xff, 0x7f,
	reportSize, 16, reportCount, 2, inputItem, dataAbsolute,
	usagePage, pageDesktop, usage, usageWheel, logicalMin, minus127, logicalMax, plus127, physicalMin, 0, physicalMax, 0,
	reportSize, 8, reportCount, 1, inputItem, dataRelative, endCollection, endCollection)

var keyboardReport = []byte{
	usagePage, pageDesktop, usage, usageKeyboard, collection, application,
	reportSize, 1, reportCount, 8, usagePage, pageKeys, usageMin, firstModifier, usageMax, lastModifier, logicalMin, 0, logicalMax, 1, inputItem, dataAbsolute,
	reportCount, 1, reportSize, 8, inputItem, constant,
	reportCount, keyboardLEDs, reportSize, 1, usagePage, pageLEDs, usageMin, 1, usageMax, keyboardLEDs, outputItem, dataAbsolute,
	reportCount, 1, reportSize, 8 - keyboardLEDs, outputItem, constant,
	reportCount, keySlot, reportSize, 8, logicalMin, 0, logicalMax, 0xff, usagePage, pageKeys, usageMin, 0, usageMax, 0xff, inputItem, dataArray,
	endCollection,
}
