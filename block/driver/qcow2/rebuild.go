package qcow2

import "goemu/block"

// rebuildRefcounts writes the counts into new refcount blocks and a new table, in clusters that are free by them.
func (c *checker) rebuildRefcounts() error {
	im := c.im
	im.refCache.empty()
	var table []uint64
	grown, err := c.writeBlocks(&table, 0, c.counts.n)
	var tableOff, tableClusters int64
	for grown && err == nil {
		tableClusters = im.clusters(int64(len(table)) * rtEntrySize)
		free := int64(0)
		tableOff = c.take(tableClusters, &free)
		first := tableOff >> im.clusterBits
		grown, err = c.writeBlocks(&table, first, first+tableClusters) // count the table; that may make it larger
	}
	if err != nil {
		c.res.CheckErrors++
		return err
	}
	b := encodeTable(table)
	if err := im.checkOverlap(0, tableOff, int64(len(b)), false); err != nil {
		return block.Errnof(block.Errno(err), "ERROR writing reftable")
	}
	if err := im.file.Write(bg, tableOff, b, 0); err != nil {
		return block.Errnof(block.Errno(err), "ERROR writing reftable")
	}
	ptr := be.AppendUint32(be.AppendUint64(nil, uint64(tableOff)), uint32(tableClusters))
	if err := im.writeSync(hdrRefTableOffset, ptr); err != nil {
		return block.Errnof(block.Errno(err), "ERROR setting reftable")
	}
	im.setRefTable(table, tableOff)
	return nil
}

// take finds count contiguous free clusters from *free on, behind the end if need be, and counts them. *free becomes the first free cluster.
func (c *checker) take(count int64, free *int64) int64 {
	cluster, run, gap := *free, int64(0), true
	for ; cluster < c.counts.n && run < count; cluster++ {
		if c.counts.get(cluster) != 0 {
			run = 0
			continue
		}
		run++
		if gap {
			*free, gap = cluster, false
		}
	}
	if run < count {
		c.counts.resize(cluster+count-run, c.im.clusterSize)
	}
	cluster -= run
	for i := range count {
		setRefcount(c.counts.order, c.counts.b, cluster+i, 1)
	}
	return cluster << c.im.clusterBits
}

// writeBlocks writes the refcount blocks that count the clusters first to end-1 and enters new ones into the table. grown tells that the table
// became longer.
func (c *checker) writeBlocks(table *[]uint64, first, end int64) (grown bool, err error) {
	im := c.im
	var free int64
	for cluster := first; cluster < end; cluster++ {
		if c.counts.get(cluster) == 0 {
			continue
		}
		index := cluster >> im.refBlockBits
		start := index << im.refBlockBits
		var off int64
		if index < int64(len(*table)) {
			off = int64((*table)[index])
		}
		if off == 0 {
			free = max(free, start) // a block should count itself
			off = c.take(1, &free)
			end = max(end, off>>im.clusterBits+1)
			if index >= int64(len(*table)) {
				per := im.clusterSize / rtEntrySize
				t := make([]uint64, (index+per)/per*per)
				copy(t, *table)
				*table, grown = t, true
			}
			(*table)[index] = uint64(off)
		}
		if err := im.checkOverlap(0, off, im.clusterSize, false); err != nil {
			return grown, block.Errnof(block.Errno(err), "ERROR writing refblock")
		}
		b := make([]byte, im.clusterSize)
		if pos := index * im.clusterSize; pos < int64(len(c.counts.b)) {
			copy(b, c.counts.b[pos:])
		}
		if err := im.file.Write(bg, off, b, 0); err != nil {
			return grown, block.Errnof(block.Errno(err), "ERROR writing refblock")
		}
		cluster = start + im.refBlockSize - 1
	}
	return grown, nil
}
