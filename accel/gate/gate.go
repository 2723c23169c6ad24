// Package gate pauses, parks and ends the goroutines of virtual CPUs, and keeps them out of the guest. It knows no accelerator.
//
// Who wants a CPU's attention sets a request and nudges it: the accelerator says what makes a CPU leave the guest, or not enter it. A CPU looks
// at its requests between Enter and the guest: a request that it misses there was followed by a nudge that it does not miss.
package gate

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// Member is a CPU of an accelerator, which has a CPU inside.
type Member interface {
	comparable
	Gated() *CPU
}

// Gate is what the CPUs of one machine go through.
type Gate[T Member] struct {
	core
	cpus   atomic.Pointer[[]T]
	listMu sync.Mutex // guards changes of cpus, and paused
	paused bool
}

// core is what CPUs see of a gate.
type core struct {
	exclusive sync.Mutex // held for the whole exclusive section
	stopping  atomic.Bool
	mu        sync.Mutex
	cond      *sync.Cond
	running   sync.WaitGroup
}

// Init makes the gate ready.
func (g *Gate[T]) Init() {
	g.cond = sync.NewCond(&g.mu)
	g.cpus.Store(&[]T{})
}

// List returns the CPUs in the order of their coming.
func (g *Gate[T]) List() []T { return *g.cpus.Load() }

// Join makes a CPU one that goes through the gate. nudge makes it leave the guest soon, or keeps it from entering; it may be called from any
// goroutine, and before and after the CPU runs.
func (g *Gate[T]) Join(c T, nudge func()) {
	p := c.Gated()
	p.core, p.nudge, p.wake = &g.core, nudge, make(chan struct{}, 1)
}

// Add puts a CPU that has joined on the list, and makes sure that Go gives every CPU and the rest of the program a processor.
func (g *Gate[T]) Add(c T) {
	const others = 4
	g.listMu.Lock()
	defer g.listMu.Unlock()
	list := append(slices.Clone(g.List()), c)
	g.cpus.Store(&list)
	if n := len(list) + others; runtime.GOMAXPROCS(0) < n {
		runtime.GOMAXPROCS(n)
	}
}

// Drop takes a CPU off the list. after runs before others can change it.
func (g *Gate[T]) Drop(c T, after func()) {
	g.listMu.Lock()
	defer g.listMu.Unlock()
	list := slices.DeleteFunc(slices.Clone(g.List()), func(x T) bool { return x == c })
	g.cpus.Store(&list)
	after()
}

// Locked runs f while the list does not change.
func (g *Gate[T]) Locked(f func()) {
	g.listMu.Lock()
	defer g.listMu.Unlock()
	f()
}

// Start begins to execute the CPUs that do not yet, each by main on a goroutine of its own, which calls up when it has its thread; while the
// machine is paused they wait. When it returns all have.
func (g *Gate[T]) Start(main func(c T, up func())) {
	g.listMu.Lock()
	defer g.listMu.Unlock()
	var up sync.WaitGroup
	defer up.Wait()
	for _, c := range g.List() {
		p := c.Gated()
		if p.started.Load() {
			continue
		}
		if g.paused {
			p.Request(Pause)
		}
		p.started.Store(true)
		g.running.Add(1)
		up.Add(1)
		go func() {
			defer g.running.Done()
			main(c, up.Done)
		}()
	}
}

// Pause stops all CPUs and waits until they have stopped.
func (g *Gate[T]) Pause() {
	g.listMu.Lock()
	g.paused = true
	list := g.List()
	for _, c := range list {
		c.Gated().Request(Pause)
	}
	g.listMu.Unlock()
	for _, c := range list {
		c.Gated().waitParked()
	}
}

// Resume lets paused CPUs go on; before runs first, while none is started.
func (g *Gate[T]) Resume(before func()) {
	g.listMu.Lock()
	defer g.listMu.Unlock()
	g.paused = false
	before()
	for _, c := range g.List() {
		c.Gated().Unrequest(Pause)
	}
}

// Quit ends the goroutines of all CPUs.
func (g *Gate[T]) Quit() {
	for _, c := range g.List() {
		c.Gated().Request(Quit)
	}
	g.running.Wait()
}

// Exclusive runs f while no CPU but self, the one that calls, is inside the guest. self may be nil; it must not be between Enter and Leave.
func (g *Gate[T]) Exclusive(self *CPU, f func()) {
	if self != nil && self.alone {
		f()
		return
	}
	g.exclusive.Lock()
	defer g.exclusive.Unlock()
	g.stopping.Store(true)
	for _, c := range g.List() {
		if p := c.Gated(); p != self {
			p.nudge()
		}
	}
	g.mu.Lock()
	for g.anyInside(self) {
		g.cond.Wait()
	}
	g.mu.Unlock()
	if self != nil {
		self.alone = true
	}
	f()
	if self != nil {
		self.alone = false
	}
	g.mu.Lock()
	g.stopping.Store(false)
	g.cond.Broadcast()
	g.mu.Unlock()
}

func (g *Gate[T]) anyInside(except *CPU) bool {
	for _, c := range g.List() {
		if p := c.Gated(); p != except && p.inside.Load() {
			return true
		}
	}
	return false
}
