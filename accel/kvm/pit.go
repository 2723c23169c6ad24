package kvm

import (
	"fmt"

	"golang.org/x/sys/unix"

	"goemu/accel"
	"goemu/internal/strerror"
)

// pitState is struct kvm_pit_state2. A channel is struct kvm_pit_channel_state: in the place of Age is when the count was loaded, in
// nanoseconds of the host's monotonic clock.
type pitState struct {
	Channels [3]accel.PITChannel
	Flags    uint32
	_        [9]uint32
}

// pitHPET is the flag that the HPET has replaced the timer's interrupt.
const pitHPET = 1

// CreatePIT implements accel.KernelPIT.
func (a *Accel) CreatePIT(discard bool) error {
	var config [0x40]byte // no flags: the speaker's port is not the kernel's
	if _, err := a.k.ioctlData(a.h.vm, reqCreatePIT, config[:]); err != nil {
		return fmt.Errorf("Create kernel PIC irqchip failed: %s", strerror.Of(err))
	}
	if !discard || !a.h.has(capReinject) {
		return nil
	}
	var control [32]byte // struct kvm_reinject_control: do not
	if _, err := a.k.ioctlData(a.h.vm, reqReinject, control[:]); err != nil {
		return fmt.Errorf("Can't disable in-kernel PIT reinjection: %s", strerror.Of(err))
	}
	return nil
}

// monotonic is the kernel's clock of the timer.
func monotonic() int64 {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t)
	return t.Nano()
}

// PIT implements accel.KernelPIT.
func (a *Accel) PIT() accel.PITState {
	var p pitState
	a.vmData(reqGetPIT, bytesOf(&p))
	p.turn()
	return accel.PITState{Channels: p.Channels, Replaced: p.Flags&pitHPET != 0}
}

// SetPIT implements accel.KernelPIT.
func (a *Accel) SetPIT(s accel.PITState) {
	p := pitState{Channels: s.Channels}
	if s.Replaced {
		p.Flags = pitHPET
	}
	p.turn()
	a.vmData(reqSetPIT, bytesOf(&p))
}

// turn makes times ages, and ages times.
func (p *pitState) turn() {
	now := monotonic()
	for i := range p.Channels {
		p.Channels[i].Age = now - p.Channels[i].Age
	}
}

var _ accel.KernelPIT = (*Accel)(nil)
