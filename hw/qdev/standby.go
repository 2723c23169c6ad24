package qdev

import (
	"errors"
	"slices"
)

// Standby is a device that stands in for another one, its primary, while that is away: before the driver of the standby knows of pairs, and
// while the machine migrates (virtio 1.2, VIRTIO_NET_F_STANDBY). It is called under the machine lock.
type Standby interface {
	// Hides tells whether a device that is about to be made is the primary and has to wait; the standby makes it later from the settings.
	Hides(settings []Setting) (bool, error)
	// Withdraw asks the guest to let go of the primary, since a migration begins.
	Withdraw()
	// Withdrawing tells whether the guest still has the primary that it was asked to let go of.
	Withdrawing() bool
	// Restore gives the guest its primary back, since the migration came to nothing.
	Restore()
}

// AddStandby and RemoveStandby say which standbys there are.
func (t *Tree) AddStandby(s Standby) { t.standbys = append(t.standbys, s) }

// RemoveStandby is described with AddStandby.
func (t *Tree) RemoveStandby(s Standby) {
	t.standbys = slices.DeleteFunc(t.standbys, func(x Standby) bool { return x == s })
}

// hides tells whether a standby wants a new device to wait.
func (t *Tree) hides(settings []Setting) (bool, error) {
	for _, s := range t.standbys {
		if hide, err := s.Hides(settings); hide || err != nil {
			return hide, err
		}
	}
	return false, nil
}

// WithdrawPrimaries asks the guest to let go of all primaries of standbys.
func (t *Tree) WithdrawPrimaries() {
	for _, s := range t.standbys {
		s.Withdraw()
	}
}

// Withdrawing tells whether the guest still has one of them.
func (t *Tree) Withdrawing() bool {
	return slices.ContainsFunc(t.standbys, Standby.Withdrawing)
}

// RestorePrimaries gives the guest all of them back.
func (t *Tree) RestorePrimaries() {
	for _, s := range t.standbys {
		s.Restore()
	}
}

// withdrawal is how far a device has been taken from the guest without being removed.
type withdrawal int

const (
	notWithdrawn withdrawal = iota
	withdrawing             // the guest has been asked to let go of it
	withdrawn               // it has done so
)

// Withdraw asks the guest to let go of the device, which stays in the machine when it has. Its state does not migrate from now on.
func (b *Base) Withdraw() error {
	h := b.handler()
	if h == nil {
		return errors.New("couldn't unplug primary device")
	}
	b.withdrawal = withdrawing
	err := h.RequestUnplug(b.self)
	if err != nil {
		b.withdrawal = notWithdrawn
	}
	return err
}

// Withdrawing tells whether the guest has not yet let go of the device.
func (b *Base) Withdrawing() bool { return b.withdrawal == withdrawing }

// Withdrawn tells whether it has: to the guest the device is not there.
func (b *Base) Withdrawn() bool { return b.withdrawal == withdrawn }

// Restore undoes Withdraw: to the guest the device is a new one.
func (b *Base) Restore() error {
	h := b.handler()
	if b.withdrawal == notWithdrawn || h == nil {
		return nil
	}
	b.hot = true
	if err := h.PrePlug(b.self); err != nil {
		return err
	}
	b.withdrawal, b.leavingUntil = notWithdrawn, 0
	return h.Plugged(b.self)
}
