package ring

import (
	"fmt"
	"math"
)

// Taken is a chain that was taken, as it migrates.
type Taken struct {
	Head    uint16
	Descs   int // descriptors of a packed queue that it is in
	Out, In []Span
}

// Taken describes the chain.
func (e *Element) Taken() Taken { return Taken{e.Head, e.descs, e.out, e.in} }

// Adopt maps a chain that was taken before migration; it counts as in use already.
func (q *Queue) Adopt(t Taken) (*Element, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.cfg.Num == 0 || !q.cfg.Packed && t.Head >= q.cfg.Num {
		return nil, Error(fmt.Sprintf("Guest says index %d is available", t.Head))
	}
	if !q.cfg.Packed {
		t.Descs = 1
	}
	if t.Descs < 1 || t.Descs > int(q.cfg.Num) {
		return nil, Error(fmt.Sprintf("a chain of %d descriptors in a queue of %d", t.Descs, q.cfg.Num))
	}
	e := q.take()
	e.Head, e.descs, e.gen = t.Head, t.Descs, q.gen
	for i, list := range [...][]Span{t.Out, t.In} {
		for _, s := range list {
			err := error(Error("virtio: bogus descriptor or out of resources"))
			if s.Len <= math.MaxUint32 {
				err = q.buffer(e, s.Addr, uint32(s.Len), i == 1)
			}
			if err != nil {
				q.give(e)
				return nil, err
			}
		}
	}
	return e, nil
}

// Restore continues where another device stopped. Of a split queue only Avail counts: the rest follows from the guest's memory. A position
// that cannot be is not taken.
func (q *Queue) Restore(p Position, inUse int) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.pos, q.avail, q.inUse = start, 0, 0
	if q.cfg.Num == 0 {
		return nil
	}
	if err := q.remap(); err != nil {
		return err
	}
	return q.form.restore(q, p, inUse)
}

// Resync continues after another device that was lost and had a split queue: what it has not given back is taken again.
func (q *Queue) Resync() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.cfg.Num == 0 || q.remap() != nil {
		return
	}
	used := loadPair(q.m.used)
	q.flags, q.inUse, q.pos = uint16(used), 0, start
	q.avail = uint16(used >> 16)
	q.pos.Avail.Index, q.pos.Used.Index = q.avail, q.avail
}

// Rewind takes the last n chains, of one descriptor each, that are in use as not taken yet, and tells whether there were so many.
func (q *Queue) Rewind(n int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if n > q.inUse {
		return false
	}
	q.move(-n)
	return true
}
