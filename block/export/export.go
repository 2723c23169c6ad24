// Package export keeps the list of what a program exports: block nodes that other programs reach through a server. What a kind of export
// does is in a package of its own.
package export

import (
	"context"
	"slices"
	"sync"

	"goemu/block"
	"goemu/internal/config"

	"golang.org/x/sys/unix"
)

// Options are what all kinds of exports are made from.
type Options struct {
	ID           string
	Type         string // the kind: "nbd"
	Node         *block.Node
	Writable     bool
	WriteThrough bool // every write is on stable storage before it is answered
}

// Impl is the part of an export that its kind defines.
type Impl interface {
	// Shutdown asks all clients to go. It is called once, must not wait, and may be called with clients coming and going.
	Shutdown()
	// Delete releases what is left once nobody uses the export any more.
	Delete()
}

// Export is a node offered to other programs. It lives until its user gave it up and the last client left.
type Export struct {
	id, kind string
	list     *List
	backend  *block.Backend
	impl     Impl
	// Medium, if set, is the backend with whose medium the export goes away; guarded by the graph lock.
	Medium *block.Backend

	refs     int  // guarded by list.mu
	shutting bool // guarded by list.mu
}

// ID is the export's name in the control interface.
func (e *Export) ID() string { return e.id }

// Backend is what the export does its requests through.
func (e *Export) Backend() *block.Backend { return e.backend }

// List holds a program's exports.
type List struct {
	// Loop, if set, is held by commands from their beginning to their answer; exports are deleted with it.
	Loop sync.Locker
	// Deleted is called with the name of an export that is gone; it may be nil.
	Deleted func(id string)

	graph *block.Graph
	mu    sync.Mutex
	freed sync.Cond // signalled when an export lost its last user
	all   []*Export // guarded by mu; the newest first
	dead  []*Export // guarded by mu: without users, to be deleted
}

// NewList makes an empty list for nodes of g.
func NewList(g *block.Graph) *List {
	l := &List{graph: g}
	l.freed.L = &l.mu
	return l
}

// find finds an export.
// Preconditions: mu is held.
func (l *List) find(id string) *Export {
	i := slices.IndexFunc(l.all, func(e *Export) bool { return e.id == id })
	if i < 0 {
		return nil
	}
	return l.all[i]
}

// CheckID says whether a new export can have the identifier.
func (l *List) CheckID(id string) error {
	switch {
	case !config.WellFormedID(id):
		return block.Errorf(unix.EINVAL, "Invalid block export id")
	case l.Find(id) != nil:
		return block.Errorf(unix.EEXIST, "Block export id '%s' is already in use", id)
	}
	return nil
}

// Add makes an export; create makes the part of its kind.
// Preconditions: the graph lock is held.
func (l *List) Add(ctx context.Context, o Options, create func(e *Export) (Impl, error)) (*Export, error) {
	if err := l.CheckID(o.ID); err != nil {
		return nil, err
	}
	// While a migration comes in, an export fills the image before the machine runs: the node must be this process's own.
	if err := o.Node.Activate(ctx); err != nil {
		return nil, err
	}
	if o.Node.ReadOnly() && o.Writable {
		return nil, block.Errorf(unix.EPERM, "Cannot export read-only node as writable")
	}
	perm := block.PermConsistentRead
	if o.Writable {
		perm |= block.PermWrite
	}
	b := l.graph.NewBackend("", "", perm, block.PermAll&^block.PermResize)
	if err := b.Insert(o.Node); err != nil {
		b.Delete()
		return nil, err
	}
	b.SetWriteCache(!o.WriteThrough)
	e := &Export{id: o.ID, kind: o.Type, list: l, backend: b, refs: 1}
	impl, err := create(e)
	if err != nil {
		b.Delete()
		return nil, err
	}
	e.impl = impl
	l.mu.Lock()
	l.all = slices.Insert(l.all, 0, e)
	l.mu.Unlock()
	return e, nil
}

// Find finds an export by its name, or nil.
func (l *List) Find(id string) *Export {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.find(id)
}

// OfMedium lists the exports that go away with a backend's medium.
// Preconditions: the graph lock is held.
func (l *List) OfMedium(b *block.Backend) []*Export {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(l.all), func(e *Export) bool { return e.Medium != b })
}

// Ref counts one more user; it is false if the export is shutting down.
func (e *Export) Ref() bool {
	e.list.mu.Lock()
	defer e.list.mu.Unlock()
	if e.shutting {
		return false
	}
	e.refs++
	return true
}

// Unref counts one user less; without users the export is deleted, soon.
// Preconditions: the graph lock is not held.
func (e *Export) Unref() {
	l := e.list
	l.mu.Lock()
	e.refs--
	last := e.refs == 0
	if last {
		l.dead = append(l.dead, e)
		l.freed.Broadcast()
	}
	l.mu.Unlock()
	switch {
	case !last:
	case l.Loop == nil:
		l.Bury()
	default:
		go func() {
			l.Loop.Lock()
			defer l.Loop.Unlock()
			l.Bury()
		}()
	}
}

// Bury deletes the exports without users: a command calls it that is to be answered only after that.
// Preconditions: Loop is held, the graph lock is not.
func (l *List) Bury() {
	for {
		l.mu.Lock()
		if len(l.dead) == 0 {
			l.mu.Unlock()
			return
		}
		e := l.dead[0]
		l.dead = l.dead[1:]
		l.mu.Unlock()

		e.impl.Delete()
		l.graph.Lock()
		e.backend.Delete()
		l.graph.Unlock()
		l.mu.Lock()
		l.all = slices.DeleteFunc(l.all, func(x *Export) bool { return x == e })
		l.freed.Broadcast()
		l.mu.Unlock()
		if l.Deleted != nil {
			l.Deleted(e.id)
		}
	}
}

// RequestShutdown makes the export go away: no new clients, and the old ones are disconnected.
// Preconditions: the graph lock is not held.
func (e *Export) RequestShutdown() {
	e.list.mu.Lock()
	already := e.shutting
	e.shutting = true
	e.list.mu.Unlock()
	if !already {
		e.impl.Shutdown()
		e.Unref()
	}
}

// Remove makes an export go away by its name. Unless hard is set it must have no clients.
// Preconditions: the graph lock is not held.
func (l *List) Remove(id string, hard bool) error {
	l.mu.Lock()
	e := l.find(id)
	var err error
	switch {
	case e == nil:
		err = block.Errorf(unix.ENOENT, "Export '%s' is not found", id)
	case e.shutting:
		err = block.Errorf(unix.EBUSY, "Export '%s' is already shutting down", id)
	case !hard && e.refs > 1:
		err = &block.Error{Errno: unix.EBUSY, Text: "export '" + id + "' still in use", Hint: "Use mode='hard' to force client disconnect"}
	}
	l.mu.Unlock()
	if err == nil {
		e.RequestShutdown()
	}
	return err
}

// Info describes an export.
type Info struct {
	ID, Type, NodeName string
	ShuttingDown       bool
}

// Infos describes all exports, the newest first.
func (l *List) Infos() (list []Info) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.all {
		i := Info{ID: e.id, Type: e.kind, ShuttingDown: e.shutting}
		if n := e.backend.Node(); n != nil {
			i.NodeName = n.Name()
		}
		list = append(list, i)
	}
	return list
}

// CloseAll makes all exports of a kind (or of every kind, if it is empty) go away and waits for that.
// Preconditions: the graph lock is not held.
func (l *List) CloseAll(kind string) {
	l.mu.Lock()
	all := slices.Clone(l.all)
	l.mu.Unlock()
	for _, e := range all {
		if kind == "" || e.kind == kind {
			e.RequestShutdown()
		}
	}
	remain := func() bool {
		return slices.ContainsFunc(l.all, func(e *Export) bool { return kind == "" || e.kind == kind })
	}
	for {
		l.mu.Lock()
		for len(l.dead) == 0 && remain() {
			l.freed.Wait()
		}
		over := !remain()
		l.mu.Unlock()
		if over {
			return
		}
		l.Bury()
	}
}
