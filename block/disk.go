// Package block is the block layer. A Disk is what a device model holds: it reads, writes and discards byte ranges of a disk.
package block

import (
	"context"
	"errors"
)

// ErrReadOnly is returned for a write to a read-only disk.
var ErrReadOnly = errors.New("Operation not permitted")

// Info describes a disk. Sizes are bytes.
type Info struct {
	ReadOnly            bool
	LogicalBlock        int // request alignment the host needs
	MaxTransfer         int64
	MaxDiscard          int64
	WriteCache          bool // flushes are needed for durability
	CanDiscard, CanZero bool
}

// Disk is a disk as device models, exports and jobs see it. Calls block the calling goroutine (never call them with the machine
// lock held), may be made from many goroutines at once and are ordered only by the caller. Offsets and lengths are bytes.
// Vectors name guest RAM directly; they are not retained.
type Disk interface {
	Length() (int64, error)
	Info() Info
	ReadV(ctx context.Context, off int64, iov [][]byte) error
	WriteV(ctx context.Context, off int64, iov [][]byte, fua bool) error
	Flush(ctx context.Context) error
	Discard(ctx context.Context, off, n int64) error
	WriteZeroes(ctx context.Context, off, n int64, mayUnmap, fua bool) error
	SetWriteCache(on bool)
	Close() error
}
