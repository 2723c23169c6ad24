package block

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// parent is the upper end of an edge: a node, a Backend or a User.
type parent interface {
	// describe names the parent in messages: "node 'fmt'", "block device 'drive0'", …
	describe() string
	// quiesce makes the parent start no more requests; resume takes that back; settle waits until none is in flight.
	quiesce()
	settle()
	resume()
}

func (n *Node) describe() string { return fmt.Sprintf("node '%s'", n.name) }

// link enters an edge at both ends.
func (c *Child) link() {
	c.node.mu.Lock()
	c.node.parents = append(slices.Clip(c.node.parents), c)
	c.node.mu.Unlock()
	if up, ok := c.parent.(*Node); ok {
		up.children = append(slices.Clip(up.children), c)
	}
}

// unlink takes an edge out at both ends.
func (c *Child) unlink() {
	c.leaveNode()
	if up, ok := c.parent.(*Node); ok {
		up.children = slices.DeleteFunc(slices.Clone(up.children), func(x *Child) bool { return x == c })
	}
}

// leaveNode takes the edge from the list of its lower end.
func (c *Child) leaveNode() {
	c.node.mu.Lock()
	c.node.parents = slices.DeleteFunc(slices.Clone(c.node.parents), func(x *Child) bool { return x == c })
	c.node.mu.Unlock()
}

// reaches tells whether to is n or somewhere below it.
func (n *Node) reaches(to *Node) bool {
	return slices.Contains(topological(n), to)
}

// attach makes an edge with the permissions; the caller's reference to the node goes to the edge, also on failure.
// Preconditions: the graph lock is held.
func (g *Graph) attach(p parent, n *Node, name string, role Role, perm, shared Perm) (*Child, error) {
	var t transaction
	c, err := g.attachTo(&t, p, n, name, role, perm, shared)
	if err == nil {
		err = g.refresh(&t, n)
	}
	if t.finish(err) != nil {
		g.Unref(n)
		return nil, err
	}
	return c, nil
}

// attachTo makes an edge as part of a transaction, which does not own the reference.
func (g *Graph) attachTo(t *transaction, p parent, n *Node, name string, role Role, perm, shared Perm) (*Child, error) {
	c := &Child{name: name, role: role, node: n, parent: p, shared: shared}
	c.perm.Store(uint64(perm))
	if up, ok := p.(*Node); ok {
		if n.reaches(up) {
			return nil, Errorf(unix.EINVAL, "Making '%s' a %s child of '%s' would create a cycle", n.name, name, up.name)
		}
		if err := joinContext(t, up, n, nil); err != nil {
			return nil, err
		}
	}
	for range n.quiesced.Load() {
		p.quiesce()
	}
	c.link()
	t.onAbort(func() {
		c.unlink()
		for range n.quiesced.Load() {
			p.resume()
		}
	})
	return c, nil
}

// attachChild makes an edge from a node to its child; the caller's reference goes to the edge, also on failure.
// Preconditions: the graph lock is held.
func (g *Graph) attachChild(up, n *Node, name string, role Role) (*Child, error) {
	perm, shared := up.cumulative()
	c := &Child{name: name, role: role, node: n, parent: up}
	perm, shared = up.childPerm(c, perm, shared)
	c, err := g.attach(up, n, name, role, perm, shared)
	if err == nil && role&RoleCOW != 0 {
		up.blockBacking(n)
	}
	return c, err
}

// AttachChild gives the node one more child, which counts a user more.
// Preconditions: the graph lock is held.
func (n *Node) AttachChild(below *Node, name string, role Role) (*Child, error) {
	below.refs++
	return n.graph.attachChild(n, below, name, role)
}

// AddChild puts a node below another one whose driver can have any number of children.
// Preconditions: the graph lock is held.
func (g *Graph) AddChild(up, n *Node) error {
	d, ok := up.state.(ChildChanger)
	switch {
	case !ok:
		return Errorf(unix.EINVAL, "The node %s does not support adding a child", up.DeviceOrNodeName())
	case len(n.parents) > 0:
		return Errorf(unix.EINVAL, "The node %s already has a parent", n.name)
	}
	return up.changeChildren(func() error { return d.AddChild(n) })
}

// RemoveChild takes a child away that AddChild or the options gave to its parent.
// Preconditions: the graph lock is held.
func (g *Graph) RemoveChild(c *Child) error {
	up, _ := c.parent.(*Node)
	d, ok := up.state.(ChildChanger)
	if !ok {
		return Errorf(unix.EINVAL, "The node %s does not support removing a child", up.DeviceOrNodeName())
	}
	return up.changeChildren(func() error { return d.RemoveChild(c) })
}

// changeChildren does a change to the children of a node while that is drained.
func (n *Node) changeChildren(change func() error) error {
	n.DrainBegin()
	defer n.DrainEnd()
	if err := change(); err != nil {
		return err
	}
	return n.refreshLimits()
}

// detach removes an edge and its reference.
// Preconditions: the graph lock is held.
func (g *Graph) detach(c *Child) {
	if up, ok := c.parent.(*Node); ok && c.role&RoleCOW != 0 {
		up.unblockBacking(c.node)
	}
	c.unlink()
	g.letGo = true
	for range c.node.quiesced.Load() {
		c.parent.resume()
	}
	if len(c.node.parents) > 0 || c.node.refs > 1 {
		g.loosen(c.node)
	}
	g.Unref(c.node)
}

// User is a parent besides nodes and backends: a job holds its nodes by it. The functions may be nil.
type User struct {
	// Name describes the user in messages, for instance "mirror job 'job0'".
	Name string
	// Quiesce makes the user start no more requests until Resume; Settle waits until its requests ended. Calls nest.
	Quiesce, Settle, Resume func()
	// StayAtNode is true if the user's edges are not moved when their node is replaced.
	StayAtNode bool
	// HandsOver is true if the user's writing does not keep its nodes from being handed over to another process.
	HandsOver bool
}

func (u *User) describe() string { return u.Name }

func call(f func()) {
	if f != nil {
		f()
	}
}

func (u *User) quiesce() { call(u.Quiesce) }
func (u *User) settle()  { call(u.Settle) }
func (u *User) resume()  { call(u.Resume) }

// Use attaches a user to a node with permissions; the node gets one more reference. Graph.Leave ends it.
// Preconditions: the graph lock is held.
func (g *Graph) Use(u *User, n *Node, name string, perm, shared Perm) (*Child, error) {
	n.refs++
	return g.attach(u, n, name, 0, perm, shared)
}

// Leave ends what Use or a filter's attaching began.
// Preconditions: the graph lock is held.
func (g *Graph) Leave(c *Child) { g.detach(c) }

// SetPerm changes the permissions of an edge that Use made.
// Preconditions: the graph lock is held.
func (g *Graph) SetPerm(c *Child, perm, shared Perm) error {
	var t transaction
	c.setPerm(&t, perm, shared)
	return t.finish(g.refresh(&t, c.node))
}
