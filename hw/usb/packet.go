package usb

import "slices"

// packetState is where a packet is on its way.
type packetState uint8

const (
	packetNew packetState = iota
	packetQueued
	packetAsync
	packetDone
	packetCancelled
)

// Packet is a transaction, or all transactions of a transfer descriptor: the host controller fills in the first members.
type Packet struct {
	PID        PID
	EP         *Endpoint
	Stream     uint16 // of an endpoint with streams, 0 without
	ID         uint64
	Whole      *[8]byte // the request of a control transfer that is done in one piece
	ShortNotOK bool     // less data than Size ends what is queued behind it
	Data       [][]byte // buffers of Size bytes
	Size       int
	// Done hears of the end of a packet whose status was Async.
	Done func(p *Packet)

	Status Status
	Actual int // bytes moved
	state  packetState
}

// Buffer makes b the packet's data.
func (p *Packet) Buffer(b []byte) { p.Data, p.Size = [][]byte{b}, len(b) }

// Room is how many bytes can still be moved.
func (p *Packet) Room() int { return p.Size - p.Actual }

// Move copies between b and the packet in the direction of the token and returns how many bytes there was room for.
func (p *Packet) Move(b []byte) (n int) {
	at := p.Actual
	for _, d := range p.Data {
		if at >= len(d) {
			at -= len(d)
			continue
		}
		k := 0
		if p.PID == In {
			k = copy(d[at:], b[n:])
		} else {
			k = copy(b[n:], d[at:])
		}
		n, at = n+k, 0
		if n == len(b) {
			break
		}
	}
	p.Actual += n
	return n
}

// Skip passes over n bytes; those to the host become zero.
func (p *Packet) Skip(n int) {
	n = min(n, p.Room())
	if p.PID == In {
		p.Move(make([]byte, n))
	} else {
		p.Actual += n
	}
}

// InFlight tells whether the packet waits for the device.
func (p *Packet) InFlight() bool { return p.state == packetQueued || p.state == packetAsync }

// Endpoint is one direction of an endpoint, or the control pipe.
type Endpoint struct {
	Number    uint8
	PID       PID
	Type      uint8
	MaxPacket int
	dev       *Device
	halted    bool
	queue     []*Packet
}

// Device is the endpoint's device.
func (e *Endpoint) Device() *Device { return e.dev }

// Endpoint returns an endpoint of the device (0..15).
func (d *Device) Endpoint(pid PID, n uint8) *Endpoint {
	switch {
	case n == 0:
		return &d.control
	case pid == In:
		return &d.in[n-1]
	default:
		return &d.out[n-1]
	}
}

// Handle gives a packet to the device. A status of Async says that it will be done later.
func (d *Device) Handle(p *Packet) {
	e := p.EP
	p.state = packetNew
	e.halted = e.halted && len(e.queue) > 0
	if len(e.queue) > 0 && p.Stream == 0 {
		p.state, p.Status = packetQueued, Async
		e.queue = append(e.queue, p)
		return
	}
	d.process(p)
	switch p.Status {
	case Async:
		p.state = packetAsync
		e.queue = append(e.queue, p)
	case NAK:
	default:
		d.capture.data(p, false)
		p.state = packetDone
	}
}

func (d *Device) process(p *Packet) {
	p.Status = OK
	switch {
	case p.EP.Number != 0:
		d.capture.data(p, true)
		d.model.Data(p)
	case p.Whole != nil:
		d.wholeRequest(p)
	case p.PID == Setup:
		d.setupToken(p)
	case p.PID == In:
		d.inToken(p)
	default:
		d.outToken(p)
	}
}

// Complete ends a packet whose status was Async, and does those that wait behind it. The caller has set the status.
func (d *Device) Complete(p *Packet) {
	if p.state != packetAsync {
		return
	}
	d.completeOne(p)
	e := p.EP
	for len(e.queue) > 0 {
		p := e.queue[0]
		if e.halted {
			e.queue = e.queue[1:]
			p.state, p.Status = packetCancelled, Removed
			p.Done(p)
			continue
		}
		if p.state == packetAsync {
			return
		}
		d.process(p)
		if p.Status == Async {
			p.state = packetAsync
			return
		}
		d.completeOne(p)
	}
}

func (d *Device) completeOne(p *Packet) {
	e := p.EP
	if p.Status == NAK { // nothing that was queued can be tried again by itself
		p.Status = Stall
	}
	if p.Status != OK || p.ShortNotOK && p.Actual < p.Size {
		e.halted = true
	}
	d.capture.data(p, false)
	p.state = packetDone
	e.queue = slices.DeleteFunc(e.queue, func(x *Packet) bool { return x == p })
	p.Done(p)
}

// Cancel takes a packet back that is in flight.
func (p *Packet) Cancel() {
	if !p.InFlight() {
		return
	}
	active := p.state == packetAsync
	p.state = packetCancelled
	e := p.EP
	e.queue = slices.DeleteFunc(e.queue, func(x *Packet) bool { return x == p })
	if c, ok := e.dev.model.(Canceller); ok && active {
		c.CancelPacket(p)
	}
}
