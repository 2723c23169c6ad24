package serial

import (
	"errors"
	"fmt"

	"goemu/hw/virtio"
	"goemu/hw/virtio/ring"
	"goemu/migration/vmstate"
)

// heldOutput is the position of a chain that was written in part before migration.
type heldOutput struct {
	port  *port
	chain ring.Taken
	index uint32
	off   uint64
}

func (m *Model) portMap() []uint32 {
	b := make([]uint32, (len(m.ports)+31)/32)
	b[0] = 1 // port 0 is kept for a console
	for i, p := range m.ports {
		if p != nil {
			b[i/32] |= 1 << (i % 32)
		}
	}
	return b
}

// SaveDevice implements virtio.ModelState.
func (m *Model) SaveDevice(w *vmstate.Writer) {
	w.U16(0) // columns
	w.U16(0) // rows
	w.U32(m.Props.MaxPorts)
	for _, word := range m.portMap() {
		w.U32(word)
	}
	w.U32(uint32(len(m.bus.Devices())))
	for _, d := range m.bus.Devices() {
		d.(*port).save(w)
	}
}

func bit(on bool) uint8 {
	if on {
		return 1
	}
	return 0
}

func (p *port) save(w *vmstate.Writer) {
	w.U32(p.Nr)
	w.Bool(p.guestOpen)
	w.Bool(p.hostOpen)
	if p.out == nil {
		w.U32(0)
		return
	}
	w.U32(1)
	index, off := p.out.position()
	w.U32(index)
	w.U64(off)
	_, q := p.m.queues(int(p.Nr))
	q.SaveElement(p.out.e, w)
}

// position is the buffer that output has reached, and the place in it.
func (o *output) position() (index uint32, off uint64) {
	left := o.done
	for i, b := range o.e.Out {
		if left < int64(len(b)) {
			return uint32(i), uint64(left)
		}
		left -= int64(len(b))
	}
	return uint32(len(o.e.Out)), 0
}

// LoadDevice implements virtio.ModelState.
func (m *Model) LoadDevice(r *vmstate.Reader) error {
	r.U16()
	r.U16()
	r.U32()
	for _, word := range m.portMap() {
		if r.U32() != word && r.Err() == nil {
			return errors.New("the active ports differ")
		}
	}
	m.held = nil
	for n := r.U32(); n > 0 && r.Err() == nil; n-- {
		id := r.U32()
		if id >= uint32(len(m.ports)) || m.ports[id] == nil {
			return fmt.Errorf("no port %d", id)
		}
		if err := m.ports[id].load(r); err != nil {
			return err
		}
	}
	return r.Err()
}

func (p *port) load(r *vmstate.Reader) error {
	p.guestOpen = r.Bool()
	hostOpen := r.Bool()
	if hostOpen != p.hostOpen {
		p.m.reopened = append(p.m.reopened, p)
	}
	if r.U32() == 0 {
		return r.Err()
	}
	h := heldOutput{port: p, index: r.U32(), off: r.U64()}
	_, q := p.m.queues(int(p.Nr))
	var err error
	h.chain, err = q.LoadElement(r)
	p.m.held = append(p.m.held, h)
	return err
}

// Loaded takes the chains up once the queues are in place, and tells the driver which ports are open on this side.
func (m *Model) Loaded() error {
	for _, h := range m.held {
		_, q := m.queues(int(h.port.Nr))
		e, err := q.Adopt(h.chain)
		if err != nil {
			return err
		}
		done := h.off
		for i, b := range e.Out {
			if uint32(i) < h.index {
				done += uint64(len(b))
			}
		}
		h.port.out = &output{e: e, done: int64(min(done, e.OutLen()))}
	}
	for _, p := range m.reopened {
		m.send(p.Nr, evPortOpen, uint16(bit(p.hostOpen)), "")
	}
	m.held, m.reopened = nil, nil
	return nil
}

var _ virtio.ModelState = (*Model)(nil)
