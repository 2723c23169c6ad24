package main

import (
	"goemu/hw/char"
	"goemu/hw/qdev"
	"goemu/hw/virtio/blk"
)

// registry lists every device type.
func registry() *qdev.Registry {
	return qdev.NewRegistry(char.Classes, blk.Classes())
}
