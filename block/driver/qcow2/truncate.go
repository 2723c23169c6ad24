package qcow2

import (
	"context"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// Truncate implements block.Truncater.
func (im *image) Truncate(_ context.Context, n int64, exact bool, p block.Prealloc, zero bool) error {
	if n%sectorSize != 0 {
		return block.Errorf(unix.EINVAL, "The new size must be a multiple of %d", sectorSize)
	}
	if err := im.lock(); err != nil {
		return err
	}
	defer im.mu.Unlock()
	return im.resize(n, exact, p, zero)
}

// resize is Truncate under the lock.
func (im *image) resize(n int64, exact bool, p block.Prealloc, zero bool) error {
	if len(im.snapshots) > 0 && im.version < 3 {
		return block.Errorf(unix.ENOTSUP, "Can't resize a v2 image which has snapshots")
	}
	if err := im.bitmapsAllowResize(); err != nil {
		return err
	}
	old := im.length.Load()
	l1 := int64(im.l1Entries(uint64(n)))
	if n < old {
		if p != block.PreallocOff {
			return block.Errorf(unix.EINVAL, "Preallocation can't be used for shrinking an image")
		}
		if err := im.shrink(old, n, l1); err != nil {
			return err
		}
	} else {
		if err := im.growL1(l1, true); err != nil {
			return block.Errnof(block.Errno(err), "Failed to grow the L1 table")
		}
		if im.rawDataFile() && p == block.PreallocOff {
			p = block.PreallocMetadata
		}
	}
	var err error
	switch {
	case p == block.PreallocOff && im.hasDataFile():
		err = im.data.Truncate(bg, n, exact, p, false)
	case p == block.PreallocMetadata, p > block.PreallocMetadata && im.hasDataFile():
		err = im.preallocate(old, n, p)
	case p > block.PreallocMetadata:
		zero, err = im.preallocateFully(old, n, p, zero)
	}
	if err == nil && zero && n > old {
		err = im.zeroGrown(old, n)
	}
	if err != nil {
		return err
	}
	if p != block.PreallocOff {
		if err := im.writeCaches(); err != nil {
			return block.Errnof(block.Errno(err), "Failed to flush the preallocated area to disk")
		}
	}
	return im.setLength(n, l1)
}

// setLength writes the new size into the header.
func (im *image) setLength(n, l1 int64) error {
	im.length.Store(n)
	if err := im.writeSync(hdrSize, be.AppendUint64(nil, uint64(n))); err != nil {
		return block.Errnof(block.Errno(err), "Failed to update the image size")
	}
	im.l1VM = l1
	return im.applyRuntime(im.rt, im.n.Mode())
}

// shrink gives up what lies behind the new end, and the file's tail.
func (im *image) shrink(old, n, l1 int64) error {
	if start := im.roundUp(n); old > start {
		if err := im.discardClusters(start, old-start, discardAlways, true); err != nil {
			return block.Errnof(block.Errno(err), "Failed to discard cropped clusters")
		}
	}
	if err := im.shrinkL1(l1); err != nil {
		return block.Errnof(block.Errno(err), "Failed to reduce the number of L2 tables")
	}
	if err := im.shrinkRefTable(); err != nil {
		return block.Errnof(block.Errno(err), "Failed to discard unused refblocks")
	}
	size, err := im.file.Length(bg)
	if err != nil {
		return block.Errnof(block.Errno(err), "Failed to inquire current file length")
	}
	last, err := im.lastCluster(size)
	if err != nil {
		return block.Errnof(block.Errno(err), "Failed to find the last cluster")
	}
	if end := (last + 1) * im.clusterSize; end < size {
		if err := im.file.Truncate(bg, end, false, block.PreallocOff, false); err != nil {
			im.messagef("warning: Failed to truncate the tail of the image: %s", err)
		}
	}
	return nil
}

// shrinkL1 frees the L2 tables behind the first n; the L1 table keeps its size.
func (im *image) shrinkL1(n int64) error {
	old := int64(len(im.l1))
	if n >= old {
		return nil
	}
	im.event("l1_shrink_write_table")
	err := im.file.WriteZeroes(bg, im.l1Offset+n*l1EntrySize, (old-n)*l1EntrySize, 0)
	if err == nil {
		err = im.file.Flush(bg)
	}
	if err != nil {
		clear(im.l1[n:]) // what is on the medium is not known: better leak the tables than use them
		return err
	}
	im.event("l1_shrink_free_l2_clusters")
	for i := old - 1; i >= n; i-- {
		if l2 := int64(im.l1[i] & l1OffsetMask); l2 != 0 {
			im.freeClusters(l2, im.clusterSize, discardAlways)
			im.l1[i] = 0
		}
	}
	return nil
}

// shrinkRefTable frees the refcount blocks that count nothing but themselves.
func (im *image) shrinkRefTable() error {
	keep := make([]uint64, len(im.refTable))
	for i, e := range im.refTable {
		off := int64(e & rtOffsetMask)
		if off == 0 {
			continue
		}
		t, err := im.refCache.get(off)
		if err != nil {
			return err
		}
		var unused bool
		if int64(i) == off>>(im.refBlockBits+im.clusterBits) {
			k := off >> im.clusterBits & (im.refBlockSize - 1)
			n := refcountOf(im.refOrder, t.b, k)
			setRefcount(im.refOrder, t.b, k, 0)
			unused = isZero(t.b)
			setRefcount(im.refOrder, t.b, k, n)
		} else {
			unused = isZero(t.b)
		}
		im.refCache.put(t)
		if !unused {
			keep[i] = e
		}
	}
	err := im.writeSync(im.refTableOffset, encodeTable(keep))
	for i, e := range im.refTable {
		if e != 0 && keep[i] == 0 {
			if err == nil {
				err = im.dropRefBlock(int64(e & rtOffsetMask))
			}
			im.refTable[i] = 0
		}
	}
	im.setRefTable(im.refTable, im.refTableOffset)
	if !im.holdDiscards {
		im.passDiscards(err)
	}
	return err
}

// dropRefBlock frees a refcount block.
func (im *image) dropRefBlock(off int64) error {
	index := off >> (im.refBlockBits + im.clusterBits)
	var cover int64
	if index < int64(len(im.refTable)) {
		cover = int64(im.refTable[index] & rtOffsetMask)
	}
	if cover == 0 {
		return im.corruptf("Refblock at %s is not covered by the refcount structures", hex(off))
	}
	t, err := im.refCache.get(cover)
	if err != nil {
		return err
	}
	cluster := off >> im.clusterBits
	k := cluster & (im.refBlockSize - 1)
	if n := refcountOf(im.refOrder, t.b, k); n != 1 {
		im.refCache.put(t)
		im.corrupt(true, "Invalid refcount: refblock offset %s, reftable index %d, block offset %s, refcount %s", hex(cover), index, hex(off), hex(n))
		return unix.EINVAL
	}
	setRefcount(im.refOrder, t.b, k, 0)
	im.refCache.mark(t)
	im.refCache.put(t)
	im.freeIndex = min(im.freeIndex, cluster)
	im.refCache.forget(off)
	im.addDiscard(off, im.clusterSize)
	return nil
}

// preallocate allocates all clusters between two sizes, without writing data.
func (im *image) preallocate(from, to int64, p block.Prealloc) error {
	var host, n int64
	for off := from; off < to; off += n {
		var list []*allocation
		var err error
		if host, n, list, err = im.allocHost(off, to-off); err != nil {
			im.settle(list, err)
			return block.Errnof(block.Errno(err), "Allocating clusters failed")
		}
		for _, a := range list {
			a.prealloc = true
		}
		if err := im.settle(list, nil); err != nil {
			return block.Errnof(block.Errno(err), "Mapping clusters failed")
		}
	}
	size, err := im.data.Length(bg)
	if err != nil {
		return block.Errnof(block.Errno(err), "Could not get file size")
	}
	if host+n <= size {
		return nil
	}
	if p == block.PreallocMetadata {
		p = block.PreallocOff
	}
	return im.data.Truncate(bg, host+n, false, p, false)
}

// preallocateFully allocates all clusters between two sizes in one piece at the end of the file and gives that piece storage. It returns
// whether the new part must still be zeroed.
func (im *image) preallocateFully(from, to int64, p block.Prealloc, zero bool) (bool, error) {
	size, err := im.file.Length(bg)
	if err != nil {
		return zero, block.Errnof(block.Errno(err), "Failed to inquire current file length")
	}
	if last, err := im.lastCluster(size); err == nil {
		size = (last + 1) * im.clusterSize
	} else {
		size = im.roundUp(size)
	}
	count := (im.roundUp(to) - im.startOfCluster(from)) >> im.clusterBits
	tables := (count+im.l2Size-1)/im.l2Size + 1
	host, err := im.refcountArea(size, count+tables, true, 0, 0)
	if err != nil {
		return zero, block.Errnof(block.Errno(err), "Failed to resize refcount structures")
	}
	if _, err := im.allocClustersAt(host, count); err != nil {
		return zero, block.Errnof(block.Errno(err), "Failed to allocate data clusters")
	}
	end := host + count*im.clusterSize
	zeroed := false
	if zero {
		zeroed = im.file.Truncate(bg, end, false, p, true) == nil
	}
	if !zeroed {
		if err := im.file.Truncate(bg, end, false, p, false); err != nil {
			im.freeClusters(host, count*im.clusterSize, discardOther)
			return zero, block.Errorf(block.Errno(err), "Failed to resize underlying file: %s", err)
		}
	}
	for guest := from; count > 0; {
		n := min(count, im.sliceSize-im.sliceIndex(guest))
		a := &allocation{host: host, clusters: n, guest: im.startOfCluster(guest), startLen: im.offsetInCluster(guest), endOff: n << im.clusterBits, prealloc: !zeroed}
		if err := im.link(a); err != nil {
			im.freeClusters(host, count*im.clusterSize, discardOther)
			return zero, block.Errnof(block.Errno(err), "Failed to update L2 tables")
		}
		guest, host, count = a.guest+n<<im.clusterBits, host+n<<im.clusterBits, count-n
	}
	return zero && !zeroed, nil
}

// zeroGrown makes the new part of the disk read as zeroes. The backing file may be longer than the disk was.
func (im *image) zeroGrown(from, to int64) error {
	start := im.roundUpSub(from)
	if to > start {
		err := im.zeroize(start, to-start, 0)
		if next := min(im.roundUp(from), to); block.IsNotSup(err) && next > start { // the disk ends in a compressed cluster: that is written anew
			start, err = next, nil
			if to > start {
				err = im.zeroize(start, to-start, 0)
			}
		}
		if err != nil {
			return block.Errnof(block.Errno(err), "Failed to zero out new clusters")
		}
	}
	if start > from {
		b := make([]byte, min(start, to)-from)
		im.mu.Unlock()
		err := im.write(bg, from, [][]byte{b})
		im.mu.Lock()
		if err != nil {
			return block.Errnof(block.Errno(err), "Failed to zero out the new area")
		}
	}
	return nil
}
