package piix

import (
	"math/bits"

	"goemu/hw/qdev"
	"goemu/internal/clock"
	"goemu/internal/mainloop"
	"goemu/internal/memory"
)

// Power management registers (ACPI specification, §4.8.3) and their bits.
const (
	offEvents, offControl, offTimer = 0x00, 0x04, 0x08
	sizeEvents, sizeControl         = 4, 2
	sizeTimer                       = 4

	pm1Timer, pm1GlobalLock, pm1PowerButton, pm1RTC = 1 << 0, 1 << 5, 1 << 8, 1 << 10
	pm1Wake                                         = 1 << 15
	pm1Sources                                      = pm1Timer | pm1GlobalLock | pm1PowerButton | pm1RTC

	cntSCI      = 1 << 0
	cntSleep    = 1 << 13
	cntTypShift = 10
	cntTypMask  = 7
	sleepOff    = 0 // sleep types of QEMU's tables
	sleepRAM    = 1

	timerFrequency = 3579545
	timerMask      = 0xffffff
	timerHalf      = 0x800000 // the status bit is set when bit 23 changes
	second         = 1_000_000_000

	gpeBase, gpeBytes = 0xafe0, 4 // two bytes of status, two of enable
)

// acpiRegs is the fixed ACPI hardware; the fields are migrated.
type acpiRegs struct {
	status, enable, control uint16
	gpeStatus, gpeEnable    uint16
	overflow                int64 // timer value at which the status bit is set next
	disableS3               bool
	s4                      uint8
	acpiOnly                bool // ACPI mode cannot be left
	sci                     *qdev.IRQ
	timer                   *clock.Timer
	vm                      *mainloop.VM
}

func muldiv(a, b, c uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	q, _ := bits.Div64(hi%c, lo, c)
	return q
}

// ticks returns the power management timer without its wrap.
func ticks() int64 { return int64(muldiv(uint64(clock.Virtual.Now()), timerFrequency, second)) }

func (a *acpiRegs) init(sci *qdev.IRQ, vm *mainloop.VM) {
	a.sci, a.vm = sci, vm
	a.timer = mainloop.NewTimer(clock.Virtual, a.update)
}

func (a *acpiRegs) reset() {
	a.status, a.enable, a.control, a.gpeStatus, a.gpeEnable, a.overflow = 0, 0, 0, 0, 0, 0
	if a.acpiOnly {
		a.control |= cntSCI
	}
	a.timer.Del()
	a.update()
}

// events returns the status register.
func (a *acpiRegs) events() uint16 {
	if ticks() >= a.overflow {
		a.status |= pm1Timer
	}
	return a.status
}

// update drives the system control interrupt.
func (a *acpiRegs) update() {
	status := a.events()
	a.sci.Set(status&a.enable&pm1Sources != 0 || a.gpeStatus&a.gpeEnable&0xff != 0)
	if a.enable&pm1Timer == 0 || status&pm1Timer != 0 {
		a.timer.Del()
		return
	}
	a.timer.Mod(int64(muldiv(uint64(a.overflow), second, timerFrequency)) + 1)
}

// eventOps, controlOps, timerOps and gpeOps answer the registers.
type (
	eventOps   acpiRegs
	controlOps acpiRegs
	timerOps   acpiRegs
	gpeOps     acpiRegs
)

// Read implements memory.Ops.
func (o *eventOps) Read(off uint64, _ int) uint64 {
	switch off {
	case 0:
		return uint64((*acpiRegs)(o).events())
	case 2:
		return uint64(o.enable)
	}
	return 0
}

// Write implements memory.Ops.
func (o *eventOps) Write(off uint64, _ int, v uint64) {
	a := (*acpiRegs)(o)
	switch off {
	case 0:
		if a.events()&uint16(v)&pm1Timer != 0 {
			a.overflow = (ticks() + timerHalf) &^ (timerHalf - 1)
		}
		a.status &^= uint16(v)
	case 2:
		a.enable = uint16(v)
	default:
		return
	}
	a.update()
}

// Read implements memory.Ops.
func (o *controlOps) Read(uint64, int) uint64 { return uint64(o.control) }

// Write implements memory.Ops.
func (o *controlOps) Write(_ uint64, _ int, v uint64) {
	o.control = uint16(v) &^ cntSleep
	if o.acpiOnly {
		o.control |= cntSCI
	}
	if v&cntSleep == 0 {
		return
	}
	switch typ := uint8(v >> cntTypShift & cntTypMask); {
	case typ == sleepOff, typ == o.s4:
		o.vm.RequestShutdown(mainloop.CauseGuestShutdown)
	case typ == sleepRAM && !o.disableS3:
		o.vm.RequestSuspend()
	}
}

// setACPI switches ACPI mode, as the SMI command port does.
func (a *acpiRegs) setACPI(on bool) {
	a.control &^= cntSCI
	if on || a.acpiOnly {
		a.control |= cntSCI
	}
}

// Read implements memory.Ops.
func (o *timerOps) Read(uint64, int) uint64 { return uint64(ticks()) & timerMask }

// Write implements memory.Ops: the timer is read-only.
func (o *timerOps) Write(uint64, int, uint64) {}

// Read implements memory.Ops.
func (o *gpeOps) Read(off uint64, _ int) uint64 {
	return uint64(uint32(o.gpeStatus)|uint32(o.gpeEnable)<<16) >> (8 * (off & (gpeBytes - 1))) & 0xff
}

// Write implements memory.Ops: a one clears a status bit.
func (o *gpeOps) Write(off uint64, _ int, v uint64) {
	shift := 8 * (off & 1)
	bits := uint16(v&0xff) << shift
	if off < gpeBytes/2 {
		o.gpeStatus &^= bits
	} else {
		o.gpeEnable = o.gpeEnable&^(0xff<<shift) | bits
	}
	(*acpiRegs)(o).update()
}

// raise reports fixed events.
func (a *acpiRegs) raise(events uint16) {
	a.status |= events
	a.update()
}

// region returns the 64 bytes that a base register places.
func (a *acpiRegs) region() *memory.Region {
	const size = 64
	r := memory.NewContainer("piix4-pm", size)
	evt := memory.NewIO("acpi-evt", sizeEvents, (*eventOps)(a))
	cnt := memory.NewIO("acpi-cnt", sizeControl, (*controlOps)(a))
	tmr := memory.NewIO("acpi-tmr", sizeTimer, (*timerOps)(a))
	evt.Valid, evt.Impl = memory.Access{Min: 1, Max: 2}, memory.Access{Min: 2}
	cnt.Valid, cnt.Impl = memory.Access{Min: 1, Max: 2}, memory.Access{Min: 2}
	tmr.Valid, tmr.Impl = memory.Access{Min: 1, Max: 4}, memory.Access{Min: 4}
	r.Add(evt, offEvents, 0)
	r.Add(cnt, offControl, 0)
	r.Add(tmr, offTimer, 0)
	return r
}
