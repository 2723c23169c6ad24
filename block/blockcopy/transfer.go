package blockcopy

import (
	"context"

	"goemu/block"
)

// Transfer copies data from Source to Target.
type Transfer struct {
	Source, Target *block.Child

	mover *block.Mover
}

// NewTransfer makes a transfer whose pieces are of size bytes at most.
func NewTransfer(source, target *block.Child, size int64) *Transfer {
	return &Transfer{Source: source, Target: target, mover: block.NewMover(size)}
}

// Copy copies n bytes at off; readFailed tells whether it was the source that failed.
func (t *Transfer) Copy(ctx context.Context, off, n int64) (readFailed bool, err error) {
	return t.mover.Move(n, func() error { return block.CopyRange(ctx, t.Source, off, t.Target, off, n, 0) },
		func(b []byte) error { return t.Source.Read(ctx, off, b) }, func(b []byte) error { return t.Target.Write(ctx, off, b, 0) })
}

// through reads n bytes at off into a buffer and lets write take them from there.
func (t *Transfer) through(ctx context.Context, off, n int64, write func(b []byte) error) (readFailed bool, err error) {
	return t.mover.Through(n, func(b []byte) error { return t.Source.Read(ctx, off, b) }, write)
}
