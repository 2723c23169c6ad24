package block

import (
	"bytes"
	"context"

	"golang.org/x/sys/unix"

	"goemu/internal/trace"
)

const (
	// sectorSize is the unit of lengths.
	sectorSize = 512
	// maxLength is the largest offset that a request may reach.
	maxLength = 1<<63 - 1<<30
	// maxRequest is the most that is handed to a driver at once.
	maxRequest = 1<<31 - sectorSize
	// maxBounce is the most that is buffered at once.
	maxBounce = 16 << 20
)

// checkRange refuses ranges that no image can have.
func checkRange(off, n int64) error {
	if off < 0 || n < 0 || n > maxLength || off > maxLength-n {
		return unix.EIO
	}
	return nil
}

// transferMax is the most that the driver takes in one request.
func (n *Node) transferMax() int64 {
	if m := n.limits.MaxTransfer; m > 0 && m < maxRequest {
		return alignDown(m, n.align())
	}
	return alignDown(maxRequest, n.align())
}

// align is the alignment of requests.
func (n *Node) align() int64 { return max(n.limits.RequestAlign, 1) }

// readV reads a vector.
func (n *Node) readV(ctx context.Context, off int64, iov [][]byte, fl Flags) error {
	total := IovLen(iov)
	n.traceRequest(trace.BlockRead, off, total, fl)
	if err := checkRange(off, total); err != nil {
		return err
	}
	if total == 0 && fl&Prefetch == 0 {
		return nil
	}
	if n.copyOnRead.Load() > 0 {
		fl |= CopyOnRead
	}
	align := n.align()
	if align > 1 && (off|total)&(align-1) != 0 {
		return n.readPadded(ctx, off, iov, fl)
	}
	r := n.tracker.begin(reqRead, off, total)
	err := n.readAligned(ctx, r, off, total, iov, fl)
	n.tracker.end(r)
	return err
}

// readPadded reads whole blocks into a buffer and hands out the middle.
func (n *Node) readPadded(ctx context.Context, off int64, iov [][]byte, fl Flags) error {
	align, total := n.align(), IovLen(iov)
	start := alignDown(off, align)
	end := alignUp(off+total, align)
	head, tail := off-start, end-off-total
	var padded [][]byte
	if head > 0 {
		padded = append(padded, alignedBuffer(head))
	}
	padded = append(padded, iov...)
	if tail > 0 {
		padded = append(padded, alignedBuffer(tail))
	}
	r := n.tracker.begin(reqRead, start, end-start)
	defer n.tracker.end(r)
	return n.readAligned(ctx, r, start, end-start, padded, fl)
}

// readAligned reads what is inside the node and fills the rest with zeroes.
func (n *Node) readAligned(ctx context.Context, r *request, off, total int64, iov [][]byte, fl Flags) error {
	if fl&CopyOnRead != 0 {
		n.tracker.serialise(r, n.clusterSize())
		n.tracker.waitFor(r)
		switch allocated, num, err := n.IsAllocated(ctx, off, total); {
		case err != nil:
			return err
		case !allocated || num < total:
			return n.readCopying(ctx, off, total, iov, fl)
		case fl&Prefetch != 0:
			return nil
		}
	} else {
		n.tracker.waitFor(r)
	}
	length, err := n.Length(ctx)
	if err != nil {
		return err
	}
	inside := max(min(total, alignUp(length, n.align())-off), 0)
	limit := n.transferMax()
	if inside == total && total <= limit {
		return n.driverRead(ctx, off, iov, fl)
	}
	var part [][]byte
	for done := int64(0); done < inside; {
		k := min(inside-done, limit)
		part = IovSlice(part, iov, done, k)
		if err := n.driverRead(ctx, off+done, part, fl); err != nil {
			return err
		}
		done += k
	}
	IovZero(IovSlice(part, iov, inside, total-inside))
	return nil
}

// driverRead hands a request to the driver, or past a filter that does not care.
func (n *Node) driverRead(ctx context.Context, off int64, iov [][]byte, fl Flags) error {
	if r, ok := n.state.(Reader); ok {
		return r.ReadV(ctx, off, iov, fl&^(CopyOnRead|Prefetch))
	}
	if f := n.Filtered(); f != nil {
		return f.ReadV(ctx, off, iov, fl&^(CopyOnRead|Prefetch))
	}
	return unix.ENOTSUP
}

// tryReadV reads without waiting, if the driver can and nothing stands in the way.
func (n *Node) tryReadV(off int64, iov [][]byte) bool {
	t, ok := n.state.(TryReader)
	if !ok || trace.BlockRead.Traced() || n.copyOnRead.Load() > 0 || (off|IovLen(iov))&(n.align()-1) != 0 {
		return false
	}
	r := n.tracker.begin(reqRead, off, IovLen(iov))
	defer n.tracker.end(r)
	if n.tracker.serialising.Load() > 0 {
		return false
	}
	return t.TryReadV(off, iov)
}

// canWrite refuses changes of nodes that must not change.
func (n *Node) canWrite() error {
	if n.mode.ReadOnly || n.inactive || n.hasReadOnlyBitmaps() {
		return unix.EPERM
	}
	return nil
}

// writeV writes a vector.
func (n *Node) writeV(ctx context.Context, off int64, iov [][]byte, fl Flags) error {
	total := IovLen(iov)
	n.traceRequest(trace.BlockWrite, off, total, fl)
	if err := checkRange(off, total); err != nil {
		return err
	}
	if total == 0 {
		return nil
	}
	align := n.align()
	if align > 1 && (off|total)&(align-1) != 0 && fl&Compressed == 0 {
		return n.writePadded(ctx, off, total, iov, fl)
	}
	r := n.tracker.begin(reqWrite, off, total)
	err := n.writeAligned(ctx, r, off, total, iov, fl)
	n.tracker.end(r)
	return err
}

// writePadded completes the first and last block of a write with what is there. iov is nil for zeroes.
func (n *Node) writePadded(ctx context.Context, off, total int64, iov [][]byte, fl Flags) error {
	if err := n.canWrite(); err != nil {
		return err
	}
	align := n.align()
	start, end := alignDown(off, align), alignUp(off+total, align)
	r := n.tracker.begin(reqWrite, start, end-start)
	defer n.tracker.end(r)
	n.tracker.serialise(r, align)
	n.tracker.waitFor(r)

	if fl&ZeroWrite != 0 {
		return n.zeroPadded(ctx, r, off, total, fl)
	}
	head, tail := off-start, end-off-total
	var padded [][]byte
	if head > 0 {
		b, err := n.readEdge(ctx, r, start, align, "pwritev_rmw_head", "pwritev_rmw_after_head")
		if err != nil {
			return err
		}
		if end-start == align { // both edges lie in one block
			IovScatter([][]byte{b[head : head+total]}, gather(iov))
			return n.writeAligned(ctx, r, start, align, [][]byte{b}, fl)
		}
		padded = append(padded, b[:head])
	}
	padded = append(padded, iov...)
	if tail > 0 {
		b, err := n.readEdge(ctx, r, end-align, align, "pwritev_rmw_tail", "pwritev_rmw_after_tail")
		if err != nil {
			return err
		}
		if end-start == align {
			IovScatter([][]byte{b[:total]}, gather(iov))
			return n.writeAligned(ctx, r, start, align, [][]byte{b}, fl)
		}
		padded = append(padded, b[align-tail:])
	}
	return n.writeAligned(ctx, r, start, end-start, padded, fl)
}

// zeroPadded writes zeroes over a range whose ends are inside blocks.
func (n *Node) zeroPadded(ctx context.Context, r *request, off, total int64, fl Flags) error {
	align, end := n.align(), off+total
	start, stop := alignUp(off, align), alignDown(end, align)
	edge := func(block, from, to int64) error {
		b, err := n.readEdge(ctx, r, block, align, "pwritev_rmw_head", "pwritev_rmw_after_head")
		if err != nil {
			return err
		}
		clear(b[from-block : to-block])
		return n.writeAligned(ctx, r, block, align, [][]byte{b}, fl&^(ZeroWrite|MayUnmap|NoFallback))
	}
	if start > stop { // inside one block
		return edge(stop, off, end)
	}
	if off < start {
		if err := edge(start-align, off, start); err != nil {
			return err
		}
	}
	if start < stop {
		if err := n.writeAligned(ctx, r, start, stop-start, nil, fl); err != nil {
			return err
		}
	}
	if stop < end {
		return edge(stop, stop, end)
	}
	return nil
}

// readEdge reads a block that a write covers only in part.
func (n *Node) readEdge(ctx context.Context, r *request, off, align int64, before, after string) ([]byte, error) {
	n.debugEvent(before)
	b := alignedBuffer(align)
	err := n.readAligned(ctx, r, off, align, [][]byte{b}, 0)
	if err == nil {
		n.debugEvent(after)
	}
	return b, err
}

// gather copies a vector into one buffer.
func gather(iov [][]byte) []byte {
	b := make([]byte, IovLen(iov))
	IovGather(b, iov)
	return b
}

// writeAligned does a write of whole blocks; with ZeroWrite there is no vector.
func (n *Node) writeAligned(ctx context.Context, r *request, off, total int64, iov [][]byte, fl Flags) (err error) {
	if err := n.prepareWrite(ctx, r, off, total, fl); err != nil {
		return err
	}
	if n.mode.DetectZeroes != DetectOff && fl&(ZeroWrite|Compressed) == 0 && n.canZero() && isZero(iov) {
		fl |= ZeroWrite
		if n.mode.DetectZeroes == DetectUnmap {
			fl |= MayUnmap
		}
	}
	switch {
	case fl&ZeroWrite != 0:
		n.debugEvent("pwritev_zero")
		err = n.zeroAligned(ctx, off, total, fl)
	case fl&Compressed != 0:
		err = n.driverCompressed(ctx, off, iov)
	case total <= n.transferMax():
		n.debugEvent("pwritev")
		err = n.driverWrite(ctx, off, iov, fl)
	default:
		n.debugEvent("pwritev")
		err = n.writeSplit(ctx, off, total, iov, fl)
	}
	n.debugEvent("pwritev_done")
	n.finishWrite(r, off, total, err)
	return err
}

// writeSplit writes in pieces that the driver takes. A flush in place of FUA is needed after the last only.
func (n *Node) writeSplit(ctx context.Context, off, total int64, iov [][]byte, fl Flags) error {
	limit := n.transferMax()
	var part [][]byte
	for done := int64(0); done < total; {
		k, pfl := min(total-done, limit), fl
		if done+k < total && n.limits.WriteFlags&FUA == 0 {
			pfl &^= FUA
		}
		part = IovSlice(part, iov, done, k)
		if err := n.driverWrite(ctx, off+done, part, pfl); err != nil {
			return err
		}
		done += k
	}
	return nil
}

// prepareWrite does what comes before every change: waiting for other requests, then telling those who want to know.
func (n *Node) prepareWrite(ctx context.Context, r *request, off, total int64, fl Flags) error {
	if err := n.canWrite(); err != nil {
		return err
	}
	switch {
	case fl&(Serialising|NoWait) == Serialising|NoWait:
		if !n.tracker.trySerialise(r, n.clusterSize()) {
			return unix.EBUSY
		}
	case fl&Serialising != 0:
		n.tracker.serialise(r, n.clusterSize())
		n.tracker.waitFor(r)
	default:
		n.tracker.waitFor(r)
	}
	n.checkThreshold(off + total)
	return n.notifyBefore(ctx, off, total)
}

// finishWrite does what comes after every change.
func (n *Node) finishWrite(r *request, off, total int64, err error) {
	n.writeGen.Add(1)
	if r.kind == reqWrite {
		n.wroteTo(off + total)
	}
	if err == nil && (r.kind == reqWrite || r.kind == reqTruncate) {
		n.grew(off + total)
	}
	if total > 0 {
		n.recordDirty(off, total)
	}
}

// driverWrite hands a write to the driver and makes up for FUA.
func (n *Node) driverWrite(ctx context.Context, off int64, iov [][]byte, fl Flags) error {
	w, ok := n.state.(Writer)
	if !ok {
		if f := n.Filtered(); f != nil {
			return f.WriteV(ctx, off, iov, fl)
		}
		return unix.ENOTSUP
	}
	if n.mode.NoFlush {
		fl &^= FUA
	}
	if err := w.WriteV(ctx, off, iov, fl&n.limits.WriteFlags); err != nil {
		return err
	}
	if fl&FUA != 0 && n.limits.WriteFlags&FUA == 0 {
		n.writeGen.Add(1)
		return n.flush(ctx)
	}
	return nil
}

// driverCompressed hands a cluster to be compressed to the driver.
func (n *Node) driverCompressed(ctx context.Context, off int64, iov [][]byte) error {
	if w, ok := n.state.(CompressedWriter); ok {
		return w.WriteCompressed(ctx, off, iov)
	}
	if f := n.Filtered(); f != nil {
		return f.WriteV(ctx, off, iov, Compressed)
	}
	return unix.ENOTSUP
}

// CanCompress tells whether the node, or the one that it filters, writes compressed clusters.
func (n *Node) CanCompress() bool {
	if _, ok := n.state.(CompressedWriter); ok {
		return true
	}
	f := n.Filtered()
	return f != nil && f.node.CanCompress()
}

// zeroChunk is what isZero compares with.
var zeroChunk [64 << 10]byte

// isZero tells whether a vector holds nothing but zeroes.
func isZero(iov [][]byte) bool {
	for _, b := range iov {
		for len(b) > 0 {
			k := min(len(b), len(zeroChunk))
			if !bytes.Equal(b[:k], zeroChunk[:k]) {
				return false
			}
			b = b[k:]
		}
	}
	return true
}

// debugEvent tells the driver about a point that the generic layer passes.
func (n *Node) debugEvent(name string) {
	if d, ok := n.state.(DebugEventer); ok {
		d.DebugEvent(name)
	}
}

// grew notes that the node reaches at least to end after a write there.
func (n *Node) grew(end int64) {
	end = alignUp(end, sectorSize)
	for {
		length := n.length.Load()
		if end <= length {
			return
		}
		if n.length.CompareAndSwap(length, end) {
			n.truncateBitmaps(end)
			n.resized()
			return
		}
	}
}

// wroteTo notes the highest offset written.
func (n *Node) wroteTo(end int64) {
	for {
		old := n.highest.Load()
		if end <= old || n.highest.CompareAndSwap(old, end) {
			return
		}
	}
}

// clusterSize is the unit of allocation of the image, at least the alignment of requests.
func (n *Node) clusterSize() int64 {
	if i, ok := n.Info(); ok && i.ClusterSize > 0 {
		return max(i.ClusterSize, n.align())
	}
	return n.align()
}
