package ehci

import (
	"slices"

	"goemu/hw/disk"
	"goemu/hw/usb"
	"goemu/internal/memory"
)

const high = usb.High

// phase is how far a packet is.
type phase uint8

const (
	phaseNew phase = iota
	phaseReady
	phaseInFlight
	phaseFinished
)

// packet is a transfer descriptor that is being worked on.
type packet struct {
	usb.Packet
	q     *queue
	td    [tdWords]uint32
	addr  uint32
	phase phase
	sg    disk.SG
	done  func() // after the data has moved
}

// queue is a queue head that the controller knows of.
type queue struct {
	c       *Controller
	s       schedule
	addr    uint32
	tdAddr  uint32
	qh      [qhWords]uint32
	seen    int
	since   uint64 // when it was last seen
	mult    uint32 // transactions left in the microframe
	lastPID usb.PID
	dev     *usb.Device
	packets []*packet
}

func (q *queue) number() uint8 { return uint8(q.qh[qhEndpoint] >> epNumberAt & 15) }

// read and write move words between memory and the controller; they stop the controller where it may not reach memory.
func (c *Controller) read(addr uint32, words []uint32) {
	b := make([]byte, 4*len(words))
	c.mastering = true
	r := c.DMA().Read(uint64(addr), b)
	c.mastering = false
	if r != memory.OK {
		clear(b)
	}
	for i := range words {
		words[i] = le.Uint32(b[4*i:])
	}
}

func (c *Controller) write(addr uint32, words []uint32) {
	b := make([]byte, 0, 4*len(words))
	for _, w := range words {
		b = le.AppendUint32(b, w)
	}
	c.mastering = true
	c.DMA().Write(uint64(addr), b)
	c.mastering = false
}

func pidOf(token uint32) usb.PID {
	switch token >> tokenPIDAt & 3 {
	case 0:
		return usb.Out
	case 1:
		return usb.In
	case 2:
		return usb.Setup
	}
	return 0
}

// free ends a packet. One that has finished is reported first.
func (q *queue) free(p *packet) {
	if p.phase == phaseFinished && q.qh[qhToken]&tokenHalted == 0 {
		q.report(p)
		return
	}
	if p.phase == phaseInFlight {
		p.Cancel()
	}
	q.packets = slices.DeleteFunc(q.packets, func(x *packet) bool { return x == p })
}

// report writes the outcome of a packet to memory outside of the ordinary course, if the queue is still what it was.
func (q *queue) report(p *packet) {
	c := q.c
	var qh [qhWords]uint32
	var td [tdWords]uint32
	c.read(q.addr&linkMask, qh[:])
	c.read(q.tdAddr&linkMask, td[:])
	if q.packets[0] != p || !q.same(&qh) || !p.same(&td) {
		p.phase = phaseReady
		q.free(p)
		return
	}
	q.complete(p)
	q.flush()
	q.writeBack(p)
	if q.qh[qhToken]&tokenHalted == 0 {
		q.advance()
	}
}

// same tells whether the driver has left a queue head as it was (but for what it may change).
func (q *queue) same(qh *[qhWords]uint32) bool {
	const identity = epAddress | 15<<epNumberAt
	return (qh[qhEndpoint]^q.qh[qhEndpoint])&identity == 0 && qh[qhCurrent] == q.qh[qhCurrent] && (q.s != async || qh[qhNext] == q.qh[qhNext]) &&
		slices.Equal(qh[qhAlternate:], q.qh[qhAlternate:]) && (q.dev == nil || uint32(q.dev.Address()) == qh[qhEndpoint]&epAddress)
}

// same tells whether the driver has left a transfer descriptor as it was.
func (p *packet) same(td *[tdWords]uint32) bool {
	q := p.q
	return p.addr == q.tdAddr && (q.s != async || p.td[tdNext]&linkEnd != 0 || p.td[tdNext] == td[tdNext]) &&
		(p.td[tdAlternate]&linkEnd != 0 || p.td[tdAlternate] == td[tdAlternate]) && p.td[tdToken] == td[tdToken] && p.td[tdBuffers] == td[tdBuffers]
}

// cancel ends all packets of a queue.
func (q *queue) cancel() (n int) {
	for len(q.packets) > 0 {
		q.free(q.packets[0])
		n++
	}
	return n
}

// forget makes a queue look for its device anew.
func (q *queue) forget() {
	q.cancel()
	q.dev, q.tdAddr, q.lastPID = nil, 0, 0
}

func (c *Controller) drop(q *queue) {
	q.cancel()
	c.queues[q.s] = slices.DeleteFunc(c.queues[q.s], func(x *queue) bool { return x == q })
}

func (c *Controller) dropAll(s schedule) {
	for len(c.queues[s]) > 0 {
		c.drop(c.queues[s][0])
	}
}

func (c *Controller) dropDevice(d *usb.Device) {
	for s := range c.queues {
		for _, q := range slices.Clone(c.queues[s]) {
			if q.dev == d {
				c.drop(q)
			}
		}
	}
}

// dropOld drops queues that the schedule has had no longer for a while, dropUnseen those that it did not have the last time.
func (c *Controller) dropOld(s schedule) {
	age := uint64(frameNS) * uint64(c.MaxFrames) * 4
	for _, q := range slices.Clone(c.queues[s]) {
		switch {
		case q.seen != 0:
			q.seen, q.since = 0, c.lastRun
		case c.lastRun >= q.since+age:
			c.drop(q)
		}
	}
}

func (c *Controller) dropUnseen(s schedule) {
	for _, q := range slices.Clone(c.queues[s]) {
		if q.seen == 0 {
			c.drop(q)
		}
	}
}

// queue finds the queue of a queue head or makes one.
func (c *Controller) queue(s schedule, addr uint32) *queue {
	for _, q := range c.queues[s] {
		if q.addr == addr {
			return q
		}
	}
	q := &queue{c: c, s: s, addr: addr, since: c.lastRun}
	c.queues[s] = append(c.queues[s], q)
	return q
}

// flush writes the part of the queue head that belongs to the controller.
func (q *queue) flush() { q.c.write(q.addr&linkMask+4*qhCurrent, q.qh[qhCurrent:]) }

// overlay takes a packet's descriptor into the queue head (section 4.10.2).
func (q *queue) overlay(p *packet) {
	old := q.qh[qhToken]
	q.qh[qhCurrent] = p.addr
	copy(q.qh[qhNext:], p.td[:])
	if q.qh[qhEndpoint]>>epSpeedAt&3 == speedHigh {
		q.qh[qhToken] = q.qh[qhToken]&^tokenPing | old&tokenPing
	}
	q.qh[qhAlternate] = q.qh[qhAlternate]&^nakCount | q.qh[qhEndpoint]>>epReloadAt<<nakCountAt&nakCount
	if q.qh[qhEndpoint]&epToggle == 0 {
		q.qh[qhToken] = q.qh[qhToken]&^tokenToggle | old&tokenToggle
	}
	q.qh[qhBuffers+1] &^= bufProgress
	q.qh[qhBuffers+2] &^= bufFrameTag
	q.flush()
}

// buffers finds the data of a packet; ok is false for more than the descriptor has room for.
func (p *packet) buffers() bool {
	token := p.td[tdToken]
	page, left, off := token>>tokenPageAt&7, token>>tokenBytesAt&0x7fff, p.td[tdBuffers]&^pageMask
	p.sg = disk.SG{Space: p.q.c.DMA()}
	for left > 0 {
		if page >= tdPages {
			return false
		}
		n := min(left, pageBytes-off)
		p.sg.Add(uint64(p.td[tdBuffers+page]&pageMask)+uint64(off), uint64(n))
		left, off, page = left-n, 0, page+1
	}
	return true
}

// execute gives a packet to the device; ok is false for a descriptor that is not one.
func (q *queue) execute(p *packet) (ok bool) {
	token := p.td[tdToken]
	pid := pidOf(token)
	if token&tokenActive == 0 || token>>tokenBytesAt&0x7fff > maxBytes || pid == 0 || q.dev == nil {
		return false
	}
	q.lastPID = pid
	if p.phase == phaseNew {
		if !p.buffers() {
			return false
		}
		q.c.mastering = true
		iov, done, ok := p.sg.Map(pid == usb.In)
		q.c.mastering = false
		if !ok {
			return false
		}
		p.Packet = usb.Packet{PID: pid, EP: q.dev.Endpoint(pid, q.number()), ID: uint64(p.addr), ShortNotOK: pid == usb.In && p.td[tdAlternate]&linkEnd == 0,
			Data: iov, Size: int(p.sg.Size), Done: func(*usb.Packet) { q.answered(p) }}
		p.done, p.phase = done, phaseReady
	}
	q.dev.Handle(&p.Packet)
	return true
}

// answered hears of a packet that the device has done later.
func (q *queue) answered(p *packet) {
	if p.Status == usb.Removed {
		p.phase = phaseReady
		q.free(p)
		return
	}
	p.phase = phaseFinished
	if q.s == periodic {
		q.c.activity = periodicActivity
	}
	q.c.schedule()
}

// complete takes a packet's outcome into the queue head; it returns false for a packet that is to be tried again.
func (q *queue) complete(p *packet) bool {
	c, token := q.c, &q.qh[qhToken]
	switch p.Status {
	case usb.OK:
	case usb.NAK:
		q.qh[qhAlternate] &^= nakCount
		return false
	case usb.Stall:
		*token |= tokenHalted
	case usb.Babble:
		*token |= tokenHalted | tokenBabble
	default:
		*token = *token&^tokenErrors | tokenHalted | tokenError
	}
	if p.Status != usb.OK {
		c.raise(stsError)
	}
	left := *token >> tokenBytesAt & 0x7fff
	if left != 0 && p.PID == usb.In {
		left -= min(left, uint32(p.Actual))
		if left != 0 { // section 4.15.1.2
			q.interrupt()
		}
	} else {
		left = 0
	}
	*token = *token&^tokenBytes | left<<tokenBytesAt
	if n := uint32(p.Actual); n > 0 {
		off := q.qh[qhBuffers]&^pageMask + n
		*token = *token&^tokenPage | (*token>>tokenPageAt+off/pageBytes)<<tokenPageAt&tokenPage
		q.qh[qhBuffers] = q.qh[qhBuffers]&pageMask | off&^pageMask
	}
	c.mastering = true
	p.done()
	c.mastering = false
	p.phase = phaseNew
	*token = (*token ^ tokenToggle) &^ tokenActive
	if *token&tokenInterrupt != 0 {
		q.interrupt()
	}
	return true
}

func (q *queue) interrupt() {
	q.c.raise(stsInterrupt)
	if q.s == async {
		q.c.intByAsync = true
	}
}

// writeBack writes a packet's descriptor from the queue head and ends the packet: first the place in the buffers, then the token that makes
// it the driver's.
func (q *queue) writeBack(p *packet) {
	at := p.addr & linkMask
	q.c.write(at+4*tdBuffers, q.qh[qhBuffers:qhBuffers+1])
	q.c.write(at+4*tdToken, q.qh[qhToken:qhToken+1])
	q.packets = slices.DeleteFunc(q.packets, func(x *packet) bool { return x == p })
}
