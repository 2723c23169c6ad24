// Package apic is the local APIC of each virtual CPU, in xAPIC and x2APIC mode, and the messages between them (Intel SDM volume 3,
// chapter 10). It does its own locking: CPUs use their APIC, send interrupts and end them without the machine lock.
package apic

import (
	"math/bits"
	"sync"
	"sync/atomic"

	"goemu/accel"
	"goemu/hw/qdev"
	"goemu/internal/clock"
)

// ExtIntController is the interrupt controller behind LINT0. Both methods are called under the machine lock.
type ExtIntController interface {
	Level() bool
	Ack() uint8
}

// bitmap has one bit for each vector.
type bitmap [bitmapRegs]uint32

func (b *bitmap) set(n uint8)       { b[n>>5] |= 1 << (n & 31) }
func (b *bitmap) clear(n uint8)     { b[n>>5] &^= 1 << (n & 31) }
func (b *bitmap) test(n uint8) bool { return b[n>>5]>>(n&31)&1 != 0 }

// highest returns the highest bit, -1 if there is none.
func (b *bitmap) highest() int {
	for i := bitmapRegs - 1; i >= 0; i-- {
		if b[i] != 0 {
			return i<<5 + bits.Len32(b[i]) - 1
		}
	}
	return -1
}

// device is qdev.Base under a name that leaves Base to accel.InterruptController.
type device = qdev.Base

// APIC is the local APIC of one CPU, the device type apic. It implements accel.InterruptController.
type APIC struct {
	device
	set *Set
	cpu accel.CPU

	mu           sync.Mutex
	base         atomic.Uint64 // changes with mu held
	initialID    uint32
	id           uint8
	arbID        uint8
	tpr          uint8
	svr          uint32
	logicalDest  uint8
	destMode     uint8
	isr          bitmap
	tmr          bitmap
	irr          bitmap
	lvt          [lvtEntries]uint32
	esr          uint32
	icr          [2]uint32
	divide       uint32
	countShift   int32
	initialCount uint32
	counted      bool // the timer ran down once: only a new initial count starts it again
	loadTime     int64
	nextTime     int64
	deadline     uint64
	sipiVector   int32
	waitSIPI     int32
	picLevel     bool // the 8259 pair wants attention
	lineUp       bool // the CPU has been told of an interrupt
	timer        *clock.Timer
	x2APIC       bool // the CPU has x2APIC mode
}

// Class is the device type.
var Class = qdev.Class{Name: "apic", Parents: []string{"apic-common"}, Internal: true, Category: qdev.Misc,
	New: func() qdev.Device { return new(APIC) }, State: qdev.State(&state)}

// Realize implements qdev.Device.
func (a *APIC) Realize() error {
	a.timer = a.set.timers.NewTimer(a.timerDue)
	return nil
}

// Unrealize implements qdev.Device.
func (a *APIC) Unrealize() { a.timer.Del() }

// Reset implements qdev.Device: the state after power-on.
func (a *APIC) Reset() {
	a.mu.Lock()
	defer a.mu.Unlock()
	base := uint64(DefaultAddress | baseEnable)
	if a.initialID == a.set.bootID {
		base |= baseBSP
	}
	a.base.Store(base)
	a.id = uint8(a.initialID)
	a.initReset()
	if base&baseBSP != 0 {
		a.lvt[lvtLINT0] = uint32(ExtINT) << 8
	}
	a.update()
}

// InitReset implements accel.InterruptController.
func (a *APIC) InitReset() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.initReset()
	a.update()
}

// initReset is the state after INIT. Preconditions: mu is held.
func (a *APIC) initReset() {
	a.tpr, a.svr, a.logicalDest, a.destMode = 0, 0xff, 0, dfrFlat
	a.isr, a.tmr, a.irr = bitmap{}, bitmap{}, bitmap{}
	for i := range a.lvt {
		a.lvt[i] = lvtMasked
	}
	a.esr, a.icr, a.divide, a.countShift, a.initialCount = 0, [2]uint32{}, 0, 0, 0
	a.loadTime, a.nextTime, a.deadline, a.counted = 0, 0, 0, false // sipiVector stays: a start-up message may have come before the CPU acts on INIT
	a.waitSIPI = 1
	if a.base.Load()&baseBSP != 0 {
		a.waitSIPI = 0
	}
	a.timer.Del()
}

// Base implements accel.InterruptController.
func (a *APIC) Base() uint64 { return a.base.Load() }

// SetBase implements accel.InterruptController. The modes change only in the order off, xAPIC, x2APIC, off.
func (a *APIC) SetBase(v uint64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	const modes = baseEnable | baseX2APIC
	base := a.base.Load()
	from, to := base&modes, v&modes
	switch {
	case v>>addressBits != 0 || v&0xff != 0 || v&(1<<9) != 0,
		to&baseX2APIC != 0 && (!a.x2APIC || to&baseEnable == 0),
		to == modes && from == 0,
		to == baseEnable && from == modes:
		return false
	}
	a.base.Store(v&^baseBSP | base&baseBSP)
	switch {
	case to == modes && from != modes:
		a.logicalDest = 0
	case to == 0:
		a.svr &^= svrEnable
		a.id = uint8(a.initialID)
	}
	a.update()
	return true
}

func (a *APIC) inX2APIC() bool { return a.base.Load()&baseX2APIC != 0 }

// TPR implements accel.InterruptController.
func (a *APIC) TPR() uint8 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.tpr
}

// SetTPR implements accel.InterruptController.
func (a *APIC) SetTPR(v uint8) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tpr = v
	a.update()
}

// SIPIVector implements accel.InterruptController.
func (a *APIC) SIPIVector() uint8 {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waitSIPI = 0
	return uint8(a.sipiVector)
}

// WaitsForSIPI tells whether the CPU has had INIT and waits for its start-up interrupt.
func (a *APIC) WaitsForSIPI() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.waitSIPI != 0
}

// ppr returns the processor priority. Preconditions: mu is held.
func (a *APIC) ppr() uint8 {
	isr := max(a.isr.highest(), 0) &^ 0xf
	if int(a.tpr&0xf0) >= isr {
		return a.tpr
	}
	return uint8(isr)
}

// pending returns the vector to deliver next, -1 if the priority forbids the highest one, and 0 if there is none.
func (a *APIC) pending() int {
	n := a.irr.highest()
	if n < 0 {
		return 0
	}
	if ppr := int(a.ppr()); ppr != 0 && n&0xf0 <= ppr&0xf0 {
		return -1
	}
	return n
}

func (a *APIC) enabled() bool { return a.svr&svrEnable != 0 }

// acceptsPIC tells whether interrupts of the 8259 pair go to this CPU.
func (a *APIC) acceptsPIC() bool {
	return a.base.Load()&baseEnable == 0 || a.lvt[lvtLINT0]&lvtMasked == 0
}

// picPending tells whether the 8259 pair has an interrupt for this CPU.
func (a *APIC) picPending() bool {
	if !a.picLevel || !a.acceptsPIC() {
		return false
	}
	return a.base.Load()&baseEnable == 0 || DeliveryMode(a.lvt[lvtLINT0]>>8&7) == ExtINT
}

// update tells the CPU whether an interrupt waits. Preconditions: mu is held.
func (a *APIC) update() { a.driveCPU(a.picPending() || a.enabled() && a.pending() > 0) }

// driveCPU tells the CPU that an interrupt waits, or that none does. Preconditions: mu is held.
func (a *APIC) driveCPU(want bool) {
	switch {
	case want:
		a.lineUp = true
		a.cpu.Raise(accel.IRQHard)
	case a.lineUp:
		a.lineUp = false
		a.cpu.Lower(accel.IRQHard)
	}
}

// Ack implements accel.InterruptController.
func (a *APIC) Ack() (vector uint8, ok bool) {
	a.mu.Lock()
	if a.picPending() {
		a.mu.Unlock()
		if vector, ok = a.set.ackExtInt(); ok {
			return vector, true
		}
		a.mu.Lock()
	}
	defer a.mu.Unlock()
	if !a.enabled() {
		a.update()
		return 0, false
	}
	n := a.pending()
	switch {
	case n == 0:
		a.update()
		return 0, false
	case n < 0:
		a.update()
		return uint8(a.svr), true
	}
	a.irr.clear(uint8(n))
	a.isr.set(uint8(n))
	a.update()
	return uint8(n), true
}

// accept takes a fixed interrupt. Preconditions: mu is held.
func (a *APIC) accept(vector uint8, level bool) {
	a.irr.set(vector)
	if level {
		a.tmr.set(vector)
	} else {
		a.tmr.clear(vector)
	}
	a.update()
}

// localInterrupt delivers an entry of the local vector table. Preconditions: mu is held.
func (a *APIC) localInterrupt(entry int) {
	v := a.lvt[entry]
	if v&lvtMasked != 0 {
		return
	}
	switch DeliveryMode(v >> 8 & 7) {
	case SMI:
		a.cpu.Raise(accel.IRQSMI)
	case NMI:
		a.cpu.Raise(accel.IRQNMI)
	case ExtINT:
		a.update()
	case Fixed:
		a.accept(uint8(v), entry == lvtLINT0 && v&lvtLevel != 0)
	}
}

// setPIC drives LINT0 (or INTR while the APIC is disabled).
func (a *APIC) setPIC(level bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.picLevel = level
	v := a.lvt[lvtLINT0]
	if a.base.Load()&baseEnable != 0 && a.acceptsPIC() && DeliveryMode(v>>8&7) != ExtINT {
		if level {
			a.localInterrupt(lvtLINT0)
		} else if v&lvtLevel != 0 && DeliveryMode(v>>8&7) == Fixed {
			a.irr.clear(uint8(v))
		}
	}
	a.update()
}

// notePIC records the level of LINT0 while the work is done elsewhere; tell says whether the CPU is to ask for the vector.
func (a *APIC) notePIC(level, tell bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.picLevel = level
	if tell {
		a.driveCPU(level)
	}
}

// NMI drives LINT1, as the machine's NMI button does.
func (a *APIC) NMI() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.localInterrupt(lvtLINT1)
}

// endOfInterrupt ends the interrupt in service; it returns the vector if it has to be broadcast. Preconditions: mu is held.
func (a *APIC) endOfInterrupt() (vector uint8, tell bool) {
	n := a.isr.highest()
	if n < 0 {
		return 0, false
	}
	a.isr.clear(uint8(n))
	tell = a.svr&svrNoEOI == 0 && a.tmr.test(uint8(n))
	a.update()
	return uint8(n), tell
}

var _ accel.InterruptController = (*APIC)(nil)
