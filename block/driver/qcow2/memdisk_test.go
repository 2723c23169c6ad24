package qcow2_test

import (
	"context"
	"math/rand/v2"
	"sync"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// memDisk is a protocol node in memory that records what is written and flushed, and fails when told to.
type memDisk struct {
	mu   sync.Mutex
	b    []byte
	note func(memOp) // told of each request in order; nil for none
	ops  int         // requests that change something or flush
	fail map[int]unix.Errno
	fault

	limit int64 // of the length; 0 for none
}

// fault makes requests fail.
type fault struct {
	errno   unix.Errno // 0 for none
	in      int        // requests until then
	reads   bool       // only reads count and fail; otherwise those that change something or flush
	forGood bool       // all from then on, otherwise one
	torn    bool       // half of the sectors that were to be written are
}

// hit counts a request and tells whether it fails.
func (f *fault) hit(read bool) bool {
	if f.errno == 0 || read != f.reads {
		return false
	}
	f.in--
	return f.in == 0 || f.in < 0 && f.forGood
}

// memOp is a recorded request: a write, a change of length (data nil, n >= 0), or a flush (n < 0).
type memOp struct {
	off, n int64
	data   []byte
}

// memDriver makes nodes that all show d.
func memDriver(d *memDisk) *block.Driver {
	return &block.Driver{
		Name: "mem", Protocol: true,
		Open: func(context.Context, *block.Node, *block.Options) (block.Instance, error) { return d, nil },
	}
}

func (d *memDisk) Close() {}

// step counts a request and tells whether it fails.
func (d *memDisk) step() error {
	d.ops++
	if e, ok := d.fail[d.ops]; ok {
		return e
	}
	if d.hit(false) {
		return d.errno
	}
	return nil
}

func (d *memDisk) Length(context.Context) (int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return int64(len(d.b)), nil
}

func (d *memDisk) ReadV(_ context.Context, off int64, iov [][]byte, _ block.Flags) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.hit(true) {
		return d.errno
	}
	for _, v := range iov {
		clear(v)
		if off < int64(len(d.b)) {
			copy(v, d.b[off:])
		}
		off += int64(len(v))
	}
	return nil
}

func (d *memDisk) WriteV(_ context.Context, off int64, iov [][]byte, _ block.Flags) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(); err != nil {
		if data := make([]byte, block.IovLen(iov)); d.torn {
			block.IovGather(data, iov)
			data = data[:len(data)/1024*512] // a sector is written or not
			d.b = memOp{off: off, n: int64(len(data)), data: data}.apply(d.b)
		}
		return err
	}
	if d.limit > 0 && off+block.IovLen(iov) > d.limit {
		return unix.ENOSPC
	}
	data := make([]byte, block.IovLen(iov))
	block.IovGather(data, iov)
	op := memOp{off: off, n: int64(len(data)), data: data}
	d.record(op)
	d.b = op.apply(d.b)
	return nil
}

func (d *memDisk) FlushToDisk(context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(); err != nil {
		return err
	}
	d.record(memOp{n: -1})
	return nil
}

func (d *memDisk) Truncate(_ context.Context, n int64, _ bool, _ block.Prealloc, _ bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(); err != nil {
		return err
	}
	if d.limit > 0 && n > d.limit {
		return unix.ENOSPC
	}
	op := memOp{n: n}
	d.record(op)
	d.b = op.apply(d.b)
	return nil
}

func (d *memDisk) record(op memOp) {
	if d.note != nil {
		d.note(op)
	}
}

// apply does a recorded request.
func (o memOp) apply(b []byte) []byte {
	end := o.off + o.n
	switch {
	case o.n < 0:
	case o.data == nil && end < int64(len(b)):
		b = b[:end:end]
	case end > int64(len(b)):
		b = append(b, make([]byte, end-int64(len(b)))...)
	}
	copy(b[min(o.off, int64(len(b))):], o.data)
	return b
}

// crash makes what is on the medium if power fails in the interval that starts with log[at] (just behind a flush): everything before it,
// and any part of what follows up to the next flush.
func crash(start []byte, log []memOp, at int, r *rand.Rand) []byte {
	b := append([]byte(nil), start...)
	for _, op := range log[:at] {
		b = op.apply(b)
	}
	for _, op := range log[at:] {
		if op.n < 0 {
			break
		}
		if r.IntN(2) == 0 {
			b = op.apply(b)
		}
	}
	return b
}
