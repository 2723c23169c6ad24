package qcow2

import (
	"bytes"
	"fmt"
	"math"
	"strings"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// header holds the fields of an image's header that are needed while opening it.
type header struct {
	version                    uint32
	clusterBits                uint32
	size                       uint64
	crypt                      uint32
	l1Size                     uint32
	l1Offset                   uint64
	refTableOffset             uint64
	refTableClusters           uint32
	snapshots                  uint32
	snapshotsOffset            int64
	snapshotsOffsetRaw         uint64
	backingOffset              uint64
	backingSize                uint32
	incompatible, compat, auto uint64
	refOrder                   uint32
	length                     int64 // of the header
	extEnd                     int64 // where the header extensions end at the latest
	compression                uint8
}

// extension is a header extension that is kept as it is.
type extension struct {
	kind uint32
	data []byte
}

// readHeader reads and decodes the header.
func (im *image) readHeader() (*header, error) {
	b := make([]byte, headerLen)
	if err := im.file.Read(bg, 0, b); err != nil {
		return nil, block.Errnof(block.Errno(err), "Could not read qcow2 header")
	}
	h := &header{
		version: be.Uint32(b[hdrVersion:]), clusterBits: be.Uint32(b[hdrClusterBits:]), size: be.Uint64(b[hdrSize:]),
		crypt: be.Uint32(b[hdrCryptMethod:]), l1Size: be.Uint32(b[hdrL1Size:]), l1Offset: be.Uint64(b[hdrL1Offset:]),
		refTableOffset: be.Uint64(b[hdrRefTableOffset:]), refTableClusters: be.Uint32(b[hdrRefTableClusters:]),
		snapshots: be.Uint32(b[hdrSnapshots:]), snapshotsOffsetRaw: be.Uint64(b[hdrSnapshotsOffset:]),
		backingOffset: be.Uint64(b[hdrBackingOffset:]), backingSize: be.Uint32(b[hdrBackingSize:]),
		refOrder: defaultRefcountOrder, length: headerLenV2,
	}
	switch {
	case be.Uint32(b[hdrMagic:]) != magic:
		return nil, block.Errorf(unix.EINVAL, "Image is not in qcow2 format")
	case h.version < 2 || h.version > 3:
		return nil, block.Errorf(unix.ENOTSUP, "Unsupported qcow2 version %d", h.version)
	case h.clusterBits < minClusterBits || h.clusterBits > maxClusterBits:
		return nil, block.Errorf(unix.EINVAL, "Unsupported cluster size: 2^%d", h.clusterBits)
	}
	clusterSize := int64(1) << h.clusterBits
	if h.version >= 3 {
		h.incompatible, h.compat, h.auto = be.Uint64(b[hdrIncompatible:]), be.Uint64(b[hdrCompatible:]), be.Uint64(b[hdrAutoclear:])
		h.refOrder, h.length = be.Uint32(b[hdrRefcountOrder:]), int64(be.Uint32(b[hdrLength:]))
		if h.length < headerLenV3Min {
			return nil, block.Errorf(unix.EINVAL, "qcow2 header too short")
		}
	}
	if h.length > clusterSize {
		return nil, block.Errorf(unix.EINVAL, "qcow2 header exceeds cluster size")
	}
	im.unknownFields = nil
	if h.length > headerLen {
		im.unknownFields = make([]byte, h.length-headerLen)
		if err := im.file.Read(bg, headerLen, im.unknownFields); err != nil {
			return nil, block.Errnof(block.Errno(err), "Could not read unknown qcow2 header fields")
		}
	}
	if h.backingOffset > uint64(clusterSize) {
		return nil, block.Errorf(unix.EINVAL, "Invalid backing file offset")
	}
	if h.extEnd = int64(h.backingOffset); h.extEnd == 0 {
		h.extEnd = clusterSize
	}
	if h.length > hdrCompression {
		h.compression = b[hdrCompression]
	}
	return h, nil
}

// checkCompression verifies that type and feature bit agree.
func checkCompression(kind uint8, incompatible uint64) error {
	set := incompatible&incCompression != 0
	switch {
	case int(kind) >= len(compressionNames):
		return block.Errorf(unix.ENOTSUP, "qcow2: unknown compression type: %d", kind)
	case kind == compressZlib && set:
		return block.Errorf(unix.EINVAL, "qcow2: Compression type incompatible feature bit must not be set")
	case kind != compressZlib && !set:
		return block.Errorf(unix.EINVAL, "qcow2: Compression type incompatible feature bit must be set")
	}
	return nil
}

// checkHeader validates features and sizes and stores them.
func (im *image) checkHeader(h *header, mode block.Mode) error {
	im.version = int(h.version)
	im.incompatible, im.compat, im.auto = h.incompatible, h.compat, h.auto
	im.compression = h.compression
	if err := checkCompression(h.compression, h.incompatible); err != nil {
		return err
	}
	if unknown := h.incompatible &^ incKnown; unknown != 0 {
		return im.unsupported(unknown, h)
	}
	if h.incompatible&incCorrupt != 0 && !mode.ReadOnly && !mode.Check {
		return block.Errorf(unix.EACCES, "qcow2: Image is corrupt; cannot be opened read/write")
	}
	ext := h.incompatible&incExtL2 != 0
	if sub := int64(1) << h.clusterBits / subPerCluster; ext && sub < 1<<minClusterBits {
		return block.Errorf(unix.EINVAL, "Unsupported subcluster size: %d", sub)
	}
	if h.refOrder > 6 {
		return block.Errorf(unix.EINVAL, "Reference count entry width too large; may not exceed 64 bits")
	}
	im.geometry = newGeometry(int(h.clusterBits), ext, int(h.refOrder))
	im.crypt = h.crypt
	if h.size > math.MaxInt64 {
		return block.Errorf(unix.EFBIG, "Image is too big")
	}
	im.length.Store(int64(h.size / sectorSize * sectorSize))
	return nil
}

// unsupported names the unknown incompatible features, with the image's own names if it has some.
func (im *image) unsupported(mask uint64, h *header) error {
	var names []string
	table := im.featureTable(h.length, h.extEnd)
	for ; len(table) >= featureLen && table[2] != 0; table = table[featureLen:] {
		if bit := table[1]; table[0] == featIncompatible && bit < 64 && mask>>bit&1 != 0 {
			name, _, _ := bytes.Cut(table[2:featureLen], []byte{0})
			names = append(names, string(name))
			mask &^= 1 << bit
		}
	}
	if mask != 0 {
		names = append(names, fmt.Sprintf("Unknown incompatible feature: %x", mask))
	}
	return block.Errorf(unix.ENOTSUP, "Unsupported qcow2 feature(s): %s", strings.Join(names, ", "))
}

// walkExtensions calls f for each header extension with the offset of its data, until f fails.
func (im *image) walkExtensions(start, end int64, f func(kind uint32, off, n int64) error) error {
	for off := start; off < end; {
		b := make([]byte, extHeaderLen)
		if err := im.file.Read(bg, off, b); err != nil {
			return block.Errnof(block.Errno(err), "qcow2_read_extension: ERROR: pread fail from offset %d", off)
		}
		kind, n := be.Uint32(b), int64(be.Uint32(b[4:]))
		off += extHeaderLen
		if off > end || n > end-off {
			return block.Errorf(unix.EINVAL, "Header extension too large")
		}
		if kind == extEnd {
			return nil
		}
		if err := f(kind, off, n); err != nil {
			return err
		}
		off += (n + 7) &^ 7
	}
	return nil
}

// featureTable reads the feature name table, if there is one and it can be read.
func (im *image) featureTable(start, end int64) (table []byte) {
	im.walkExtensions(start, end, func(kind uint32, off, n int64) error {
		if kind == extFeatureTable {
			table = make([]byte, n+2*featureLen) // the last entry may be cut off
			if im.file.Read(bg, off, table[:n]) != nil {
				table = nil
			}
		}
		return nil
	})
	return table
}

// readExtensions reads the header extensions. stale is true if bitmaps are in the image that must not be used any more.
func (im *image) readExtensions(start, end int64) (stale bool, err error) {
	im.unknownExts = nil
	read := func(off, n int64, what string) ([]byte, error) {
		b := make([]byte, n)
		if err := im.file.Read(bg, off, b); err != nil {
			return nil, block.Errnof(block.Errno(err), "%s", what)
		}
		return b, nil
	}
	err = im.walkExtensions(start, end, func(kind uint32, off, n int64) error {
		switch kind {
		case extBackingFormat:
			if n >= maxBackingFmt {
				return block.Errorf(unix.EINVAL, "ERROR: ext_backing_format: len=%d too large (>=%d)", n, maxBackingFmt)
			}
			b, err := read(off, n, "ERROR: ext_backing_format: Could not read format name")
			im.backingFormat = cstring(b)
			return err
		case extFeatureTable:
			return nil
		case extCrypto:
			return im.readCryptoExt(off, n)
		case extBitmaps:
			s, err := im.readBitmapsExt(off, n)
			stale = stale || s
			return err
		case extDataFile:
			b, err := read(off, n, "ERROR: Could not read data file name")
			im.dataFileName = cstring(b)
			return err
		}
		b, err := read(off, n, "ERROR: unknown extension: Could not read data")
		im.unknownExts = append([]extension{{kind, b}}, im.unknownExts...) // written back in QEMU's order: last first
		return err
	})
	if err != nil && block.Errno(err) != unix.EINVAL {
		err = block.Errorf(unix.EINVAL, "%s", err)
	}
	return stale, err
}

// readCryptoExt keeps the pointer to the encryption header.
func (im *image) readCryptoExt(off, n int64) error {
	if im.crypt != cryptLUKS {
		return block.Errorf(unix.EINVAL, "CRYPTO header extension only expected with LUKS encryption method")
	}
	if n != cryptoExtLen {
		return block.Errorf(unix.EINVAL, "CRYPTO header extension size %d, but expected size %d", n, cryptoExtLen)
	}
	im.cryptExt = make([]byte, n)
	if err := im.file.Read(bg, off, im.cryptExt); err != nil {
		return block.Errnof(block.Errno(err), "Unable to read CRYPTO header extension")
	}
	if o := be.Uint64(im.cryptExt); o%uint64(im.clusterSize) != 0 {
		return block.Errorf(unix.EINVAL, "Encryption header offset '%d' is not a multiple of cluster size '%d'", o, im.clusterSize)
	}
	return nil
}

// cstring is the text up to the first null byte.
func cstring(b []byte) string {
	b, _, _ = bytes.Cut(b, []byte{0})
	return string(b)
}

// readBackingName reads the name of the backing file.
func (im *image) readBackingName(h *header) error {
	if h.backingOffset == 0 {
		return nil
	}
	if n := int64(h.backingSize); n > maxBackingName || n > im.clusterSize-int64(h.backingOffset) {
		return block.Errorf(unix.EINVAL, "Backing file name too long")
	}
	b := make([]byte, h.backingSize)
	if err := im.file.Read(bg, int64(h.backingOffset), b); err != nil {
		return block.Errnof(block.Errno(err), "Could not read backing file name")
	}
	im.backingName = cstring(b)
	return nil
}

// validTable checks place and size of a table that the image names.
func (im *image) validTable(off, entries uint64, entryLen, maxBytes int64, name string) error {
	if entries > uint64(maxBytes/entryLen) {
		return block.Errorf(unix.EFBIG, "%s too large", name)
	}
	if off > math.MaxInt64-entries*uint64(entryLen) || off&uint64(im.clusterSize-1) != 0 {
		return block.Errorf(unix.EINVAL, "%s offset invalid", name)
	}
	return nil
}

// readTables checks the tables' places and reads the active L1 table.
func (im *image) readTables(h *header) error {
	check := im.n.Mode().Check
	if h.refTableClusters == 0 && !check {
		return block.Errorf(unix.EINVAL, "Image does not contain a reference count table")
	}
	if err := im.validTable(h.refTableOffset, uint64(h.refTableClusters), im.clusterSize, maxRefTableSize, "Reference count table"); err != nil {
		return err
	}
	im.refTableOffset = int64(h.refTableOffset)
	im.refTable = make([]uint64, int64(h.refTableClusters)<<(im.clusterBits-3))
	if !check {
		if err := im.validTable(h.snapshotsOffsetRaw, uint64(h.snapshots), snapshotHeaderLen, snapshotHeaderLen*maxSnapshots, "Snapshot table"); err != nil {
			return err
		}
	}
	h.snapshotsOffset = int64(h.snapshotsOffsetRaw)
	if err := im.validTable(h.l1Offset, uint64(h.l1Size), l1EntrySize, maxL1Size, "Active L1 table"); err != nil {
		return err
	}
	need := im.l1Entries(h.size)
	if need > math.MaxInt32 {
		return block.Errorf(unix.EFBIG, "Image is too big")
	}
	if uint64(h.l1Size) < need {
		return block.Errorf(unix.EINVAL, "L1 table is too small")
	}
	im.l1VM, im.l1Offset = int64(need), int64(h.l1Offset)
	l1, err := im.readTable(im.l1Offset, int64(h.l1Size))
	if err != nil {
		return block.Errnof(block.Errno(err), "Could not read L1 table")
	}
	im.l1 = l1
	return nil
}

// readTable reads a table of 64-bit entries.
func (im *image) readTable(off, entries int64) ([]uint64, error) {
	b := make([]byte, entries*8)
	if entries > 0 {
		if err := im.file.Read(bg, off, b); err != nil {
			return nil, err
		}
	}
	return decodeTable(b), nil
}

func decodeTable(b []byte) []uint64 {
	t := make([]uint64, len(b)/8)
	for i := range t {
		t[i] = be.Uint64(b[i*8:])
	}
	return t
}

func encodeTable(t []uint64) []byte {
	b := make([]byte, len(t)*8)
	for i, e := range t {
		be.PutUint64(b[i*8:], e)
	}
	return b
}
