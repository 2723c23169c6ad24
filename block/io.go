package block

import (
	"context"

	"golang.org/x/sys/unix"
)

// tracker counts the requests in flight of a node.
type tracker struct{}

// readV reads a vector.
func (n *Node) readV(ctx context.Context, off int64, iov [][]byte, fl Flags) error {
	r, ok := n.state.(Reader)
	if !ok {
		return unix.ENOTSUP
	}
	return r.ReadV(ctx, off, iov, fl)
}

func (n *Node) writeV(ctx context.Context, off int64, iov [][]byte, fl Flags) error {
	w, ok := n.state.(Writer)
	if !ok {
		return unix.ENOTSUP
	}
	if n.hasReadOnlyBitmaps() {
		return unix.EPERM
	}
	defer n.recordDirty(off, IovLen(iov))
	defer n.grew(off + IovLen(iov))
	if err := w.WriteV(ctx, off, iov, fl&n.limits.WriteFlags); err != nil {
		return err
	}
	if fl&FUA != 0 && n.limits.WriteFlags&FUA == 0 {
		return n.flush(ctx)
	}
	return nil
}

func (n *Node) writeZeroes(ctx context.Context, off, length int64, fl Flags) error {
	if n.hasReadOnlyBitmaps() {
		return unix.EPERM
	}
	defer n.recordDirty(off, length)
	defer n.grew(off + length)
	if z, ok := n.state.(ZeroWriter); ok {
		if err := z.WriteZeroes(ctx, off, length, fl&n.limits.ZeroFlags); !IsNotSup(err) {
			return err
		}
	}
	if fl&NoFallback != 0 {
		return unix.ENOTSUP
	}
	zeroes := make([]byte, min(length, 1<<20))
	for length > 0 {
		k := min(length, int64(len(zeroes)))
		if err := n.writeV(ctx, off, [][]byte{zeroes[:k]}, fl&FUA); err != nil {
			return err
		}
		off, length = off+k, length-k
	}
	return nil
}

func (n *Node) discard(ctx context.Context, off, length int64) error {
	if n.hasReadOnlyBitmaps() {
		return unix.EPERM
	}
	defer n.recordDirty(off, length)
	if d, ok := n.state.(Discarder); ok && n.mode.Unmap {
		if err := d.Discard(ctx, off, length); !IsNotSup(err) {
			return err
		}
	}
	return nil
}

func (n *Node) flush(ctx context.Context) error {
	if f, ok := n.state.(Flusher); ok {
		if err := f.FlushToOS(ctx); err != nil {
			return err
		}
	}
	if n.mode.NoFlush {
		return nil
	}
	if f, ok := n.state.(DiskFlusher); ok {
		if err := f.FlushToDisk(ctx); err != nil {
			return err
		}
	}
	for _, c := range n.children {
		if err := c.node.flush(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) truncate(ctx context.Context, length int64, exact bool, p Prealloc, zero bool) error {
	t, ok := n.state.(Truncater)
	if !ok {
		return Errorf(unix.ENOTSUP, "Image format driver does not support resize")
	}
	if err := t.Truncate(ctx, length, exact, p, zero); err != nil {
		return err
	}
	if err := n.refreshLength(ctx); err != nil {
		return Errnof(Errno(err), "Could not refresh total sector count")
	}
	n.truncateBitmaps(n.length.Load())
	return nil
}

// Length is the node's length in bytes: a multiple of 512.
func (n *Node) Length(ctx context.Context) (int64, error) {
	if n.limits.HasVariableLength {
		if err := n.refreshLength(ctx); err != nil {
			return 0, err
		}
	}
	return n.length.Load(), nil
}

// tryReadV reads without waiting, if the driver can.
func (n *Node) tryReadV(off int64, iov [][]byte) bool {
	t, ok := n.state.(TryReader)
	return ok && t.TryReadV(off, iov)
}

// BlockStatus tells how the range from off looks in this node alone: at most length bytes, at least one unless at the end.
func (n *Node) BlockStatus(ctx context.Context, wantZero bool, off, length int64) (Status, error) {
	if b, ok := n.state.(BlockStatuser); ok {
		return b.BlockStatus(ctx, wantZero, off, length)
	}
	return Status{Flags: StatusData | StatusAllocated, N: length}, nil
}

// sectorSize is the unit of lengths.
const sectorSize = 512

// refreshLength asks the driver for the length.
func (n *Node) refreshLength(ctx context.Context) error {
	length := int64(0)
	var err error
	switch l, ok := n.state.(Lengther); {
	case ok:
		length, err = l.Length(ctx)
	case n.Primary() != nil:
		length, err = n.Primary().node.Length(ctx)
	case n.Child("file") != nil:
		length, err = n.Child("file").node.Length(ctx)
	}
	if err != nil {
		return err
	}
	if length < 0 || length > 1<<63-sectorSize {
		return unix.EFBIG
	}
	n.length.Store((length + sectorSize - 1) &^ (sectorSize - 1))
	return nil
}

// refreshLimits asks the driver for its limits, after filling in what the children imply.
func (n *Node) refreshLimits() error {
	l := Limits{RequestAlign: 1, MaxIOV: 1024, MemAlign: 512}
	if n.driver.isFormat() {
		l.RequestAlign = sectorSize
	}
	for _, c := range n.children {
		if c.role&(RoleData|RoleFiltered|RoleCOW) != 0 {
			l.inherit(&c.node.limits)
		}
	}
	if r, ok := n.state.(Limiter); ok {
		if err := r.RefreshLimits(&l); err != nil {
			return err
		}
	}
	n.limits = l
	return nil
}

// inherit makes limits at least as strict as those of a child.
func (l *Limits) inherit(c *Limits) {
	l.OptTransfer = max(l.OptTransfer, c.OptTransfer)
	if c.MaxTransfer != 0 && (l.MaxTransfer == 0 || c.MaxTransfer < l.MaxTransfer) {
		l.MaxTransfer = c.MaxTransfer
	}
	l.MemAlign = max(l.MemAlign, c.MemAlign)
	if c.MaxIOV != 0 {
		l.MaxIOV = min(l.MaxIOV, c.MaxIOV)
	}
}

// grew notes that the node reaches at least to end after a write there.
func (n *Node) grew(end int64) {
	end = (end + sectorSize - 1) &^ (sectorSize - 1)
	for {
		length := n.length.Load()
		if end <= length || n.length.CompareAndSwap(length, end) {
			return
		}
	}
}
