package vdi

import (
	"context"
	"crypto/rand"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// Options of Create.
const (
	optSize   = "size"
	optStatic = "static"
)

// create is Driver.Create.
func create(ctx context.Context, g *block.Graph, r *block.CreateRequest) error {
	static, err := r.Options.TakeBool(optStatic, false)
	if err != nil {
		return err
	}
	return g.CreateIn(ctx, r, func(file *block.Node) error {
		return write(ctx, g, file, (r.Size+sectorSize-1)&^(sectorSize-1), static)
	})
}

// createNode is Driver.CreateNode.
func createNode(ctx context.Context, g *block.Graph, size int64, o *block.Options) error {
	static := false
	switch p, ok := o.TakeString("preallocation"); {
	case !ok || p == block.PreallocOff.String():
	case p == block.PreallocMetadata.String():
		static = true
	default:
		return block.Errorf(unix.EINVAL, "Preallocation mode not supported for vdi")
	}
	file, err := g.OpenReference(ctx, o.TakeReference("file"))
	if err != nil {
		return err
	}
	defer g.Unref(file)
	return write(ctx, g, file, size, static)
}

// write makes the image in a file. A static image has all blocks.
func write(ctx context.Context, g *block.Graph, file *block.Node, size int64, static bool) error {
	if n := uint64(size); n > maxDisk { // sizes in QMP are unsigned
		return block.Errorf(unix.ENOTSUP, "Unsupported VDI image size (size is 0x%x, max supported is 0x%x)", n, int64(maxDisk))
	}
	b := g.NewBackend("", "", block.PermWrite|block.PermResize, block.PermAll)
	defer b.Delete()
	if err := b.Insert(file); err != nil {
		return err
	}
	b.AllowBeyondEOF(true)
	blocks := (size + blockSize - 1) / blockSize
	h := make([]byte, headerLen)
	copy(h, banner)
	kind, allocated := uint32(typeDynamic), uint32(0)
	if static {
		kind, allocated = typeStatic, uint32(blocks)
	}
	for _, f := range []struct{ at, v uint32 }{
		{hdrSignature, signature}, {hdrVersion, version}, {hdrHeaderSize, storedHeaderSize}, {hdrImageType, kind}, {hdrMapOffset, mapOffsetOfCreated},
		{hdrDataOffset, uint32(mapOffsetOfCreated + mapLen(blocks))}, {hdrSectorSize, sectorSize}, {hdrBlockSize, blockSize}, {hdrBlocks, uint32(blocks)},
		{hdrAllocated, allocated},
	} {
		le.PutUint32(h[f.at:], f.v)
	}
	le.PutUint64(h[hdrDiskSize:], uint64(size))
	newUUID(h[hdrImageUUID:])
	newUUID(h[hdrSnapshotUUID:])
	if err := b.Write(ctx, 0, h, 0); err != nil {
		return block.Errorf(block.Errno(err), "Error writing header")
	}
	m := make([]byte, mapLen(blocks))
	for i := range blocks {
		e := uint32(unallocated)
		if static {
			e = uint32(i)
		}
		le.PutUint32(m[i*entryLen:], e)
	}
	if len(m) > 0 {
		if err := b.Write(ctx, mapOffsetOfCreated, m, 0); err != nil {
			return block.Errorf(block.Errno(err), "Error writing bmap")
		}
	}
	if static {
		if err := b.Truncate(ctx, mapOffsetOfCreated+mapLen(blocks)+blocks*blockSize, false, block.PreallocOff, false); err != nil {
			return block.Errorf(block.Errno(err), "Failed to statically allocate file%s", err)
		}
	}
	return nil
}

// newUUID writes a random UUID (RFC 4122, version 4).
func newUUID(b []byte) {
	_, _ = rand.Read(b[:uuidLen]) // which never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
}
