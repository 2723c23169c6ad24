package nbd

import (
	"context"
	"math"
	"sync/atomic"

	"goemu/block"
	"goemu/block/bitmap"
	proto "goemu/block/nbdproto"

	"golang.org/x/sys/unix"
)

// maxExtents is the number of extents in an answer: a mebibyte of them.
const maxExtents = 1 << 20 / 8

// extent is a range of data that was found. Reading it is never wrong, even if it has become a hole since.
type extent struct{ start, end int64 }

// dataCache remembers the last range of data.
type dataCache struct{ last atomic.Pointer[extent] }

func (d *dataCache) covers(off, n int64) bool {
	e := d.last.Load()
	return e != nil && e.start <= off && off+n <= e.end
}

func (d *dataCache) forget() {
	if d.last.Load() != nil {
		d.last.Store(nil)
	}
}

// run tells how far from pos, at most to end, the export looks alike and whether it reads as zeroes there.
func (x *Export) run(ctx context.Context, pos, end int64) (n int64, zero bool, err error) {
	if e := x.data.last.Load(); e != nil && e.start <= pos && pos < e.end {
		return min(e.end, end) - pos, false, nil
	}
	n, flags, err := x.status(ctx, pos, x.size-pos) // all of the extent, so that the next reads need not ask
	if err != nil {                                 // of more than the client asked for, perhaps
		n, flags, err = x.status(ctx, pos, end-pos)
	}
	if err != nil {
		return 0, false, err
	}
	if zero = flags&block.StatusZero != 0; !zero {
		x.data.last.Store(&extent{pos, pos + n})
	}
	return min(n, end-pos), zero, nil
}

// extents gathers the extents of an answer.
type extents struct {
	b     []byte // length and flags of each
	most  int
	flags uint32
	n     int64 // length of the last one, which is not in b yet
	full  bool
}

// add adds a range; it is false when there is no room.
func (e *extents) add(n int64, flags uint32) bool {
	for n > 0 {
		if e.n > 0 && e.flags == flags && e.n+n <= math.MaxUint32 {
			e.n += n
			return true
		}
		if e.n > 0 && !e.push() {
			return false
		}
		k := min(n, math.MaxUint32)
		e.n, e.flags, n = k, flags, n-k
	}
	return true
}

// push writes the last extent down; it is false if no other can follow.
func (e *extents) push() bool {
	if e.n == 0 || e.full {
		return !e.full
	}
	e.b = be.AppendUint32(be.AppendUint32(e.b, uint32(e.n)), e.flags)
	e.n = 0
	e.full = len(e.b) >= 8*e.most
	return !e.full
}

// blockStatus does a block-status request: one chunk for each context.
func (c *client) blockStatus(ctx context.Context, r *request) {
	left := c.meta.count()
	switch {
	case r.Len == 0:
		c.replyError(r, unix.EINVAL, "need non-zero length")
		return
	case left == 0:
		c.replyError(r, unix.EINVAL, "CMD_BLOCK_STATUS not negotiated")
		return
	}
	most := maxExtents
	if r.Flags&proto.CmdFlagReqOne != 0 {
		most = 1
	}
	var out [][]byte
	chunk := func(id uint32, fill func(e *extents) error) bool {
		e := &extents{b: make([]byte, proto.StructuredReplySize+4, 64), most: most}
		head := e.b
		e.b = e.b[len(head):]
		if err := fill(e); err != nil {
			c.replyError(r, errno(err), "can't get block status")
			return false
		}
		e.push()
		flags := uint16(0)
		if left--; left == 0 {
			flags = proto.ReplyFlagDone
		}
		proto.PutChunk(head, flags, proto.ChunkBlockStatus, r.Cookie, 4+len(e.b))
		be.PutUint32(head[proto.StructuredReplySize:], id)
		out = append(out, head, e.b)
		return true
	}
	off, n := int64(r.From), int64(r.Len)
	if c.meta.allocation && !chunk(idAllocation, func(e *extents) error { return c.exp.allocation(ctx, off, n, e) }) {
		return
	}
	if c.meta.depth && !chunk(idDepth, func(e *extents) error { return c.exp.depths(ctx, off, n, e) }) {
		return
	}
	for i, on := range c.meta.bitmaps {
		if on && !chunk(idBitmap+uint32(i), func(e *extents) error { dirtyExtents(c.exp.bitmaps[i], off, n, e); return nil }) {
			return
		}
	}
	r.out = out
}

// allocation fills in base:allocation.
func (x *Export) allocation(ctx context.Context, off, n int64, e *extents) error {
	for n > 0 {
		k, st, err := x.status(ctx, off, n)
		if err != nil {
			return err
		}
		flags := uint32(0)
		if st&block.StatusData == 0 {
			flags |= proto.StateHole
		}
		if st&block.StatusZero != 0 {
			flags |= proto.StateZero
		}
		if !e.add(k, flags) {
			return nil
		}
		off, n = off+k, n-k
	}
	return nil
}

// depths fills in qemu:allocation-depth.
func (x *Export) depths(ctx context.Context, off, n int64, e *extents) error {
	for n > 0 {
		k, depth, err := x.allocationDepth(ctx, off, n)
		if err != nil {
			return err
		}
		if !e.add(k, uint32(depth)) {
			return nil
		}
		off, n = off+k, n-k
	}
	return nil
}

// dirtyExtents fills in qemu:dirty-bitmap.
func dirtyExtents(b *bitmap.Bitmap, off, n int64, e *extents) {
	b.Do(func(m *bitmap.Map) {
		for n > 0 {
			dirty, k := m.Status(off, n)
			flags := uint32(0)
			if dirty {
				flags = proto.StateDirty
			}
			if !e.add(k, flags) {
				return
			}
			off, n = off+k, n-k
		}
	})
}

// status tells how the chain of images looks from off: how many bytes, at most n, are alike.
func (x *Export) status(ctx context.Context, off, n int64) (int64, block.StatusFlags, error) {
	s, _, err := x.exp.Backend().Node().StatusAbove(ctx, nil, false, true, off, n)
	if err == nil && s.N == 0 { // cannot be: the export is no longer than the node
		err = unix.EIO
	}
	return s.N, s.Flags, err
}

// allocationDepth tells which layer of the chain, counted from 1, decides the content at off; 0 if none does.
func (x *Export) allocationDepth(ctx context.Context, off, n int64) (int64, int, error) {
	s, depth, err := x.exp.Backend().Node().StatusAbove(ctx, nil, false, false, off, n)
	if err == nil && s.N == 0 {
		err = unix.EIO
	}
	if s.Flags&block.StatusAllocated == 0 {
		depth = 0
	}
	return s.N, depth, err
}
