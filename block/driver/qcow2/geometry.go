package qcow2

import "math/bits"

// geometry holds the numbers that follow from the header's cluster size, entry width and reference count order.
type geometry struct {
	clusterBits int
	clusterSize int64
	subBits     int
	subSize     int64
	subs        int // subclusters per cluster, 1 without extended entries

	l2EntrySize int64
	l2Bits      int
	l2Size      int64 // entries of a table
	sliceSize   int64 // entries of a cached slice of a table

	refOrder     int
	refMax       uint64
	refBlockBits int
	refBlockSize int64 // entries of a refcount block

	csizeShift int
	csizeMask  uint64
	coffMask   uint64
}

// newGeometry computes a geometry; the arguments were validated.
func newGeometry(clusterBits int, ext bool, refOrder int) geometry {
	g := geometry{clusterBits: clusterBits, clusterSize: 1 << clusterBits, subs: 1, l2EntrySize: 8}
	if ext {
		g.subs, g.l2EntrySize = subPerCluster, 16
	}
	g.subSize = g.clusterSize / int64(g.subs)
	g.subBits = bits.TrailingZeros64(uint64(g.subSize))
	g.l2Bits = clusterBits - bits.TrailingZeros64(uint64(g.l2EntrySize))
	g.l2Size = 1 << g.l2Bits
	g.sliceSize = g.l2Size
	g.csizeShift = 62 - (clusterBits - 8)
	g.csizeMask = 1<<(clusterBits-8) - 1
	g.coffMask = 1<<g.csizeShift - 1
	g.setRefOrder(refOrder)
	return g
}

// setRefOrder changes the width of reference counts.
func (g *geometry) setRefOrder(order int) {
	g.refOrder = order
	g.refMax = ^uint64(0) >> (64 - (1 << order))
	g.refBlockBits = g.clusterBits - (order - 3)
	g.refBlockSize = 1 << g.refBlockBits
}

func (g *geometry) hasSubclusters() bool          { return g.subs > 1 }
func (g *geometry) startOfCluster(o int64) int64  { return o &^ (g.clusterSize - 1) }
func (g *geometry) offsetInCluster(o int64) int64 { return o & (g.clusterSize - 1) }
func (g *geometry) offsetInSub(o int64) int64     { return o & (g.subSize - 1) }
func (g *geometry) roundUp(n int64) int64         { return (n + g.clusterSize - 1) &^ (g.clusterSize - 1) }
func (g *geometry) roundUpSub(n int64) int64      { return (n + g.subSize - 1) &^ (g.subSize - 1) }

// clusters is the number of clusters that n bytes need. n may be as large as an int64 gets.
func (g *geometry) clusters(n int64) int64 {
	return int64((uint64(n) + uint64(g.clusterSize) - 1) >> g.clusterBits)
}

// l1Entries is the number of L1 entries that a disk of n bytes needs.
func (g *geometry) l1Entries(n uint64) uint64 {
	shift := g.clusterBits + g.l2Bits
	e := n >> shift
	if n&(1<<shift-1) != 0 {
		e++
	}
	return e
}

func (g *geometry) l1Index(o int64) int64    { return o >> (g.l2Bits + g.clusterBits) }
func (g *geometry) l2Index(o int64) int64    { return o >> g.clusterBits & (g.l2Size - 1) }
func (g *geometry) sliceIndex(o int64) int64 { return o >> g.clusterBits & (g.sliceSize - 1) }
func (g *geometry) subIndex(o int64) int     { return int(o>>g.subBits) & (g.subs - 1) }
func (g *geometry) sliceBytes() int64        { return g.sliceSize * g.l2EntrySize }

// slice is a cached piece of an L2 table.
func (g *geometry) entry(slice []byte, i int64) uint64 { return be.Uint64(slice[i*g.l2EntrySize:]) }

func (g *geometry) setEntry(slice []byte, i int64, e uint64) {
	be.PutUint64(slice[i*g.l2EntrySize:], e)
}

// bitmap is the subcluster bitmap of an extended entry, 0 for others.
func (g *geometry) bitmap(slice []byte, i int64) uint64 {
	if g.subs == 1 {
		return 0
	}
	return be.Uint64(slice[i*16+8:])
}

func (g *geometry) setBitmap(slice []byte, i int64, b uint64) {
	if g.subs > 1 {
		be.PutUint64(slice[i*16+8:], b)
	}
}

// compressed splits the descriptor of a compressed cluster into the offset of its first byte and its length up to the end of its last sector.
func (g *geometry) compressed(entry uint64) (off, size int64) {
	off = int64(entry & g.coffMask)
	sectors := int64(entry>>g.csizeShift&g.csizeMask) + 1
	return off, sectors*compressedSector - off&(compressedSector-1)
}

// refcountOf reads entry i of a refcount block (or of an array of that form).
func refcountOf(order int, b []byte, i int64) uint64 {
	switch order {
	case 0:
		return uint64(b[i>>3] >> (i & 7) & 1)
	case 1:
		return uint64(b[i>>2] >> (i & 3 * 2) & 3)
	case 2:
		return uint64(b[i>>1] >> (i & 1 * 4) & 15)
	case 3:
		return uint64(b[i])
	case 4:
		return uint64(be.Uint16(b[i*2:]))
	case 5:
		return uint64(be.Uint32(b[i*4:]))
	}
	return be.Uint64(b[i*8:])
}

// setRefcount writes entry i of a refcount block. v fits.
func setRefcount(order int, b []byte, i int64, v uint64) {
	switch order {
	case 0, 1, 2:
		width := 1 << order
		perByte := int64(8 / width)
		shift := int(i%perByte) * width
		mask := byte(1<<width-1) << shift
		b[i/perByte] = b[i/perByte]&^mask | byte(v)<<shift
	case 3:
		b[i] = byte(v)
	case 4:
		be.PutUint16(b[i*2:], uint16(v))
	case 5:
		be.PutUint32(b[i*4:], uint32(v))
	default:
		be.PutUint64(b[i*8:], v)
	}
}

// isZero tells whether all bytes are zero.
func isZero(b []byte) bool {
	for len(b) >= 8 {
		if be.Uint64(b) != 0 {
			return false
		}
		b = b[8:]
	}
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}
