package ring

// Push gives a chain back with the number of bytes the device has written to it, and tells whether the driver wants an interrupt.
// The element must not be used any more.
func (q *Queue) Push(e *Element, written uint32) (interrupt bool) {
	return q.PushAll([]Used{{e, written}})
}

// Used is a chain with the number of bytes written to it.
type Used struct {
	Elem    *Element
	Written uint32
}

// PushAll is Push for several chains, all taken since the same reset, which the driver sees at once.
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
	from, descs := q.pos.Used, 0
	end := from
	for i, u := range done {
		if i > 0 {
			q.form.fill(q, end, u.Elem, u.Written)
			q.give(u.Elem)
		}
		descs += u.Elem.descs
		end = q.form.after(end, q.cfg.Num, u.Elem.descs)
	}
	first := done[0]
	q.form.fill(q, from, first.Elem, first.Written) // last, as a packed queue shows it at once
	q.give(first.Elem)
	q.pos.Used = end
	q.inUse = max(q.inUse-descs, 0)
	q.form.publish(q, from, descs)
	return q.form.wanted(q)
}

// Detach drops a chain without giving it back.
func (q *Queue) Detach(e *Element) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.markWritten(e, 0)
	if e.gen == q.gen {
		q.inUse = max(q.inUse-e.descs, 0)
	}
}

// usable tells whether the element can be given back: the rings are those that it came from.
// Preconditions: mu is held.
func (q *Queue) usable(e *Element) bool {
	return e.gen == q.gen && q.cfg.Num != 0 && q.remap() == nil
}

// markWritten reports the written part of the chain to the watchers of guest memory.
func (q *Queue) markWritten(e *Element, n uint64) {
	for _, s := range e.in {
		if n == 0 {
			return
		}
		k := min(s.Len, n)
		q.mem.MarkDirty(s.Addr, k)
		n -= k
	}
}
