package filter

import (
	"context"

	"golang.org/x/sys/unix"

	"goemu/block"
)

func copyOnReadDriver() *block.Driver {
	return &block.Driver{
		Name: "copy-on-read", Filter: true, Open: openCopyOnRead,
		Options: []block.Option{{Name: "bottom", Help: "lowest node whose content is copied"}},
	}
}

// copyOnRead stores in the image below what a read took from its backing chain, down to bottom.
type copyOnRead struct {
	node   *block.Node
	bottom *block.Node
}

// InsertCopyOnRead puts a filter above a node that stores there what reads take from the chain down to bottom. The chain stays as it is
// until DropCopyOnRead. The caller owns one reference.
// Preconditions: the graph lock is held.
func InsertCopyOnRead(ctx context.Context, g *block.Graph, name string, below, bottom *block.Node) (*block.Node, error) {
	if err := below.Frozen(bottom); err != nil {
		return nil, err
	}
	n, err := g.InsertFilter(ctx, copyOnReadDriver(), name, func(n *block.Node) (block.Instance, error) { return &copyOnRead{node: n}, nil }, below)
	if err != nil {
		return nil, err
	}
	n.State().(*copyOnRead).bottom = bottom
	return n, n.Freeze(bottom)
}

// DropCopyOnRead undoes InsertCopyOnRead, reference included.
// Preconditions: the graph lock is held.
func DropCopyOnRead(g *block.Graph, n *block.Node) error {
	f := n.State().(*copyOnRead)
	n.Unfreeze(f.bottom)
	f.bottom = nil
	err := g.DropFilter(n)
	g.Unref(n)
	return err
}

func openCopyOnRead(ctx context.Context, n *block.Node, o *block.Options) (block.Instance, error) {
	name, hasBottom := o.TakeString("bottom")
	if _, err := n.OpenChild(ctx, o, "file", block.RoleFiltered|block.RolePrimary, true); err != nil {
		return nil, err
	}
	f := &copyOnRead{node: n}
	if !hasBottom {
		return f, nil
	}
	if f.bottom = n.Graph().Find(name); f.bottom == nil {
		return nil, block.Errorf(unix.EINVAL, "Bottom node '%s' not found", name)
	}
	if f.bottom.Driver().Filter {
		return nil, block.Errorf(unix.EINVAL, "Bottom node '%s' is a filter", name)
	}
	if err := n.Freeze(f.bottom); err != nil {
		return nil, err
	}
	return f, nil
}

// Close implements block.Instance.
func (f *copyOnRead) Close() {
	if f.bottom != nil {
		f.node.Unfreeze(f.bottom)
	}
}

// ChildPerm implements block.ChildPermer: a read writes what does not change, unless the node is inactive.
func (f *copyOnRead) ChildPerm(_ *block.Child, _ block.Role, perm, shared block.Perm) (nperm, nshared block.Perm) {
	const passed = block.PermConsistentRead | block.PermWrite | block.PermResize
	perm &= passed
	if !f.node.Inactive() {
		perm |= block.PermWriteUnchanged
	}
	return perm, shared&passed | block.PermWriteUnchanged
}

// RefreshLimits implements block.Limiter.
func (f *copyOnRead) RefreshLimits(l *block.Limits) error {
	below := f.node.Filtered().Node().Limits()
	passing(l, &below)
	return nil
}

// ReadV implements block.Reader.
func (f *copyOnRead) ReadV(ctx context.Context, off int64, iov [][]byte, fl block.Flags) error {
	if f.bottom == nil {
		return f.node.Filtered().ReadV(ctx, off, iov, fl|block.CopyOnRead)
	}
	var part [][]byte
	for done, total := int64(0), block.IovLen(iov); done < total; {
		depth, n, err := f.node.Filtered().Node().AllocatedAbove(ctx, f.bottom, true, off+done, total-done)
		if err != nil {
			return err
		}
		if n == 0 {
			n = total - done
		}
		extra := block.Flags(0)
		if depth > 1 {
			extra = block.CopyOnRead
		}
		part = block.IovSlice(part, iov, done, n)
		if err := f.node.Filtered().ReadV(ctx, off+done, part, fl|extra); err != nil {
			return err
		}
		done += n
	}
	return nil
}
