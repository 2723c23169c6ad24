package filter

import (
	"context"

	"golang.org/x/sys/unix"

	"goemu/block"
)

var throttleDriver = &block.Driver{
	Name: "throttle", Filter: true, Open: openThrottle,
	Options:       []block.Option{{Name: "throttle-group", Help: "Name of the throttle group"}},
	StrongOptions: []string{"throttle-group"},
}

// throttle holds requests to the limits of a group, which is an object of type throttle-group.
type throttle struct {
	file   *block.Child
	member *block.ThrottleMember
	graph  *block.Graph
	next   *block.ThrottleGroup // while a reopen is prepared
}

func openThrottle(ctx context.Context, n *block.Node, o *block.Options) (block.Instance, error) {
	g, err := takeGroup(n.Graph(), o)
	if err != nil {
		return nil, err
	}
	file, err := n.OpenChild(ctx, o, "file", block.RoleFiltered|block.RolePrimary, true)
	if err != nil {
		return nil, err
	}
	return &throttle{file: file, member: g.Join(), graph: n.Graph()}, nil
}

// takeGroup finds the group that the options name.
func takeGroup(g *block.Graph, o *block.Options) (*block.ThrottleGroup, error) {
	name, ok := o.TakeString("throttle-group")
	if !ok {
		return nil, block.Errorf(unix.EINVAL, "Please specify a throttle group")
	}
	if g.Object != nil {
		if group, ok := g.Object(name).(*block.ThrottleGroup); ok {
			return group, nil
		}
	}
	return nil, block.Errorf(unix.EINVAL, "Throttle group '%s' does not exist", name)
}

// Close implements block.Instance.
func (f *throttle) Close() { f.member.Leave() }

// DrainBegin implements block.Drainer: what waits goes on at once.
func (f *throttle) DrainBegin() { f.member.DrainBegin() }

// DrainEnd implements block.Drainer.
func (f *throttle) DrainEnd() { f.member.DrainEnd() }

// RefreshLimits implements block.Limiter.
func (f *throttle) RefreshLimits(l *block.Limits) error {
	below := f.file.Node().Limits()
	passing(l, &below)
	return nil
}

// ReadV implements block.Reader.
func (f *throttle) ReadV(ctx context.Context, off int64, iov [][]byte, fl block.Flags) error {
	if err := f.member.Wait(ctx, block.IovLen(iov), false); err != nil {
		return err
	}
	return f.file.ReadV(ctx, off, iov, fl)
}

// WriteV implements block.Writer.
func (f *throttle) WriteV(ctx context.Context, off int64, iov [][]byte, fl block.Flags) error {
	if err := f.member.Wait(ctx, block.IovLen(iov), true); err != nil {
		return err
	}
	return f.file.WriteV(ctx, off, iov, fl)
}

// WriteZeroes implements block.ZeroWriter.
func (f *throttle) WriteZeroes(ctx context.Context, off, n int64, fl block.Flags) error {
	if err := f.member.Wait(ctx, n, true); err != nil {
		return err
	}
	return f.file.WriteZeroes(ctx, off, n, fl)
}

// Discard implements block.Discarder.
func (f *throttle) Discard(ctx context.Context, off, n int64) error {
	if err := f.member.Wait(ctx, n, true); err != nil {
		return err
	}
	return f.file.Discard(ctx, off, n)
}

// ReopenPrepare implements block.Reopener.
func (f *throttle) ReopenPrepare(_ context.Context, o *block.Options, _ block.Mode) (err error) {
	f.next, err = takeGroup(f.graph, o)
	return err
}

// ReopenCommit implements block.Reopener.
func (f *throttle) ReopenCommit() {
	f.member, f.next = f.member.MoveTo(f.next), nil
}

// ReopenAbort implements block.Reopener.
func (f *throttle) ReopenAbort() { f.next = nil }
