package qcow2

import (
	"bytes"
	"context"
	"io"
	"runtime"
	"sync"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"goemu/block"
	"goemu/block/inflate"
)

// deflateWindow is the window of deflated clusters: readers need not keep more.
const deflateWindow = 4096

// The compressors are expensive to make, so they are kept. Each is used by one goroutine at a time.
var (
	deflaters   = sync.Pool{New: func() any { w, _ := flate.NewWriterWindow(io.Discard, deflateWindow); return &compressor{deflate: w} }}
	zstdWriters = sync.Pool{New: func() any {
		w, _ := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true))
		return &compressor{zstd: w}
	}}
	zstdReaders = sync.Pool{New: func() any {
		r, _ := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(64<<20))
		return r
	}}
)

// compressor is one of the two with room for what it makes.
type compressor struct {
	deflate *flate.Writer
	zstd    *zstd.Encoder
	room    []byte
}

// space is room for n bytes.
func (c *compressor) space(n int) []byte {
	if cap(c.room) < n {
		c.room = make([]byte, n)
	}
	return c.room[:0:n]
}

// limitedBuffer collects at most cap(b) bytes.
type limitedBuffer struct{ b []byte }

func (l *limitedBuffer) Write(p []byte) (int, error) {
	if len(p) > cap(l.b)-len(l.b) {
		return 0, io.ErrShortWrite
	}
	l.b = append(l.b, p...)
	return len(p), nil
}

// deflate compresses src to fewer than len(src) bytes; nil if that is not possible.
func (im *image) deflate(src []byte) []byte {
	pool := &deflaters
	if im.compression == compressZstd {
		pool = &zstdWriters
	}
	c := pool.Get().(*compressor)
	defer pool.Put(c)
	if c.zstd != nil {
		b := c.zstd.EncodeAll(src, c.space(len(src)+len(src)/128+64))
		if len(b) >= len(src) {
			return nil
		}
		return bytes.Clone(b)
	}
	out := limitedBuffer{c.space(len(src) - 1)}
	c.deflate.Reset(&out)
	if _, err := c.deflate.Write(src); err != nil {
		return nil
	}
	if c.deflate.Close() != nil {
		return nil
	}
	return bytes.Clone(out.b)
}

// inflate fills dst from compressed data, behind which anything may follow.
func (im *image) inflate(dst, src []byte) error {
	if im.compression == compressZstd {
		r := zstdReaders.Get().(*zstd.Decoder)
		defer zstdReaders.Put(r)
		if r.Reset(bytes.NewReader(src)) != nil {
			return unix.EIO
		}
		if _, err := io.ReadFull(r, dst); err != nil {
			return unix.EIO
		}
		return nil
	}
	if inflate.Decode(dst, src) != nil {
		return unix.EIO
	}
	return nil
}

// readCompressed reads part of a compressed cluster.
func (im *image) readCompressed(ctx context.Context, desc uint64, off int64, iov [][]byte) error {
	coff, size := im.compressed(desc)
	src := make([]byte, size)
	im.event("read_compressed")
	if err := im.file.ReadV(ctx, coff, [][]byte{src}, 0); err != nil {
		return err
	}
	if len(iov) == 1 && int64(len(iov[0])) == im.clusterSize {
		return im.inflate(iov[0], src)
	}
	dst := make([]byte, im.clusterSize)
	if err := im.inflate(dst, src); err != nil {
		return err
	}
	in := im.offsetInCluster(off)
	block.IovScatter(iov, dst[in:in+block.IovLen(iov)])
	return nil
}

// WriteCompressed implements block.CompressedWriter. An empty write ends a series: the file is rounded up to whole sectors.
func (im *image) WriteCompressed(ctx context.Context, off int64, iov [][]byte) error {
	total := block.IovLen(iov)
	switch {
	case im.hasDataFile():
		return unix.ENOTSUP
	case total == 0:
		n, err := im.file.Length(ctx)
		if err != nil {
			return err
		}
		return im.file.Truncate(ctx, (n+sectorSize-1)&^(sectorSize-1), false, block.PreallocOff, false)
	case im.offsetInCluster(off) != 0 || im.offsetInCluster(total) != 0 && off+total != im.length.Load():
		return unix.EINVAL
	}
	if b, ok := block.CompressedData(ctx); ok && total <= im.clusterSize {
		if b == nil { // it does not get smaller
			return im.write(ctx, off, iov)
		}
		return im.storeCompressed(ctx, off, b)
	}
	for pos := int64(0); pos < total; {
		n := min(total-pos, im.clusterSize*int64(runtime.GOMAXPROCS(0)))
		if err := im.writeCompressedBatch(ctx, off+pos, part(iov, total, pos, n), n); err != nil {
			return err
		}
		pos += n
	}
	return nil
}

// Compress implements block.Compressor.
func (im *image) Compress(src []byte) ([]byte, error) {
	if int64(len(src)) < im.clusterSize {
		src = append(make([]byte, 0, im.clusterSize), src...)[:im.clusterSize]
	}
	if b := im.deflate(src); b != nil {
		return b, nil
	}
	return nil, unix.ENOMEM
}

// writeCompressedBatch compresses some clusters side by side and writes them in their order.
func (im *image) writeCompressedBatch(ctx context.Context, off int64, iov [][]byte, total int64) error {
	out := make([][]byte, im.clusters(total))
	var wg sync.WaitGroup
	compress := func(i int) {
		src := make([]byte, im.clusterSize)
		pos := int64(i) * im.clusterSize
		block.IovGather(src, block.IovSlice(nil, iov, pos, min(im.clusterSize, total-pos)))
		out[i] = im.deflate(src)
	}
	for i := 1; i < len(out); i++ {
		wg.Go(func() { compress(i) })
	}
	compress(0)
	wg.Wait()
	for i, b := range out {
		pos := int64(i) * im.clusterSize
		if b == nil { // it does not get smaller
			if err := im.write(ctx, off+pos, block.IovSlice(nil, iov, pos, min(im.clusterSize, total-pos))); err != nil {
				return err
			}
			continue
		}
		if err := im.storeCompressed(ctx, off+pos, b); err != nil {
			return err
		}
	}
	return nil
}

// storeCompressed writes one compressed cluster. The L2 table names it when it is written, so that a failure leaves what was there.
func (im *image) storeCompressed(ctx context.Context, off int64, b []byte) error {
	n := int64(len(b))
	if err := im.lock(); err != nil {
		return err
	}
	host, err := im.allocCompressed(off, n)
	if err == nil {
		err = im.checkOverlap(0, host, n, true)
	}
	im.mu.Unlock()
	if err != nil {
		return err
	}
	im.data.DebugEvent("write_compressed")
	err = im.data.WriteV(ctx, host, [][]byte{b}, 0)
	im.mu.Lock()
	defer im.mu.Unlock()
	if err == nil {
		err = im.linkCompressed(off, host, n)
	}
	if err != nil {
		im.freeClusters(host, n, discardOther)
	}
	return err
}

// allocCompressed allocates n bytes for the compressed cluster at off.
func (im *image) allocCompressed(off, n int64) (int64, error) {
	t, i, err := im.tableFor(off)
	if err != nil {
		return 0, err
	}
	defer im.l2cache.put(t)
	if im.entry(t.b, i)&l2OffsetMask != 0 {
		return 0, unix.EIO // compressed clusters are never overwritten
	}
	return im.allocBytes(n)
}

// linkCompressed enters n bytes at host into the L2 table as the cluster at off.
func (im *image) linkCompressed(off, host, n int64) error {
	t, i, err := im.tableFor(off)
	if err != nil {
		return err
	}
	defer im.l2cache.put(t)
	if im.entry(t.b, i)&l2OffsetMask != 0 {
		return unix.EIO // somebody else has written the cluster meanwhile
	}
	sectors := uint64((host+n-1)/compressedSector - host/compressedSector)
	im.event("l2_update_compressed")
	im.l2cache.mark(t)
	im.setEntry(t.b, i, uint64(host)|flagCompressed|sectors<<im.csizeShift)
	im.setBitmap(t.b, i, 0)
	return nil
}
