package file

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"goemu/block"
)

const (
	iovMax = 1024 // IOV_MAX of Linux
)

// errShortWrite is a write that made no progress.
var errShortWrite = errors.New("No space left on device")

// ReadV fills iov from off; bytes beyond the end of the file read as zero.
func (f *File) ReadV(_ context.Context, off int64, iov [][]byte) error {
	if !f.aligned(off, iov) {
		return f.readBounced(off, iov)
	}
	return f.preadv(off, iov)
}

// TryReadV reads by RWF_NOWAIT: it answers only from the page cache.
func (f *File) TryReadV(off int64, iov [][]byte) bool {
	if f.opts.Direct || len(iov) > iovMax {
		return false
	}
	n, err := unix.Preadv2(f.fd, iov, off, unix.RWF_NOWAIT)
	return err == nil && int64(n) == block.IovLen(iov)
}

// WriteV stores iov at off and grows the file if needed.
func (f *File) WriteV(_ context.Context, off int64, iov [][]byte, fua bool) error {
	if !f.writable {
		return unix.EBADF
	}
	flags := 0
	if fua && !f.opts.NoFlush {
		flags = unix.RWF_DSYNC
	}
	if !f.aligned(off, iov) {
		return f.writeBounced(off, iov, flags)
	}
	f.rmw.RLock()
	defer f.rmw.RUnlock()
	return f.pwritev(off, iov, flags)
}

// preadv reads everything that iov asks for, in as many calls as it takes.
func (f *File) preadv(off int64, iov [][]byte) error {
	var storage [16][]byte
	rest := iov
	for len(rest) > 0 {
		n, err := f.hostRead(off, rest[:min(len(rest), iovMax)])
		switch {
		case err == unix.EINTR || err == unix.EAGAIN:
			continue
		case err == unix.EINVAL && f.opts.Direct && n <= 0 && off >= f.size.Load():
			n = 0
		case err != nil:
			return hostError(err)
		}
		if n == 0 { // beyond the end of the file
			block.IovZero(rest)
			return nil
		}
		off += int64(n)
		rest = advance(storage[:0], rest, int64(n))
	}
	return nil
}

// pwritev writes all of iov.
func (f *File) pwritev(off int64, iov [][]byte, flags int) error {
	var storage [16][]byte
	rest := iov
	for len(rest) > 0 {
		n, err := f.hostWrite(off, rest[:min(len(rest), iovMax)], flags)
		switch {
		case err == unix.EINTR || err == unix.EAGAIN:
			continue
		case err != nil:
			return hostError(err)
		case n == 0 && block.IovLen(rest) > 0:
			return errShortWrite
		}
		off += int64(n)
		rest = advance(storage[:0], rest, int64(n))
	}
	f.grew(off)
	return nil
}

// hostRead is one read by the way that aio= names. What the page cache has needs no queue.
func (f *File) hostRead(off int64, iov [][]byte) (int, error) {
	if f.async != nil {
		if f.TryReadV(off, iov) {
			return int(block.IovLen(iov)), nil
		}
		return f.async.do(opRead, f.fd, off, iov, 0)
	}
	return unix.Preadv(f.fd, iov, off)
}

func (f *File) hostWrite(off int64, iov [][]byte, flags int) (int, error) {
	switch {
	case f.async != nil:
		return f.async.do(opWrite, f.fd, off, iov, flags)
	case flags == 0:
		return unix.Pwritev(f.fd, iov, off)
	}
	return unix.Pwritev2(f.fd, iov, off, flags)
}

func (f *File) hostSync() error {
	if f.async != nil {
		_, err := f.async.do(opSync, f.fd, 0, nil, 0)
		return err
	}
	return unix.Fdatasync(f.fd)
}

// grew notes that the file reaches at least to end.
func (f *File) grew(end int64) {
	for {
		size := f.size.Load()
		if end <= size || f.size.CompareAndSwap(size, end) {
			return
		}
	}
}

// advance drops the first n bytes of iov. The usual case, everything transferred, allocates nothing.
func advance(dst, iov [][]byte, n int64) [][]byte {
	total := block.IovLen(iov)
	if n >= total {
		return nil
	}
	return append([][]byte(nil), block.IovSlice(dst, iov, n, total-n)...)
}

// Discard tells the host that the contents of a range do not matter.
func (f *File) Discard(_ context.Context, off, n int64) error {
	switch {
	case !f.writable:
		return unix.EBADF
	case !f.opts.Unmap:
		return nil
	case f.noPunch.Load():
		f.discards.failed.Add(1)
		return nil
	}
	err := f.punch(off, n)
	if err != nil {
		f.discards.failed.Add(1)
	} else {
		f.discards.ok.Add(1)
		f.discards.bytes.Add(uint64(n))
	}
	if notSupported(err) {
		return nil
	}
	return hostError(err)
}

// DiscardCounts implements block.DiscardCounter.
func (f *File) DiscardCounts() (ok, failed, bytesOK uint64) {
	return f.discards.ok.Load(), f.discards.failed.Load(), f.discards.bytes.Load()
}

// zeroRange tries the host's ways of clearing a range without writing it.
func (f *File) zeroRange(off, n int64, unmap bool) error {
	if unmap && !f.noPunch.Load() && off+n <= f.size.Load() {
		if err := f.punch(off, n); !notSupported(err) {
			return err
		}
	}
	if f.noZero.Load() {
		return unix.EOPNOTSUPP
	}
	err := retry(func() error { return unix.Fallocate(f.fd, unix.FALLOC_FL_ZERO_RANGE, off, n) })
	if notSupported(err) && err != unix.EINVAL {
		f.noZero.Store(true)
	}
	return err
}

// punch makes a hole.
func (f *File) punch(off, n int64) error {
	if n <= 0 {
		return nil
	}
	err := retry(func() error {
		return unix.Fallocate(f.fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
	})
	if notSupported(err) {
		f.noPunch.Store(true)
	}
	return err
}

// notSupported tells whether a fallocate mode is missing on the host, as opposed to having failed.
func notSupported(err error) bool {
	return errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EINVAL)
}
