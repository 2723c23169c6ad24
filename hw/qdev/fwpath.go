package qdev

import "strings"

// FirmwareBus is a bus whose devices have a name for firmware (Open Firmware's device paths).
type FirmwareBus interface{ FirmwareName(d Device) string }

// FirmwarePath is the path by which firmware knows a device, without the host bridge: the names on all buses on the way.
func FirmwarePath(d Device) string {
	var names []string
	for d != nil && d.Dev().bus != nil {
		if b, ok := d.Dev().bus.(FirmwareBus); ok {
			names = append([]string{b.FirmwareName(d)}, names...)
		}
		d = d.Dev().bus.QBus().parent
	}
	return strings.Join(names, "/")
}

// Bootable is a device that firmware can start from. The index is its place in the order, the suffix what stands behind its path.
type Bootable interface {
	BootPlace() (index int32, suffix string, ok bool)
}

// BootPlace is a place in the boot order, and what stands behind the device's path.
type BootPlace struct {
	Index  int32
	Suffix string
}

// MultiBootable is a device that has several things in it to start from.
type MultiBootable interface{ BootPlaces() []BootPlace }

// BootPlaces are the places that a device has in the boot order.
func BootPlaces(d Device) []BootPlace {
	switch b := d.(type) {
	case MultiBootable:
		return b.BootPlaces()
	case Bootable:
		if index, suffix, ok := b.BootPlace(); ok {
			return []BootPlace{{index, suffix}}
		}
	}
	return nil
}

// Shaped is a disk for which the user can give a geometry that the BIOS is to report, whatever its own; ok is false if there is none.
type Shaped interface {
	Bootable
	BIOSGeometry() (cyls, heads, secs uint32, ok bool)
}
