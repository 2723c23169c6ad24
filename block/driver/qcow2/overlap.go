package qcow2

import (
	"math/bits"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// overlapMask is a set of kinds of metadata that a write must not touch.
type overlapMask uint16

const (
	olHeader overlapMask = 1 << iota
	olActiveL1
	olActiveL2
	olRefcountTable
	olRefcountBlock
	olSnapshotTable
	olInactiveL1
	olInactiveL2
	olBitmapDirectory

	overlapKinds = 9

	olConstant = olHeader | olActiveL1 | olRefcountTable | olSnapshotTable | olBitmapDirectory
	olCached   = olConstant | olActiveL2 | olRefcountBlock | olInactiveL1
	olAll      = olCached | olInactiveL2
)

// overlapOptions are the names behind "overlap-check.", overlapNames those in messages, by bit number.
var (
	overlapOptions = [overlapKinds]string{
		"main-header", "active-l1", "active-l2", "refcount-table", "refcount-block", "snapshot-table", "inactive-l1", "inactive-l2", "bitmap-directory",
	}
	overlapNames = [overlapKinds]string{
		"qcow2_header", "active L1 table", "active L2 table", "refcount table", "refcount block", "snapshot table", "inactive L1 table",
		"inactive L2 table", "bitmap directory",
	}
	overlapTemplates = map[string]overlapMask{"none": 0, "constant": olConstant, "cached": olCached, "all": olAll}
)

// overlapOf makes the set that the options ask for.
func overlapOf(rt runtimeOptions) (overlapMask, error) {
	if rt.overlap != "" && rt.template != "" && rt.overlap != rt.template {
		return 0, block.Errorf(unix.EINVAL, "Conflicting values for qcow2 options 'overlap-check' ('%s') and 'overlap-check.template' ('%s')", rt.overlap, rt.template)
	}
	name := rt.overlap
	if name == "" {
		name = rt.template
	}
	if name == "" {
		name = "cached"
	}
	mask, ok := overlapTemplates[name]
	if !ok {
		return 0, block.Errorf(unix.EINVAL, "Unsupported value '%s' for qcow2 option 'overlap-check'. Allowed are any of the following: none, constant, cached, all", name)
	}
	for i, b := range rt.overlapBits {
		if b != nil {
			mask &^= 1 << i
			if *b {
				mask |= 1 << i
			}
		}
	}
	return mask, nil
}

// checkOverlap refuses a write that would hit metadata other than the kinds in ignore, and marks the image corrupt. data is true for guest
// data, which cannot hit anything if it goes to an external file.
func (im *image) checkOverlap(ignore overlapMask, off, n int64, data bool) error {
	if data && im.hasDataFile() {
		return nil
	}
	kind, err := im.overlaps(im.overlap&^ignore, off, n)
	if err != nil {
		return err
	}
	if kind != 0 {
		im.corruptAt(true, off, n, "Preventing invalid write on metadata (overlaps with %s)", overlapNames[bits.TrailingZeros16(uint16(kind))])
		return unix.EIO
	}
	return nil
}

// overlaps finds out what metadata the range hits.
func (im *image) overlaps(chk overlapMask, off, n int64) (overlapMask, error) {
	if n == 0 {
		return 0, nil
	}
	if chk&olHeader != 0 && off < im.clusterSize {
		return olHeader, nil
	}
	end := im.roundUp(off + n)
	off = im.startOfCluster(off)
	hits := func(o, n int64) bool { return off < o+n && o < end }
	// A table of pointers to whole clusters.
	hitsEntry := func(t []uint64, mask uint64) bool {
		for _, e := range t {
			if o := int64(e & mask); o != 0 && off < o+im.clusterSize && o < end {
				return true
			}
		}
		return false
	}
	switch {
	case chk&olActiveL1 != 0 && len(im.l1) > 0 && hits(im.l1Offset, int64(len(im.l1))*l1EntrySize):
		return olActiveL1, nil
	case chk&olRefcountTable != 0 && len(im.refTable) > 0 && hits(im.refTableOffset, int64(len(im.refTable))*rtEntrySize):
		return olRefcountTable, nil
	case chk&olSnapshotTable != 0 && im.snapshotsSize > 0 && hits(im.snapshotsOffset, im.snapshotsSize):
		return olSnapshotTable, nil
	}
	if chk&olInactiveL1 != 0 {
		for _, s := range im.snapshots {
			if s.l1Size > 0 && hits(s.l1Offset, int64(s.l1Size)*l1EntrySize) {
				return olInactiveL1, nil
			}
		}
	}
	if chk&olActiveL2 != 0 && hitsEntry(im.l1, l1OffsetMask) {
		return olActiveL2, nil
	}
	if chk&olRefcountBlock != 0 && len(im.refTable) > 0 && hitsEntry(im.refTable[:im.maxRefIndex+1], rtOffsetMask) {
		return olRefcountBlock, nil
	}
	if chk&olInactiveL2 != 0 {
		for _, s := range im.snapshots {
			if err := im.validTable(uint64(s.l1Offset), uint64(s.l1Size), l1EntrySize, maxL1Size, ""); err != nil {
				return 0, unix.Errno(block.Errno(err))
			}
			l1, err := im.readTable(s.l1Offset, int64(s.l1Size))
			if err != nil {
				return 0, err
			}
			if hitsEntry(l1, l1OffsetMask) {
				return olInactiveL2, nil
			}
		}
	}
	if chk&olBitmapDirectory != 0 && im.auto&autoBitmaps != 0 && hits(im.bitmaps.dirOffset, im.bitmaps.dirSize) {
		return olBitmapDirectory, nil
	}
	return 0, nil
}
