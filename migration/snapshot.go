package migration

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"goemu/block"
	"goemu/block/img"
	"goemu/internal/clock"
	"goemu/internal/mainloop"
	"goemu/migration/ram"
	"goemu/migration/vmstate"
	"goemu/migration/wire"
)

// A snapshot of a machine is the stream of a migration, kept inside a disk's image beside the disk's content, and a snapshot under the same
// name in every disk. Its callers see to it that no command changes the machine or the graph meanwhile.

// Snapshot says what a snapshot is about.
type Snapshot struct {
	Name string // of a new one, empty for one that has the time in it
	// Devices are the nodes to take, nil for all disks; State is the one that keeps the machine's state, empty for the first that can.
	Devices []string
	State   string
	// Overwrite replaces a snapshot of the same name.
	Overwrite bool
	// Report prints what is wrong with a state that is loaded; nil prints for the user.
	Report func(text string)
}

// maxSnapshotName is the most that a snapshot's name keeps.
const maxSnapshotName = 255

// disks is the set of disks that a snapshot is about, all of which can keep snapshots.
// Preconditions: the graph lock is held.
func (e *Engine) disks(s *Snapshot) (set *img.SnapshotSet, err error) {
	if s.Devices == nil {
		set = img.AllDisks(e.M.Disks())
	} else if set, err = img.NamedDisks(e.M.Graph, s.Devices); err != nil {
		return nil, err
	}
	return set, set.Check()
}

// SaveSnapshot saves the machine. It stands still meanwhile.
func (e *Engine) SaveSnapshot(s Snapshot) error {
	if err := e.Blocked(); err != nil {
		return err
	}
	var set *img.SnapshotSet
	var state *block.Node
	err := e.withGraph(func(ctx context.Context) (err error) {
		if set, err = e.disks(&s); err != nil {
			return err
		}
		if s.Name != "" {
			if err := s.makeRoom(ctx, set); err != nil {
				return err
			}
		}
		state, err = set.StateNode(s.State)
		return err
	})
	if err != nil {
		return err
	}
	g := new(globalState)
	running := e.standStill(mainloop.StateSaveVM, g)
	defer withMachine(e.M.VM.Release)
	var drained []*block.Node
	_ = e.withGraph(func(context.Context) error { drained = e.M.Graph.DrainAllBegin(); return nil })
	now := time.Now()
	x := block.Snapshot{Name: s.Name[:min(len(s.Name), maxSnapshotName)], Date: now.Truncate(time.Microsecond), VMClock: uint64(clock.Virtual.Now()), ICount: -1}
	if x.Name == "" {
		x.Name = now.Format("vm-20060102150405")
	}
	x.VMStateSize, err = e.saveState(state, g)
	_ = e.withGraph(func(ctx context.Context) error {
		if err == nil {
			if err = set.Create(ctx, x, state); err != nil {
				_ = set.Delete(ctx, x.Name)
			}
		}
		block.DrainNodesEnd(drained)
		return nil
	})
	if running {
		withMachine(e.M.VM.Start)
	}
	return err
}

// standStill stops the machine for something that is done with its state as a whole, and holds back what is asked of it meanwhile until
// VM.Release. It tells whether it was this that stopped the machine; g, unless it is nil, gets the run state of before.
func (e *Engine) standStill(s mainloop.RunState, g *globalState) (stopped bool) {
	withMachine(func() {
		vm := e.M.VM
		before := vm.State()
		vm.Stop(s)
		if stopped = before == mainloop.StateRunning && vm.State() == s; !stopped {
			before = vm.State()
		}
		if g != nil {
			g.set(before)
		}
	})
	e.settle() // what was asked for before the stop is done now
	withMachine(e.M.VM.Hold)
	return stopped
}

// settle lets devices finish what they have begun before the machine stopped.
func (e *Engine) settle() {
	if e.M.Settle != nil {
		e.M.Settle()
	}
}

// makeRoom removes an older snapshot of the same name, or refuses.
func (s *Snapshot) makeRoom(ctx context.Context, set *img.SnapshotSet) error {
	if s.Overwrite {
		return set.Delete(ctx, s.Name)
	}
	has, err := set.Has(s.Name)
	if err == nil && has {
		err = fmt.Errorf("Snapshot '%s' already exists in one or more devices", s.Name)
	}
	return err
}

// saveState writes the machine's state into a disk's image and returns its size.
func (e *Engine) saveState(n *block.Node, g *globalState) (size uint64, err error) {
	e.mu.Lock()
	if e.out != nil && e.out.get().underWay() || e.stopping {
		e.mu.Unlock()
		return 0, errActive
	}
	o := newOutgoing(e)
	e.out = o
	e.mu.Unlock()
	e.notify(Setup)
	defer close(o.done)

	w := newStateWriter(n)
	o.sink = wire.NewSink(w)
	o.saver = ram.NewSaver(e.M.RAM(), nil)
	o.ram.Store(o.saver)
	e.writeState(o.sink, o.saver, g)
	err = o.sink.Flush()
	if werr := w.Close(); err == nil {
		err = werr
	}
	to := Completed
	if err != nil {
		err = block.Errnof(block.Errno(err), "Error while writing VM state")
		o.fail(err)
		to = Failed
	}
	o.mu.Lock()
	o.total = time.Since(o.started)
	o.mu.Unlock()
	o.move(Setup, to)
	return uint64(o.sink.Total()), err
}

// writeState writes the stream of a machine that stands still.
func (e *Engine) writeState(out *wire.Sink, saver *ram.Saver, g *globalState) {
	var state []byte
	var desc <-chan []byte
	withMachine(func() { state, desc = e.saveSections(g) })
	var head vmstate.Writer
	wire.Header(&head, e.header())
	out.Bytes(head.Bytes())
	beginPart(out, wire.SectionStart)
	saver.Setup(out)
	footer(out, ramSection)
	beginPart(out, wire.SectionPart)
	saver.Send(out, unlimited)
	saver.End(out)
	footer(out, ramSection)
	beginPart(out, wire.SectionEnd)
	saver.End(out)
	footer(out, ramSection)
	out.Bytes(state)
	out.U8(wire.EOF)
	putDescription(out, desc)
}

// RestoreSnapshot is LoadSnapshot of a machine that may run. It runs on if it ran before and all went well.
func (e *Engine) RestoreSnapshot(s Snapshot) error {
	running := e.standStill(mainloop.StateRestoreVM, nil)
	defer withMachine(e.M.VM.Release)
	err := e.LoadSnapshot(s)
	if err == nil && running {
		withMachine(e.M.VM.Start)
	}
	return err
}

// LoadSnapshot makes the machine, which does not run, what it was when a snapshot was taken. When it fails, disks or machine may be partly
// changed: the machine must not run before another one was loaded.
func (e *Engine) LoadSnapshot(s Snapshot) error {
	var state *block.Node
	var size uint64
	var drained []*block.Node
	err := e.withGraph(func(ctx context.Context) error {
		set, err := e.disks(&s)
		if err != nil {
			return err
		}
		switch has, err := set.Has(s.Name); {
		case err != nil:
			return err
		case !has:
			return fmt.Errorf("Snapshot '%s' does not exist in one or more devices", s.Name)
		}
		if state, err = set.StateNode(s.State); err != nil {
			return err
		}
		x, err := img.FindSnapshot(state, s.Name)
		switch {
		case err != nil:
			return err
		case x.VMStateSize == 0:
			return errors.New("This is a disk-only snapshot. Revert to it  offline using qemu-img")
		}
		size = x.VMStateSize
		drained = e.M.Graph.DrainAllBegin()
		if err := set.Goto(ctx, s.Name); err != nil {
			block.DrainNodesEnd(drained)
			return err
		}
		return nil
	})
	if err != nil {
		return err
	}
	withMachine(func() {
		e.M.VM.Forget()
		e.M.VM.ResetStopped(mainloop.CauseSnapshotLoad)
	})
	err = e.loadState(state, size)
	_ = e.withGraph(func(context.Context) error { block.DrainNodesEnd(drained); return nil })
	if err == nil {
		return nil
	}
	report := s.Report
	if report == nil {
		report = e.report
	}
	for _, line := range loadLines(err) {
		report(line)
	}
	return fmt.Errorf("Error %d while loading VM state", -int(loadErrno(err)))
}

// loadState reads the machine's state from a disk's image.
func (e *Engine) loadState(n *block.Node, size uint64) error {
	if err := e.Blocked(); err != nil {
		return wire.Invalid("%s", err)
	}
	r := newStateReader(n, size)
	defer r.Close()
	l := &loader{e: e}
	return l.load(r)
}

// DeleteSnapshot removes a snapshot from all disks that have it.
func (e *Engine) DeleteSnapshot(s Snapshot) error {
	return e.withGraph(func(ctx context.Context) error {
		set, err := e.disks(&s)
		if err != nil {
			return err
		}
		return set.Delete(ctx, s.Name)
	})
}

// loadErrno is the number under which QEMU knows what is wrong with a stream.
func loadErrno(err error) unix.Errno {
	if errors.Is(err, wire.ErrInvalid) {
		return unix.EINVAL
	}
	return unix.EIO
}
