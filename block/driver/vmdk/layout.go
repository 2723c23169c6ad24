// Package vmdk is VMware's disk format ("Virtual Disk Format 5.0"): one file, or a text (the descriptor) that names the files (extents) in
// which the disk's parts are, each either plain or with tables of the clusters (grains) that were written. Disks that are one compressed
// stream (streamOptimized) can be written once; the sparse format of ESXi 6.5 (seSparse) is only read, as in QEMU.
package vmdk

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"goemu/block"
)

var le = binary.LittleEndian

const (
	sectorSize = 512

	magicCOWD = "COWD" // sparse extents of ESX (vmfsSparse)
	magicKDMV = "KDMV" // sparse extents of all others

	// embeddedAt and embeddedLen are where a file with tables has its descriptor.
	embeddedAt, embeddedLen = 0x200, 20 * sectorSize

	maxGrainSectors = 0x200000          // 1 GiB
	maxTables       = 32 << 20          // tables of one extent
	maxSparse       = (1 << 32) * 512   // bytes of a file with tables, which have 32-bit sector numbers
	maxDescriptor   = 1<<20 - 1         // bytes of a descriptor that are looked at
	maxDescFile     = 16 << 20          // bytes of a descriptor that is changed
	maxSectors      = (1<<63 - 1) / 512 // of a disk
)

// Offsets in the header of a sparse extent of ESX, little-endian 32-bit numbers.
const (
	cowdSectors   = 12
	cowdGrain     = 16 // sectors
	cowdDirectory = 20 // sector
	cowdDirLen    = 24 // entries
	cowdTableLen  = 4096
	cowdHeaderLen = 44
)

// Offsets in the header of the other sparse extents, little-endian; lengths and places are in sectors.
const (
	hdrVersion     = 4
	hdrFlags       = 8
	hdrCapacity    = 12 // 64 bits
	hdrGrain       = 20 // 64 bits
	hdrDescriptor  = 28 // 64 bits
	hdrDescLen     = 36 // 64 bits
	hdrTableLen    = 44 // entries
	hdrRedundant   = 48 // 64 bits: the second directory
	hdrDirectory   = 56 // 64 bits
	hdrOverhead    = 64 // 64 bits: where the first grain can be
	hdrNewlines    = 73 // four bytes that transfers as text change
	hdrCompression = 77 // 16 bits
	headerLen      = 79

	flagNewlines   = 1 << 0
	flagRedundant  = 1 << 1
	flagZeroGrain  = 1 << 2
	flagCompressed = 1 << 16
	flagMarkers    = 1 << 17

	maxVersion        = 3
	versionReadOnly   = 3 // unless compressed
	compressDeflate   = 1
	directoryAtEnd    = 1<<64 - 1 // the footer has a better header
	tableLenCreated   = 512
	grainCreated      = 128 // sectors
	entryZeroed       = 1   // in a table of an extent with flagZeroGrain
	maxTableLen       = 512
	descSectorsCreate = embeddedLen / sectorSize
)

// A compressed grain follows a marker: its first sector in the disk (64 bits) and the length of the compressed data (32 bits). Other things in
// a stream have length 0 and a type at 12.
const (
	markerSize  = 8
	markerType  = 12
	markerLen   = 12 // with length
	typeFooter  = 3
	typeEnd     = 0
	footerTotal = 3 * sectorSize // marker, header, end marker
)

// Offsets in the headers of an seSparse extent, little-endian 64-bit numbers; lengths and places are in sectors.
const (
	seMagic        = 0
	seVersion      = 8
	seCapacity     = 16
	seGrain        = 24
	seTable        = 32
	seFlags        = 40
	seReserved     = 48 // four numbers
	seVolatile     = 80
	seDirectory    = 128
	seDirectoryLen = 136
	seTables       = 144
	seGrains       = 192
	sePadding      = 208
	seVolReplay    = 24
	seVolPadding   = 32

	seConstMagic    = 0xcafebabe
	seVolatileMagic = 0xcafecafe
	seVersionKnown  = 0x200000001
	seGrainKnown    = 8
	seTableKnown    = 64
)

// sparseHeader is what is needed of a sparse extent's header.
type sparseHeader struct {
	version, flags, tableLen                              uint32
	capacity, grain, descriptor, redundant, dir, overhead uint64
	compressed                                            bool
}

func parseSparse(b []byte) sparseHeader {
	return sparseHeader{
		version: le.Uint32(b[hdrVersion:]), flags: le.Uint32(b[hdrFlags:]), tableLen: le.Uint32(b[hdrTableLen:]),
		capacity: le.Uint64(b[hdrCapacity:]), grain: le.Uint64(b[hdrGrain:]), descriptor: le.Uint64(b[hdrDescriptor:]),
		redundant: le.Uint64(b[hdrRedundant:]), dir: le.Uint64(b[hdrDirectory:]), overhead: le.Uint64(b[hdrOverhead:]),
		compressed: le.Uint16(b[hdrCompression:]) == compressDeflate,
	}
}

// entrySectors is how much of the disk one table covers, in the 32 bits that QEMU has for it.
func (h *sparseHeader) entrySectors() uint64 { return uint64(uint32(uint64(h.tableLen) * h.grain)) }

// check validates the header of an extent in a file of length bytes; errors are QEMU's.
func (h *sparseHeader) check(length int64, writable bool) error {
	fail := func(e unix.Errno, format string, a ...any) error { return block.Errorf(e, format, a...) }
	switch {
	case h.version > maxVersion:
		return fail(unix.ENOTSUP, "Unsupported VMDK version %d", h.version)
	case h.version == versionReadOnly && writable && !h.compressed:
		return fail(unix.EINVAL, "VMDK version 3 must be read only")
	case h.tableLen > maxTableLen:
		return fail(unix.EINVAL, "L2 table size too big")
	case h.entrySectors() == 0:
		return fail(unix.EINVAL, "L1 entry size is invalid")
	case uint64(length+sectorSize-1)/sectorSize < h.overhead:
		return fail(unix.EINVAL, "File truncated, expecting at least %d bytes", int64(h.overhead*sectorSize))
	}
	return nil
}

// checkSE validates the two headers of an seSparse extent; errors are QEMU's.
func checkSE(b []byte) error {
	fail := func(e unix.Errno, format string, a ...any) error { return block.Errorf(e, format, a...) }
	at := func(i int) uint64 { return le.Uint64(b[i:]) }
	r := func(i int) uint64 { return at(seReserved + 8*i) }
	switch {
	case at(seMagic) != seConstMagic:
		return fail(unix.EINVAL, "Bad const header magic: 0x%016x", at(seMagic))
	case at(seVersion) != seVersionKnown:
		return fail(unix.ENOTSUP, "Unsupported version: 0x%016x", at(seVersion))
	case at(seGrain) != seGrainKnown:
		return fail(unix.ENOTSUP, "Unsupported grain size: %d", at(seGrain))
	case at(seTable) != seTableKnown:
		return fail(unix.ENOTSUP, "Unsupported grain table size: %d", at(seTable))
	case at(seFlags) != 0:
		return fail(unix.ENOTSUP, "Unsupported flags: 0x%016x", at(seFlags))
	case r(0)|r(1)|r(2)|r(3) != 0:
		return fail(unix.ENOTSUP, "Unsupported reserved bits: 0x%016x 0x%016x 0x%016x 0x%016x", r(0), r(1), r(2), r(3))
	case !allZero(b[sePadding:]):
		return fail(unix.ENOTSUP, "Unsupported non-zero const header padding")
	}
	return nil
}

func checkSEVolatile(b []byte) error {
	fail := func(e unix.Errno, format string, a ...any) error { return block.Errorf(e, format, a...) }
	switch {
	case le.Uint64(b) != seVolatileMagic:
		return fail(unix.EINVAL, "Bad volatile header magic: 0x%016x", le.Uint64(b))
	case le.Uint64(b[seVolReplay:]) != 0:
		return fail(unix.ENOTSUP, "Image is dirty, Replaying journal not supported")
	case !allZero(b[seVolPadding:]):
		return fail(unix.ENOTSUP, "Unsupported non-zero volatile header padding")
	}
	return nil
}

func allZero(b []byte) bool {
	for _, v := range b {
		if v != 0 {
			return false
		}
	}
	return true
}

func roundUp(n, to int64) int64 { return (n + to - 1) / to * to }
