package qcow2

import (
	"golang.org/x/sys/unix"

	"goemu/block"
)

// l1Table counts an L1 table, the L2 tables it names and what those name.
func (c *checker) l1Table(off, entries int64, fix block.CheckFix, active bool) error {
	im := c.im
	if entries == 0 {
		return nil
	}
	c.count(off, entries*l1EntrySize)
	l1, err := im.readTable(off, entries)
	if err != nil {
		im.messagef("ERROR: I/O error in check_refcounts_l1")
		c.res.CheckErrors++
		return err
	}
	buf := make([]byte, im.clusterSize)
	for _, e := range l1 {
		if e == 0 {
			continue
		}
		if e&l1ReservedMask != 0 {
			im.messagef("ERROR found L1 entry with reserved bits set: %x", e)
			c.res.Corruptions++
		}
		l2 := int64(e & l1OffsetMask)
		c.count(l2, im.clusterSize)
		if im.offsetInCluster(l2) != 0 {
			im.messagef("ERROR l2_offset=%x: Table is not cluster aligned; L1 entry corrupted", l2)
			c.res.Corruptions++
		}
		if err := im.file.Read(bg, l2, buf); err != nil {
			im.messagef("ERROR: I/O error in check_refcounts_l2")
			c.res.CheckErrors++
			return err
		}
		if err := c.l2Table(l2, buf, fix, active); err != nil {
			return err
		}
	}
	return nil
}

// l2Table counts what an L2 table names.
func (c *checker) l2Table(l2 int64, b []byte, fix block.CheckFix, active bool) error {
	im := c.im
	c.next = 0
	for i := range im.l2Size {
		entry := im.entry(b, i)
		bitmap := im.bitmap(b, i)
		if entry == 0 && bitmap == 0 {
			continue
		}
		kind := im.clusterTypeOf(entry)
		if kind != cCompressed && entry&l2ReservedMask != 0 {
			im.messagef("ERROR found l2 entry with reserved bits set: %x", entry)
			c.res.Corruptions++
		}
		switch kind {
		case cCompressed:
			c.compressedEntry(i, entry, bitmap, active)
		case cNormal, cZeroAlloc:
			if err := c.normalEntry(l2, b, i, fix, active); err != nil {
				return err
			}
		case cUnallocated:
			if bitmap&subAllAlloc != 0 {
				c.res.Corruptions++
				im.messagef("ERROR: Unallocated cluster has non-zero subcluster allocation map")
			}
		}
	}
	return nil
}

func (c *checker) compressedEntry(i int64, entry, bitmap uint64, active bool) {
	im := c.im
	if entry&flagCopied != 0 {
		im.messagef("ERROR: coffset=0x%x: copied flag must never be set for compressed clusters", entry&im.coffMask)
		entry &^= flagCopied
		c.res.Corruptions++
	}
	if im.hasDataFile() {
		im.messagef("ERROR compressed cluster %d with data file, entry=0x%x", i, entry)
		c.res.Corruptions++
		return
	}
	if bitmap != 0 {
		im.messagef("ERROR compressed cluster %d with non-zero subcluster allocation bitmap, entry=0x%x", i, entry)
		c.res.Corruptions++
		return
	}
	off, n := im.compressed(entry)
	c.count(off, n)
	if active {
		c.res.AllocatedClusters++
		c.res.CompressedClusters++
		c.res.FragmentedClusters++ // compressed clusters are fragmented by their nature
	}
}

func (c *checker) normalEntry(l2 int64, b []byte, i int64, fix block.CheckFix, active bool) error {
	im := c.im
	entry, bitmap := im.entry(b, i), im.bitmap(b, i)
	off := int64(entry & l2OffsetMask)
	if bitmap>>32&bitmap != 0 {
		c.res.Corruptions++
		im.messagef("ERROR offset=%x: Allocated cluster has corrupted subcluster allocation bitmap", off)
	}
	if im.offsetInCluster(off) != 0 {
		c.res.Corruptions++
		data := entry&flagZero == 0
		if im.hasSubclusters() {
			data = bitmap&subAllAlloc != 0
		}
		if data {
			im.messagef("ERROR offset=%x: Data cluster is not properly aligned; L2 entry corrupted.", off)
		} else {
			im.messagef("%s offset=%x: Preallocated cluster is not properly aligned; L2 entry corrupted.", repairing(fix&block.FixErrors != 0), off)
			if fix&block.FixErrors != 0 {
				overlap, err := c.zeroOut(l2, b, i, active)
				if overlap {
					return err
				}
				if err == nil {
					return nil
				}
			}
		}
	}
	if active {
		c.res.AllocatedClusters++
		if c.next != 0 && off != c.next {
			c.res.FragmentedClusters++
		}
		c.next = off + im.clusterSize
	}
	if !im.hasDataFile() {
		c.count(off, im.clusterSize)
	}
	return nil
}

// zeroOut replaces a broken entry that holds no data by zeroes.
func (c *checker) zeroOut(l2 int64, b []byte, i int64, active bool) (overlap bool, err error) {
	im := c.im
	own := olInactiveL2
	if active {
		own = olActiveL2
	}
	if im.hasSubclusters() {
		bm := im.bitmap(b, i)
		im.setBitmap(b, i, (bm|bm<<32)&subAllZeroes)
		im.setEntry(b, i, 0)
	} else {
		im.setEntry(b, i, flagZero)
	}
	pos := i * im.l2EntrySize
	if err := im.checkOverlap(own, l2+pos, im.l2EntrySize, false); err != nil {
		im.messagef("ERROR: Overlap check failed")
		c.res.CheckErrors++
		return true, err
	}
	if err := im.writeSync(l2+pos, b[pos:pos+im.l2EntrySize]); err != nil {
		im.messagef("ERROR: Failed to overwrite L2 table entry: %s", block.Strerror(block.Errno(err)))
		c.res.CheckErrors++
		return false, err
	}
	im.forgetL2(im.startOfCluster(l2))
	c.res.Corruptions--
	c.res.CorruptionsFixed++
	return false, nil
}

// copiedFlags checks the copied flags of the active tables against the reference counts.
func (c *checker) copiedFlags() error {
	im := c.im
	repair := c.fix&block.FixErrors != 0 || c.fix&block.FixLeaks != 0 && c.res.CheckErrors == 0 && c.res.Corruptions == 0 && c.res.Leaks == 0
	buf := make([]byte, im.clusterSize)
	for i, e := range im.l1 {
		l2 := int64(e & l1OffsetMask)
		if l2 == 0 {
			continue
		}
		n, err := im.refcount(l2 >> im.clusterBits)
		if err != nil {
			continue
		}
		if (n == 1) != (e&flagCopied != 0) {
			c.res.Corruptions++
			im.messagef("%s OFLAG_COPIED L2 cluster: l1_index=%d l1_entry=%x refcount=%d", repairing(repair), i, e, n)
			if repair {
				if _, err := im.setL1(int64(i), e^flagCopied); err != nil {
					c.res.CheckErrors++
					return err
				}
				c.res.Corruptions--
				c.res.CorruptionsFixed++
			}
		}
		if err := im.file.Read(bg, l2, buf); err != nil {
			im.messagef("ERROR: Could not read L2 table: %s", block.Strerror(block.Errno(err)))
			c.res.CheckErrors++
			return err
		}
		if err := c.copiedInL2(l2, buf, repair); err != nil {
			return err
		}
	}
	return nil
}

// copiedInL2 checks the flags of one L2 table.
func (c *checker) copiedInL2(l2 int64, b []byte, repair bool) error {
	im := c.im
	r := im.refReader()
	defer r.done()
	dirty := 0
	for i := range im.l2Size {
		e := im.entry(b, i)
		if kind := im.clusterTypeOf(e); kind != cNormal && kind != cZeroAlloc {
			continue
		}
		n := uint64(1)
		if !im.hasDataFile() {
			var err error
			if n, err = r.get(int64(e&l2OffsetMask) >> im.clusterBits); err != nil {
				continue
			}
		}
		if (n == 1) == (e&flagCopied != 0) {
			continue
		}
		c.res.Corruptions++
		im.messagef("%s OFLAG_COPIED data cluster: l2_entry=%x refcount=%d", repairing(repair), e, n)
		if repair {
			im.setEntry(b, i, e^flagCopied)
			dirty++
		}
	}
	if dirty == 0 {
		return nil
	}
	if err := im.checkOverlap(olActiveL2, l2, im.clusterSize, false); err != nil {
		im.messagef("ERROR: Could not write L2 table; metadata overlap check failed: %s", block.Strerror(block.Errno(err)))
		c.res.CheckErrors++
		return err
	}
	if err := im.file.Write(bg, l2, b, 0); err != nil {
		im.messagef("ERROR: Could not write L2 table: %s", block.Strerror(block.Errno(err)))
		c.res.CheckErrors++
		return err
	}
	im.forgetL2(im.startOfCluster(l2))
	c.res.Corruptions -= dirty
	c.res.CorruptionsFixed += dirty
	return nil
}

// checkSnapshotTable reads the snapshot table again and finds out what is wrong with it.
func (im *image) checkSnapshotTable(fix block.CheckFix) (res block.CheckResult, err error) {
	b := make([]byte, 12)
	if err := im.file.Read(bg, hdrSnapshots, b); err != nil {
		res.CheckErrors++
		im.messagef("ERROR failed to read the snapshot table pointer from the image header: %s", block.Strerror(block.Errno(err)))
		return res, err
	}
	count, repair := int64(be.Uint32(b)), fix&block.FixErrors != 0
	im.snapshotsOffset, im.snapshots = int64(be.Uint64(b[4:])), nil
	var dropped tableRepair
	if count > maxSnapshots && repair {
		im.messagef("Discarding %d overhanging snapshots", count-maxSnapshots)
		dropped.snapshots = int(count - maxSnapshots)
		count = maxSnapshots
	}
	if err := im.validTable(uint64(im.snapshotsOffset), uint64(count), snapshotHeaderLen, snapshotHeaderLen*maxSnapshots, "snapshot table"); err != nil {
		res.CheckErrors++
		im.n.Graph().Failure("ERROR %s", err)
		if count > maxSnapshots {
			im.messagef("You can force-remove all %d overhanging snapshots with qemu-img check -r all", count-maxSnapshots)
		}
		im.snapshotsOffset = 0
		return res, unix.Errno(block.Errno(err))
	}
	var arg *tableRepair
	if repair {
		arg = &dropped
	}
	if err := im.readSnapshotTable(int(count), arg); err != nil {
		res.CheckErrors++
		im.n.Graph().Failure("ERROR failed to read the snapshot table: %s", err)
		if e, ok := err.(*block.Error); ok && e.Hint != "" {
			im.messagef("%s", e.Hint)
		}
		im.snapshotsOffset = 0
		return res, unix.Errno(block.Errno(err))
	}
	res.Corruptions += dropped.snapshots + dropped.extra
	if dropped.snapshots > 0 {
		if err := im.writeSync(hdrSnapshots, be.AppendUint32(nil, uint32(len(im.snapshots)))); err != nil {
			res.CheckErrors++
			im.messagef("ERROR failed to update the snapshot count in the image header: %s", block.Strerror(block.Errno(err)))
			return res, err
		}
		res.CorruptionsFixed += dropped.snapshots
		res.Corruptions -= dropped.snapshots
	}
	if im.version >= 3 {
		for i, s := range im.snapshots {
			if s.extraSize < snapshotExtraMin {
				res.Corruptions++
				im.messagef("%s snapshot table entry %d is incomplete", repairing(repair), i)
			}
		}
	}
	return res, nil
}
