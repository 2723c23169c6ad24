package img

import (
	"context"

	"goemu/block"
)

// Extent is a range of an image that is stored alike.
type Extent struct {
	Start, Length int64
	Data, Zero    bool
	Present       bool // some layer decides about the content
	Depth         int  // of that layer
	HasOffset     bool
	Offset        int64  // in the file named
	Filename      string // may be empty
}

// follows tells whether e continues x.
func (x *Extent) followedBy(e *Extent) bool {
	return x.Length > 0 && x.Zero == e.Zero && x.Data == e.Data && x.Depth == e.Depth && x.Present == e.Present && x.HasOffset == e.HasOffset &&
		x.Filename == e.Filename && (!x.HasOffset || x.Offset+x.Length == e.Offset)
}

// extentAt describes what is at off.
func extentAt(ctx context.Context, n *block.Node, off, length int64) (Extent, error) {
	e := Extent{Start: off}
	var s block.Status
	for {
		n = n.SkipFilters()
		var err error
		if s, err = n.Status(ctx, true, off, length); err != nil {
			return e, err
		}
		length = s.N
		if s.Flags&(block.StatusZero|block.StatusData) != 0 {
			break
		}
		c := n.COWChild()
		if c == nil {
			s.Flags = 0
			break
		}
		n = c.Node()
		e.Depth++
	}
	e.Length = length
	e.Data = s.Flags&block.StatusData != 0
	e.Zero = s.Flags&block.StatusZero != 0
	e.Present = s.Flags&block.StatusAllocated != 0
	if e.HasOffset = s.Flags&block.StatusOffsetValid != 0; e.HasOffset {
		e.Offset = s.Offset
		if s.File != nil {
			e.Filename = s.File.Filename()
		}
	}
	return e, nil
}

// Map calls f with the extents of an image between start and end. f also gets the one that follows, or nil, and may change it.
func Map(ctx context.Context, n *block.Node, start, end int64, f func(e, next *Extent) error) error {
	curr := Extent{Start: start}
	for curr.Start+curr.Length < end {
		off := curr.Start + curr.Length
		next, err := extentAt(ctx, n, off, end-off)
		if err != nil {
			return block.Errnof(block.Errno(err), "Could not read file metadata")
		}
		if curr.followedBy(&next) {
			curr.Length += next.Length
			continue
		}
		if curr.Length > 0 {
			if err := f(&curr, &next); err != nil {
				return err
			}
		}
		curr = next
	}
	return f(&curr, nil)
}
