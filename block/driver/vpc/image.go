package vpc

import (
	"bytes"
	"context"
	"sync"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// image is the state of an open image. What is not guarded by mu changes only while nobody uses the image.
type image struct {
	node *block.Node
	file *block.Child
	rule sizeRule

	footer  []byte
	sectors int64 // of the disk
	fixed   bool  // the file is the disk, with the footer behind it

	// Of an image that grows.
	blockSize, bitmapLen int64
	tableAt              int64

	mu    sync.RWMutex
	table []byte         // as it is stored; guarded by mu
	end   int64          // of the last block: there is the footer, and the next block comes there; guarded by mu
	whole map[int64]bool // blocks whose bitmap says that all sectors are used; guarded by mu
}

// entry is the sector in the file at which a block begins, or unallocated.
// Preconditions: mu is held.
func (im *image) entry(i int64) uint32 {
	if i*4+4 > int64(len(im.table)) {
		return unallocated
	}
	return be.Uint32(im.table[i*4:])
}

// place is the position of a byte in the file, or false if it has none and reads as zero.
// Preconditions: mu is held.
func (im *image) place(off int64) (int64, bool) {
	e := im.entry(off / im.blockSize)
	return int64(e)*sectorSize + im.bitmapLen + off%im.blockSize, e != unallocated
}

// ReadV implements block.Reader.
func (im *image) ReadV(ctx context.Context, off int64, iov [][]byte, _ block.Flags) error {
	if im.fixed {
		return im.file.ReadV(ctx, off, iov, 0)
	}
	return block.IovPieces(off, im.blockSize, iov, func(off int64, part [][]byte) error {
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
	if im.fixed {
		return im.file.WriteV(ctx, off, iov, 0)
	}
	return block.IovPieces(off, im.blockSize, iov, func(off int64, part [][]byte) error {
		im.mu.RLock()
		pos, ok := im.place(off)
		ok = ok && im.whole[off/im.blockSize]
		im.mu.RUnlock()
		if !ok {
			var err error
			if pos, err = im.prepare(ctx, off); err != nil {
				return err
			}
		}
		return im.file.WriteV(ctx, pos, part, 0)
	})
}

// prepare makes a block writable, and returns the position of off: it gets its place if it has none, and all its sectors are marked as
// used, as readers that look at the marks must not take the others for the content of a parent.
func (im *image) prepare(ctx context.Context, off int64) (int64, error) {
	im.mu.Lock()
	defer im.mu.Unlock()
	i := off / im.blockSize
	_, there := im.place(off)
	at := int64(im.entry(i)) * sectorSize
	if !there {
		at = im.end
	}
	if !there || !im.whole[i] {
		if err := im.file.Write(ctx, at, bytes.Repeat([]byte{0xff}, int(im.bitmapLen)), 0); err != nil {
			return 0, err
		}
	}
	if !there {
		if err := im.append(ctx, i); err != nil {
			return 0, err
		}
	}
	im.whole[i] = true
	pos, _ := im.place(off)
	return pos, nil
}

// append gives a block the place at the end of the file, whose bitmap is written: the footer moves behind it, then the table names it.
// Preconditions: mu is held.
func (im *image) append(ctx context.Context, i int64) error {
	if i*4+4 > int64(len(im.table)) || im.end/sectorSize >= unallocated {
		return unix.EINVAL
	}
	end := im.end + im.bitmapLen + im.blockSize
	if err := im.file.Write(ctx, end, im.footer, 0); err != nil {
		return err
	}
	if err := im.file.Flush(ctx); err != nil {
		return err
	}
	e := be.AppendUint32(nil, uint32(im.end/sectorSize))
	if err := im.file.Write(ctx, im.tableAt+i*4, e, 0); err != nil {
		return err
	}
	copy(im.table[i*4:], e)
	im.end = end
	return nil
}

// BlockStatus implements block.BlockStatuser. There is a bitmap between two blocks, so what is stored is told block by block.
func (im *image) BlockStatus(_ context.Context, _ bool, off, n int64) (block.Status, error) {
	if im.fixed {
		return block.Status{Flags: block.StatusData | block.StatusOffsetValid | block.StatusRecurse, N: n, Offset: off, File: im.file.Node()}, nil
	}
	im.mu.RLock()
	defer im.mu.RUnlock()
	k := min(n, im.blockSize-off%im.blockSize)
	if pos, ok := im.place(off); ok {
		return block.Status{Flags: block.StatusData | block.StatusOffsetValid, N: k, Offset: pos, File: im.file.Node()}, nil
	}
	for k < n {
		if _, ok := im.place(off + k); ok {
			break
		}
		k = min(n, k+im.blockSize)
	}
	return block.Status{Flags: block.StatusZero, N: k}, nil
}
