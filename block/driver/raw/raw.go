// Package raw is the format driver for images without a format: byte n of the disk is byte n of the file. It also holds the temporary
// overlay that snapshot=on puts over a disk. It knows no device and opens no file itself.
package raw

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"goemu/block"
	"goemu/block/driver/file"
)

// sectorSize is the unit in which disk sizes are rounded up.
const sectorSize = 512

// errOutOfBounds is a request beyond the end of the disk.
var errOutOfBounds error = unix.EIO

// Options select a part of the file and the treatment of its first sector.
type Options struct {
	Offset   int64
	Size     int64 // 0: up to the end of the file
	ReadOnly bool
	// Probed says that nobody asked for the raw format by name. The guest then must not make the image look like another format, which
	// would be recognised when the image is opened again.
	Probed bool
	// DetectZeroes turns writes of zeroes into WriteZeroes; DetectUnmap lets those give space back.
	DetectZeroes, DetectUnmap bool
	// WriteThrough makes every write durable before it completes.
	WriteThrough bool
}

// Disk is an open raw image.
type Disk struct {
	file         *file.File
	opts         Options
	writeThrough atomic.Bool
}

// New makes a disk of an open file, which it closes with itself. Error texts are QEMU's.
func New(f *file.File, o Options) (*Disk, error) {
	real := f.Length()
	switch {
	case o.Offset > real:
		return nil, fmt.Errorf("Offset (%d) cannot be greater than size of the containing file (%d)", o.Offset, real)
	case o.Size != 0 && o.Size > real-o.Offset:
		return nil, fmt.Errorf("The sum of offset (%d) and size (%d) has to be smaller or equal to the  actual size of the containing file (%d)",
			o.Offset, o.Size, real)
	case o.Size%sectorSize != 0:
		return nil, fmt.Errorf("Specified size is not multiple of %d", sectorSize)
	}
	d := &Disk{file: f, opts: o}
	d.writeThrough.Store(o.WriteThrough)
	return d, nil
}

// Length implements block.Disk: the size is rounded up to whole sectors, the rest of the last one reads as zero.
func (d *Disk) Length() (int64, error) {
	n := d.opts.Size
	if n == 0 {
		n = d.file.Length() - d.opts.Offset
	}
	return (n + sectorSize - 1) &^ (sectorSize - 1), nil
}

// Info implements block.Disk.
func (d *Disk) Info() block.Info {
	return block.Info{
		ReadOnly:     d.opts.ReadOnly || d.file.ReadOnly(),
		LogicalBlock: int(max(d.file.Align(), 1)),
		WriteCache:   !d.writeThrough.Load(),
		CanDiscard:   d.file.CanUnmap(),
		CanZero:      true,
	}
}

// check bounds a request and returns its place in the file.
func (d *Disk) check(off, n int64) (int64, error) {
	length, err := d.Length()
	switch {
	case err != nil:
		return 0, err
	case off < 0 || n < 0 || off > length || n > length-off:
		return 0, errOutOfBounds
	}
	return off + d.opts.Offset, nil
}

// checkWrite is check for requests that change the disk.
func (d *Disk) checkWrite(off, n int64) (int64, error) {
	if d.opts.ReadOnly {
		return 0, block.ErrReadOnly
	}
	return d.check(off, n)
}

// ReadV implements block.Disk.
func (d *Disk) ReadV(ctx context.Context, off int64, iov [][]byte) error {
	pos, err := d.check(off, block.IovLen(iov))
	if err != nil {
		return err
	}
	return d.file.ReadV(ctx, pos, iov)
}

// TryReadV implements block.TryReader.
func (d *Disk) TryReadV(off int64, iov [][]byte) bool {
	pos, err := d.check(off, block.IovLen(iov))
	return err == nil && d.file.TryReadV(pos, iov)
}

// WriteV implements block.Disk.
func (d *Disk) WriteV(ctx context.Context, off int64, iov [][]byte, fua bool) error {
	pos, err := d.checkWrite(off, block.IovLen(iov))
	if err != nil {
		return err
	}
	if d.opts.Probed && off < guardSize {
		if err := guard(off, iov); err != nil {
			return err
		}
	}
	fua = fua || d.writeThrough.Load()
	if d.opts.DetectZeroes && allZero(iov) {
		return d.file.WriteZeroes(ctx, pos, block.IovLen(iov), d.opts.DetectUnmap, fua)
	}
	return d.file.WriteV(ctx, pos, iov, fua)
}

// allZero tells whether a vector holds nothing but zeroes.
func allZero(iov [][]byte) bool {
	for _, b := range iov {
		for len(b) > 0 {
			n := min(len(b), len(zeroes))
			if !bytes.Equal(b[:n], zeroes[:n]) {
				return false
			}
			b = b[n:]
		}
	}
	return true
}

var zeroes [4096]byte

// guard refuses a write that would give a probed image the beginning of another format.
func guard(off int64, iov [][]byte) error {
	var head [guardSize]byte
	if off != 0 || block.IovGather(head[:], iov) < guardSize {
		return unix.EINVAL
	}
	if Probe(head[:]) != "raw" {
		return unix.EPERM
	}
	return nil
}

// Flush implements block.Disk.
func (d *Disk) Flush(ctx context.Context) error {
	return d.file.Flush(ctx)
}

// Discard implements block.Disk.
func (d *Disk) Discard(ctx context.Context, off, n int64) error {
	pos, err := d.checkWrite(off, n)
	if err != nil {
		return err
	}
	return d.file.Discard(ctx, pos, n)
}

// WriteZeroes implements block.Disk.
func (d *Disk) WriteZeroes(ctx context.Context, off, n int64, mayUnmap, fua bool) error {
	pos, err := d.checkWrite(off, n)
	if err != nil {
		return err
	}
	return d.file.WriteZeroes(ctx, pos, n, mayUnmap, fua || d.writeThrough.Load())
}

// SetWriteCache implements block.Disk.
func (d *Disk) SetWriteCache(on bool) { d.writeThrough.Store(!on) }

// Attach implements block.Attacher.
func (d *Disk) Attach(used, shared block.Perm) error {
	if d.opts.ReadOnly && used&block.PermWrite != 0 {
		return errors.New("Block node is read-only")
	}
	return d.file.Attach(used, shared)
}

// Detach implements block.Attacher.
func (d *Disk) Detach() { d.file.Detach() }

// Close implements block.Disk.
func (d *Disk) Close() error { return d.file.Close() }
