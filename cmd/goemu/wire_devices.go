package main

import (
	"goemu/hw/bridge"
	"goemu/hw/char"
	"goemu/hw/display/ramfb"
	"goemu/hw/display/vga"
	"goemu/hw/fdc"
	"goemu/hw/ide"
	"goemu/hw/ide/ahci"
	"goemu/hw/ide/piix"
	"goemu/hw/misc"
	"goemu/hw/net/e1000"
	"goemu/hw/net/e1000e"
	"goemu/hw/net/rtl8139"
	"goemu/hw/nvme"
	"goemu/hw/pc"
	"goemu/hw/qdev"
	scsidisk "goemu/hw/scsi/disk"
	scsigeneric "goemu/hw/scsi/generic"
	"goemu/hw/usb"
	"goemu/hw/usb/ehci"
	"goemu/hw/usb/hid"
	"goemu/hw/usb/storage"
	"goemu/hw/usb/uas"
	"goemu/hw/usb/uhci"
	"goemu/hw/usb/xhci"
	"goemu/hw/virtio/balloon"
	"goemu/hw/virtio/blk"
	"goemu/hw/virtio/fs"
	"goemu/hw/virtio/gpu"
	"goemu/hw/virtio/input"
	"goemu/hw/virtio/net"
	"goemu/hw/virtio/p9"
	"goemu/hw/virtio/rng"
	vscsi "goemu/hw/virtio/scsi"
	"goemu/hw/virtio/serial"
	"goemu/hw/watchdog"
)

// registry lists every device type; hooks are what some do to the emulator.
func registry(hooks *misc.Hooks) *qdev.Registry {
	return qdev.NewRegistry(
		char.Classes,
		misc.Classes(hooks), watchdog.Classes(hooks.Watchdog),
		fdc.Classes(), ide.Classes(), piix.Classes(), ahci.Classes(), nvme.Classes(),
		scsidisk.Classes(), scsigeneric.Classes(), vscsi.Classes(),
		blk.Classes(), net.Classes(), rng.Classes(), serial.Classes(), balloon.Classes(), p9.Classes(), fs.Classes(), input.Classes(), gpu.Classes(),
		uhci.Classes(), ehci.Classes(), xhci.Classes(), hid.Classes(), storage.Classes(), uas.Classes(), []*qdev.Class{usb.HubClass},
		vga.Classes(), ramfb.Classes(), bridge.Classes(),
		e1000.Classes(), e1000e.Classes(), []*qdev.Class{&rtl8139.Class},
		pc.CPUClasses(), []*qdev.Class{&pc.DIMMClass}, pc.Chips(),
	)
}
