package qcow2

import (
	"context"
	"math"
	"math/bits"
	"slices"

	"golang.org/x/sys/unix"

	"goemu/block"
	"goemu/block/bitmap"
)

// loadBitmaps makes dirty bitmaps of the node from the stored ones and marks those in the image as in use, as far as it is writable. updated
// tells that the header was written.
func (im *image) loadBitmaps() (updated bool, err error) {
	if im.bitmaps.count == 0 {
		return false, nil
	}
	list, err := im.readBitmapDir()
	if err != nil {
		return false, err
	}
	var made []*bitmap.Bitmap
	fail := func(err error) (bool, error) {
		for _, b := range made {
			im.n.RemoveBitmap(b)
		}
		return false, err
	}
	update := false
	for i := range list {
		s := &list[i]
		inUse := s.flags&bitmapInUse != 0
		if im.n.FindBitmap(s.name) != nil {
			if inUse {
				continue // migrated, or opened a second time
			}
			return fail(block.Errorf(unix.EEXIST, "Bitmap already exists: %s", s.name))
		}
		b := bitmap.New(s.name, im.length.Load(), 1<<s.granularity)
		if !inUse {
			if err := im.loadBitmap(*s, b); err != nil {
				return fail(err)
			}
			s.flags |= bitmapInUse
			update = true
		}
		b.Change(func(st *bitmap.State) {
			st.Persistent, st.Inconsistent, st.Enabled = true, inUse, s.flags&bitmapAuto != 0
			st.ReadOnly = !im.writable()
		})
		im.n.AttachBitmap(b)
		made = append(made, b)
	}
	if update && im.writable() {
		if err := im.rewriteBitmapDir(list); err != nil {
			return fail(block.Errnof(block.Errno(err), "Can't update bitmap directory"))
		}
		return true, nil
	}
	return false, nil
}

// loadBitmap reads the content of a stored bitmap.
func (im *image) loadBitmap(s storedBitmap, b *bitmap.Bitmap) error {
	t, err := im.readBitmapTable(s)
	if err != nil {
		return block.Errnof(block.Errno(err), "Could not read bitmap_table table from image for bitmap '%s'", s.name)
	}
	b.Do(func(m *bitmap.Map) { err = im.readBitmapData(t, m) })
	if err != nil {
		return block.Errnof(block.Errno(err), "Could not read bitmap '%s' from image", s.name)
	}
	return nil
}

// bitmapCoverage is the number of bytes of the disk that one cluster of bitmap data covers.
func (im *image) bitmapCoverage(granularity int64) int64 { return im.clusterSize * 8 * granularity }

func (im *image) readBitmapData(t []uint64, m *bitmap.Map) error {
	size, limit := m.Size(), im.bitmapCoverage(m.Granularity())
	if int64(len(t)) != im.clusters(m.SerialSize(0, size)) {
		return unix.EINVAL
	}
	buf := make([]byte, im.clusterSize)
	for i, e := range t {
		off := int64(i) * limit
		n := min(size-off, limit)
		switch data := int64(e & bitmapOffsetMask); {
		case data != 0:
			if err := im.file.Read(bg, data, buf); err != nil {
				return err
			}
			m.Deserialize(buf, off, n)
		case e&bitmapAllOnes != 0:
			m.Fill(off, n, true)
		}
	}
	m.Finish()
	return nil
}

// checkBitmap tells whether a bitmap can be stored.
func (im *image) checkBitmap(name string, granularity int64) error {
	g := bits.TrailingZeros64(uint64(granularity))
	length := im.length.Load()
	chunks := length / granularity
	if length%granularity != 0 {
		chunks++
	}
	bytes := (chunks + 7) / 8
	switch {
	case g > maxGranularityBits:
		return block.Errorf(unix.EINVAL, "Granularity exceeds maximum (%d bytes)", int64(1)<<maxGranularityBits)
	case g < minGranularityBits:
		return block.Errorf(unix.EINVAL, "Granularity is under minimum (%d bytes)", 1<<minGranularityBits)
	case bytes > maxBitmapPhys || bytes > maxBitmapTable*im.clusterSize:
		return block.Errorf(unix.EINVAL, "Too much space will be occupied by the bitmap. Use larger granularity")
	case len(name) > maxBitmapName:
		return block.Errorf(unix.EINVAL, "Name length exceeds maximum (%d characters)", maxBitmapName)
	}
	return nil
}

// storing is a bitmap on its way into the image.
type storing struct {
	b     *bitmap.Bitmap
	index int // in the new directory
}

// storeBitmaps writes all persistent bitmaps into the image. release takes them from the node afterwards.
func (im *image) storeBitmaps(release bool) error {
	persistent := im.persistentBitmaps()
	if len(persistent) == 0 {
		return nil
	}
	var list []storedBitmap
	if im.bitmaps.count > 0 {
		var err error
		if list, err = im.readBitmapDir(); err != nil {
			return err
		}
	}
	known := len(list)
	var write []storing
	var drop []storedBitmap
	var kept []*bitmap.Bitmap
	for _, b := range persistent {
		name, granularity := b.Name(), b.Granularity()
		i := findStored(list, name)
		if b.State().ReadOnly {
			if i >= 0 {
				kept = append(kept, b)
			}
			continue
		}
		if err := im.checkBitmap(name, granularity); err != nil {
			return block.Prepend(err, "Bitmap '"+name+"' doesn't satisfy the constraints: ")
		}
		if i < 0 {
			if len(list) == maxBitmaps {
				return block.Errorf(unix.EINVAL, "Too many persistent bitmaps")
			}
			i = len(list)
			list = append(list, storedBitmap{name: name})
		} else {
			if i < known && list[i].flags&bitmapInUse == 0 {
				return block.Errorf(unix.EINVAL, "Bitmap '%s' already exists in the image", name)
			}
			drop = append(drop, list[i])
		}
		list[i].flags = 0
		if b.State().Enabled {
			list[i].flags = bitmapAuto
		}
		list[i].granularity = uint8(bits.TrailingZeros64(uint64(granularity)))
		write = append(write, storing{b, i})
	}
	if len(write) > 0 {
		slices.SortFunc(write, func(a, b storing) int { return a.index - b.index })
		if err := im.writeBitmaps(list, write); err != nil {
			return err
		}
		for _, s := range drop {
			im.freeBitmapTable(s)
		}
	}
	if release {
		for _, w := range write {
			kept = append(kept, w.b)
		}
		for _, b := range kept {
			im.n.RemoveBitmap(b)
		}
	}
	return nil
}

// persistentBitmaps lists the node's bitmaps that belong into the image, the newest first.
func (im *image) persistentBitmaps() []*bitmap.Bitmap {
	return slices.DeleteFunc(slices.Clone(im.n.Bitmaps()), func(b *bitmap.Bitmap) bool {
		s := b.State()
		return !s.Persistent || s.SkipStore || s.Inconsistent
	})
}

// writeBitmaps writes the content of bitmaps and the new directory.
func (im *image) writeBitmaps(list []storedBitmap, write []storing) (err error) {
	if !im.writable() {
		return block.Errorf(unix.EINVAL, "No write access")
	}
	var done []storedBitmap
	for _, w := range write {
		s := &list[w.index]
		if s.tableOffset, s.tableSize, err = im.writeBitmap(w.b); err != nil {
			break
		}
		done = append(done, *s)
	}
	if err == nil {
		if err = im.replaceBitmapDir(list); err == nil {
			return nil
		}
		err = block.Errnof(block.Errno(err), "Failed to update bitmap extension")
	}
	for _, s := range done {
		im.freeBitmapTable(s)
	}
	return err
}

// writeBitmap writes the content of a bitmap with its table and returns where that is.
func (im *image) writeBitmap(b *bitmap.Bitmap) (off int64, size uint32, err error) {
	m := b.Snapshot()
	t := make([]uint64, im.clusters(m.SerialSize(0, m.Size())))
	if len(t) > maxBitmapTable || int64(len(t))*im.clusterSize > maxBitmapPhys {
		return 0, 0, block.Errorf(unix.EINVAL, "Bitmap '%s' is too big", b.Name())
	}
	if err = im.writeBitmapData(m, t, b.Name()); err == nil {
		off, err = im.writeBitmapTable(t, b.Name())
	}
	if err != nil {
		im.freeBitmapData(t)
	}
	return off, uint32(len(t)), err
}

// writeBitmapData writes the clusters that hold any bit, and enters them into t.
func (im *image) writeBitmapData(m *bitmap.Map, t []uint64, name string) error {
	limit := im.bitmapCoverage(m.Granularity())
	for pos := int64(0); ; {
		dirty, ok := m.NextDirty(pos, math.MaxInt64-pos)
		if !ok {
			return nil
		}
		i := dirty / limit
		start, end := i*limit, min(m.Size(), (i+1)*limit)
		off, err := im.allocClusters(im.clusterSize)
		if err != nil {
			return block.Errnof(block.Errno(err), "Failed to allocate clusters for bitmap '%s'", name)
		}
		t[i] = uint64(off)
		buf := make([]byte, im.clusterSize)
		m.Serialize(buf, start, end-start)
		if err := im.checkOverlap(0, off, im.clusterSize, false); err != nil {
			return block.Errnof(block.Errno(err), "Qcow2 overlap check failed")
		}
		if err := im.file.Write(bg, off, buf, 0); err != nil {
			return block.Errnof(block.Errno(err), "Failed to write bitmap '%s' to file", name)
		}
		pos = end
	}
}

func (im *image) writeBitmapTable(t []uint64, name string) (int64, error) {
	n := int64(len(t)) * 8
	off, err := im.allocClusters(n)
	if err != nil {
		return 0, block.Errnof(block.Errno(err), "Failed to allocate clusters for bitmap '%s'", name)
	}
	if err = im.checkOverlap(0, off, n, false); err != nil {
		err = block.Errnof(block.Errno(err), "Qcow2 overlap check failed")
	} else if err = im.file.Write(bg, off, encodeTable(t), 0); err != nil {
		err = block.Errnof(block.Errno(err), "Failed to write bitmap '%s' to file", name)
	}
	if err != nil {
		im.freeClusters(off, n, discardOther)
	}
	return off, err
}

// bitmapsAllowResize tells whether the stored bitmaps can follow a change of the size.
func (im *image) bitmapsAllowResize() error {
	if im.bitmaps.count == 0 {
		return nil
	}
	list, err := im.readBitmapDir()
	if err != nil {
		return block.Errorf(unix.ENOTSUP, "%s", err)
	}
	for _, s := range list {
		b := im.n.FindBitmap(s.name)
		if b == nil {
			return block.Errorf(unix.ENOTSUP, "Cannot resize qcow2 with persistent bitmaps that were not loaded into memory")
		}
		if err := block.CheckBitmap(b, block.BitmapChange); err != nil {
			return &block.Error{Errno: unix.ENOTSUP, Text: err.Error(), Hint: block.HintOf(err)}
		}
	}
	return nil
}

// CanStoreBitmap implements block.BitmapStorer.
func (im *image) CanStoreBitmap(_ context.Context, name string, granularity int64) error {
	im.mu.Lock()
	defer im.mu.Unlock()
	if im.n.FindBitmap(name) != nil {
		return block.Errorf(unix.EEXIST, "Bitmap already exists: %s", name)
	}
	err := im.checkBitmap(name, granularity)
	if im.version < 3 {
		err = block.Errorf(unix.EINVAL, "Cannot store dirty bitmaps in qcow2 v2 files")
	}
	if err == nil {
		count, size := 1, dirEntrySize(name)
		for _, b := range im.n.Bitmaps() {
			if b.State().Persistent {
				count++
				size += dirEntrySize(b.Name())
			}
		}
		if count > maxBitmaps {
			err = block.Errorf(unix.EINVAL, "Maximum number of persistent bitmaps is already reached")
		} else if size > maxBitmapDir {
			err = block.Errorf(unix.EINVAL, "Not enough space in the bitmap directory")
		}
	}
	if err != nil {
		return block.Prepend(err, "Can't make bitmap '"+name+"' persistent in '"+im.n.Name()+"': ")
	}
	return nil
}

// RemoveBitmap implements block.BitmapStorer.
func (im *image) RemoveBitmap(_ context.Context, name string) error {
	if err := im.lock(); err != nil {
		return err
	}
	defer im.mu.Unlock()
	if im.bitmaps.count == 0 {
		return nil
	}
	list, err := im.readBitmapDir()
	if err != nil {
		return block.Errorf(unix.EIO, "%s", err)
	}
	i := findStored(list, name)
	if i < 0 {
		return nil
	}
	gone := list[i]
	if err := im.replaceBitmapDir(slices.Delete(list, i, i+1)); err != nil {
		return block.Errnof(block.Errno(err), "Failed to update bitmap extension")
	}
	im.freeBitmapTable(gone)
	return nil
}

// bitmapsReadOnly stores all bitmaps, as the node is about to become read-only.
func (im *image) bitmapsReadOnly() error {
	if err := im.storeBitmaps(false); err != nil {
		return err
	}
	for _, b := range im.n.Bitmaps() {
		if b.State().Persistent {
			b.Change(func(s *bitmap.State) { s.ReadOnly = true })
		}
	}
	return nil
}

// bitmapsWritable marks the stored bitmaps as in use, as the node has become writable.
func (im *image) bitmapsWritable() error {
	if im.bitmaps.count == 0 {
		return nil
	}
	list, err := im.readBitmapDir()
	if err != nil {
		return err
	}
	update := false
	var readOnly []*bitmap.Bitmap
	for i := range list {
		s := &list[i]
		b := im.n.FindBitmap(s.name)
		if b == nil {
			return block.Errorf(unix.EINVAL, "Unexpected bitmap '%s' in image '%s'", s.name, im.n.Filename())
		}
		st := b.State()
		if err := im.checkInUse(*s, st); err != nil {
			return err
		}
		update = update || s.flags&bitmapInUse == 0
		s.flags |= bitmapInUse
		if st.ReadOnly {
			readOnly = append(readOnly, b)
		}
	}
	if update {
		if im.file.Node().ReadOnly() {
			return block.Errorf(unix.EINVAL, "Failed to reopen bitmaps rw: no write access the protocol file")
		}
		if err := im.rewriteBitmapDir(list); err != nil {
			return block.Errnof(block.Errno(err), "Cannot update bitmap directory")
		}
	}
	for _, b := range readOnly {
		b.Change(func(s *bitmap.State) { s.ReadOnly = false })
	}
	return nil
}

// checkInUse verifies that the flag in the image agrees with the state in memory.
func (im *image) checkInUse(s storedBitmap, st bitmap.State) error {
	fail := func(format string) error { return block.Errorf(unix.EINVAL, format, s.name, im.n.Filename()) }
	inUse := s.flags&bitmapInUse != 0
	switch {
	case !inUse && !st.ReadOnly:
		return fail("Corruption: bitmap '%s' is not marked IN_USE in the image '%s' and not marked readonly in RAM")
	case !inUse && st.Inconsistent:
		return fail("Corruption: bitmap '%s' is inconsistent but is not marked IN_USE in the image '%s'")
	case inUse && st.ReadOnly && !st.Inconsistent:
		return fail("Corruption: bitmap '%s' is marked IN_USE in the image '%s' but it is readonly and consistent in RAM")
	}
	return nil
}
