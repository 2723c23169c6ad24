package ring

import (
	"fmt"

	"goemu/internal/memory"
)

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
	if ok, err := q.available(); !ok || err != nil {
		return nil, err
	}
	if q.inUse >= int(q.cfg.Num) {
		return nil, Error("Virtqueue size exceeded")
	}
	slot := int(q.pos.LastAvail & (q.cfg.Num - 1))
	head := le.Uint16(q.m.avail[availRing+2*slot:])
	if head >= q.cfg.Num {
		return nil, Error(fmt.Sprintf("Guest says index %d is available", head))
	}
	e := q.take()
	e.Head, e.gen = head, q.gen
	if err := q.walk(e); err != nil {
		q.give(e)
		return nil, err
	}
	q.pos.LastAvail++
	q.inUse++
	if q.cfg.EventIdx && q.notify {
		q.armEvent()
	}
	return e, nil
}

// available tells whether there is a chain to take, and looks at the driver's index only when those seen before are used up.
// Preconditions: mu is held and the rings are mapped.
func (q *Queue) available() (bool, error) {
	if q.avail != q.pos.LastAvail {
		return true, nil
	}
	q.avail = uint16(loadPair(q.m.avail) >> 16)
	n := q.avail - q.pos.LastAvail
	if n > q.cfg.Num {
		err := Error(fmt.Sprintf("Guest moved used index from %d to %d", q.pos.LastAvail, q.avail))
		q.avail = q.pos.LastAvail
		return false, err
	}
	return n != 0, nil
}

// Unpop puts the chain back that was taken last, as if it had never been taken.
func (q *Queue) Unpop(e *Element) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if e.gen == q.gen && q.inUse > 0 {
		q.inUse--
		q.pos.LastAvail--
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
	e.Out, e.In, e.spans = e.Out[:0], e.In[:0], e.spans[:0]
	e.outLen, e.inLen = 0, 0
	e.next, q.free = q.free, e
}

// table is the descriptor table that a chain is being followed in.
type table struct {
	bytes []byte
	max   uint32
}

// walk follows the chain from e.Head and maps its buffers.
// Preconditions: mu is held and the rings are mapped.
func (q *Queue) walk(e *Element) error {
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

// entry reads a descriptor once, so that the driver cannot change it between check and use.
// Preconditions: i < t.max.
func (t *table) entry(i uint32) (addr uint64, n uint32, flags, next uint16) {
	d := t.bytes[i*descSize:][:descSize]
	return le.Uint64(d), le.Uint32(d[descLen:]), le.Uint16(d[descFlags:]), le.Uint16(d[descNext:])
}

// indirect maps a table of descriptors that lies elsewhere.
func (q *Queue) indirect(addr uint64, n uint32) (table, error) {
	if n == 0 || n%descSize != 0 {
		return table{}, Error("Invalid size for indirect buffer table")
	}
	if b, _, _, ok := mapOne(q.m.view, addr, uint64(n), false); ok {
		return table{b, n / descSize}, nil
	}
	// Not in one piece: no driver does that, but it may. Only as much as a chain can use is copied.
	size := min(n, MaxSize*descSize)
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
		e.spans = append(e.spans, span{addr, uint64(n)})
		e.inLen += uint64(n)
	} else {
		if len(e.spans) > 0 {
			return Error("Incorrect order for descriptors")
		}
		e.Out, ok = q.mem.AppendMap(e.Out, addr, uint64(n), false)
		e.outLen += uint64(n)
	}
	if !ok {
		return Error("virtio: bogus descriptor or out of resources")
	}
	return nil
}
