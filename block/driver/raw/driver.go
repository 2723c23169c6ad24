package raw

import (
	"context"
	"math"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// guardSize is the part of a probed image in which a guest must not create another format's signature.
const guardSize = 512

// Drivers is the format of this package.
var Drivers = []*block.Driver{{
	Name: "raw",
	Options: []block.Option{
		{Name: "offset", Type: block.OptSize, Help: "offset in the disk where the image starts"},
		{Name: "size", Type: block.OptSize, Help: "virtual disk size"},
	},
	Probe:         func([]byte, string) int { return 1 },
	Open:          open,
	Create:        create,
	Measure:       measure,
	CreateOptions: []block.Option{{Name: "size", Type: block.OptSize, Help: "Virtual disk size"}},
	StrongOptions: []string{"offset", "size"},
}}

// Format is the state of a raw node.
type Format struct {
	node    *block.Node
	file    *block.Child
	offset  int64
	hasSize bool
	size    atomic.Int64 // with hasSize: the given one
	next    *window      // while a reopen is prepared
}

// window is the part of the file that the options select.
type window struct {
	offset, size int64
	hasSize      bool
}

// probedWarning is what the user hears when nobody said that a writable image is raw.
const probedWarning = "WARNING: Image format was not specified for '%s' and probing guessed raw.\n" +
	"         Automatically detecting the format is dangerous for raw images, write operations on block 0 will be restricted.\n" +
	"         Specify the 'raw' format explicitly to remove the restrictions."

func open(ctx context.Context, n *block.Node, o *block.Options) (block.Instance, error) {
	offset, size, hasSize, err := takeWindow(o)
	if err != nil {
		return nil, err
	}
	role := block.RoleFiltered | block.RolePrimary
	if offset != 0 || hasSize {
		role = block.RoleData | block.RolePrimary
	}
	f := &Format{node: n}
	if f.file, err = n.OpenChild(ctx, o, "file", role, true); err != nil {
		return nil, err
	}
	if n.Probed() && !n.ReadOnly() {
		n.Graph().Messagef(probedWarning, f.file.Node().Filename())
	}
	w, err := f.check(ctx, offset, size, hasSize)
	if err != nil {
		return nil, err
	}
	f.apply(w)
	return f, nil
}

// takeWindow takes the options.
func takeWindow(o *block.Options) (offset, size uint64, hasSize bool, err error) {
	if offset, err = o.TakeSize("offset", 0); err != nil {
		return
	}
	hasSize = o.Has("size")
	size, err = o.TakeSize("size", 0)
	return
}

// check compares the options with the file.
func (f *Format) check(ctx context.Context, offset, size uint64, hasSize bool) (*window, error) {
	length, err := f.file.Length(ctx)
	if err != nil {
		return nil, block.Errnof(block.Errno(err), "Could not get image size")
	}
	real := uint64(length)
	switch {
	case offset > real:
		return nil, block.Errorf(unix.EINVAL, "Offset (%d) cannot be greater than size of the containing file (%d)", offset, real)
	case hasSize && real-offset < size:
		return nil, block.Errorf(unix.EINVAL, "The sum of offset (%d) and size (%d) has to be smaller or equal to the  actual size of the containing file (%d)",
			offset, size, real)
	case hasSize && size%sectorSize != 0:
		return nil, block.Errorf(unix.EINVAL, "Specified size is not multiple of %d", sectorSize)
	}
	return &window{int64(offset), int64(size), hasSize}, nil
}

func (f *Format) apply(w *window) {
	f.offset, f.hasSize = w.offset, w.hasSize
	f.size.Store(w.size)
}

// SCSIChild is the file if the node is nothing but that, so that SCSI commands mean the same to both.
func (f *Format) SCSIChild() *block.Child {
	if f.offset != 0 || f.hasSize {
		return nil
	}
	return f.file
}

// Close implements block.Instance.
func (f *Format) Close() {}

// place turns an offset of the disk into one of the file.
func (f *Format) place(off, n int64, outside unix.Errno) (int64, error) {
	if f.hasSize {
		if size := f.size.Load(); off > size || n > size-off {
			return 0, outside
		}
	}
	if off > math.MaxInt64-f.offset {
		return 0, unix.EINVAL
	}
	return off + f.offset, nil
}

// ReadV implements block.Reader.
func (f *Format) ReadV(ctx context.Context, off int64, iov [][]byte, fl block.Flags) error {
	pos, err := f.place(off, block.IovLen(iov), unix.EINVAL)
	if err != nil {
		return err
	}
	f.file.DebugEvent("read_aio")
	return f.file.ReadV(ctx, pos, iov, fl)
}

// TryReadV implements block.TryReader.
func (f *Format) TryReadV(off int64, iov [][]byte) bool {
	pos, err := f.place(off, block.IovLen(iov), unix.EINVAL)
	return err == nil && f.file.TryReadV(pos, iov)
}

// WriteV implements block.Writer. A guest must not make a probed image look like another format, which would be recognised when the
// image is opened again.
func (f *Format) WriteV(ctx context.Context, off int64, iov [][]byte, fl block.Flags) error {
	n := block.IovLen(iov)
	if f.node.Probed() && off < guardSize && n > 0 {
		var err error
		if iov, err = f.guarded(off, iov); err != nil {
			return err
		}
	}
	pos, err := f.place(off, n, unix.ENOSPC)
	if err != nil {
		return err
	}
	f.file.DebugEvent("write_aio")
	return f.file.WriteV(ctx, pos, iov, fl)
}

// guarded checks the first sector and returns a vector with a copy of it, which the guest cannot change any more.
func (f *Format) guarded(off int64, iov [][]byte) ([][]byte, error) {
	head := make([]byte, guardSize)
	if off != 0 || block.IovGather(head, iov) < guardSize {
		return nil, unix.EINVAL
	}
	if f.node.Graph().ProbeFormat(head, "") != f.node.Driver() {
		return nil, unix.EPERM
	}
	total := block.IovLen(iov)
	return append([][]byte{head}, block.IovSlice(nil, iov, guardSize, total-guardSize)...), nil
}

// WriteZeroes implements block.ZeroWriter.
func (f *Format) WriteZeroes(ctx context.Context, off, n int64, fl block.Flags) error {
	pos, err := f.place(off, n, unix.ENOSPC)
	if err != nil {
		return err
	}
	return f.file.WriteZeroes(ctx, pos, n, fl)
}

// Discard implements block.Discarder.
func (f *Format) Discard(ctx context.Context, off, n int64) error {
	pos, err := f.place(off, n, unix.ENOSPC)
	if err != nil {
		return err
	}
	return f.file.Discard(ctx, pos, n)
}

// BlockStatus implements block.BlockStatuser.
func (f *Format) BlockStatus(_ context.Context, _ bool, off, n int64) (block.Status, error) {
	return block.Status{Flags: block.StatusRaw | block.StatusOffsetValid, N: n, Offset: off + f.offset, File: f.file.Node()}, nil
}

// Length implements block.Lengther.
func (f *Format) Length(ctx context.Context) (int64, error) {
	length, err := f.file.Length(ctx)
	if err != nil {
		return 0, err
	}
	length = max(length-f.offset, 0)
	if f.hasSize {
		length = min(length, f.size.Load())
		f.size.Store(length)
	}
	return length, nil
}

// RefreshLimits implements block.Limiter.
func (f *Format) RefreshLimits(l *block.Limits) error {
	below := f.file.Node().Limits()
	l.RequestAlign = 1
	if f.node.Probed() {
		l.RequestAlign = guardSize
	}
	l.WriteFlags = block.Unchanged | block.FUA&below.WriteFlags
	l.ZeroFlags = block.Unchanged | (block.FUA|block.MayUnmap|block.NoFallback)&below.ZeroFlags
	l.HasVariableLength = true
	return nil
}

// Truncate implements block.Truncater.
func (f *Format) Truncate(ctx context.Context, n int64, exact bool, p block.Prealloc, zero bool) error {
	switch {
	case f.hasSize:
		return block.Errorf(unix.ENOTSUP, "Cannot resize fixed-size raw disks")
	case math.MaxInt64-n < f.offset:
		return block.Errorf(unix.EINVAL, "Disk size too large for the chosen offset")
	}
	return f.file.Truncate(ctx, n+f.offset, exact, p, zero)
}

// Info implements block.Informer.
func (f *Format) Info() block.DriverInfo {
	i, ok := f.file.Node().Info()
	i.Unknown = !ok
	return i
}

// ReopenPrepare implements block.Reopener.
func (f *Format) ReopenPrepare(ctx context.Context, o *block.Options, _ block.Mode) error {
	offset, size, hasSize, err := takeWindow(o)
	if err != nil {
		return err
	}
	f.next, err = f.check(ctx, offset, size, hasSize)
	return err
}

// ReopenCommit implements block.Reopener.
func (f *Format) ReopenCommit() { f.apply(f.next); f.next = nil }

// ReopenAbort implements block.Reopener.
func (f *Format) ReopenAbort() { f.next = nil }

// create makes the file; there is nothing to write into it.
func create(ctx context.Context, g *block.Graph, r *block.CreateRequest) error {
	return g.CreateFile(ctx, r.Filename, r.Size, r.Options)
}

// MapRange implements block.RangeMapper. What is written to the guarded part of a probed image has to be looked at.
func (f *Format) MapRange(off, n int64, write bool) (c *block.Child, childOff, k int64, err error) {
	outside := unix.EINVAL
	if write {
		if f.node.Probed() && off < guardSize {
			return nil, 0, 0, unix.ENOTSUP
		}
		outside = unix.ENOSPC
	}
	childOff, err = f.place(off, n, outside)
	return f.file, childOff, n, err
}

// HasZeroInit implements block.ZeroIniter.
func (f *Format) HasZeroInit(ctx context.Context) bool { return f.file.Node().HasZeroInit(ctx) }

// ChildPerm implements block.ChildPermer: the file is written and resized only if somebody writes and resizes the disk.
func (f *Format) ChildPerm(_ *block.Child, role block.Role, perm, shared block.Perm) (block.Perm, block.Perm) {
	const own = block.PermWrite | block.PermResize
	nperm, nshared := f.node.DefaultPerm(role, perm, shared)
	return nperm&^own | perm&own, nshared
}

// measure tells the size of a raw image: the source's, or the one asked for.
func measure(ctx context.Context, _ *block.Graph, o *block.Options, src *block.Node) (m block.MeasureInfo, err error) {
	size, err := o.TakeSize("size", 0)
	if err != nil {
		return m, err
	}
	n := int64((size + sectorSize - 1) / sectorSize * sectorSize)
	if src != nil {
		if n, err = src.Length(ctx); err != nil {
			return m, block.Errnof(block.Errno(err), "Unable to get image size")
		}
	}
	return block.MeasureInfo{Required: n, FullyAllocated: n}, nil
}
