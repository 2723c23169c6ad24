// Package file is the protocol driver for regular files and host block devices: byte ranges are read and written in place by
// preadv and pwritev, from any number of goroutines at once. It knows no image format.
package file

import (
	"context"
	"errors"
	"io/fs"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"goemu/block"
	"goemu/internal/strerror"
)

// Options are what a user can say about the file.
type Options struct {
	Filename string
	ReadOnly bool
	Direct   bool   // cache.direct: bypass the host's page cache
	NoFlush  bool   // cache.no-flush: flushes do nothing
	Unmap    bool   // discard=unmap: give discarded space back to the host
	NoLock   bool   // locking=off
	AIO      string // threads, native or io_uring
	Cache    CacheOptions
}

// File is an open image file.
type File struct {
	opts  Options
	fd    int
	isDev bool
	// generic says that it is the character device of a SCSI device, which takes nothing but commands.
	generic bool
	// writable is true if fd was opened for writing.
	writable bool
	align    int64 // request alignment with Direct, otherwise 1
	size     atomic.Int64

	// rmw orders the read-modify-write cycles of requests that are not aligned: those hold it exclusively, other writes share it.
	rmw sync.RWMutex

	noPunch, noZero atomic.Bool // the host file system lacks the fallocate mode

	discards struct{ ok, failed, bytes atomic.Uint64 }

	lockMu sync.Mutex
	held   block.Perm // guarded by lockMu: bytes 100+n locked
	denied block.Perm // guarded by lockMu: bytes 200+n locked
	closed atomic.Bool

	async *asyncQueue // nil if requests block their goroutine
}

// inspect finds the kind, size and alignment of the file.
func (f *File) inspect() error {
	var st unix.Stat_t
	if err := unix.Fstat(f.fd, &st); err != nil {
		return err
	}
	f.isDev = st.Mode&unix.S_IFMT != unix.S_IFREG
	if f.generic = f.isGeneric(); f.generic {
		return nil
	}
	size, err := unix.Seek(f.fd, 0, unix.SEEK_END)
	if err != nil {
		return err
	}
	f.size.Store(size)
	if f.opts.Direct {
		f.align = f.probeAlign()
	}
	return nil
}

// canWrite tells whether the file was opened for writing.
func (f *File) canWrite() bool { return f.writable }

// Path is the file's name as it was given.
func (f *File) Path() string { return f.opts.Filename }

// Length is the size of the file in bytes.
func (f *File) Length() int64 { return f.size.Load() }

// ReadOnly tells whether the file was opened for reading only.
func (f *File) ReadOnly() bool { return f.opts.ReadOnly }

// Align is the alignment that requests need to go without a copy.
func (f *File) Align() int64 { return f.align }

// CanUnmap tells whether Discard does anything.
func (f *File) CanUnmap() bool { return f.opts.Unmap }

// Truncate sets the size of a regular file.
func (f *File) Truncate(n int64) error {
	if err := unix.Ftruncate(f.fd, n); err != nil {
		return hostError(err)
	}
	f.size.Store(n)
	return nil
}

// Flush makes all completed writes durable.
func (f *File) Flush(context.Context) error {
	if f.opts.NoFlush || f.opts.ReadOnly {
		return nil
	}
	return hostError(retry(f.hostSync))
}

// Close releases the locks and the descriptor.
func (f *File) Close() error {
	if f.closed.Swap(true) {
		return nil
	}
	f.async.close()
	return hostError(unix.Close(f.fd))
}

// retry calls fn again as long as a signal interrupts it.
func retry(fn func() error) error {
	for {
		if err := fn(); err != unix.EINTR {
			return err
		}
	}
}

// errno is a host error with the C library's spelling of its text, as QEMU prints it.
type errno unix.Errno

// Error implements error: the first letter is a capital one, unlike in Go's table.
func (e errno) Error() string { return strerror.Text(unix.Errno(e)) }

// Unwrap gives errors.Is the system's error number.
func (e errno) Unwrap() error { return unix.Errno(e) }

func hostError(err error) error {
	var no unix.Errno
	var pe *fs.PathError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &pe):
		return hostError(pe.Err)
	case errors.As(err, &no):
		return errno(no)
	}
	return err
}
