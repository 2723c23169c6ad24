package block

import "context"

// Status tells how the range from off looks in this node: at most length bytes, at least one unless off is at the end. Filters and raw
// formats answer with what is below them; a backing file is not looked at, beyond its length. wantZero asks for exact zero information.
func (n *Node) Status(ctx context.Context, wantZero bool, off, length int64) (Status, error) {
	size, err := n.Length(ctx)
	if err != nil {
		return Status{}, err
	}
	if off >= size {
		return Status{Flags: StatusEOF}, nil
	}
	if length == 0 {
		return Status{}, nil
	}
	length = min(length, size-off)
	s, err := n.driverStatus(ctx, wantZero, off, length)
	if err != nil {
		return s, err
	}
	if s.Flags&StatusRaw != 0 {
		if s, err = s.File.Status(ctx, wantZero, s.Offset, s.N); err != nil {
			return s, err
		}
	} else {
		n.completeStatus(ctx, &s, wantZero, off)
	}
	s.Flags &^= StatusEOF
	if off+s.N == size {
		s.Flags |= StatusEOF
	}
	return s, nil
}

// BlockStatus is Status.
func (n *Node) BlockStatus(ctx context.Context, wantZero bool, off, length int64) (Status, error) {
	return n.Status(ctx, wantZero, off, length)
}

// driverStatus asks the driver for whole blocks and cuts the answer.
func (n *Node) driverStatus(ctx context.Context, wantZero bool, off, length int64) (s Status, err error) {
	b, ok := n.state.(BlockStatuser)
	if !ok && n.Filtered() == nil {
		s = Status{Flags: StatusData | StatusAllocated, N: length}
		if n.protocol() {
			s.Flags |= StatusOffsetValid
			s.Offset, s.File = off, n
		}
		return s, nil
	}
	align := n.align()
	start := alignDown(off, align)
	n.tracker.enter()
	defer n.tracker.exit()
	if ok {
		if s, err = b.BlockStatus(ctx, wantZero, start, alignUp(off+length, align)-start); err != nil {
			return s, err
		}
	} else {
		s = Status{Flags: StatusRaw | StatusOffsetValid, N: off + length - start, Offset: start, File: n.Filtered().node}
	}
	s.N = min(s.N-(off-start), length)
	if s.Flags&StatusOffsetValid != 0 {
		s.Offset += off - start
	}
	return s, nil
}

// completeStatus adds what follows from the driver's answer.
func (n *Node) completeStatus(ctx context.Context, s *Status, wantZero bool, off int64) {
	if s.Flags&(StatusData|StatusZero) != 0 {
		s.Flags |= StatusAllocated
	} else if n.driver.SupportsBacking {
		if cow := n.COWChild(); cow == nil {
			s.Flags |= StatusZero
		} else if wantZero {
			if size, err := cow.node.Length(ctx); err == nil && off >= size {
				s.Flags |= StatusZero
			}
		}
	}
	const want = StatusRecurse | StatusData | StatusOffsetValid
	if !wantZero || s.Flags&(want|StatusZero) != want || s.File == nil || s.File == n {
		return
	}
	below, err := s.File.Status(ctx, wantZero, s.Offset, s.N)
	switch {
	case err != nil: // it would have been good to know, but is not needed
	case below.Flags&StatusEOF != 0 && (below.N == 0 || below.Flags&StatusZero != 0):
		// The file ends here: what lies behind its end reads as zeroes.
		s.Flags |= StatusZero
	default:
		s.N = below.N
		s.Flags |= below.Flags & StatusZero
	}
}

// below is the next node down a chain of images, or nil.
func (n *Node) below() *Node {
	if c := n.FilterOrCOW(); c != nil {
		return c.node
	}
	return nil
}

// StatusAbove tells how the range looks in the chain from n down to base, which is left out unless includeBase is set; a nil base means
// the whole chain. depth counts the nodes looked at.
func (n *Node) StatusAbove(ctx context.Context, base *Node, includeBase, wantZero bool, off, length int64) (s Status, depth int, err error) {
	if !includeBase && n == base {
		return Status{N: length}, 0, nil
	}
	s, err = n.Status(ctx, wantZero, off, length)
	depth = 1
	if err != nil || s.N == 0 || s.Flags&StatusAllocated != 0 || n == base {
		return s, depth, err
	}
	end := int64(-1)
	if s.Flags&StatusEOF != 0 {
		end = off + s.N
	}
	for p := n.below(); p != nil && (includeBase || p != base); p = p.below() {
		left := s.N
		if s, err = p.Status(ctx, wantZero, off, left); err != nil {
			return s, depth, err
		}
		depth++
		if s.N == 0 { // the upper node is longer: what is beyond the end of this one reads as zeroes and counts as decided here
			s = Status{Flags: StatusZero | StatusAllocated, N: left, File: p}
			break
		}
		if s.Flags&StatusAllocated != 0 {
			s.Flags &^= StatusEOF
			break
		}
		if p == base {
			break
		}
	}
	if off+s.N == end {
		s.Flags |= StatusEOF
	}
	return s, depth, nil
}

// IsAllocated tells whether this node decides the content of the first byte of a range, and for how many bytes that is so.
func (n *Node) IsAllocated(ctx context.Context, off, length int64) (allocated bool, num int64, err error) {
	s, err := n.Status(ctx, false, off, length)
	return s.Flags&StatusAllocated != 0, s.N, err
}

// AllocatedAbove tells which node of the chain from n to base decides the content of the first byte: 1 for n itself, 2 for the next, 0 if
// none does; and for how many bytes that is so.
func (n *Node) AllocatedAbove(ctx context.Context, base *Node, includeBase bool, off, length int64) (depth int, num int64, err error) {
	s, depth, err := n.StatusAbove(ctx, base, includeBase, false, off, length)
	if err != nil || s.Flags&StatusAllocated == 0 {
		depth = 0
	}
	return depth, s.N, err
}

// IsZero tells whether a range is known to read as zeroes without reading it.
func (n *Node) IsZero(ctx context.Context, off, length int64) (bool, error) {
	for length > 0 {
		s, _, err := n.StatusAbove(ctx, nil, false, true, off, length)
		if err != nil {
			return false, err
		}
		if s.Flags&StatusZero == 0 {
			return s.N == 0, nil
		}
		if s.N == 0 {
			return true, nil
		}
		off, length = off+s.N, length-s.N
	}
	return true, nil
}

// HasZeroInit tells whether a new image of this node's kind reads as zeroes.
func (n *Node) HasZeroInit(ctx context.Context) bool {
	if n.COWChild() != nil {
		return false
	}
	if z, ok := n.state.(ZeroIniter); ok {
		return z.HasZeroInit(ctx)
	}
	if f := n.Filtered(); f != nil {
		return f.node.HasZeroInit(ctx)
	}
	return false
}
