package serial

import (
	"errors"
	"fmt"
	"slices"

	"goemu/block"
	"goemu/hw/qdev"
	"goemu/hw/virtio"
	"goemu/hw/virtio/ring"
	"goemu/internal/chardev"
)

// busType is the type of the bus that ports sit on.
const busType = "virtio-serial-bus"

// anyID is the default of nr: the first free one.
const anyID = 0xffffffff

// PortProps are the options of -device virtconsole and virtserialport.
type PortProps struct {
	Chardev *chardev.Backend `prop:"chardev" help:"ID of a chardev to use as a backend"`
	Nr      uint32           `prop:"nr,default=4294967295"`
	Label   string           `prop:"name"`
}

// port is a port of a virtio console device.
type port struct {
	qdev.Base
	PortProps
	console bool // virtconsole: a terminal, always open on our side

	m         *Model
	chr       *chardev.Port
	guestOpen bool
	hostOpen  bool
	throttled bool // the back end has no room
	out       *output
}

// output is a chain of the driver's that has been written in part.
type output struct {
	e    *ring.Element
	done int64
}

var (
	consoleClass = qdev.Class{Name: "virtconsole", Bus: busType, Category: qdev.Input, Parents: []string{"virtserialport", "virtio-serial-port", "device"},
		New: func() qdev.Device { return &port{console: true} }}
	portClass = qdev.Class{Name: "virtserialport", Bus: busType, Category: qdev.Input, Parents: []string{"virtio-serial-port", "device"},
		New: func() qdev.Device { return new(port) }}
)

// Realize implements qdev.Device.
func (p *port) Realize() (err error) {
	b, ok := p.Parent().(*bus)
	if !ok {
		return errors.New("No '" + busType + "' bus found for device '" + p.Class().Name + "'")
	}
	p.m = b.m
	if err := p.choose(); err != nil {
		return err
	}
	if p.Chardev != nil {
		if p.chr, err = p.Chardev.Attach((*front)(p)); err != nil {
			return err
		}
	}
	p.hostOpen = p.chr != nil && (p.console || p.Chardev.Connected())
	p.m.ports[p.Nr] = p
	if p.m.Status()&virtio.StatusDriverOK != 0 {
		p.m.send(p.Nr, evPortAdd, 1, "")
	}
	return nil
}

// choose finds the ID and checks the options, in QEMU's words.
func (p *port) choose() error {
	ports := p.m.ports
	if p.Nr == anyID {
		first := 1
		if p.console && ports[0] == nil { // the place of the one console that old drivers know
			first = 0
		}
		i := slices.Index(ports[min(first, len(ports)):], nil)
		if i < 0 {
			return errors.New("virtio-serial-bus: Maximum port limit for this device reached")
		}
		p.Nr = uint32(first + i)
	}
	switch same := func(o *port) bool { return o != nil && o.Label == p.Label }; {
	case p.Nr == 0 && !p.console:
		return errors.New("Port number 0 on virtio-serial devices reserved for virtconsole devices for backward compatibility.")
	case p.Nr >= uint32(len(ports)):
		return fmt.Errorf("virtio-serial-bus: Out-of-range port id specified, max. allowed: %d", len(ports)-1)
	case ports[p.Nr] != nil:
		return fmt.Errorf("virtio-serial-bus: A port already exists at id %d", p.Nr)
	case p.Label != "" && slices.ContainsFunc(ports, same):
		return fmt.Errorf("virtio-serial-bus: A port already exists by name %s", p.Label)
	}
	return nil
}

// Unrealize implements qdev.Device.
func (p *port) Unrealize() {
	p.m.send(p.Nr, evPortRemove, 1, "")
	p.m.ports[p.Nr] = nil
	if p.out != nil {
		_, out := p.m.queues(int(p.Nr))
		out.Push(p.out.e, 0)
		p.out = nil
	}
	if p.chr != nil {
		p.chr.Detach()
	}
}

// accept asks the back end for input that could not be taken before.
func (p *port) accept() {
	if p.chr != nil {
		p.chr.AcceptInput()
	}
}

// write hands bytes to the back end and returns how many it took. Without one, everything is taken.
func (p *port) write(b []byte) int {
	if p.chr == nil {
		return len(b)
	}
	return p.chr.Write(b)
}

// inputReady hears that the driver has added buffers for input.
func (m *Model) inputReady(id int, q *virtio.Queue) bool {
	if p := m.ports[id]; p != nil {
		p.accept()
	}
	q.Stall() // buffers stay in the queue until there is input
	return true
}

// output moves what the driver has written to the back end.
func (m *Model) output(id int, q *virtio.Queue) bool {
	p := m.ports[id]
	if p == nil || !p.hostOpen {
		for e := q.Pop(); e != nil; e = q.Pop() { // nobody listens
			q.Push(e, 0)
		}
		return true
	}
	for !p.throttled {
		if p.out == nil {
			e := q.Pop()
			if e == nil {
				return true
			}
			p.out = &output{e: e}
		}
		if !p.advance() {
			p.throttle(q)
			break
		}
		e := p.out.e
		p.out = nil
		q.Push(e, 0)
	}
	q.Stall()
	return true
}

// advance writes the rest of the current chain; false means that the back end is full.
func (p *port) advance() bool {
	o := p.out
	total := int64(o.e.OutLen())
	for _, b := range block.IovSlice(nil, o.e.Out, o.done, total-o.done) {
		n := p.write(b)
		o.done += int64(n)
		if n < len(b) {
			return false
		}
	}
	return true
}

// throttle stops output until the back end has room.
func (p *port) throttle(q *virtio.Queue) {
	p.throttled = true
	p.chr.OnWritable(func() {
		p.throttled = false
		q.Kick()
	})
}

// front is the port as its back end sees it.
type front port

// CanRead implements chardev.Frontend: as much as fits into the driver's next buffer.
func (f *front) CanRead() int {
	p := (*port)(f)
	if !p.m.Active() || p.m.Has(featureMultiport) && !p.guestOpen {
		return 0
	}
	in, _ := p.m.queues(int(p.Nr))
	return int(min(in.NextIn(), ctlMaxLen))
}

// Read implements chardev.Frontend.
func (f *front) Read(b []byte) {
	p := (*port)(f)
	in, _ := p.m.queues(int(p.Nr))
	for len(b) > 0 {
		e := in.Pop()
		if e == nil {
			return
		}
		n := block.IovScatter(e.In, b)
		b = b[n:]
		in.Push(e, uint32(n))
	}
}

// Event implements chardev.Frontend: a port other than a console tells its driver who is there.
func (f *front) Event(ev chardev.Event) {
	p := (*port)(f)
	if p.console || ev != chardev.Opened && ev != chardev.Closed {
		return
	}
	open := ev == chardev.Opened
	if open == p.hostOpen {
		return
	}
	p.hostOpen = open
	value := uint16(0)
	if open {
		value = 1
	}
	p.m.send(p.Nr, evPortOpen, value, "")
}
