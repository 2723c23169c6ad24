package block

import (
	"context"

	"golang.org/x/sys/unix"
)

// begin starts a request for data: it waits for the end of a drained section and, if need be, for the limits of the throttle group. As in
// QEMU nothing else waits for limits. The request goes on with the context returned.
func (b *Backend) begin(ctx context.Context, n int64, write bool) (context.Context, error) {
	ctx = b.urgent(ctx)
	if t := b.throttle.Load(); t != nil {
		if err := t.Wait(ctx, n, write); err != nil {
			return ctx, err
		}
	}
	b.gate.enter()
	return ctx, nil
}

// check refuses requests without medium or outside the disk.
func (b *Backend) check(ctx context.Context, off, n int64) error {
	if b.root == nil {
		return unix.ENOMEDIUM
	}
	if b.beyondEOF {
		return checkRange(off, n)
	}
	length, err := b.root.Length(ctx)
	if err != nil {
		return err
	}
	if off < 0 || n < 0 || off > length || n > length-off {
		return unix.EIO
	}
	return nil
}

// Read fills b from off.
func (b *Backend) Read(ctx context.Context, off int64, p []byte) error {
	return b.ReadV(ctx, off, [][]byte{p}, 0)
}

// ReadV fills a vector from off.
func (b *Backend) ReadV(ctx context.Context, off int64, iov [][]byte, fl Flags) error {
	ctx, err := b.begin(ctx, IovLen(iov), false)
	if err != nil {
		return err
	}
	defer b.gate.exit()
	if err := b.check(ctx, off, IovLen(iov)); err != nil {
		return err
	}
	return b.root.ReadV(ctx, off, iov, fl)
}

// Write writes p at off.
func (b *Backend) Write(ctx context.Context, off int64, p []byte, fl Flags) error {
	return b.WriteV(ctx, off, [][]byte{p}, fl)
}

// WriteV writes a vector at off.
func (b *Backend) WriteV(ctx context.Context, off int64, iov [][]byte, fl Flags) error {
	ctx, err := b.begin(ctx, IovLen(iov), true)
	if err != nil {
		return err
	}
	defer b.gate.exit()
	if err := b.check(ctx, off, IovLen(iov)); err != nil {
		return err
	}
	if b.writeThrough.Load() {
		fl |= FUA
	}
	return b.root.WriteV(ctx, off, iov, fl)
}

// WriteZeroes makes n bytes at off read as zeroes.
func (b *Backend) WriteZeroes(ctx context.Context, off, n int64, fl Flags) error {
	ctx, err := b.begin(ctx, n, true)
	if err != nil {
		return err
	}
	defer b.gate.exit()
	if err := b.check(ctx, off, n); err != nil {
		return err
	}
	if b.writeThrough.Load() {
		fl |= FUA
	}
	return b.root.WriteZeroes(ctx, off, n, fl)
}

// Discard gives n bytes at off back.
func (b *Backend) Discard(ctx context.Context, off, n int64) error {
	b.gate.enter()
	defer b.gate.exit()
	if err := b.check(ctx, off, n); err != nil {
		return err
	}
	return b.root.Discard(b.urgent(ctx), off, n)
}

// Flush makes everything written so far durable.
func (b *Backend) Flush(ctx context.Context) error {
	b.gate.enter()
	defer b.gate.exit()
	if b.root == nil {
		return unix.ENOMEDIUM
	}
	return b.root.Flush(ctx)
}

// Truncate changes the length of the medium.
func (b *Backend) Truncate(ctx context.Context, n int64, exact bool, p Prealloc, zero bool) error {
	b.gate.enter()
	defer b.gate.exit()
	if b.root == nil {
		return Errorf(unix.ENOMEDIUM, "No medium inserted")
	}
	return b.root.Truncate(ctx, n, exact, p, zero)
}

// Length is the length of the medium in bytes.
func (b *Backend) Length(ctx context.Context) (int64, error) {
	if b.root == nil {
		return 0, unix.ENOMEDIUM
	}
	return b.root.Length(ctx)
}

// SetWriteCache says whether writes may stay in caches until a flush.
func (b *Backend) SetWriteCache(on bool) { b.writeThrough.Store(!on) }

// WriteCache tells whether writes may stay in caches until a flush.
func (b *Backend) WriteCache() bool { return !b.writeThrough.Load() }

// AllowBeyondEOF lets requests reach beyond the end of the medium, which then grows if its driver lets it.
func (b *Backend) AllowBeyondEOF(on bool) { b.beyondEOF = on }

// TryReadV fills a vector from off if that takes no waiting; after false the vector's content is undefined.
func (b *Backend) TryReadV(off int64, iov [][]byte) bool {
	if b.throttle.Load() != nil || !b.gate.tryEnter() {
		return false
	}
	defer b.gate.exit()
	return b.check(context.Background(), off, IovLen(iov)) == nil && b.root.TryReadV(off, iov)
}

// TryWriteV writes a vector at off if nothing makes it wait but, perhaps, the node; after false the range's content is undefined.
func (b *Backend) TryWriteV(off int64, iov [][]byte) bool {
	if b.limited() || !b.gate.tryEnter() {
		return false
	}
	defer b.gate.exit()
	fl := Flags(0)
	if b.writeThrough.Load() {
		fl = FUA
	}
	ctx := context.Background()
	return b.check(ctx, off, IovLen(iov)) == nil && b.root.WriteV(ctx, off, iov, fl) == nil
}

// WriteCompressed writes one cluster compressed.
func (b *Backend) WriteCompressed(ctx context.Context, off int64, iov [][]byte) error {
	return b.WriteV(ctx, off, iov, Compressed)
}

// LoadVMState reads what SaveVMState stored.
func (b *Backend) LoadVMState(ctx context.Context, off int64, iov [][]byte) error {
	b.gate.enter()
	defer b.gate.exit()
	if b.root == nil {
		return unix.ENOMEDIUM
	}
	return b.root.node.LoadVMState(ctx, off, iov)
}

// SaveVMState stores bytes beside the disk's content.
func (b *Backend) SaveVMState(ctx context.Context, off int64, iov [][]byte) error {
	b.gate.enter()
	defer b.gate.exit()
	if b.root == nil {
		return unix.ENOMEDIUM
	}
	err := b.root.node.SaveVMState(ctx, off, iov)
	if err == nil && b.writeThrough.Load() {
		err = b.root.node.flush(ctx)
	}
	return err
}

// CopyRange copies inside the host from this backend to another one; ENOTSUP means that it must be done by reading and writing.
func (b *Backend) CopyRange(ctx context.Context, off int64, to *Backend, toOff, n int64) error {
	ctx, err := b.begin(ctx, n, false)
	if err != nil {
		return err
	}
	defer b.gate.exit()
	if _, err := to.begin(ctx, n, true); err != nil {
		return err
	}
	defer to.gate.exit()
	if err := b.check(ctx, off, n); err != nil {
		return err
	}
	if err := to.check(ctx, toOff, n); err != nil {
		return err
	}
	fl := Flags(0)
	if to.writeThrough.Load() {
		fl = FUA
	}
	return CopyRange(ctx, b.root, off, to.root, toOff, n, fl)
}

// StatusAbove is Node.StatusAbove of the root.
func (b *Backend) StatusAbove(ctx context.Context, base *Node, includeBase, wantZero bool, off, n int64) (Status, int, error) {
	if b.root == nil {
		return Status{}, 0, unix.ENOMEDIUM
	}
	return b.root.node.StatusAbove(ctx, base, includeBase, wantZero, off, n)
}

// RequestAlign is the alignment of requests that need no read-modify-write.
func (b *Backend) RequestAlign() int64 {
	if b.root == nil {
		return sectorSize
	}
	return b.root.node.align()
}

// MaxTransfer is the longest request that is not split.
func (b *Backend) MaxTransfer() int64 {
	if b.root == nil {
		return maxRequest
	}
	return b.root.node.transferMax()
}

// Root is the edge to the medium, or nil.
func (b *Backend) Root() *Child { return b.root }

// ReadOnly tells whether the medium refuses writes; without medium it does.
func (b *Backend) ReadOnly() bool { return b.root == nil || b.root.node.mode.ReadOnly }
