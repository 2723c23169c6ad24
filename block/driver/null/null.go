// Package null holds the protocol drivers null-co and null-aio: disks that forget what is written and cost nothing, for measurements.
package null

import (
	"context"
	"time"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// defaultSize is the size without the option.
const defaultSize = 1 << 30

var options = []block.Option{
	{Name: "size", Type: block.OptSize, Help: "size of the null block", Fixed: true},
	{Name: "latency-ns", Type: block.OptNumber, Help: "nanoseconds (approximated) to wait before completing request", Fixed: true},
	{Name: "read-zeroes", Type: block.OptBool, Help: "return zeroes when read", Fixed: true},
}

// Drivers are the protocols of this package.
var Drivers = []*block.Driver{driver("null-co"), driver("null-aio")}

func driver(name string) *block.Driver {
	return &block.Driver{
		Name: name, Protocol: true, Schemes: []string{name}, Options: options, Open: open, StrongOptions: []string{"size", "read-zeroes"},
		ParseFilename: func(filename string, _ *block.Options) error {
			if filename != name+"://" {
				return block.Errorf(unix.EINVAL, "The only allowed filename for this driver is '%s://'", name)
			}
			return nil
		},
	}
}

type disk struct {
	node    *block.Node
	size    int64
	latency time.Duration
	zeroes  bool
}

func open(_ context.Context, n *block.Node, o *block.Options) (block.Instance, error) {
	size, err := o.TakeSize("size", defaultSize)
	if err != nil {
		return nil, err
	}
	latency, err := o.TakeUint("latency-ns", 0)
	if err != nil {
		return nil, err
	}
	if int64(latency) < 0 {
		return nil, block.Errorf(unix.EINVAL, "latency-ns is invalid")
	}
	zeroes, err := o.TakeBool("read-zeroes", false)
	if err != nil {
		return nil, err
	}
	return &disk{node: n, size: int64(size), latency: time.Duration(latency), zeroes: zeroes}, nil
}

// Close implements block.Instance.
func (*disk) Close() {}

// wait takes the time that a request is to last.
func (d *disk) wait(ctx context.Context) error {
	if d.latency == 0 {
		return nil
	}
	t := time.NewTimer(d.latency)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Length implements block.Lengther.
func (d *disk) Length(context.Context) (int64, error) { return d.size, nil }

// AllocatedSize implements block.AllocatedSizer.
func (d *disk) AllocatedSize(context.Context) (int64, error) { return 0, nil }

// ReadV implements block.Reader.
func (d *disk) ReadV(ctx context.Context, _ int64, iov [][]byte, _ block.Flags) error {
	if d.zeroes {
		block.IovZero(iov)
	}
	return d.wait(ctx)
}

// WriteV implements block.Writer.
func (d *disk) WriteV(ctx context.Context, _ int64, _ [][]byte, _ block.Flags) error {
	return d.wait(ctx)
}

// FlushToDisk implements block.DiskFlusher.
func (d *disk) FlushToDisk(ctx context.Context) error { return d.wait(ctx) }

// BlockStatus implements block.BlockStatuser.
func (d *disk) BlockStatus(_ context.Context, _ bool, off, n int64) (block.Status, error) {
	s := block.Status{Flags: block.StatusOffsetValid, N: n, Offset: off, File: d.node}
	if d.zeroes {
		s.Flags |= block.StatusZero
	}
	return s, nil
}

// RefreshLimits implements block.Limiter.
func (d *disk) RefreshLimits(l *block.Limits) error {
	l.WriteFlags = block.FUA
	return nil
}

// ExactFilename implements block.FileNamer.
func (d *disk) ExactFilename() (string, bool) {
	for _, name := range []string{"size", "read-zeroes"} {
		if _, ok := d.node.FullOptions().Get(name); ok {
			return "", false
		}
	}
	return d.node.DriverName() + "://", true
}

// ReopenPrepare implements block.Reopener.
func (*disk) ReopenPrepare(context.Context, *block.Options, block.Mode) error { return nil }

// ReopenCommit implements block.Reopener.
func (*disk) ReopenCommit() {}

// ReopenAbort implements block.Reopener.
func (*disk) ReopenAbort() {}
