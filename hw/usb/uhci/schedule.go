package uhci

import (
	"errors"
	"slices"

	"goemu/hw/usb"
	"goemu/internal/clock"
	"goemu/internal/mainloop"
)

var errPorts = errors.New("uhci: another number of ports")

// td is a transfer descriptor.
type td struct{ link, control, token, buffer uint32 }

func (t *td) pid() usb.PID    { return usb.PID(t.token) }
func (t *td) address() uint8  { return uint8(t.token >> 8 & 0x7f) }
func (t *td) endpoint() uint8 { return uint8(t.token >> 15 & 15) }
func (t *td) length() int     { return int((t.token>>21 + 1) & controlTransferSize) }

// queueToken tells queues apart: those of the control pipe have both directions.
func (t *td) queueToken() uint32 {
	if t.token&tokenEndpoint == 0 {
		return t.token & tokenControl
	}
	return t.token & tokenWhole
}

// queue is the packets of one endpoint that wait for the device.
type queue struct {
	head, token uint32
	ep          *usb.Endpoint
	transfers   []*transfer
	life        int // frames until it is dropped if the schedule has it no longer
}

// transfer is a descriptor that is on its way.
type transfer struct {
	usb.Packet
	q    *queue
	addr uint32
	buf  []byte
	done bool
}

// result tells how the schedule goes on after a descriptor.
type result uint8

const (
	stopFrame result = iota
	complete
	nextQueue
	asyncStart
	asyncGoOn
)

func (c *Controller) readTD(link uint32) (t td) {
	var b [tdBytes]byte
	c.DMA().Read(uint64(link&linkMask), b[:])
	return td{le.Uint32(b[:]), le.Uint32(b[4:]), le.Uint32(b[8:]), le.Uint32(b[12:])}
}

func (c *Controller) read32(addr uint32) uint32 {
	var b [4]byte
	c.DMA().Read(uint64(addr), b[:])
	return le.Uint32(b[:])
}

func (c *Controller) write32(addr, v uint32) {
	c.DMA().Write(uint64(addr), le.AppendUint32(nil, v))
}

// drop takes back what a queue has under way.
func (c *Controller) drop(q *queue) {
	for _, t := range q.transfers {
		if !t.done {
			t.Cancel()
		}
	}
	q.transfers = nil
	c.queues = slices.DeleteFunc(c.queues, func(x *queue) bool { return x == q })
}

func (c *Controller) dropAll() {
	for len(c.queues) > 0 {
		c.drop(c.queues[0])
	}
}

func (c *Controller) dropDevice(d *usb.Device) {
	for _, q := range slices.Clone(c.queues) {
		if q.ep.Device() == d {
			c.drop(q)
		}
	}
}

// fits tells whether a queue is still the one that the schedule means.
func (q *queue) fits(head uint32, t *td, addr uint32, queuing bool) bool {
	return q.head == head && q.token == t.queueToken() && uint8(q.token>>8&0x7f) == q.ep.Device().Address() &&
		(queuing || t.control&tdActive == 0 || len(q.transfers) == 0 || q.transfers[0].addr == addr)
}

// lookUp finds the queue and the transfer of a descriptor, and drops those that the driver has used for something else.
func (c *Controller) lookUp(q *queue, head uint32, t *td, addr uint32) (*queue, *transfer) {
	queuing := q != nil
	var x *transfer
	for _, o := range c.queues {
		if i := slices.IndexFunc(o.transfers, func(x *transfer) bool { return x.addr == addr }); i >= 0 {
			x = o.transfers[i]
			break
		}
	}
	if x != nil {
		if x.q.fits(head, t, addr, queuing) && (q == nil || q == x.q) {
			q = x.q
		} else {
			c.drop(x.q)
			x = nil
			if q != nil && !slices.Contains(c.queues, q) {
				return nil, nil
			}
		}
	}
	if q == nil {
		token := t.queueToken()
		if i := slices.IndexFunc(c.queues, func(o *queue) bool { return o.token == token }); i >= 0 {
			if q = c.queues[i]; !q.fits(head, t, addr, queuing) {
				c.drop(q)
				q = nil
			}
		}
	}
	if q != nil {
		q.life = queueLife
	}
	return q, x
}

// handle does a descriptor; filling is the queue that is being filled, nil in the ordinary course.
func (c *Controller) handle(filling *queue, head uint32, t *td, addr uint32, causes *uint32) result {
	q, x := c.lookUp(filling, head, t, addr)
	if filling != nil && q == nil {
		return asyncGoOn
	}
	if t.control&tdActive == 0 {
		if x != nil {
			c.drop(x.q)
		}
		if t.control&tdInterrupt != 0 {
			*causes |= causeComplete
		}
		return nextQueue
	}
	if pid := t.pid(); pid != usb.In && pid != usb.Out && (pid != usb.Setup || t.endpoint() != 0) {
		c.status |= stsProcessErr
		c.command &^= cmdRun
		c.updateIRQ()
		return stopFrame
	}
	if x != nil {
		if filling != nil {
			return asyncGoOn
		}
		if !x.done {
			last := x.q.transfers[len(x.q.transfers)-1]
			t := c.readTD(last.addr) // the driver may have added some
			c.fill(x.q, &t)
			return asyncGoOn
		}
		q.transfers = slices.DeleteFunc(q.transfers, func(o *transfer) bool { return o == x })
		return c.finish(t, x, causes)
	}
	if c.completions {
		return asyncGoOn
	}
	if q == nil {
		d := c.find(t.address())
		if d == nil {
			return c.failed(t, usb.NoDevice, causes)
		}
		q = &queue{head: head, token: t.queueToken(), ep: d.Endpoint(t.pid(), t.endpoint()), life: queueLife}
		c.queues = append(c.queues, q)
	}
	return c.start(filling, q, t, addr, causes)
}

// start gives a descriptor's packet to the device.
func (c *Controller) start(filling, q *queue, t *td, addr uint32, causes *uint32) result {
	x := &transfer{q: q, addr: addr, buf: make([]byte, t.length())}
	x.PID, x.EP, x.ID = t.pid(), q.ep, uint64(addr)
	x.ShortNotOK = x.PID == usb.In && t.control&tdShort != 0
	x.Buffer(x.buf)
	x.Done = func(*usb.Packet) { c.completed(x) }
	if x.PID != usb.In {
		c.DMA().Read(uint64(t.buffer), x.buf)
	}
	q.ep.Device().Handle(&x.Packet)
	if x.Status == usb.Async {
		q.transfers = append(q.transfers, x)
		if filling == nil {
			c.fill(q, t)
		}
		return asyncStart
	}
	if x.PID != usb.In && x.Status == usb.OK {
		x.Actual = len(x.buf)
	}
	return c.finish(t, x, causes)
}

// completed hears of a packet that the device has done later.
func (c *Controller) completed(x *transfer) {
	if x.Status == usb.Removed {
		x.q.transfers = slices.DeleteFunc(x.q.transfers, func(o *transfer) bool { return o == x })
		return
	}
	x.done, c.completions = true, true
	if c.posted {
		return
	}
	c.posted = true
	mainloop.Post(func() {
		if c.posted {
			c.posted = false
			c.frameWork()
		}
	})
}

// finish writes a packet's outcome into its descriptor.
func (c *Controller) finish(t *td, x *transfer, causes *uint32) result {
	if t.control&tdIsochronous != 0 {
		t.control &^= tdActive
	}
	if x.Status != usb.OK {
		return c.failed(t, x.Status, causes)
	}
	n := x.Actual
	t.control = t.control&^(tdLengthMask|tdActive|tdNAK) | uint32(n-1)&tdLengthMask
	if t.control&tdInterrupt != 0 {
		*causes |= causeComplete
	}
	if x.PID == usb.In {
		c.DMA().Write(uint64(t.buffer), x.buf[:n])
		if t.control&tdShort != 0 && n < t.length() {
			*causes |= causeShort
			return nextQueue
		}
	}
	return complete
}

// failed writes why a packet has failed into its descriptor.
func (c *Controller) failed(t *td, s usb.Status, causes *uint32) result {
	r := nextQueue
	switch s {
	case usb.NAK:
		t.control |= tdNAK
		return nextQueue
	case usb.Stall:
		t.control |= tdStalled
	case usb.Babble:
		t.control |= tdBabble | tdStalled
		r = stopFrame
	default:
		t.control = t.control&^tdErrorsMask | tdTimeout
	}
	t.control &^= tdActive
	c.status |= stsError
	if t.control&tdInterrupt != 0 {
		*causes |= causeComplete
	}
	c.updateIRQ()
	return r
}

// fill gives the device what stands behind a descriptor that it has not answered.
func (c *Controller) fill(q *queue, t *td) {
	var causes uint32
	link := t.link
	for n := 0; link&linkEnd == 0 && n < maxLinks; n++ {
		t := c.readTD(link)
		if t.control&tdActive == 0 || t.queueToken() != q.token || c.handle(q, q.head, &t, link, &causes) != asyncStart {
			return
		}
		link = t.link
	}
}

// frameWork goes through the schedule of the frame (section 3.4).
func (c *Controller) frameWork() {
	var causes, head, next, done uint32
	link := c.read32(c.base + uint32(c.frame&frameListMask)<<2)
	seen := make([]uint32, 0, maxQueues)
	for n := 0; link&linkEnd == 0 && n < maxLinks; n++ {
		if !c.completions && c.frameBytes >= c.Bandwidth {
			break
		}
		if link&linkQueue != 0 {
			if slices.Contains(seen, link) || len(seen) == maxQueues { // drivers make circles to use what is left of a frame
				if done == 0 {
					break
				}
				done, seen = 0, seen[:0]
			}
			seen = append(seen, link)
			horizontal, element := c.read32(link&linkMask), c.read32(link&linkMask+4)
			if element&linkEnd != 0 {
				head, link = 0, horizontal
			} else {
				head, next, link = link, horizontal, element
			}
			continue
		}
		t := c.readTD(link)
		old := t.control
		r := c.handle(nil, head, &t, link, &causes)
		if t.control != old {
			c.write32(link&linkMask+4, t.control)
		}
		if r == stopFrame {
			break
		}
		if r != complete {
			if link = t.link; head != 0 {
				link = next
			}
			continue
		}
		link = t.link
		done++
		c.frameBytes += (t.control & tdLengthMask) + 1
		if head != 0 {
			c.write32(head&linkMask+4, link)
			if link&linkDepth == 0 {
				head, link = 0, next
			}
		}
	}
	c.pending |= causes
}

// tick does the frames whose time has come.
func (c *Controller) tick() {
	c.completions, c.posted = false, false
	if c.command&cmdRun == 0 {
		c.timer.Del()
		c.dropAll()
		c.status |= stsHalted
		return
	}
	now := clock.Virtual.Now()
	frames := (now - (c.expire - frameNanoseconds)) / frameNanoseconds
	if late := frames - int64(c.MaxFrames); late > 0 {
		c.expire += late * frameNanoseconds
		c.frame = uint16((int64(c.frame) + late) & frameMask)
		frames -= late
	}
	for range min(frames, maxFramesPerTick) {
		c.frameBytes = 0
		for _, q := range c.queues {
			q.life--
		}
		c.frameWork()
		for _, q := range slices.Clone(c.queues) {
			if q.life <= 0 {
				c.drop(q)
			}
		}
		c.frame = (c.frame + 1) & frameMask
		c.expire += frameNanoseconds
	}
	if c.pending != 0 {
		c.status2 |= uint8(c.pending)
		c.status |= stsInterrupt
		c.updateIRQ()
	}
	c.pending = 0
	c.timer.Mod(now + frameNanoseconds)
}
