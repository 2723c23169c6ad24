package driver

import (
	"slices"

	"goemu/block"
	"goemu/block/driver/blkdebug"
	"goemu/block/driver/blkverify"
	"goemu/block/driver/bochs"
	"goemu/block/driver/cloop"
	"goemu/block/driver/copybeforewrite"
	"goemu/block/driver/dmg"
	"goemu/block/driver/file"
	"goemu/block/driver/filter"
	"goemu/block/driver/luks"
	"goemu/block/driver/nbd"
	"goemu/block/driver/null"
	"goemu/block/driver/parallels"
	"goemu/block/driver/qcow"
	"goemu/block/driver/qcow2"
	"goemu/block/driver/qed"
	"goemu/block/driver/quorum"
	"goemu/block/driver/raw"
	"goemu/block/driver/vdi"
	"goemu/block/driver/vhdx"
	"goemu/block/driver/vmdk"
	"goemu/block/driver/vpc"
)

// All lists every block driver of the program.
func All() []*block.Driver {
	return slices.Concat(file.Drivers, raw.Drivers, qcow2.Drivers, qed.Drivers, luks.Drivers, vdi.Drivers, vhdx.Drivers, vmdk.Drivers, vpc.Drivers, parallels.Drivers, qcow.Drivers, bochs.Drivers, cloop.Drivers, dmg.Drivers, null.Drivers, blkdebug.Drivers, blkverify.Drivers, copybeforewrite.Drivers, filter.Drivers, quorum.Drivers, nbd.Drivers)
}
