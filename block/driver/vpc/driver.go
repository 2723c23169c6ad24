package vpc

import (
	"context"
	"math/bits"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// Names of options.
const (
	optSizeCalc  = "force_size_calc"
	optSize      = "size"
	optSubformat = "subformat"
	optForceSize = "force_size"
)

// Drivers is the format of this package.
var Drivers = []*block.Driver{{
	Name: "vpc", Probe: probe, Open: open, Create: create, CreateNode: createNode,
	Options: []block.Option{{Name: optSizeCalc, Help: "Force disk size calculation to use either CHS geometry, or use the disk current_size " +
		"specified in the VHD footer. {chs, current_size}"}},
	StrongOptions: []string{optSizeCalc},
	CreateOptions: []block.Option{
		{Name: optSize, Type: block.OptSize, Help: "Virtual disk size"},
		{Name: optSubformat, Help: "Type of virtual hard disk format. Supported formats are {dynamic (default) | fixed} "},
		{Name: optForceSize, Type: block.OptBool, Help: "Force disk size calculation to use the actual size specified, rather than using the nearest CHS-based calculation"},
	},
}}

func probe(head []byte, _ string) int {
	if isFooter(head) {
		return 100
	}
	return 0
}

func open(ctx context.Context, n *block.Node, o *block.Options) (block.Instance, error) {
	im := &image{node: n}
	switch v, ok := o.TakeString(optSizeCalc); {
	case !ok:
	case v == "chs":
		im.rule = ruleCHS
	case v == "current_size":
		im.rule = ruleCurrent
	default:
		return nil, block.Errorf(unix.EINVAL, "Invalid size calculation mode: '%s'", v)
	}
	var err error
	if im.file, err = n.OpenChild(ctx, o, "file", block.RoleData|block.RoleMetadata|block.RolePrimary, true); err != nil {
		return nil, err
	}
	if err := im.load(ctx); err != nil {
		return nil, err
	}
	return im, nil
}

// load reads the footer and the tables.
func (im *image) load(ctx context.Context) error {
	im.mu.Lock()
	defer im.mu.Unlock()
	fail := func(text string) error { return block.Errorf(unix.EINVAL, "%s", text) }
	length, err := im.file.Length(ctx)
	if err != nil {
		return fail("Invalid file size")
	}
	f := make([]byte, footerLen)
	if err := im.file.Read(ctx, 0, f); err != nil {
		return block.Errorf(block.Errno(err), "Unable to read VHD header")
	}
	atEnd := !isFooter(f)
	if atEnd {
		if length < footerLen {
			return fail("File too small for a VHD header")
		}
		if err := im.file.Read(ctx, length-footerLen, f); err != nil {
			return unix.Errno(block.Errno(err))
		}
		if !isFooter(f) || be.Uint32(f[ftType:]) != typeFixed {
			return fail("invalid VPC image")
		}
	}
	if be.Uint32(f[ftChecksum:]) != checksum(f, ftChecksum) {
		return fail("Incorrect header checksum")
	}
	if be.Uint32(f[ftType:]) == typeDifferent {
		return block.Errorf(unix.ENOTSUP, "unsupported VPC image (it holds differences to another one)")
	}
	sectors, err := diskSectors(f, im.rule)
	if err != nil {
		return err
	}
	im.footer, im.sectors, im.fixed = f, sectors, be.Uint32(f[ftType:]) == typeFixed
	if atEnd {
		return nil
	}
	return im.loadTable(ctx, length)
}

// loadTable reads the dynamic header and the table of blocks.
// Preconditions: mu is held.
func (im *image) loadTable(ctx context.Context, length int64) error {
	fail := func(format string, a ...any) error { return block.Errorf(unix.EINVAL, format, a...) }
	d := make([]byte, dynamicLen)
	if err := im.file.Read(ctx, int64(be.Uint64(im.footer[ftDataOffset:])), d); err != nil {
		return block.Errorf(block.Errno(err), "Error reading dynamic VHD header")
	}
	if string(d[:len(dynamicCookie)]) != dynamicCookie {
		return fail("Invalid header magic")
	}
	size := be.Uint32(d[dynBlockSize:])
	if bits.OnesCount32(size) != 1 || size < sectorSize {
		return fail("Invalid block size %d", size)
	}
	im.blockSize = int64(size)
	im.bitmapLen = (im.blockSize/(8*sectorSize) + sectorSize - 1) &^ (sectorSize - 1)
	entries := int64(be.Uint32(d[dynEntries:]))
	switch {
	case im.sectors*sectorSize/im.blockSize > 1<<32-1:
		return fail("Too many blocks")
	case entries*im.blockSize < im.sectors*sectorSize:
		return fail("Page table too small")
	case entries > (1<<31-1)/4:
		return fail("Max Table Entries too large (%d)", int32(entries))
	}
	im.tableAt = int64(be.Uint64(d[dynTableOffset:]))
	im.end = (im.tableAt + entries*4 + sectorSize - 1) &^ (sectorSize - 1)
	const truncated = "block-vpc: free_data_block_offset points after the end of file. The image has been truncated."
	if im.tableAt < 0 || im.end < 0 || im.end > length { // before memory for it is asked for
		return fail(truncated)
	}
	im.table = make([]byte, entries*4)
	if err := im.file.Read(ctx, im.tableAt, im.table); err != nil {
		return block.Errorf(block.Errno(err), "Error reading pagetable")
	}
	for i := range entries {
		if e := im.entry(i); e != unallocated {
			im.end = max(im.end, int64(e)*sectorSize+im.bitmapLen+im.blockSize)
		}
	}
	if im.end > length {
		return fail(truncated)
	}
	im.whole = make(map[int64]bool)
	return nil
}

// Close implements block.Instance.
func (*image) Close() {}

// Length implements block.Lengther.
func (im *image) Length(context.Context) (int64, error) { return im.sectors * sectorSize, nil }

// RefreshLimits implements block.Limiter.
func (im *image) RefreshLimits(l *block.Limits) error {
	l.RequestAlign = sectorSize
	return nil
}

// Info implements block.Informer.
func (im *image) Info() (i block.DriverInfo) {
	if !im.fixed {
		i.ClusterSize = im.blockSize
	}
	return i
}

// HasZeroInit implements block.ZeroIniter.
func (im *image) HasZeroInit(ctx context.Context) bool {
	return !im.fixed || im.file.Node().HasZeroInit(ctx)
}

// ReopenPrepare implements block.Reopener; the option cannot be changed.
func (*image) ReopenPrepare(context.Context, *block.Options, block.Mode) error { return nil }

// ReopenCommit implements block.Reopener.
func (*image) ReopenCommit() {}

// ReopenAbort implements block.Reopener.
func (*image) ReopenAbort() {}

// InvalidateCache implements block.Activater.
func (im *image) InvalidateCache(ctx context.Context) error { return im.load(ctx) }

// Inactivate implements block.Activater: everything is in the file already.
func (*image) Inactivate(context.Context) error { return nil }
