package block

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"goemu/internal/clock"
)

// Backend is what devices, exports, jobs and tools hold: the root of a chain, with the permissions that its user requested. Calls block
// the calling goroutine, may be made from many goroutines at once and are ordered only by the caller.
type Backend struct {
	graph *Graph
	name  string // of -drive; empty for others
	user  string // describes the user in messages
	root  *Child

	perm, shared Perm // requested
	disabled     bool // the permissions are kept, but not applied: a guest device of a VM that is still coming in
	generous     bool // what is denied to others is not applied yet: see Graph.Deny
	device       *Device
	fixedContext bool // nobody else may bind the disk to another thread

	writeThrough atomic.Bool
	beyondEOF    bool
	gate         gate
	throttle     atomic.Pointer[ThrottleMember]
	urgency      urgency

	medium      Mode // how the last medium was opened, or the next one is to be
	keepsStatus atomic.Bool
	ioStatus    atomic.Int32

	// OnResize, if set, is called after the medium changed its length, from the goroutine that changed it.
	OnResize func()
	// Stats count what the backend's user asked for.
	Stats Stats
}

// NewBackend makes a backend without medium. user describes it in messages when it has no name.
// Preconditions: the graph lock is held.
func (g *Graph) NewBackend(name, user string, perm, shared Perm) *Backend {
	b := &Backend{graph: g, name: name, user: user, perm: perm, shared: shared}
	if clock.Virtual.Manual() { // a test protocol moves the time: requests take as long as it expects
		b.Stats.Clock = func() time.Duration { return time.Duration(clock.Virtual.Now()) }
		b.Stats.Fixed = time.Millisecond
	}
	g.backends = append(g.backends, b)
	return b
}

func (b *Backend) describe() string {
	switch {
	case b.name != "":
		return "block device '" + b.name + "'"
	case b.device != nil && b.device.Name != "":
		return "block device '" + b.device.Name + "'"
	case b.user != "":
		return "block device '" + b.user + "'"
	}
	return "an unnamed block device"
}

// applied are the permissions that the root's edge has: none while they are disabled.
func (b *Backend) applied() (perm, shared Perm) {
	if b.disabled {
		return 0, PermAll
	}
	return b.perm, b.grants(b.shared)
}

// grants is what the backend lets others do that was asked to share only so much.
func (b *Backend) grants(shared Perm) Perm {
	if b.generous {
		return PermAll
	}
	return shared
}

// Insert gives the backend a medium. The node gets one more reference.
// Preconditions: the graph lock is held.
func (b *Backend) Insert(n *Node) error {
	n.refs++
	perm, shared := b.applied()
	root, err := b.graph.attach(b, n, "root", RoleFiltered|RolePrimary, perm, shared)
	if err == nil {
		b.root = root
	}
	return err
}

// Replace gives the backend another node in the place of the one it has: a guest device goes on with that.
// Preconditions: the graph lock is held.
func (b *Backend) Replace(n *Node) error {
	if b.root == nil {
		return b.Insert(n)
	}
	old := b.root.node
	return drainBoth(func() error {
		var t transaction
		b.graph.moveEdge(&t, b.root, n)
		return t.finish(b.graph.refresh(&t, n, old))
	}, old, n)
}

// Remove takes the medium out, after all requests ended.
// Preconditions: the graph lock is held.
func (b *Backend) Remove() {
	if b.root == nil {
		return
	}
	b.quiesce()
	b.settle()
	root := b.root
	b.medium = root.node.mode
	b.root = nil
	b.graph.detach(root)
	b.resume()
}

// Forget takes the backend's name away.
// Preconditions: the graph lock is held.
func (b *Backend) Forget() { b.name = "" }

// MediumMode is how a new medium is opened: as the present or last one was.
func (b *Backend) MediumMode() Mode {
	m := b.medium
	if b.root != nil {
		m = b.root.node.mode
	}
	m.Temporary, m.NoBacking, m.AutoReadOnly = false, false, false
	return m
}

// SetMediumMode says how the first medium of an empty drive is opened.
func (b *Backend) SetMediumMode(m Mode) { b.medium = m }

// Delete removes the backend with its medium.
// Preconditions: the graph lock is held.
func (b *Backend) Delete() {
	b.SetThrottle(nil)
	b.Remove()
	b.graph.backends = slices.DeleteFunc(b.graph.backends, func(x *Backend) bool { return x == b })
}

// Node is the root node, or nil without medium.
func (b *Backend) Node() *Node {
	if b.root == nil {
		return nil
	}
	return b.root.node
}

// Name is the name given with -drive id=, or empty.
func (b *Backend) Name() string { return b.name }

// Graph is the graph that the backend belongs to.
func (b *Backend) Graph() *Graph { return b.graph }

// Perm are the permissions that the user requested, and what it shares.
func (b *Backend) Perm() (perm, shared Perm) { return b.perm, b.shared }

// SetPerm requests other permissions. A conflict leaves the old ones.
// Preconditions: the graph lock is held.
func (b *Backend) SetPerm(perm, shared Perm) error {
	if b.root != nil && !b.disabled {
		if err := b.graph.SetPerm(b.root, perm, b.grants(shared)); err != nil {
			return err
		}
	}
	b.perm, b.shared = perm, shared
	return nil
}

// AttachDevice notes that a guest device uses the backend from now on. While a migration is coming in, the device's permissions are
// kept, but not applied: another writer may still fill the image.
// Preconditions: the graph lock is held.
func (b *Backend) AttachDevice(d *Device) {
	b.device = d
	b.disabled = b.disabled || b.graph.inMigrate
}

// DetachDevice undoes AttachDevice, and gives all permissions back.
// Preconditions: the graph lock is held.
func (b *Backend) DetachDevice() {
	_ = b.SetPerm(0, PermAll) // giving up does not fail
	b.device, b.disabled, b.generous = nil, false, false
}

// AttachedDevice is the guest device that uses the backend, or nil.
func (b *Backend) AttachedDevice() *Device { return b.device }

// gate counts the requests of a backend and holds new ones back while a drained section lasts.
type gate struct {
	inflight atomic.Int64
	closed   atomic.Int32

	mu   sync.Mutex
	cond *sync.Cond // made when first needed; the counters changed
}

// enter begins a request.
func (g *gate) enter() {
	for {
		g.inflight.Add(1)
		if g.closed.Load() == 0 {
			return
		}
		g.exit()
		g.wait(func() bool { return g.closed.Load() == 0 })
	}
}

// tryEnter begins a request unless it would have to wait.
func (g *gate) tryEnter() bool {
	g.inflight.Add(1)
	if g.closed.Load() == 0 {
		return true
	}
	g.exit()
	return false
}

// exit ends a request.
func (g *gate) exit() {
	if g.inflight.Add(-1) == 0 && g.closed.Load() > 0 {
		g.wake()
	}
}

func (g *gate) wait(until func() bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cond == nil {
		g.cond = sync.NewCond(&g.mu)
	}
	for !until() {
		g.cond.Wait()
	}
}

func (g *gate) wake() {
	g.mu.Lock()
	if g.cond != nil {
		g.cond.Broadcast()
	}
	g.mu.Unlock()
}

func (b *Backend) quiesce() { b.gate.closed.Add(1) }

func (b *Backend) settle() { b.gate.wait(func() bool { return b.gate.inflight.Load() == 0 }) }

func (b *Backend) resume() {
	if b.gate.closed.Add(-1) == 0 {
		b.gate.wake()
	}
}

// DrainBegin holds new requests of this backend back and waits for those in flight; DrainEnd lets them go on.
func (b *Backend) DrainBegin() {
	b.quiesce()
	b.settle()
}

// DrainEnd undoes DrainBegin.
func (b *Backend) DrainEnd() { b.resume() }

// Drain waits until no request of this backend is in flight.
func (b *Backend) Drain() {
	b.DrainBegin()
	b.DrainEnd()
}
