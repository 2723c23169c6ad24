// Package clock keeps the emulator's three clocks and the timers that hang on them. All times are nanoseconds. It knows nothing of
// devices or of the machine lock: whoever serves a list of timers decides under which lock their callbacks run.
package clock

import (
	"sync"
	"sync/atomic"
	"time"
)

// Clock is a source of time with timers. A clock that is stopped keeps its value, and its timers wait.
type Clock struct {
	name  string
	state atomic.Pointer[state]

	mu    sync.Mutex // orders changes of state, guards lists
	lists []*List
}

// state is one immutable way of computing the time.
type state struct {
	running bool
	fake    bool
	host    bool  // seconds since the epoch rather than an arbitrary start
	offset  int64 // added to the source while running, the value itself otherwise
}

// epoch is where the monotonic source starts counting.
var epoch = time.Now()

// The clocks of a machine. Virtual stops with the machine; Realtime never stops; Host is the wall clock (nanoseconds since 1970).
var (
	Virtual  = New("virtual", false)
	Realtime = New("realtime", true)
	Host     = newHost()
)

// New returns a clock that starts at zero.
func New(name string, running bool) *Clock {
	c := &Clock{name: name}
	s := &state{running: running}
	if running {
		s.offset = -int64(time.Since(epoch))
	}
	c.state.Store(s)
	return c
}

func newHost() *Clock {
	c := &Clock{name: "host"}
	c.state.Store(&state{running: true, host: true})
	return c
}

// Name returns the clock's name.
func (c *Clock) Name() string { return c.name }

// Now returns the clock's value.
func (c *Clock) Now() int64 {
	s := c.state.Load()
	switch {
	case !s.running || s.fake:
		return s.offset
	case s.host:
		return time.Now().UnixNano() + s.offset
	}
	return int64(time.Since(epoch)) + s.offset
}

// Running tells whether time passes.
func (c *Clock) Running() bool { return c.state.Load().running }

// Start lets time pass.
func (c *Clock) Start() { c.change(func(s *state, _ int64) { s.running = true }) }

// Stop freezes the clock at its present value.
func (c *Clock) Stop() { c.change(func(s *state, _ int64) { s.running = false }) }

// Set makes the clock continue from ns.
func (c *Clock) Set(ns int64) { c.change(func(s *state, _ int64) { s.offset = ns }) }

// change replaces the state: f sees the state with its present value in offset and may change both.
func (c *Clock) change(f func(s *state, now int64)) {
	c.mu.Lock()
	now := c.Now()
	s := *c.state.Load()
	s.offset = now
	f(&s, now)
	if s.running && !s.fake {
		if s.host {
			s.offset -= time.Now().UnixNano()
		} else {
			s.offset -= int64(time.Since(epoch))
		}
	}
	c.state.Store(&s)
	lists := append([]*List(nil), c.lists...)
	c.mu.Unlock()
	for _, l := range lists {
		l.rearm()
	}
}

// SetFake turns the clock into one that only Set and Advance move, starting at ns: for tests and for machines that a test drives.
func (c *Clock) SetFake(ns int64) {
	c.change(func(s *state, _ int64) { s.fake, s.running, s.offset = true, true, ns })
}

// Manual tells whether only Set and Advance move the clock.
func (c *Clock) Manual() bool { return c.state.Load().fake }

// Deadline returns the time of the clock's earliest timer; ok is false if there is none or the clock is stopped.
func (c *Clock) Deadline() (ns int64, ok bool) {
	c.mu.Lock()
	lists := append([]*List(nil), c.lists...)
	c.mu.Unlock()
	ns = Never
	for _, l := range lists {
		if at, has := l.Deadline(); has {
			ns, ok = min(ns, at), true
		}
	}
	return ns, ok
}

// Advance moves a fake clock forward by d and runs the callbacks that become due, in the order of their times, on the caller's
// goroutine with the clock at each timer's own time.
func (c *Clock) Advance(d int64) {
	end := c.Now() + d
	for {
		c.mu.Lock()
		lists := append([]*List(nil), c.lists...)
		c.mu.Unlock()
		var next *List
		at := end
		for _, l := range lists {
			if t, ok := l.Deadline(); ok && t <= at {
				next, at = l, t
			}
		}
		if next == nil {
			break
		}
		if at > c.Now() {
			c.Set(at)
		}
		next.RunDue()
	}
	if end > c.Now() {
		c.Set(end)
	}
}
