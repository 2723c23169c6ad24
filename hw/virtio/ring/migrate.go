package ring

import "fmt"

// Span is a piece of guest memory.
type Span struct{ Addr, Len uint64 }

// Chain lists the buffers of the chain that begins at head, without taking it.
func (q *Queue) Chain(head uint16) (out, in []Span, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.remap(); err != nil {
		return nil, nil, err
	}
	if head >= q.cfg.Num {
		return nil, nil, Error(fmt.Sprintf("Guest says index %d is available", head))
	}
	t := table{q.m.desc, uint32(q.cfg.Num)}
	addr, n, flags, next := t.entry(uint32(head))
	if flags&flagIndirect != 0 {
		if t, err = q.indirect(addr, n); err != nil {
			return nil, nil, err
		}
		addr, n, flags, next = t.entry(0)
	}
	for range min(t.max, MaxSize) {
		if s := (Span{addr, uint64(n)}); flags&flagWrite != 0 {
			in = append(in, s)
		} else {
			out = append(out, s)
		}
		if flags&flagNext == 0 {
			return out, in, nil
		}
		if uint32(next) >= t.max {
			return nil, nil, Error(fmt.Sprintf("Desc next is %d", next))
		}
		addr, n, flags, next = t.entry(uint32(next))
	}
	return nil, nil, Error("Looped descriptor")
}

// Adopt maps a chain that was taken before migration; it counts as in use already.
func (q *Queue) Adopt(head uint16) (*Element, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.cfg.Num == 0 || head >= q.cfg.Num {
		return nil, Error(fmt.Sprintf("Guest says index %d is available", head))
	}
	if err := q.remap(); err != nil {
		return nil, err
	}
	e := q.take()
	e.Head, e.gen = head, q.gen
	if err := q.walk(e); err != nil {
		q.give(e)
		return nil, err
	}
	return e, nil
}

// Restore continues where another device stopped: lastAvail is the next entry of the available ring to take; the used index is read
// from the guest's memory.
func (q *Queue) Restore(lastAvail uint16) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.pos, q.avail, q.inUse = Position{LastAvail: lastAvail}, lastAvail, 0
	if q.cfg.Num == 0 {
		return nil
	}
	if err := q.remap(); err != nil {
		return err
	}
	avail, used := uint16(loadPair(q.m.avail)>>16), loadPair(q.m.used)
	if n := avail - lastAvail; n > q.cfg.Num {
		return Error(fmt.Sprintf("size 0x%x Guest index 0x%x inconsistent with Host index 0x%x: delta 0x%x", q.cfg.Num, avail, lastAvail, n))
	}
	q.pos.UsedIdx, q.flags = uint16(used>>16), uint16(used)
	if n := lastAvail - q.pos.UsedIdx; n > q.cfg.Num {
		return Error(fmt.Sprintf("size 0x%x < last_avail_idx 0x%x - used_idx 0x%x", q.cfg.Num, lastAvail, q.pos.UsedIdx))
	}
	q.inUse = int(lastAvail - q.pos.UsedIdx)
	return nil
}

// Resync continues after another device that was lost: what it has not given back is taken again.
func (q *Queue) Resync() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.cfg.Num == 0 || q.remap() != nil {
		return
	}
	used := loadPair(q.m.used)
	q.flags, q.inUse = uint16(used), 0
	q.pos = Position{LastAvail: uint16(used >> 16), UsedIdx: uint16(used >> 16)}
	q.avail = q.pos.LastAvail
}

// Rewind takes the last n chains that are in use as not taken yet, and tells whether there were so many.
func (q *Queue) Rewind(n int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if n > q.inUse {
		return false
	}
	q.inUse -= n
	q.pos.LastAvail -= uint16(n)
	return true
}
