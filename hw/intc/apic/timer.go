package apic

import "goemu/internal/clock"

// The timer counts nanoseconds of the virtual clock divided by the divide configuration: the same bus frequency of 1 GHz as QEMU's.

// divideShift decodes the divide configuration register.
func divideShift(v uint32) int32 { return int32((v&3|v>>1&4)+1) & 7 }

func (a *APIC) timerMode() uint32 { return a.lvt[lvtTimer] & (lvtPeriodic | lvtDeadline) }

// armTimer sets the timer for the next expiry after now. Preconditions: mu is held.
func (a *APIC) armTimer(now int64) {
	if a.timerMode() == lvtDeadline {
		a.armDeadline(now)
		return
	}
	count := uint64(a.initialCount)
	d := uint64(now-a.loadTime) >> a.countShift
	switch {
	case a.lvt[lvtTimer]&lvtMasked != 0, a.counted:
		a.timer.Del()
		return
	case a.timerMode() == lvtPeriodic && count != 0:
		d = (d/(count+1) + 1) * (count + 1)
	case a.timerMode() == 0 && d < count:
		d = count + 1
	default:
		a.timer.Del()
		return
	}
	a.nextTime = a.loadTime + int64(d<<a.countShift)
	a.timer.Mod(a.nextTime)
}

// TSCDelayer is implemented by CPUs that can say how many nanoseconds remain until their time-stamp counter reaches a value.
type TSCDelayer interface{ TSCDelay(tsc uint64) (ns int64) }

func (a *APIC) armDeadline(now int64) {
	t, ok := a.cpu.(TSCDelayer)
	if a.deadline == 0 || !ok {
		a.timer.Del()
		return
	}
	d := t.TSCDelay(a.deadline)
	if d <= 0 { // passed already
		a.timer.Del()
		a.deadline = 0
		a.localInterrupt(lvtTimer)
		return
	}
	a.nextTime = now + d
	a.timer.Mod(a.nextTime)
}

// timerDue is the timer's callback.
func (a *APIC) timerDue() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.nextTime > clock.Virtual.Now() || a.timer.Pending() {
		return // set anew while the callback was on its way
	}
	if a.timerMode() == lvtDeadline {
		if a.deadline == 0 {
			return
		}
		a.armDeadline(clock.Virtual.Now()) // rounding may have been a little early
		return
	}
	a.localInterrupt(lvtTimer)
	a.armTimer(a.nextTime)
}

// currentCount returns the timer's counter. Preconditions: mu is held.
func (a *APIC) currentCount() uint32 {
	d := uint64(clock.Virtual.Now()-a.loadTime) >> a.countShift
	count := uint64(a.initialCount)
	switch {
	case a.timerMode() == lvtDeadline, a.counted:
		return 0
	case a.timerMode() == lvtPeriodic:
		return uint32(count - d%(count+1))
	case d >= count:
		return 0
	}
	return uint32(count - d)
}

// Deadline implements accel.InterruptController.
func (a *APIC) Deadline() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.deadline
}

// SetDeadline implements accel.InterruptController. Outside the deadline mode it does nothing.
func (a *APIC) SetDeadline(tsc uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.timerMode() == lvtDeadline {
		a.deadline = tsc
		a.armDeadline(clock.Virtual.Now())
	}
}

// setLVT writes an entry of the local vector table. Preconditions: mu is held.
func (a *APIC) setLVT(entry int, v uint32) {
	mode := a.timerMode()
	a.lvt[entry] = v
	switch entry {
	case lvtTimer:
		if a.timerMode() != mode && (mode|a.timerMode())&lvtDeadline != 0 { // switching to or from deadline mode disarms
			a.deadline, a.initialCount = 0, 0
		}
		now := clock.Virtual.Now()
		if mode == 0 && uint64(now-a.loadTime)>>a.countShift >= uint64(a.initialCount) {
			a.counted = true
		}
		a.armTimer(now)
	case lvtLINT0:
		a.update()
	}
}

// setInitialCount starts the timer. Preconditions: mu is held.
func (a *APIC) setInitialCount(v uint32) {
	if a.timerMode() == lvtDeadline {
		return
	}
	a.initialCount, a.loadTime, a.counted = v, clock.Virtual.Now(), false
	a.armTimer(a.loadTime)
}
