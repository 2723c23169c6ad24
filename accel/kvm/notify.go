package kvm

import (
	"errors"
	"fmt"

	"goemu/internal/strerror"
)

// Warning is called with what a user should know and what is no error.
type Warning func(text string)

// NotifyExit is what becomes of a guest that keeps a processor from taking any event (Intel SDM volume 3, §25.2, "notify VM exit").
type NotifyExit uint8

// Values of NotifyExit.
const (
	NotifyRun      NotifyExit = iota // it goes on, and the user is told once
	NotifyInternal                   // it stops with an internal error
	NotifyDisable                    // nobody looks
)

// notifyNames are the values of the property notify-vmexit.
var notifyNames = map[string]NotifyExit{"run": NotifyRun, "internal-error": NotifyInternal, "disable": NotifyDisable}

// UnmarshalText implements encoding.TextUnmarshaler.
func (n *NotifyExit) UnmarshalText(b []byte) (err error) {
	v, ok := notifyNames[string(b)]
	if !ok {
		return errors.New("unknown reaction " + string(b))
	}
	*n = v
	return nil
}

// Bits of KVM_CAP_X86_NOTIFY_VMEXIT, and of the exit.
const (
	notifyEnabled, notifyUser = 1 << 0, 1 << 1
	notifyWindowShift         = 32
	notifyInvalid             = 1 << 0 // the guest's state is lost
)

// setUpNotify makes the host notice such guests.
func (a *Accel) setUpNotify() error {
	if a.opt.Notify == NotifyDisable || !a.h.has(capNotifyExit) {
		return nil
	}
	if err := a.h.enable(capNotifyExit, uint64(a.opt.NotifyWindow)<<notifyWindowShift|notifyEnabled|notifyUser); err != nil {
		return fmt.Errorf("kvm: Failed to enable notify vmexit cap: %s", strerror.Of(err))
	}
	return nil
}

// notified acts on such an exit.
func (c *CPU) notified() {
	state := "valid"
	lost := le.Uint32(c.run[runExit:])&notifyInvalid != 0
	if lost {
		state = "invalid"
	}
	text := "Encounter a notify exit with " + state + " context in guest. There can be possible misbehaves in guest. Please have a look."
	if lost || c.accel.opt.Notify == NotifyInternal {
		c.internalError("KVM internal error: " + text)
		return
	}
	c.accel.notifyOnce.Do(func() { c.accel.warn("KVM: " + text) })
}

func (a *Accel) warn(text string) {
	if a.opt.Warn != nil {
		a.opt.Warn(text)
	}
}
