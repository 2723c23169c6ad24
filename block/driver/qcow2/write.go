package qcow2

import (
	"context"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// mergeReadLimit is how much guest data between two ranges of copy-on-write is read along to save a request.
const mergeReadLimit = 16384

// WriteV implements block.Writer.
func (im *image) WriteV(ctx context.Context, off int64, iov [][]byte, _ block.Flags) error {
	return im.write(ctx, off, iov)
}

// write writes guest data at any offset, also that of the VM state. The lock is not held.
func (im *image) write(ctx context.Context, off int64, iov [][]byte) error {
	total := block.IovLen(iov)
	return im.place(off, total, func(host, pos, n int64, list []*allocation) error {
		return im.writePiece(ctx, host, off+pos, n, part(iov, total, pos, n), list)
	})
}

// place finds out where the bytes of a write of total bytes at off go, piece by piece, and lets write bring them there: n bytes from pos on,
// counted from off, to host, which ends with linkAll. The lock is not held.
func (im *image) place(off, total int64, write func(host, pos, n int64, list []*allocation) error) error {
	var p pieces
	for pos := int64(0); pos < total && !p.failed(); {
		if err := im.lock(); err != nil {
			p.fail(err)
			break
		}
		host, n, list, err := im.allocHost(off+pos, total-pos)
		if err == nil {
			err = im.checkOverlap(0, host, n, true)
		}
		if err != nil {
			im.settle(list, err)
			im.mu.Unlock()
			p.fail(err)
			break
		}
		im.mu.Unlock()
		at := pos
		p.run(n == total-pos, func() error { return write(host, at, n, list) })
		pos += n
	}
	return p.wait()
}

// writePiece writes contiguous data and then makes the metadata say so.
func (im *image) writePiece(ctx context.Context, host, off, n int64, iov [][]byte, list []*allocation) error {
	err := im.zeroAllocSpace(ctx, list)
	if err == nil && !mergeCOW(off, n, iov, list) {
		im.event("write_aio")
		err = im.writeData(ctx, host, off, iov)
	}
	return im.linkAll(list, err)
}

// linkAll makes the metadata say where data is after it was written, or forget about it if that failed. The lock is not held.
func (im *image) linkAll(list []*allocation, err error) error {
	if len(list) == 0 {
		return err
	}
	im.mu.Lock()
	defer im.mu.Unlock()
	return im.settle(list, err)
}

// mergeCOW finds the allocation whose copied ranges enclose exactly this write, which can then be written with them in one go.
func mergeCOW(off, n int64, iov [][]byte, list []*allocation) bool {
	const maxVector = 1024
	for _, a := range list {
		if a.startLen == 0 && a.endLen == 0 || a.skipCOW {
			continue
		}
		if a.cowStart()+a.startLen != off || a.guest+a.endOff != off+n || len(iov) > maxVector-2 {
			continue
		}
		a.merged = iov
		return true
	}
	return false
}

// zeroAllocSpace makes new clusters whose old content is zeroes read as zeroes in one cheap request, so that nothing must be copied.
func (im *image) zeroAllocSpace(ctx context.Context, list []*allocation) error {
	if len(list) == 0 || im.crypt != cryptNone || im.data.Node().Limits().ZeroFlags&block.NoFallback == 0 {
		return nil
	}
	for _, a := range list {
		if a.startLen == 0 && a.endLen == 0 {
			continue
		}
		if !im.isZeroFast(ctx, a.cowStart(), a.startLen) || !im.isZeroFast(ctx, a.guest+a.endOff, a.endLen) {
			continue
		}
		start, n := a.host+a.startOff, a.endOff+a.endLen-a.startOff
		im.mu.Lock()
		err := im.checkOverlap(0, start, n, true)
		im.mu.Unlock()
		if err != nil {
			return err
		}
		im.event("cluster_alloc_space")
		err = im.data.WriteZeroes(ctx, start, n, block.NoFallback)
		switch {
		case err == nil:
			a.skipCOW = true
		case !block.IsNotSup(err):
			return err
		}
	}
	return nil
}

// copyOnWrite copies what a write leaves of old clusters to the new ones. The lock is given up meanwhile.
func (im *image) copyOnWrite(a *allocation) error {
	if a.startLen == 0 && a.endLen == 0 || a.skipCOW {
		return nil
	}
	im.mu.Unlock()
	err := im.copyRanges(a)
	im.mu.Lock()
	if err == nil {
		im.l2cache.dependsOnFlush = true // the L2 table must not name data that is not there
	}
	return err
}

// copyRanges does the reads and writes of copyOnWrite.
func (im *image) copyRanges(a *allocation) error {
	data := a.endOff - (a.startOff + a.startLen)
	var head, tail []byte
	if a.startLen > 0 && a.endLen > 0 && data <= mergeReadLimit {
		b := make([]byte, a.startLen+data+a.endLen)
		if err := im.readCOW(a.cowStart(), b); err != nil {
			return err
		}
		head, tail = b[:a.startLen], b[a.startLen+data:]
	} else {
		b := make([]byte, a.startLen+a.endLen)
		head, tail = b[:a.startLen], b[a.startLen:]
		if err := im.readCOW(a.cowStart(), head); err != nil {
			return err
		}
		if err := im.readCOW(a.guest+a.endOff, tail); err != nil {
			return err
		}
	}
	if a.merged == nil {
		if err := im.writeCOW(a.host+a.startOff, a.cowStart(), [][]byte{head}, a.startLen); err != nil {
			return err
		}
		return im.writeCOW(a.host+a.endOff, a.guest+a.endOff, [][]byte{tail}, a.endLen)
	}
	v := make([][]byte, 0, len(a.merged)+2)
	if len(head) > 0 {
		v = append(v, head)
	}
	v = append(v, a.merged...)
	if len(tail) > 0 {
		v = append(v, tail)
	}
	im.event("write_aio")
	return im.writeCOW(a.host+a.startOff, a.cowStart(), v, a.endOff+a.endLen-a.startOff)
}

// readCOW reads old content.
func (im *image) readCOW(off int64, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	im.event("cow_read")
	if im.broken.Load() {
		return unix.ENOMEDIUM
	}
	return im.read(bg, off, [][]byte{b})
}

// writeCOW writes old content (with what is merged) to its new place.
func (im *image) writeCOW(host, guest int64, v [][]byte, n int64) error {
	if n == 0 {
		return nil
	}
	im.mu.Lock()
	err := im.checkOverlap(0, host, n, true)
	im.mu.Unlock()
	if err != nil {
		return err
	}
	im.event("cow_write")
	return im.writeData(bg, host, guest, v)
}

// isZeroFast tells whether a range of the disk, backing files included, is known to read as zeroes without asking the host.
func (im *image) isZeroFast(ctx context.Context, off, n int64) bool {
	if n == 0 {
		return true
	}
	s, _, err := im.n.StatusAbove(ctx, nil, false, false, off, n)
	return err == nil && s.N == n && s.Flags&block.StatusZero != 0
}

// isZero tells whether a range is known to read as zeroes. What lies behind the end of the disk counts as zero.
func (im *image) isZero(ctx context.Context, off, n int64) bool {
	if n = min(n, im.length.Load()-off); n <= 0 {
		return true
	}
	zero, err := im.n.IsZero(ctx, off, n)
	return err == nil && zero
}
