package block

import (
	"context"

	"golang.org/x/sys/unix"

	"goemu/block/bitmap"
)

// A VM that is coming in (a migration's destination) opens its images inactive: another process still owns them. Inactive nodes take no
// locks and refuse writers. What guest devices request of their backends meanwhile is kept and not applied. Resuming activates every node,
// then applies the kept requests; if one conflicts with what others do, the VM must not run, and nothing is left half-applied.
//
// A relaxed graph does as QEMU 7.2: a resume while the VM is still coming in applies what devices do, but not yet what they deny others. That
// is tried when the VM starts to run, a failure is only told, and it is tried again whenever somebody lets go of an image.

// SetInMigrate says whether the VM is still coming in.
// Preconditions: the graph lock is held.
func (g *Graph) SetInMigrate(on bool) { g.inMigrate = on }

// InMigrate tells whether the VM is still coming in.
func (g *Graph) InMigrate() bool { return g.inMigrate }

// Activate makes a node, and everything below it first, this process's own.
// Preconditions: the graph lock is held.
func (n *Node) Activate(ctx context.Context) error {
	for _, c := range n.children {
		if err := c.node.Activate(ctx); err != nil {
			return err
		}
	}
	if !n.inactive {
		return nil
	}
	n.inactive, n.mode.Inactive = false, false
	err := n.graph.refreshPerms(n)
	if err == nil {
		err = n.takeOver(ctx)
	}
	if err == nil && (n.graph.Relaxed || !n.graph.inMigrate) {
		err = n.enableParents()
	}
	if err != nil {
		n.inactive, n.mode.Inactive = true, true
		n.graph.loosen(n)
	}
	return err
}

// enableParents applies the requests that the node's backends have kept.
func (n *Node) enableParents() error {
	for _, c := range n.parents {
		if b, ok := c.parent.(*Backend); ok {
			if err := b.enable(); err != nil {
				return err
			}
		}
	}
	return nil
}

// takeOver reads again what another process may have changed.
func (n *Node) takeOver(ctx context.Context) error {
	if a, ok := n.state.(Activater); ok {
		if err := a.InvalidateCache(ctx); err != nil {
			return err
		}
	}
	for _, b := range n.Bitmaps() { // they are ours again, too
		b.Change(func(s *bitmap.State) { s.SkipStore = false })
	}
	if err := n.refreshLength(ctx); err != nil {
		return Errnof(Errno(err), "Could not refresh total sector count")
	}
	return nil
}

// ActivateAll activates all nodes.
// Preconditions: the graph lock is held.
func (g *Graph) ActivateAll(ctx context.Context) error {
	for _, n := range g.nodes {
		if err := n.Activate(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Resume does what must succeed before the VM runs: every node is activated, then the requests of guest devices that were kept are applied. On
// an error the VM must stay as it is; Resume can be tried again.
// Preconditions: the graph lock is held.
func (g *Graph) Resume(ctx context.Context) error {
	if err := g.ActivateAll(ctx); err != nil {
		return err
	}
	_, err := g.enableAll()
	return err
}

// enableAll applies all requests that were kept, or none.
func (g *Graph) enableAll() (enabled []*Backend, err error) {
	for _, b := range g.backends {
		if !b.disabled {
			continue
		}
		if err := b.enable(); err != nil {
			for _, e := range enabled {
				e.disable()
			}
			return nil, err
		}
		enabled = append(enabled, b)
	}
	return enabled, nil
}

// CheckResume tells whether Resume would succeed now. Nodes are activated, requests stay as they are.
// Preconditions: the graph lock is held.
func (g *Graph) CheckResume(ctx context.Context) error {
	if err := g.ActivateAll(ctx); err != nil {
		return err
	}
	enabled, err := g.enableAll()
	for _, b := range enabled {
		b.disable()
	}
	return err
}

// enable applies requests that were kept.
func (b *Backend) enable() error {
	if !b.disabled {
		return nil
	}
	b.generous = b.graph.Relaxed && b.graph.inMigrate
	if b.root != nil {
		if err := b.graph.SetPerm(b.root, b.perm, b.grants(b.shared)); err != nil {
			return err
		}
	}
	b.disabled = false
	return nil
}

// Deny lets relaxed backends deny others what their users asked for, as the VM is about to run. It returns what keeps them from doing so.
// Preconditions: the graph lock is held.
func (g *Graph) Deny() (conflicts []error) {
	g.denying = false
	for _, b := range g.backends {
		if !b.generous {
			continue
		}
		b.generous = false
		if b.root == nil || b.disabled {
			continue
		}
		if err := g.SetPerm(b.root, b.perm, b.shared); err != nil {
			b.generous, g.denying = true, true
			conflicts = append(conflicts, err)
		}
	}
	return conflicts
}

// disable keeps the requests without applying them.
func (b *Backend) disable() {
	if b.root != nil {
		_ = b.graph.SetPerm(b.root, 0, PermAll) // giving up does not fail
	}
	b.disabled, b.generous = true, false
}

// Disabled tells whether the backend's requests are kept and not applied.
func (b *Backend) Disabled() bool { return b.disabled }

// InactivateAll hands all images over: everything is written out, locks are given up, and nodes refuse writers from now on. The requests
// of guest devices, of named backends and of others that allow it (User.StayAtNode does not matter) are kept; any other writer makes it
// fail with EPERM, and everything stays as it was.
// Preconditions: the graph lock is held and the VM is stopped.
func (g *Graph) InactivateAll(ctx context.Context) error {
	var kept []*Backend
	for _, b := range g.backends {
		if b.root != nil && !b.disabled && (b.device != nil || b.name != "") {
			b.disable()
			kept = append(kept, b)
		}
	}
	var done []*Node
	err := func() error {
		for _, n := range topological(g.nodes...) {
			if n.inactive {
				continue
			}
			if err := n.inactivate(ctx); err != nil {
				return err
			}
			done = append(done, n)
		}
		return nil
	}()
	if err == nil {
		return nil
	}
	for i := len(done) - 1; i >= 0; i-- {
		done[i].inactive, done[i].mode.Inactive = false, false
	}
	for _, b := range kept {
		_ = b.enable()
	}
	g.loosen(g.nodes...)
	return err
}

// inactivate hands one node over; its parents are inactive already.
func (n *Node) inactivate(ctx context.Context) error {
	if perm, _ := n.cumulative(); n.writersAbove() && perm&(PermWrite|PermWriteUnchanged) != 0 {
		return unix.EPERM
	}
	if err := n.flush(ctx); err != nil {
		return err
	}
	if a, ok := n.state.(Activater); ok {
		if err := a.Inactivate(ctx); err != nil {
			return err
		}
	}
	n.inactive, n.mode.Inactive = true, true
	n.graph.loosen(n)
	return nil
}

// writersAbove tells whether somebody writes to the node who does not let go of it when it is handed over. Who writes through a node above has
// been judged there; a filter may also write of its own accord.
func (n *Node) writersAbove() bool {
	for _, c := range n.parents {
		if up, ok := c.parent.(*Node); ok && up.inactive {
			if perm, _ := up.cumulative(); perm&(PermWrite|PermWriteUnchanged) != 0 {
				continue
			}
		}
		if u, ok := c.parent.(*User); ok && u.HandsOver {
			continue
		}
		if c.Perm()&(PermWrite|PermWriteUnchanged) != 0 {
			return true
		}
	}
	return false
}
