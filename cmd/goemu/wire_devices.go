package main

import (
	"goemu/hw/char"
	"goemu/hw/qdev"
	"goemu/hw/virtio/blk"
	"goemu/hw/virtio/rng"
	"goemu/hw/virtio/serial"
)

// registry lists every device type.
func registry() *qdev.Registry {
	return qdev.NewRegistry(char.Classes, blk.Classes(), rng.Classes(), serial.Classes())
}
