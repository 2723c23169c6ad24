package migration

import "time"

// Failover is the devices that others stand in for while the machine migrates, since they cannot: qdev.Tree has them. Its methods are called
// under the machine lock.
type Failover interface {
	// WithdrawPrimaries asks the guest to let go of them, Withdrawing tells whether it has not yet done so.
	WithdrawPrimaries()
	Withdrawing() bool
	// RestorePrimaries gives them back to the guest.
	RestorePrimaries()
}

// unplugPoll is how often a guest is looked at that is to let go of devices, unplugPatience for how long a cancelled migration does so.
const (
	unplugPoll     = 50 * time.Millisecond
	unplugPatience = 30 * time.Second
)

func (e *Engine) withdraw() {
	if e.M.Failover != nil {
		withMachine(e.M.Failover.WithdrawPrimaries)
	}
}

func (e *Engine) restore() {
	if e.M.Failover != nil {
		withMachine(e.M.Failover.RestorePrimaries)
	}
}

func (e *Engine) withdrawing() (yes bool) {
	if e.M.Failover != nil {
		withMachine(func() { yes = e.M.Failover.Withdrawing() })
	}
	return yes
}

func (e *Engine) closing() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stopping
}

// waitUnplug waits until the guest has let go of what was withdrawn. It does so, for a while, if the migration is cancelled, too: the devices
// cannot be given back before.
func (o *outgoing) waitUnplug() {
	if !o.e.withdrawing() || !o.move(Setup, WaitUnplug) {
		return
	}
	var deadline time.Time
	for o.e.withdrawing() && !o.e.closing() {
		time.Sleep(unplugPoll)
		switch {
		case o.get() == WaitUnplug:
		case deadline.IsZero():
			deadline = time.Now().Add(unplugPatience)
		case time.Now().After(deadline):
			o.e.report("warning: migration: partially unplugged device on failure")
			return
		}
	}
}

// Migrating tells whether a migration to somewhere else is under way.
func (e *Engine) Migrating() bool {
	e.mu.Lock()
	o := e.out
	e.mu.Unlock()
	return o != nil && o.get().underWay()
}
