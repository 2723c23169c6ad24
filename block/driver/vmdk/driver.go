package vmdk

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// Drivers is the format of this package.
var Drivers = []*block.Driver{{
	Name: "vmdk", Probe: probe, SupportsBacking: true, Compresses: true, Open: open, Create: create, CreateNode: createNode, CreateOptions: createOptions,
}}

// probe recognises extents by their magic number, and descriptors by their first line that is no comment.
func probe(head []byte, _ string) int {
	if len(head) < 4 {
		return 0
	}
	if m := string(head[:4]); m == magicCOWD || m == magicKDMV {
		return 100
	}
	for len(head) > 0 {
		line, rest, ended := bytes.Cut(head, []byte("\n"))
		switch {
		case len(line) > 0 && line[0] == '#':
		case len(line) > 0 && line[0] == ' ':
			if len(strings.TrimSuffix(strings.TrimLeft(string(line), " "), "\r")) > 0 || !ended {
				return 0
			}
		default:
			switch strings.TrimSuffix(string(line), "\r") {
			case "version=1", "version=2", "version=3":
				if ended {
					return 100
				}
			}
			return 0
		}
		head = rest
	}
	return 0
}

func open(ctx context.Context, n *block.Node, o *block.Options) (block.Instance, error) {
	file, err := n.OpenChild(ctx, o, "file", block.RoleImage|block.RolePrimary, true)
	if err != nil {
		return nil, err
	}
	im := &image{node: n, file: file}
	start, err := readStart(ctx, file, 0)
	if err != nil {
		return nil, err
	}
	switch start[:4] {
	case magicCOWD:
		err = im.openCOWD(ctx, file)
		im.descAt = embeddedAt
	case magicKDMV:
		err = im.openKDMV(ctx, file, o)
		im.descAt = embeddedAt
	default:
		if err := file.DropRole(block.RoleData); err != nil {
			return nil, err
		}
		err = im.openDescriptor(ctx, text([]byte(start)), o)
	}
	if err != nil {
		return nil, err
	}
	return im, im.readIdentity(ctx)
}

// openDescriptor opens the extents that a descriptor names.
func (im *image) openDescriptor(ctx context.Context, desc string, o *block.Options) error {
	var ok bool
	if im.kind, ok = quotedValue(desc, keyType); !ok || len(im.kind) > 127 {
		return block.Errorf(unix.EINVAL, "invalid VMDK image descriptor")
	}
	switch im.kind {
	case kindFlat, kindSplitSparse, kindSplitFlat, "vmfs", "vmfsSparse", "seSparse":
	default:
		return block.Errorf(unix.ENOTSUP, "Unsupported image type '%s'", im.kind)
	}
	list, err := parseExtents(desc)
	if err != nil {
		return err
	}
	for _, l := range list {
		if err := im.openExtent(ctx, l, o); err != nil {
			return err
		}
	}
	return nil
}

// openExtent opens the file of an extent and adds what it holds.
func (im *image) openExtent(ctx context.Context, l extentLine, o *block.Options) error {
	path := l.file
	if !block.IsAbsolute(path) {
		dir, err := im.file.Node().Dirname()
		if err != nil {
			im.file.Node().RefreshFilename()
			return block.Prepend(err, fmt.Sprintf("Cannot use relative paths with VMDK descriptor file '%s': ", im.file.Node().Filename()))
		}
		path = dir + path
	}
	role := block.RoleData
	flat := l.kind == extentFlat || l.kind == extentVMFS
	if !flat {
		role |= block.RoleMetadata
	}
	file, err := im.node.OpenChildFile(ctx, path, o, fmt.Sprintf("extents.%d", len(im.extents)), role, false)
	if err != nil {
		return err
	}
	had := len(im.extents)
	switch {
	case flat:
		err = im.add(&extent{file: file, sectors: l.sectors, flat: true, plain: l.offset})
	case l.kind == extentSESparse:
		err = im.openSE(ctx, file)
	default:
		var start string
		if start, err = readStart(ctx, file, 0); err != nil {
			return err
		}
		switch start[:4] {
		case magicCOWD:
			err = im.openCOWD(ctx, file)
		case magicKDMV:
			err = im.openKDMV(ctx, file, o)
		default:
			err = block.Errorf(unix.EINVAL, "Image not in VMDK format")
		}
	}
	if err == nil && len(im.extents) > had {
		im.extents[len(im.extents)-1].kind = l.kind
	}
	return err
}

// readIdentity reads what the descriptor says about the content and the backing file.
func (im *image) readIdentity(ctx context.Context) (err error) {
	desc, err := readText(ctx, im.file, im.descAt, embeddedLen)
	if err != nil {
		return err
	}
	if strings.Contains(desc, keyParent) {
		name, ok := quotedValue(desc, keyParent)
		if !ok || len(name) > 1023 {
			return unix.EINVAL
		}
		im.parentName = name
	}
	if im.cid, err = readCID(ctx, im.file, im.descAt, keyCID); err != nil {
		return err
	}
	im.parentCID, err = readCID(ctx, im.file, im.descAt, keyParentCID)
	return err
}

// BackingFile implements block.Backed.
func (im *image) BackingFile() (filename, format string) {
	if im.parentName == "" {
		return "", ""
	}
	return im.parentName, "vmdk"
}

// Close implements block.Instance.
func (*image) Close() {}

// Length implements block.Lengther.
func (im *image) Length(context.Context) (int64, error) { return im.sectors() * sectorSize, nil }

// RefreshLimits implements block.Limiter.
func (im *image) RefreshLimits(l *block.Limits) error {
	l.RequestAlign = sectorSize
	for _, e := range im.extents {
		if !e.flat {
			l.WriteZeroesAlign = max(l.WriteZeroesAlign, e.grain)
		}
	}
	return nil
}

// Info implements block.Informer. Extents of different kinds have nothing in common.
func (im *image) Info() (i block.DriverInfo) {
	for _, e := range im.extents {
		if first := im.extents[0]; e.flat != first.flat || e.compressed != first.compressed || e.grain != first.grain {
			return block.DriverInfo{Unknown: true}
		}
		i.ClusterSize, i.NeedsCompressedWrites = e.grain, e.compressed
	}
	return i
}

// HasZeroInit implements block.ZeroIniter.
func (im *image) HasZeroInit(ctx context.Context) bool {
	for _, e := range im.extents {
		if e.flat && !e.file.Node().HasZeroInit(ctx) {
			return false
		}
	}
	return true
}

// SpecificInfo implements block.SpecificInformer.
func (im *image) SpecificInfo(context.Context) ([]block.Member, error) {
	im.mu.Lock()
	defer im.mu.Unlock()
	var list []any
	for _, e := range im.extents {
		e.file.Node().RefreshFilename()
		i := []block.Member{{Name: "virtual-size", Value: e.sectors * sectorSize}, {Name: "filename", Value: e.file.Node().Filename()}}
		if !e.flat {
			i = append(i, block.Member{Name: "cluster-size", Value: e.grain})
		}
		i = append(i, block.Member{Name: "format", Value: e.kind})
		if e.compressed {
			i = append(i, block.Member{Name: "compressed", Value: true})
		}
		list = append(list, i)
	}
	return []block.Member{{Name: "type", Value: "vmdk"}, {Name: "data", Value: []block.Member{
		{Name: "cid", Value: int64(im.cid)}, {Name: "parent-cid", Value: int64(im.parentCID)},
		{Name: "create-type", Value: im.kind}, {Name: "extents", Value: list},
	}}}, nil
}

// GatherChildOptions implements block.ChildOptionGatherer: the extents are found by the descriptor.
func (im *image) GatherChildOptions(o *block.NestedOptions, backingOverridden bool) {
	o.Put("file", im.file.Node().FullOptions())
	if !backingOverridden {
		return
	}
	if b := im.node.Backing(); b != nil {
		o.Put("backing", b.Node().FullOptions())
	} else {
		o.Put("backing", nil)
	}
}

// ReopenPrepare implements block.Reopener; there are no options.
func (*image) ReopenPrepare(context.Context, *block.Options, block.Mode) error { return nil }

// ReopenCommit implements block.Reopener.
func (*image) ReopenCommit() {}

// ReopenAbort implements block.Reopener.
func (*image) ReopenAbort() {}

// Check implements block.Checker. There is nothing that can be repaired.
func (im *image) Check(ctx context.Context, fix block.CheckFix) (res block.CheckResult, err error) {
	if fix != 0 {
		return res, unix.ENOTSUP
	}
	im.mu.Lock()
	defer im.mu.Unlock()
	for sector := int64(0); sector < im.sectors(); {
		e, err := im.extentAt(sector * sectorSize)
		if err != nil {
			return res, err
		}
		if err := e.check(ctx, im.node.Graph(), sector); err != nil {
			res.Corruptions++
			return res, err
		}
		sector += e.unit() / sectorSize
	}
	return res, nil
}

// check looks at the grain of a sector of the disk.
func (e *extent) check(ctx context.Context, g *block.Graph, sector int64) error {
	st, pos, err := e.lookup(ctx, (sector-e.start)*sectorSize)
	if err != nil {
		g.Messagef("ERROR: could not get cluster_offset for sector %d", sector)
		return unix.EPERM // as QEMU's errno happens to be
	}
	if st != stored {
		return nil
	}
	length, err := e.file.Length(ctx)
	if err != nil {
		g.Messagef("ERROR: could not get extent file length for sector %d", sector)
		return err
	}
	if pos >= length {
		g.Messagef("ERROR: cluster offset for sector %d points after EOF", sector)
		return unix.EINVAL
	}
	return nil
}
