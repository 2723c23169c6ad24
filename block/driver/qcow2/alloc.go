package qcow2

import (
	"math/bits"
	"slices"

	"golang.org/x/sys/unix"
)

// maxRequest is the largest piece of a request that is mapped at once: whole clusters of every size.
const maxRequest = 1<<31 - 1<<21

// allocation is a write whose clusters are not yet in the L2 table (or, with subclusters, not yet in its bitmaps).
type allocation struct {
	guest    int64 // of the first cluster
	host     int64
	clusters int64
	keepOld  bool // the clusters were allocated before

	// The write covers the bytes between the two ranges of copy-on-write, all counted from guest.
	startOff, startLen int64
	endOff, endLen     int64

	skipCOW  bool     // the ranges hold zeroes already
	prealloc bool     // leave subcluster bitmaps alone
	merged   [][]byte // guest data that is written together with what is copied

	done chan struct{} // closed when the allocation ends; made by who waits
}

func (a *allocation) cowStart() int64 { return a.guest + a.startOff }
func (a *allocation) cowEnd() int64   { return a.guest + a.endOff + a.endLen }

// finish takes the allocation from the list and wakes who waits for it.
func (im *image) finish(a *allocation) {
	if i := slices.Index(im.inflight, a); i >= 0 {
		im.inflight = slices.Delete(im.inflight, i, i+1)
	}
	if a.done != nil {
		close(a.done)
	}
}

// tableFor returns the slice of the L2 table for off, ready to be changed: the table is made or copied if need be.
func (im *image) tableFor(off int64) (*table, int64, error) {
	l1 := im.l1Index(off)
	if l1 >= int64(len(im.l1)) {
		if err := im.growL1(l1+1, false); err != nil {
			return nil, 0, err
		}
	}
	l2 := int64(im.l1[l1] & l1OffsetMask)
	if im.offsetInCluster(l2) != 0 {
		return nil, 0, im.corruptf("L2 table offset %s unaligned (L1 index: %s)", hex(l2), hex(l1))
	}
	if im.l1[l1]&flagCopied == 0 {
		if err := im.newL2(l1); err != nil {
			return nil, 0, err
		}
		if l2 != 0 {
			im.freeClusters(l2, im.clusterSize, discardOther)
		}
		l2 = int64(im.l1[l1] & l1OffsetMask)
	}
	t, err := im.loadSlice(off, l2)
	return t, im.sliceIndex(off), err
}

// newL2 gives an L1 entry a table of its own, empty or a copy of the one it shared.
func (im *image) newL2(l1 int64) (err error) {
	old := im.l1[l1]
	off, err := im.allocClusters(im.clusterSize)
	if err == nil && off == 0 {
		err = im.corruptf("Preventing invalid allocation of L2 table at offset 0")
	}
	if err != nil {
		return err
	}
	if err = im.refCache.flush(); err == nil {
		err = im.fillL2(off, int64(old&l1OffsetMask))
	}
	unsure := false
	if err == nil {
		if unsure, err = im.setL1(l1, uint64(off)|flagCopied); err == nil {
			return nil
		}
	}
	if !unsure {
		im.freeClusters(off, im.clusterSize, discardAlways)
	}
	return err
}

// fillL2 writes a new L2 table at off, a copy of the one at old unless that is 0.
func (im *image) fillL2(off, old int64) error {
	n := im.sliceBytes()
	for pos := int64(0); pos < im.clusterSize; pos += n {
		t, err := im.l2cache.getEmpty(off + pos)
		if err != nil {
			return err
		}
		if old == 0 {
			clear(t.b)
		} else {
			im.event("l2_alloc_cow_read")
			src, err := im.l2cache.get(old + pos)
			if err != nil {
				im.l2cache.put(t)
				im.l2cache.forget(off + pos)
				return err
			}
			copy(t.b, src.b)
			im.l2cache.put(src)
		}
		im.event("l2_alloc_write")
		im.l2cache.mark(t)
		im.l2cache.put(t)
	}
	return im.l2cache.flush()
}

// setL1 changes an L1 entry, in memory and in the file. See replace for unsure.
func (im *image) setL1(i int64, e uint64) (unsure bool, err error) {
	old := im.l1[i]
	off, before := im.l1Block(i)
	im.l1[i] = e
	_, after := im.l1Block(i)
	if err = im.checkOverlap(olActiveL1, off, int64(len(after)), false); err == nil {
		im.event("l1_update")
		unsure, err = im.replace(off, after, before)
	}
	if err != nil {
		im.l1[i] = old
	}
	return unsure, err
}

// l1Block is the piece of the L1 table that is written with entry i: the file may not be able to write less.
func (im *image) l1Block(i int64) (off int64, b []byte) {
	n := max(1, min(im.file.Node().Limits().RequestAlign, im.clusterSize)/l1EntrySize)
	first := i - i%n
	b = make([]byte, n*l1EntrySize)
	for k := int64(0); k < min(n, int64(len(im.l1))-first); k++ {
		be.PutUint64(b[k*l1EntrySize:], im.l1[first+k])
	}
	return im.l1Offset + first*l1EntrySize, b
}

// growL1 moves the L1 table to a larger place.
func (im *image) growL1(need int64, exact bool) error {
	old := int64(len(im.l1))
	if need <= old {
		return nil
	}
	size := need
	if !exact {
		for size = max(old, 1); size < need; {
			size = (size*3 + 1) / 2
		}
	}
	if size > maxL1Size/l1EntrySize {
		return unix.EFBIG
	}
	t := make([]uint64, size)
	copy(t, im.l1)
	n := size * l1EntrySize
	im.event("l1_grow_alloc_table")
	off, err := im.allocClusters(n)
	if err != nil {
		return err
	}
	if err = im.refCache.flush(); err == nil {
		err = im.checkOverlap(0, off, n, false)
	}
	if err == nil {
		im.event("l1_grow_write_table")
		err = im.writeSync(off, encodeTable(t))
	}
	unsure := false
	if err == nil {
		im.event("l1_grow_activate_table")
		unsure, err = im.replace(hdrL1Size, l1Pointer(size, off), l1Pointer(old, im.l1Offset))
	}
	if err != nil {
		if !unsure {
			im.freeClusters(off, n, discardOther)
		}
		return err
	}
	oldOff := im.l1Offset
	im.l1, im.l1Offset = t, off
	im.freeClusters(oldOff, old*l1EntrySize, discardOther)
	return nil
}

// l1Pointer is how the header refers to the L1 table.
func l1Pointer(size, off int64) []byte {
	return be.AppendUint64(be.AppendUint32(nil, uint32(size)), uint64(off))
}

// needsAlloc tells whether writing to the cluster of an entry needs new clusters.
func (im *image) needsAlloc(entry uint64) bool {
	t := im.clusterTypeOf(entry)
	return t != cNormal && t != cZeroAlloc || entry&flagCopied == 0
}

// countWrite counts the entries from i on that can be written together: all in place and contiguous, or all newly allocated.
func (im *image) countWrite(slice []byte, i, n int64, alloc bool) int64 {
	next := im.entry(slice, i) & l2OffsetMask
	for k := int64(0); k < n; k++ {
		e := im.entry(slice, i+k)
		if im.needsAlloc(e) != alloc || !alloc && next != e&l2OffsetMask {
			return k
		}
		next += uint64(im.clusterSize)
	}
	return n
}

// waitOverlap shortens a write of n bytes at off so that it touches no write in flight that it would have to wait for. If it begins in one,
// it waits (giving the lock up, so all must be begun anew) unless mine is not empty; then 0 is returned.
func (im *image) waitOverlap(off, n int64, mine bool) (left int64, again bool) {
	for _, a := range im.inflight {
		start, end := im.startOfCluster(a.cowStart()), im.roundUp(a.cowEnd())
		if off+n <= start || off >= end || a.keepOld && (off+n <= a.cowStart() || off >= a.cowEnd()) {
			continue
		}
		if n = max(start-off, 0); n > 0 {
			continue
		}
		if mine {
			return 0, false
		}
		if a.done == nil {
			a.done = make(chan struct{})
		}
		done := a.done
		im.mu.Unlock()
		<-done
		im.mu.Lock()
		return 0, true
	}
	return n, false
}

// allocHost finds where a write of n bytes at off goes and allocates clusters for it, as far as they are contiguous. The allocations returned
// end in link or abort. They are valid even with an error.
func (im *image) allocHost(off, n int64) (host, length int64, list []*allocation, err error) {
	n = min(n, maxRequest)
	for {
		host, length, again := int64(-1), int64(0), false
		for length < n && err == nil {
			var step int64
			if step, again = im.waitOverlap(off+length, n-length, len(list) > 0); step == 0 {
				break
			}
			want := int64(-1)
			if host >= 0 {
				want = host + length
			}
			var h int64
			if h, step, list, err = im.writeInPlace(off+length, step, want, list); err == nil && step == 0 {
				break
			}
			if err == nil && step < 0 {
				h, step, list, err = im.writeNew(off+length, -step, want, list)
			}
			if err != nil || step == 0 {
				break
			}
			if host < 0 {
				host = h
			}
			length += step
		}
		if err == nil && again {
			if im.broken.Load() {
				return 0, 0, list, unix.ENOMEDIUM
			}
			continue
		}
		return host, length, list, err
	}
}

// clusterSpan is the number of clusters from off on that n bytes touch, in one slice.
func (im *image) clusterSpan(off, n int64) int64 {
	return min(im.clusters(im.offsetInCluster(off)+n), im.sliceSize-im.sliceIndex(off), maxRequest>>im.clusterBits)
}

// writeInPlace handles the part of a write that goes to clusters which are allocated and belong to nobody else. length is 0 if they are not
// at want, and -n if a new allocation is needed.
func (im *image) writeInPlace(off, n, want int64, list []*allocation) (host, length int64, _ []*allocation, err error) {
	t, i, err := im.tableFor(off)
	if err != nil {
		return 0, 0, list, err
	}
	defer im.l2cache.put(t)
	entry := im.entry(t.b, i)
	if im.needsAlloc(entry) {
		return 0, -n, list, nil
	}
	cluster := int64(entry & l2OffsetMask)
	if im.offsetInCluster(cluster) != 0 {
		kind := "Data"
		if entry&flagZero != 0 {
			kind = "Preallocated zero"
		}
		return 0, 0, list, im.corruptf("%s cluster offset %s unaligned (guest offset: %s)", kind, hex(cluster), hex(off))
	}
	in := im.offsetInCluster(off)
	if host = cluster + in; want >= 0 && host != want {
		return 0, 0, list, nil
	}
	keep := im.countWrite(t.b, i, im.clusterSpan(off, n), false)
	length = min(n, keep*im.clusterSize-in)
	list, err = im.plan(cluster, off, length, t.b, list, true)
	return host, length, list, err
}

// writeNew allocates clusters for the part of a write that needs new ones, at want if that is known; length is 0 if those are not free.
func (im *image) writeNew(off, n, want int64, list []*allocation) (host, length int64, _ []*allocation, err error) {
	t, i, err := im.tableFor(off)
	if err != nil {
		return 0, 0, list, err
	}
	defer im.l2cache.put(t)
	count := im.countWrite(t.b, i, im.clusterSpan(off, n), true)
	in := im.offsetInCluster(off)
	switch {
	case im.hasDataFile():
		if host = off - in; want >= 0 && host != want-in {
			return 0, 0, list, nil
		}
	case want < 0:
		host, err = im.allocClusters(count << im.clusterBits)
	default:
		host = want - in
		count, err = im.allocClustersAt(host, count)
	}
	if err != nil || count == 0 {
		return 0, 0, list, err
	}
	length = min(n, count<<im.clusterBits-in)
	list, err = im.plan(host, off, length, t.b, list, false)
	return host + in, length, list, err
}

// plan notes what must be copied and entered for a write of n bytes at off into clusters from host on. Nothing, if the clusters and all
// subclusters are there already.
func (im *image) plan(host, off, n int64, slice []byte, list []*allocation, keepOld bool) ([]*allocation, error) {
	first := im.sliceIndex(off)
	start := im.offsetInCluster(off)
	end := start + n
	count := im.clusters(end)
	complete := keepOld
	for k := int64(0); k < count; k++ {
		entry, bitmap := im.entry(slice, first+k), im.bitmap(slice, first+k)
		from := im.subIndex(max(start, k<<im.clusterBits))
		to := im.subIndex(min(end, (k+1)<<im.clusterBits) - 1)
		kind, run := im.subRange(entry, bitmap, from)
		if kind == sInvalid || im.subTypeOf(entry, bitmap, 0) == sInvalid {
			l2 := im.l1[im.l1Index(off)] & l1OffsetMask
			return list, im.corruptf("Invalid cluster entry found (L2 offset: %s, L2 index: %s)", hex(l2), hex(first+k))
		}
		complete = complete && kind == sNormal && from+run > to
	}
	if complete {
		return list, nil
	}
	a := &allocation{guest: im.startOfCluster(off), host: host, clusters: count, keepOld: keepOld, endOff: end}
	a.startOff = im.cowFrom(slice, first, start, keepOld)
	a.startLen = start - a.startOff
	a.endLen = im.cowTo(slice, first+count-1, end, keepOld) - end
	im.inflight = append(im.inflight, a)
	return append(list, a), nil
}

// cowFrom tells from which byte of its first cluster on a write that begins at start must copy old content.
func (im *image) cowFrom(slice []byte, i, start int64, keepOld bool) int64 {
	sc := im.subIndex(start)
	entry, bitmap := im.entry(slice, i), im.bitmap(slice, i)
	sub := int64(sc) << im.subBits
	kind := im.subTypeOf(entry, bitmap, sc)
	switch {
	case keepOld && kind == sNormal:
		return start
	case keepOld || kind == sZeroPlain || kind == sUnallocPlain:
		return sub
	case kind != sCompressed && im.hasSubclusters():
		return int64(min(sc, bits.TrailingZeros32(uint32(bitmap)))) << im.subBits
	}
	return 0
}

// cowTo tells up to which byte a write that ends at end must copy old content into its last cluster.
func (im *image) cowTo(slice []byte, i, end int64, keepOld bool) int64 {
	sc := im.subIndex(end - 1)
	entry, bitmap := im.entry(slice, i), im.bitmap(slice, i)
	kind := im.subTypeOf(entry, bitmap, sc)
	switch {
	case keepOld && kind == sNormal:
		return end
	case keepOld || kind == sZeroPlain || kind == sUnallocPlain:
		return im.roundUpSub(end)
	case kind != sCompressed && im.hasSubclusters():
		return im.roundUp(end) - int64(min(im.subs-sc-1, bits.LeadingZeros32(uint32(bitmap))))<<im.subBits
	}
	return im.roundUp(end)
}

// link copies old content around the write, and enters the clusters into the L2 table. The lock is given up while copying.
func (im *image) link(a *allocation) error {
	if err := im.copyOnWrite(a); err != nil {
		return err
	}
	if im.lazy {
		im.markDirty()
	}
	if im.accurate() {
		if err := im.l2cache.dependOn(im.refCache); err != nil {
			return err
		}
	}
	var old []uint64
	done := int64(0)
	err := im.eachSlice(a.guest, a.clusters, func(t *table, i, count int64) {
		im.l2cache.mark(t)
		for k := done; k < done+count; k++ {
			if e := im.entry(t.b, i+k-done); e != 0 {
				old = append(old, e)
			}
			im.enter(a, k, t.b, i+k-done)
		}
		done += count
	})
	if err != nil {
		return err
	}
	if !a.keepOld {
		for _, e := range old {
			im.freeAny(e, discardNever)
		}
	}
	return nil
}

// enter writes entry i of a slice for cluster k of an allocation.
func (im *image) enter(a *allocation, k int64, slice []byte, i int64) {
	im.setEntry(slice, i, uint64(a.host+k<<im.clusterBits)|flagCopied)
	if im.hasSubclusters() && !a.prealloc {
		from := im.subIndex(max(a.startOff, k<<im.clusterBits))
		to := im.subIndex(min(a.endOff+a.endLen, (k+1)<<im.clusterBits)-1) + 1
		im.setBitmap(slice, i, im.bitmap(slice, i)&^subZeroRange(from, to)|subAllocRange(from, to))
	}
}

// settle ends allocations: it links them, or after an error gives their clusters back.
func (im *image) settle(list []*allocation, err error) error {
	for _, a := range list {
		if err == nil {
			err = im.link(a)
		}
		if err != nil && !im.hasDataFile() && !a.keepOld && !im.broken.Load() {
			im.freeClusters(a.host, a.clusters<<im.clusterBits, discardNever)
		}
		im.finish(a)
	}
	return err
}
