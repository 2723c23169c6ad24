package main

import (
	"goemu/hw/char"
	"goemu/hw/ide"
	"goemu/hw/misc"
	"goemu/hw/qdev"
	"goemu/hw/virtio/blk"
	"goemu/hw/virtio/rng"
	"goemu/hw/virtio/serial"
)

// registry lists every device type; hooks are what some do to the emulator.
func registry(hooks *misc.Hooks) *qdev.Registry {
	return qdev.NewRegistry(char.Classes, misc.Classes(hooks), ide.Classes(), blk.Classes(), rng.Classes(), serial.Classes())
}
