package block

import (
	"context"
	"fmt"

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

// ErrUnmapped is the ENOTSUP of a range whose bytes lie in no child as they are, while those of other ranges may.
var ErrUnmapped = fmt.Errorf("no such bytes in a child: %w", unix.ENOTSUP)

// RangeMapper is a driver that hands the bytes of a range through to a child and does nothing else about them (raw, most clusters of a qcow2
// image): CopyRange then works on the child. k is how many of the n bytes lie there in one piece. ENOTSUP says that this range, or its write,
// is more than that; a nil child that the driver itself has to be asked. A filter needs no MapRange for what it leaves to the generic layer,
// that is reads without Reader and writes without Writer.
type RangeMapper interface {
	MapRange(off, n int64, write bool) (c *Child, childOff, k int64, err error)
}

// mapRange finds where a range lies in a child that holds just the same bytes; a nil child means that the driver has to be asked.
func (n *Node) mapRange(off, length int64, write bool) (c *Child, childOff, k int64, err error) {
	if m, ok := n.state.(RangeMapper); ok {
		return m.MapRange(off, length, write)
	}
	var own bool
	if write {
		_, own = n.state.(Writer)
	} else {
		_, own = n.state.(Reader)
	}
	if own {
		return nil, 0, 0, nil
	}
	return n.Filtered(), off, length, nil
}

// CanCopyRange tells whether it makes sense to try CopyRange to this child from one whose own driver has the bytes.
func (c *Child) CanCopyRange(src *Child) bool {
	n := c.node
	if r, ok := n.state.(CopyRanger); ok {
		return r.CanCopyRange(src)
	}
	below, _, _, err := n.mapRange(0, n.align(), true)
	return err == nil && below != nil && below.CanCopyRange(src)
}

// CopyRange copies inside the host from one child to another, whose nodes may be the same. It takes no flag but FUA. On file systems that
// share blocks of files the target's become the source's, preallocated or not. ENOTSUP means that it must be done by reading and writing:
// some node on the way does more than to hand the bytes on.
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
	if fl&^FUA != 0 || from.copyOnRead.Load() > 0 || (srcOff|length)&(from.align()-1) != 0 {
		return unix.ENOTSUP
	}
	read := from.tracker.begin(reqRead, srcOff, length)
	defer from.tracker.end(read)
	from.tracker.waitFor(read)
	for length > 0 {
		c, off, k, err := from.mapRange(srcOff, length, false)
		switch {
		case err != nil:
			return err
		case c == nil:
			return to.copyRangeTo(ctx, src, srcOff, dstOff, length, fl)
		case k < length: // the last piece's flush is enough
			err = CopyRange(ctx, c, off, dst, dstOff, k, fl&^FUA)
		default:
			return CopyRange(ctx, c, off, dst, dstOff, length, fl)
		}
		if err != nil {
			return err
		}
		srcOff, dstOff, length = srcOff+k, dstOff+k, length-k
	}
	return nil
}

// copyRangeTo is the writing side of CopyRange.
func (n *Node) copyRangeTo(ctx context.Context, src *Child, srcOff, dstOff, length int64, fl Flags) error {
	if n.mode.DetectZeroes != DetectOff || (dstOff|length)&(n.align()-1) != 0 {
		return unix.ENOTSUP
	}
	below, off, k, err := n.mapRange(dstOff, length, true)
	if err != nil {
		return err
	}
	r, copies := n.state.(CopyRanger)
	if below == nil && !(copies && r.CanCopyRange(src)) || below != nil && k < length {
		return unix.ENOTSUP
	}
	q := n.tracker.begin(reqWrite, dstOff, length)
	defer n.tracker.end(q)
	if err := n.prepareWrite(ctx, q, dstOff, length, 0); err != nil {
		return err
	}
	if below != nil {
		err = below.node.copyRangeTo(ctx, src, srcOff, off, length, fl)
	} else {
		err = r.CopyRange(ctx, src, srcOff, dstOff, length)
	}
	n.finishWrite(q, dstOff, length, err)
	if err == nil && below == nil && fl&FUA != 0 && !n.mode.NoFlush {
		err = n.flush(ctx)
	}
	return err
}
