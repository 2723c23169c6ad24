package block

import (
	"context"

	"golang.org/x/sys/unix"
)

// moveEdge lets an edge end at another node, as part of a transaction: the edge's reference moves with it.
func (g *Graph) moveEdge(t *transaction, c *Child, to *Node) {
	from := c.node
	move := func(to *Node) {
		for range to.quiesced.Load() {
			c.parent.quiesce()
		}
		old := c.node
		c.leaveNode()
		c.node = to
		to.mu.Lock()
		to.parents = append(to.parents[:len(to.parents):len(to.parents)], c)
		to.mu.Unlock()
		for range old.quiesced.Load() {
			c.parent.resume()
		}
	}
	to.refs++
	move(to)
	up, _ := c.parent.(*Node)
	cow := up != nil && c.role&RoleCOW != 0
	t.onAbort(func() {
		move(from)
		to.refs--
	})
	t.onCommit(func() {
		if cow {
			up.unblockBacking(from)
			up.blockBacking(to)
		}
		g.Unref(from)
	})
}

// movable tells whether the edge may be moved to the node: not if that would make a loop.
func (c *Child) movable(to *Node) bool {
	if u, ok := c.parent.(*User); ok && u.StayAtNode {
		return false
	}
	up, ok := c.parent.(*Node)
	return !ok || !to.reaches(up)
}

// moveParents lets all edges that end at a node end at another one. Edges that cannot move stay if skip is set, otherwise are an error.
func (g *Graph) moveParents(t *transaction, from, to *Node, skip bool) error {
	parents := append([]*Child(nil), from.parents...)
	for _, c := range parents {
		switch {
		case !c.movable(to):
			if !skip {
				return Errorf(unix.EINVAL, "Should not change '%s' link to '%s'", c.name, from.name)
			}
		case c.frozen:
			return Errorf(unix.EPERM, "Cannot change '%s' link to '%s'", c.name, from.name)
		default:
			g.moveEdge(t, c, to)
		}
	}
	return nil
}

// dropEdge removes an edge as part of a transaction.
func (g *Graph) dropEdge(t *transaction, c *Child) {
	c.unlink()
	for range c.node.quiesced.Load() {
		c.parent.resume()
	}
	t.onAbort(func() {
		for range c.node.quiesced.Load() {
			c.parent.quiesce()
		}
		c.link()
	})
	t.onCommit(func() {
		if up, ok := c.parent.(*Node); ok && c.role&RoleCOW != 0 {
			up.unblockBacking(c.node)
		}
		g.Unref(c.node)
	})
}

// drainBoth drains nodes while f changes the edges around them.
func drainBoth(f func() error, nodes ...*Node) error {
	for _, n := range nodes {
		if n != nil {
			n.quiesce()
		}
	}
	for _, n := range nodes {
		if n != nil {
			n.settle()
		}
	}
	err := f()
	for i := len(nodes) - 1; i >= 0; i-- {
		if nodes[i] != nil {
			nodes[i].resume()
		}
	}
	return err
}

// CanReplace tells whether a node with the same content as n can take the place of r, in n or below it, without a change of data that
// anybody sees.
// Preconditions: the graph lock is held.
func (n *Node) CanReplace(r *Node) bool {
	for n != r {
		if d, ok := n.state.(Replacer); ok {
			return d.CanReplace(r)
		}
		c := n.Filtered()
		if c == nil {
			return false
		}
		n = c.node
	}
	return true
}

// ReplaceNode gives all parents of a node another one. Edges that would make a loop, and users that stay at their node, are left out.
// Preconditions: the graph lock is held.
func (g *Graph) ReplaceNode(from, to *Node) error { return g.replace(from, to, true, nil) }

// replace moves the parents of from to to; the edge cut, if any, is removed in the same transaction.
func (g *Graph) replace(from, to *Node, skip bool, cut *Child) error {
	g.Ref(from)
	g.Ref(to)
	defer g.Unref(to)
	defer g.Unref(from)
	return drainBoth(func() error {
		var t transaction
		err := g.moveParents(&t, from, to, skip)
		if err == nil && cut != nil {
			g.dropEdge(&t, cut)
		}
		if err == nil {
			err = g.refresh(&t, to, from)
		}
		return t.finish(err)
	}, from, to)
}

// DropFilter puts the filtered node in the place of a filter, which loses its child. The caller's reference to the filter remains.
// Preconditions: the graph lock is held.
func (g *Graph) DropFilter(n *Node) error {
	c := n.Filtered()
	if c == nil {
		return Errorf(unix.EINVAL, "Node '%s' is no filter", n.name)
	}
	return g.replace(n, c.node, true, c)
}

// Append puts a new node, which has no backing file yet, on top of another one: the node below becomes its backing file, or what it
// filters, and its parents become the new node's.
// Preconditions: the graph lock is held.
func (g *Graph) Append(n, below *Node) error {
	g.Ref(below)
	defer g.Unref(below)
	return drainBoth(func() error {
		var t transaction
		name, role := "backing", RoleCOW
		if n.driver.Filter {
			role = RoleFiltered | RolePrimary
			if n.driver.Open != nil { // not one of those that only jobs make
				name = "file"
			}
		}
		below.refs++
		t.onAbort(func() { below.refs-- })
		_, err := g.attachTo(&t, n, below, name, role, 0, PermAll)
		if err == nil {
			err = g.moveParents(&t, below, n, true)
		}
		if err == nil {
			err = g.refresh(&t, n)
		}
		if t.finish(err) != nil {
			return err
		}
		if role == RoleCOW {
			n.mode.NoBacking = false
			n.blockBacking(below)
		}
		return n.refreshLimits()
	}, below)
}

// InsertFilter makes a node of a filter driver on top of another node, with the state that the function makes. Name may be empty. The caller
// owns one reference.
// Preconditions: the graph lock is held.
func (g *Graph) InsertFilter(ctx context.Context, d *Driver, name string, state func(n *Node) (Instance, error), below *Node) (*Node, error) {
	n := &Node{graph: g, driver: d, refs: 1, options: NewOptions(), explicit: NewOptions()}
	n.mode = Mode{Unmap: true, ReadOnly: below.mode.ReadOnly, Direct: below.mode.Direct}
	n.options.Set(optDriver, d.Name)
	n.inactive = below.inactive
	if err := g.nameNode(n, name); err != nil {
		return nil, err
	}
	var err error
	if n.state, err = state(n); err != nil {
		n.abandon()
		return nil, err
	}
	n.length.Store(below.length.Load())
	n.limits = below.limits
	if err := g.Append(n, below); err != nil {
		g.Unref(n)
		return nil, err
	}
	if err := n.refreshLength(ctx); err != nil {
		return nil, err
	}
	n.refreshFilename()
	return n, nil
}

// SetImplicit says that the node was made by a job and is not to be seen: people get the node below instead.
// Preconditions: the graph lock is held.
func (n *Node) SetImplicit(on bool) { n.implicit = on }

// Implicit tells whether the node is not to be seen.
func (n *Node) Implicit() bool { return n.implicit }

// SkipImplicit is the first node that is to be seen, from n on downwards.
func (n *Node) SkipImplicit() *Node {
	for n != nil && n.implicit {
		c := n.Filtered()
		if c == nil {
			break
		}
		n = c.node
	}
	return n
}

// SetBacking gives a node another backing file, or none.
// Preconditions: the graph lock is held.
func (g *Graph) SetBacking(n, base *Node) error {
	return drainBoth(func() error {
		var t transaction
		old, err := g.setBacking(&t, n, base)
		if err == nil {
			err = g.refresh(&t, n)
		}
		if err == nil && old != nil && old.refs > 1 {
			err = g.refresh(&t, old)
		}
		if err = t.finish(err); err == nil {
			err = n.refreshLimits()
		}
		return err
	}, n, base)
}

// setBacking is SetBacking as part of a transaction; it returns the old backing file.
func (g *Graph) setBacking(t *transaction, n, base *Node) (old *Node, err error) {
	edge := n.Backing()
	if edge != nil {
		old = edge.node
	}
	if old == base {
		return nil, nil
	}
	if edge != nil && edge.frozen {
		return nil, Errorf(unix.EPERM, "Cannot change frozen '%s' link from '%s' to '%s'", edge.name, n.name, old.name)
	}
	if !n.driver.SupportsBacking && !n.driver.Filter {
		return nil, Errorf(unix.EINVAL, "Driver '%s' of node '%s' does not support backing files", n.driver.Name, n.name)
	}
	if edge != nil {
		g.dropEdge(t, edge)
	}
	if base == nil {
		return old, nil
	}
	role := RoleCOW
	if n.driver.Filter {
		role = RoleFiltered | RolePrimary
	}
	base.refs++
	t.onAbort(func() { base.refs-- })
	if _, err := g.attachTo(t, n, base, "backing", role, 0, PermAll); err != nil {
		return old, err
	}
	if base.inherits(n) { // it was further below
		before := base.inheritsFrom
		base.inheritsFrom = n
		t.onAbort(func() { base.inheritsFrom = before })
	}
	t.onCommit(func() {
		n.mode.NoBacking = false
		if role == RoleCOW {
			n.blockBacking(base)
		}
	})
	return old, nil
}

// Freeze keeps the edges of the chain from n down to base as they are, until Unfreeze.
// Preconditions: the graph lock is held.
func (n *Node) Freeze(base *Node) error {
	if err := n.Frozen(base); err != nil {
		return err
	}
	var err error
	n.eachEdge(base, func(c *Child) bool {
		if c.node.driver.NeverFrozen {
			err = Errorf(unix.EPERM, "Cannot freeze '%s' link to '%s'", c.name, c.node.name)
		}
		return err == nil
	})
	if err != nil {
		return err
	}
	n.eachEdge(base, func(c *Child) bool { c.frozen = true; return true })
	return nil
}

// Unfreeze undoes Freeze.
// Preconditions: the graph lock is held.
func (n *Node) Unfreeze(base *Node) {
	n.eachEdge(base, func(c *Child) bool { c.frozen = false; return true })
}

// Frozen is the error for changes of a chain of which an edge is frozen, or nil.
// Preconditions: the graph lock is held.
func (n *Node) Frozen(base *Node) (err error) {
	up := n
	n.eachEdge(base, func(c *Child) bool {
		if c.frozen {
			err = Errorf(unix.EPERM, "Cannot change '%s' link from '%s' to '%s'", c.name, up.name, c.node.name)
		}
		up = c.node
		return err == nil
	})
	return err
}

// eachEdge visits the edges of the chain from n down to base.
func (n *Node) eachEdge(base *Node, visit func(*Child) bool) {
	for n != base {
		c := n.FilterOrCOW()
		if c == nil || !visit(c) {
			return
		}
		n = c.node
	}
}

// OverlayOf finds the image in the chain from n on that has base, or filters above it, as its backing file; nil if there is none.
func (n *Node) OverlayOf(base *Node) *Node {
	base = base.SkipFilters()
	for a := n.SkipFilters(); a != nil; {
		c := a.COWChild()
		if c == nil {
			return nil
		}
		next := c.node.SkipFilters()
		if next == base {
			return a
		}
		a = next
	}
	return nil
}

// inherits tells whether the node takes defaults from another one, or from one that does.
func (n *Node) inherits(from *Node) bool {
	for n != nil && n != from {
		n = n.inheritsFrom
	}
	return n != nil
}

// ChainContains tells whether a node is in the chain of filtered nodes and backing files from n on.
func (n *Node) ChainContains(base *Node) bool {
	for n != nil && n != base {
		n = n.below()
	}
	return n != nil
}

// DropIntermediate takes the nodes from top down to base, without it, out of the chain: parents of top become parents of base, and images
// among them get the name backing (that of base if empty) as their backing file.
// Preconditions: the graph lock is held.
func (g *Graph) DropIntermediate(ctx context.Context, top, base *Node, backing string) error {
	if !top.ChainContains(base) {
		return unix.EIO
	}
	if backing == "" {
		base.refreshFilename()
		backing = base.filename
	}
	g.Ref(top)
	defer g.Unref(top)
	defer DrainNodesEnd(top.DrainSubtreeBegin()) // limits of speed below do not hold then: requests come to their end soon
	changed := append([]*Child(nil), top.parents...)
	if err := g.replace(top, base, false, nil); err != nil {
		return err
	}
	if seen := top.SkipImplicit(); base.inherits(seen) {
		base.inheritsFrom = seen.inheritsFrom
	}
	for _, c := range changed {
		up, ok := c.parent.(*Node)
		if !ok || c.role&RoleCOW == 0 {
			continue
		}
		if err := g.updateBackingName(ctx, up, backing, base.driver.Name); err != nil {
			return err
		}
	}
	return nil
}

// updateBackingName writes the backing file's name into an image, which is made writable for that.
func (g *Graph) updateBackingName(ctx context.Context, n *Node, name, format string) (err error) {
	if n.mode.ReadOnly {
		if err := g.SetReadOnly(ctx, n, false); err != nil {
			return err
		}
		defer func() {
			if e := g.SetReadOnly(ctx, n, true); err == nil {
				err = e
			}
		}()
	}
	if err := n.ChangeBackingFile(ctx, name, format); err != nil {
		return Errnof(Errno(err), "Could not update backing file link")
	}
	return nil
}
