// Package pm is the power management that the PC's chipsets have in common: the fixed ACPI hardware, the SMBus host controller and
// the watchdog.
package pm

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
)

// The general purpose events of the PC machines.
const (
	EventPCIHotplug    = 1 << 1 // PCI devices come or go
	EventCPUHotplug    = 1 << 2 // CPUs come or go
	EventMemoryHotplug = 1 << 3 // memory modules come or go
	EventGeneration    = 1 << 5 // the machine's generation identifier has changed
)

// Regs is the fixed ACPI hardware; the fields in the first lines are migrated.
type Regs struct {
	Status, Enable, Control uint16
	GPEStatus, GPEEnable    []byte
	Overflow                int64 // timer value at which the status bit is set next
	Timer                   *clock.Timer

	Config
}

// Config says how the registers are connected and what they offer.
type Config struct {
	SCI       *qdev.IRQ
	VM        *mainloop.VM
	DisableS3 bool
	S4        uint8 // sleep type, NoS4 for none
	ACPIOnly  bool  // ACPI mode cannot be left
	GPE       int   // bytes of general purpose events, half of them status, half enable
}

// NoS4 is no sleep type.
const NoS4 = 0xff

func muldiv(a, b, c uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	q, _ := bits.Div64(hi%c, lo, c)
	return q
}

// ticks returns the power management timer without its wrap.
func ticks() int64 { return int64(muldiv(uint64(clock.Virtual.Now()), timerFrequency, second)) }

// Init connects the registers.
func (a *Regs) Init(c Config) {
	a.Config = c
	a.GPEStatus, a.GPEEnable = make([]byte, c.GPE), make([]byte, c.GPE) // the second halves are only migrated
	a.Timer = mainloop.NewTimer(clock.Virtual, a.update)
	c.VM.OnEvent(func(e mainloop.Event) {
		switch e.Name {
		case "POWERDOWN":
			a.raise(pm1PowerButton)
		case "WAKEUP":
			a.raise(pm1Wake)
		}
	})
}

// Reset puts the registers into their power-on state.
func (a *Regs) Reset() {
	a.Status, a.Enable, a.Control, a.Overflow = 0, 0, 0, 0
	clear(a.GPEStatus)
	clear(a.GPEEnable)
	if a.ACPIOnly {
		a.Control |= cntSCI
	}
	a.Timer.Del()
	a.update()
}

// events returns the status register.
func (a *Regs) events() uint16 {
	if ticks() >= a.Overflow {
		a.Status |= pm1Timer
	}
	return a.Status
}

// update drives the system control interrupt.
func (a *Regs) update() {
	status := a.events()
	a.SCI.Set(status&a.Enable&pm1Sources != 0 || a.GPEStatus[0]&a.GPEEnable[0] != 0)
	if a.Enable&pm1Timer == 0 || status&pm1Timer != 0 {
		a.Timer.Del()
		return
	}
	a.Timer.Mod(int64(muldiv(uint64(a.Overflow), second, timerFrequency)) + 1)
}

// eventOps, controlOps, timerOps and gpeOps answer the registers.
type (
	eventOps   Regs
	controlOps Regs
	timerOps   Regs
	gpeOps     Regs
)

// Read implements memory.Ops.
func (o *eventOps) Read(off uint64, _ int) uint64 {
	switch off {
	case 0:
		return uint64((*Regs)(o).events())
	case 2:
		return uint64(o.Enable)
	}
	return 0
}

// Write implements memory.Ops.
func (o *eventOps) Write(off uint64, _ int, v uint64) {
	a := (*Regs)(o)
	switch off {
	case 0:
		if a.events()&uint16(v)&pm1Timer != 0 {
			a.Overflow = (ticks() + timerHalf) &^ (timerHalf - 1)
		}
		a.Status &^= uint16(v)
	case 2:
		a.Enable = uint16(v)
	default:
		return
	}
	a.update()
}

// Read implements memory.Ops.
func (o *controlOps) Read(uint64, int) uint64 { return uint64(o.Control) }

// Write implements memory.Ops.
func (o *controlOps) Write(_ uint64, _ int, v uint64) {
	o.Control = uint16(v) &^ cntSleep
	if o.ACPIOnly {
		o.Control |= cntSCI
	}
	if v&cntSleep == 0 {
		return
	}
	switch typ := uint8(v >> cntTypShift & cntTypMask); {
	case typ == sleepOff:
		o.VM.RequestShutdown(mainloop.CauseGuestShutdown)
	case typ == o.S4:
		o.VM.SuspendDisk()
	case typ == sleepRAM && !o.DisableS3:
		o.VM.RequestSuspend()
	}
}

// SetACPI switches ACPI mode, as the SMI command port does.
func (a *Regs) SetACPI(on bool) {
	a.Control &^= cntSCI
	if on || a.ACPIOnly {
		a.Control |= cntSCI
	}
}

// Read implements memory.Ops.
func (o *timerOps) Read(uint64, int) uint64 { return uint64(ticks()) & timerMask }

// Write implements memory.Ops: the timer is read-only.
func (o *timerOps) Write(uint64, int, uint64) {}

// Read implements memory.Ops.
func (o *gpeOps) Read(off uint64, _ int) uint64 {
	if b := (*Regs)(o).gpe(off); b != nil {
		return uint64(*b)
	}
	return 0
}

// Write implements memory.Ops: a one clears a status bit.
func (o *gpeOps) Write(off uint64, _ int, v uint64) {
	b := (*Regs)(o).gpe(off)
	switch {
	case b == nil:
		return
	case off < uint64(o.GPE/2):
		*b &^= uint8(v)
	default:
		*b = uint8(v)
	}
	(*Regs)(o).update()
}

// gpe is a byte of the general purpose events, nil if there is none at off.
func (a *Regs) gpe(off uint64) *byte {
	n := uint64(a.GPE / 2)
	switch {
	case off < n:
		return &a.GPEStatus[off]
	case off < 2*n:
		return &a.GPEEnable[off-n]
	}
	return nil
}

// RaiseGPE reports general purpose events of the first byte.
func (a *Regs) RaiseGPE(events uint8) {
	a.GPEStatus[0] |= events
	a.update()
}

// raise reports fixed events.
func (a *Regs) raise(events uint16) {
	a.Status |= events
	a.update()
}

// RTCAlarm reports an alarm of the real-time clock.
func (a *Regs) RTCAlarm() { a.raise(pm1RTC) }

// Map puts events, control and timer into the block that a base register places.
func (a *Regs) Map(r *memory.Region) {
	evt := memory.NewIO("acpi-evt", sizeEvents, (*eventOps)(a))
	cnt := memory.NewIO("acpi-cnt", sizeControl, (*controlOps)(a))
	tmr := memory.NewIO("acpi-tmr", sizeTimer, (*timerOps)(a))
	evt.Valid, evt.Impl = memory.Access{Min: 1, Max: 2}, memory.Access{Min: 2}
	cnt.Valid, cnt.Impl = memory.Access{Min: 1, Max: 2}, memory.Access{Min: 2}
	tmr.Valid, tmr.Impl = memory.Access{Min: 1, Max: 4}, memory.Access{Min: 4}
	r.Add(evt, offEvents, 0)
	r.Add(cnt, offControl, 0)
	r.Add(tmr, offTimer, 0)
}

// GPERegion returns the general purpose events' registers.
func (a *Regs) GPERegion() *memory.Region {
	gpe := memory.NewIO("acpi-gpe0", uint64(a.GPE), (*gpeOps)(a))
	gpe.Valid, gpe.Impl = memory.Access{Min: 1, Max: 4}, memory.Access{Min: 1, Max: 1}
	return gpe
}
