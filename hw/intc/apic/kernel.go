package apic

import (
	"encoding/binary"

	"goemu/accel"
	"goemu/internal/clock"
)

// While the machine runs, an accelerator may do the work of all local APICs. Then the set only passes messages on; the APICs keep the
// state between.

// Offload begins that: push hands the state over, signal takes messages from now on. If the 8259 pair is still here, the boot processor alone
// is told of its interrupts, as QEMU does it; it asks with AckExternal.
func (s *Set) Offload(push func(), signal func(addr uint64, data uint32)) {
	s.kernelMu.Lock()
	defer s.kernelMu.Unlock()
	for _, a := range *s.apics.Load() {
		a.mu.Lock()
		a.timer.Del()
		a.mu.Unlock()
	}
	push()
	s.signal = signal
	for i, a := range *s.apics.Load() {
		a.mu.Lock()
		a.driveCPU(i == 0 && a.picLevel)
		a.mu.Unlock()
	}
}

// AckExternal implements accel.LocalKeeper.
func (a *APIC) AckExternal() (uint8, bool) { return a.set.ackExtInt() }

// EndOfInterrupt tells the I/O APICs that a level-triggered interrupt has ended at a CPU whose local APIC is elsewhere.
func (s *Set) EndOfInterrupt(vector uint8) { s.broadcastEOI(vector) }

// compose is the message-signalled interrupt that a message is sent by.
func (m *Message) compose() (addr uint64, data uint32) {
	addr = DefaultAddress | uint64(m.Dest)<<msiDestShift
	if m.Logical {
		addr |= msiLogical
	}
	data = uint32(m.Vector) | uint32(m.Mode)<<msiModeShift
	if m.Level {
		data |= msiLevel | msiAssert
	}
	return addr, data
}

// Route is the message-signalled interrupt that a message is sent by, for a kernel.
func (m *Message) Route() accel.MSIRoute {
	addr, data := m.compose()
	return accel.MSIRoute{Addr: addr, Data: data}
}

// Reclaim ends it: pull gets the state back.
func (s *Set) Reclaim(pull func()) {
	s.kernelMu.Lock()
	defer s.kernelMu.Unlock()
	pull()
	s.signal = nil
}

// pageRegs are the registers that the page shows as they are; those of x2APIC mode that differ follow the mode.
var pageRegs = []int{regID, regVersion, regTPR, regLDR, regDFR, regSVR, regESR, regICRLow, regICRHigh, regInitCount, regCurrCount, regDivide}

// Registers implements accel.LocalKeeper.
func (a *APIC) Registers(p *accel.LocalPage) (base uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	put := func(reg int) {
		v, _ := a.read(reg)
		binary.LittleEndian.PutUint32(p[reg<<4:], v)
	}
	for _, reg := range pageRegs {
		put(reg)
	}
	for i := range bitmapRegs {
		put(regISR + i)
		put(regTMR + i)
		put(regIRR + i)
	}
	for i := range lvtEntries {
		put(regLVT + i)
	}
	return a.base.Load()
}

// SetRegisters implements accel.LocalKeeper.
func (a *APIC) SetRegisters(base uint64, p *accel.LocalPage, waitSIPI bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	get := func(reg int) uint32 { return binary.LittleEndian.Uint32(p[reg<<4:]) }
	a.base.Store(base)
	if !a.inX2APIC() {
		a.id = uint8(get(regID) >> 24)
		a.logicalDest = uint8(get(regLDR) >> 24)
	}
	a.destMode = uint8(get(regDFR) >> dfrShift)
	a.tpr, a.svr, a.esr = uint8(get(regTPR)), get(regSVR), get(regESR)
	a.icr = [2]uint32{get(regICRLow), get(regICRHigh)}
	for i := range bitmapRegs {
		a.isr[i], a.tmr[i], a.irr[i] = get(regISR+i), get(regTMR+i), get(regIRR+i)
	}
	for i := range lvtEntries {
		a.lvt[i] = get(regLVT + i)
	}
	a.waitSIPI = 0
	if waitSIPI {
		a.waitSIPI = 1
	}
	a.divide = get(regDivide)
	a.countShift = divideShift(a.divide)
	a.setCount(get(regInitCount), get(regCurrCount))
	a.update()
}

// setCount makes the timer one that has counted from an initial count down to a present one. Preconditions: mu is held.
func (a *APIC) setCount(initial, current uint32) {
	now := clock.Virtual.Now()
	a.initialCount, a.deadline = initial, 0
	a.loadTime = now - int64(uint64(initial-min(current, initial))<<a.countShift)
	a.counted = a.timerMode() == 0 && current == 0
	a.armTimer(now)
}
