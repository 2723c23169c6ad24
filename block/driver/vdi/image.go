package vdi

import (
	"context"
	"sync"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// image is the state of an open image.
type image struct {
	node *block.Node
	file *block.Child

	mu     sync.RWMutex // held for writing while a block gets its place
	h      header       // guarded by mu
	stored []byte       // the header as it is stored; guarded by mu
	m      []byte       // the map as it is stored; guarded by mu

	// Sectors of the map that are not written yet; the header is not either if there are any. Guarded by mu.
	dirtyFrom, dirtyTo int64
}

// entry is where a block is: its number among the blocks in the file, or discarded or unallocated.
// Preconditions: mu is held.
func (im *image) entry(i uint32) uint32 {
	at := int64(i) * entryLen
	if at+entryLen > int64(len(im.m)) {
		return 0 // behind the end of the file
	}
	return le.Uint32(im.m[at:])
}

// place is the position of a byte in the file, or false if it has none and reads as zero.
// Preconditions: mu is held.
func (im *image) place(off int64) (int64, bool) {
	e := im.entry(uint32(off / blockSize))
	return im.h.dataOffset + int64(e)*blockSize + off%blockSize, e < discarded
}

// ReadV implements block.Reader.
func (im *image) ReadV(ctx context.Context, off int64, iov [][]byte, _ block.Flags) error {
	return block.IovPieces(off, blockSize, iov, func(off int64, part [][]byte) error {
		im.mu.RLock()
		pos, ok := im.place(off)
		im.mu.RUnlock()
		if !ok {
			block.IovZero(part)
			return nil
		}
		return im.file.ReadV(ctx, pos, part, 0)
	})
}

// WriteV implements block.Writer.
func (im *image) WriteV(ctx context.Context, off int64, iov [][]byte, _ block.Flags) error {
	added := false
	err := block.IovPieces(off, blockSize, iov, func(off int64, part [][]byte) error {
		im.mu.RLock()
		pos, ok := im.place(off)
		im.mu.RUnlock()
		if !ok {
			var err error
			if pos, ok, err = im.add(ctx, off, part); err != nil || !ok {
				added = added || err == nil
				return err
			}
		}
		return im.file.WriteV(ctx, pos, part, 0)
	})
	if err == nil && added {
		err = im.FlushToOS(ctx)
	}
	return err
}

// add gives a block its place, with data at off and zeroes around it. If somebody else was faster, it tells the data's position.
func (im *image) add(ctx context.Context, off int64, part [][]byte) (pos int64, there bool, err error) {
	im.mu.Lock()
	defer im.mu.Unlock()
	if pos, there = im.place(off); there {
		return pos, true, nil
	}
	if im.h.allocated >= im.h.blocks { // the header lies
		return 0, false, unix.ENOSPC
	}
	b := block.AlignedBuffer(blockSize)
	block.IovGather(b[off%blockSize:], part)
	if err := im.file.Write(ctx, im.h.dataOffset+int64(im.h.allocated)*blockSize, b, 0); err != nil {
		return 0, false, err
	}
	i := off / blockSize
	le.PutUint32(im.m[i*entryLen:], im.h.allocated)
	im.h.allocated++
	s := i / entriesPerSector
	if im.dirtyTo == 0 {
		im.dirtyFrom = s
	}
	im.dirtyFrom, im.dirtyTo = min(im.dirtyFrom, s), max(im.dirtyTo, s+1)
	return 0, false, nil
}

// FlushToOS implements block.Flusher: it writes the header and what changed in the map, in this order, so that an interruption makes the
// next block that is added not overwrite one that the map names.
func (im *image) FlushToOS(ctx context.Context) error {
	im.mu.Lock()
	defer im.mu.Unlock()
	if im.dirtyTo == 0 {
		return nil
	}
	le.PutUint32(im.stored[hdrAllocated:], im.h.allocated)
	if err := im.file.Write(ctx, 0, im.stored, 0); err != nil {
		return err
	}
	from, to := im.dirtyFrom*sectorSize, im.dirtyTo*sectorSize
	if err := im.file.Write(ctx, im.h.mapOffset+from, im.m[from:to], 0); err != nil {
		return err
	}
	im.dirtyFrom, im.dirtyTo = 0, 0
	return nil
}

// BlockStatus implements block.BlockStatuser. Neighbours that look alike are told together.
func (im *image) BlockStatus(_ context.Context, _ bool, off, n int64) (block.Status, error) {
	im.mu.RLock()
	defer im.mu.RUnlock()
	pos, ok := im.place(off)
	s := block.Status{Flags: block.StatusZero, N: min(n, blockSize-off%blockSize)}
	if ok {
		s.Flags, s.Offset, s.File = block.StatusData|block.StatusOffsetValid, pos, im.file.Node()
		if im.h.static {
			s.Flags |= block.StatusRecurse
		}
	}
	for s.N < n {
		next, more := im.place(off + s.N)
		if more != ok || ok && next != pos+s.N {
			break
		}
		s.N = min(n, s.N+blockSize)
	}
	return s, nil
}
