package copybeforewrite

import (
	"context"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// accessDriver shows what the disk below a copy-before-write filter contained when that was put in place, to backups and exports.
var accessDriver = &block.Driver{Name: "snapshot-access", Open: openAccess}

// access is the state of a node of that driver.
type access struct{ file *block.Child }

func openAccess(ctx context.Context, n *block.Node, o *block.Options) (block.Instance, error) {
	file, err := n.OpenChild(ctx, o, "file", block.RoleData|block.RolePrimary, true)
	if err != nil {
		return nil, err
	}
	return &access{file}, nil
}

// Close implements block.Instance.
func (*access) Close() {}

// snapshotter is the node below, if it can tell.
func (a *access) snapshotter() (Snapshotter, error) {
	if s, ok := a.file.Node().State().(Snapshotter); ok {
		return s, nil
	}
	return nil, unix.ENOTSUP
}

// ChildPerm implements block.ChildPermer: the node below does its requests itself.
func (*access) ChildPerm(*block.Child, block.Role, block.Perm, block.Perm) (nperm, nshared block.Perm) {
	return 0, block.PermAll
}

// ReadV implements block.Reader.
func (a *access) ReadV(ctx context.Context, off int64, iov [][]byte, fl block.Flags) error {
	s, err := a.snapshotter()
	switch {
	case err != nil:
		return err
	case fl != 0:
		return unix.ENOTSUP
	}
	return s.ReadSnapshot(ctx, off, iov)
}

// WriteV implements block.Writer: the past cannot be changed.
func (*access) WriteV(context.Context, int64, [][]byte, block.Flags) error { return unix.ENOTSUP }

// Discard implements block.Discarder: the range is no longer of interest.
func (a *access) Discard(ctx context.Context, off, n int64) error {
	s, err := a.snapshotter()
	if err != nil {
		return err
	}
	return s.DiscardSnapshot(ctx, off, n)
}

// BlockStatus implements block.BlockStatuser.
func (a *access) BlockStatus(ctx context.Context, wantZero bool, off, n int64) (block.Status, error) {
	s, err := a.snapshotter()
	if err != nil {
		return block.Status{}, err
	}
	return s.SnapshotStatus(ctx, wantZero, off, n)
}

// ExactFilename implements block.FileNamer.
func (a *access) ExactFilename() (string, bool) { return a.file.Node().Filename(), true }
