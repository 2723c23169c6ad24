// Package vhdx is the disk format of Hyper-V since Windows Server 2012 (MS-VHDX): two headers, a log that makes changes of the tables whole or
// not at all, a table of the places of the disk's blocks (BAT), and metadata. Disks that hold differences to another one are refused, as by QEMU.
package vhdx

import (
	"crypto/rand"
	"encoding/binary"
	"hash/crc32"
)

var (
	le         = binary.LittleEndian
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

const (
	kib = 1 << 10
	mib = 1 << 20

	sectorSize   = 512 // of the disk; no other is supported
	signature    = "vhdxfile"
	maxDisk      = 64 << 40
	maxSectors   = 1 << 23 // that one block of sector bitmaps describes
	minBlock     = mib
	maxBlock     = 256 * mib
	sectionEnd   = mib // of headers and region tables
	regionTable  = 192 * kib
	regionTable2 = 256 * kib
	sumAt        = 4 // where the checksum is in headers, region tables and log entries
	guidLen      = 16
)

// headerAt are the places of the two headers.
var headerAt = [2]int64{64 * kib, 128 * kib}

// Offsets in a header.
const (
	hdrSignature  = "head"
	hdrSequence   = 8
	hdrFileGUID   = 16
	hdrDataGUID   = 32
	hdrLogGUID    = 48
	hdrLogVersion = 64
	hdrVersion    = 66
	hdrLogLen     = 68
	hdrLogAt      = 72
	hdrLen        = 4 * kib // with what is reserved
)

// The region table and its entries.
const (
	rtSignature = "regi"
	rtCount     = 8
	rtEntries   = 16
	rtEntryLen  = 32
	rteOffset   = 16
	rteLen      = 24
	rteFlags    = 28
	rteRequired = 1
	rtLen       = 64 * kib
	rtMax       = 2047
)

// The metadata table and its entries.
const (
	mtSignature   = "metadata"
	mtCount       = 10
	mtEntries     = 32
	mtEntryLen    = 32
	mteOffset     = 16
	mteLen        = 20
	mteFlags      = 24
	mteVirtual    = 2 // about the disk, not the file
	mteRequired   = 4
	mtLen         = 64 * kib
	paramsFixed   = 1 // blocks stay allocated
	paramsParent  = 2
	metadataItems = 5 // that every disk has
)

// State of a block, the lowest three bits of an entry of the BAT. The upper 44 bits are its place in the file, a multiple of 1 MiB.
const (
	blockNotPresent  = 0
	blockUndefined   = 1
	blockZero        = 2
	blockUnmapped    = 3
	blockUnmapped095 = 5
	blockPresent     = 6
	stateMask        = 7
	placeMask        = ^uint64(mib - 1)
	batEntryLen      = 8
)

// A log entry: a header with descriptors behind it, then a sector of data for each descriptor of data.
const (
	logSector      = 4 * kib
	logSignature   = "loge"
	logEntryLen    = 8
	logTail        = 12
	logSequence    = 16
	logCount       = 24
	logGUID        = 32
	logFlushed     = 48
	logLast        = 56
	logHeaderLen   = 64
	logMin         = mib // lengths and places are multiples of it
	descLen        = 32
	descData       = "desc"
	descZero       = "zero"
	descTrailing   = 4 // the last bytes of the sector that a data descriptor is about
	descLeading    = 8 // its first bytes; of a zero descriptor the length
	descOffset     = 16
	descSequence   = 24
	dataSignature  = "data"
	dataHigh       = 4
	dataBytes      = 8
	dataLow        = logSector - 4
	perDescSector  = logSector / descLen
	headerAsDescs  = logHeaderLen / descLen
	sequenceAtOpen = 1
)

// guid makes a GUID as it is stored from its usual parts.
func guid(a uint32, b, c uint16, rest string) string {
	s := le.AppendUint32(nil, a)
	s = le.AppendUint16(le.AppendUint16(s, b), c)
	return string(s) + rest
}

// The GUIDs of regions and metadata.
var (
	guidBAT      = guid(0x2dc27766, 0xf623, 0x4200, "\x9d\x64\x11\x5e\x9b\xfd\x4a\x08")
	guidMetadata = guid(0x8b7ca206, 0x4790, 0x4b9a, "\xb8\xfe\x57\x5f\x05\x0f\x88\x6e")

	guidParams   = guid(0xcaa16737, 0xfa36, 0x4d43, "\xb3\xb6\x33\xf0\xaa\x44\xe7\x6b")
	guidSize     = guid(0x2fa54224, 0xcd1b, 0x4876, "\xb2\x11\x5d\xbe\xd8\x3b\xf4\xb8")
	guidPage83   = guid(0xbeca12ab, 0xb2e6, 0x4523, "\x93\xef\xc3\x09\xe0\x00\xc7\x46")
	guidLogical  = guid(0x8141bf1d, 0xa96f, 0x4709, "\xba\x47\xf2\x33\xa8\xfa\xab\x5f")
	guidPhysical = guid(0xcda348c7, 0x445d, 0x4471, "\x9c\xc9\xe9\x88\x52\x51\xc5\x56")
	guidParent   = guid(0xa8d35f2d, 0xb30b, 0x454d, "\xab\xf7\xd3\xd8\x48\x34\xab\x0c")

	noGUID = string(make([]byte, guidLen))
)

// newGUID makes a random GUID.
func newGUID() string {
	b := make([]byte, guidLen)
	_, _ = rand.Read(b) // which never fails
	b[7], b[8] = b[7]&0x0f|0x40, b[8]&0x3f|0x80
	return string(b)
}

// checksum is that of a structure, in which the checksum itself counts as zero.
func checksum(b []byte) uint32 {
	sum := crc32.Update(0, castagnoli, b[:sumAt])
	sum = crc32.Update(sum, castagnoli, make([]byte, 4))
	return crc32.Update(sum, castagnoli, b[sumAt+4:])
}

// sign stores the checksum.
func sign(b []byte) { le.PutUint32(b[sumAt:], checksum(b)) }

// intact tells whether a structure has the signature and its checksum is right.
func intact(b []byte, sig string) bool {
	return string(b[:len(sig)]) == sig && le.Uint32(b[sumAt:]) == checksum(b)
}

func roundUp(n, to int64) int64 { return (n + to - 1) / to * to }

// geometry says how the BAT describes a disk.
type geometry struct {
	size, block int64
	ratio       int64 // blocks, after whose entries comes one for a block of sector bitmaps
}

func newGeometry(size, block int64) geometry {
	return geometry{size: size, block: block, ratio: maxSectors * sectorSize / block}
}

// entries is the number of the BAT's entries, by QEMU's rule, which asks for room for a disk of size 0.
func (g *geometry) entries() uint32 {
	n := uint32((g.size + g.block - 1) / g.block)
	return n + (n-1)/uint32(g.ratio)
}

// index is where the entry of a block is in the BAT.
func (g *geometry) index(number int64) int64 { return number + number/g.ratio }
