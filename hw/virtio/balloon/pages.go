package balloon

import (
	"slices"

	"goemu/hw/virtio"
	"goemu/hw/virtio/ring"
	"goemu/internal/memory"
)

// pageNumberSize is the size of an entry in the driver's lists of pages.
const pageNumberSize = 4

// inflate takes the pages whose numbers the driver lists.
func (m *Model) inflate(q *virtio.Queue) bool {
	return m.lists(q, func(from, n uint64) { m.each(from, n, (*memory.RAMBlock).Discard) })
}

// deflate gives pages back: they are taken from the host as they are used.
func (m *Model) deflate(q *virtio.Queue) bool {
	return m.lists(q, func(uint64, uint64) {})
}

// lists calls f for the runs of pages in the chains of a queue.
func (m *Model) lists(q *virtio.Queue, f func(addr, n uint64)) bool {
	for {
		e := q.Pop()
		if e == nil {
			return true
		}
		runs(e, f)
		q.Push(e, 0)
	}
}

// cursor reads through the buffers of a chain.
type cursor [][]byte

// next fills b and tells whether there was enough left for it.
func (c *cursor) next(b []byte) bool {
	for len(b) > 0 {
		if len(*c) == 0 {
			return false
		}
		n := copy(b, (*c)[0])
		b = b[n:]
		if (*c)[0] = (*c)[0][n:]; len((*c)[0]) == 0 {
			*c = (*c)[1:]
		}
	}
	return true
}

// outOf starts at the first byte from the driver.
func outOf(e *ring.Element) cursor { return slices.Clone(e.Out) }

// runs joins page numbers that follow each other, upwards or downwards. There are no more pages than the machine has, and so it looks at
// no more numbers.
func runs(e *ring.Element, f func(addr, n uint64)) {
	var from, to uint64 // pages [from, to)
	flush := func() {
		if to > from {
			f(from<<pageBits, (to-from)<<pageBits)
		}
	}
	var b [pageNumberSize]byte
	c := outOf(e)
	for left := RAM>>pageBits + 1; left > 0 && c.next(b[:]); left-- {
		switch p := uint64(le.Uint32(b[:])); {
		case to > from && p == to:
			to++
		case to > from && p == from-1:
			from--
		default:
			flush()
			from, to = p, p+1
		}
	}
	flush()
}

// each calls f for the parts of [addr, addr+n) that are RAM. The driver's mistakes are ignored.
func (m *Model) each(addr, n uint64, f func(b *memory.RAMBlock, off, n uint64)) {
	view := m.Memory().View()
	for n > 0 {
		r := view.Find(addr)
		step := uint64(pageSize)
		if r != nil {
			step = min(n, r.Last-addr+1)
			if r.RAM != nil && !r.ReadOnly {
				f(r.RAM, r.Offset+addr-r.Start, step)
			}
		}
		if step >= n {
			return
		}
		addr, n = addr+step, n-step
	}
}

// report takes free pages that the driver lends: they are the buffers of the chain. Pages that must keep their contents are left alone.
func (m *Model) report(q *virtio.Queue) bool {
	for {
		e := q.Pop()
		if e == nil {
			return true
		}
		if m.poison.Load() == 0 {
			e.EachIn(func(addr, n uint64) {
				if (addr|n)%pageSize == 0 {
					m.each(addr, n, (*memory.RAMBlock).Discard)
				}
			})
		}
		q.Push(e, 0)
	}
}
