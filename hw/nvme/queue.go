package nvme

import (
	"goemu/block"
	"goemu/hw/disk"
	"goemu/internal/mainloop"
	"goemu/internal/memory"
)

// subQueue is a submission queue.
type subQueue struct {
	id, cq     uint16
	base       uint64
	size       uint32
	head, tail uint32
	busy       uint32 // commands taken and not completed
	jobs       disk.Queue
	posted     bool // process is about to run on the main loop
}

// compQueue is a completion queue.
type compQueue struct {
	id, vector uint16
	base       uint64
	size       uint32
	head, tail uint32
	phase      uint16
	irq        bool
	users      int // submission queues
	done       []*request
}

// request is a command.
type request struct {
	sq     *subQueue
	cmd    [sqEntry]byte
	ns     *Namespace
	result uint64
	// written, if set, is done when the command, which writes blocks, is over.
	written func()
	status  status
	sg      disk.SG
}

func (r *request) opcode() uint8     { return r.cmd[cmdOpcode] }
func (r *request) nsid() uint32      { return le.Uint32(r.cmd[cmdNSID:]) }
func (r *request) dw(n int) uint32   { return le.Uint32(r.cmd[4*n:]) }
func (r *request) dw64(n int) uint64 { return le.Uint64(r.cmd[4*n:]) }

// shadow is where the driver keeps doorbells in memory, to save register accesses.
type shadow struct {
	on             bool
	values, events uint64
}

// at is the place of a doorbell: 2n for the nth submission queue, 2n+1 for the completion queue.
func (s *shadow) at(base uint64, n int) uint64 { return base + uint64(n)*dbBytes }

func (q *subQueue) empty() bool { return q.head == q.tail }
func (q *compQueue) full() bool { return (q.tail+1)%q.size == q.head }

func (c *Controller) addCQ(id uint16, base uint64, vector uint16, size uint32, irq bool) {
	if c.MSIXEnabled() {
		c.UseVector(int(vector))
	}
	c.cqs[id] = &compQueue{id: id, vector: vector, base: base, size: size, phase: 1, irq: irq}
}

func (c *Controller) dropCQ(q *compQueue) {
	c.cqs[q.id] = nil
	if c.MSIXEnabled() {
		c.UnuseVector(int(q.vector))
	}
}

func (c *Controller) addSQ(id, cq uint16, base uint64, size uint32) {
	c.sqs[id] = &subQueue{id: id, cq: cq, base: base, size: size}
	c.sqs[id].jobs.Backends = c.backends
	c.cqs[cq].users++
}

// backends are those of the namespaces.
func (c *Controller) backends() (list []*block.Backend) {
	for _, n := range c.namespaces {
		if n != nil {
			list = append(list, n.backend)
		}
	}
	return list
}

// sq and cq return a queue, nil if there is none with the number.
func (c *Controller) sq(id uint32) *subQueue {
	if id >= uint32(len(c.sqs)) {
		return nil
	}
	return c.sqs[id]
}

func (c *Controller) cq(id uint32) *compQueue {
	if id >= uint32(len(c.cqs)) {
		return nil
	}
	return c.cqs[id]
}

// ring is a write to a doorbell.
func (c *Controller) ring(off uint64, v uint16) {
	id := uint32(off / (2 * dbBytes))
	if off/dbBytes&1 != 0 {
		q := c.cq(id)
		if c.badDoorbell(q == nil, q != nil && uint32(v) >= q.size) {
			return
		}
		wasFull := q.full()
		q.head = uint32(v)
		if id == 0 && c.shadow.on {
			c.writeShadow(c.shadow.values, 1, q.head)
		}
		if q.head == q.tail {
			c.lower(q)
		}
		if wasFull {
			c.post(q)
		}
		return
	}
	q := c.sq(id)
	if c.badDoorbell(q == nil, q != nil && uint32(v) >= q.size) {
		return
	}
	q.tail = uint32(v)
	if id == 0 && c.shadow.on {
		c.writeShadow(c.shadow.values, 0, q.tail)
	}
	c.process(q)
}

// badDoorbell reports a doorbell that does not exist or a value beyond its queue.
func (c *Controller) badDoorbell(missing, beyond bool) bool {
	if !missing && !beyond {
		return false
	}
	if len(c.events.waiting) > 0 {
		info := uint8(eventBadDoorbell)
		if beyond {
			info = eventBadValue
		}
		c.enqueueEvent(event{eventError, info, logErrors})
	}
	return true
}

func (c *Controller) writeShadow(base uint64, n int, v uint32) {
	var b [dbBytes]byte
	le.PutUint32(b[:], v)
	c.DMA().Write(c.shadow.at(base, n), b[:])
}

// readShadow looks at a doorbell in memory; one that is beyond the queue counts as not written.
func (c *Controller) readShadow(n int, old, size uint32) uint32 {
	var b [dbBytes]byte
	if c.DMA().Read(c.shadow.at(c.shadow.values, n), b[:]) != memory.OK || le.Uint32(b[:]) >= size {
		return old
	}
	return le.Uint32(b[:])
}

// batch limits the commands that are taken before others may use the machine.
const batch = 256

// process takes commands from a queue. There are no more of them under way than the queue has entries.
func (c *Controller) process(q *subQueue) {
	cq := c.cqs[q.cq]
	c.lookAtTail(q)
	for n := 0; !q.empty() && q.busy < q.size && c.get32(regCSTS)&stsFailed == 0; n++ {
		if n == batch {
			c.later(q)
			break
		}
		r := &request{sq: q}
		if c.space.Read(q.base+uint64(q.head)*sqEntry, r.cmd[:]) != memory.OK {
			c.fail()
			break
		}
		q.head = (q.head + 1) % q.size
		q.busy++
		s := c.io(r)
		if s != pending {
			r.status = s
			cq.done = append(cq.done, r)
		}
		if c.sqs[q.id] != q { // the command has reset or deleted it
			break
		}
		if c.shadow.on {
			c.writeShadow(c.shadow.events, 2*int(q.id), q.tail)
			c.lookAtTail(q)
		}
	}
	if c.cqs[cq.id] == cq {
		c.post(cq)
	}
}

func (c *Controller) lookAtTail(q *subQueue) {
	if c.shadow.on {
		q.tail = c.readShadow(2*int(q.id), q.tail, q.size)
	}
}

// later goes on with a queue from the main loop.
func (c *Controller) later(q *subQueue) {
	if q.posted {
		return
	}
	q.posted = true
	mainloop.Post(func() {
		q.posted = false
		if c.sqs[q.id] == q {
			c.process(q)
		}
	})
}

// io carries a command out, or begins to.
func (c *Controller) io(r *request) status {
	if r.sq.id == 0 {
		return c.admin(r)
	}
	return c.command(r)
}

// complete ends a command that was pending.
func (c *Controller) complete(r *request, s status) {
	if r.written != nil {
		r.written()
	}
	if c.sqs[r.sq.id] != r.sq {
		return
	}
	r.status = s
	cq := c.cqs[r.sq.cq]
	cq.done = append(cq.done, r)
	c.post(cq)
}

// post gives the driver the completions for which there is room.
func (c *Controller) post(q *compQueue) {
	old := q.tail
	var again []*subQueue
	for len(q.done) > 0 {
		if c.shadow.on {
			c.writeShadow(c.shadow.events, 2*int(q.id)+1, q.head)
			q.head = c.readShadow(2*int(q.id)+1, q.head, q.size)
		}
		if q.full() {
			break
		}
		r := q.done[0]
		var b [cqEntry]byte
		le.PutUint64(b[:], r.result)
		le.PutUint16(b[8:], uint16(r.sq.head))
		le.PutUint16(b[10:], r.sq.id)
		copy(b[12:14], r.cmd[cmdID:])
		le.PutUint16(b[14:], uint16(r.status)<<1|q.phase)
		if c.space.Write(q.base+uint64(q.tail)*cqEntry, b[:]) != memory.OK {
			c.fail()
			break
		}
		q.done = q.done[1:]
		if q.tail++; q.tail == q.size {
			q.tail, q.phase = 0, q.phase^1
		}
		if r.sq.busy == r.sq.size {
			again = append(again, r.sq)
		}
		r.sq.busy--
	}
	if q.tail != old {
		c.raise(q)
	}
	for _, s := range again {
		if !s.empty() {
			c.later(s)
		}
	}
}

// raise interrupts the driver.
func (c *Controller) raise(q *compQueue) {
	switch {
	case !q.irq:
	case c.MSIXEnabled():
		c.NotifyMSIX(int(q.vector))
	default:
		c.irqs |= 1 << (q.vector & 31)
		c.updatePin()
	}
}

// lower takes the interrupt of a queue back that the driver has emptied, unless another queue has the same.
func (c *Controller) lower(q *compQueue) {
	for _, o := range c.cqs {
		if o != nil && o != q && o.irq && o.vector == q.vector && o.head != o.tail {
			return
		}
	}
	c.irqs &^= 1 << (q.vector & 31)
	c.updatePin()
}
