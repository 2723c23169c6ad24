// Package qcow2 reads and writes QEMU's copy-on-write image format, versions 2 and 3 (docs/interop/qcow2.txt): cluster mapping with
// subclusters, reference counts of every width, compression, internal snapshots, external data files and persistent dirty bitmaps.
//
// All metadata is guarded by one lock per image, which is not held while guest data moves. Tables are cached and written back in an order
// that leaves a crashed image correct or with leaked clusters at worst. The package knows nothing of devices, jobs or tools.
package qcow2

import "encoding/binary"

// be is the byte order of everything in an image.
var be = binary.BigEndian

// magic is "QFI\xfb".
const magic = 0x514649fb

// Limits of the format and of this implementation (QEMU's).
const (
	minClusterBits = 9
	maxClusterBits = 21

	maxL1Size            = 32 << 20 // bytes
	maxRefTableSize      = 8 << 20  // bytes
	maxClusterOffset     = 1<<56 - 1
	maxSnapshots         = 65536
	maxSnapshotExtra     = 1024
	maxSnapshotTableSize = 1024 * maxSnapshots
	maxBackingName       = 1023

	defaultClusterSize = 65536
	compressedSector   = 512
	subPerCluster      = 32
	sectorSize         = 512
)

// Offsets of the header's fields.
const (
	hdrMagic             = 0
	hdrVersion           = 4
	hdrBackingOffset     = 8
	hdrBackingSize       = 16
	hdrClusterBits       = 20
	hdrSize              = 24
	hdrCryptMethod       = 32
	hdrL1Size            = 36
	hdrL1Offset          = 40
	hdrRefTableOffset    = 48
	hdrRefTableClusters  = 56
	hdrSnapshots         = 60
	hdrSnapshotsOffset   = 64
	hdrIncompatible      = 72 // version 3 from here on
	hdrCompatible        = 80
	hdrAutoclear         = 88
	hdrRefcountOrder     = 96
	hdrLength            = 100
	hdrCompression       = 104
	headerLen            = 112 // all fields known here, with padding
	headerLenV2          = hdrIncompatible
	headerLenV3Min       = hdrCompression
	defaultRefcountOrder = 4
)

// Feature bits.
const (
	incDirty       = 1 << 0
	incCorrupt     = 1 << 1
	incDataFile    = 1 << 2
	incCompression = 1 << 3
	incExtL2       = 1 << 4
	incKnown       = incDirty | incCorrupt | incDataFile | incCompression | incExtL2

	compLazyRefcounts = 1 << 0

	autoBitmaps     = 1 << 0
	autoDataFileRaw = 1 << 1
	autoKnown       = autoBitmaps | autoDataFileRaw
)

// Encryption methods.
const (
	cryptNone = 0
	cryptAES  = 1
	cryptLUKS = 2
)

// Compression types.
const (
	compressZlib = 0
	compressZstd = 1
)

var compressionNames = [...]string{compressZlib: "zlib", compressZstd: "zstd"}

// Header extensions.
const (
	extEnd           = 0
	extBackingFormat = 0xe2792aca
	extFeatureTable  = 0x6803f857
	extBitmaps       = 0x23852875
	extCrypto        = 0x0537be77
	extDataFile      = 0x44415441

	extHeaderLen    = 8
	featureLen      = 48 // entry of the feature name table
	featureNameLen  = 46
	bitmapsExtLen   = 24
	cryptoExtLen    = 16
	maxBackingFmt   = 16
	maxDataFileName = 1 << 16
)

// Types of the feature name table.
const (
	featIncompatible = iota
	featCompatible
	featAutoclear
)

// featureNames is the feature name table that is written to images.
var featureNames = [...]struct {
	kind, bit uint8
	name      string
}{
	{featIncompatible, 0, "dirty bit"},
	{featIncompatible, 1, "corrupt bit"},
	{featIncompatible, 2, "external data file"},
	{featIncompatible, 3, "compression type"},
	{featIncompatible, 4, "extended L2 entries"},
	{featCompatible, 0, "lazy refcounts"},
	{featAutoclear, 0, "bitmaps"},
	{featAutoclear, 1, "raw external data"},
}

// Bits of table entries.
const (
	flagCopied     = 1 << 63 // L1 and L2: reference count is exactly one
	flagCompressed = 1 << 62 // L2
	flagZero       = 1 << 0  // L2, standard clusters without subclusters

	l1OffsetMask   = 0x00fffffffffffe00
	l1ReservedMask = 0x7f000000000001ff
	l2OffsetMask   = 0x00fffffffffffe00
	l2ReservedMask = 0x3f000000000001fe
	rtOffsetMask   = 0xfffffffffffffe00
	rtReservedMask = 0x00000000000001ff

	subAllAlloc  = 0x00000000ffffffff // bitmap of an extended entry: allocated subclusters
	subAllZeroes = 0xffffffff00000000 // and those that read as zeroes
)

const (
	l1EntrySize = 8
	rtEntrySize = 8
)
