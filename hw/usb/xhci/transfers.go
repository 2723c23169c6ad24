package xhci

import (
	"slices"

	"goemu/hw/disk"
	"goemu/hw/usb"
	"goemu/internal/clock"
	"goemu/internal/mainloop"
)

// endpoint is an endpoint of a slot.
type endpoint struct {
	c         *Controller
	slot, id  int // from 1 on
	ring      ring
	streams   []stream // in place of the ring, by their numbers; nil without
	linear    bool     // all streams are in one array
	typ       uint32
	ctx       uint64
	state     uint32
	interval  uint64 // microframes
	last      uint64 // microframe of the last transfer
	active    bool
	transfers []*transfer // that wait for the device
	retry     *transfer   // that has been refused for now, or whose time has not come
	timer     *clock.Timer
}

// transfer is a transfer on its way.
type transfer struct {
	usb.Packet
	e        *endpoint
	stream   *stream // nil without
	trbs     []trb
	done     func() // after the data has moved
	code     uint32
	timed    bool
	due      uint64 // microframe
	finished bool
}

// enableEndpoint makes an endpoint of a context, which then says that it runs.
func (c *Controller) enableEndpoint(n, id int, ctx uint64, w *[5]uint32) {
	s := &c.slots[n-1]
	if s.eps[id-1] != nil {
		s.eps[id-1].disable()
	}
	e := c.newEndpoint(n, id, ctx, w)
	e.state = epRunning
	w[0] = w[0]&^epStateMask | epRunning
}

// newEndpoint is enableEndpoint for one whose context is in force.
func (c *Controller) newEndpoint(n, id int, ctx uint64, w *[5]uint32) *endpoint {
	const longest = 16
	e := &endpoint{c: c, slot: n, id: id, ctx: ctx, typ: w[1] >> 3 & 7, interval: 1 << min(w[0]>>16&0xff, longest),
		ring: ring{join([2]uint32{w[2] &^ 15, w[3]}), w[2]&1 != 0}}
	e.makeStreams(w)
	e.timer = mainloop.NewTimer(clock.Virtual, func() { e.kick(0) })
	c.slots[n-1].eps[id-1] = e
	return e
}

// disable takes the endpoint out of its slot. A controller that is reset leaves the driver's memory alone.
func (e *endpoint) disable() {
	e.cancel(0)
	e.timer.Del()
	if e.c.contexts != [2]uint32{} {
		e.setState(epDisabled, nil)
	}
	e.c.slots[e.slot-1].eps[e.id-1] = nil
}

// setState writes the endpoint's state, and how far its ring or that of a stream is, to its context.
func (e *endpoint) setState(state uint32, s *stream) {
	var w [5]uint32
	e.c.words(e.ctx, w[:])
	w[0] = w[0]&^epStateMask | state
	switch {
	case s != nil:
		s.put(e.c)
	case e.streams == nil:
		w[2], w[3] = e.ring.words()
	}
	e.c.putWords(e.ctx, w[:]...)
	e.state = state
}

// usb is the device's endpoint, nil if the device has gone.
func (e *endpoint) usb() *usb.Endpoint {
	d := e.c.slots[e.slot-1].device()
	if d == nil {
		return nil
	}
	pid := usb.Out
	if e.id&1 != 0 {
		pid = usb.In
	}
	return d.Endpoint(pid, uint8(e.id>>1))
}

// cancel ends all transfers; code, if not zero, is reported for the first one.
func (e *endpoint) cancel(code uint32) {
	list := e.transfers
	e.transfers = nil
	if e.retry != nil {
		list = append(list, e.retry)
		e.retry = nil
		e.timer.Del()
	}
	for _, t := range list {
		if code != 0 {
			t.code = code
			t.report()
			code = 0
		}
		t.Cancel()
	}
}

func (e *endpoint) isochronous() bool { return e.typ == epIsochIn || e.typ == epIsochOut }

// kick does the transfers in the ring, that of a stream if the endpoint has some.
func (e *endpoint) kick(id uint16) {
	s := &e.c.slots[e.slot-1]
	if e.active || s.device() == nil {
		return
	}
	e.active = true
	defer func() { e.active = false }()
	if !e.again() || e.state == epHalted {
		return
	}
	var st *stream
	if e.streams == nil {
		id = 0
	} else if st, _ = e.stream(id); st == nil {
		return
	}
	r := e.ringOf(st)
	e.setState(epRunning, st)
	if r.dequeue == 0 {
		return
	}
	for range maxTransfers {
		if len(e.transfers) >= maxWaiting+len(e.streams) {
			return
		}
		list := e.c.fetchTransfer(r)
		if list == nil {
			if e.isochronous() { // section 4.10.3.1
				code := uint32(ccUnderrun)
				if e.typ == epIsochIn {
					code = ccOverrun
				}
				e.c.event(s.target, event{typ: erTransfer, code: code, slot: uint8(e.slot), ep: uint8(e.id), pointer: r.dequeue})
			}
			return
		}
		t := &transfer{e: e, trbs: list, stream: st}
		t.Stream = id
		t.start()
		if s.device() == nil {
			return
		}
		if t.finished {
			e.setState(e.state, st)
		}
		if e.state == epHalted || e.retry != nil {
			return
		}
	}
}

// again tries a transfer once more; it returns false if that has to wait still.
func (e *endpoint) again() bool {
	t := e.retry
	if t == nil {
		return true
	}
	e.retry = nil
	if t.timed && t.early() {
		return false
	}
	t.timed = false
	t.submit()
	if t.finished {
		e.setState(e.state, t.stream)
	}
	return e.retry == nil
}

// start begins a transfer.
func (t *transfer) start() {
	e := t.e
	if e.id == 1 {
		if t.control() {
			t.submit()
		}
		return
	}
	t.PID = usb.Out
	if e.typ >= epControl {
		t.PID = usb.In
	}
	frame := e.c.frame()
	switch e.typ {
	case epBulkIn, epBulkOut:
	case epIntIn, epIntOut:
		t.timed = true
		t.due = max((frame+e.interval-1)&^(e.interval-1), e.last+e.interval)
	case epIsochIn, epIsochOut:
		t.timed = true
		t.due = t.isochDue(frame)
	default:
		return
	}
	if t.timed && t.early() {
		return
	}
	t.submit()
}

// isochDue is the microframe of an isochronous transfer (section 4.11.2.5).
func (t *transfer) isochDue(frame uint64) uint64 {
	e, control := t.e, t.trbs[0].control
	if control&trbASAP != 0 {
		soon := (frame + e.interval - 1) &^ (e.interval - 1)
		if soon >= e.last && soon <= e.last+4*e.interval {
			return e.last + e.interval
		}
		return soon
	}
	due := uint64(control>>trbFrameAt&0x7ff)<<3 | frame&^(wrapAt-1)
	if due+0x100 < frame {
		due += wrapAt
	}
	return due
}

// early tells whether the transfer's time has not come, and makes it wait then.
func (t *transfer) early() bool {
	e := t.e
	frame := e.c.frame()
	if t.due > frame {
		e.retry = t
		e.timer.Mod(clock.Virtual.Now() + int64(t.due-frame)*microframe)
		return true
	}
	e.last = t.due
	e.timer.Del()
	return false
}

// control checks the blocks of a control transfer and takes the request.
func (t *transfer) control() bool {
	first, last := &t.trbs[0], &t.trbs[len(t.trbs)-1]
	if last.typ() == trEvent && len(t.trbs) > 2 {
		last = &t.trbs[len(t.trbs)-2]
	}
	if first.typ() != trSetup || last.typ() != trStatus || first.control&trbImmediate == 0 || first.length() != setupBytes {
		return false
	}
	var b [setupBytes]byte
	le.PutUint64(b[:], first.parameter)
	t.Whole = &b
	if t.PID = usb.Out; b[0]&usb.DirIn != 0 {
		t.PID = usb.In
	}
	return true
}

// buffers finds the transfer's data; ok is false for blocks that contradict each other.
func (t *transfer) buffers() (sg disk.SG, ok bool) {
	sg.Space = t.e.c.DMA()
	for i := range t.trbs {
		b := &t.trbs[i]
		switch b.typ() {
		case trData:
			if b.control&trbIn != 0 != (t.PID == usb.In) {
				return sg, false
			}
		case trNormal, trIsoch:
		default:
			continue
		}
		n, addr := b.length(), b.parameter
		if b.control&trbImmediate != 0 {
			if n > 8 || t.PID == usb.In {
				return sg, false
			}
			addr = b.addr
		}
		sg.Add(addr, uint64(n))
	}
	return sg, true
}

// submit gives the transfer to the device.
func (t *transfer) submit() {
	e := t.e
	u := e.usb()
	if u == nil {
		return
	}
	sg, ok := t.buffers()
	if !ok {
		e.c.die()
		return
	}
	e.c.mastering = true
	iov, done, ok := sg.Map(t.PID == usb.In)
	e.c.mastering = false
	if !ok {
		return
	}
	t.EP, t.ID, t.Data, t.Size, t.Actual, t.done = u, t.trbs[0].addr, iov, int(sg.Size), 0, done
	t.Done = t.completed
	u.Device().Handle(&t.Packet)
	t.answered()
}

// completed hears of a transfer that the device has done later.
func (t *transfer) completed(*usb.Packet) {
	e := t.e
	e.transfers = slices.DeleteFunc(e.transfers, func(x *transfer) bool { return x == t })
	if t.Status == usb.Removed {
		return
	}
	t.answered()
	if e.c.slots[e.slot-1].eps[e.id-1] == e {
		if t.finished && !e.active && e.c.slots[e.slot-1].device() != nil {
			e.setState(e.state, t.stream)
		}
		e.kick(t.Stream)
	}
}

// answered takes the device's answer.
func (t *transfer) answered() {
	e := t.e
	switch t.Status {
	case usb.Async:
		if !slices.Contains(e.transfers, t) {
			e.transfers = append(e.transfers, t)
		}
		return
	case usb.NAK:
		e.retry = t
		return
	case usb.OK:
		t.code = ccSuccess
	case usb.Stall:
		t.code = ccStall
	case usb.Babble:
		t.code = ccBabble
	default:
		t.code = ccTransaction
	}
	t.finished = true
	e.c.mastering = true
	t.done()
	e.c.mastering = false
	t.report()
	if t.code != ccSuccess && !e.isochronous() { // section 4.10.2
		*e.ringOf(t.stream) = ring{t.trbs[0].addr, t.trbs[0].cycle}
		e.setState(epHalted, t.stream)
	}
}

// report tells the driver of the transfer, at the blocks that ask for it (section 4.10.1).
func (t *transfer) report() {
	left, sum := uint32(t.Actual), uint32(0)
	reported, short := false, false
	for i := range t.trbs {
		b, n := &t.trbs[i], uint32(0)
		switch b.typ() {
		case trSetup:
			n = min(b.length(), setupBytes)
		case trData, trNormal, trIsoch:
			if n = b.length(); n > left {
				n = left
				short = short || t.code == ccSuccess
			}
			left, sum = left-n, sum+n
		case trStatus:
			reported, short = false, false
		}
		if !reported && (b.control&trbInterrupt != 0 || short && b.control&trbShort != 0 || t.code != ccSuccess && left == 0) {
			e := event{typ: erTransfer, code: t.code, slot: uint8(t.e.slot), ep: uint8(t.e.id), length: b.length() - n, pointer: b.addr}
			if t.code == ccSuccess && short {
				e.code = ccShort
			}
			if b.typ() == trEvent {
				e.pointer, e.flags, e.length = b.parameter, trbEventData, sum&0xffffff
				sum = 0
			}
			t.e.c.event(int(b.status>>trbTargetAt), e)
			if reported = true; t.code != ccSuccess {
				return
			}
		}
		if b.typ() == trSetup {
			reported, short = false, false
		}
	}
}
