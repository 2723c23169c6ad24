package block

import (
	"context"

	"golang.org/x/sys/unix"
)

// EnableCopyOnRead makes reads of what the node's backing file holds store it in the node; DisableCopyOnRead ends that. Calls nest.
func (n *Node) EnableCopyOnRead() { n.copyOnRead.Add(1) }

// CopiesOnRead tells whether reads store what the node's backing file holds.
func (n *Node) CopiesOnRead() bool { return n.copyOnRead.Load() > 0 }

// DisableCopyOnRead undoes one EnableCopyOnRead.
func (n *Node) DisableCopyOnRead() { n.copyOnRead.Add(-1) }

// readCopying reads a range in whole clusters and stores those that the node does not have yet.
// Preconditions: the request excludes others from the clusters.
func (n *Node) readCopying(ctx context.Context, off, total int64, iov [][]byte, fl Flags) error {
	size := n.clusterSize()
	pos, end := alignDown(off, size), alignUp(off+total, size)
	length, err := n.Length(ctx)
	if err != nil {
		return err
	}
	end = min(end, alignUp(length, n.align()))
	limit := n.transferMax()
	var part [][]byte
	put := func(at int64, b []byte) { // copies to the caller what it asked for
		if from, to := max(at, off), min(at+int64(len(b)), off+total); fl&Prefetch == 0 && from < to {
			part = IovSlice(part, iov, from-off, to-from)
			IovScatter(part, b[from-at:to-at])
		}
	}
	writable := n.canWrite() == nil
	for pos < end {
		k := min(end-pos, limit)
		allocated, num, err := n.IsAllocated(ctx, pos, k)
		if err != nil || !writable {
			allocated, num = !writable, k // a read will fail too, with a better error
		}
		if num == 0 {
			break
		}
		k = min(k, num)
		if !allocated {
			k = min(k, maxBounce)
			buf := alignedBuffer(k)
			if err := n.driverRead(ctx, pos, [][]byte{buf}, 0); err != nil {
				return err
			}
			if err := n.storeCopy(ctx, pos, buf); err != nil {
				return err
			}
			put(pos, buf)
		} else if from, to := max(pos, off), min(pos+k, off+total); fl&Prefetch == 0 && from < to {
			part = IovSlice(part, iov, from-off, to-from)
			if err := n.driverRead(ctx, from, part, 0); err != nil {
				return err
			}
		}
		pos += k
	}
	if fl&Prefetch == 0 && end < off+total {
		IovZero(IovSlice(part, iov, max(end-off, 0), off+total-max(end, off)))
	}
	return nil
}

// storeCopy writes a cluster that was read from below.
func (n *Node) storeCopy(ctx context.Context, off int64, b []byte) error {
	n.debugEvent("cor_write")
	if n.canZero() && isZero([][]byte{b}) {
		return n.zeroAligned(ctx, off, int64(len(b)), Unchanged|ZeroWrite)
	}
	return n.driverWrite(ctx, off, [][]byte{b}, Unchanged)
}

// RangeMapper is a format that hands byte ranges through to a child as they are (raw): CopyRange then works on the child.
type RangeMapper interface {
	MapRange(off, n int64) (c *Child, childOff int64, err error)
}

// CopyRange copies inside the host from one child to another, whose nodes may be the same; ENOTSUP means that it must be done by reading
// and writing.
func CopyRange(ctx context.Context, src *Child, srcOff int64, dst *Child, dstOff, length int64, fl Flags) error {
	if err := checkRange(srcOff, length); err != nil {
		return err
	}
	if err := checkRange(dstOff, length); err != nil {
		return err
	}
	if length == 0 {
		return nil
	}
	from, to := src.node, dst.node
	if (srcOff|length)&(from.align()-1) != 0 || (dstOff|length)&(to.align()-1) != 0 {
		return unix.ENOTSUP
	}
	read := from.tracker.begin(reqRead, srcOff, length)
	defer from.tracker.end(read)
	from.tracker.waitFor(read)
	if m, ok := from.state.(RangeMapper); ok {
		c, off, err := m.MapRange(srcOff, length)
		if err != nil {
			return err
		}
		return CopyRange(ctx, c, off, dst, dstOff, length, fl)
	}
	if f := from.Filtered(); f != nil {
		if _, reads := from.state.(Reader); !reads {
			return CopyRange(ctx, f, srcOff, dst, dstOff, length, fl)
		}
	}
	return to.copyRangeTo(ctx, src, srcOff, dstOff, length, fl)
}

// copyRangeTo is the writing side of CopyRange.
func (n *Node) copyRangeTo(ctx context.Context, src *Child, srcOff, dstOff, length int64, fl Flags) error {
	m, maps := n.state.(RangeMapper)
	r, copies := n.state.(CopyRanger)
	if !maps && !copies {
		return unix.ENOTSUP
	}
	q := n.tracker.begin(reqWrite, dstOff, length)
	defer n.tracker.end(q)
	if err := n.prepareWrite(ctx, q, dstOff, length, fl); err != nil {
		return err
	}
	var err error
	if maps {
		c, off, mapErr := m.MapRange(dstOff, length)
		if mapErr != nil {
			return mapErr
		}
		err = c.node.copyRangeTo(ctx, src, srcOff, off, length, fl)
	} else {
		err = r.CopyRange(ctx, src, srcOff, dstOff, length, fl)
	}
	n.finishWrite(q, dstOff, length, err)
	return err
}
