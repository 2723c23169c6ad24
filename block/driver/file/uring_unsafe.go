package file

import (
	"encoding/binary"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Of the kernel's interface (linux/io_uring.h).
const (
	uringOpReadv  = 1
	uringOpWritev = 2
	uringOpFsync  = 3

	uringFsyncDatasync  = 1
	uringEnterGetevents = 1

	uringOffSQ   = 0
	uringOffCQ   = 0x8000000
	uringOffSQEs = 0x10000000

	uringSQESize = 64
	uringCQESize = 16
)

// uringParams is struct io_uring_params.
type uringParams struct {
	sqEntries, cqEntries, flags, sqThreadCPU, sqThreadIdle, features, wqFD uint32
	_                                                                      [3]uint32
	sq                                                                     struct {
		head, tail, mask, entries, flags, dropped, array, _ uint32
		_                                                   uint64
	}
	cq struct {
		head, tail, mask, entries, overflow, cqes, flags, _ uint32
		_                                                   uint64
	}
}

// ring is a pair of queues shared with the kernel.
type ring struct {
	fd             int
	sq, cq, sqes   []byte
	sqTail         *uint32
	sqMask         uint32
	sqArray        []byte
	cqHead, cqTail *uint32
	cqMask         uint32
	cqes           []byte

	mu         sync.Mutex // of the submission queue
	pending    int        // entries that the kernel was not told of
	submitting bool       // somebody tells it
}

// newRing makes a ring for so many requests.
func newRing(entries uint32) (r *ring, err error) {
	var p uringParams
	fd, _, e := unix.Syscall(unix.SYS_IO_URING_SETUP, uintptr(entries), uintptr(unsafe.Pointer(&p)), 0)
	if e != 0 {
		return nil, e
	}
	r = &ring{fd: int(fd)}
	unix.CloseOnExec(r.fd)
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	for _, m := range []struct {
		b    *[]byte
		off  int64
		size uint32
	}{
		{&r.sq, uringOffSQ, p.sq.array + p.sqEntries*4},
		{&r.cq, uringOffCQ, p.cq.cqes + p.cqEntries*uringCQESize},
		{&r.sqes, uringOffSQEs, p.sqEntries * uringSQESize},
	} {
		if *m.b, err = unix.Mmap(r.fd, m.off, int(m.size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE); err != nil {
			return nil, err
		}
	}
	word := func(b []byte, off uint32) *uint32 { return (*uint32)(unsafe.Pointer(&b[off])) }
	r.sqTail, r.sqMask, r.sqArray = word(r.sq, p.sq.tail), *word(r.sq, p.sq.mask), r.sq[p.sq.array:]
	r.cqHead, r.cqTail, r.cqMask, r.cqes = word(r.cq, p.cq.head), word(r.cq, p.cq.tail), *word(r.cq, p.cq.mask), r.cq[p.cq.cqes:]
	return r, nil
}

func (r *ring) close() {
	for _, b := range [][]byte{r.sq, r.cq, r.sqes} {
		if b != nil {
			_ = unix.Munmap(b)
		}
	}
	_ = unix.Close(r.fd)
}

// submit implements asyncKernel. There are as many entries as requests, so the queue is never full. One goroutine tells the kernel of all
// entries that came meanwhile.
func (r *ring) submit(i int, q *asyncRequest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	tail := *r.sqTail // only changed here
	r.fill(tail&r.sqMask, i, q)
	atomic.StoreUint32(r.sqTail, tail+1)
	r.pending++
	if r.submitting {
		return
	}
	r.submitting = true
	for r.pending > 0 {
		n := r.pending
		r.mu.Unlock()
		if n == 1 {
			runtime.Gosched() // others may be about to add theirs
		}
		done, _, errno := unix.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(r.fd), uintptr(n), 0, 0, 0, 0)
		r.mu.Lock()
		if errno == 0 {
			r.pending -= int(done)
		} else if !again(errno) {
			panic("BUG: io_uring_enter: " + errno.Error())
		}
	}
	r.submitting = false
}

// again tells whether a call is to be repeated.
func again(e unix.Errno) bool { return e == unix.EINTR || e == unix.EAGAIN || e == unix.EBUSY }

// fill makes the entry at of a request.
func (r *ring) fill(at uint32, i int, q *asyncRequest) {
	e := r.sqes[at*uringSQESize:][:uringSQESize]
	clear(e)
	le := binary.NativeEndian
	le.PutUint32(e[4:], uint32(q.fd))
	le.PutUint64(e[32:], uint64(i))
	le.PutUint32(r.sqArray[at*4:], at)
	switch q.op {
	case opSync:
		e[0] = uringOpFsync
		le.PutUint32(e[28:], uringFsyncDatasync)
		return
	case opWrite:
		e[0] = uringOpWritev
	default:
		e[0] = uringOpReadv
	}
	le.PutUint64(e[8:], uint64(q.off))
	le.PutUint64(e[16:], uint64(uintptr(unsafe.Pointer(unsafe.SliceData(q.iov)))))
	le.PutUint32(e[24:], uint32(len(q.iov)))
	le.PutUint32(e[28:], uint32(q.flags))
}

// harvest implements asyncKernel.
func (r *ring) harvest(wait bool, done func(i int, res int64)) {
	head := *r.cqHead // only changed here
	if wait && head == atomic.LoadUint32(r.cqTail) {
		_, _, errno := unix.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(r.fd), 0, 1, uringEnterGetevents, 0, 0)
		if errno != 0 && !again(errno) {
			panic("BUG: io_uring_enter: " + errno.Error())
		}
	}
	for ; head != atomic.LoadUint32(r.cqTail); head++ {
		e := r.cqes[(head&r.cqMask)*uringCQESize:]
		i, res := binary.NativeEndian.Uint64(e), int32(binary.NativeEndian.Uint32(e[8:]))
		atomic.StoreUint32(r.cqHead, head+1)
		done(int(i), int64(res))
	}
}
