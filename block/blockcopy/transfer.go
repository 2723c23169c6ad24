package blockcopy

import (
	"context"

	"goemu/block"
)

// Transfer copies data from Source to Target, inside the host as long as all nodes on the way allow that. Its methods may be called from many
// goroutines.
type Transfer struct {
	Source, Target *block.Child

	buffers  *block.Buffers
	hostCopy block.HostCopy
}

// NewTransfer makes a transfer whose pieces are of size bytes at most.
func NewTransfer(source, target *block.Child, size int64) *Transfer {
	return &Transfer{Source: source, Target: target, buffers: block.NewBuffers(size)}
}

// Copy copies n bytes at off; read tells whether it was the source that failed.
func (t *Transfer) Copy(ctx context.Context, off, n int64) (read bool, err error) {
	if t.hostCopy.Try(func() error { return block.CopyRange(ctx, t.Source, off, t.Target, off, n, 0) }) {
		return false, nil
	}
	return t.through(ctx, off, n, func(b []byte) error { return t.Target.Write(ctx, off, b, 0) })
}

// through reads n bytes at off into a buffer and lets write take them from there.
func (t *Transfer) through(ctx context.Context, off, n int64, write func(b []byte) error) (read bool, err error) {
	b := t.buffers.Get(n)
	defer t.buffers.Put(b)
	if err := t.Source.Read(ctx, off, b); err != nil {
		return true, err
	}
	return false, write(b)
}
