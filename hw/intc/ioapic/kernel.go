package ioapic

import "goemu/accel"

// Kernel is the state as a kernel takes it that does the controller's work, SetKernel takes it back.
func (a *IOAPIC) Kernel() accel.IOAPICState {
	a.mu.Lock()
	defer a.mu.Unlock()
	return accel.IOAPICState{Base: a.addr, Select: uint32(a.sel), ID: uint32(a.id), IRR: a.irr, Table: a.table}
}

// SetKernel is that.
func (a *IOAPIC) SetKernel(s accel.IOAPICState) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sel, a.id, a.irr, a.table = uint8(s.Select), uint8(s.ID), s.IRR, s.Table
}

// Note records the level of an input whose work the kernel does.
func (a *IOAPIC) Note(n int, level bool) {
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
