package vhdx

import (
	"bytes"
	"context"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// Drivers is the format of this package.
var Drivers = []*block.Driver{{
	Name: "vhdx", Probe: probe, Open: open, Create: create, CreateNode: createNode, CreateOptions: createOptions,
}}

func probe(head []byte, _ string) int {
	if bytes.HasPrefix(head, []byte(signature)) {
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
	return im, nil
}

// load reads everything but the disk's blocks.
func (im *image) load(ctx context.Context) error {
	im.mu.Lock()
	defer im.mu.Unlock()
	im.identity, im.renewed, im.replayed, im.regions = newGUID(), false, false, nil
	b := make([]byte, len(signature))
	if err := im.file.Read(ctx, 0, b); err != nil {
		return unix.Errno(block.Errno(err))
	}
	if string(b) != signature {
		return unix.EINVAL
	}
	if err := im.readHeaders(ctx); err != nil {
		return err
	}
	if err := im.openLog(ctx); err != nil {
		return err
	}
	h := im.headers[im.current]
	im.regions = []region{{le.Uint64(h[hdrLogAt:]), le.Uint64(h[hdrLogAt:]) + uint64(le.Uint32(h[hdrLogLen:]))}}
	bat, metadata, err := im.readRegions(ctx)
	if err != nil {
		return err
	}
	if err := im.readMetadata(ctx, int64(metadata.start)); err != nil {
		return err
	}
	if uint64(im.entries()) > (bat.end-bat.start)/batEntryLen {
		return unix.EINVAL
	}
	if err := im.readBAT(ctx, int64(bat.start)); err != nil {
		return err
	}
	if !im.node.Mode().Check {
		if n := im.checkBAT(ctx, true); n > 0 {
			return unix.EINVAL
		}
	}
	return nil
}

// readHeaders reads both headers and chooses the newer one.
// Preconditions: mu is held.
func (im *image) readHeaders(ctx context.Context) error {
	bad := block.Errorf(unix.EINVAL, "No valid VHDX header found")
	var ok [2]bool
	var number [2]uint64
	for i, at := range headerAt {
		b := make([]byte, hdrLen)
		if err := im.file.Read(ctx, at, b); err != nil {
			return block.Errnof(block.Errno(err), "No valid VHDX header found")
		}
		im.headers[i] = b
		if intact(b, hdrSignature) && le.Uint16(b[hdrVersion:]) == 1 {
			ok[i], number[i] = true, le.Uint64(b[hdrSequence:])
		}
	}
	im.current = 0
	switch {
	case !ok[0] && !ok[1]:
		return bad
	case ok[0] && ok[1] && number[0] == number[1]: // Disk2VHD writes twice the same
		if !bytes.Equal(im.headers[0], im.headers[1]) {
			return bad
		}
	case !ok[0] || ok[1] && number[1] > number[0]:
		im.current = 1
	}
	return nil
}

// free tells whether a part of the file is in no region.
func (im *image) free(r region) bool {
	for i := len(im.regions) - 1; i >= 0; i-- {
		if o := im.regions[i]; r.start < o.end && r.end > o.start {
			im.node.Graph().Failure("VHDX region %d-%d overlaps with region %d-%d", r.start, r.end, o.start, o.end)
			return false
		}
	}
	return true
}

// readRegions finds the BAT and the metadata.
// Preconditions: mu is held.
func (im *image) readRegions(ctx context.Context) (bat, metadata region, err error) {
	b := make([]byte, rtLen)
	if err := im.file.Read(ctx, regionTable, b); err != nil {
		return bat, metadata, unix.Errno(block.Errno(err))
	}
	n := le.Uint32(b[rtCount:])
	if !intact(b, rtSignature) || n > rtMax {
		return bat, metadata, unix.EINVAL
	}
	for i := range int(n) {
		e := b[rtEntries+i*rtEntryLen:]
		r := region{start: le.Uint64(e[rteOffset:])}
		r.end = r.start + uint64(le.Uint32(e[rteLen:]))
		if !im.free(r) || r.end < r.start || r.end > 1<<62 {
			return bat, metadata, unix.EINVAL
		}
		im.regions = append(im.regions, r)
		var to *region
		switch string(e[:guidLen]) {
		case guidBAT:
			to = &bat
		case guidMetadata:
			to = &metadata
		default:
			if le.Uint32(e[rteFlags:])&rteRequired != 0 {
				return bat, metadata, unix.ENOTSUP
			}
			continue
		}
		if to.end != 0 {
			return bat, metadata, unix.EINVAL
		}
		*to = r
	}
	if bat.end == 0 || metadata.end == 0 {
		return bat, metadata, unix.EINVAL
	}
	return bat, metadata, nil
}

// readMetadata reads what the disk is like.
// Preconditions: mu is held.
func (im *image) readMetadata(ctx context.Context, at int64) error {
	table := make([]byte, mtLen)
	if err := im.file.Read(ctx, at, table); err != nil {
		return unix.Errno(block.Errno(err))
	}
	n := int(le.Uint16(table[mtCount:]))
	if string(table[:len(mtSignature)]) != mtSignature || n*mtEntryLen > mtLen-mtEntries {
		return unix.EINVAL
	}
	items := map[string]int64{}
	for i := range n {
		e := table[mtEntries+i*mtEntryLen:]
		id := string(e[:guidLen])
		switch id {
		case guidParams, guidSize, guidPage83, guidLogical, guidPhysical, guidParent:
			if _, twice := items[id]; twice {
				return unix.EINVAL
			}
			items[id] = at + int64(le.Uint32(e[mteOffset:]))
		default:
			if le.Uint32(e[mteFlags:])&mteRequired != 0 {
				return unix.ENOTSUP
			}
		}
	}
	if _, ok := items[guidParent]; ok || len(items) != metadataItems {
		return unix.ENOTSUP
	}
	value := map[string]uint64{}
	for _, id := range []string{guidParams, guidSize, guidLogical} {
		b := make([]byte, 8)
		if err := im.file.Read(ctx, items[id], b); err != nil {
			return unix.Errno(block.Errno(err))
		}
		value[id] = le.Uint64(b)
	}
	blockSize, flags := int64(uint32(value[guidParams])), value[guidParams]>>32
	switch {
	case flags&paramsParent != 0: // whose parent nothing tells
		return unix.EINVAL
	case blockSize < minBlock || blockSize > maxBlock || blockSize&(blockSize-1) != 0:
		return unix.EINVAL
	case uint32(value[guidLogical]) != sectorSize:
		return unix.ENOTSUP
	case value[guidSize] > maxDisk:
		return unix.EFBIG
	}
	im.geometry = newGeometry(int64(value[guidSize])&^(sectorSize-1), blockSize)
	return nil
}

// readBAT reads the entries that the disk needs.
// Preconditions: mu is held.
func (im *image) readBAT(ctx context.Context, at int64) error {
	length, err := im.file.Length(ctx)
	if err != nil {
		return unix.Errno(block.Errno(err))
	}
	need := int64(0)
	if im.size > 0 {
		need = (im.index((im.size-1)/im.block) + 1) * batEntryLen
	}
	im.batAt = at
	im.bat = make([]byte, min(need, max(0, length-at)))
	if err := im.file.Read(ctx, at, im.bat); err != nil {
		return unix.Errno(block.Errno(err))
	}
	return nil
}

// checkBAT looks for blocks that are not in the file, or where something else is, and counts them; it can end with the first one.
// Preconditions: mu is held.
func (im *image) checkBAT(ctx context.Context, first bool) (bad int) {
	report := im.node.Graph().Failure
	length, err := im.file.Length(ctx)
	if err != nil {
		report("Could not determinate VHDX image file size.")
		return 1
	}
	for i := range int64(len(im.bat)) / batEntryLen {
		e := im.entry(i)
		if e&stateMask != blockPresent || i%(im.ratio+1) == im.ratio || first && bad > 0 {
			continue
		}
		at := e & placeMask
		// The last block may be there only as far as the disk needs it: older QEMUs made such images.
		need := uint64(im.block)
		if left := im.size - i*im.block; left > 0 {
			need = min(need, uint64(left))
		}
		const cut = " points after end of file (%d). Image has probably been truncated."
		switch {
		case at > 1<<63-1-uint64(im.block):
			report("VHDX BAT entry %d offset overflow.", i)
			bad++
			continue
		case at >= uint64(length):
			report("VHDX BAT entry %d start offset %d"+cut, i, at, length)
			bad++
		case at+need > uint64(length):
			report("VHDX BAT entry %d end offset %d"+cut, i, at+need-1, length)
			bad++
		}
		if !(first && bad > 0) && !im.free(region{at, at + uint64(im.block)}) {
			bad++
		}
	}
	return bad
}

// Close implements block.Instance.
func (*image) Close() {}

// Length implements block.Lengther.
func (im *image) Length(context.Context) (int64, error) { return im.size, nil }

// RefreshLimits implements block.Limiter.
func (im *image) RefreshLimits(l *block.Limits) error {
	l.RequestAlign = sectorSize
	return nil
}

// Info implements block.Informer.
func (im *image) Info() block.DriverInfo { return block.DriverInfo{ClusterSize: im.block} }

// HasZeroInit implements block.ZeroIniter: all blocks of a new image are like the first one.
func (im *image) HasZeroInit(ctx context.Context) bool {
	im.mu.RLock()
	defer im.mu.RUnlock()
	return im.entry(0)&stateMask != blockPresent || im.file.Node().HasZeroInit(ctx)
}

// ReopenPrepare implements block.Reopener; there are no options.
func (*image) ReopenPrepare(context.Context, *block.Options, block.Mode) error { return nil }

// ReopenCommit implements block.Reopener.
func (*image) ReopenCommit() {}

// ReopenAbort implements block.Reopener.
func (*image) ReopenAbort() {}

// InvalidateCache implements block.Activater.
func (im *image) InvalidateCache(ctx context.Context) error { return im.load(ctx) }

// Inactivate implements block.Activater: everything is in the file already.
func (*image) Inactivate(context.Context) error { return nil }

// Check implements block.Checker. What can be repaired, the log, was repaired when the image was opened.
func (im *image) Check(ctx context.Context, _ block.CheckFix) (res block.CheckResult, err error) {
	im.mu.Lock()
	defer im.mu.Unlock()
	if im.replayed {
		res.CorruptionsFixed++
	}
	res.Corruptions = im.checkBAT(ctx, false)
	return res, nil
}
