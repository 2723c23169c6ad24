package scsi

import (
	"goemu/hw/qdev"
	"goemu/hw/virtio/transport"
)

// Classes are the device types of this package.
func Classes() []*qdev.Class {
	return append(transport.PCIClasses[Model, *Model, transport.NoExtra](), transport.DeviceClass[Model]())
}
