// Package vpc is the format of Virtual PC's and Hyper-V's older disks (VHD): a footer, and for disks that grow a copy of it at the beginning,
// a header and a table of blocks. Sources: Microsoft's "Virtual Hard Disk Image Format Specification" (2006), QEMU's rules for the size.
package vpc

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/sys/unix"

	"goemu/block"
)

var be = binary.BigEndian

// Offsets of the footer's fields. All numbers are big-endian.
const (
	ftCookie      = 0
	ftFeatures    = 8
	ftVersion     = 12
	ftDataOffset  = 16 // of the dynamic header
	ftTimestamp   = 24 // seconds since 2000
	ftCreator     = 28
	ftMajor       = 32
	ftMinor       = 34
	ftCreatorOS   = 36
	ftOrigSize    = 40
	ftCurrentSize = 48
	ftCylinders   = 56
	ftHeads       = 58
	ftSectors     = 59
	ftType        = 60
	ftChecksum    = 64
	ftUUID        = 68
	footerLen     = 512

	cookie        = "conectix"
	typeFixed     = 2
	typeDynamic   = 3
	typeDifferent = 4 // what is not in it is in another image
	noOffset      = 1<<64 - 1
	epoch2000     = 946684800 // in Unix time
)

// Offsets of the dynamic header's fields.
const (
	dynCookie      = 0
	dynDataOffset  = 8
	dynTableOffset = 16
	dynVersion     = 24
	dynEntries     = 28
	dynBlockSize   = 32
	dynChecksum    = 36
	dynamicLen     = 1024

	dynamicCookie = "cxsparse"
	formatVersion = 0x10000
)

// Limits and units of the format.
const (
	sectorSize       = 512
	maxSectors       = 0xff000000 // 2040 GiB
	maxCylinders     = 65535
	maxHeads         = 16
	maxTrack         = 255
	maxGeometry      = maxCylinders * maxHeads * maxTrack
	unallocated      = 1<<32 - 1
	blockSizeCreated = 2 << 20
)

// checksum is the complement of the sum of all bytes but those of the checksum itself at the offset.
func checksum(b []byte, at int) uint32 {
	var sum uint32
	for i, v := range b {
		if i < at || i >= at+4 {
			sum += uint32(v)
		}
	}
	return ^sum
}

// isFooter tells whether b begins as a footer does.
func isFooter(b []byte) bool { return bytes.HasPrefix(b, []byte(cookie)) }

// bySize are the programs that take the disk's size from the footer; others take it from the geometry.
var bySize = []string{"win ", "qem2", "d2v ", "CTXS", "tap\x00"}

// sizeRule is how the size of the disk is found.
type sizeRule uint8

const (
	ruleAuto sizeRule = iota // by the program that made the image
	ruleCHS
	ruleCurrent
)

// diskSectors is the length of the disk. A geometry that cannot be larger says nothing.
func diskSectors(footer []byte, rule sizeRule) (int64, error) {
	n := int64(be.Uint16(footer[ftCylinders:])) * int64(footer[ftHeads]) * int64(footer[ftSectors])
	chs := true
	for _, app := range bySize {
		if string(footer[ftCreator:][:len(app)]) == app {
			chs = false
		}
	}
	if !chs && rule != ruleCHS || n == maxGeometry || rule == ruleCurrent {
		n = int64(be.Uint64(footer[ftCurrentSize:]) / sectorSize)
	}
	if n > maxSectors {
		return 0, unix.EFBIG
	}
	return n, nil
}

// geometry is the specification's algorithm: cylinders, heads and sectors of a track for a number of sectors, perhaps for fewer.
func geometry(sectors int64) (cylinders, heads, track int64) {
	sectors = min(sectors, maxGeometry)
	if sectors >= maxCylinders*maxHeads*63 {
		return sectors / maxTrack / maxHeads, maxHeads, maxTrack
	}
	track = 17
	tracks := sectors / track
	heads = max((tracks+1023)/1024, 4)
	if tracks >= heads*1024 || heads > maxHeads {
		track, heads = 31, maxHeads
		tracks = sectors / track
	}
	if tracks >= heads*1024 {
		track, heads = 63, maxHeads
		tracks = sectors / track
	}
	return tracks / heads, heads, track
}

// fit is the geometry of a disk of at least size bytes, and the number of sectors that it has then. With exact the size is kept, and the
// geometry is the one that says nothing.
func fit(size int64, exact bool) (c, h, s, sectors int64, err error) {
	if exact {
		c, h, s = maxCylinders, maxHeads, maxTrack
	} else {
		want := min(maxGeometry, size/sectorSize)
		for i := int64(0); want > c*h*s; i++ {
			c, h, s = geometry(want + i)
		}
	}
	if sectors = c * h * s; sectors != maxGeometry {
		return c, h, s, sectors, nil
	}
	if sectors = size / sectorSize; sectors > maxSectors || size < 0 {
		return 0, 0, 0, 0, block.Errorf(unix.EFBIG, "Disk size is too large, max size is 2040 GiB")
	}
	return c, h, s, sectors, nil
}
