package qcow2

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// Snapshots implements block.Snapshotter.
func (im *image) Snapshots() ([]block.Snapshot, error) {
	im.mu.Lock()
	defer im.mu.Unlock()
	if im.hasDataFile() {
		return nil, unix.ENOTSUP
	}
	list := make([]block.Snapshot, len(im.snapshots))
	for i, s := range im.snapshots {
		list[i] = block.Snapshot{
			ID: s.id, Name: s.name, VMStateSize: s.vmState, Date: time.Unix(int64(s.dateSec), int64(s.dateNs)), VMClock: s.vmClock,
			ICount: int64(s.icount), DiskSize: int64(s.diskSize),
		}
	}
	return list, nil
}

// newSnapshotID is one more than the largest number among the IDs.
func (im *image) newSnapshotID() string {
	var top uint64
	for _, s := range im.snapshots {
		digits := s.id
		if i := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
			digits = digits[:i]
		}
		if n, err := strconv.ParseUint(digits, 10, 64); err == nil {
			top = max(top, n)
		}
	}
	return strconv.FormatUint(top+1, 10)
}

// findSnapshot finds a snapshot; an empty id or name matches any, but not both.
func (im *image) findSnapshot(id, name string) int {
	if id == "" && name == "" {
		return -1
	}
	return slices.IndexFunc(im.snapshots, func(s snapshot) bool {
		return (id == "" || s.id == id) && (name == "" || s.name == name)
	})
}

// SnapshotCreate implements block.Snapshotter.
func (im *image) SnapshotCreate(_ context.Context, b *block.Snapshot) error {
	if err := im.lock(); err != nil {
		return err
	}
	defer im.mu.Unlock()
	if len(im.snapshots) >= maxSnapshots {
		return unix.EFBIG
	}
	if im.hasDataFile() {
		return unix.ENOTSUP
	}
	b.ID = im.newSnapshotID()
	s := snapshot{
		id: b.ID, name: b.Name, diskSize: uint64(im.length.Load()), vmState: b.VMStateSize, dateSec: uint32(b.Date.Unix()),
		dateNs: uint32(b.Date.Nanosecond()), vmClock: b.VMClock, icount: uint64(b.ICount), extraSize: snapshotExtraLen, l1Size: uint32(len(im.l1)),
	}
	n := int64(len(im.l1)) * l1EntrySize
	var err error
	if s.l1Offset, err = im.allocClusters(n); err != nil {
		return err
	}
	if err := im.checkOverlap(0, s.l1Offset, n, false); err != nil {
		return err
	}
	if n > 0 {
		if err := im.file.Write(bg, s.l1Offset, encodeTable(im.l1), 0); err != nil {
			return err
		}
	}
	if err := im.shareTree(im.l1Offset, int64(len(im.l1)), 1); err != nil {
		return err
	}
	old := im.snapshots
	im.snapshots = append(slices.Clone(old), s)
	if err := im.writeSnapshots(); err != nil {
		im.snapshots = old
		return err
	}
	// The VM state belongs to the snapshot alone; it need not be copied when the next one is saved.
	im.discardClusters(im.vmStateOffset(), im.roundUp(int64(s.vmState)), discardNever, false)
	return nil
}

// SnapshotGoto implements block.Snapshotter.
func (im *image) SnapshotGoto(ctx context.Context, idOrName string) error {
	s, err := im.snapshotToApply(idOrName)
	if err != nil {
		return err
	}
	if int64(s.diskSize) != im.length.Load() {
		if err := im.n.Truncate(ctx, int64(s.diskSize), true, block.PreallocOff, false); err != nil {
			return err
		}
	}
	if err := im.lock(); err != nil {
		return err
	}
	defer im.mu.Unlock()
	if err := im.growL1(int64(s.l1Size), true); err != nil {
		return err
	}
	return im.switchL1(s)
}

// snapshotToApply finds a snapshot and checks that it can be applied.
func (im *image) snapshotToApply(idOrName string) (s snapshot, err error) {
	if err := im.lock(); err != nil {
		return s, err
	}
	defer im.mu.Unlock()
	if im.hasDataFile() {
		return s, unix.ENOTSUP
	}
	i := im.findSnapshot(idOrName, "")
	if i < 0 {
		i = im.findSnapshot("", idOrName)
	}
	if i < 0 {
		return s, unix.ENOENT
	}
	s = im.snapshots[i]
	return s, im.validSnapshot(s)
}

// switchL1 makes a copy of the snapshot's L1 table the active one. The clusters of the snapshot get their new reference first; those of the
// old state lose theirs last.
func (im *image) switchL1(s snapshot) error {
	if err := im.shareTree(s.l1Offset, int64(s.l1Size), 1); err != nil {
		return err
	}
	t, err := im.readTable(s.l1Offset, int64(s.l1Size)) // without copied flags, now that all is shared
	if err != nil {
		return err
	}
	t = append(t, make([]uint64, len(im.l1)-len(t))...)
	if err := im.checkOverlap(olActiveL1, im.l1Offset, int64(len(t))*l1EntrySize, false); err != nil {
		return err
	}
	if err := im.writeSync(im.l1Offset, encodeTable(t)); err != nil {
		im.file.Write(bg, im.l1Offset, encodeTable(im.l1), 0) // part of it may have been written
		return err
	}
	err = im.shareTree(im.l1Offset, int64(len(im.l1)), -1)
	im.l1 = t
	if err != nil {
		return err
	}
	return im.shareTree(im.l1Offset, int64(len(im.l1)), 0)
}

// validSnapshot checks the place of a snapshot's L1 table.
func (im *image) validSnapshot(s snapshot) error {
	return im.validTable(uint64(s.l1Offset), uint64(s.l1Size), l1EntrySize, maxL1Size, "Snapshot L1 table")
}

// SnapshotDelete implements block.Snapshotter.
func (im *image) SnapshotDelete(_ context.Context, id, name string) error {
	if err := im.lock(); err != nil {
		return err
	}
	defer im.mu.Unlock()
	if im.hasDataFile() {
		return unix.ENOTSUP
	}
	i := im.findSnapshot(id, name)
	if i < 0 {
		return block.Errorf(unix.ENOENT, "Can't find the snapshot")
	}
	s := im.snapshots[i]
	if err := im.validSnapshot(s); err != nil {
		return err
	}
	im.snapshots = slices.Delete(slices.Clone(im.snapshots), i, i+1)
	if err := im.writeSnapshots(); err != nil {
		return block.Errnof(block.Errno(err), "Failed to remove snapshot from snapshot list")
	}
	if err := im.shareTree(s.l1Offset, int64(s.l1Size), -1); err != nil {
		return block.Errnof(block.Errno(err), "Failed to free the cluster and L1 table")
	}
	im.freeClusters(s.l1Offset, int64(s.l1Size)*l1EntrySize, discardSnapshot)
	if err := im.shareTree(im.l1Offset, int64(len(im.l1)), 0); err != nil {
		return block.Errnof(block.Errno(err), "Failed to update snapshot status in disk")
	}
	return nil
}

// SnapshotLoadTmp implements block.Snapshotter.
func (im *image) SnapshotLoadTmp(_ context.Context, id, name string) error {
	if err := im.lock(); err != nil {
		return err
	}
	defer im.mu.Unlock()
	i := im.findSnapshot(id, name)
	if i < 0 {
		return block.Errorf(unix.ENOENT, "Can't find snapshot")
	}
	s := im.snapshots[i]
	if err := im.validSnapshot(s); err != nil {
		return err
	}
	t, err := im.readTable(s.l1Offset, int64(s.l1Size))
	if err != nil {
		return block.Errorf(block.Errno(err), "Failed to read l1 table for snapshot")
	}
	im.l1, im.l1Offset = t, s.l1Offset
	return nil
}

// shareTree changes the reference counts of all clusters under an L1 table by delta (-1, 0 or 1), and makes the copied flags of its entries
// say whether the counts are one.
func (im *image) shareTree(off, entries int64, delta int) error {
	l1, active := im.l1, off == im.l1Offset
	if !active {
		var err error
		if l1, err = im.readTable(off, entries); err != nil {
			return err
		}
	}
	changed := false
	err := im.batchDiscards(func() error {
		for i, e := range l1 {
			if e == 0 {
				continue
			}
			n, err := im.shareL2(int64(e&l1OffsetMask), int64(i), delta)
			if err != nil {
				return err
			}
			if n != e {
				l1[i], changed = n, true
			}
		}
		return im.flushCaches()
	})
	if err == nil && delta >= 0 && changed {
		err = im.writeSync(off, encodeTable(l1))
	}
	return err
}

// shareL2 does the work of shareTree for one L2 table and returns its L1 entry.
func (im *image) shareL2(l2, l1Index int64, delta int) (uint64, error) {
	if im.offsetInCluster(l2) != 0 {
		return 0, im.corruptf("L2 table offset %s unaligned (L1 index: %s)", hex(l2), hex(l1Index))
	}
	for pos := int64(0); pos < im.clusterSize; pos += im.sliceBytes() {
		t, err := im.l2cache.get(l2 + pos)
		if err != nil {
			return 0, err
		}
		err = im.shareSlice(t, l2, pos/im.l2EntrySize, delta)
		im.l2cache.put(t)
		if err != nil {
			return 0, err
		}
	}
	n, err := im.shareClusters(l2, im.clusterSize, delta)
	if n == 1 {
		return uint64(l2) | flagCopied, err
	}
	return uint64(l2), err
}

// shareClusters changes the count of a cluster and returns it.
func (im *image) shareClusters(off, n int64, delta int) (uint64, error) {
	if delta != 0 {
		if err := im.updateRefcount(off, n, 1, delta < 0, discardSnapshot); err != nil {
			return 0, err
		}
	}
	return im.refcount(off >> im.clusterBits)
}

// shareSlice does the work of shareTree for the clusters of a slice.
func (im *image) shareSlice(t *table, l2, first int64, delta int) error {
	for i := range im.sliceSize {
		old := im.entry(t.b, i)
		if old == 0 {
			continue
		}
		entry := old &^ flagCopied
		var n uint64
		switch im.clusterTypeOf(entry) {
		case cCompressed:
			if delta != 0 {
				off, size := im.compressed(entry)
				if err := im.updateRefcount(off, size, 1, delta < 0, discardSnapshot); err != nil {
					return err
				}
			}
		case cNormal, cZeroAlloc:
			off := int64(entry & l2OffsetMask)
			if im.offsetInCluster(off) != 0 {
				return im.corruptf("Cluster allocation offset %s unaligned (L2 offset: %s, L2 index: %s)", hex(off), hex(l2), hex(first+i))
			}
			var err error
			if n, err = im.shareClusters(off, im.clusterSize, delta); err != nil {
				return err
			}
		}
		if n == 1 {
			entry |= flagCopied
		}
		if entry != old {
			if delta > 0 {
				if err := im.l2cache.dependOn(im.refCache); err != nil {
					return err
				}
			}
			im.setEntry(t.b, i, entry)
			im.l2cache.mark(t)
		}
	}
	return nil
}
