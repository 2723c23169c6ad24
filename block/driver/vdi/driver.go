package vdi

import (
	"context"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// Drivers is the format of this package.
var Drivers = []*block.Driver{{
	Name: "vdi", Probe: probe, Open: open, Create: create, CreateNode: createNode,
	CreateOptions: []block.Option{
		{Name: optSize, Type: block.OptSize, Help: "Virtual disk size"},
		{Name: optStatic, Type: block.OptBool, Help: "VDI static (pre-allocated) image", Default: "off"},
	},
}}

func probe(head []byte, _ string) int {
	if len(head) >= headerLen && le.Uint32(head[hdrSignature:]) == signature {
		return 100
	}
	return 0
}

func open(ctx context.Context, n *block.Node, o *block.Options) (block.Instance, error) {
	file, err := n.OpenChild(ctx, o, "file", block.RoleData|block.RoleMetadata|block.RolePrimary, true)
	if err != nil {
		return nil, err
	}
	im := &image{node: n, file: file}
	if err := im.load(ctx); err != nil {
		return nil, err
	}
	return im, nil
}

// load reads the header and the map.
func (im *image) load(ctx context.Context) error {
	b, h, length, err := block.ReadHeader(ctx, im.file, headerLen, parseHeader)
	if err != nil {
		return err
	}
	m := make([]byte, min(mapLen(int64(h.blocks)), max(length-h.mapOffset, 0))) // behind the end of the file are zeroes
	if err := im.file.Read(ctx, h.mapOffset, m); err != nil {
		return unix.Errno(block.Errno(err))
	}
	im.mu.Lock()
	defer im.mu.Unlock()
	im.h, im.stored, im.m = h, b, m
	im.dirtyFrom, im.dirtyTo = 0, 0
	return nil
}

// Close implements block.Instance.
func (im *image) Close() {
	_ = im.FlushToOS(context.Background()) // each write has tried already
}

// Length implements block.Lengther.
func (im *image) Length(context.Context) (int64, error) { return im.h.size, nil }

// RefreshLimits implements block.Limiter.
func (im *image) RefreshLimits(l *block.Limits) error {
	l.RequestAlign = sectorSize
	return nil
}

// Info implements block.Informer.
func (im *image) Info() block.DriverInfo { return block.DriverInfo{ClusterSize: blockSize} }

// HasZeroInit implements block.ZeroIniter.
func (im *image) HasZeroInit(ctx context.Context) bool {
	return !im.h.static || im.file.Node().HasZeroInit(ctx)
}

// ReopenPrepare implements block.Reopener; there are no options.
func (*image) ReopenPrepare(context.Context, *block.Options, block.Mode) error { return nil }

// ReopenCommit implements block.Reopener.
func (*image) ReopenCommit() {}

// ReopenAbort implements block.Reopener.
func (*image) ReopenAbort() {}

// InvalidateCache implements block.Activater.
func (im *image) InvalidateCache(ctx context.Context) error { return im.load(ctx) }

// Inactivate implements block.Activater.
func (im *image) Inactivate(ctx context.Context) error { return im.FlushToOS(ctx) }

// Check implements block.Checker. There is nothing that can be repaired.
func (im *image) Check(_ context.Context, fix block.CheckFix) (res block.CheckResult, err error) {
	if fix != 0 {
		return res, unix.ENOTSUP
	}
	im.mu.Lock()
	defer im.mu.Unlock()
	message := im.node.Graph().Messagef
	stored := min(im.h.blocks, uint32(len(im.m)/entryLen))
	seen := make([]bool, stored)
	count := uint32(0)
	for i := range stored {
		switch e := im.entry(i); {
		case e >= discarded:
		case e >= im.h.blocks:
			message("ERROR: block index %d too large, is %d", i, e)
			res.Corruptions++
		case e < stored && seen[e]:
			count++
			message("ERROR: block index %d also used by %d", e, e)
			res.Corruptions++
		case e < stored:
			count++
			seen[e] = true
		default:
			count++
		}
	}
	if missing := im.h.blocks - stored; missing > 0 {
		message("ERROR: the block map ends before block %d", stored)
		res.Corruptions += int(missing)
		count += missing
	}
	if count != im.h.allocated {
		message("ERROR: allocated blocks mismatch, is %d, should be %d", count, im.h.allocated)
		res.Corruptions++
	}
	return res, nil
}
