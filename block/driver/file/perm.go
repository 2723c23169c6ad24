package file

import (
	"golang.org/x/sys/unix"

	"goemu/block"
)

// change is what a node becomes when a change of its permissions is accepted.
type change struct {
	fd       int // opened anew because the access mode changes, or -1
	writable bool
	used     block.Perm
	denied   block.Perm
}

// locks tells whether the node locks its file at all.
func (n *Node) locks() bool { return !n.opts.NoLock && !n.node.Inactive() }

// CheckPerm implements block.PermChecker: it takes the locks that are needed besides the present ones, and looks for other users.
func (n *Node) CheckPerm(perm, shared block.Perm) error {
	next := &change{fd: -1, used: perm, denied: block.PermAll &^ shared}
	m := n.node.NextMode()
	next.writable = !m.ReadOnly && (!m.AutoReadOnly || perm&(block.PermWrite|block.PermWriteUnchanged|block.PermResize) != 0)
	direct := m.Direct
	if next.writable != n.writable || direct != n.opts.Direct {
		fd, err := openFile(n.opts.Filename, !next.writable, direct)
		if err != nil {
			return err
		}
		next.fd = fd
	}
	if err := n.prepareLocks(next); err != nil {
		next.abandon()
		return err
	}
	n.pending = next
	return nil
}

func (c *change) abandon() {
	if c.fd >= 0 {
		unix.Close(c.fd)
	}
}

// prepareLocks takes the locks of old and new permissions together and tests the new ones.
func (n *Node) prepareLocks(c *change) error {
	if !n.locks() {
		return nil
	}
	n.lockMu.Lock()
	defer n.lockMu.Unlock()
	oldUsed, oldDenied := n.held, n.denied
	if c.used&^oldUsed != 0 || c.denied&^oldDenied != 0 {
		err := n.setLocks(oldUsed|c.used, oldDenied|c.denied)
		if err == nil {
			err = n.testLocks(c.used, c.denied)
		}
		if err != nil {
			_ = n.setLocks(oldUsed, oldDenied) // giving locks up does not fail
			return err
		}
	}
	if c.fd >= 0 {
		other := &File{opts: n.opts, fd: c.fd}
		return other.setLocks(c.used, c.denied)
	}
	return nil
}

// SetPerm implements block.PermChecker.
func (n *Node) SetPerm(block.Perm, block.Perm) {
	c := n.pending
	n.pending = nil
	if c == nil {
		return
	}
	n.lockMu.Lock()
	defer n.lockMu.Unlock()
	if c.fd >= 0 {
		n.replaceFD(c)
	}
	n.used, n.refused = c.used, c.denied
	if n.locks() {
		_ = n.setLocks(c.used, c.denied) // only gives up what was taken before
	} else {
		_ = n.setLocks(0, 0)
	}
}

// replaceFD puts the newly opened file in the place of the old one; requests in flight keep the old one to their end.
func (n *Node) replaceFD(c *change) {
	if unix.Dup3(c.fd, n.fd, unix.O_CLOEXEC) == nil {
		n.writable = c.writable
		n.opts.ReadOnly = !c.writable
		n.opts.Direct = n.node.NextMode().Direct
		n.align = 1
		if n.opts.Direct {
			n.align = n.probeAlign()
		}
		n.held, n.denied = 0, 0
		if n.locks() {
			n.held, n.denied = c.used, c.denied
		}
	}
	unix.Close(c.fd)
}

// AbortPerm implements block.PermChecker.
func (n *Node) AbortPerm() {
	c := n.pending
	n.pending = nil
	if c == nil {
		return
	}
	c.abandon()
	n.lockMu.Lock()
	defer n.lockMu.Unlock()
	if n.locks() {
		_ = n.setLocks(n.used, n.refused)
	}
}
