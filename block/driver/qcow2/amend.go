package qcow2

import (
	"context"
	"math/bits"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// amendment is what an image becomes.
type amendment struct {
	version             int
	lazy, rawData       bool
	refBits             uint64
	backing, backingFmt string
	hasBacking, hasFmt  bool
	dataFile            string
	hasDataFile         bool
	size                uint64
}

// takeAmendment takes the options out of o.
func (im *image) takeAmendment(o *block.Options) (a amendment, err error) {
	p := optionParser{o: o}
	a.version = im.version
	switch v, ok := o.TakeString("compat"); {
	case ok && (v == "0.10" || v == "v2"):
		a.version = 2
	case ok && (v == "1.1" || v == "v3"):
		a.version = 3
	case ok:
		return a, block.Errorf(unix.EINVAL, "Unknown compatibility level %s", v)
	}
	a.size = or(p.size("size"), 0)
	a.backing, a.hasBacking = o.TakeString("backing_file")
	a.backingFmt, a.hasFmt = o.TakeString("backing_fmt")
	a.dataFile, a.hasDataFile = o.TakeString("data_file")
	a.rawData = or(p.bool("data_file_raw"), im.rawDataFile())
	a.lazy = or(p.bool("lazy_refcounts"), im.lazy)
	a.refBits, err = o.TakeUint("refcount_bits", 1<<im.refOrder)
	p.keep(err)
	switch {
	case p.err != nil:
		return a, p.err
	case a.hasDataFile && !im.hasDataFile():
		return a, block.Errorf(unix.EINVAL, "data-file can only be set for images that use an external data file")
	case a.rawData && !im.rawDataFile():
		return a, block.Errorf(unix.EINVAL, "data-file-raw cannot be set on existing images")
	case a.refBits == 0 || a.refBits > 64 || a.refBits&(a.refBits-1) != 0:
		return a, block.Errorf(unix.EINVAL, "Refcount width must be a power of two and may not exceed 64 bits")
	}
	return a, nil
}

// steps adds up the progress of several operations, of which each reports its own. The work of those to come is guessed from that done.
type steps struct {
	report      block.Progress
	total, done int64
	finished    int64 // work of operations that ended
	last        int64 // work of the current one
}

func (s *steps) next() {
	s.finished += s.last
	s.last = 0
	s.done++
}

func (s *steps) progress(done, total int64) {
	s.last = total
	if s.report == nil {
		return
	}
	now := s.finished + total
	s.report(s.finished+done, now+now*(s.total-s.done-1)/(s.done+1))
}

// Amend implements block.Amender.
func (im *image) Amend(ctx context.Context, o *block.Options, force bool, progress block.Progress) error {
	if err := im.lock(); err != nil {
		return err
	}
	defer im.mu.Unlock()
	a, err := im.takeAmendment(o)
	if err != nil {
		return err
	}
	if err := im.amendCrypt(ctx, o, force); err != nil {
		return err
	}
	s := &steps{report: progress}
	old := im.version
	if a.version != old {
		s.total++
	}
	if a.refBits != 1<<im.refOrder {
		s.total++
	}
	if a.version > old {
		if err := im.upgrade(a.version, s); err != nil {
			return err
		}
		s.next()
	}
	if a.refBits != 1<<im.refOrder {
		if a.version < 3 && a.refBits != 16 {
			return block.Errorf(unix.EINVAL, "Refcount widths other than 16 bits require compatibility level 1.1 or above (use compat=1.1 or greater)")
		}
		if err := im.changeRefOrder(bits.TrailingZeros64(a.refBits), s.progress); err != nil {
			return err
		}
		s.next()
	}
	if err := im.amendHeader(a); err != nil {
		return err
	}
	if a.size != 0 {
		im.mu.Unlock()
		err := im.n.Truncate(ctx, int64(a.size), true, block.PreallocOff, false)
		im.mu.Lock()
		if err != nil {
			return err
		}
	}
	if a.version < old {
		return im.downgrade(a.version, s)
	}
	return nil
}

// amendHeader changes what only the header says.
func (im *image) amendHeader(a amendment) error {
	if im.auto &^= autoDataFileRaw; a.rawData {
		im.auto |= autoDataFileRaw
	}
	if a.hasDataFile {
		im.dataFileName = a.dataFile
	}
	headerErr := func(err error) error { return block.Errnof(block.Errno(err), "Failed to update the image header") }
	if err := im.writeHeader(); err != nil {
		return headerErr(err)
	}
	if (a.hasBacking || a.hasFmt) && (a.backing != im.backingName || a.backingFmt != im.backingFormat) {
		return hintError(unix.EINVAL, "You can use 'qemu-img rebase' instead.", "Cannot amend the backing file")
	}
	if a.lazy == im.lazy {
		return nil
	}
	old := im.compat
	if a.lazy {
		if a.version < 3 {
			return block.Errorf(unix.EINVAL, "Lazy refcounts only supported with compatibility level 1.1 and above (use compat=1.1 or greater)")
		}
		im.compat |= compLazyRefcounts
	} else {
		if err := im.markClean(); err != nil {
			return block.Errnof(block.Errno(err), "Failed to make the image clean")
		}
		im.compat &^= compLazyRefcounts
	}
	if err := im.writeHeader(); err != nil {
		im.compat = old
		return headerErr(err)
	}
	im.lazy = a.lazy
	return nil
}

// upgrade makes version 3 of version 2.
func (im *image) upgrade(version int, s *steps) error {
	s.progress(0, 2)
	for _, sn := range im.snapshots {
		if sn.extraSize < snapshotExtraMin {
			if err := im.writeSnapshots(); err != nil {
				return block.Errnof(block.Errno(err), "Failed to update the snapshot table")
			}
			break
		}
	}
	s.progress(1, 2)
	old := im.version
	im.version = version
	if err := im.writeHeader(); err != nil {
		im.version = old
		return block.Errnof(block.Errno(err), "Failed to update the image header")
	}
	s.progress(2, 2)
	return nil
}

// downgrade makes version 2 of version 3, if nothing in the image needs the latter.
func (im *image) downgrade(version int, s *steps) error {
	fail := func(format string, a ...any) error { return block.Errorf(unix.ENOTSUP, format, a...) }
	if im.refOrder != defaultRefcountOrder {
		return fail("compat=0.10 requires refcount_bits=16")
	}
	if im.hasDataFile() {
		return fail("Cannot downgrade an image with a data file")
	}
	for _, sn := range im.snapshots {
		if sn.vmState > 1<<32-1 || int64(sn.diskSize) != im.length.Load() {
			return fail("Internal snapshots prevent downgrade of image")
		}
	}
	if err := im.markClean(); err != nil {
		return block.Errnof(block.Errno(err), "Failed to make the image clean")
	}
	if f := im.incompatible &^ incCompression; f != 0 {
		return fail("Cannot downgrade an image with incompatible features 0x%x set", f)
	}
	im.compat, im.auto = 0, 0
	if err := im.expandZeroes(s); err != nil {
		return block.Errnof(block.Errno(err), "Failed to turn zero into data clusters")
	}
	if im.incompatible&incCompression != 0 {
		found, err := im.hasCompressed()
		if err != nil {
			return block.Errorf(unix.EINVAL, "Failed to check block status")
		}
		if found {
			return fail("Cannot downgrade an image with zstd compression type and existing compressed clusters")
		}
		im.incompatible &^= incCompression
		im.compression = compressZlib
	}
	old := im.version
	im.version = version
	if err := im.writeHeader(); err != nil {
		im.version = old
		return block.Errnof(block.Errno(err), "Failed to update the image header")
	}
	return nil
}

// hasCompressed tells whether the disk has compressed clusters.
func (im *image) hasCompressed() (bool, error) {
	for off, end := int64(0), im.length.Load(); off < end; {
		m, err := im.lookup(off, min(end-off, maxRequest))
		if err != nil {
			return false, err
		}
		if m.kind == sCompressed {
			return true, nil
		}
		off += m.n
	}
	return false, nil
}

// expandZeroes writes zeroes to all clusters that only a flag makes zero.
func (im *image) expandZeroes(s *steps) error {
	total := int64(len(im.l1))
	for _, sn := range im.snapshots {
		total += int64(sn.l1Size)
	}
	var done int64
	if err := im.expandTree(im.l1, true, &done, total, s); err != nil {
		return err
	}
	if err := im.l2cache.empty(); err != nil {
		return err
	}
	for _, sn := range im.snapshots {
		if err := im.validSnapshot(sn); err != nil {
			im.n.Graph().Failure("%s", err)
			return unix.Errno(block.Errno(err))
		}
		l1, err := im.readTable(sn.l1Offset, int64(sn.l1Size))
		if err != nil {
			return err
		}
		if err := im.expandTree(l1, false, &done, total, s); err != nil {
			return err
		}
	}
	return nil
}

// expandTree expands the zero clusters under one L1 table.
func (im *image) expandTree(l1 []uint64, active bool, done *int64, total int64, s *steps) error {
	for i, e := range l1 {
		if l2 := int64(e & l1OffsetMask); l2 != 0 {
			if im.offsetInCluster(l2) != 0 {
				return im.corruptf("L2 table offset %s unaligned (L1 index: %s)", hex(l2), hex(i))
			}
			if err := im.expandL2(l2, active); err != nil {
				return err
			}
		}
		*done++
		s.progress(*done, total)
	}
	return nil
}

// expandL2 expands the zero clusters of one L2 table.
func (im *image) expandL2(l2 int64, active bool) error {
	shares, err := im.refcount(l2 >> im.clusterBits)
	if err != nil {
		return err
	}
	for pos := int64(0); pos < im.clusterSize; pos += im.sliceBytes() {
		if active {
			t, err := im.l2cache.get(l2 + pos)
			if err != nil {
				return err
			}
			dirty, err := im.expandSlice(t.b, l2, pos, shares)
			if dirty {
				im.l2cache.mark(t)
				im.l2cache.dependsOnFlush = true
			}
			im.l2cache.put(t)
			if err != nil {
				return err
			}
			continue
		}
		b := make([]byte, im.sliceBytes())
		if err := im.file.Read(bg, l2+pos, b); err != nil {
			return err
		}
		dirty, err := im.expandSlice(b, l2, pos, shares)
		if err != nil {
			return err
		}
		if dirty {
			if err := im.checkOverlap(olInactiveL2|olActiveL2, l2+pos, int64(len(b)), false); err != nil {
				return err
			}
			if err := im.file.Write(bg, l2+pos, b, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// expandSlice expands the zero clusters of a slice of a table that has shares references.
func (im *image) expandSlice(b []byte, l2, pos int64, shares uint64) (dirty bool, err error) {
	for j := range im.sliceSize {
		entry := im.entry(b, j)
		kind := im.clusterTypeOf(entry)
		if kind != cZeroPlain && kind != cZeroAlloc {
			continue
		}
		off, fresh := int64(entry&l2OffsetMask), kind == cZeroPlain
		if fresh {
			if im.backing() == nil {
				im.setEntry(b, j, 0)
				dirty = true
				continue
			}
			if off, err = im.allocShared(shares); err != nil {
				return dirty, err
			}
		}
		if im.offsetInCluster(off) != 0 {
			err = im.corruptf("Cluster allocation offset %s unaligned (L2 offset: %s, L2 index: %s)", hex(off), hex(l2), hex(pos/im.l2EntrySize+j))
		} else if err = im.checkOverlap(0, off, im.clusterSize, true); err == nil {
			err = im.writeZeroData(off)
		}
		if err != nil {
			if fresh {
				im.freeClusters(off, im.clusterSize, discardAlways)
			}
			return dirty, err
		}
		if e := uint64(off); shares == 1 {
			im.setEntry(b, j, e|flagCopied)
		} else {
			im.setEntry(b, j, e)
		}
		dirty = true
	}
	return dirty, nil
}

// allocShared allocates a cluster with shares references.
func (im *image) allocShared(shares uint64) (int64, error) {
	off, err := im.allocClusters(im.clusterSize)
	if err == nil && shares > 1 {
		if err = im.updateRefcount(off, 1, shares-1, false, discardOther); err != nil {
			im.freeClusters(off, im.clusterSize, discardOther)
		}
	}
	return off, err
}
