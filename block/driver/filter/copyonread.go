package filter

import (
	"context"

	"golang.org/x/sys/unix"

	"goemu/block"
)

var copyOnReadDriver = &block.Driver{
	Name: "copy-on-read", Filter: true, Open: openCopyOnRead,
	Options: []block.Option{{Name: "bottom", Help: "lowest node whose content is copied"}},
}

// copyOnRead stores in the image below what a read took from its backing chain, down to bottom.
type copyOnRead struct {
	file   *block.Child
	bottom *block.Node
}

func openCopyOnRead(ctx context.Context, n *block.Node, o *block.Options) (block.Instance, error) {
	name, hasBottom := o.TakeString("bottom")
	file, err := n.OpenChild(ctx, o, "file", block.RoleFiltered|block.RolePrimary, true)
	if err != nil {
		return nil, err
	}
	f := &copyOnRead{file: file}
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
func (*copyOnRead) Close() {}

// ChildPerm implements block.ChildPermer: a read writes what does not change.
func (f *copyOnRead) ChildPerm(_ *block.Child, _ block.Role, perm, shared block.Perm) (nperm, nshared block.Perm) {
	const passed = block.PermConsistentRead | block.PermWrite | block.PermResize
	return perm&passed | block.PermWriteUnchanged, shared&passed | block.PermWriteUnchanged
}

// RefreshLimits implements block.Limiter.
func (f *copyOnRead) RefreshLimits(l *block.Limits) error {
	below := f.file.Node().Limits()
	passing(l, &below)
	return nil
}

// ReadV implements block.Reader.
func (f *copyOnRead) ReadV(ctx context.Context, off int64, iov [][]byte, fl block.Flags) error {
	if f.bottom == nil {
		return f.file.ReadV(ctx, off, iov, fl|block.CopyOnRead)
	}
	var part [][]byte
	for done, total := int64(0), block.IovLen(iov); done < total; {
		depth, n, err := f.file.Node().AllocatedAbove(ctx, f.bottom, true, off+done, total-done)
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
		if err := f.file.ReadV(ctx, off+done, part, fl|extra); err != nil {
			return err
		}
		done += n
	}
	return nil
}
