// Package copybeforewrite is the filter driver copy-before-write: it keeps what a disk contained at the moment when it was put in place, by
// copying clusters to a target before a guest changes them.
package copybeforewrite

import (
	"context"
	"time"

	"golang.org/x/sys/unix"

	"goemu/block"
	"goemu/block/bitmap"
	"goemu/block/blockcopy"
)

// Drivers are the filter of this package and the driver that shows what it keeps.
var Drivers = []*block.Driver{driver, accessDriver}

var driver = &block.Driver{
	Name: "copy-before-write", Filter: true, Open: open,
	Options: []block.Option{
		{Name: "target", Prefix: true, Help: "node that gets the old content"},
		{Name: "bitmap", Prefix: true, Help: "bitmap of what is to be kept; without it everything is"},
		{Name: "on-cbw-error", Help: "what fails when a copy fails: break-guest-write or break-snapshot"},
		{Name: "cbw-timeout", Type: block.OptNumber, Help: "seconds after which a copy has failed; 0 for never"},
	},
}

// Filter is the state of a node.
type Filter struct {
	node          *block.Node
	target        *block.Child
	copier        *blockcopy.Copier
	breakSnapshot bool
	timeout       time.Duration
	snap          snapshot
	hide          []func() // the maps are no longer to be listed
}

func open(ctx context.Context, n *block.Node, o *block.Options) (block.Instance, error) {
	f := &Filter{node: n}
	if err := f.takeOptions(o); err != nil {
		return nil, err
	}
	marks, err := takeBitmap(n.Graph(), o)
	if err != nil {
		return nil, err
	}
	file, err := n.OpenChild(ctx, o, "file", block.RoleFiltered|block.RolePrimary, true)
	if err != nil {
		return nil, err
	}
	if f.target, err = n.OpenChild(ctx, o, "target", block.RoleData, true); err != nil {
		return nil, err
	}
	return f, f.init(ctx, file, marks)
}

func (f *Filter) takeOptions(o *block.Options) error {
	if v, ok := o.TakeString("on-cbw-error"); ok {
		switch v {
		case "break-guest-write":
		case "break-snapshot":
			f.breakSnapshot = true
		default:
			return block.Errorf(unix.EINVAL, "Invalid parameter '%s'", v)
		}
	}
	seconds, err := o.TakeUint("cbw-timeout", 0)
	f.timeout = time.Duration(min(seconds, 1<<31)) * time.Second
	return err
}

// takeBitmap finds the bitmap of what is to be kept; nil if everything is.
func takeBitmap(g *block.Graph, o *block.Options) (*bitmap.Bitmap, error) {
	sub := o.Extract("bitmap")
	node, hasNode := sub.TakeString("node")
	name, hasName := sub.TakeString("name")
	switch {
	case !hasNode && !hasName:
		return nil, nil
	case !hasNode:
		return nil, block.Errorf(unix.EINVAL, "Parameter 'bitmap.node' is missing")
	case !hasName:
		return nil, block.Errorf(unix.EINVAL, "Parameter 'bitmap.name' is missing")
	}
	n, err := g.Lookup("", node)
	if err != nil {
		return nil, err
	}
	b := n.FindBitmap(name)
	if b == nil {
		return nil, block.Errorf(unix.EINVAL, "Dirty bitmap '%s' not found", name)
	}
	return b, block.CheckBitmap(b, block.BitmapNotBusy|block.BitmapConsistent)
}

// init makes the copier.
func (f *Filter) init(ctx context.Context, source *block.Child, marks *bitmap.Bitmap) error {
	length, err := source.Length(ctx)
	if err != nil {
		return err
	}
	f.copier = blockcopy.New(source, f.target, length, blockcopy.ClusterFor(f.target.Node()))
	f.copier.Do(func(m *bitmap.Map) {
		if marks == nil {
			m.Set(0, length)
		} else {
			m.Merge(marks.Snapshot())
		}
		f.snap.init(m.Clone())
	})
	show := func(n *block.Node, do func(func(*bitmap.Map))) {
		id := bitmap.NewID()
		f.hide = append(f.hide, n.ShowBitmap(func() (i bitmap.Info) {
			do(func(m *bitmap.Map) { i = bitmap.Info{ID: id, Count: m.Count(), Granularity: m.Granularity()} })
			return i
		}))
	}
	show(source.Node(), f.copier.Do)
	show(f.node, func(g func(*bitmap.Map)) { f.snap.do(func() { g(f.snap.done) }) })
	show(f.node, func(g func(*bitmap.Map)) { f.snap.do(func() { g(f.snap.access) }) })
	return nil
}

// Insert puts a filter on top of source that keeps its content in target, and returns its node and state. The caller owns one reference.
// Preconditions: the graph lock is held.
func Insert(ctx context.Context, g *block.Graph, name string, source, target *block.Node) (*block.Node, *Filter, error) {
	f := &Filter{}
	n, err := g.InsertFilter(ctx, driver, name, func(n *block.Node) (block.Instance, error) {
		f.node = n
		var err error
		f.target, err = n.OpenChild(ctx, block.OptionsOf("target", target.Name()), "target", block.RoleData, true)
		return f, err
	}, source)
	if err != nil {
		return nil, nil, err
	}
	if err := f.init(ctx, n.Filtered(), nil); err != nil {
		_ = g.DropFilter(n)
		g.Unref(n)
		return nil, nil, err
	}
	return n, f, nil
}

// Copier copies to the target.
func (f *Filter) Copier() *blockcopy.Copier { return f.copier }

// Close implements block.Instance.
func (f *Filter) Close() {
	for _, hide := range f.hide {
		hide()
	}
}

// ChildPerm implements block.ChildPermer. The source must not change behind the filter's back; the target may be a guest's disk at the same
// time, as long as its length stays.
func (f *Filter) ChildPerm(c *block.Child, role block.Role, perm, shared block.Perm) (nperm, nshared block.Perm) {
	if role&block.RoleFiltered == 0 {
		return block.PermWrite, block.PermAll &^ block.PermResize
	}
	if len(f.node.Parents()) > 0 {
		perm |= block.PermConsistentRead
		shared &^= block.PermWrite | block.PermResize
	}
	return perm, shared
}

// RefreshLimits implements block.Limiter.
func (f *Filter) RefreshLimits(l *block.Limits) error {
	below := f.node.Filtered().Node().Limits()
	l.RequestAlign = below.RequestAlign
	l.WriteFlags = block.Unchanged | block.FUA&below.WriteFlags
	l.ZeroFlags = block.Unchanged | (block.FUA|block.MayUnmap|block.NoFallback)&below.ZeroFlags
	return nil
}

// keep copies what is about to change.
func (f *Filter) keep(ctx context.Context, off, n int64, fl block.Flags) error {
	if fl&block.Unchanged != 0 || f.snap.lost() {
		return nil
	}
	if f.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, f.timeout, unix.ETIMEDOUT)
		defer cancel()
	}
	_, err := f.copier.CopyMarked(ctx, off, n)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	first, end := f.copier.Clusters(off, n)
	switch {
	case err == nil:
		f.snap.kept(first, end)
	case f.breakSnapshot:
		f.copier.Do(func(m *bitmap.Map) { m.Clear() }) // nothing needs to be kept any more
		f.snap.lose(err, first, end)
	default:
		return err
	}
	return nil
}

// WriteV implements block.Writer.
func (f *Filter) WriteV(ctx context.Context, off int64, iov [][]byte, fl block.Flags) error {
	if err := f.keep(ctx, off, block.IovLen(iov), fl); err != nil {
		return err
	}
	return f.node.Filtered().WriteV(ctx, off, iov, fl)
}

// WriteZeroes implements block.ZeroWriter.
func (f *Filter) WriteZeroes(ctx context.Context, off, n int64, fl block.Flags) error {
	if err := f.keep(ctx, off, n, fl); err != nil {
		return err
	}
	return f.node.Filtered().WriteZeroes(ctx, off, n, fl)
}

// Discard implements block.Discarder.
func (f *Filter) Discard(ctx context.Context, off, n int64) error {
	if err := f.keep(ctx, off, n, 0); err != nil {
		return err
	}
	return f.node.Filtered().Discard(ctx, off, n)
}
