package qcow2

import "time"

// clusterSet is a set of clusters.
type clusterSet struct {
	words map[int64]uint64 // bit i&63 of word i>>6 says that cluster i is in the set
	n     int64
	least int64 // no cluster below is in it
}

func (s *clusterSet) add(cluster int64) {
	if s.has(cluster) {
		return
	}
	if s.n == 0 {
		*s = clusterSet{words: map[int64]uint64{}, least: cluster}
	}
	s.words[cluster>>6] |= 1 << (cluster & 63)
	s.n++
	s.least = min(s.least, cluster)
}

func (s *clusterSet) has(cluster int64) bool { return s.words[cluster>>6]>>(cluster&63)&1 != 0 }

// holdTime is how long allocating goes round held clusters before the tables are flushed for them once more.
const holdTime = time.Second

// release gives back what an L2 entry referred to. What becomes free is not used again until the medium has the table without the entry:
// otherwise a power failure could leave an entry that refers to what somebody else wrote.
func (im *image) release(off, n int64, kind discardKind) {
	im.freeClusters(off, n, kind)
	for c := off >> im.clusterBits; c<<im.clusterBits < off+n; c++ {
		if count, err := im.refcount(c); err == nil && count == 0 {
			im.held.add(c)
		}
	}
}

// isFree tells whether a cluster with this reference count can be allocated.
func (im *image) isFree(cluster int64, count uint64) bool { return count == 0 && !im.held.has(cluster) }

// letGo lets held clusters be used: the L2 tables have been flushed.
func (im *image) letGo() {
	if im.held.n > 0 {
		im.freeIndex = min(im.freeIndex, im.held.least)
		im.held = clusterSet{}
	}
}

// flushHeld is called before clusters are allocated: it flushes the L2 tables if something is held and this was not done for it lately.
func (im *image) flushHeld() error {
	if im.held.n == 0 || time.Since(im.heldFlushed) < holdTime {
		return nil
	}
	err := im.l2cache.flush()
	im.heldFlushed = time.Now()
	return err
}
