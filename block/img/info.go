package img

import (
	"context"

	"goemu/block"
)

// Info describes one image, without its backing files.
type Info struct {
	Filename    string
	Format      string
	VirtualSize int64
	ActualSize  int64 // negative if unknown
	Encrypted   bool

	ClusterSize int64 // 0 if there are no clusters
	HasDirty    bool
	Dirty       bool

	Backing       string // as in the image; empty if there is none
	FullBacking   string // where it is; empty if that cannot be told
	BackingFormat string

	Snapshots []block.Snapshot
	Specific  []block.Member // type and data
}

// QueryInfo describes a node.
// Preconditions: the graph lock is held.
func QueryInfo(ctx context.Context, n *block.Node) (*Info, error) {
	n.RefreshFilename()
	size, err := n.Length(ctx)
	if err != nil {
		return nil, block.Errnof(block.Errno(err), "Can't get image size '%s'", n.ExactFilename())
	}
	i := &Info{Filename: n.Filename(), Format: n.DriverName(), VirtualSize: size, ActualSize: -1, Encrypted: Encrypted(n)}
	if actual, err := n.AllocatedSize(ctx); err == nil {
		i.ActualSize = actual
	}
	if d, ok := n.Info(); ok {
		i.ClusterSize, i.HasDirty, i.Dirty = d.ClusterSize, true, d.Dirty
	}
	if s, ok := n.State().(block.SpecificInformer); ok {
		if i.Specific, err = s.SpecificInfo(ctx); err != nil {
			return nil, err
		}
	}
	if i.Backing, i.BackingFormat = n.BackingFile(); i.Backing != "" {
		if full, err := n.FullBackingFile(); err == nil {
			i.FullBacking = full
		}
	}
	if i.Snapshots, err = Snapshots(n); err != nil && !block.IsNotSup(err) {
		return nil, block.Errnof(block.Errno(err), "Can't list snapshots of device ''")
	}
	return i, nil
}

// Snapshots lists a node's internal snapshots; there are none if the format has no such thing.
func Snapshots(n *block.Node) ([]block.Snapshot, error) {
	s, err := Snapshotter(n)
	if err != nil {
		return nil, nil
	}
	return s.Snapshots()
}

// Encrypted tells whether a node's image is encrypted.
func Encrypted(n *block.Node) bool {
	e, ok := n.State().(block.Encrypter)
	return ok && e.Encrypted()
}
