package ring

// Push gives a chain back with the number of bytes the device has written to it, and tells whether the driver wants an interrupt.
// The element must not be used any more.
func (q *Queue) Push(e *Element, written uint32) (interrupt bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.markWritten(e, uint64(written))
	if !q.usable(e) {
		return false
	}
	q.fill(e, written, 0)
	q.flush(1)
	return q.shouldInterrupt()
}

// Used is a chain with the number of bytes written to it.
type Used struct {
	Elem    *Element
	Written uint32
}

// PushAll is Push for several chains, all taken since the same reset, with a single update of the used index.
func (q *Queue) PushAll(done []Used) (interrupt bool) {
	if len(done) == 0 {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, u := range done {
		q.markWritten(u.Elem, uint64(u.Written))
	}
	if !q.usable(done[0].Elem) {
		return false
	}
	for i, u := range done {
		q.fill(u.Elem, u.Written, uint16(i))
	}
	q.flush(uint16(len(done)))
	return q.shouldInterrupt()
}

// Detach drops a chain without giving it back.
func (q *Queue) Detach(e *Element) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.markWritten(e, 0)
	if e.gen == q.gen && q.inUse > 0 {
		q.inUse--
	}
}

// usable tells whether the element can be given back: the rings are those that it came from.
// Preconditions: mu is held.
func (q *Queue) usable(e *Element) bool {
	return e.gen == q.gen && q.cfg.Num != 0 && q.remap() == nil
}

// markWritten reports the written part of the chain to the watchers of guest memory.
func (q *Queue) markWritten(e *Element, n uint64) {
	for _, s := range e.spans {
		if n == 0 {
			return
		}
		k := min(s.n, n)
		q.mem.MarkDirty(s.addr, k)
		n -= k
	}
}

// fill writes the used entry ahead entries after the current one.
// Preconditions: mu is held and the rings are mapped.
func (q *Queue) fill(e *Element, written uint32, ahead uint16) {
	slot := int((q.pos.UsedIdx + ahead) & (q.cfg.Num - 1))
	off := usedRing + slot*usedElemSize
	le.PutUint32(q.m.used[off:], uint32(e.Head))
	le.PutUint32(q.m.used[off+4:], written)
	q.m.usedBlock.MarkDirty(q.m.usedOff+uint64(off), usedElemSize)
	q.give(e)
}

// flush publishes n filled entries.
// Preconditions: mu is held and the rings are mapped.
func (q *Queue) flush(n uint16) {
	q.pos.UsedIdx += n
	q.inUse = max(q.inUse-int(n), 0)
	storePair(q.m.used, uint32(q.flags)|uint32(q.pos.UsedIdx)<<16)
	q.m.usedBlock.MarkDirty(q.m.usedOff, 4)
	if int(int16(q.pos.UsedIdx-q.pos.Signalled)) < int(n) {
		q.pos.SignalledValid = false // the index went past the last signalled one: wrapped around
	}
}

// shouldInterrupt applies the driver's interrupt suppression. The store of the used index before it is fully ordered.
// Preconditions: mu is held and the rings are mapped.
func (q *Queue) shouldInterrupt() bool {
	if q.cfg.NotifyOnEmpty && q.inUse == 0 && q.empty() {
		return true
	}
	if !q.cfg.EventIdx {
		return uint16(loadPair(q.m.avail))&availNoInterrupt == 0
	}
	valid, old := q.pos.SignalledValid, q.pos.Signalled
	q.pos.Signalled, q.pos.SignalledValid = q.pos.UsedIdx, true
	event := le.Uint16(q.m.avail[availRing+2*int(q.cfg.Num):])
	return !valid || needEvent(event, q.pos.UsedIdx, old)
}

// needEvent tells whether an index that moved from old to cur passed event (virtio 1.2, section 2.7.7.2).
func needEvent(event, cur, old uint16) bool { return cur-event-1 < cur-old }
