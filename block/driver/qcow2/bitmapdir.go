package qcow2

import (
	"slices"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// Layout of an entry of the bitmap directory and limits of stored bitmaps.
const (
	dirTableOffset = 0
	dirTableSize   = 8
	dirFlags       = 12
	dirType        = 16
	dirGranularity = 17
	dirNameSize    = 18
	dirExtraSize   = 20
	dirEntryLen    = 24

	bitmapInUse    = 1 << 0
	bitmapAuto     = 1 << 1
	bitmapReserved = ^uint32(3)
	bitmapDirty    = 1 // the only type

	bitmapOffsetMask   = 0x00fffffffffffe00
	bitmapReservedMask = 0xff000000000001fe
	bitmapAllOnes      = 1

	maxBitmaps         = 65535
	maxBitmapDir       = maxBitmaps * (dirEntryLen + 1023)
	maxBitmapTable     = 0x8000000
	maxBitmapPhys      = 0x20000000
	maxBitmapName      = 1023
	minGranularityBits = 9
	maxGranularityBits = 31
)

// bitmapArea is the header extension of bitmaps.
type bitmapArea struct {
	count              uint32
	dirOffset, dirSize int64
}

func (a bitmapArea) encode() []byte {
	b := be.AppendUint32(nil, a.count)
	b = be.AppendUint32(b, 0)
	return be.AppendUint64(be.AppendUint64(b, uint64(a.dirSize)), uint64(a.dirOffset))
}

// storedBitmap is an entry of the bitmap directory.
type storedBitmap struct {
	tableOffset int64
	tableSize   uint32
	flags       uint32
	granularity uint8 // log2
	name        string
}

// dirEntrySize is the size of the directory entry of a bitmap.
func dirEntrySize(name string) int64 { return int64(dirEntryLen+len(name)+7) &^ 7 }

// readBitmapsExt reads the header extension. stale is true if the image was written by a program that does not know bitmaps.
func (im *image) readBitmapsExt(off, n int64) (stale bool, err error) {
	fail := func(format string, a ...any) (bool, error) {
		return false, block.Errorf(unix.EINVAL, format, a...)
	}
	if n != bitmapsExtLen {
		return fail("bitmaps_ext: Invalid extension length: Success")
	}
	if im.auto&autoBitmaps == 0 {
		text := "a program lacking bitmap support modified this file, so all bitmaps are now considered inconsistent"
		if im.version < 3 {
			text = "This qcow2 v2 image contains bitmaps, but they may have been modified by a program without persistent bitmap support; so now they must all be considered inconsistent"
		}
		im.n.Graph().Warning(text)
		im.n.Graph().Messagef("Some clusters may be leaked, run 'qemu-img check -r' on the image file to fix.")
		return true, nil
	}
	b := make([]byte, n)
	if err := im.file.Read(bg, off, b); err != nil {
		return false, block.Errnof(block.Errno(err), "bitmaps_ext: Could not read ext header")
	}
	count, size, dir := be.Uint32(b), be.Uint64(b[8:]), be.Uint64(b[16:])
	switch {
	case be.Uint32(b[4:]) != 0:
		return fail("bitmaps_ext: Reserved field is not zero: Success")
	case count > maxBitmaps:
		return fail("bitmaps_ext: Image has %d bitmaps, exceeding the QEMU supported maximum of %d", count, maxBitmaps)
	case count == 0:
		return fail("found bitmaps extension with zero bitmaps")
	case dir&uint64(im.clusterSize-1) != 0:
		return fail("bitmaps_ext: invalid bitmap directory offset")
	case size > maxBitmapDir:
		return fail("bitmaps_ext: bitmap directory size (%d) exceeds the maximum supported size (%d)", size, maxBitmapDir)
	}
	im.bitmaps = bitmapArea{count: count, dirOffset: int64(dir), dirSize: int64(size)}
	return false, nil
}

// readBitmapDir reads the directory.
func (im *image) readBitmapDir() ([]storedBitmap, error) {
	a := im.bitmaps
	fail := func(format string, v ...any) ([]storedBitmap, error) {
		return nil, block.Errorf(unix.EINVAL, format, v...)
	}
	if a.dirSize == 0 {
		return fail("Requested bitmap directory size is zero")
	}
	dir := make([]byte, a.dirSize)
	if err := im.file.Read(bg, a.dirOffset, dir); err != nil {
		return nil, block.Errnof(block.Errno(err), "Failed to read bitmap directory")
	}
	var list []storedBitmap
	for len(dir) > 0 {
		if len(dir) < dirEntryLen {
			return fail("Broken bitmap directory")
		}
		if len(list) == int(a.count) {
			return fail("More bitmaps found than specified in header extension")
		}
		nameLen, extra := int64(be.Uint16(dir[dirNameSize:])), int64(be.Uint32(dir[dirExtraSize:]))
		size := (dirEntryLen + nameLen + extra + 7) &^ 7
		if size > int64(len(dir)) {
			return fail("Broken bitmap directory")
		}
		if extra != 0 {
			return fail("Bitmap extra data is not supported")
		}
		name := dir[dirEntryLen : dirEntryLen+nameLen]
		if !im.validBitmap(dir, nameLen) {
			return fail("Bitmap '%s' doesn't satisfy the constraints", cstring(name))
		}
		list = append(list, storedBitmap{
			tableOffset: int64(be.Uint64(dir)), tableSize: be.Uint32(dir[dirTableSize:]), flags: be.Uint32(dir[dirFlags:]),
			granularity: dir[dirGranularity], name: cstring(name),
		})
		dir = dir[size:]
	}
	if len(list) != int(a.count) {
		return fail("Less bitmaps found than specified in header extension")
	}
	return list, nil
}

// validBitmap checks a directory entry.
func (im *image) validBitmap(e []byte, nameLen int64) bool {
	off, size, flags := be.Uint64(e), uint64(be.Uint32(e[dirTableSize:])), be.Uint32(e[dirFlags:])
	g := e[dirGranularity]
	if size == 0 || off == 0 || off&uint64(im.clusterSize-1) != 0 || off > 1<<62 || size > maxBitmapTable || g < minGranularityBits || g > maxGranularityBits ||
		flags&bitmapReserved != 0 || nameLen > maxBitmapName || e[dirType] != bitmapDirty {
		return false
	}
	phys := size * uint64(im.clusterSize)
	return phys <= maxBitmapPhys && (flags&bitmapInUse != 0 || uint64(im.length.Load()) <= phys*8<<g)
}

// readBitmapTable reads the table of a bitmap.
func (im *image) readBitmapTable(s storedBitmap) ([]uint64, error) {
	t, err := im.readTable(s.tableOffset, int64(s.tableSize))
	if err != nil {
		return nil, err
	}
	for _, e := range t {
		off := e & bitmapOffsetMask
		if e&bitmapReservedMask != 0 || off != 0 && (e&bitmapAllOnes != 0 || off&uint64(im.clusterSize-1) != 0) {
			return nil, unix.EINVAL
		}
	}
	return t, nil
}

// encodeBitmapDir makes the directory.
func (im *image) encodeBitmapDir(list []storedBitmap) ([]byte, error) {
	var b []byte
	for _, s := range list {
		e := make([]byte, dirEntrySize(s.name))
		be.PutUint64(e, uint64(s.tableOffset))
		be.PutUint32(e[dirTableSize:], s.tableSize)
		be.PutUint32(e[dirFlags:], s.flags)
		e[dirType], e[dirGranularity] = bitmapDirty, s.granularity
		be.PutUint16(e[dirNameSize:], uint16(len(s.name)))
		copy(e[dirEntryLen:], s.name)
		if !im.validBitmap(e, int64(len(s.name))) {
			return nil, unix.EINVAL
		}
		b = append(b, e...)
	}
	if len(b) == 0 || len(b) > maxBitmapDir {
		return nil, unix.EINVAL
	}
	return b, nil
}

// writeHeaderSync writes the header and waits for the medium.
func (im *image) writeHeaderSync() error {
	if err := im.writeHeader(); err != nil {
		return err
	}
	return im.file.Flush(bg)
}

// rewriteBitmapDir writes changed flags over the directory. Until it is complete the header says that the bitmaps are not to be used.
func (im *image) rewriteBitmapDir(list []storedBitmap) error {
	if im.auto&autoBitmaps == 0 || len(list) == 0 || len(list) != int(im.bitmaps.count) {
		return unix.EINVAL
	}
	im.auto &^= autoBitmaps
	if err := im.writeHeaderSync(); err != nil {
		return err
	}
	b, err := im.encodeBitmapDir(list)
	if err != nil || int64(len(b)) != im.bitmaps.dirSize {
		return unix.EINVAL
	}
	if err := im.checkOverlap(olBitmapDirectory, im.bitmaps.dirOffset, int64(len(b)), false); err != nil {
		return err
	}
	if err := im.file.Write(bg, im.bitmaps.dirOffset, b, 0); err != nil {
		return err
	}
	if err := im.writeHeaderSync(); err != nil {
		return err
	}
	im.auto |= autoBitmaps
	return im.writeHeaderSync()
}

// replaceBitmapDir writes a new directory to a new place.
func (im *image) replaceBitmapDir(list []storedBitmap) error {
	old, oldAuto := im.bitmaps, im.auto
	fresh := bitmapArea{count: uint32(len(list))}
	if len(list) > maxBitmaps {
		return unix.EINVAL
	}
	if len(list) > 0 {
		b, err := im.encodeBitmapDir(list)
		if err != nil {
			return err
		}
		fresh.dirSize = int64(len(b))
		if fresh.dirOffset, err = im.allocClusters(fresh.dirSize); err != nil {
			return err
		}
		if err = im.checkOverlap(0, fresh.dirOffset, fresh.dirSize, false); err == nil {
			if err = im.file.Write(bg, fresh.dirOffset, b, 0); err == nil {
				err = im.flushCaches()
			}
		}
		if err != nil {
			im.freeClusters(fresh.dirOffset, fresh.dirSize, discardOther)
			return err
		}
		im.auto |= autoBitmaps
	} else {
		im.auto &^= autoBitmaps
	}
	im.bitmaps = fresh
	if err := im.writeHeader(); err != nil {
		if fresh.dirOffset > 0 {
			im.freeClusters(fresh.dirOffset, fresh.dirSize, discardOther)
		}
		im.bitmaps, im.auto = old, oldAuto
		return err
	}
	if err := im.file.Flush(bg); err != nil {
		im.bitmaps, im.auto = old, oldAuto
		im.writeHeader() // the new directory is leaked: nobody knows which header the medium has
		return err
	}
	if old.dirSize > 0 {
		im.freeClusters(old.dirOffset, old.dirSize, discardOther)
	}
	return nil
}

// freeBitmapTable gives the clusters of a stored bitmap back.
func (im *image) freeBitmapTable(s storedBitmap) {
	t, err := im.readBitmapTable(s)
	if err != nil {
		return // leaked
	}
	im.freeBitmapData(t)
	im.freeClusters(s.tableOffset, int64(s.tableSize)*8, discardOther)
}

func (im *image) freeBitmapData(t []uint64) {
	for _, e := range t {
		if off := int64(e & bitmapOffsetMask); off != 0 {
			im.freeClusters(off, im.clusterSize, discardAlways)
		}
	}
}

// bitmaps counts the clusters of stored bitmaps.
func (c *checker) bitmaps() error {
	im := c.im
	if im.bitmaps.count == 0 {
		return nil
	}
	c.count(im.bitmaps.dirOffset, im.bitmaps.dirSize)
	list, err := im.readBitmapDir()
	if err != nil {
		c.res.Corruptions++
		return unix.EINVAL
	}
	for _, s := range list {
		c.count(s.tableOffset, int64(s.tableSize)*8)
		t, err := im.readBitmapTable(s)
		if err != nil {
			c.res.Corruptions++
			return unix.Errno(block.Errno(err))
		}
		for _, e := range t {
			if off := int64(e & bitmapOffsetMask); off != 0 {
				c.count(off, im.clusterSize)
			}
		}
	}
	return nil
}

// findStored finds a stored bitmap by its name.
func findStored(list []storedBitmap, name string) int {
	return slices.IndexFunc(list, func(s storedBitmap) bool { return s.name == name })
}
