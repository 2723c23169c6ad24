package i8259

import "goemu/accel"

// Chips are the two controllers, the master first.
func (p *Pair) Chips() [2]*PIC { return [2]*PIC{p.master, p.slave} }

// Kernel is the state as a kernel takes it that does the controller's work, SetKernel takes it back. Preconditions: the machine lock is
// held.
func (p *PIC) Kernel() accel.PICState {
	mask := uint8(elcrMaskSlave)
	if p.master {
		mask = elcrMaskMaster
	}
	return accel.PICState{LastIRR: p.lastIRR, IRR: p.irr, IMR: p.imr, ISR: p.isr, PriorityAdd: p.priorityAdd, IRQBase: p.irqBase, ReadISR: p.readISR, Poll: p.poll,
		SpecialMask: p.specialMask, InitState: p.initState, AutoEOI: p.autoEOI, RotateAutoEOI: p.rotateAutoEOI, Nested: p.nested, Init4: p.init4, ELCR: p.elcr,
		ELCRMask: mask}
}

// SetKernel takes over the state as the kernel has kept it.
func (p *PIC) SetKernel(s accel.PICState) {
	p.regs = regs{lastIRR: s.LastIRR, irr: s.IRR, imr: s.IMR, isr: s.ISR, priorityAdd: s.PriorityAdd, irqBase: s.IRQBase, readISR: s.ReadISR, poll: s.Poll,
		specialMask: s.SpecialMask, initState: s.InitState, autoEOI: s.AutoEOI, rotateAutoEOI: s.RotateAutoEOI, nested: s.Nested, init4: s.Init4, single: p.single,
		elcr: s.ELCR}
}

// Refresh drives the output anew. Preconditions: the machine lock is held.
func (p *PIC) Refresh() { p.update() }
