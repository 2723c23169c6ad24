package parallels

import (
	"context"
	"math"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// Names of the options of nodes and of Create.
const (
	optPreallocMode = "prealloc-mode"
	optPreallocSize = "prealloc-size"
	optSize         = "size"
	optCluster      = "cluster_size"

	modeFalloc, modeTruncate = "falloc", "truncate"
	defaultPrealloc          = 128 << 20
)

// Drivers is the format of this package.
var Drivers = []*block.Driver{{
	Name: "parallels", Probe: probe, SupportsBacking: true, Open: open, Create: create, CreateNode: createNode,
	Options: []block.Option{
		{Name: optPreallocSize, Type: block.OptSize, Help: "Preallocation size on image expansion"},
		{Name: optPreallocMode, Help: "Preallocation mode on image expansion (allowed values: falloc, truncate)"},
	},
	CreateOptions: []block.Option{
		{Name: optSize, Type: block.OptSize, Help: "Virtual disk size"},
		{Name: optCluster, Type: block.OptSize, Help: "Parallels image cluster size", Default: "1048576"},
	},
}}

func probe(head []byte, _ string) int {
	if len(head) >= headerLen && (string(head[:len(magic)]) == magic || string(head[:len(magic)]) == magicExt) && le.Uint32(head[hdrVersion:]) == version {
		return 100
	}
	return 0
}

func open(ctx context.Context, n *block.Node, o *block.Options) (block.Instance, error) {
	file, err := n.OpenChild(ctx, o, "file", block.RoleImage|block.RolePrimary, true)
	if err != nil {
		return nil, err
	}
	im := &image{node: n, file: file}
	if err := im.load(ctx); err != nil {
		return nil, err
	}
	size, err := o.TakeSize(optPreallocSize, defaultPrealloc)
	if err != nil {
		return nil, err
	}
	im.prealloc = max(im.h.cluster/sectorSize, int64(min(size, maxSector)/sectorSize))
	switch mode, given := o.TakeString(optPreallocMode); {
	case mode == modeTruncate:
		im.truncates = true
	case given && mode != modeFalloc:
		return nil, block.Errorf(unix.EINVAL, "Invalid parameter '%s'", mode)
	}
	switch {
	case im.h.extension == 0:
	case n.Mode().ReadOnly:
		return im, im.loadExtension(ctx)
	default:
		n.Graph().Warning("Format Extension ignored in RW mode")
	}
	return im, im.markOpen(ctx)
}

// load reads the header and the table.
func (im *image) load(ctx context.Context) error {
	b, h, length, err := block.ReadHeader(ctx, im.file, headerLen, parseHeader)
	if err != nil {
		return err
	}
	m := make([]byte, max(0, min(int64(h.entries)*entryLen, length-headerLen))&^(entryLen-1)) // what is behind the end of the file is zero
	if err := im.file.Read(ctx, headerLen, m); err != nil {
		return unix.Errno(block.Errno(err))
	}
	if h.unclean && im.writable() && !im.node.Mode().Check {
		return block.Errorf(unix.EACCES, "parallels: Image was not closed correctly; cannot be opened read/write")
	}
	im.mu.Lock()
	defer im.mu.Unlock()
	im.h, im.stored, im.m, im.end = h, b, m, h.data
	im.dirtyFrom, im.dirtyTo = 0, 0
	for i := range uint32(len(m) / entryLen) {
		if at := im.sector(i); at >= im.end {
			im.end = min(at, maxSector) + h.cluster/sectorSize
		}
	}
	im.end = (im.end + h.unit - 1) / h.unit * h.unit
	return nil
}

// writable tells whether the image may be changed now.
func (im *image) writable() bool {
	m := im.node.Mode()
	return !m.ReadOnly && !m.Inactive
}

// markOpen writes that the image is in use.
func (im *image) markOpen(ctx context.Context) error {
	if !im.writable() {
		return nil
	}
	im.mu.Lock()
	defer im.mu.Unlock()
	return im.setInUse(ctx, inUse)
}

// setInUse writes the header with another mark.
// Preconditions: mu is held.
func (im *image) setInUse(ctx context.Context, v uint32) error {
	le.PutUint32(im.stored[hdrInUse:], v)
	if err := im.file.Write(ctx, 0, im.stored, 0); err != nil {
		return err
	}
	im.open = v == inUse
	return im.file.Flush(ctx)
}

// finish writes what is not written yet, cuts off what was allocated in advance and writes that the image is closed.
func (im *image) finish(ctx context.Context) error {
	im.mu.Lock()
	defer im.mu.Unlock()
	if !im.open {
		return nil
	}
	if err := im.flush(ctx); err != nil {
		return err
	}
	_ = im.file.Truncate(ctx, im.end*sectorSize, true, block.PreallocOff, false) // a longer file does no harm
	return im.setInUse(ctx, 0)
}

// Close implements block.Instance.
func (im *image) Close() { _ = im.finish(context.Background()) } // otherwise the image is checked when it is opened again

// Length implements block.Lengther.
func (im *image) Length(context.Context) (int64, error) {
	im.mu.RLock()
	defer im.mu.RUnlock()
	if im.h.sectors > math.MaxInt64/sectorSize {
		return 0, unix.EFBIG
	}
	return int64(im.h.sectors) * sectorSize, nil
}

// RefreshLimits implements block.Limiter.
func (*image) RefreshLimits(l *block.Limits) error {
	l.RequestAlign = sectorSize
	return nil
}

// HasZeroInit implements block.ZeroIniter.
func (*image) HasZeroInit(context.Context) bool { return true }

// ReopenPrepare implements block.Reopener.
func (im *image) ReopenPrepare(ctx context.Context, _ *block.Options, m block.Mode) error {
	if m.ReadOnly {
		return im.finish(ctx)
	}
	if !im.writable() && !im.node.Mode().Inactive {
		im.mu.Lock()
		defer im.mu.Unlock()
		if im.h.unclean {
			return block.Errorf(unix.EACCES, "parallels: Image was not closed correctly; cannot be opened read/write")
		}
	}
	return nil
}

// ReopenCommit implements block.Reopener.
func (im *image) ReopenCommit() { _ = im.markOpen(context.Background()) } // the first allocation tries again

// ReopenAbort implements block.Reopener.
func (im *image) ReopenAbort() { _ = im.markOpen(context.Background()) }

// InvalidateCache implements block.Activater.
func (im *image) InvalidateCache(ctx context.Context) error {
	if err := im.load(ctx); err != nil {
		return err
	}
	return im.markOpen(ctx)
}

// Inactivate implements block.Activater.
func (im *image) Inactivate(ctx context.Context) error { return im.finish(ctx) }
