package qcow2

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

// maxHeld is how many bytes may be held back from use; then they are waited for.
const maxHeld = 64 << 20

// hold keeps what an L2 entry referred to from being used again until the medium has the table without the entry: otherwise a power failure
// could leave an entry that refers to what somebody else wrote.
func (im *image) hold(off, n int64) {
	for c := off >> im.clusterBits; c<<im.clusterBits < off+n; c++ {
		im.held.add(c)
	}
}

// isFree tells whether a cluster with this reference count can be allocated.
func (im *image) isFree(cluster int64, count uint64) bool { return count == 0 && !im.held.has(cluster) }

// release lets held clusters be used: the L2 tables have been flushed.
func (im *image) release() {
	if im.held.n > 0 {
		im.freeIndex = min(im.freeIndex, im.held.least)
		im.held = clusterSet{}
	}
}

// limitHeld flushes the L2 tables if much is held.
func (im *image) limitHeld() error {
	if im.held.n<<im.clusterBits < maxHeld {
		return nil
	}
	return im.l2cache.flush()
}
