package qcow2

import (
	"context"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// WriteZeroes implements block.ZeroWriter. Whole subclusters become zeroes by a flag; of others only those that hold nothing but zeroes.
func (im *image) WriteZeroes(ctx context.Context, off, n int64, fl block.Flags) error {
	head := im.offsetInSub(off)
	tail := im.roundUpSub(off+n) - (off + n)
	if off+n == im.length.Load() {
		tail = 0
	}
	if head > 0 || tail > 0 {
		if head+n+tail > im.subSize {
			return unix.ENOTSUP
		}
		if !im.isZero(ctx, off-head, head) || !im.isZero(ctx, off+n, tail) {
			return unix.ENOTSUP
		}
	}
	if err := im.lock(); err != nil {
		return err
	}
	defer im.mu.Unlock()
	if head > 0 || tail > 0 {
		off, n = off-head, im.subSize
		m, err := im.lookup(off, n)
		if err != nil {
			return err
		}
		if m.kind == sNormal || m.kind == sCompressed {
			return unix.ENOTSUP
		}
	}
	return im.zeroize(off, n, fl)
}

// Discard implements block.Discarder. Only whole clusters can be given back.
func (im *image) Discard(_ context.Context, off, n int64) error {
	if im.broken.Load() {
		return unix.ENOMEDIUM
	}
	if im.version < 3 && im.backing() != nil {
		return unix.ENOTSUP // the backing file would shine through
	}
	if (off|n)&(im.clusterSize-1) != 0 && (im.offsetInCluster(off) != 0 || off+n != im.length.Load()) {
		return unix.ENOTSUP
	}
	if err := im.lock(); err != nil {
		return err
	}
	defer im.mu.Unlock()
	return im.discardClusters(off, n, discardRequest, false)
}

// discardClusters gives back the clusters of a range that begins with one. full leaves no trace, so that a backing file shines through;
// otherwise the clusters read as zeroes from now on.
func (im *image) discardClusters(off, n int64, kind discardKind, full bool) error {
	return im.batchDiscards(func() error {
		return im.eachSlice(off, im.clusters(n), func(t *table, i, count int64) {
			for k := i; k < i+count; k++ {
				im.discardEntry(t, k, kind, full)
			}
		})
	})
}

// batchDiscards runs f and passes the clusters it freed on to the file at its end, unless it fails.
func (im *image) batchDiscards(f func() error) error {
	im.holdDiscards = true
	err := f()
	im.holdDiscards = false
	im.passDiscards(err)
	return err
}

// eachSlice calls f for the entries of count clusters from off on, slice by slice.
func (im *image) eachSlice(off, count int64, f func(t *table, i, count int64)) error {
	for count > 0 {
		t, i, err := im.tableFor(off)
		if err != nil {
			return err
		}
		n := min(count, im.sliceSize-i)
		f(t, i, n)
		im.l2cache.put(t)
		off, count = off+n<<im.clusterBits, count-n
	}
	return nil
}

// discardEntry empties one L2 entry.
func (im *image) discardEntry(t *table, i int64, kind discardKind, full bool) {
	oldEntry, oldBitmap := im.entry(t.b, i), im.bitmap(t.b, i)
	entry, bitmap := oldEntry, oldBitmap
	switch {
	case full:
		entry, bitmap = 0, 0
	case im.backing() == nil && !im.clusterTypeOf(oldEntry).allocated():
	case im.hasSubclusters():
		entry, bitmap = 0, subAllZeroes
	case im.version >= 3:
		entry = flagZero
	default:
		entry = 0
	}
	if entry == oldEntry && bitmap == oldBitmap {
		return
	}
	im.l2cache.mark(t)
	im.setEntry(t.b, i, entry)
	im.setBitmap(t.b, i, bitmap)
	im.freeAny(oldEntry, kind)
}

// zeroize makes whole subclusters read as zeroes; the last may be cut off by the end of the disk.
func (im *image) zeroize(off, n int64, fl block.Flags) error {
	if im.rawDataFile() {
		if err := im.data.WriteZeroes(bg, off, n, fl); err != nil {
			return err
		}
	}
	end, length := off+n, im.length.Load()
	if im.version < 3 {
		if im.backing() == nil {
			return im.discardClusters(off, n, discardRequest, false)
		}
		return unix.ENOTSUP
	}
	head := min(end, im.roundUp(off)) - off
	off += head
	var tail int64
	if end < length {
		tail = end - max(off, im.startOfCluster(end))
	}
	end -= tail
	return im.batchDiscards(func() error {
		if head > 0 {
			if err := im.zeroSubclusters(off-head, head); err != nil {
				return err
			}
		}
		err := im.eachSlice(off, im.clusters(end-off), func(t *table, i, count int64) {
			for k := i; k < i+count; k++ {
				im.zeroEntry(t, k, fl)
			}
		})
		if err == nil && tail > 0 {
			err = im.zeroSubclusters(end, tail)
		}
		return err
	})
}

// zeroEntry makes one cluster read as zeroes; it stays allocated unless it is compressed or may be unmapped.
func (im *image) zeroEntry(t *table, i int64, fl block.Flags) {
	oldEntry, oldBitmap := im.entry(t.b, i), im.bitmap(t.b, i)
	kind := im.clusterTypeOf(oldEntry)
	unmap := kind == cCompressed || fl&block.MayUnmap != 0 && kind.allocated()
	entry, bitmap := oldEntry, oldBitmap
	if unmap {
		entry = 0
	}
	if im.hasSubclusters() {
		bitmap = subAllZeroes
	} else {
		entry |= flagZero
	}
	if entry == oldEntry && bitmap == oldBitmap {
		return
	}
	im.l2cache.mark(t)
	im.setEntry(t.b, i, entry)
	im.setBitmap(t.b, i, bitmap)
	if unmap {
		im.freeAny(oldEntry, discardRequest)
	}
}

// zeroSubclusters makes some subclusters of one cluster read as zeroes.
func (im *image) zeroSubclusters(off, n int64) error {
	t, i, err := im.tableFor(off)
	if err != nil {
		return err
	}
	defer im.l2cache.put(t)
	if im.clusterTypeOf(im.entry(t.b, i)) == cCompressed {
		return unix.ENOTSUP
	}
	sc := im.subIndex(off)
	count := int((n + im.subSize - 1) >> im.subBits)
	old := im.bitmap(t.b, i)
	if b := (old | subZeroRange(sc, sc+count)) &^ subAllocRange(sc, sc+count); b != old {
		im.setBitmap(t.b, i, b)
		im.l2cache.mark(t)
	}
	return nil
}

// MakeEmpty implements block.Emptier.
func (im *image) MakeEmpty(context.Context) error {
	if err := im.lock(); err != nil {
		return err
	}
	defer im.mu.Unlock()
	l1Clusters := im.clusters(int64(len(im.l1)) * l1EntrySize)
	if im.version >= 3 && len(im.snapshots) == 0 && im.bitmaps.count == 0 && 3+l1Clusters <= im.refBlockSize && !im.hasDataFile() && im.crypt != cryptLUKS {
		return im.resetAll(l1Clusters)
	}
	const step = 1 << 30
	for off, end := int64(0), im.length.Load(); off < end; off += step {
		if err := im.discardClusters(off, min(step, end-off), discardSnapshot, true); err != nil {
			return err
		}
	}
	return nil
}

// resetAll lays an image without snapshots and bitmaps out anew: header, refcount table, one refcount block, an empty L1 table. The dirty
// bit is set meanwhile.
func (im *image) resetAll(l1Clusters int64) error {
	if err := im.l2cache.empty(); err != nil {
		return err
	}
	if err := im.refCache.empty(); err != nil {
		return err
	}
	if err := im.markDirty(); err != nil {
		return err
	}
	if err := im.rewriteLayout(l1Clusters); err != nil {
		im.broken.Store(true) // what is in memory is not what is on the medium
		return err
	}
	if err := im.markClean(); err != nil {
		return err
	}
	return im.file.Truncate(bg, (3+l1Clusters)*im.clusterSize, false, block.PreallocOff, false)
}

func (im *image) rewriteLayout(l1Clusters int64) error {
	im.event("l1_update")
	if err := im.file.WriteZeroes(bg, im.l1Offset, l1Clusters*im.clusterSize, 0); err != nil {
		return err
	}
	clear(im.l1)
	im.event("empty_image_prepare")
	if err := im.file.WriteZeroes(bg, im.clusterSize, (2+l1Clusters)*im.clusterSize, 0); err != nil {
		return err
	}
	im.event("l1_update")
	im.event("reftable_update")
	ptr := be.AppendUint64(nil, uint64(3*im.clusterSize))
	ptr = be.AppendUint32(be.AppendUint64(ptr, uint64(im.clusterSize)), 1)
	if err := im.writeSync(hdrL1Offset, ptr); err != nil {
		return err
	}
	im.l1Offset = 3 * im.clusterSize
	im.setRefTable(make([]uint64, im.clusterSize/rtEntrySize), im.clusterSize)
	im.event("refblock_alloc")
	if err := im.writeSync(im.clusterSize, be.AppendUint64(nil, uint64(2*im.clusterSize))); err != nil {
		return err
	}
	im.refTable[0] = uint64(2 * im.clusterSize)
	im.freeIndex, im.freeByte = 0, 0
	_, err := im.allocClusters(3*im.clusterSize + int64(len(im.l1))*l1EntrySize)
	return err
}

// HasZeroInit implements block.ZeroIniter.
func (im *image) HasZeroInit(ctx context.Context) bool {
	im.mu.Lock()
	preallocated := len(im.l1) > 0 && im.l1[0] != 0
	im.mu.Unlock()
	if !preallocated {
		return true
	}
	if im.crypt != cryptNone {
		return false
	}
	z, ok := im.data.Node().State().(block.ZeroIniter)
	return ok && z.HasZeroInit(ctx)
}
