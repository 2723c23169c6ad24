package parallels

import (
	"context"
	"crypto/md5"
	"fmt"
	"math"
	"math/bits"

	"golang.org/x/sys/unix"

	"goemu/block"
	"goemu/block/bitmap"
)

// The Format Extension is a cluster: a magic number, the MD5 sum of what follows, and sections that each begin with a header at a multiple
// of 8 bytes and end with that of type endOfFeatures. Numbers are little-endian (docs/interop/parallels.txt of QEMU).
const (
	extMagic  = 0xab234cef23dcea87
	extSum    = 8
	extHeader = extSum + md5.Size

	endOfFeatures  = 0
	bitmapFeature  = 0x20385fae252cb34a
	sectFlags      = 8
	sectSize       = 16
	sectHeader     = 24
	sectAlign      = 8
	bmapID         = 8
	bmapUnit       = 24 // granularity in sectors
	bmapEntries    = 28
	bmapHeader     = 32 // the table follows
	bmapEntry      = 8  // bytes; an entry is a cluster's place in sectors, or one of those:
	entryZeroes    = 0
	entryOnes      = 1
	maxBitmapBytes = 512 << 20 // of all bitmaps of an image together
	pieceLen       = 1 << 20
)

// extension is a Format Extension that is being read.
type extension struct {
	im   *image
	ctx  context.Context
	at   int64 // where its cluster is in the file, in bytes
	free int64 // bytes that bitmaps may still take
}

// loadExtension gives the node the bitmaps of the Format Extension. It changes nothing if the extension cannot be used whole.
func (im *image) loadExtension(ctx context.Context) error {
	x := &extension{im: im, ctx: ctx, at: int64(min(im.h.extension, maxSector)) * sectorSize, free: maxBitmapBytes}
	var made []*bitmap.Bitmap
	err := x.checkSum()
	if err == nil {
		err = x.sections(func(b *bitmap.Bitmap) { made = append(made, b); im.node.AttachBitmap(b) })
	}
	if err != nil {
		for _, b := range made {
			im.node.RemoveBitmap(b)
		}
	}
	return err
}

func invalid(format string, a ...any) error { return block.Errorf(unix.EINVAL, format, a...) }

// read reads a part of the extension's cluster.
func (x *extension) read(pos, n int64) ([]byte, error) {
	b := make([]byte, n)
	if err := x.im.file.Read(x.ctx, x.at+pos, b); err != nil {
		return nil, block.Errnof(block.Errno(err), "Failed to read Format Extension cluster")
	}
	return b, nil
}

func (x *extension) checkSum() error {
	head, err := x.read(0, extHeader)
	if err != nil {
		return err
	}
	if m := le.Uint64(head); m != extMagic {
		return invalid("Wrong parallels Format Extension magic: 0x%x, expected: 0x%x", m, uint64(extMagic))
	}
	sum := md5.New()
	for pos := int64(extHeader); pos < x.im.h.cluster; pos += pieceLen {
		b, err := x.read(pos, min(pieceLen, x.im.h.cluster-pos))
		if err != nil {
			return err
		}
		sum.Write(b)
	}
	if string(sum.Sum(nil)) != string(head[extSum:]) {
		return invalid("Wrong checksum in Format Extension header. Format extension is corrupted.")
	}
	return nil
}

// sections reads the sections and calls add with each bitmap.
func (x *extension) sections(add func(*bitmap.Bitmap)) error {
	for pos := int64(extHeader); ; {
		if left := x.im.h.cluster - pos; left < sectHeader {
			return invalid("Can not read feature header, as remaining bytes (%d) in Format Extension is less than Feature header size (%d)", left, sectHeader)
		}
		h, err := x.read(pos, sectHeader)
		if err != nil {
			return err
		}
		pos += sectHeader
		size := int64(le.Uint32(h[sectSize:]))
		switch kind := le.Uint64(h); {
		case le.Uint64(h[sectFlags:]) != 0:
			return invalid("Flags for extension feature are unsupported")
		case size > x.im.h.cluster-pos:
			return invalid("Feature data_size exceedes Format Extension cluster")
		case kind == endOfFeatures:
			return nil
		case kind != bitmapFeature:
			return invalid("Unknown feature: 0x%x", kind)
		}
		b, err := x.bitmap(pos, size)
		if err != nil {
			return err
		}
		add(b)
		pos = (pos + size + sectAlign - 1) &^ (sectAlign - 1)
	}
}

// bitmap reads the bitmap that a section of size bytes describes.
func (x *extension) bitmap(pos, size int64) (*bitmap.Bitmap, error) {
	if size < bmapHeader {
		return nil, invalid("Too small Bitmap Feature area in Parallels Format Extension: %d bytes, expected at least %d bytes", size, bmapHeader)
	}
	h, err := x.read(pos, bmapHeader)
	if err != nil {
		return nil, err
	}
	im := x.im
	sectors, entries, unit := le.Uint64(h), int64(le.Uint32(h[bmapEntries:])), le.Uint32(h[bmapUnit:])
	switch {
	case sectors != im.h.sectors:
		return nil, invalid("Bitmap size (in sectors) %d differs from disk size in sectors %d", int64(sectors), int64(im.h.sectors))
	case sectors > math.MaxInt64/sectorSize:
		return nil, block.Errorf(unix.EFBIG, "Disk size in sectors %d is too large", sectors)
	case entries*bmapEntry > size-bmapHeader:
		return nil, invalid("Bitmaps feature corrupted: l1 table exceeds extension data_size")
	case bits.OnesCount32(unit) != 1 || unit > math.MaxInt32/sectorSize:
		return nil, invalid("Bitmap granularity (in sectors) %d is not a power of 2 up to %d", unit, (math.MaxInt32/sectorSize+1)/2)
	}
	id := h[bmapID:bmapUnit]
	name := fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
	if im.node.FindBitmap(name) != nil {
		return nil, invalid("Bitmap already exists: %s", name)
	}
	const wordBits, wordLen = 64, 8
	granularity := int64(unit) * sectorSize
	words := ((sectors+uint64(unit)-1)/uint64(unit) + wordBits - 1) / wordBits
	if want := (words*wordLen + uint64(im.h.cluster) - 1) / uint64(im.h.cluster); want != uint64(entries) {
		return nil, invalid("Bitmap table size %d does not correspond to bitmap size and cluster size. Expected %d", entries, want)
	}
	if x.free -= int64(words) * wordLen; x.free < 0 {
		return nil, invalid("Bitmaps of the Format Extension take more than %d bytes", maxBitmapBytes)
	}
	b := bitmap.New(name, int64(sectors)*sectorSize, granularity)
	b.Do(func(m *bitmap.Map) { err = x.data(pos+bmapHeader, entries, m) })
	if err != nil {
		return nil, err
	}
	b.Change(func(s *bitmap.State) { s.ReadOnly = true })
	return b, nil
}

// data reads the bits of a bitmap whose table is at pos.
func (x *extension) data(pos, entries int64, m *bitmap.Map) error {
	table, err := x.read(pos, entries*bmapEntry)
	if err != nil {
		return err
	}
	cluster, covers := x.im.h.cluster, 8*m.Granularity() // bytes of the disk that a byte of bits is for
	buf := make([]byte, min(pieceLen, cluster))
	for i := range entries {
		from := i * cluster
		end := min(from+cluster, m.SerialSize(0, m.Size()))
		switch e := le.Uint64(table[i*bmapEntry:]); {
		case e == entryZeroes:
		case e == entryOnes:
			m.Fill(from*covers, (end-from)*covers, true)
		default:
			for pos := from; pos < end; pos += int64(len(buf)) {
				b := buf[:min(int64(len(buf)), end-pos)]
				if err := x.bits(e, pos-from, b); err != nil {
					return block.Errnof(block.Errno(err), "Failed to read bitmap data cluster")
				}
				m.Deserialize(b, pos*covers, int64(len(b))*covers)
			}
		}
	}
	m.Finish()
	return nil
}

// bits reads a part of the cluster of bits in a sector.
func (x *extension) bits(sector uint64, pos int64, b []byte) error {
	if sector > maxSector {
		return unix.EIO
	}
	return x.im.file.Read(x.ctx, int64(sector)*sectorSize+pos, b)
}
