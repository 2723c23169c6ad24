// Package vdi is the format of VirtualBox's disks (version 1.1): a header, a map of the disk's blocks, and the blocks in the order in which
// they were first written. Images that build on others are refused, as by QEMU.
package vdi

import (
	"bytes"
	"encoding/binary"
	"math"

	"golang.org/x/sys/unix"

	"goemu/block"
)

var le = binary.LittleEndian

// Offsets of the header's fields. All numbers are little-endian, lengths are bytes.
const (
	hdrSignature       = 0x40
	hdrVersion         = 0x44
	hdrHeaderSize      = 0x48
	hdrImageType       = 0x4c
	hdrMapOffset       = 0x154
	hdrDataOffset      = 0x158
	hdrSectorSize      = 0x168
	hdrDiskSize        = 0x170
	hdrBlockSize       = 0x178
	hdrBlocks          = 0x180
	hdrAllocated       = 0x184
	hdrImageUUID       = 0x188
	hdrSnapshotUUID    = 0x198
	hdrLinkUUID        = 0x1a8
	hdrParentUUID      = 0x1b8
	headerLen          = 512
	uuidLen            = 16
	banner             = "<<< QEMU VM Virtual Disk Image >>>\n"
	signature          = 0xbeda107f
	version            = 1<<16 | 1
	storedHeaderSize   = 0x180 // what the header says of itself
	typeDynamic        = 1
	typeStatic         = 2 // all blocks have their place from the beginning
	sectorSize         = 512
	blockSize          = 1 << 20
	entryLen           = 4
	entriesPerSector   = sectorSize / entryLen
	maxBlocks          = (1<<31 - sectorSize) / entryLen
	maxDisk            = maxBlocks * blockSize
	discarded          = math.MaxUint32 - 1 // reads as zeroes, like unallocated
	unallocated        = math.MaxUint32
	mapOffsetOfCreated = headerLen
)

// header is what a driver needs of the header.
type header struct {
	mapOffset, dataOffset int64
	static                bool
	size                  int64 // of the disk, a multiple of 512
	blocks                uint32
	allocated             uint32 // blocks that have a place
}

// parseHeader checks and decodes the header; errors are QEMU's.
func parseHeader(b []byte) (h header, err error) {
	fail := func(e unix.Errno, format string, a ...any) (header, error) { return h, block.Errorf(e, format, a...) }
	size := le.Uint64(b[hdrDiskSize:])
	if size > maxDisk {
		return fail(unix.ENOTSUP, "Unsupported VDI image size (size is 0x%x, max supported is 0x%x)", size, int64(maxDisk))
	}
	size = (size + sectorSize - 1) &^ (sectorSize - 1)
	blocks := le.Uint32(b[hdrBlocks:])
	room := uint64(blocks) * uint64(le.Uint32(b[hdrBlockSize:]))
	zero := make([]byte, uuidLen)
	switch v := le.Uint32(b[hdrVersion:]); {
	case le.Uint32(b[hdrSignature:]) != signature:
		return fail(unix.EINVAL, "Image not in VDI format (bad signature %08x)", le.Uint32(b[hdrSignature:]))
	case v != version:
		return fail(unix.ENOTSUP, "unsupported VDI image (version %d.%d)", v>>16, v&0xffff)
	case le.Uint32(b[hdrMapOffset:])%sectorSize != 0:
		return fail(unix.ENOTSUP, "unsupported VDI image (unaligned block map offset 0x%x)", le.Uint32(b[hdrMapOffset:]))
	case le.Uint32(b[hdrDataOffset:])%sectorSize != 0:
		return fail(unix.ENOTSUP, "unsupported VDI image (unaligned data offset 0x%x)", le.Uint32(b[hdrDataOffset:]))
	case le.Uint32(b[hdrSectorSize:]) != sectorSize:
		return fail(unix.ENOTSUP, "unsupported VDI image (sector size %d is not %d)", le.Uint32(b[hdrSectorSize:]), sectorSize)
	case le.Uint32(b[hdrBlockSize:]) != blockSize:
		return fail(unix.ENOTSUP, "unsupported VDI image (block size %d is not %d)", le.Uint32(b[hdrBlockSize:]), blockSize)
	case size > room:
		return fail(unix.ENOTSUP, "unsupported VDI image (disk size %d, image bitmap has room for %d)", size, room)
	case !bytes.Equal(b[hdrLinkUUID:][:uuidLen], zero):
		return fail(unix.ENOTSUP, "unsupported VDI image (non-NULL link UUID)")
	case !bytes.Equal(b[hdrParentUUID:][:uuidLen], zero):
		return fail(unix.ENOTSUP, "unsupported VDI image (non-NULL parent UUID)")
	case blocks > maxBlocks:
		return fail(unix.ENOTSUP, "unsupported VDI image (too many blocks %d, max is %d)", blocks, maxBlocks)
	}
	return header{
		mapOffset: int64(le.Uint32(b[hdrMapOffset:])), dataOffset: int64(le.Uint32(b[hdrDataOffset:])), static: le.Uint32(b[hdrImageType:]) == typeStatic,
		size: int64(size), blocks: blocks, allocated: le.Uint32(b[hdrAllocated:]),
	}, nil
}

// mapLen is the length of the map of a number of blocks in the file.
func mapLen(blocks int64) int64 { return (blocks*entryLen + sectorSize - 1) &^ (sectorSize - 1) }
