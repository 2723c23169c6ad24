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

// Shaped is a disk for which the user can give a geometry that the BIOS is to report, whatever its own; ok is false if there is none.
type Shaped interface {
	Bootable
	BIOSGeometry() (cyls, heads, secs uint32, ok bool)
}
