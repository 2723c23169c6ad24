// Package bochs reads the disks of the emulator Bochs that grow ("Redolog", "Growing"): a catalog of extents, each with a bitmap of the sectors
// that were written. They are only read, as in QEMU.
package bochs

import (
	"context"
	"encoding/binary"
	"strings"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// Drivers is the format of this package.
var Drivers = []*block.Driver{{Name: "bochs", Probe: probe, Open: open}}

// Offsets in the header and what it must say. All numbers are little-endian, lengths are bytes.
const (
	hdrType, hdrSubtype = 32, 48
	hdrVersion          = 64
	hdrLen              = 68 // of the header itself: there the catalog begins
	hdrCatalog          = 72 // entries
	hdrBitmap           = 76 // of an extent
	hdrExtent           = 80
	hdrDiskV1           = 84
	hdrDisk             = 88
	headerLen           = 512

	version1, version2 = 0x10000, 0x20000
	magic              = "Bochs Virtual HD Image"
	typeRedolog        = "Redolog"
	subtypeGrowing     = "Growing"

	sectorSize = 512
	maxCatalog = 1 << 20
	maxExtent  = 8 << 20
	absent     = 1<<32 - 1 // in the catalog
)

var le = binary.LittleEndian

// text is the part of a field before the first zero byte.
func text(b []byte) string { s, _, _ := strings.Cut(string(b), "\x00"); return s }

func isHeader(b []byte) bool {
	v := le.Uint32(b[hdrVersion:])
	return text(b[:hdrType]) == magic && text(b[hdrType:hdrSubtype]) == typeRedolog && text(b[hdrSubtype:hdrVersion]) == subtypeGrowing &&
		(v == version1 || v == version2)
}

func probe(head []byte, _ string) int {
	if len(head) >= headerLen && isHeader(head) {
		return 100
	}
	return 0
}

// image is the state of an open image.
type image struct {
	file         *block.Child
	sectors      int64 // of the disk
	catalog      []byte
	dataAt       int64
	extent       int64 // bytes
	bitmapBlocks int64 // sectors before an extent
	extentBlocks int64 // sectors of an extent
}

func open(ctx context.Context, n *block.Node, o *block.Options) (block.Instance, error) {
	file, err := n.OpenFileReadOnly(ctx, o)
	if err != nil {
		return nil, err
	}
	h := make([]byte, headerLen)
	if err := file.Read(ctx, 0, h); err != nil {
		return nil, unix.Errno(block.Errno(err))
	}
	if !isHeader(h) {
		return nil, block.Errorf(unix.EINVAL, "Image not in Bochs format")
	}
	disk := le.Uint64(h[hdrDisk:])
	if le.Uint32(h[hdrVersion:]) == version1 {
		disk = le.Uint64(h[hdrDiskV1:])
	}
	im := &image{file: file, sectors: int64(disk / sectorSize)}
	blocks := func(at int) int64 { return 1 + int64((le.Uint32(h[at:])-1)/sectorSize) }
	im.bitmapBlocks, im.extentBlocks, im.extent = blocks(hdrBitmap), blocks(hdrExtent), int64(le.Uint32(h[hdrExtent:]))
	entries, at := int64(le.Uint32(h[hdrCatalog:])), int64(le.Uint32(h[hdrLen:]))
	if entries > maxCatalog {
		return nil, block.Errorf(unix.EFBIG, "Catalog size is too large")
	}
	im.catalog, im.dataAt = make([]byte, entries*4), at+entries*4
	if err := file.Read(ctx, at, im.catalog); err != nil {
		return nil, unix.Errno(block.Errno(err))
	}
	return im, im.check(entries)
}

// check validates the sizes; errors are QEMU's.
func (im *image) check(entries int64) error {
	fail := func(format string, a ...any) error { return block.Errorf(unix.EINVAL, format, a...) }
	switch {
	case im.extent < sectorSize:
		return fail("Extent size must be at least 512")
	case im.extent&(im.extent-1) != 0:
		return fail("Extent size %d is not a power of two", im.extent)
	case im.extent > maxExtent:
		return fail("Extent size %d is too large", im.extent)
	case entries < (im.sectors-1)/(im.extent/sectorSize)+1 && im.sectors > 0:
		return fail("Catalog size is too small for this disk size")
	}
	return nil
}

// ReadV implements block.Reader.
func (im *image) ReadV(ctx context.Context, off int64, iov [][]byte, _ block.Flags) error {
	return block.IovPieces(off, im.extent, iov, func(off int64, part [][]byte) error {
		e := le.Uint32(im.catalog[off/im.extent*4:])
		if e == absent {
			block.IovZero(part)
			return nil
		}
		return im.readExtent(ctx, im.dataAt+sectorSize*int64(e)*(im.extentBlocks+im.bitmapBlocks), off%im.extent, part)
	})
}

// readExtent reads the part at in of the extent whose bitmap is at a place in the file: sectors that are not marked are zeroes.
func (im *image) readExtent(ctx context.Context, at, in int64, part [][]byte) error {
	first, total := in/sectorSize, block.IovLen(part)
	marks := make([]byte, (in+total-1)/sectorSize/8-first/8+1)
	if err := im.file.Read(ctx, at+first/8, marks); err != nil {
		return err
	}
	marked := func(pos int64) bool {
		s := (in + pos) / sectorSize
		return marks[s/8-first/8]>>(s%8)&1 != 0
	}
	for pos := int64(0); pos < total; {
		n := int64(sectorSize)
		for pos+n < total && marked(pos+n) == marked(pos) {
			n += sectorSize
		}
		run := block.IovSlice(nil, part, pos, n)
		if !marked(pos) {
			block.IovZero(run)
		} else if err := im.file.ReadV(ctx, at+im.bitmapBlocks*sectorSize+in+pos, run, 0); err != nil {
			return err
		}
		pos += n
	}
	return nil
}

// Close implements block.Instance.
func (*image) Close() {}

// Length implements block.Lengther.
func (im *image) Length(context.Context) (int64, error) {
	if im.sectors > (1<<63-1)/sectorSize {
		return 0, unix.EFBIG
	}
	return im.sectors * sectorSize, nil
}

// RefreshLimits implements block.Limiter.
func (*image) RefreshLimits(l *block.Limits) error {
	l.RequestAlign = sectorSize
	return nil
}
