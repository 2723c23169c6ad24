package qcow2

import (
	"bytes"
	"context"
	"math"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// Check implements block.Checker.
func (im *image) Check(_ context.Context, fix block.CheckFix) (block.CheckResult, error) {
	if err := im.lock(); err != nil {
		return block.CheckResult{}, err
	}
	defer im.mu.Unlock()
	return im.check(fix)
}

// check verifies the snapshot table and all reference counts, and repairs what is asked for.
func (im *image) check(fix block.CheckFix) (block.CheckResult, error) {
	var res block.CheckResult
	snap, err := im.checkSnapshotTable(fix)
	if err != nil {
		addCounts(&res, snap)
		return res, err
	}
	c := checker{im: im, fix: fix}
	err = c.run()
	res = c.res
	if err != nil {
		addCounts(&res, snap)
		return res, err
	}
	if snap.Corruptions > 0 && fix&block.FixErrors != 0 {
		if err = im.writeSnapshots(); err != nil {
			snap.CheckErrors++
			im.messagef("ERROR failed to update snapshot table: %s", block.Strerror(block.Errno(err)))
		} else {
			snap.CorruptionsFixed += snap.Corruptions
			snap.Corruptions = 0
		}
	}
	addCounts(&res, snap)
	if err == nil && fix != 0 && res.CheckErrors == 0 && res.Corruptions == 0 {
		if err = im.markClean(); err == nil {
			err = im.markConsistent()
		}
	}
	return res, err
}

func addCounts(to *block.CheckResult, r block.CheckResult) {
	to.Corruptions += r.Corruptions
	to.Leaks += r.Leaks
	to.CheckErrors += r.CheckErrors
	to.CorruptionsFixed += r.CorruptionsFixed
	to.LeaksFixed += r.LeaksFixed
}

// checker is a check under way.
type checker struct {
	im      *image
	fix     block.CheckFix
	res     block.CheckResult
	counts  countArray
	fileLen int64
	rebuild bool  // the refcount structures cannot be repaired in place
	highest int64 // cluster that is in use
	next    int64 // where an L2 table's next cluster would be, were the image not fragmented; 0 for the first
}

// countArray counts references; it looks like a row of refcount blocks.
type countArray struct {
	order int
	b     []byte
	n     int64 // clusters
}

// resize makes room for n clusters, in whole clusters of bytes.
func (a *countArray) resize(n, clusterSize int64) {
	size := (n<<a.order + 7) / 8
	size = (size + clusterSize - 1) &^ (clusterSize - 1)
	if size > int64(len(a.b)) {
		a.b = append(a.b, make([]byte, size-int64(len(a.b)))...)
	}
	a.n = n
}

func (a *countArray) get(i int64) uint64 { return refcountOf(a.order, a.b, i) }

// setLen reads the file's length.
func (c *checker) setLen() (err error) {
	c.fileLen, err = c.im.file.Length(bg)
	return err
}

// run does the check of the reference counts.
func (c *checker) run() error {
	im := c.im
	if err := im.flushCaches(); err != nil && im.writable() {
		return err
	}
	if err := c.setLen(); err != nil {
		c.res.CheckErrors++
		return err
	}
	clusters := im.clusters(c.fileLen)
	if clusters > math.MaxInt32 {
		c.res.CheckErrors++
		return unix.EFBIG
	}
	c.res.TotalClusters = im.clusters(im.length.Load())
	c.counts.order = im.refOrder
	c.counts.resize(clusters, im.clusterSize)
	if err := c.calculate(c.fix); err != nil {
		return err
	}
	before := c.res
	c.compare(0)
	switch {
	case c.rebuild && c.fix&block.FixErrors != 0:
		if err := c.rebuildAndCompare(); err != nil {
			return err
		}
	case c.fix != 0:
		if c.rebuild {
			im.messagef("ERROR need to rebuild refcount structures")
			c.res.CheckErrors++
			return unix.EIO
		}
		if c.res.Leaks > 0 || c.res.Corruptions > 0 {
			c.res = before
			c.compare(c.fix)
		}
	}
	if err := c.copiedFlags(); err != nil {
		return err
	}
	c.res.ImageEndOffset = (c.highest + 1) * im.clusterSize
	return nil
}

// rebuildAndCompare writes new refcount structures and checks again.
func (c *checker) rebuildAndCompare() error {
	im, old := c.im, c.res
	im.messagef("Rebuilding refcount structure")
	if err := c.rebuildRefcounts(); err != nil {
		im.n.Graph().Failure("%s", err)
		return err
	}
	c.res.Corruptions, c.res.Leaks, c.rebuild = 0, 0, false
	clear(c.counts.b)
	if err := c.setLen(); err != nil {
		return err
	}
	if err := c.calculate(0); err != nil {
		return err
	}
	fresh := 0
	if c.fix&block.FixLeaks != 0 {
		// The old structures are leaked now; that is not reported, only what cannot be given back.
		saved := c.res
		c.res = block.CheckResult{}
		c.compare(block.FixLeaks)
		if c.rebuild {
			im.messagef("ERROR rebuilt refcount structure is still broken")
		}
		fresh = c.res.Leaks
		c.res = saved
	}
	c.res.CorruptionsFixed += max(0, old.Corruptions-c.res.Corruptions)
	c.res.LeaksFixed += max(0, old.Leaks-c.res.Leaks)
	c.res.Leaks += fresh
	return nil
}

// count notes a reference to all clusters of a range.
func (c *checker) count(off, n int64) {
	im := c.im
	if n <= 0 {
		return
	}
	if off+n-c.fileLen >= im.clusterSize {
		im.messagef("ERROR: counting reference for region exceeding the end of the file by one cluster or more: offset 0x%x size 0x%x", uint64(off), uint64(n))
		c.res.Corruptions++
		return
	}
	first, last := off>>im.clusterBits, (off+n-1)>>im.clusterBits
	for k := first; k <= last; k++ {
		if k >= c.counts.n {
			c.counts.resize(k+1, im.clusterSize)
		}
		if c.counts.order == defaultRefcountOrder {
			if b := c.counts.b[k*2:]; b[1] != 0xff {
				b[1]++
				continue
			}
		}
		v := c.counts.get(k)
		if v == im.refMax {
			im.messagef("ERROR: overflow cluster offset=0x%x", k<<im.clusterBits)
			im.messagef("Use qemu-img amend to increase the refcount entry width or qemu-img convert to create a clean copy if the image cannot be opened for writing")
			c.res.Corruptions++
			continue
		}
		setRefcount(c.counts.order, c.counts.b, k, v+1)
	}
}

// calculate counts all references.
func (c *checker) calculate(fix block.CheckFix) error {
	im := c.im
	c.count(0, im.clusterSize)
	if err := c.l1Table(im.l1Offset, int64(len(im.l1)), fix, true); err != nil {
		return err
	}
	if im.hasDataFile() && len(im.snapshots) > 0 {
		im.messagef("ERROR %d snapshots in image with data file", len(im.snapshots))
		c.res.Corruptions++
	}
	for _, s := range im.snapshots {
		switch {
		case im.offsetInCluster(s.l1Offset) != 0:
			im.messagef("ERROR snapshot %s (%s) l1_offset=%s: L1 table is not cluster aligned; snapshot table entry corrupted", s.id, s.name, hex(s.l1Offset))
			c.res.Corruptions++
			continue
		case s.l1Size > maxL1Size/l1EntrySize:
			im.messagef("ERROR snapshot %s (%s) l1_size=%s: L1 table is too large; snapshot table entry corrupted", s.id, s.name, hex(s.l1Size))
			c.res.Corruptions++
			continue
		}
		if err := c.l1Table(s.l1Offset, int64(s.l1Size), fix, false); err != nil {
			return err
		}
	}
	c.count(im.snapshotsOffset, im.snapshotsSize)
	c.count(im.refTableOffset, int64(len(im.refTable))*rtEntrySize)
	if im.cryptExt != nil {
		c.count(int64(be.Uint64(im.cryptExt)), int64(be.Uint64(im.cryptExt[8:])))
	}
	if err := c.bitmaps(); err != nil {
		return err
	}
	return c.refBlocks(fix)
}

// refBlocks counts the refcount blocks.
func (c *checker) refBlocks(fix block.CheckFix) error {
	im := c.im
	for i, e := range im.refTable {
		off := int64(e & rtOffsetMask)
		cluster := int64(uint64(off) >> im.clusterBits)
		switch {
		case e&rtReservedMask != 0:
			im.messagef("ERROR refcount table entry %d has reserved bits set", i)
			c.res.Corruptions++
			c.rebuild = true
		case im.offsetInCluster(off) != 0:
			im.messagef("ERROR refcount block %d is not cluster aligned; refcount table entry corrupted", i)
			c.res.Corruptions++
			c.rebuild = true
		case cluster >= c.counts.n:
			c.blockOutside(int64(i), off, fix)
		case off != 0:
			c.count(off, im.clusterSize)
			if n := c.counts.get(cluster); n != 1 {
				im.messagef("ERROR refcount block %d refcount=%d", i, n)
				c.res.Corruptions++
				c.rebuild = true
			}
		}
	}
	return nil
}

// blockOutside handles a refcount block behind the end of the file: the file is made longer.
func (c *checker) blockOutside(i, off int64, fix block.CheckFix) {
	im := c.im
	c.res.Corruptions++
	im.messagef("%s refcount block %d is outside image", repairing(fix&block.FixErrors != 0), i)
	if fix&block.FixErrors == 0 {
		return
	}
	err := error(unix.EINVAL)
	if off >= 0 && off <= math.MaxInt64-im.clusterSize {
		if err = im.file.Truncate(bg, off+im.clusterSize, false, block.PreallocOff, false); err != nil {
			im.n.Graph().Failure("%s", err)
		} else if err = c.setLen(); err == nil {
			if n := im.clusters(c.fileLen); n > math.MaxInt32 || off>>im.clusterBits >= n {
				err = unix.EINVAL
			} else {
				c.counts.resize(n, im.clusterSize)
			}
		}
	}
	if err != nil {
		c.rebuild = true
		im.messagef("ERROR could not resize image: %s", block.Strerror(block.Errno(err)))
		return
	}
	c.res.Corruptions--
	c.res.CorruptionsFixed++
	c.count(off, im.clusterSize)
}

// repairing is how a message about a finding begins.
func repairing(yes bool) string {
	if yes {
		return "Repairing"
	}
	return "ERROR"
}

// compare compares the counts with those in the image and repairs the latter.
func (c *checker) compare(fix block.CheckFix) {
	im := c.im
	c.highest = 0
	for i := int64(0); i < c.counts.n; i += im.refBlockSize {
		end := min(i+im.refBlockSize, c.counts.n)
		if c.blockAlike(i, end) {
			for k := end - 1; k >= i; k-- {
				if c.counts.get(k) != 0 {
					c.highest = k
					break
				}
			}
			continue
		}
		for k := i; k < end; k++ {
			c.compareCluster(k, fix)
		}
	}
}

// blockAlike tells whether all counts of one refcount block are right. Only whole bytes are compared.
func (c *checker) blockAlike(first, end int64) bool {
	im := c.im
	if end-first < im.refBlockSize && (end-first)<<im.refOrder&7 != 0 {
		return false
	}
	want := c.counts.b[first<<im.refOrder/8 : end<<im.refOrder/8]
	off, err := im.refBlockAt(first >> im.refBlockBits)
	if err != nil {
		return false
	}
	if off == 0 {
		return isZero(want)
	}
	t, err := im.refCache.get(off)
	if err != nil {
		return false
	}
	defer im.refCache.put(t)
	return bytes.Equal(want, t.b[:len(want)])
}

// compareCluster compares one count.
func (c *checker) compareCluster(k int64, fix block.CheckFix) {
	im := c.im
	have, err := im.refcount(k)
	if err != nil {
		im.messagef("Can't get refcount for cluster %d: %s", k, block.Strerror(block.Errno(err)))
		c.res.CheckErrors++
		return
	}
	want := c.counts.get(k)
	if have > 0 || want > 0 {
		c.highest = k
	}
	if have == want {
		return
	}
	var fixed *int
	switch {
	case have == 0:
		c.rebuild = true
	case have > want && fix&block.FixLeaks != 0:
		fixed = &c.res.LeaksFixed
	case have < want && fix&block.FixErrors != 0:
		fixed = &c.res.CorruptionsFixed
	}
	word := "Leaked"
	switch {
	case fixed != nil:
		word = "Repairing"
	case have < want:
		word = "ERROR"
	}
	im.messagef("%s cluster %d refcount=%d reference=%d", word, k, have, want)
	if fixed != nil {
		diff := max(have, want) - min(have, want)
		if im.updateRefcount(k<<im.clusterBits, 1, diff, have > want, discardAlways) == nil {
			*fixed++
			return
		}
	}
	if have < want {
		c.res.Corruptions++
	} else {
		c.res.Leaks++
	}
}
