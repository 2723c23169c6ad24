package block

import "golang.org/x/sys/unix"

// cumulative is what the node's parents do together, and what all of them let others do.
func (n *Node) cumulative() (perm, shared Perm) {
	shared = PermAll
	for _, c := range n.parents {
		perm |= c.Perm()
		shared &= c.shared
	}
	return perm, shared
}

// conflict finds two parents of which one does what the other does not allow.
func (n *Node) conflict() error {
	for i := len(n.parents) - 1; i >= 0; i-- { // the newest first
		a := n.parents[i]
		for j := len(n.parents) - 1; j >= 0; j-- {
			b := n.parents[j]
			if denied := b.Perm() &^ a.shared; i != j && denied != 0 {
				return Errorf(unix.EPERM, "Permission conflict on node '%s': permissions '%s' are both required by %s (uses node '%s' as '%s' child) "+
					"and unshared by %s (uses node '%s' as '%s' child).",
					n.name, denied, b.parent.describe(), n.name, b.name, a.parent.describe(), n.name, a.name)
			}
		}
	}
	return nil
}

// next is the mode that the node has after a reopen in preparation, otherwise the current one.
func (n *Node) next() *Mode {
	if n.reopening != nil {
		return &n.reopening.mode
	}
	return &n.mode
}

// writable tells whether a node in this mode takes writes.
func (n *Node) writable(m *Mode) bool { return !m.ReadOnly && !n.inactive }

// DefaultPerm is what a node does with a child, and lets others do, by the roles of the child; perm and shared are what the node's own
// parents do and share.
func (n *Node) DefaultPerm(role Role, perm, shared Perm) (nperm, nshared Perm) {
	switch {
	case role&RoleFiltered != 0:
		return perm, shared
	case role&RoleCOW != 0:
		nperm = perm & PermConsistentRead
		if shared&PermWrite != 0 {
			nshared = PermWrite | PermResize
		}
		nshared |= PermConsistentRead | PermWriteUnchanged
		if n.inactive {
			nshared |= PermWrite | PermResize
		}
		return nperm, nshared
	}
	return n.storagePerm(role, perm, shared)
}

// storagePerm is DefaultPerm for children that hold a format's data or tables.
func (n *Node) storagePerm(role Role, perm, shared Perm) (Perm, Perm) {
	if role&RoleMetadata != 0 {
		if n.writable(n.next()) {
			perm |= PermWrite | PermResize
		}
		if !n.next().NoIO {
			perm |= PermConsistentRead
		}
		shared &^= PermWrite | PermResize
	}
	if role&RoleData != 0 {
		shared &^= PermResize
		if perm&PermWriteUnchanged != 0 {
			perm |= PermWrite
		}
		if perm&PermWrite != 0 {
			perm |= PermResize
		}
	}
	if n.inactive {
		shared |= PermWrite | PermResize
	}
	return perm, shared
}

// childPerm is what the node does with a child and lets others do.
func (n *Node) childPerm(c *Child, perm, shared Perm) (nperm, nshared Perm) {
	switch p, ok := n.state.(ChildPermer); {
	case ok:
		nperm, nshared = p.ChildPerm(c, c.role, perm, shared)
	case n.state == nil && n.driver != nil && n.driver.OpensReading:
		nperm, nshared = perm|PermConsistentRead, shared
	default:
		nperm, nshared = n.DefaultPerm(c.role, perm, shared)
	}
	if c.node.next().ForceShare {
		nshared = PermAll
	}
	return nperm, nshared
}

// setPerm changes an edge's permissions.
func (c *Child) setPerm(t *transaction, perm, shared Perm) {
	oldPerm, oldShared := c.Perm(), c.shared
	if oldPerm == perm && oldShared == shared {
		return
	}
	c.perm.Store(uint64(perm))
	c.shared = shared
	t.onAbort(func() {
		c.perm.Store(uint64(oldPerm))
		c.shared = oldShared
	})
}

// Perm is what the parent does with the node.
func (c *Child) Perm() Perm { return Perm(c.perm.Load()) }

// Shared is what the parent lets others do with the node.
func (c *Child) Shared() Perm { return c.shared }

// ParentName describes the parent as messages do: "node 'fmt'", "block device 'drive0'", …
func (c *Child) ParentName() string { return c.parent.describe() }

// ParentNode is the parent if it is a node, or nil.
func (c *Child) ParentNode() *Node { n, _ := c.parent.(*Node); return n }

// Parents lists the edges that end at the node.
// Preconditions: the graph lock is held.
func (n *Node) Parents() []*Child { return n.parents }

// refreshNode checks what the node's parents ask for, tells the driver, and hands the consequences on to the children.
func (n *Node) refreshNode(t *transaction) error {
	perm, shared := n.cumulative()
	if perm&(PermWrite|PermWriteUnchanged) != 0 {
		if !n.writable(n.next()) {
			if !n.writable(&n.mode) {
				return Errorf(unix.EPERM, "Block node is read-only")
			}
			return Errorf(unix.EPERM, "Read-only block node '%s' cannot support read-write users", n.name)
		}
		if perm&PermResize == 0 && n.length.Load()%n.align() != 0 {
			return Errorf(unix.EPERM, "Cannot get 'write' permission without 'resize': Image size is not a multiple of request alignment")
		}
	}
	if p, ok := n.state.(PermChecker); ok {
		if err := p.CheckPerm(perm, shared); err != nil {
			return err
		}
		t.onCommit(func() { p.SetPerm(perm, shared) })
		t.onAbort(p.AbortPerm)
	}
	for _, c := range n.children {
		cperm, cshared := n.childPerm(c, perm, shared)
		c.setPerm(t, cperm, cshared)
	}
	return nil
}

// topological lists the nodes and all below them, parents before children.
func topological(roots ...*Node) []*Node {
	var order []*Node
	seen := map[*Node]bool{}
	var visit func(n *Node)
	visit = func(n *Node) {
		if n == nil || seen[n] {
			return
		}
		seen[n] = true
		for _, c := range n.children {
			visit(c.node)
		}
		order = append(order, n)
	}
	for i := len(roots) - 1; i >= 0; i-- {
		visit(roots[i])
	}
	for i, j := 0, len(order)-1; i < j; i, j = i+1, j-1 {
		order[i], order[j] = order[j], order[i]
	}
	return order
}

// refresh works the permissions of the nodes and everything below them out anew, as part of a transaction.
func (g *Graph) refresh(t *transaction, roots ...*Node) error {
	for _, n := range topological(roots...) {
		if err := n.conflict(); err != nil {
			return err
		}
		if err := n.refreshNode(t); err != nil {
			return err
		}
	}
	return nil
}

// refreshPerms is refresh as a transaction of its own.
func (g *Graph) refreshPerms(roots ...*Node) error {
	var t transaction
	return t.finish(g.refresh(&t, roots...))
}

// RefreshPerms works the permissions of nodes and everything below them out anew, after a driver changed its mind about them.
// Preconditions: the graph lock is held.
func (g *Graph) RefreshPerms(roots ...*Node) error { return g.refreshPerms(roots...) }

// loosen works permissions out anew after somebody let go; that cannot fail in a way that matters.
func (g *Graph) loosen(roots ...*Node) { _ = g.refreshPerms(roots...) }
