package file

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Of the kernel's interface (linux/aio_abi.h).
const (
	iocbPreadv  = 7
	iocbPwritev = 8
)

// iocb is struct iocb of a little-endian host.
type iocb struct {
	data    uint64
	_       uint32
	rwFlags int32
	op      uint16
	_       int16
	fd      uint32
	buf, n  uint64
	off     int64
	_       uint64
	_       uint64
}

// ioEvent is struct io_event.
type ioEvent struct {
	data, _   uint64
	res, res2 int64
}

// linuxAIO is a context of the kernel's older interface.
type linuxAIO struct {
	ctx    uintptr
	events [32]ioEvent
}

func newLinuxAIO(entries int) (*linuxAIO, error) {
	l := new(linuxAIO)
	if _, _, e := unix.Syscall(unix.SYS_IO_SETUP, uintptr(entries), uintptr(unsafe.Pointer(&l.ctx)), 0); e != 0 {
		return nil, e
	}
	return l, nil
}

func (l *linuxAIO) close() { unix.Syscall(unix.SYS_IO_DESTROY, l.ctx, 0, 0) }

// submit implements asyncKernel.
func (l *linuxAIO) submit(i int, q *asyncRequest) {
	c := &iocb{data: uint64(i), rwFlags: int32(q.flags), op: iocbPreadv, fd: uint32(q.fd), off: q.off, n: uint64(len(q.iov)),
		buf: uint64(uintptr(unsafe.Pointer(unsafe.SliceData(q.iov))))}
	switch q.op {
	case opWrite:
		c.op = iocbPwritev
	case opSync: // the interface has no fdatasync on every file system
		e, _ := unix.Fdatasync(q.fd).(unix.Errno)
		q.end(-int64(e))
		return
	}
	for {
		_, _, errno := unix.Syscall(unix.SYS_IO_SUBMIT, l.ctx, 1, uintptr(unsafe.Pointer(&c)))
		if errno != 0 && again(errno) {
			continue
		}
		if errno != 0 {
			q.end(-int64(errno))
		}
		return
	}
}

// harvest implements asyncKernel.
func (l *linuxAIO) harvest(wait bool, done func(i int, res int64)) {
	least := uintptr(0)
	if wait {
		least = 1
	}
	n, _, errno := unix.Syscall6(unix.SYS_IO_GETEVENTS, l.ctx, least, uintptr(len(l.events)), uintptr(unsafe.Pointer(&l.events[0])), 0, 0)
	if errno != 0 && errno != unix.EINTR {
		panic("BUG: io_getevents: " + errno.Error())
	} else if errno != 0 {
		return
	}
	for _, e := range l.events[:n] {
		done(int(e.data), e.res)
	}
}
