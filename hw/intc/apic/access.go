package apic

import "goemu/internal/clock"

// ReadPage implements accel.InterruptController.
func (a *APIC) ReadPage(offset uint32, size int) uint32 {
	if size < 4 { // as QEMU: only 32-bit accesses are answered
		return 0
	}
	a.mu.Lock()
	v, ok := a.read(int(offset & pageOffsetMask >> 4))
	if !ok {
		a.esr |= esrIllegalAddress
	}
	a.mu.Unlock()
	return v
}

// WritePage implements accel.InterruptController.
func (a *APIC) WritePage(offset uint32, size int, v uint32) {
	if size < 4 {
		return
	}
	reg := int(offset & pageOffsetMask >> 4)
	a.mu.Lock()
	switch reg {
	case regID:
		a.id = uint8(v >> 24)
	case regLDR:
		a.logicalDest = uint8(v >> 24)
	case regDFR:
		a.destMode = uint8(v >> dfrShift)
	case regICRHigh:
		a.icr[1] = v
	case regICRLow:
		a.icr[0] = v &^ icrPending
		dest := a.icr[1] >> 24
		a.mu.Unlock()
		a.send(v, dest)
		return
	case regEOI:
		a.eoiAndUnlock()
		return
	default:
		if !a.write(reg, v) {
			a.esr |= esrIllegalAddress
		}
	}
	a.mu.Unlock()
}

// eoiAndUnlock ends the interrupt in service and tells the I/O APICs without the lock. Preconditions: mu is held.
func (a *APIC) eoiAndUnlock() {
	vector, tell := a.endOfInterrupt()
	a.mu.Unlock()
	if tell {
		a.set.broadcastEOI(vector)
	}
}

// read returns a register; ok is false if there is none. Preconditions: mu is held.
func (a *APIC) read(reg int) (v uint32, ok bool) {
	switch {
	case reg >= regISR && reg < regISR+bitmapRegs:
		return a.isr[reg-regISR], true
	case reg >= regTMR && reg < regTMR+bitmapRegs:
		return a.tmr[reg-regTMR], true
	case reg >= regIRR && reg < regIRR+bitmapRegs:
		return a.irr[reg-regIRR], true
	case reg >= regLVT && reg < regLVT+lvtEntries:
		return a.lvt[reg-regLVT], true
	}
	switch reg {
	case regID:
		if a.inX2APIC() {
			return a.initialID, true
		}
		return uint32(a.id) << 24, true
	case regVersion:
		return version | versionLVTs, true
	case regTPR:
		return uint32(a.tpr), true
	case regAPR, regEOI, regRRD:
		return 0, true
	case regPPR:
		return uint32(a.ppr()), true
	case regLDR:
		if a.inX2APIC() {
			return a.logicalX2(), true
		}
		return uint32(a.logicalDest) << 24, true
	case regDFR:
		return uint32(a.destMode)<<dfrShift | 1<<dfrShift - 1, true
	case regSVR:
		return a.svr, true
	case regESR:
		return a.esr, true
	case regICRLow, regICRHigh:
		return a.icr[reg-regICRLow], true
	case regInitCount:
		return a.initialCount, true
	case regCurrCount:
		return a.currentCount(), true
	case regDivide:
		return a.divide, true
	}
	return 0, false
}

// write changes a register that xAPIC and x2APIC mode have in common; it returns false if there is none. Preconditions: mu is held.
func (a *APIC) write(reg int, v uint32) bool {
	switch {
	case reg == regTPR:
		a.tpr = uint8(v)
		a.update()
	case reg == regSVR:
		a.svr = v & 0x1ff
		a.update()
	case reg == regESR: // the errors are read as they were before
		a.esr = 0
	case reg >= regLVT && reg < regLVT+lvtEntries:
		a.setLVT(reg-regLVT, v)
	case reg == regInitCount:
		a.setInitialCount(v)
	case reg == regDivide:
		a.divide, a.countShift = v&0xb, divideShift(v)
		a.armTimer(clock.Virtual.Now())
	case reg == regVersion, reg == regAPR, reg == regPPR, reg == regRRD, reg == regCurrCount,
		reg >= regISR && reg < regIRR+bitmapRegs: // read-only
	default:
		return false
	}
	return true
}

// noMSR are the registers that x2APIC mode has not.
var noMSR = map[int]bool{regAPR: true, regRRD: true, regDFR: true, regICRHigh: true}

// ReadMSR implements accel.InterruptController.
func (a *APIC) ReadMSR(index uint32) (uint64, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	reg := int(index) - firstMSR
	if !a.inX2APIC() || noMSR[reg] || reg == regEOI {
		return 0, false
	}
	if reg == regICRLow {
		return uint64(a.icr[1])<<32 | uint64(a.icr[0]), true
	}
	v, ok := a.read(reg)
	return uint64(v), ok
}

// reservedX2 holds the bits that must be zero in x2APIC mode; a register that is missing cannot be written.
var reservedX2 = map[int]uint64{
	regTPR: ^uint64(0xff), regEOI: ^uint64(0), regSVR: ^uint64(0x11ff), regESR: ^uint64(0), regICRLow: 0xfff32000,
	regLVT + lvtTimer: ^uint64(0x710ff), regLVT + lvtThermal: ^uint64(0x117ff), regLVT + lvtPerformance: ^uint64(0x117ff),
	regLVT + lvtLINT0: ^uint64(0x1f7ff), regLVT + lvtLINT1: ^uint64(0x1f7ff), regLVT + lvtError: ^uint64(0x110ff),
	regInitCount: 0xffffffff << 32, regDivide: ^uint64(0xb), regSelfIPI: ^uint64(0xff),
}

// WriteMSR implements accel.InterruptController.
func (a *APIC) WriteMSR(index uint32, value uint64) bool {
	reg := int(index) - firstMSR
	reserved, ok := reservedX2[reg]
	a.mu.Lock()
	if !ok || !a.inX2APIC() || value&reserved != 0 {
		a.mu.Unlock()
		return false
	}
	switch reg {
	case regEOI:
		a.eoiAndUnlock()
		return true
	case regICRLow:
		a.icr = [2]uint32{uint32(value), uint32(value >> 32)}
		a.mu.Unlock()
		a.send(uint32(value), uint32(value>>32))
		return true
	case regSelfIPI:
		a.accept(uint8(value), false)
	default:
		a.write(reg, uint32(value))
	}
	a.mu.Unlock()
	return true
}
