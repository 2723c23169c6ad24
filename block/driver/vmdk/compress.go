package vmdk

import (
	"bytes"
	"context"
	"io"
	"sync"

	"github.com/klauspost/compress/zlib"
	"golang.org/x/sys/unix"

	"goemu/block"
)

// The compressors are expensive to make, so they are kept.
var deflaters = sync.Pool{New: func() any { return zlib.NewWriter(io.Discard) }}

// deflate compresses a grain.
func deflate(src []byte) ([]byte, error) {
	var out bytes.Buffer
	w := deflaters.Get().(*zlib.Writer)
	defer deflaters.Put(w)
	w.Reset(&out)
	if _, err := w.Write(src); err != nil {
		return nil, err
	}
	err := w.Close()
	return out.Bytes(), err
}

// readCompressed reads the part at in of the compressed grain at pos.
func (e *extent) readCompressed(ctx context.Context, pos, in int64, iov [][]byte) error {
	length, err := e.file.Length(ctx)
	if err != nil {
		return err
	}
	src := make([]byte, min(2*e.grain, max(markerLen, length-pos))) // it may be longer than what it holds
	e.file.DebugEvent("read_compressed")
	if err := e.file.Read(ctx, pos, src); err != nil {
		return err
	}
	n := e.grain
	if e.markers {
		n = int64(le.Uint32(src[markerSize:]))
		src = src[markerLen:]
	}
	if n == 0 || n > int64(len(src)) {
		return unix.EINVAL
	}
	r, err := zlib.NewReader(bytes.NewReader(src[:n]))
	if err != nil {
		return unix.EINVAL
	}
	var b bytes.Buffer
	b.Grow(int(min(e.grain+bytes.MinRead, 1<<20)))
	got, err := b.ReadFrom(io.LimitReader(r, e.grain+1))
	dst := b.Bytes()
	if err != nil || got > e.grain || in+block.IovLen(iov) > got { // the last grain of a disk may be shorter
		return unix.EINVAL
	}
	block.IovScatter(iov, dst[in:in+block.IovLen(iov)])
	return nil
}

// Compress implements block.Compressor. The result may be longer than the grain.
func (im *image) Compress(src []byte) ([]byte, error) { return deflate(src) }

// WriteCompressed implements block.CompressedWriter. An empty write ends a series: the files are rounded up to whole sectors.
func (im *image) WriteCompressed(ctx context.Context, off int64, iov [][]byte) error {
	if block.IovLen(iov) > 0 {
		return im.WriteV(ctx, off, iov, 0)
	}
	for _, e := range im.extents {
		n, err := e.file.Length(ctx)
		if err != nil {
			return err
		}
		if err := e.file.Truncate(ctx, roundUp(n, sectorSize), false, block.PreallocOff, false); err != nil {
			return err
		}
	}
	return nil
}

// writeCompressed appends a whole grain to the stream; none can be written twice.
func (im *image) writeCompressed(ctx context.Context, e *extent, at int64, part [][]byte) error {
	n := block.IovLen(part)
	if at%e.grain != 0 || n < e.grain && at+n != e.sectors*sectorSize || !e.markers {
		return unix.EINVAL
	}
	data, ok := block.CompressedData(ctx)
	if !ok || data == nil {
		src := make([]byte, n)
		block.IovGather(src, part)
		var err error
		if data, err = deflate(src); err != nil {
			return unix.EINVAL
		}
	}
	im.mu.Lock()
	defer im.mu.Unlock()
	s, ok, err := e.find(ctx, at)
	switch {
	case err != nil:
		return err
	case !ok || e.end >= maxSparse:
		return unix.EINVAL
	}
	if v := le.Uint32(s.b[s.index*4:]); v != 0 && (v != entryZeroed || !e.zeros) {
		im.node.Graph().Failure("Could not write to allocated cluster for streamOptimized")
		return unix.EIO
	}
	b := le.AppendUint64(nil, uint64(e.start+at/sectorSize))
	b = append(le.AppendUint32(b, uint32(len(data))), data...)
	pos := e.end
	e.end += roundUp(int64(len(b)), sectorSize)
	e.file.DebugEvent("write_compressed")
	if err := e.file.Write(ctx, pos, b, 0); err != nil {
		return err
	}
	return e.setEntry(ctx, s, uint32(pos/sectorSize))
}
