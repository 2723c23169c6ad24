package ring

import "fmt"

// packed is the form with one ring, whose descriptors driver and device turn into each other's (virtio 1.2, section 2.8). Which are whose
// is told by two flags of each and by counters that turn over at the ring's end.
type packed struct{}

func (packed) size(uint16) bool { return true }

func (packed) areas(num uint64) (desc, avail, used uint64) {
	return num * descSize, eventSize, eventSize
}

func (p packed) available(q *Queue) (bool, error) { return !p.empty(q), nil }

func (packed) empty(q *Queue) bool {
	flags := uint16(loadPair(q.m.desc[int(q.pos.Avail.Index)*descSize+descWord:]) >> 16)
	avail, used := flags&flagAvail != 0, flags&flagUsed != 0
	return avail == used || avail != q.pos.Avail.Wrap
}

func (packed) chain(q *Queue, e *Element) error {
	t := table{q.m.desc, uint32(q.cfg.Num)}
	i := uint32(q.pos.Avail.Index)
	addr, n, id, flags := t.entry(i)
	if e.descs = 1; flags&flagIndirect != 0 {
		e.Head = id
		t, err := q.indirect(addr, n)
		if err != nil {
			return err
		}
		if t.max > MaxSize {
			return Error("Looped descriptor")
		}
		for i := range t.max { // all of them, in their order
			addr, n, _, flags := t.entry(i)
			if err := q.buffer(e, addr, n, flags&flagWrite != 0); err != nil {
				return err
			}
		}
		return nil
	}
	for ; ; e.descs++ {
		if err := q.buffer(e, addr, n, flags&flagWrite != 0); err != nil {
			return err
		}
		if flags&flagNext == 0 {
			e.Head = id // the last one's counts
			return nil
		}
		if e.descs == int(t.max) {
			return Error("Looped descriptor")
		}
		if i++; i == t.max {
			i = 0
		}
		addr, n, id, flags = t.entry(i)
	}
}

// after goes at most once around.
func (packed) after(p Place, num uint16, n int) Place {
	switch to := int(p.Index) + n; {
	case to >= int(num):
		return Place{uint16(to - int(num)), !p.Wrap}
	case to < 0:
		return Place{uint16(to + int(num)), !p.Wrap}
	default:
		return Place{uint16(to), p.Wrap}
	}
}

func (packed) fill(q *Queue, at Place, e *Element, written uint32) {
	off := int(at.Index) * descSize
	flags := uint32(0)
	if at.Wrap {
		flags = flagAvail | flagUsed
	}
	if written > 0 {
		flags |= flagWrite
	}
	le.PutUint32(q.m.desc[off+descLen:], written)
	storePair(q.m.desc[off+descWord:], uint32(e.Head)|flags<<16)
	q.m.descBlock.MarkDirty(q.m.descOff+uint64(off), descSize)
}

func (packed) publish(q *Queue, from Place, _ int) {
	if q.pos.Used.Wrap != from.Wrap {
		q.pos.SignalledValid = false
	}
}

func (packed) wanted(q *Queue) bool {
	event := loadPair(q.m.avail)
	switch event >> 16 {
	case eventEnable:
		return true
	case eventDisable:
		return false
	}
	valid, old := q.pos.SignalledValid, q.pos.Signalled
	q.pos.Signalled, q.pos.SignalledValid = q.pos.Used.Index, true
	at := uint16(event) &^ eventWrap
	if event&eventWrap != 0 != q.pos.Used.Wrap {
		at -= q.cfg.Num
	}
	return !valid || needEvent(at, q.pos.Used.Index, old)
}

func (packed) ask(q *Queue) {
	event := uint32(eventDisable) << 16
	switch {
	case q.notify && q.cfg.EventIdx:
		event = uint32(q.pos.Avail.Index) | eventDesc<<16
		if q.pos.Avail.Wrap {
			event |= eventWrap
		}
	case q.notify:
		event = eventEnable << 16
	}
	storePair(q.m.used, event)
	q.m.usedBlock.MarkDirty(q.m.usedOff, eventSize)
}

func (packed) restore(q *Queue, p Position, inUse int) error {
	if p.Avail.Index >= q.cfg.Num || p.Used.Index >= q.cfg.Num || inUse > int(q.cfg.Num) || inUse < 0 {
		return Error(fmt.Sprintf("size 0x%x inconsistent with last_avail_idx 0x%x, used_idx 0x%x, %d in use", q.cfg.Num, p.Avail.Index, p.Used.Index, inUse))
	}
	q.pos, q.inUse = p, inUse
	return nil
}
