package gate

import (
	"sync/atomic"

	"goemu/accel"
)

// Requests to a CPU. Those of an accelerator's own begin with OwnRequest.
const (
	Pause uint32 = 1 << iota // the machine is stopped
	Work                     // functions wait
	Quit
	OwnRequest
)

// CPU is the part of an accelerator's CPU that goes through a Gate. All methods may be called from any goroutine unless they say otherwise.
type CPU struct {
	core  *core
	nudge func()
	wake  chan struct{}

	requests atomic.Uint32
	started  atomic.Bool
	parked   atomic.Bool
	inside   atomic.Bool // in the guest, or about to enter it
	removed  atomic.Bool
	alone    bool // has Exclusive's section; its goroutine's
	work     accel.Work
}

// Gated implements Member.
func (c *CPU) Gated() *CPU { return c }

// Requests are the requests.
func (c *CPU) Requests() uint32 { return c.requests.Load() }

// Request makes requests and has the CPU look at them soon.
func (c *CPU) Request(r uint32) {
	c.requests.Or(r)
	c.Kick()
}

// Unrequest takes requests back and has the CPU look soon, which may wait because of them.
func (c *CPU) Unrequest(r uint32) {
	c.requests.And(^r)
	c.Kick()
}

// Done takes requests back on the CPU's own goroutine, which has acted on them.
func (c *CPU) Done(r uint32) { c.requests.And(^r) }

// Kick makes the CPU look at what is asked of it soon.
func (c *CPU) Kick() {
	c.nudge()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Started tells whether the CPU has a goroutine.
func (c *CPU) Started() bool { return c.started.Load() }

// Inside tells whether the CPU is in the guest, or about to enter it.
func (c *CPU) Inside() bool { return c.inside.Load() }

// Alone tells, on the CPU's own goroutine, whether the others are kept out of the guest.
func (c *CPU) Alone() bool { return c.alone }

// Do implements accel.CPU. On a CPU that has not been started f runs at once, on one that has been removed not at all.
func (c *CPU) Do(f func()) {
	if !c.started.Load() {
		f()
		return
	}
	if done := c.work.Add(f); done != nil {
		c.Request(Work)
		<-done
	}
}

// RunWork runs what Do has queued, on the CPU's goroutine.
func (c *CPU) RunWork() {
	c.requests.And(^Work)
	c.work.Run()
}

// Enter is called before the CPU enters the guest. It reports false if others have to be let go first, which has happened when
// it returns.
func (c *CPU) Enter() bool {
	c.inside.Store(true)
	if !c.core.stopping.Load() || c.alone {
		return true
	}
	c.Leave()
	c.core.mu.Lock()
	for c.core.stopping.Load() {
		c.core.cond.Wait()
	}
	c.core.mu.Unlock()
	return false
}

// Leave is called after the CPU was in the guest.
func (c *CPU) Leave() {
	c.inside.Store(false)
	if c.core.stopping.Load() {
		c.core.mu.Lock()
		c.core.cond.Broadcast()
		c.core.mu.Unlock()
	}
}

// Wait blocks the CPU's goroutine until cond holds. Meanwhile serve acts on requests, those to run functions among them.
func (c *CPU) Wait(serve func(), cond func() bool) {
	for {
		serve()
		if cond() {
			return
		}
		<-c.wake
	}
}

// Park waits on the CPU's goroutine while the machine is stopped, or held holds.
func (c *CPU) Park(serve func(), held func() bool) {
	c.setParked(true)
	c.Wait(serve, func() bool {
		r := c.requests.Load()
		return r&Quit != 0 || r&Pause == 0 && !held()
	})
	c.setParked(false)
}

// ParkForGood waits on the CPU's goroutine until it is asked to end.
func (c *CPU) ParkForGood(serve func()) { c.Park(serve, func() bool { return true }) }

// End is the last that the CPU's goroutine does here: it counts as parked and runs no more functions. It reports whether the CPU has been removed.
func (c *CPU) End() (removed bool) {
	c.setParked(true)
	c.work.End()
	return c.removed.Load()
}

func (c *CPU) setParked(on bool) {
	c.core.mu.Lock()
	c.parked.Store(on)
	c.core.cond.Broadcast()
	c.core.mu.Unlock()
}

// waitParked waits until the CPU has noticed that it is to pause.
func (c *CPU) waitParked() {
	if !c.started.Load() {
		return
	}
	for !c.parked.Load() && c.requests.Load()&Quit == 0 {
		c.Kick()
		c.core.mu.Lock()
		if !c.parked.Load() {
			c.core.cond.Wait()
		}
		c.core.mu.Unlock()
	}
}

// Remove makes the CPU end when it is between two instructions, and reports false if it has no goroutine that could.
func (c *CPU) Remove() bool {
	c.removed.Store(true)
	if !c.started.Load() {
		return false
	}
	c.Request(Quit)
	return true
}

// Removed tells whether the CPU has been removed.
func (c *CPU) Removed() bool { return c.removed.Load() }

// Renew makes a CPU that has ended one that has not been started yet.
func (c *CPU) Renew() {
	c.requests.Store(0)
	c.started.Store(false)
	c.removed.Store(false)
	c.parked.Store(false)
	c.work.Begin()
}
