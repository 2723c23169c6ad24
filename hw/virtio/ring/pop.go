package ring

import "goemu/internal/memory"

// Pop takes the next available chain; nil without error means that there is none. After an error the queue is unusable until reset.
func (q *Queue) Pop() (*Element, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.cfg.Num == 0 {
		return nil, nil
	}
	if err := q.remap(); err != nil {
		return nil, err
	}
	if ok, err := q.form.available(q); !ok || err != nil {
		return nil, err
	}
	if q.inUse >= int(q.cfg.Num) {
		return nil, Error("Virtqueue size exceeded")
	}
	e := q.take()
	e.gen = q.gen
	if err := q.form.chain(q, e); err != nil {
		q.give(e)
		return nil, err
	}
	q.move(e.descs)
	if q.cfg.EventIdx && q.notify {
		q.form.ask(q)
	}
	return e, nil
}

// move takes n more descriptors into use, or fewer if n is negative.
// Preconditions: mu is held.
func (q *Queue) move(n int) {
	q.inUse += n
	q.pos.Avail = q.form.after(q.pos.Avail, q.cfg.Num, n)
}

// Unpop puts the chain back that was taken last, as if it had never been taken.
func (q *Queue) Unpop(e *Element) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if e.gen == q.gen && q.inUse > 0 {
		q.move(-e.descs)
		q.give(e)
	}
}

// take gets an empty element, give keeps one for the next take.
// Preconditions: mu is held.
func (q *Queue) take() *Element {
	e := q.free
	if e == nil {
		return new(Element)
	}
	q.free, e.next = e.next, nil
	return e
}

func (q *Queue) give(e *Element) {
	clear(e.Out)
	clear(e.In)
	e.Out, e.In, e.out, e.in = e.Out[:0], e.In[:0], e.out[:0], e.in[:0]
	e.outLen, e.inLen = 0, 0
	e.next, q.free = q.free, e
}

// table is the descriptor table that a chain is being followed in.
type table struct {
	bytes []byte
	max   uint32
}

// entry reads a descriptor once, so that the driver cannot change it between check and use. Its last two words differ in the two forms.
// Preconditions: i < t.max.
func (t *table) entry(i uint32) (addr uint64, n uint32, word, last uint16) {
	d := t.bytes[i*descSize:][:descSize]
	return le.Uint64(d), le.Uint32(d[descLen:]), le.Uint16(d[descWord:]), le.Uint16(d[descLast:])
}

// indirect maps a table of descriptors that lies elsewhere.
func (q *Queue) indirect(addr uint64, n uint32) (table, error) {
	if n == 0 || n%descSize != 0 {
		return table{}, Error("Invalid size for indirect buffer table")
	}
	if b, _, _, ok := mapOne(q.m.view, addr, uint64(n), false); ok {
		return table{b, n / descSize}, nil
	}
	// Not in one piece: no driver does that, but it may. Only as much as a chain can use, and one more, is copied.
	size := min(n, (MaxSize+1)*descSize)
	b := make([]byte, size)
	if !readRAM(q.mem, addr, b) {
		return table{}, Error("Cannot map indirect buffer")
	}
	return table{b, size / descSize}, nil
}

// readRAM copies guest memory that may lie in several blocks.
func readRAM(as *memory.AddressSpace, addr uint64, b []byte) bool {
	iov, ok := as.Map(addr, uint64(len(b)), false)
	if !ok {
		return false
	}
	for _, p := range iov {
		b = b[copy(b, p):]
	}
	return true
}

// buffer adds one descriptor's memory to the element.
func (q *Queue) buffer(e *Element, addr uint64, n uint32, write bool) error {
	if n == 0 {
		return Error("virtio: zero sized buffers are not allowed")
	}
	if addr+uint64(n) < addr {
		return Error("virtio: bogus descriptor or out of resources")
	}
	var ok bool
	if write {
		e.In, ok = q.mem.AppendMap(e.In, addr, uint64(n), true)
		e.in = append(e.in, Span{addr, uint64(n)})
		e.inLen += uint64(n)
	} else {
		if len(e.in) > 0 {
			return Error("Incorrect order for descriptors")
		}
		e.Out, ok = q.mem.AppendMap(e.Out, addr, uint64(n), false)
		e.out = append(e.out, Span{addr, uint64(n)})
		e.outLen += uint64(n)
	}
	if !ok {
		return Error("virtio: bogus descriptor or out of resources")
	}
	return nil
}
