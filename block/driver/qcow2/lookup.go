package qcow2

import (
	"context"

	"goemu/block"
)

// mapping says where a piece of the disk is.
type mapping struct {
	kind subType
	n    int64  // bytes that are alike from the asked offset
	host int64  // of the first byte, for kinds with an allocated cluster
	desc uint64 // descriptor of a compressed cluster
}

// loadSlice returns the cached slice of the L2 table at l2 that has the entry of off.
func (im *image) loadSlice(off, l2 int64) (*table, error) {
	start := im.l2EntrySize * (im.l2Index(off) - im.sliceIndex(off))
	return im.l2cache.get(l2 + start)
}

// lookup finds out where the n bytes from off are, or as many of them as are alike.
func (im *image) lookup(off, n int64) (mapping, error) {
	in := im.offsetInCluster(off)
	need := min(n+in, (im.sliceSize-im.sliceIndex(off))<<im.clusterBits)
	none := mapping{kind: sUnallocPlain, n: need - in}
	l1 := im.l1Index(off)
	if l1 >= int64(len(im.l1)) {
		return none, nil
	}
	l2 := int64(im.l1[l1] & l1OffsetMask)
	if l2 == 0 {
		return none, nil
	}
	if im.offsetInCluster(l2) != 0 {
		return none, im.corruptf("L2 table offset %s unaligned (L1 index: %s)", hex(l2), hex(l1))
	}
	t, err := im.loadSlice(off, l2)
	if err != nil {
		return none, err
	}
	defer im.l2cache.put(t)
	i, sc := im.sliceIndex(off), im.subIndex(off)
	entry := im.entry(t.b, i)
	m := mapping{kind: im.subTypeOf(entry, im.bitmap(t.b, i), sc)}
	if err := im.checkEntry(&m, entry, off, l2, i); err != nil {
		return none, err
	}
	count, bad := im.countAlike(t.b, i, sc, im.clusters(need))
	if count == 0 {
		return none, im.corruptf("Invalid cluster entry found  (L2 offset: %s, L2 index: %s)", hex(l2), hex(bad))
	}
	m.n = min(int64(count+sc)<<im.subBits, need) - in
	return m, nil
}

// checkEntry validates the entry of off and fills in where the data is.
func (im *image) checkEntry(m *mapping, entry uint64, off, l2, i int64) error {
	switch m.kind {
	case sZeroPlain, sZeroAlloc:
		if im.version < 3 {
			return im.corruptf("Zero cluster entry found in pre-v3 image (L2 offset: %s, L2 index: %s)", hex(l2), hex(i))
		}
	case sCompressed:
		if im.hasDataFile() {
			return im.corruptf("Compressed cluster entry found in image with external data file (L2 offset: %s, L2 index: %s)", hex(l2), hex(i))
		}
		m.desc = entry
	}
	if m.kind != sZeroAlloc && m.kind != sNormal && m.kind != sUnallocAlloc {
		return nil
	}
	host := int64(entry & l2OffsetMask)
	in := im.offsetInCluster(off)
	if im.offsetInCluster(host) != 0 {
		return im.corruptf("Cluster allocation offset %s unaligned (L2 offset: %s, L2 index: %s)", hex(host), hex(l2), hex(i))
	}
	if m.host = host + in; im.hasDataFile() && m.host != off {
		return im.corruptf("External data file host cluster offset %s does not match guest cluster offset: %s, L2 index: %s)", hex(host), hex(off-in), hex(i))
	}
	return nil
}

// countAlike counts the subclusters from sc of entry i on that are of one kind and contiguous, in at most clusters clusters. 0 tells that
// the entry bad is invalid.
func (im *image) countAlike(slice []byte, i int64, sc int, clusters int64) (count int, bad int64) {
	var kind subType
	var next uint64
	contiguous := false
	for k := int64(0); k < clusters; k++ {
		entry := im.entry(slice, i+k)
		t, n := im.subRange(entry, im.bitmap(slice, i+k), sc)
		if n == 0 {
			return 0, i + k
		}
		switch {
		case k == 0 && t == sCompressed:
			return n, 0
		case k == 0:
			kind, next = t, entry&l2OffsetMask
			contiguous = t == sNormal || t == sZeroAlloc || t == sUnallocAlloc
		case t != kind:
			return count, 0
		case contiguous:
			if next += uint64(im.clusterSize); next != entry&l2OffsetMask {
				return count, 0
			}
		}
		count += n
		if sc+n < im.subs {
			break
		}
		sc = 0
	}
	return count, 0
}

// readsZero tells whether an unallocated or zero piece reads as zeroes without asking the backing file.
func (im *image) readsZero(k subType) bool {
	switch k {
	case sZeroPlain, sZeroAlloc:
		return true
	case sUnallocPlain, sUnallocAlloc:
		return im.backing() == nil
	}
	return false
}

// BlockStatus implements block.BlockStatuser. The generic layer adds what follows from the backing file.
func (im *image) BlockStatus(_ context.Context, _ bool, off, n int64) (block.Status, error) {
	if err := im.lock(); err != nil {
		return block.Status{}, err
	}
	if !im.preallocChecked {
		im.preallocated, im.preallocChecked = im.detectPrealloc(), true
	}
	m, err := im.lookup(off, n)
	prealloc := im.preallocated
	im.mu.Unlock()
	if err != nil {
		return block.Status{}, err
	}
	st := block.Status{N: m.n}
	switch m.kind {
	case sNormal, sZeroAlloc, sUnallocAlloc:
		if im.data != nil && im.crypt == cryptNone {
			st.Flags, st.Offset, st.File = block.StatusOffsetValid, m.host, im.data.Node()
		}
	}
	switch m.kind {
	case sZeroPlain, sZeroAlloc:
		st.Flags |= block.StatusZero
	case sNormal:
		st.Flags |= block.StatusData
	case sCompressed:
		st.Flags |= block.StatusData | block.StatusCompressed
	}
	if want := block.StatusData | block.StatusOffsetValid; prealloc && st.Flags&want == want {
		st.Flags |= block.StatusRecurse
	}
	return st, nil
}
