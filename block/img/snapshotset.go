package img

import (
	"context"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// SnapshotSet are the disks that a snapshot of a whole machine is about. Its methods want the graph lock to be held.
type SnapshotSet struct {
	nodes []*block.Node
	named bool // the user named them: those that are read-only or inside others count too
}

// AllDisks is the set of the disks of a machine: top are the roots of its backends and the user's own nodes.
func AllDisks(top []*block.Node) *SnapshotSet { return &SnapshotSet{nodes: top} }

// NamedDisks is the set of some nodes.
func NamedDisks(g *block.Graph, names []string) (*SnapshotSet, error) {
	if len(names) == 0 {
		return nil, block.Errorf(unix.EINVAL, "At least one device is required for snapshot")
	}
	s := &SnapshotSet{named: true}
	for _, name := range names {
		n := g.Find(name)
		if n == nil {
			return nil, block.Errorf(unix.ENOENT, "No block device node '%s'", name)
		}
		s.nodes = append(s.nodes, n)
	}
	return s, nil
}

// includes tells whether a node takes part.
func (s *SnapshotSet) includes(n *block.Node) bool {
	return s.named || !n.ReadOnly() && (n.HasBackend() || len(n.Parents()) == 0)
}

// CanSnapshot tells whether a node can keep snapshots now.
func CanSnapshot(n *block.Node) bool {
	for ; n != nil && !n.ReadOnly() && !n.Inactive(); n = fallback(n) {
		if _, ok := n.State().(block.Snapshotter); ok {
			return true
		}
	}
	return false
}

// Snapshotter finds the format that keeps a node's snapshots: the node's own or that of the node below.
func Snapshotter(n *block.Node) (block.Snapshotter, error) {
	for ; n != nil; n = fallback(n) {
		if s, ok := n.State().(block.Snapshotter); ok {
			return s, nil
		}
	}
	return nil, unix.ENOTSUP
}

// fallback is the node that keeps the snapshots of one that cannot: its primary child, if no other child has a part of the content.
func fallback(n *block.Node) *block.Node {
	p := n.Primary()
	if p == nil {
		return nil
	}
	for _, c := range n.Children() {
		if c != p && c.Role()&(block.RoleData|block.RoleMetadata|block.RoleFiltered) != 0 {
			return nil
		}
	}
	return p.Node()
}

// Check tells whether all disks of the set can keep snapshots.
func (s *SnapshotSet) Check() error {
	for _, n := range s.nodes {
		if s.includes(n) && !CanSnapshot(n) {
			return block.Errorf(unix.ENOTSUP, "Device '%s' is writable but does not support snapshots", n.DeviceOrNodeName())
		}
	}
	return nil
}

// FindSnapshot finds a node's snapshot by its name.
func FindSnapshot(n *block.Node, name string) (block.Snapshot, error) {
	sn, err := Snapshotter(n)
	if err != nil {
		return block.Snapshot{}, err
	}
	list, err := sn.Snapshots()
	if err != nil {
		return block.Snapshot{}, err
	}
	for _, x := range list {
		if x.Name == name {
			return x, nil
		}
	}
	return block.Snapshot{}, unix.ENOENT
}

// Has tells whether all disks of the set have a snapshot.
func (s *SnapshotSet) Has(name string) (bool, error) {
	for _, n := range s.nodes {
		if !s.includes(n) {
			continue
		}
		if _, err := FindSnapshot(n, name); err == unix.ENOENT {
			return false, nil
		} else if err != nil {
			return false, block.Errnof(block.Errno(err), "Could not check snapshot '%s' on '%s'", name, n.DeviceOrNodeName())
		}
	}
	return true, nil
}

// Delete removes a snapshot from all disks that have it.
func (s *SnapshotSet) Delete(ctx context.Context, name string) error {
	for _, n := range s.nodes {
		if !s.includes(n) {
			continue
		}
		x, err := FindSnapshot(n, name)
		if err != nil {
			continue
		}
		sn, err := Snapshotter(n)
		if err == nil {
			n.DrainBegin()
			err = sn.SnapshotDelete(ctx, x.ID, x.Name)
			n.DrainEnd()
		}
		if err != nil {
			return block.Errorf(block.Errno(err), "Could not delete snapshot '%s' on '%s': %s", name, n.DeviceOrNodeName(), err)
		}
	}
	return nil
}

// Goto makes all disks what they were when a snapshot was taken.
func (s *SnapshotSet) Goto(ctx context.Context, name string) error {
	for _, n := range s.nodes {
		if !s.includes(n) {
			continue
		}
		if err := gotoSnapshot(ctx, n, name); err != nil {
			return block.Errorf(block.Errno(err), "Could not load snapshot '%s' on '%s': %s", name, n.DeviceOrNodeName(), err)
		}
	}
	return nil
}

// Revertible is the driver of a node's snapshots if the node can be made what it was before: its bitmaps would not fit that.
func Revertible(n *block.Node) (block.Snapshotter, error) {
	if len(n.Bitmaps()) > 0 {
		return nil, block.Errorf(unix.EBUSY, "Device has active dirty bitmaps")
	}
	s, err := Snapshotter(n)
	if err != nil {
		return nil, block.Errorf(unix.ENOTSUP, "Block driver does not support internal snapshots")
	}
	return s, nil
}

func gotoSnapshot(ctx context.Context, n *block.Node, name string) error {
	sn, err := Revertible(n)
	if err != nil {
		return err
	}
	if err := sn.SnapshotGoto(ctx, name); err != nil {
		return block.Errnof(block.Errno(err), "Failed to load snapshot")
	}
	return nil
}

// Create takes a snapshot of all disks; only that of state has the size of a machine's state.
func (s *SnapshotSet) Create(ctx context.Context, x block.Snapshot, state *block.Node) error {
	for _, n := range s.nodes {
		if n != state && !s.includes(n) {
			continue
		}
		one := x
		if n != state {
			one.VMStateSize = 0
		}
		sn, err := Snapshotter(n)
		if err == nil {
			err = sn.SnapshotCreate(ctx, &one)
		}
		if err != nil {
			return block.Errorf(block.Errno(err), "Could not create snapshot '%s' on '%s'", x.Name, n.DeviceOrNodeName())
		}
	}
	return nil
}

// StateNode finds the disk that keeps the machine's state: the one of the name or, without a name, the first that can.
func (s *SnapshotSet) StateNode(name string) (*block.Node, error) {
	for _, n := range s.nodes {
		can := s.includes(n) && CanSnapshot(n)
		switch {
		case name == "" && can:
			return n, nil
		case name == "" || n.Name() != name:
		case can:
			return n, nil
		default:
			return nil, block.Errorf(unix.ENOTSUP, "vmstate block device '%s' does not support snapshots", name)
		}
	}
	if name != "" {
		return nil, block.Errorf(unix.ENOENT, "vmstate block device '%s' does not exist", name)
	}
	return nil, block.Errorf(unix.ENOTSUP, "no block device can store vmstate for snapshot")
}
