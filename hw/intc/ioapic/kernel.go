package ioapic

import "goemu/accel"

// Kernel is the state as a kernel takes it that does the controller's work, SetKernel takes it back.
func (a *IOAPIC) Kernel() accel.IOAPICState {
	a.mu.Lock()
	defer a.mu.Unlock()
	return accel.IOAPICState{Base: a.addr, Select: uint32(a.sel), ID: uint32(a.id), IRR: a.irr, Table: a.table}
}

// SetKernel takes over the state as the kernel has kept it.
func (a *IOAPIC) SetKernel(s accel.IOAPICState) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sel, a.id, a.irr, a.table = uint8(s.Select), uint8(s.ID), s.IRR, s.Table
}

// Route makes f hear what the inputs send: now, and from then on whenever that of one that is not masked changes. f is called with a
// lock held that delivery takes.
func (a *IOAPIC) Route(f func([]accel.MSIRoute)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.routes = f
	a.tellRoutes(true)
}

// tellRoutes tells what the inputs send if it has changed, or always. Masked inputs keep what they had. Preconditions: mu is held.
func (a *IOAPIC) tellRoutes(always bool) {
	if a.routes == nil {
		return
	}
	for pin, e := range a.table {
		if e &^= entryReadOnly; e&entryMasked == 0 && a.routed[pin] != e {
			a.routed[pin], always = e, true
		}
	}
	if !always {
		return
	}
	list := make([]accel.MSIRoute, Pins)
	for pin, e := range a.routed {
		m := message(e)
		list[pin] = m.Route()
	}
	a.routes(list)
}

// Note records the level of an input whose work the kernel does.
func (a *IOAPIC) Note(n int, level bool) {
	a.count.Note(n, level)
	if n == 0 && a.addr == Address {
		n = 2
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.levels &^= 1 << n
	if level {
		a.levels |= 1 << n
	}
}
