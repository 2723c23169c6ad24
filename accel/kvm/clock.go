package kvm

import "goemu/target/x86"

// clockData is struct kvm_clock_data.
type clockData struct {
	Clock    uint64 // nanoseconds
	Flags, _ uint32
	Realtime uint64
	HostTSC  uint64
	_        [4]uint32
}

// guestClock is the clock that guests read through KVM's interface for them. It stands still while the machine is stopped.
type guestClock struct {
	stopped bool
	ns      uint64
}

// stopClock notes what the clock shows, startClock makes it go on from there. All CPUs are paused.
func (a *Accel) stopClock() {
	if a.clock.stopped || !a.h.has(capAdjustClock) {
		return
	}
	var d clockData
	if _, err := a.k.ioctlData(a.h.vm, reqGetClock, bytesOf(&d)); err == nil {
		a.clock = guestClock{stopped: true, ns: d.Clock}
	}
}

func (a *Accel) startClock() {
	if !a.clock.stopped {
		return
	}
	a.clock.stopped = false
	d := clockData{Clock: a.clock.ns}
	a.vmData(reqSetClock, bytesOf(&d))
	if !a.h.has(capKVMClockCtrl) {
		return
	}
	for _, c := range a.list() { // so that the guest does not take the pause for a lockup; one that does not use the clock is no error
		_, _ = c.k.ioctl(c.fd, reqKVMClockCtrl, 0)
	}
}

// HasClock tells whether guests have the clock.
func (a *Accel) HasClock() bool {
	return a.h.has(capAdjustClock) && a.opt.Config.Features[x86.F40000001EAX]&(x86.KVMClock|x86.KVMClock2) != 0
}

// Clock is what the clock shows in nanoseconds. The machine is paused.
func (a *Accel) Clock() uint64 { return a.clock.ns }

// SetClock sets the clock, in nanoseconds, for when the machine goes on.
func (a *Accel) SetClock(ns uint64) { a.clock = guestClock{stopped: true, ns: ns} }

// stableClock is the bit of KVM_CAP_ADJUST_CLOCK that tells that what the kernel returns is what the guest sees.
const stableClock = 1 << 1

// ReliableClock tells whether Clock is exactly what the guest would read.
func (a *Accel) ReliableClock() bool { return a.h.caps[capAdjustClock]&stableClock != 0 }
