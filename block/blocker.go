package block

import (
	"slices"

	"golang.org/x/sys/unix"
)

// Op is an operation that can be blocked on a node while something else goes on there.
type Op uint8

// The operations.
const (
	OpBackupSource Op = iota
	OpBackupTarget
	OpChange
	OpCommitSource
	OpCommitTarget
	OpDataplane
	OpDriveDel
	OpEject
	OpExternalSnapshot
	OpInternalSnapshot
	OpInternalSnapshotDelete
	OpMirrorSource
	OpMirrorTarget
	OpResize
	OpStream
	OpReplace

	opCount
)

// Blocker is a reason for which operations are blocked: the text follows "Node 'x' is busy: ".
type Blocker struct{ Reason string }

// Block blocks an operation.
// Preconditions: the graph lock is held.
func (n *Node) Block(op Op, b *Blocker) { n.blockers[op] = append(n.blockers[op], b) }

// Unblock takes a blocker back.
// Preconditions: the graph lock is held.
func (n *Node) Unblock(op Op, b *Blocker) {
	n.blockers[op] = slices.DeleteFunc(n.blockers[op], func(x *Blocker) bool { return x == b })
}

// BlockAll blocks all operations except some.
// Preconditions: the graph lock is held.
func (n *Node) BlockAll(b *Blocker, except ...Op) {
	for op := range opCount {
		if !slices.Contains(except, op) {
			n.Block(op, b)
		}
	}
}

// UnblockAll takes a blocker back from all operations.
// Preconditions: the graph lock is held.
func (n *Node) UnblockAll(b *Blocker) {
	for op := range opCount {
		n.Unblock(op, b)
	}
}

// Blocked is the error for an operation that is blocked, or nil.
// Preconditions: the graph lock is held.
func (n *Node) Blocked(op Op) error {
	if len(n.blockers[op]) == 0 {
		return nil
	}
	last := n.blockers[op][len(n.blockers[op])-1]
	return Errorf(unix.EBUSY, "Node '%s' is busy: %s", n.DeviceOrNodeName(), last.Reason)
}

// DeviceOrNodeName is the name of the backend on the node if that has one, otherwise the node-name.
func (n *Node) DeviceOrNodeName() string {
	if name := n.DeviceName(); name != "" {
		return name
	}
	return n.name
}

// DeviceName is the name of a backend above the node, or empty.
func (n *Node) DeviceName() string {
	n.mu.Lock()
	parents := n.parents
	n.mu.Unlock()
	for i := len(parents) - 1; i >= 0; i-- {
		switch p := parents[i].parent.(type) {
		case *Backend:
			if p.name != "" {
				return p.name
			}
		case *Node:
			if p.implicit && parents[i].role&RoleFiltered != 0 {
				if name := p.DeviceName(); name != "" {
					return name
				}
			}
		}
	}
	return ""
}

// blockBacking keeps most operations away from a node that is now n's backing file.
func (n *Node) blockBacking(backing *Node) {
	n.backingBlocker = &Blocker{Reason: "node is used as backing hd of '" + n.DeviceOrNodeName() + "'"}
	backing.BlockAll(n.backingBlocker, OpCommitTarget, OpStream, OpBackupSource, OpBackupTarget)
}

func (n *Node) unblockBacking(backing *Node) {
	if n.backingBlocker != nil {
		backing.UnblockAll(n.backingBlocker)
		n.backingBlocker = nil
	}
}
