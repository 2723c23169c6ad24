package ring

import "fmt"

// split is the form with a descriptor table and two rings (virtio 1.2, section 2.7).
type split struct{}

func (split) size(num uint16) bool { return num&(num-1) == 0 }

func (split) areas(num uint64) (desc, avail, used uint64) {
	return num * descSize, availRing + num*2 + 2, usedRing + num*usedElemSize + 2
}

// available looks at the driver's index only when the chains seen before are used up.
func (split) available(q *Queue) (bool, error) {
	if q.avail != q.pos.Avail.Index {
		return true, nil
	}
	q.avail = uint16(loadPair(q.m.avail) >> 16)
	n := q.avail - q.pos.Avail.Index
	if n > q.cfg.Num {
		err := Error(fmt.Sprintf("Guest moved used index from %d to %d", q.pos.Avail.Index, q.avail))
		q.avail = q.pos.Avail.Index
		return false, err
	}
	return n != 0, nil
}

func (split) empty(q *Queue) bool { return uint16(loadPair(q.m.avail)>>16) == q.pos.Avail.Index }

func (split) chain(q *Queue, e *Element) error {
	slot := int(q.pos.Avail.Index & (q.cfg.Num - 1))
	e.Head, e.descs = le.Uint16(q.m.avail[availRing+2*slot:]), 1
	if e.Head >= q.cfg.Num {
		return Error(fmt.Sprintf("Guest says index %d is available", e.Head))
	}
	t := table{q.m.desc, uint32(q.cfg.Num)}
	i := uint32(e.Head)
	addr, n, flags, next := t.entry(i)
	if flags&flagIndirect != 0 {
		var err error
		if t, err = q.indirect(addr, n); err != nil {
			return err
		}
		addr, n, flags, next = t.entry(0)
	}
	for count := uint32(1); ; count++ {
		if count > t.max || count > MaxSize {
			return Error("Looped descriptor")
		}
		if err := q.buffer(e, addr, n, flags&flagWrite != 0); err != nil {
			return err
		}
		if flags&flagNext == 0 {
			return nil
		}
		if i = uint32(next); i >= t.max {
			return Error(fmt.Sprintf("Desc next is %d", i))
		}
		addr, n, flags, next = t.entry(i)
	}
}

func (split) after(p Place, _ uint16, n int) Place {
	p.Index += uint16(n)
	return p
}

func (split) fill(q *Queue, at Place, e *Element, written uint32) {
	off := usedRing + int(at.Index&(q.cfg.Num-1))*usedElemSize
	le.PutUint32(q.m.used[off:], uint32(e.Head))
	le.PutUint32(q.m.used[off+4:], written)
	q.m.usedBlock.MarkDirty(q.m.usedOff+uint64(off), usedElemSize)
}

func (s split) publish(q *Queue, _ Place, n int) {
	s.flags(q, q.flags)
	if int(int16(q.pos.Used.Index-q.pos.Signalled)) < n {
		q.pos.SignalledValid = false // the index went past the last signalled one: wrapped around
	}
}

// flags writes our flags and our index.
func (split) flags(q *Queue, f uint16) {
	q.flags = f
	storePair(q.m.used, uint32(f)|uint32(q.pos.Used.Index)<<16)
	q.m.usedBlock.MarkDirty(q.m.usedOff, 4)
}

func (s split) wanted(q *Queue) bool {
	if q.cfg.NotifyOnEmpty && q.inUse == 0 && s.empty(q) {
		return true
	}
	if !q.cfg.EventIdx {
		return uint16(loadPair(q.m.avail))&availNoInterrupt == 0
	}
	valid, old := q.pos.SignalledValid, q.pos.Signalled
	q.pos.Signalled, q.pos.SignalledValid = q.pos.Used.Index, true
	event := le.Uint16(q.m.avail[availRing+2*int(q.cfg.Num):])
	return !valid || needEvent(event, q.pos.Used.Index, old)
}

func (s split) ask(q *Queue) {
	switch {
	case q.cfg.EventIdx:
		if q.notify {
			off := usedRing + int(q.cfg.Num)*usedElemSize
			le.PutUint16(q.m.used[off:], q.pos.Avail.Index)
			q.m.usedBlock.MarkDirty(q.m.usedOff+uint64(off), 2)
			fence()
		}
	case q.notify:
		s.flags(q, q.flags&^usedNoNotify)
	default:
		s.flags(q, q.flags|usedNoNotify)
	}
}

func (split) restore(q *Queue, p Position, _ int) error {
	last := p.Avail.Index
	q.pos.Avail.Index, q.avail = last, last
	avail, used := uint16(loadPair(q.m.avail)>>16), loadPair(q.m.used)
	if n := avail - last; n > q.cfg.Num {
		return Error(fmt.Sprintf("size 0x%x Guest index 0x%x inconsistent with Host index 0x%x: delta 0x%x", q.cfg.Num, avail, last, n))
	}
	q.pos.Used.Index, q.flags = uint16(used>>16), uint16(used)
	if n := last - q.pos.Used.Index; n > q.cfg.Num {
		return Error(fmt.Sprintf("size 0x%x < last_avail_idx 0x%x - used_idx 0x%x", q.cfg.Num, last, q.pos.Used.Index))
	}
	q.inUse = int(last - q.pos.Used.Index)
	return nil
}
