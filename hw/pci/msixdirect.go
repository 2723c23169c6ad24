package pci

import "slices"

// EventSender is implemented by the Ops of a region where writes are messages, if a kernel can make them itself: one at each signal of an
// event descriptor. stop ends that.
type EventSender interface {
	SendEvent(event int, offset uint64, data uint32) (stop func(), ok bool)
}

// directVector is an event descriptor each signal of which is to be an interrupt.
type directVector struct {
	event, vector int
	addr          uint64
	data          uint32
	stop          func() // not nil: the kernel sends addr and data
}

// DirectMSIX lets a kernel make each signal of an event descriptor vector n, while the guest has not masked it and where the machine can. What
// stays in the descriptor is for the caller, who listens to it. The returned function ends that.
func (d *Device) DirectMSIX(n, event int) (stop func()) {
	x := &directVector{event: event, vector: n}
	d.msixMu.Lock()
	defer d.msixMu.Unlock()
	d.msix.direct = append(d.msix.direct, x)
	d.msixDirect()
	return func() {
		d.msixMu.Lock()
		defer d.msixMu.Unlock()
		d.msix.direct = slices.DeleteFunc(d.msix.direct, func(y *directVector) bool { return y == x })
		x.end()
	}
}

func (x *directVector) end() {
	if x.stop != nil {
		x.stop()
		x.stop = nil
	}
}

// msixDirect follows changes of vectors that a kernel may send. Preconditions: msixMu is held.
func (d *Device) msixDirect() {
	m := &d.msix
	for _, x := range m.direct {
		if x.vector >= m.entries || !m.enabled || m.used[x.vector] == 0 || m.masked(x.vector) {
			x.end()
			continue
		}
		addr, data := m.message(x.vector)
		if x.stop != nil && addr == x.addr && data == x.data {
			continue
		}
		x.end()
		x.addr, x.data = addr, data
		if d.space == nil {
			continue
		}
		r := d.space.View().Find(addr)
		if r == nil || r.RAM != nil {
			continue
		}
		if s, ok := r.Region.Ops().(EventSender); ok {
			x.stop, _ = s.SendEvent(x.event, addr-r.Start+r.Offset, data)
		}
	}
}
