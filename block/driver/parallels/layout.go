// Package parallels is the format of Parallels' expandable disks (version 2): a header, a table that says where each cluster is, and the
// clusters in the order in which they were first written. The dirty bitmaps of the Format Extension are read, and kept by read-only nodes alone.
package parallels

import (
	"encoding/binary"
	"math"

	"golang.org/x/sys/unix"

	"goemu/block"
)

var le = binary.LittleEndian

// Offsets of the header's fields. All numbers are little-endian; the table follows the header (docs/interop/parallels.txt of QEMU).
const (
	hdrVersion   = 16
	hdrHeads     = 20
	hdrCylinders = 24
	hdrTracks    = 28
	hdrEntries   = 32
	hdrSectors   = 36
	hdrInUse     = 44
	hdrData      = 48
	hdrExtension = 56
	headerLen    = 64

	magic    = "WithoutFreeSpace" // entries count sectors
	magicExt = "WithouFreSpacExt" // entries count clusters
	version  = 2
	inUse    = 0x746f6e59 // a program has the image open for writing
	heads    = 16         // of images made here; nobody minds
	perTrack = 32

	sectorSize  = 512
	entryLen    = 4
	maxTracks   = math.MaxInt32 / 513
	maxEntries  = math.MaxInt32 / entryLen
	maxSector   = math.MaxInt64/sectorSize - maxTracks // so that no position overflows
	clusterMade = 1 << 20
)

// header is what a driver needs of the header.
type header struct {
	unit      int64 // sectors that an entry of the table counts
	cluster   int64 // bytes
	entries   uint32
	sectors   uint64
	data      int64 // where clusters may begin, in sectors
	unclean   bool  // it was not closed
	extension uint64
}

// parseHeader checks and decodes the header; errors are QEMU's.
func parseHeader(b []byte) (h header, err error) {
	h.sectors = le.Uint64(b[hdrSectors:])
	tracks := le.Uint32(b[hdrTracks:])
	switch kind := string(b[:len(magic)]); {
	case le.Uint32(b[hdrVersion:]) != version || kind != magic && kind != magicExt:
		return h, block.Errorf(unix.EINVAL, "Image not in Parallels format")
	case kind == magic:
		h.unit, h.sectors = 1, h.sectors&math.MaxUint32
	default:
		h.unit = int64(tracks)
	}
	h.entries = le.Uint32(b[hdrEntries:])
	switch {
	case tracks == 0:
		return h, block.Errorf(unix.EINVAL, "Invalid image: Zero sectors per track")
	case tracks > maxTracks:
		return h, block.Errorf(unix.EFBIG, "Invalid image: Too big cluster")
	case h.entries > maxEntries:
		return h, block.Errorf(unix.EFBIG, "Catalog too large")
	}
	h.cluster = int64(tracks) * sectorSize
	if h.data = int64(le.Uint32(b[hdrData:])); h.data == 0 {
		h.data = (headerLen + int64(h.entries)*entryLen + sectorSize - 1) / sectorSize
	}
	h.unclean = le.Uint32(b[hdrInUse:]) == inUse
	h.extension = le.Uint64(b[hdrExtension:])
	return h, nil
}
