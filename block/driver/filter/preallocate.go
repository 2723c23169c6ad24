package filter

import (
	"context"
	"sync"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// Defaults of the filter's options, in bytes.
const (
	preallocAlign = 1 << 20
	preallocSize  = 128 << 20
	sector        = 512
)

var preallocateDriver = &block.Driver{
	Name: "preallocate", Filter: true, Open: openPreallocate,
	Options: []block.Option{
		{Name: "prealloc-align", Type: block.OptSize, Help: "on preallocation, align file length to this number, default 1M"},
		{Name: "prealloc-size", Type: block.OptSize, Help: "how much to preallocate, default 128M"},
	},
}

// preallocOptions are the options in bytes.
type preallocOptions struct{ align, size int64 }

// takePrealloc takes the options of a filter above file.
func takePrealloc(o *block.Options, file *block.Node) (p preallocOptions, err error) {
	align, err := o.TakeSize("prealloc-align", preallocAlign)
	if err != nil {
		return p, err
	}
	size, err := o.TakeSize("prealloc-size", preallocSize)
	if err != nil {
		return p, err
	}
	if align%sector != 0 {
		return p, block.Errorf(unix.EINVAL, "prealloc-align parameter of preallocate filter is not aligned to %d", sector)
	}
	if below := file.Limits().RequestAlign; align%uint64(below) != 0 {
		return p, block.Errorf(unix.EINVAL, "prealloc-align parameter of preallocate filter is not aligned to underlying node request alignment (%d)", below)
	}
	return preallocOptions{int64(align), int64(size)}, nil
}

// unknown stands for a length that must be asked for.
const unknown = -1

// preallocate lets a growing file grow in large steps: a write beyond the file's end makes it longer than needed. Nobody above sees the
// surplus, and it goes away when the filter stops being the only one who writes to the file.
type preallocate struct {
	file *block.Child

	mu         sync.Mutex // held while the file's length is changed, but not during reads and writes
	o          preallocOptions
	next       preallocOptions // while a reopen is prepared
	owner      bool            // the filter alone writes to the file and changes its length
	dataEnd    int64           // length that the parents see, unknown unless owner
	fileEnd    int64           // length of the file, at least dataEnd
	zeroesFrom int64           // from here to fileEnd the file is zero
}

func openPreallocate(ctx context.Context, n *block.Node, o *block.Options) (block.Instance, error) {
	file, err := n.OpenChild(ctx, o, "file", block.RoleFiltered|block.RolePrimary, true)
	if err != nil {
		return nil, err
	}
	f := &preallocate{file: file}
	f.forget()
	f.o, err = takePrealloc(o, file.Node())
	return f, err
}

// Close implements block.Instance.
func (f *preallocate) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	_ = f.drop(context.Background()) // the surplus is harmless
}

// RefreshLimits implements block.Limiter.
func (f *preallocate) RefreshLimits(l *block.Limits) error {
	below := f.file.Node().Limits()
	passing(l, &below)
	l.HasVariableLength = true
	return nil
}

// ChildPerm implements block.ChildPermer: nobody else may change the length while the filter relies on it.
func (f *preallocate) ChildPerm(_ *block.Child, _ block.Role, perm, shared block.Perm) (nperm, nshared block.Perm) {
	if ownsLength(perm) {
		shared &^= block.PermWrite | block.PermResize
	}
	return perm, shared
}

// ownsLength tells whether somebody with the permissions writes and resizes.
func ownsLength(perm block.Perm) bool {
	const both = block.PermWrite | block.PermResize
	return perm&both == both
}

// CheckPerm implements block.PermChecker: the surplus goes while the filter may still write.
func (f *preallocate) CheckPerm(perm, _ block.Perm) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if ownsLength(perm) {
		return nil
	}
	if err := f.drop(context.Background()); err != nil {
		return block.Errorf(block.Errno(err), "Failed to drop preallocation")
	}
	return nil
}

// SetPerm implements block.PermChecker.
func (f *preallocate) SetPerm(perm, _ block.Perm) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.owner = ownsLength(perm); !f.owner {
		f.forget()
	}
}

// AbortPerm implements block.PermChecker.
func (*preallocate) AbortPerm() {}

// forget makes all lengths unknown.
// Preconditions: mu is held.
func (f *preallocate) forget() { f.dataEnd, f.fileEnd, f.zeroesFrom = unknown, unknown, unknown }

// drop gives the surplus back.
// Preconditions: mu is held.
func (f *preallocate) drop(ctx context.Context) error {
	if f.dataEnd == unknown {
		return nil
	}
	if err := f.learnFileEnd(ctx); err != nil {
		return err
	}
	if f.dataEnd >= f.fileEnd {
		return nil
	}
	if err := f.file.Truncate(ctx, f.dataEnd, true, block.PreallocOff, false); err != nil {
		f.fileEnd = unknown
		return err
	}
	f.fileEnd = f.dataEnd
	return nil
}

// learnFileEnd asks for the file's length unless it is known.
// Preconditions: mu is held.
func (f *preallocate) learnFileEnd(ctx context.Context) (err error) {
	if f.fileEnd == unknown {
		if f.fileEnd, err = f.file.Node().Length(ctx); err != nil {
			f.fileEnd = unknown
		}
	}
	return err
}

// Length implements block.Lengther.
func (f *preallocate) Length(ctx context.Context) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dataEnd != unknown {
		return f.dataEnd, nil
	}
	n, err := f.file.Node().Length(ctx)
	if err == nil && f.owner {
		f.dataEnd, f.fileEnd, f.zeroesFrom = n, n, n
	}
	return n, err
}

// makeRoom lets the file grow for a write. It tells whether the range is zero already; only if merge is set it may be taken for a part of the surplus.
func (f *preallocate) makeRoom(ctx context.Context, off, n int64, merge bool) (zero bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.owner || f.learnFileEnd(ctx) != nil {
		return false
	}
	if f.dataEnd == unknown {
		f.dataEnd = f.fileEnd
	}
	end := off + n
	if f.zeroesFrom == unknown || !merge {
		f.zeroesFrom = max(f.zeroesFrom, end)
	}
	if end <= f.dataEnd {
		return false
	}
	f.dataEnd = end
	if end <= f.fileEnd {
		return merge && off >= f.zeroesFrom
	}
	unit := f.file.Node().Limits().RequestAlign
	start := f.fileEnd
	if merge {
		start = min(off, start)
	}
	start = alignUp(start, unit)
	stop := alignUp(max(start, end)+f.o.size, max(f.o.align, unit))
	err := f.file.WriteZeroes(ctx, start, stop-start, block.NoFallback|block.Serialising|block.NoWait)
	if err != nil { // the write itself makes the file longer, as without the filter
		f.fileEnd = unknown
		return false
	}
	f.fileEnd = stop
	if merge && start <= off {
		f.zeroesFrom = min(f.zeroesFrom, start)
		return true
	}
	return false
}

func alignUp(n, unit int64) int64 { return (n + unit - 1) / unit * unit }

// WriteV implements block.Writer.
func (f *preallocate) WriteV(ctx context.Context, off int64, iov [][]byte, fl block.Flags) error {
	f.makeRoom(ctx, off, block.IovLen(iov), false)
	return f.file.WriteV(ctx, off, iov, fl)
}

// WriteZeroes implements block.ZeroWriter.
func (f *preallocate) WriteZeroes(ctx context.Context, off, n int64, fl block.Flags) error {
	if f.makeRoom(ctx, off, n, fl&^(block.ZeroWrite|block.NoFallback) == 0) {
		return nil
	}
	return f.file.WriteZeroes(ctx, off, n, fl)
}

// Truncate implements block.Truncater.
func (f *preallocate) Truncate(ctx context.Context, n int64, exact bool, p block.Prealloc, zero bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dataEnd != unknown && n > f.dataEnd {
		if err := f.learnFileEnd(ctx); err != nil {
			return block.Errorf(block.Errno(err), "failed to get file length")
		}
		switch {
		case p != block.PreallocFalloc: // the surplus would be in the way of what is asked for
			if err := f.drop(ctx); err != nil {
				return block.Errorf(block.Errno(err), "preallocate-filter: failed to drop write-zero preallocation: %v", err)
			}
		case n <= f.fileEnd: // a part of the surplus is what is asked for
			f.dataEnd = n
			return nil
		}
		f.dataEnd = n
	}
	if err := f.file.Truncate(ctx, n, exact, p, zero); err != nil {
		f.forget()
		return err
	}
	if f.owner {
		f.dataEnd, f.fileEnd, f.zeroesFrom = n, n, n
	}
	return nil
}

// ReopenPrepare implements block.Reopener.
func (f *preallocate) ReopenPrepare(_ context.Context, o *block.Options, _ block.Mode) (err error) {
	f.next, err = takePrealloc(o, f.file.Node())
	return err
}

// ReopenCommit implements block.Reopener.
func (f *preallocate) ReopenCommit() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.o = f.next
}

// ReopenAbort implements block.Reopener.
func (*preallocate) ReopenAbort() {}
