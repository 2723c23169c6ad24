package pci

import (
	"fmt"

	"goemu/hw/qdev"
)

// firmwareNames are the names of classes for firmware (PCI bus binding to Open Firmware).
var firmwareNames = map[uint16]string{
	0x0001: "display", 0x0100: "scsi", 0x0101: "ide", 0x0102: "fdc", 0x0104: "raid", 0x0200: "ethernet", 0x0300: "display", 0x0400: "video", 0x0401: "sound",
	0x0403: "sound", 0x0500: "memory", 0x0501: "flash", 0x0600: "host", 0x0601: "isa", 0x0604: "pci-bridge", 0x0700: "serial", 0x0701: "parallel",
	0x0c00: "firewire", 0x0c01: "access-bus", 0x0c03: "usb", 0x0c04: "fibre-channel",
}

// FirmwareName implements qdev.FirmwareBus.
func (b *Bus) FirmwareName(dev qdev.Device) string {
	d := dev.(Function).PCI()
	name := firmwareNames[d.Get16(RegClass)]
	if name == "" {
		name = fmt.Sprintf("pci%04x,%04x", d.Get16(RegVendorID), d.Get16(RegDeviceID))
	}
	name = fmt.Sprintf("%s@%x", name, d.devfn>>3)
	if fn := d.devfn & 7; fn != 0 {
		name += fmt.Sprintf(",%x", fn)
	}
	return name
}
