package block

import "golang.org/x/sys/unix"

// A disk's requests run on goroutines, wherever the scheduler puts them. QEMU binds all nodes of a disk to one thread, an iothread or the main
// loop, and refuses what would need two: users rely on that, so the nodes know the thread that they would be bound to.

// errContext is the error for what would bind an active disk to two threads.
var errContext = Errorf(unix.EINVAL, "Cannot change iothread of active block backend")

// IOContext is the name of the iothread that the node is bound to, empty for the main loop.
// Preconditions: the graph lock is held.
func (n *Node) IOContext() string { return n.ioContext }

// SetIOContext binds the node, and all that hang together with it, to a thread.
// Preconditions: the graph lock is held.
func (n *Node) SetIOContext(thread string) error {
	var t transaction
	return t.finish(n.bind(&t, thread, nil))
}

// SetIOContext binds the backend's disk to a thread, as its device does its input and output there.
// Preconditions: the graph lock is held.
func (b *Backend) SetIOContext(thread string) error {
	if b.root == nil {
		return nil
	}
	var t transaction
	return t.finish(b.root.node.bind(&t, thread, b.root))
}

// FixIOContext keeps others from binding the backend's disk to another thread.
func (b *Backend) FixIOContext() { b.fixedContext = true }

// bind binds a node and its neighbours to a thread as part of a transaction. The edge except does not count.
func (n *Node) bind(t *transaction, thread string, except *Child) error {
	if n.ioContext == thread {
		return nil
	}
	old := n.ioContext
	n.ioContext = thread
	t.onAbort(func() { n.ioContext = old })
	for _, c := range n.parents {
		if c == except {
			continue
		}
		switch p := c.parent.(type) {
		case *Backend:
			if p.device != nil || p.fixedContext {
				return errContext
			}
		case *Node:
			if err := p.bind(t, thread, except); err != nil {
				return err
			}
		}
	}
	for _, c := range n.children {
		if c == except {
			continue
		}
		if err := c.node.bind(t, thread, except); err != nil {
			return err
		}
	}
	return nil
}

// joinContext makes two nodes that become neighbours agree on a thread: that of the upper one or else that of the lower one. The edge except goes away.
func joinContext(t *transaction, up, down *Node, except *Child) error {
	var try, other transaction
	err := down.bind(&try, up.ioContext, except)
	if err == nil {
		t.aborts = append(t.aborts, try.aborts...)
		return nil
	}
	_ = try.finish(err)
	if e := up.bind(&other, down.ioContext, except); e != nil {
		_ = other.finish(e)
		return err
	}
	t.aborts = append(t.aborts, other.aborts...)
	return nil
}
