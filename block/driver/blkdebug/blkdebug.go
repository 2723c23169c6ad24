// Package blkdebug is the filter driver blkdebug: it makes requests fail, change the limits of the node below or stop at named points, as
// tests need it.
package blkdebug

import (
	"context"
	"math"
	"strings"

	"golang.org/x/sys/unix"

	"goemu/block"
)

const prefix = "blkdebug:"

// Drivers is the filter of this package.
var Drivers = []*block.Driver{{
	Name: "blkdebug", Filter: true, Protocol: true, Schemes: []string{"blkdebug"},
	ParseFilename: parseFilename,
	Options: []block.Option{
		{Name: "config", Help: "Path to the configuration file", Fixed: true},
		{Name: "x-image", Help: "[internal use only, will be removed]"},
		{Name: "align", Type: block.OptSize, Help: "Required alignment in bytes", Fixed: true},
		{Name: "max-transfer", Type: block.OptSize, Help: "Maximum transfer size in bytes", Fixed: true},
		{Name: "opt-write-zero", Type: block.OptSize, Help: "Optimum write zero alignment in bytes", Fixed: true},
		{Name: "max-write-zero", Type: block.OptSize, Help: "Maximum write zero size in bytes", Fixed: true},
		{Name: "opt-discard", Type: block.OptSize, Help: "Optimum discard alignment in bytes", Fixed: true},
		{Name: "max-discard", Type: block.OptSize, Help: "Maximum discard size in bytes", Fixed: true},
		{Name: "inject-error", Prefix: true, Help: "Errors to inject"},
		{Name: "set-state", Prefix: true, Help: "Changes of state"},
		{Name: "take-child-perms", Prefix: true, Help: "Permissions to take on the child"},
		{Name: "unshare-child-perms", Prefix: true, Help: "Permissions not to share on the child"},
	},
	Open:          open,
	StrongOptions: []string{"config", "inject-error.", "set-state."},
}}

// parseFilename splits "blkdebug:CONFIG:IMAGE".
func parseFilename(filename string, o *block.Options) error {
	rest, ok := strings.CutPrefix(filename, prefix)
	if !ok { // the name of the image came by an option, the prefix by driver=
		o.Set("x-image", filename)
		return nil
	}
	config, image, ok := strings.Cut(rest, ":")
	if !ok {
		return block.Errorf(unix.EINVAL, "blkdebug requires both config file and image path")
	}
	if config != "" {
		o.Set("config", config)
	}
	o.Set("x-image", image)
	return nil
}

// limits are the options that change what the generic layer may ask; 0 leaves the child's.
type limits struct {
	align, maxTransfer, optWriteZero, maxWriteZero, optDiscard, maxDiscard uint64
}

// Filter is the state of a node.
type Filter struct {
	node          *block.Node
	file          *block.Child
	config        string
	limits        limits
	take, unshare block.Perm
	points        points
}

func open(ctx context.Context, n *block.Node, o *block.Options) (block.Instance, error) {
	f := &Filter{node: n}
	f.config, _ = o.TakeString("config")
	rules, err := takeRules(f.config, o)
	if err != nil {
		return nil, err
	}
	if f.take, err = takePerms(o, "take-child-perms"); err != nil {
		return nil, err
	}
	if f.unshare, err = takePerms(o, "unshare-child-perms"); err != nil {
		return nil, err
	}
	f.points.init(rules)
	image, _ := o.TakeString("x-image")
	if err := f.limits.take(o); err != nil {
		return nil, err
	}
	if f.file, err = n.OpenChildFile(ctx, image, o, "image", block.RoleFiltered|block.RolePrimary, true); err != nil {
		return nil, err
	}
	f.points.event(eventNone)
	return f, nil
}

// takePerms takes a list of permissions.
func takePerms(o *block.Options, name string) (p block.Perm, err error) {
	list := o.Extract(name)
	for _, key := range list.Names() {
		word, _ := list.TakeString(key)
		one, ok := block.PermByName(word)
		if !ok {
			return 0, block.Errorf(unix.EINVAL, "Invalid parameter '%s'", word)
		}
		p |= one
	}
	return p, nil
}

// take takes the limits and checks them against each other.
func (l *limits) take(o *block.Options) (err error) {
	const most = math.MaxInt32
	for _, x := range []struct {
		name  string
		to    *uint64
		ok    func(v, align uint64) bool
		named string
	}{
		{"align", &l.align, func(v, _ uint64) bool { return v < most && v&(v-1) == 0 }, "Cannot meet constraints with align %d"},
		{"max-transfer", &l.maxTransfer, multiple, "Cannot meet constraints with max-transfer %d"},
		{"opt-write-zero", &l.optWriteZero, multiple, "Cannot meet constraints with opt-write-zero %d"},
		{"max-write-zero", &l.maxWriteZero, func(v, a uint64) bool { return multiple(v, max(l.optWriteZero, a)) },
			"Cannot meet constraints with max-write-zero %d"},
		{"opt-discard", &l.optDiscard, multiple, "Cannot meet constraints with opt-discard %d"},
		{"max-discard", &l.maxDiscard, func(v, a uint64) bool { return multiple(v, max(l.optDiscard, a)) },
			"Cannot meet constraints with max-discard %d"},
	} {
		if *x.to, err = o.TakeSize(x.name, 0); err != nil {
			return err
		}
		if *x.to != 0 && !x.ok(*x.to, max(l.align, 1)) {
			return block.Errorf(unix.EINVAL, x.named, *x.to)
		}
	}
	return nil
}

// multiple tells whether a limit is a multiple of a unit and not too large.
func multiple(v, unit uint64) bool { return v < math.MaxInt32 && v%unit == 0 }

// Close implements block.Instance. Requests that stand still go on first: nobody could resume them any more.
func (f *Filter) Close() { f.points.releaseAll() }

// RefreshLimits implements block.Limiter.
func (f *Filter) RefreshLimits(l *block.Limits) error {
	for _, x := range []struct {
		to *int64
		v  uint64
	}{
		{&l.RequestAlign, f.limits.align}, {&l.MaxTransfer, f.limits.maxTransfer}, {&l.WriteZeroesAlign, f.limits.optWriteZero},
		{&l.MaxWriteZeroes, f.limits.maxWriteZero}, {&l.DiscardAlign, f.limits.optDiscard}, {&l.MaxDiscard, f.limits.maxDiscard},
	} {
		if x.v != 0 {
			*x.to = int64(x.v)
		}
	}
	below := f.file.Node().Limits()
	l.WriteFlags = block.Unchanged | block.FUA&below.WriteFlags
	l.ZeroFlags = block.Unchanged | (block.FUA|block.MayUnmap|block.NoFallback)&below.ZeroFlags
	return nil
}

// ReadV implements block.Reader.
func (f *Filter) ReadV(ctx context.Context, off int64, iov [][]byte, fl block.Flags) error {
	if err := f.points.check(off, block.IovLen(iov), ioRead); err != nil {
		return err
	}
	return f.file.ReadV(ctx, off, iov, fl)
}

// WriteV implements block.Writer.
func (f *Filter) WriteV(ctx context.Context, off int64, iov [][]byte, fl block.Flags) error {
	if err := f.points.check(off, block.IovLen(iov), ioWrite); err != nil {
		return err
	}
	return f.file.WriteV(ctx, off, iov, fl)
}

// FlushToDisk implements block.DiskFlusher.
func (f *Filter) FlushToDisk(context.Context) error { return f.points.check(0, 0, ioFlush) }

// WriteZeroes implements block.ZeroWriter. Less than the unit is declined, as the drivers do that this one stands for.
func (f *Filter) WriteZeroes(ctx context.Context, off, n int64, fl block.Flags) error {
	l := f.node.Limits()
	if n < max(l.RequestAlign, l.WriteZeroesAlign) {
		return unix.ENOTSUP
	}
	if err := f.points.check(off, n, ioWriteZeroes); err != nil {
		return err
	}
	return f.file.WriteZeroes(ctx, off, n, fl)
}

// Discard implements block.Discarder.
func (f *Filter) Discard(ctx context.Context, off, n int64) error {
	if n < f.node.Limits().RequestAlign {
		return unix.ENOTSUP
	}
	if err := f.points.check(off, n, ioDiscard); err != nil {
		return err
	}
	return f.file.Discard(ctx, off, n)
}

// BlockStatus implements block.BlockStatuser.
func (f *Filter) BlockStatus(_ context.Context, _ bool, off, n int64) (block.Status, error) {
	if err := f.points.check(off, n, ioBlockStatus); err != nil {
		return block.Status{}, err
	}
	return block.Status{Flags: block.StatusRaw | block.StatusOffsetValid, N: n, Offset: off, File: f.file.Node()}, nil
}

// Length implements block.Lengther.
func (f *Filter) Length(ctx context.Context) (int64, error) { return f.file.Length(ctx) }

// Truncate implements block.Truncater.
func (f *Filter) Truncate(ctx context.Context, n int64, exact bool, p block.Prealloc, zero bool) error {
	return f.file.Truncate(ctx, n, exact, p, zero)
}

// ChildPerm implements block.ChildPermer.
func (f *Filter) ChildPerm(_ *block.Child, _ block.Role, perm, shared block.Perm) (nperm, nshared block.Perm) {
	return perm | f.take, shared &^ f.unshare
}

// ExactFilename implements block.FileNamer: the short form exists only if nothing but the file and the image was given.
func (f *Filter) ExactFilename() (string, bool) {
	for _, name := range f.node.FullOptions().Names() {
		switch head, _, _ := strings.Cut(name, "."); head {
		case "driver", "config", "image", "x-image":
		default:
			return "", false
		}
	}
	image := f.file.Node().ExactFilename()
	return prefix + f.config + ":" + image, image != ""
}

// ReopenPrepare implements block.Reopener.
func (f *Filter) ReopenPrepare(context.Context, *block.Options, block.Mode) error { return nil }

// ReopenCommit implements block.Reopener.
func (f *Filter) ReopenCommit() {}

// ReopenAbort implements block.Reopener.
func (f *Filter) ReopenAbort() {}

// DebugEvent implements block.DebugEventer.
func (f *Filter) DebugEvent(name string) { f.points.event(name) }

// Breakpoint implements block.Breakpointer.
func (f *Filter) Breakpoint(event, tag string) error { return f.points.breakpoint(event, tag) }

// RemoveBreakpoint implements block.Breakpointer.
func (f *Filter) RemoveBreakpoint(tag string) error { return f.points.remove(tag) }

// ResumeRequest implements block.Breakpointer.
func (f *Filter) ResumeRequest(tag string) error { return f.points.resume(tag) }

// Suspended implements block.Breakpointer.
func (f *Filter) Suspended(tag string) bool { return f.points.suspended(tag) }
