// Package archtest holds the rules of the code's own structure and tests that the code keeps them.
package archtest

// module is the path all packages start with.
const module = "goemu/"

// layers gives each package tree its layer. A package imports only lower layers and its own subtree. The longest prefix counts.
var layers = map[string]int{
	"internal/strerror": -1, "internal/testprog": -1, "internal/config": -1,

	"internal/bits": 0, "internal/trace": 0, "internal/clock": 0, "migration/vmstate": 0, "qapi": 0, "tcg/ir": 0, "internal/softfloat": 0,
	"internal/term": 0, "internal/fdset": 0, "internal/sockaddr": 1, "internal/getopt": 0, "internal/tlscreds": 0, "internal/sandbox": 0, "internal/hostcpu": 0,
	"internal/pcap": 0, "internal/qom": 1, "internal/mainloop": 1, "tcg": 1,
	"internal/memory": 2, "internal/userobj": 2, "internal/hostmem": 3, "internal/dump": 3, "internal/iothread": 3, "internal/secret": 3, "internal/chardev": 2, "internal/audiodev": 2, "target": 2,
	"hw/qdev": 3, "accel": 3, "block": 3, "tcg/opt": 3, "tcg/regalloc": 3, "tcg/interp": 3, "tcg/backend": 4, "tcg/frontend": 3,
	"block/luks": 4, "block/driver/luks": 5, "block/driver/qcow": 5, "block/driver/qcow2": 5, "block/driver/raw": 5, "block/driver/null": 4, "block/driver/nbd": 4, "hw/isa": 4, "hw/disk": 4, "hw/ide": 5, "hw/ide/ahci": 5, "hw/scsi": 4, "hw/scsi/disk": 5, "hw/scsi/generic": 5, "hw/virtio/scsi": 6, "hw/virtio/fs": 6, "hw/ide/piix": 5, "hw/usb": 5, "hw/usb/uhci": 6, "hw/usb/ehci": 6, "hw/usb/xhci": 6, "hw/usb/hid": 6, "hw/usb/storage": 6, "hw/usb/uas": 6, "hw/usb/usbtest": 6, "hw/net/nettest": 7, "hw/pci": 4, "block/driver": 4, "hw/virtio/ring": 3, "hw/virtio": 4, "hw/virtio/transport": 5,
	"hw/virtio/net": 6, "hw/nic": 4, "hw/hotplug": 4, "internal/netdev": 3, "internal/vhostuser": 3, "internal/netdev/vhostuser": 4, "hw/virtio/blk": 6, "hw/virtio/rng": 6, "hw/virtio/balloon": 6, "hw/virtio/p9": 6, "hw/virtio/gpu": 6, "internal/fsdev": 3, "hw/virtio/serial": 6, "hw/virtio/input": 6, "hw/virtio/virtiotest": 6,
	"hw/intc/apic": 4, "hw/intc/irqcount": 4, "tcg/tcgtest": 3,
	"hw": 5, "hw/firmware": 5, "hw/firmware/fwcfg": 4, "accel/gate": 4, "accel/tcg": 5, "accel/kvm": 5, "accel/qtest": 5, "migration": 5, "block/blockcopy": 4, "block/driver/copybeforewrite": 5, "block/job": 6, "block/export": 5, "block/img": 4,
	"hw/pc": 6, "internal/tool": 6, "internal/monitor": 6, "internal/monitor/qomcmd": 5, "internal/monitor/qmp": 5, "internal/monitor/hmp": 4, "internal/gdbstub": 6, "internal/cli": 6, "internal/archtest": 6,
	"internal/monitor/blockcmd": 7, "internal/monitor/migratecmd": 7,
	"cmd": 8, "tests": 9, "internal/tools": 9,
	"migration/wire": 4, "migration/multifd": 5,
	"ui": 3, "ui/input": 3, "ui/keymap": 4, "ui/vnc": 5, "ui/curses": 5, "hw/display/edid": 4,
}

// mayUseUnsafe are the packages whose files may import unsafe whatever their name.
var mayUseUnsafe = map[string]bool{"migration/vmstate": true}
