package qcow2

import (
	"golang.org/x/sys/unix"

	"goemu/block"
)

// reorder is a change of the width of reference counts under way.
type reorder struct {
	im        *image
	order     int
	blockSize int64 // entries of a new block
	table     []uint64
	allocated bool
}

// changeRefOrder writes all reference counts anew with another width. New blocks are allocated until that allocates none itself, then all
// are written and the header is switched over.
func (im *image) changeRefOrder(order int, progress block.Progress) (err error) {
	r := &reorder{im: im, order: order, blockSize: 1 << (im.clusterBits - (order - 3))}
	var off, size int64
	defer func() {
		if err != nil {
			im.freeRefStructures(r.table, off, size)
		}
	}()
	walk := int64(0)
	for {
		r.allocated = false
		if err = r.walk(r.alloc, walk, max(walk+2, 3), progress); err != nil {
			return err
		}
		walk++
		if !r.allocated {
			break
		}
		if off != 0 {
			im.freeClusters(off, size*rtEntrySize, discardNever)
		}
		size = int64(len(r.table))
		if off, err = im.allocClusters(size * rtEntrySize); err != nil {
			off = 0
			return block.Errnof(block.Errno(err), "Failed to allocate the new reftable")
		}
	}
	if err = r.walk(r.flush, walk, walk+1, progress); err != nil {
		return err
	}
	n := int64(len(r.table)) * rtEntrySize
	if err = im.checkOverlap(0, off, n, false); err != nil {
		return block.Errnof(block.Errno(err), "Overlap check failed")
	}
	if err = im.file.Write(bg, off, encodeTable(r.table), 0); err != nil {
		return block.Errnof(block.Errno(err), "Failed to write the new reftable")
	}
	if err = im.refCache.flush(); err != nil {
		return block.Errnof(block.Errno(err), "Failed to flush the refblock cache")
	}
	oldTable, oldOff, oldOrder := im.refTable, im.refTableOffset, im.refOrder
	im.setRefTable(r.table, off)
	im.setRefOrder(order)
	if err = im.writeHeaderSync(); err != nil {
		im.setRefTable(oldTable, oldOff)
		im.setRefOrder(oldOrder)
		im.writeHeader()
		r.table, off = nil, 0 // nobody knows which header the medium has
		return block.Errnof(block.Errno(err), "Failed to update the qcow2 header")
	}
	im.freeRefStructures(oldTable, oldOff, int64(len(oldTable)))
	return nil
}

// freeRefStructures frees a refcount table and its blocks.
func (im *image) freeRefStructures(t []uint64, off, size int64) {
	for _, e := range t {
		if b := int64(e & rtOffsetMask); b != 0 {
			im.freeClusters(b, im.clusterSize, discardOther)
		}
	}
	if off > 0 {
		im.freeClusters(off, size*rtEntrySize, discardOther)
	}
}

// walk goes through all counts and calls end for each new block, which is nil if all its counts are 0.
func (r *reorder) walk(end func(index int64, b []byte) error, walk, walks int64, progress block.Progress) error {
	im := r.im
	buf := make([]byte, im.clusterSize)
	var pos, index int64
	empty := true
	finish := func() error {
		b := buf
		if empty {
			b = nil
		}
		err := end(index, b)
		clear(buf)
		pos, index, empty = 0, index+1, true
		return err
	}
	size := int64(len(im.refTable))
	for i := range size {
		progress(walk*size+i, walks*size)
		off, err := im.refBlockAt(i)
		if err != nil {
			return block.Errorf(unix.EIO, "Image is corrupt (unaligned refblock offset)")
		}
		var t *table
		if off != 0 {
			if t, err = im.refCache.get(off); err != nil {
				return block.Errnof(block.Errno(err), "Failed to retrieve refblock")
			}
		}
		err = r.convert(t, i, buf, &pos, &empty, finish)
		if t != nil {
			im.refCache.put(t)
		}
		if err != nil {
			return err
		}
	}
	if pos > 0 {
		if err := finish(); err != nil {
			return err
		}
	}
	progress((walk+1)*size, walks*size)
	return nil
}

// convert copies the counts of one old block (nil for one that does not exist).
func (r *reorder) convert(t *table, index int64, buf []byte, pos *int64, empty *bool, finish func() error) error {
	im := r.im
	for k := int64(0); k < im.refBlockSize; {
		if *pos == r.blockSize {
			if err := finish(); err != nil {
				return err
			}
		}
		if t == nil {
			n := min(im.refBlockSize-k, r.blockSize-*pos)
			k, *pos = k+n, *pos+n
			continue
		}
		v := refcountOf(im.refOrder, t.b, k)
		if width := 1 << r.order; width < 64 && v>>width != 0 {
			off := (index<<im.refBlockBits + k) << im.clusterBits
			return block.Errorf(unix.EINVAL, "Cannot decrease refcount entry width to %d bits: Cluster at offset %s has a refcount of %d", width, hex(off), v)
		}
		if v != 0 {
			setRefcount(r.order, buf, *pos, v)
			*empty = false
		}
		k, *pos = k+1, *pos+1
	}
	return nil
}

// alloc makes a new block.
func (r *reorder) alloc(index int64, b []byte) error {
	im := r.im
	if b == nil {
		return nil
	}
	if index >= int64(len(r.table)) {
		per := im.clusterSize / rtEntrySize
		size := (index + per) / per * per
		if size > maxRefTableSize/rtEntrySize {
			return block.Errorf(unix.ENOTSUP, "This operation would make the refcount table grow beyond the maximum size supported by QEMU, aborting")
		}
		r.table = append(r.table, make([]uint64, size-int64(len(r.table)))...)
	}
	if r.table[index] == 0 {
		off, err := im.allocClusters(im.clusterSize)
		if err != nil {
			return block.Errnof(block.Errno(err), "Failed to allocate refblock")
		}
		r.table[index], r.allocated = uint64(off), true
	}
	return nil
}

// flush writes a new block.
func (r *reorder) flush(index int64, b []byte) error {
	im := r.im
	if index >= int64(len(r.table)) || r.table[index] == 0 {
		return nil
	}
	if b == nil {
		b = make([]byte, im.clusterSize)
	}
	off := int64(r.table[index])
	if err := im.checkOverlap(0, off, im.clusterSize, false); err != nil {
		return block.Errnof(block.Errno(err), "Overlap check failed")
	}
	if err := im.file.Write(bg, off, b, 0); err != nil {
		return block.Errnof(block.Errno(err), "Failed to write refblock")
	}
	return nil
}
