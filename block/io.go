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
	if got, err := n.Length(ctx); err == nil {
		n.truncateBitmaps(got)
	}
	return nil
}

// Length is the node's length in bytes.
func (n *Node) Length(ctx context.Context) (int64, error) {
	if l, ok := n.state.(Lengther); ok {
		return l.Length(ctx)
	}
	if c := n.Child("file"); c != nil {
		return c.node.Length(ctx)
	}
	return 0, unix.ENOTSUP
}

// BlockStatus tells how the range from off looks in this node alone: at most length bytes, at least one unless at the end.
func (n *Node) BlockStatus(ctx context.Context, wantZero bool, off, length int64) (Status, error) {
	if b, ok := n.state.(BlockStatuser); ok {
		return b.BlockStatus(ctx, wantZero, off, length)
	}
	return Status{Flags: StatusData | StatusAllocated, N: length}, nil
}
