package kvm

import (
	"errors"
	"slices"
	"sync"

	"goemu/accel"
)

// irqFD is struct kvm_irqfd.
type irqFD struct {
	FD, GSI, Flags, Resample uint32
	_                        [16]byte
}

// irqDeassign ends what a request without flags began.
const irqDeassign = 1 << 0

// firstDirect is the first global interrupt that no pin has.
const firstDirect = ioapicPins

// routes is what the global interrupts of the kernel send.
type routes struct {
	mu      sync.Mutex
	pins    []route                // guarded by mu
	direct  map[uint32]*eventRoute // guarded by mu, by global interrupt: descriptors that are messages
	sending bool                   // guarded by mu: the kernel listens to them
}

// eventRoute is a descriptor each signal of which sends a message.
type eventRoute struct {
	event int
	to    route
}

// errNoDirect is why a descriptor's signals have to take the detour.
var errNoDirect = errors.New("the kernel cannot send messages for event descriptors")

// setPins changes what the pins send.
func (a *Accel) setPins(list []route) error {
	a.routes.mu.Lock()
	defer a.routes.mu.Unlock()
	a.routes.pins = list
	return a.tellRoutes()
}

// tellRoutes tells the kernel all routes. Preconditions: the routes' lock is held.
func (a *Accel) tellRoutes() error {
	list := slices.Clone(a.routes.pins)
	for _, d := range a.routes.direct {
		list = append(list, d.to)
	}
	b := le.AppendUint32(nil, uint32(len(list)))
	b = le.AppendUint32(b, 0) // no flags
	for i := range list {
		b = append(b, bytesOf(&list[i])...)
	}
	if _, err := a.k.ioctlData(a.h.vm, reqSetGSIRouting, b); err != nil {
		return requestError(reqSetGSIRouting, err)
	}
	return nil
}

// Direct implements accel.KernelChips.
func (a *Accel) Direct(event int, m accel.MSIRoute) (stop func(), err error) {
	r := &a.routes
	r.mu.Lock()
	defer r.mu.Unlock()
	gsi := uint32(firstDirect)
	for r.direct[gsi] != nil {
		gsi++
	}
	if !a.h.has(capIRQFD) || int(gsi) >= a.h.caps[capIRQRouting] {
		return nil, errNoDirect
	}
	d := &eventRoute{event, messageRoute(gsi, m)}
	if r.direct == nil {
		r.direct = map[uint32]*eventRoute{}
	}
	r.direct[gsi] = d
	if err = a.tellRoutes(); err == nil && r.sending {
		err = a.listen(d, 0)
	}
	if err != nil {
		delete(r.direct, gsi)
		return nil, err
	}
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.sending {
			_ = a.listen(d, irqDeassign)
		}
		delete(r.direct, gsi)
		_ = a.tellRoutes()
	}, nil
}

// listen has the kernel listen to a descriptor or, with irqDeassign, no more: what is on its way then has arrived.
func (a *Accel) listen(d *eventRoute, flags uint32) error {
	if _, err := a.k.ioctlData(a.h.vm, reqIRQFD, bytesOf(&irqFD{FD: uint32(d.event), GSI: d.to.GSI, Flags: flags})); err != nil {
		return requestError(reqIRQFD, err)
	}
	return nil
}

// send makes the kernel listen to all descriptors, or to none: signals that come meanwhile stay in the descriptors.
func (a *Accel) send(on bool) {
	r := &a.routes
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sending == on {
		return
	}
	r.sending = on
	flags := uint32(irqDeassign)
	if on {
		flags = 0
	}
	for _, d := range r.direct {
		_ = a.listen(d, flags) // who made the descriptor listens as well
	}
}
