package qcow2

import (
	"context"

	"goemu/block"
)

// MapRange implements block.RangeMapper: plain clusters lie in the data file, and those of the backing file are its business. Writes change
// metadata and go through CopyRange. It reads nothing yet, so that there is no debug event of a read.
func (im *image) MapRange(off, n int64, write bool) (c *block.Child, childOff, k int64, err error) {
	if write {
		return nil, 0, 0, nil
	}
	if err := im.lock(); err != nil {
		return nil, 0, 0, err
	}
	m, err := im.lookup(off, min(n, maxRequest))
	im.mu.Unlock()
	if err != nil {
		return nil, 0, 0, err
	}
	switch b := im.backing(); {
	case m.kind == sNormal && im.data != nil && im.crypt == cryptNone:
		return im.data, m.host, m.n, nil
	case (m.kind == sUnallocPlain || m.kind == sUnallocAlloc) && b != nil:
		if length, err := b.Length(context.Background()); err != nil || off+m.n > length {
			return nil, 0, 0, block.ErrUnmapped // zeroes follow
		}
		return b, off, m.n, nil
	}
	return nil, 0, 0, block.ErrUnmapped
}

// CanCopyRange implements block.CopyRanger.
func (im *image) CanCopyRange(src *block.Child) bool {
	return im.crypt == cryptNone && im.data != nil && im.data.CanCopyRange(src)
}

// CopyRange implements block.CopyRanger: it is a write whose data the host copies.
func (im *image) CopyRange(ctx context.Context, src *block.Child, srcOff, dstOff, length int64) error {
	return im.place(dstOff, length, func(host, pos, n int64, list []*allocation) error {
		err := im.zeroAllocSpace(ctx, list)
		if err == nil {
			im.event("write_aio")
			err = block.CopyRange(ctx, src, srcOff+pos, im.data, host, n, 0)
		}
		return im.linkAll(list, err)
	})
}
