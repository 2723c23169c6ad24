package block

import (
	"context"

	"golang.org/x/sys/unix"

	"goemu/internal/trace"
)

// canZero tells whether the driver can make zeroes faster than by writing them.
func (n *Node) canZero() bool {
	if _, ok := n.state.(ZeroWriter); ok {
		return true
	}
	f := n.Filtered()
	_, writes := n.state.(Writer)
	return f != nil && !writes && f.node.canZero()
}

// writeZeroes makes a range read as zeroes.
func (n *Node) writeZeroes(ctx context.Context, off, length int64, fl Flags) error {
	n.traceRequest(trace.BlockWriteZeroes, off, length, fl)
	if err := checkRange(off, length); err != nil {
		return err
	}
	if length == 0 {
		return nil
	}
	fl |= ZeroWrite
	if align := n.align(); align > 1 && (off|length)&(align-1) != 0 {
		return n.writePadded(ctx, off, length, nil, fl)
	}
	r := n.tracker.begin(reqWrite, off, length)
	defer n.tracker.end(r)
	return n.writeAligned(ctx, r, off, length, nil, fl)
}

// UnmapsZeroes tells whether the node makes zeroes by giving blocks back, if it may.
func (n *Node) UnmapsZeroes() bool { return n.mode.Unmap && n.limits.ZeroFlags&MayUnmap != 0 }

// zeroAligned makes zeroes in pieces that the driver takes: partial clusters at the edges, whole ones between.
func (n *Node) zeroAligned(ctx context.Context, off, length int64, fl Flags) error {
	l := &n.limits
	if fl&NoFallback != 0 && l.ZeroFlags&NoFallback == 0 && !n.passesZeroes() {
		return unix.ENOTSUP
	}
	align := max(l.WriteZeroesAlign, n.align())
	limit := int64(maxLength)
	if l.MaxWriteZeroes > 0 {
		limit = l.MaxWriteZeroes
	}
	limit = max(alignDown(limit, align), align)
	bounce := int64(maxBounce)
	if l.MaxTransfer > 0 {
		bounce = min(bounce, l.MaxTransfer)
	}
	bounce = max(alignDown(bounce, n.align()), n.align())
	flush := false
	for length > 0 {
		k := length
		if head := off % align; head != 0 {
			k = min(k, bounce, align-head)
		} else if tail := (off + length) % align; tail != 0 && k > align {
			k -= tail
		}
		k = min(k, limit)
		err := n.driverZeroes(ctx, off, k, fl)
		if !IsNotSup(err) {
			flush = flush || fl&FUA != 0 && l.ZeroFlags&FUA == 0
		} else if fl&NoFallback == 0 {
			k = min(k, bounce)
			if fl&FUA != 0 && l.WriteFlags&FUA == 0 {
				flush = true
			}
			err = n.driverWrite(ctx, off, [][]byte{zeroBuffer(k)}, fl&l.WriteFlags&^ZeroWrite)
		}
		if err != nil {
			return err
		}
		off, length = off+k, length-k
	}
	if flush && !n.mode.NoFlush {
		n.writeGen.Add(1)
		return n.flush(ctx)
	}
	return nil
}

// passesZeroes tells whether requests for zeroes go through to the filtered node as they are.
func (n *Node) passesZeroes() bool {
	_, zeroes := n.state.(ZeroWriter)
	_, writes := n.state.(Writer)
	return !zeroes && !writes && n.Filtered() != nil
}

// driverZeroes asks the driver for zeroes; ENOTSUP means that they must be written.
func (n *Node) driverZeroes(ctx context.Context, off, k int64, fl Flags) error {
	if z, ok := n.state.(ZeroWriter); ok {
		return z.WriteZeroes(ctx, off, k, fl&n.limits.ZeroFlags)
	}
	if n.passesZeroes() {
		return n.Filtered().WriteZeroes(ctx, off, k, fl&^ZeroWrite)
	}
	return unix.ENOTSUP
}

// zeroBuffer is a buffer of zeroes that nobody may change; large ones are made anew.
func zeroBuffer(n int64) []byte {
	if n <= int64(len(sharedZeroes)) {
		return sharedZeroes[:n]
	}
	return alignedBuffer(n)
}

var sharedZeroes = alignedBuffer(256 << 10)

// discard gives a range back. It is advice: what the driver cannot do is left.
func (n *Node) discard(ctx context.Context, off, length int64) error {
	if err := checkRange(off, length); err != nil {
		return err
	}
	d, ok := n.state.(Discarder)
	f := n.Filtered()
	_, writes := n.state.(Writer)
	if !n.mode.Unmap || !ok && (f == nil || writes) || length == 0 {
		if n.mode.ReadOnly {
			return unix.EPERM
		}
		return nil
	}
	r := n.tracker.begin(reqDiscard, off, length)
	defer n.tracker.end(r)
	if err := n.prepareWrite(ctx, r, off, length, 0); err != nil {
		return err
	}
	err := n.discardPieces(off, length, func(o, k int64) error {
		if ok {
			return d.Discard(ctx, o, k)
		}
		return f.Discard(ctx, o, k)
	})
	n.finishWrite(r, off, length, err)
	return err
}

// discardPieces cuts a range at the driver's alignment; partial units at the edges are tried too.
func (n *Node) discardPieces(off, length int64, do func(off, k int64) error) error {
	unit := n.align()
	align := max(n.limits.DiscardAlign, unit)
	limit := int64(maxLength)
	if n.limits.MaxDiscard > 0 {
		limit = n.limits.MaxDiscard
	}
	limit = max(alignDown(limit, align), align)
	for length > 0 {
		k := length
		if head := off % align; head != 0 {
			k = min(k, align-head)
			if k%unit != 0 {
				k %= unit // up to the next unit
			}
		} else if tail := (off + length) % align; tail != 0 {
			switch {
			case k > align:
				k -= tail
			case tail%unit != 0 && tail > unit:
				k -= tail % unit
			}
		}
		k = min(k, limit)
		if err := do(off, k); err != nil && !IsNotSup(err) {
			return err
		}
		off, length = off+k, length-k
	}
	return nil
}
