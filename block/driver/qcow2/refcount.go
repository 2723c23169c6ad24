package qcow2

import (
	"golang.org/x/sys/unix"

	"goemu/block"
)

// errAgain says that allocating a refcount block used the very clusters that were to be allocated: choose others.
// Where nothing can be chosen it is an error of its own.
var errAgain error = block.Errorf(unix.EAGAIN, "clusters were taken by a refcount block")

// initRefcounts reads the refcount table.
func (im *image) initRefcounts() error {
	if len(im.refTable) > 0 {
		im.event("reftable_load")
	}
	t, err := im.readTable(im.refTableOffset, int64(len(im.refTable)))
	if err != nil {
		return err
	}
	im.setRefTable(t, im.refTableOffset)
	return nil
}

// setRefTable makes t the refcount table.
func (im *image) setRefTable(t []uint64, off int64) {
	im.refTable, im.refTableOffset = t, off
	im.maxRefIndex = max(int64(len(t))-1, 0)
	for im.maxRefIndex > 0 && t[im.maxRefIndex]&rtOffsetMask == 0 {
		im.maxRefIndex--
	}
}

// refBlockAt returns the offset of the refcount block with index i of the table, 0 if there is none.
func (im *image) refBlockAt(i int64) (int64, error) {
	if i >= int64(len(im.refTable)) {
		return 0, nil
	}
	off := int64(im.refTable[i] & rtOffsetMask)
	if im.offsetInCluster(off) != 0 {
		return 0, im.corruptf("Refblock offset %s unaligned (reftable index: %s)", hex(off), hex(i))
	}
	return off, nil
}

// refcount returns the reference count of a cluster.
func (im *image) refcount(cluster int64) (uint64, error) {
	off, err := im.refBlockAt(cluster >> im.refBlockBits)
	if err != nil || off == 0 {
		return 0, err
	}
	t, err := im.refCache.get(off)
	if err != nil {
		return 0, err
	}
	n := refcountOf(im.refOrder, t.b, cluster&(im.refBlockSize-1))
	im.refCache.put(t)
	return n, nil
}

// refReader reads the counts of many clusters in a row.
type refReader struct {
	im    *image
	index int64 // of the block that is loaded
	t     *table
}

func (im *image) refReader() refReader { return refReader{im: im, index: -1} }

func (r *refReader) get(cluster int64) (uint64, error) {
	im := r.im
	if i := cluster >> im.refBlockBits; i != r.index {
		r.done()
		off, err := im.refBlockAt(i)
		if err != nil {
			return 0, err
		}
		if off != 0 {
			if r.t, err = im.refCache.get(off); err != nil {
				return 0, err
			}
		}
		r.index = i
	}
	if r.t == nil {
		return 0, nil
	}
	return refcountOf(im.refOrder, r.t.b, cluster&(im.refBlockSize-1)), nil
}

func (r *refReader) done() {
	if r.t != nil {
		r.im.refCache.put(r.t)
	}
	r.t, r.index = nil, -1
}

// updateRefcount adds addend to the counts of all clusters that the range touches, or subtracts it. After an error nothing is changed.
func (im *image) updateRefcount(off, n int64, addend uint64, decrease bool, kind discardKind) error {
	if n < 0 {
		return unix.EINVAL
	}
	if n == 0 {
		return nil
	}
	if decrease {
		if err := im.refCache.dependOn(im.l2cache); err != nil {
			return err
		}
	}
	start, last := im.startOfCluster(off), im.startOfCluster(off+n-1)
	pos, err := im.changeRefcounts(start, last, addend, decrease, kind)
	if err == errAgain && im.freeIndex > start>>im.clusterBits {
		im.freeIndex = start >> im.clusterBits
	}
	if !im.holdDiscards {
		im.passDiscards(err)
	}
	if err != nil && pos > start {
		im.updateRefcount(start, pos-start, addend, !decrease, discardNever)
	}
	return err
}

// changeRefcounts is the loop of updateRefcount; it returns how far it came.
func (im *image) changeRefcounts(start, last int64, addend uint64, decrease bool, kind discardKind) (int64, error) {
	var t *table
	block := int64(-1)
	release := func() {
		if t != nil {
			im.refCache.put(t)
		}
		t, block = nil, -1
	}
	defer release()
	for pos := start; pos <= last; pos += im.clusterSize {
		cluster := pos >> im.clusterBits
		if b := cluster >> im.refBlockBits; b != block {
			release()
			var err error
			if t, err = im.makeRefBlock(cluster); err != nil {
				return pos, err
			}
			block = b
		}
		i := cluster & (im.refBlockSize - 1)
		n := refcountOf(im.refOrder, t.b, i)
		if decrease && addend > n || !decrease && addend > im.refMax-n {
			return pos, unix.EINVAL
		}
		if decrease {
			n -= addend
		} else {
			n += addend
		}
		setRefcount(im.refOrder, t.b, i, n)
		im.refCache.mark(t)
		if n == 0 {
			im.freeIndex = min(im.freeIndex, cluster)
			if im.freeByte>>im.clusterBits == cluster {
				im.freeByte = 0 // what the cluster is used for next may not share it
			}
			if pos == t.off {
				release() // a block that counted itself
			}
			im.refCache.forget(pos)
			im.forgetL2(pos)
			if im.passDiscard[kind] {
				im.addDiscard(pos, im.clusterSize)
			}
		}
	}
	return last + im.clusterSize, nil
}

// forgetL2 drops what the cache holds of an L2 table that is gone.
func (im *image) forgetL2(off int64) {
	for o := off; o < off+im.clusterSize; o += im.l2cache.size {
		im.l2cache.forget(o)
	}
}

// addDiscard remembers a freed range.
func (im *image) addDiscard(off, n int64) {
	r := region{off, n}
	for i := 0; i < len(im.discards); {
		d := im.discards[i]
		if d.off > r.off+r.n || r.off > d.off+d.n {
			i++
			continue
		}
		end := max(r.off+r.n, d.off+d.n)
		r.off = min(r.off, d.off)
		r.n = end - r.off
		im.discards = append(im.discards[:i], im.discards[i+1:]...)
		i = 0
	}
	im.discards = append(im.discards, r)
}

// passDiscards tells the file about freed ranges, unless the operation failed.
func (im *image) passDiscards(err error) {
	list := im.discards
	im.discards = nil
	if err != nil {
		return
	}
	for _, r := range list {
		im.file.Discard(bg, r.off, r.n) // a file that cannot is no error
	}
}

// allocNoRef finds free clusters for n contiguous bytes, all below max, and does not count them.
func (im *image) allocNoRef(n, maxOff int64) (int64, error) {
	if im.holdDiscards {
		im.passDiscards(nil) // clusters that are about to be used again must not be discarded later
	}
	r := im.refReader()
	defer r.done()
	count := im.clusters(n)
	for i := int64(0); i < count; {
		c, err := r.get(im.freeIndex)
		im.freeIndex++
		if err != nil {
			return 0, err
		}
		if i++; !im.isFree(im.freeIndex-1, c) {
			i = 0
		}
	}
	if im.freeIndex > 0 && im.freeIndex-1 > maxOff>>im.clusterBits {
		return 0, unix.EFBIG
	}
	return (im.freeIndex - count) << im.clusterBits, nil
}

// allocClusters allocates contiguous clusters for n bytes.
func (im *image) allocClusters(n int64) (int64, error) {
	im.event("cluster_alloc")
	if err := im.flushHeld(); err != nil {
		return 0, err
	}
	for {
		off, err := im.allocNoRef(n, maxClusterOffset)
		if err != nil {
			return 0, err
		}
		if err = im.updateRefcount(off, n, 1, false, discardNever); err != errAgain {
			return off, err
		}
	}
}

// allocClustersAt allocates up to count clusters from off, as many as are free, and returns their number.
func (im *image) allocClustersAt(off, count int64) (int64, error) {
	if count == 0 {
		return 0, nil
	}
	for {
		r := im.refReader()
		var i int64
		for ; i < count; i++ {
			cluster := off>>im.clusterBits + i
			n, err := r.get(cluster)
			if err != nil {
				r.done()
				return 0, err
			}
			if !im.isFree(cluster, n) {
				break
			}
		}
		r.done()
		if err := im.updateRefcount(off, i<<im.clusterBits, 1, false, discardNever); err != errAgain {
			return i, err
		}
	}
}

// allocBytes allocates room for n bytes of compressed data, behind the last such if that fits.
func (im *image) allocBytes(n int64) (int64, error) {
	im.event("cluster_alloc_bytes")
	if err := im.flushHeld(); err != nil {
		return 0, err
	}
	off := im.freeByte
	if off != 0 {
		c, err := im.refcount(off >> im.clusterBits)
		if err != nil {
			return 0, err
		}
		if c == im.refMax {
			off = 0
		}
	}
	free := im.clusterSize - im.offsetInCluster(off)
	for {
		if off == 0 || free < n {
			c, err := im.allocNoRef(im.clusterSize, min(int64(im.coffMask), maxClusterOffset))
			if err != nil {
				return 0, err
			}
			if c == 0 {
				return 0, im.corruptf("Preventing invalid allocation of compressed cluster at offset 0")
			}
			if off == 0 || im.roundUp(off) != c {
				off, free = c, im.clusterSize
			} else {
				free += im.clusterSize
			}
		}
		err := im.updateRefcount(off, n, 1, false, discardNever)
		if err == nil {
			break
		}
		if off = 0; err != errAgain {
			return 0, err
		}
	}
	if err := im.l2cache.dependOn(im.refCache); err != nil { // allocating may have ended it
		im.freeClusters(off, n, discardNever)
		return 0, err
	}
	if im.freeByte = off + n; im.offsetInCluster(im.freeByte) == 0 {
		im.freeByte = 0
	}
	return off, nil
}

// freeClusters gives clusters back. An error leaks them.
func (im *image) freeClusters(off, n int64, kind discardKind) {
	im.event("cluster_free")
	if err := im.updateRefcount(off, n, 1, true, kind); err != nil {
		im.messagef("qcow2_free_clusters failed: %s", block.Strerror(block.Errno(err)))
	}
}

// freeAny gives back what an L2 entry referred to; the table is changed but not on the medium.
func (im *image) freeAny(entry uint64, kind discardKind) {
	t := im.clusterTypeOf(entry)
	off := int64(entry & l2OffsetMask)
	switch {
	case im.hasDataFile():
		if im.passDiscard[kind] && (t == cNormal || t == cZeroAlloc) {
			im.data.Discard(bg, off, im.clusterSize)
		}
	case t == cCompressed:
		coff, size := im.compressed(entry)
		im.release(coff, size, kind)
	case t != cNormal && t != cZeroAlloc:
	case im.offsetInCluster(off) != 0:
		im.corrupt(false, "Cannot free unaligned cluster %s", hex(off))
	default:
		im.release(off, im.clusterSize, kind)
	}
}

// lastCluster finds the last cluster that is in use, below size bytes.
func (im *image) lastCluster(size int64) (int64, error) {
	r := im.refReader()
	defer r.done()
	for i := im.clusters(size) - 1; i >= 0; i-- {
		n, err := r.get(i)
		if err != nil {
			im.messagef("Can't get refcount for cluster %d: %s", i, block.Strerror(block.Errno(err)))
			return 0, err
		}
		if n > 0 {
			return i, nil
		}
	}
	return 0, im.corruptf("There are no references in the refcount table.")
}

// detectPrealloc finds out whether much of what is allocated in the image are holes of the file.
func (im *image) detectPrealloc() bool {
	length, err := im.file.Length(bg)
	if err != nil {
		return false
	}
	real, err := im.file.Node().AllocatedSize(bg)
	if err != nil {
		return false
	}
	clusters := real / im.clusterSize
	threshold := max(clusters*10/9, clusters+2)
	r := im.refReader()
	defer r.done()
	var count int64
	for i := int64(0); i < im.clusters(length) && count < threshold; i++ {
		n, err := r.get(i)
		if err != nil {
			return false
		}
		if n > 0 {
			count++
		}
	}
	return count >= threshold
}
