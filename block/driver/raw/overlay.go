package raw

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"goemu/block"
	"goemu/block/driver/file"
)

// overlayBlock is the unit in which the overlay remembers what was written.
const overlayBlock = 4096

// defaultTempDir is where temporary files go without TMPDIR: they may be large and /tmp often lies in memory.
const defaultTempDir = "/var/tmp"

// Overlay is a disk that keeps all changes in a temporary sparse file, so that the disk below stays as it is (snapshot=on). The file
// has no name any more once it is open: it vanishes with the process, however that ends.
type Overlay struct {
	base   block.Disk
	temp   *file.File
	length int64

	written []atomic.Uint64 // one bit per block
	cow     sync.Mutex      // held while a block is copied up for a partial write
}

// NewOverlay puts an empty overlay over base and takes it over.
func NewOverlay(base block.Disk) (*Overlay, error) {
	length, err := base.Length()
	if err != nil {
		return nil, err
	}
	dir := os.Getenv("TMPDIR")
	if dir == "" {
		dir = defaultTempDir
	}
	tmp, err := os.CreateTemp(dir, "vl.")
	if err != nil {
		return nil, fmt.Errorf("Could not get temporary filename: %w", err)
	}
	tmp.Close()
	f, err := file.Open(file.Options{Filename: "file:" + tmp.Name(), NoFlush: true, Unmap: true, NoLock: true})
	os.Remove(tmp.Name())
	if err == nil {
		err = f.Truncate(length)
	}
	if err != nil {
		return nil, err
	}
	blocks := (length + overlayBlock - 1) / overlayBlock
	return &Overlay{base: base, temp: f, length: length, written: make([]atomic.Uint64, (blocks+63)/64)}, nil
}

func (o *Overlay) has(b int64) bool { return o.written[b/64].Load()&(1<<(b%64)) != 0 }

// mark sets the bits of the blocks first..last-1.
func (o *Overlay) mark(first, last int64) {
	for b := first; b < last; b++ {
		if !o.has(b) {
			o.written[b/64].Or(1 << (b % 64))
		}
	}
}

// run is the length of the range from off, at most n bytes, that lies in the same file as its first byte.
func (o *Overlay) run(off, n int64) (length int64, inTemp bool) {
	b := off / overlayBlock
	inTemp = o.has(b)
	end := b + 1
	for end*overlayBlock < off+n && o.has(end) == inTemp {
		end++
	}
	return min(end*overlayBlock-off, n), inTemp
}

func (o *Overlay) check(off, n int64) error {
	if off < 0 || n < 0 || off > o.length || n > o.length-off {
		return errOutOfBounds
	}
	return nil
}

// Length implements block.Disk.
func (o *Overlay) Length() (int64, error) { return o.length, nil }

// Info implements block.Disk.
func (o *Overlay) Info() block.Info {
	return block.Info{LogicalBlock: 1, WriteCache: true, CanDiscard: true, CanZero: true}
}

// ReadV implements block.Disk.
func (o *Overlay) ReadV(ctx context.Context, off int64, iov [][]byte) error {
	total := block.IovLen(iov)
	if err := o.check(off, total); err != nil {
		return err
	}
	var part [][]byte
	for done := int64(0); done < total; {
		n, inTemp := o.run(off+done, total-done)
		part = block.IovSlice(part, iov, done, n)
		var err error
		if inTemp {
			err = o.temp.ReadV(ctx, off+done, part)
		} else {
			err = o.base.ReadV(ctx, off+done, part)
		}
		if err != nil {
			return err
		}
		done += n
	}
	return nil
}

// WriteV implements block.Disk. Whole blocks are stored and then marked; blocks at the edges are copied up first.
func (o *Overlay) WriteV(ctx context.Context, off int64, iov [][]byte, _ bool) error {
	total := block.IovLen(iov)
	if err := o.check(off, total); err != nil || total == 0 {
		return err
	}
	if err := o.copyUp(ctx, off, total); err != nil {
		return err
	}
	if err := o.temp.WriteV(ctx, off, iov, false); err != nil {
		return err
	}
	o.mark(off/overlayBlock, (off+total+overlayBlock-1)/overlayBlock)
	return nil
}

// copyUp brings the blocks that the range covers only in part into the temporary file.
func (o *Overlay) copyUp(ctx context.Context, off, n int64) error {
	end := off + n
	if off%overlayBlock != 0 {
		if err := o.copyBlock(ctx, off/overlayBlock); err != nil {
			return err
		}
	}
	if end%overlayBlock != 0 && end != o.length {
		return o.copyBlock(ctx, end/overlayBlock)
	}
	return nil
}

func (o *Overlay) copyBlock(ctx context.Context, b int64) error {
	if o.has(b) {
		return nil
	}
	o.cow.Lock()
	defer o.cow.Unlock()
	if o.has(b) {
		return nil
	}
	off := b * overlayBlock
	buf := [][]byte{make([]byte, min(overlayBlock, o.length-off))}
	if err := o.base.ReadV(ctx, off, buf); err != nil {
		return err
	}
	if err := o.temp.WriteV(ctx, off, buf, false); err != nil {
		return err
	}
	o.mark(b, b+1)
	return nil
}

// Flush implements block.Disk: nothing needs to survive.
func (o *Overlay) Flush(context.Context) error { return nil }

// Discard implements block.Disk. The old contents stay, which a discard allows.
func (o *Overlay) Discard(_ context.Context, off, n int64) error { return o.check(off, n) }

// WriteZeroes implements block.Disk: whole blocks become holes of the temporary file.
func (o *Overlay) WriteZeroes(ctx context.Context, off, n int64, _, _ bool) error {
	if err := o.check(off, n); err != nil || n == 0 {
		return err
	}
	if err := o.copyUp(ctx, off, n); err != nil {
		return err
	}
	if err := o.temp.WriteZeroes(ctx, off, n, true, false); err != nil {
		return err
	}
	o.mark(off/overlayBlock, (off+n+overlayBlock-1)/overlayBlock)
	return nil
}

// SetWriteCache implements block.Disk: the temporary file is never flushed.
func (o *Overlay) SetWriteCache(bool) {}

// Attach implements block.Attacher: the disk below is only read, and nobody may change it meanwhile.
func (o *Overlay) Attach(_, _ block.Perm) error {
	return block.Attach(o.base, block.PermConsistentRead, block.PermConsistentRead|block.PermWriteUnchanged)
}

// Detach implements block.Attacher.
func (o *Overlay) Detach() { block.Detach(o.base) }

// Close implements block.Disk.
func (o *Overlay) Close() error {
	err := o.temp.Close()
	if e := o.base.Close(); err == nil {
		err = e
	}
	return err
}
