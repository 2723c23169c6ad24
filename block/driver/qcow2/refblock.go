package qcow2

import (
	"golang.org/x/sys/unix"
)

// makeRefBlock returns the refcount block of a cluster and allocates it if need be. errAgain tells that it now exists but may have been put
// where the caller wanted to allocate.
//
// A new block is first made complete on the medium and then entered into the table; if the table is full it moves to a larger place with the
// blocks that count this place.
func (im *image) makeRefBlock(cluster int64) (*table, error) {
	im.event("refblock_alloc")
	index := cluster >> im.refBlockBits
	off, err := im.refBlockAt(index)
	if err != nil {
		return nil, err
	}
	if off != 0 {
		im.event("refblock_load")
		return im.refCache.get(off)
	}
	if err := im.l2cache.flush(); err != nil {
		return nil, err
	}
	off, err = im.allocNoRef(im.clusterSize, 1<<63-1)
	if err != nil {
		return nil, err
	}
	if off == 0 {
		return nil, im.corruptf("Preventing invalid allocation of refcount block at offset 0")
	}
	if err := im.newRefBlock(index, off); err != nil {
		return nil, err
	}
	if index < int64(len(im.refTable)) {
		im.event("refblock_alloc_hookup")
		if _, err := im.replace(im.refTableOffset+index*rtEntrySize, be.AppendUint64(nil, uint64(off)), make([]byte, rtEntrySize)); err != nil {
			return nil, err
		}
		im.refTable[index] = uint64(off)
		im.maxRefIndex = max(im.maxRefIndex, index)
		return nil, errAgain
	}
	im.event("reftable_grow")
	used := (max(cluster, off>>im.clusterBits) + im.refBlockSize) / im.refBlockSize
	if _, err := im.refcountArea(used*im.refBlockSize*im.clusterSize, 0, false, index, off); err != nil {
		return nil, err
	}
	return nil, errAgain
}

// newRefBlock writes an empty refcount block for table index index at off and counts its cluster, in itself if it covers it.
func (im *image) newRefBlock(index, off int64) error {
	self := off>>(im.clusterBits+im.refBlockBits) == index
	if !self {
		if err := im.updateRefcount(off, im.clusterSize, 1, false, discardNever); err != nil {
			return err
		}
		if err := im.refCache.flush(); err != nil {
			return err
		}
	}
	t, err := im.refCache.getEmpty(off)
	if err != nil {
		return err
	}
	clear(t.b)
	if self {
		setRefcount(im.refOrder, t.b, off>>im.clusterBits&(im.refBlockSize-1), 1)
	}
	im.event("refblock_alloc_write")
	im.refCache.mark(t)
	err = im.refCache.flush()
	im.refCache.put(t)
	if err != nil {
		im.refCache.forget(off)
	}
	return err
}

// refcountMetadata computes how many bytes the refcount blocks and table need that count clusters and themselves. generous leaves room for
// the table to grow by half.
func refcountMetadata(clusters, clusterSize int64, order int, generous bool) (bytes, blocks int64) {
	perTable := clusterSize / rtEntrySize
	perBlock := clusterSize * 8 >> order
	var tables, n int64
	for {
		last := n
		blocks = (clusters + tables + blocks + perBlock - 1) / perBlock
		tables = (blocks + perTable - 1) / perTable
		n = clusters + blocks + tables
		if n == last && generous {
			clusters += (tables + 1) / 2
			n, generous = 0, false
		}
		if n == last {
			return (blocks + tables) * clusterSize, blocks
		}
	}
}

// refcountArea moves the refcount table to a place at or behind start, so that it covers additional clusters from start on; new refcount
// blocks lie before it. A block with index newIndex at newBlock (if not 0) is entered. It returns where the area ends.
func (im *image) refcountArea(start, additional int64, exact bool, newIndex, newBlock int64) (int64, error) {
	_, total := refcountMetadata(start/im.clusterSize+additional, im.clusterSize, im.refOrder, !exact)
	if total > maxRefTableSize {
		return 0, unix.EFBIG
	}
	first := start / im.clusterSize / im.refBlockSize
	size := total
	if !exact {
		size += (total + 1) / 2
	}
	perCluster := im.clusterSize / rtEntrySize
	size = (size + perCluster - 1) / perCluster * perCluster
	if size > maxRefTableSize {
		return 0, unix.EFBIG
	}
	t := make([]uint64, size)
	copy(t, im.refTable[:min(im.maxRefIndex+1, int64(len(im.refTable)))])
	if newBlock != 0 {
		t[newIndex] = uint64(newBlock)
	}
	var blocks int64
	for _, e := range t[first:total] {
		if e == 0 {
			blocks++
		}
	}
	tableOff := start + blocks*im.clusterSize
	end := tableOff + size*rtEntrySize
	if err := im.fillRefcountArea(t, first, total, start, end); err != nil {
		return 0, err
	}
	im.event("refblock_alloc_write_blocks")
	if err := im.refCache.flush(); err != nil {
		return 0, err
	}
	im.event("refblock_alloc_write_table")
	if err := im.writeSync(tableOff, encodeTable(t)); err != nil {
		return 0, err
	}
	im.event("refblock_alloc_switch_table")
	oldOff, oldSize := im.refTableOffset, int64(len(im.refTable))
	if _, err := im.replace(hdrRefTableOffset, im.refTablePointer(tableOff, size), im.refTablePointer(oldOff, oldSize)); err != nil {
		return 0, err
	}
	im.setRefTable(t, tableOff)
	im.freeClusters(oldOff, oldSize*rtEntrySize, discardOther)
	return end, nil
}

// refTablePointer is how the header refers to a refcount table with size entries.
func (im *image) refTablePointer(off, size int64) []byte {
	return be.AppendUint32(be.AppendUint64(nil, uint64(off)), uint32(size*rtEntrySize/im.clusterSize))
}

// fillRefcountArea makes the missing refcount blocks first to total-1 of table t, from start on, and counts all clusters from start to end.
func (im *image) fillRefcountArea(t []uint64, first, total, start, end int64) error {
	next := start
	for i := first; i < total; i++ {
		var b *table
		var err error
		if t[i] != 0 {
			b, err = im.refCache.get(int64(t[i]))
		} else {
			if b, err = im.refCache.getEmpty(next); err == nil {
				clear(b.b)
				im.refCache.mark(b)
				t[i] = uint64(next)
				next += im.clusterSize
			}
		}
		if err != nil {
			return err
		}
		covered := i * im.refBlockSize * im.clusterSize
		if covered < end {
			j := max(start-covered, 0) / im.clusterSize
			for ; j < min((end-covered)/im.clusterSize, im.refBlockSize); j++ {
				setRefcount(im.refOrder, b.b, j, 1)
			}
			im.refCache.mark(b)
		}
		im.refCache.put(b)
	}
	return nil
}
