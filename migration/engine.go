// Package migration moves a running machine to another process and takes one in, in QEMU's stream format: states, capabilities,
// parameters, the source's rounds and the destination's loading. It knows the machine through Machine, the disks through the block
// graph, and no monitor.
package migration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"goemu/block"
	"goemu/hw/qdev"
	"goemu/internal/mainloop"
	"goemu/internal/memory"
)

// Machine is what the engine needs of the machine.
type Machine struct {
	Name     string // type, as the stream gives it
	UUID     []byte // 16 bytes, nil if the user gave none
	VM       *mainloop.VM
	Graph    *block.Graph
	RAM      func() []*memory.RAMBlock
	Sections func(load bool) []qdev.Section // to save or to load, called under the machine lock with the machine stopped; LoadDone ends a loading
	LoadDone func()
	// Disks lists the nodes that a snapshot of the machine is about: see img.AllDisks. Called with the graph lock held.
	Disks func() []*block.Node
	// Unmigratable names a device that keeps the machine from migrating, "" if there is none; called under the machine lock.
	Unmigratable func() string
	// Dropped tells whether RAM of a name may be left out that the machine does not have, see ram.Loader.
	Dropped func(name string) bool
	// Settle finishes what the devices have begun of a machine that has stopped; called without locks. nil: nothing is to be done.
	Settle func()
	// Log is tcg.Accel.Log. CPUs run functions on virtual CPUs, for throttling.
	Log  func()
	CPUs func() []CPU

	Failover Failover // nil: all devices can migrate
}

// CPU is a virtual CPU as throttling needs it.
type CPU interface{ Do(f func()) }

// Hooks are how the engine tells the outside. They are called without the machine lock unless they say otherwise.
type Hooks struct {
	Status func(Status) // of either direction, for every change that QMP reports when events are on
	Pass   func(n int64)
	Report func(text string) // a line for the user: QEMU's error_report
	Exit   func(status int)  // the process must end: an incoming migration failed
	// Announce tells the network where the machine is now, by the parameters announce-…; called under the machine lock.
	Announce func(p Parameters)
	// FreePages is who tells of the guest's free pages, nil for nobody; called under the machine lock.
	FreePages func() FreePages
	Settle    func() // lets the monitors' commands that are there already be carried out; nil: there are no monitors
}

// FreePages is a device through which the guest tells of pages that it does not use.
type FreePages interface {
	// StartHints asks for pages, of which free hears on any goroutine; StopHints returns when it hears of no more. Any goroutine may call them.
	StartHints(free func(b *memory.RAMBlock, at, n uint64))
	StopHints()
	// FinishHints gives the guest its pages back. Preconditions: the machine lock is held.
	FinishHints()
}

// Status is the state of a migration under QMP's names.
type Status string

// The states.
const (
	None          Status = "none"
	Setup         Status = "setup"
	Cancelling    Status = "cancelling"
	Cancelled     Status = "cancelled"
	WaitUnplug    Status = "wait-unplug" // the guest is to let go of devices first
	Active        Status = "active"
	PreSwitchover Status = "pre-switchover"
	Device        Status = "device"
	// PostcopyActive: the destination has the machine, the dirty bitmaps are still on their way.
	PostcopyActive Status = "postcopy-active"
	Completed      Status = "completed"
	Failed         Status = "failed"
)

// underWay tells whether a migration in this state can be cancelled.
func (s Status) underWay() bool {
	return s == Setup || s == WaitUnplug || s == Active || s == PreSwitchover || s == Device || s == PostcopyActive || s == Cancelling
}

// Engine is the migration of one machine, out and in.
type Engine struct {
	M     Machine
	Hooks Hooks

	// OnlyMigratable refuses blockers (-only-migratable).
	OnlyMigratable bool

	mu       sync.Mutex
	caps     [numCapabilities]bool
	params   Parameters
	blockers []string
	out      *outgoing // the last one, nil if there was none
	in       incoming
	stopping bool

	incomingFailed atomic.Bool

	rate rateMeter

	global string // run state that the source's stream had, "" if none came
}

// New returns the engine of a machine, which is filled in later.
func New() *Engine {
	return &Engine{params: defaults(), in: incoming{status: None},
		rate: rateMeter{last: DirtyRate{Status: unstarted, Mode: PageSampling}, quit: make(chan struct{})}}
}

// IncomingFailed tells whether a machine could not be loaded, so that the process does not end well, however it ends.
func (e *Engine) IncomingFailed() bool { return e.incomingFailed.Load() }

// AddBlocker names a reason why the machine cannot be migrated.
func (e *Engine) AddBlocker(reason string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.OnlyMigratable:
		return errors.New("disallowing migration blocker (--only-migratable) for: " + reason)
	case e.out != nil && e.out.get().underWay():
		return errors.New("disallowing migration blocker (migration/snapshot in progress) for: " + reason)
	}
	e.blockers = append(e.blockers, reason)
	return nil
}

// RemoveBlocker undoes AddBlocker.
func (e *Engine) RemoveBlocker(reason string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if i := slices.Index(e.blockers, reason); i >= 0 {
		e.blockers = slices.Delete(e.blockers, i, i+1)
	}
}

// Blockers lists the reasons why the machine cannot be migrated.
func (e *Engine) Blockers() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.blockers)
}

// Blocked returns the first of them as an error.
func (e *Engine) Blocked() error {
	if l := e.Blockers(); len(l) > 0 {
		return errors.New(l[0])
	}
	var name string
	if e.M.Unmigratable != nil {
		withMachine(func() { name = e.M.Unmigratable() })
	}
	if name != "" {
		return fmt.Errorf("State blocked by non-migratable device '%s'", name)
	}
	return nil
}

func (e *Engine) report(text string) {
	if e.Hooks.Report != nil {
		e.Hooks.Report(text)
	}
}

// notify tells of a new state if events are wanted.
func (e *Engine) notify(s Status) {
	if e.Capability(CapEvents) && e.Hooks.Status != nil {
		e.Hooks.Status(s)
	}
}

// withGraph runs f under the graph lock.
func (e *Engine) withGraph(f func(ctx context.Context) error) error {
	e.M.Graph.Lock()
	defer e.M.Graph.Unlock()
	return f(context.Background())
}

// withMachine runs f under the machine lock.
func withMachine(f func()) {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	f()
}

// Close ends whatever is under way, before the machine goes.
func (e *Engine) Close() {
	e.rate.close()
	e.mu.Lock()
	e.stopping = true
	out := e.out
	stop := e.in.stop
	e.mu.Unlock()
	if out != nil {
		e.Cancel()
		<-out.done
	}
	if stop != nil {
		stop()
	}
}
