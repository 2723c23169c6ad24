package driver

import (
	"slices"

	"goemu/block"
	"goemu/block/driver/blkdebug"
	"goemu/block/driver/file"
	"goemu/block/driver/null"
	"goemu/block/driver/raw"
)

// All lists every block driver of the program.
func All() []*block.Driver {
	return slices.Concat(file.Drivers, raw.Drivers, null.Drivers, blkdebug.Drivers)
}
