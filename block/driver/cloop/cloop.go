// Package cloop reads compressed loop images (version 2), as Knoppix has them: blocks of the same size, each deflated. They are only read.
package cloop

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"sync"

	"github.com/klauspost/compress/zlib"
	"golang.org/x/sys/unix"

	"goemu/block"
)

// Drivers is the format of this package.
var Drivers = []*block.Driver{{Name: "cloop", Probe: probe, Open: open}}

const (
	script     = "#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n"
	hdrBlock   = 128 // bytes of a block, 32 bits big-endian like all numbers
	hdrOffsets = 136 // places of the blocks, and of the end, 64 bits each
	headerLen  = hdrOffsets
	sectorSize = 512
	maxBlock   = 64 << 20
	maxTable   = 512 << 20
	maxBlocks  = (1<<32 - 2) / 8
)

var be = binary.BigEndian

func probe(head []byte, _ string) int {
	n := min(len(script), len(head))
	if string(head[:n]) == script[:n] {
		return 2
	}
	return 0
}

// image is the state of an open image.
type image struct {
	file   *block.Child
	block  int64 // bytes
	places []byte

	mu      sync.Mutex
	current int64  // block whose content is known, or -1; guarded by mu
	content []byte // guarded by mu
}

func open(ctx context.Context, n *block.Node, o *block.Options) (block.Instance, error) {
	file, err := n.OpenFileReadOnly(ctx, o)
	if err != nil {
		return nil, err
	}
	h := make([]byte, headerLen)
	if err := file.Read(ctx, 0, h); err != nil {
		return nil, unix.Errno(block.Errno(err))
	}
	size, count := int64(be.Uint32(h[hdrBlock:])), int64(be.Uint32(h[hdrBlock+4:]))
	if err := checkSizes(size, count); err != nil {
		return nil, err
	}
	length, err := file.Length(ctx)
	if err != nil {
		return nil, unix.Errno(block.Errno(err))
	}
	im := &image{file: file, block: size, current: -1}
	im.places = make([]byte, min((count+1)*8, max(0, (length-hdrOffsets)&^7))) // before memory is asked for that the file cannot fill
	if err := file.Read(ctx, hdrOffsets, im.places); err != nil {
		return nil, unix.Errno(block.Errno(err))
	}
	return im, im.checkPlaces(count)
}

// checkSizes validates the header; errors are QEMU's.
func checkSizes(size, count int64) error {
	fail := func(format string, a ...any) error { return block.Errorf(unix.EINVAL, format, a...) }
	switch {
	case size%sectorSize != 0:
		return fail("block_size %d must be a multiple of 512", size)
	case size == 0:
		return fail("block_size cannot be zero")
	case size > maxBlock:
		return fail("block_size %d must be %d MB or less", size, maxBlock>>20)
	case count > maxBlocks:
		return fail("n_blocks %d must be %d or less", count, maxBlocks)
	case (count+1)*8 > maxTable:
		return fail("image requires too many offsets, try increasing block size")
	}
	return nil
}

// checkPlaces validates the table; behind the end of the file are zeroes.
func (im *image) checkPlaces(count int64) error {
	fail := func(format string, a ...any) error { return block.Errorf(unix.EINVAL, format, a...) }
	for i := int64(1); i <= count; i++ {
		if (i+1)*8 > int64(len(im.places)) {
			if be.Uint64(im.places[(i-1)*8:]) > 0 {
				return fail("offsets not monotonically increasing at index %d, image file is corrupt", i)
			}
			im.places = append(im.places, make([]byte, (count+1)*8-int64(len(im.places)))...)
			return nil
		}
		before, here := be.Uint64(im.places[(i-1)*8:]), be.Uint64(im.places[i*8:])
		switch {
		case here < before:
			return fail("offsets not monotonically increasing at index %d, image file is corrupt", i)
		case here-before > 2*maxBlock:
			return fail("invalid compressed block size at index %d, image file is corrupt", i)
		}
	}
	return nil
}

// ReadV implements block.Reader.
func (im *image) ReadV(ctx context.Context, off int64, iov [][]byte, _ block.Flags) error {
	return block.IovPieces(off, im.block, iov, func(off int64, part [][]byte) error {
		im.mu.Lock()
		defer im.mu.Unlock()
		if err := im.load(ctx, off/im.block); err != nil {
			return err
		}
		block.IovScatter(part, im.content[off%im.block:][:block.IovLen(part)])
		return nil
	})
}

// load makes a block the current one.
// Preconditions: mu is held.
func (im *image) load(ctx context.Context, i int64) error {
	if im.current == i {
		return nil
	}
	im.current = -1
	at, end := be.Uint64(im.places[i*8:]), be.Uint64(im.places[(i+1)*8:])
	if end > 1<<62 {
		return unix.EIO
	}
	src := make([]byte, end-at)
	if err := im.file.Read(ctx, int64(at), src); err != nil {
		return unix.EIO
	}
	r, err := zlib.NewReader(bytes.NewReader(src))
	if err != nil {
		return unix.EIO
	}
	if im.content == nil {
		im.content = make([]byte, im.block+1)
	}
	if n, err := io.ReadFull(r, im.content); err != io.ErrUnexpectedEOF || int64(n) != im.block {
		return unix.EIO
	}
	im.current = i
	return nil
}

// Close implements block.Instance.
func (*image) Close() {}

// Length implements block.Lengther.
func (im *image) Length(context.Context) (int64, error) {
	return max(0, int64(len(im.places))/8-1) * im.block, nil
}

// RefreshLimits implements block.Limiter.
func (*image) RefreshLimits(l *block.Limits) error {
	l.RequestAlign = sectorSize
	return nil
}
