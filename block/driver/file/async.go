package file

import (
	"golang.org/x/sys/unix"

	"goemu/block"
)

// asyncEntries is the number of requests that one file has in flight with the kernel; others wait.
const asyncEntries = 128

// asyncOp is what an asynchronous request does.
type asyncOp uint8

const (
	opRead asyncOp = iota
	opWrite
	opSync // like fdatasync
)

// asyncRequest is a request with its slot in the kernel's queue.
type asyncRequest struct {
	op    asyncOp
	fd    int
	off   int64
	flags int // RWF_…
	iov   []unix.Iovec

	done chan int64 // bytes, or a negative error number
}

// asyncKernel is one of the host's two interfaces for requests that do not block who makes them.
type asyncKernel interface {
	// submit hands the request in slot i over; what the kernel refuses ends with its error. It may be called by several goroutines at once.
	submit(i int, r *asyncRequest)
	// harvest calls done for requests that ended; wait tells that it may not come back without any.
	// Preconditions: nobody else is in it.
	harvest(wait bool, done func(i int, res int64))
	close()
}

// asyncQueue lets many goroutines have requests in flight. There is no goroutine and no thread that waits for completions: among those
// whose request is in flight, the one who holds the token does that for all, until its own has ended.
type asyncQueue struct {
	kernel asyncKernel
	free   chan int
	token  chan struct{}
	slots  [asyncEntries]asyncRequest
}

// newAsyncQueue opens an interface by its name in "aio="; nil stands for threads.
func newAsyncQueue(aio string) (*asyncQueue, error) {
	var k asyncKernel
	switch aio {
	case aioUring:
		r, err := newRing(asyncEntries)
		if err != nil {
			return nil, block.Errnof(block.Errno(err), "Unable to use io_uring: failed to init linux io_uring ring")
		}
		k = r
	case aioNative:
		l, err := newLinuxAIO(asyncEntries)
		if err != nil {
			return nil, block.Errnof(block.Errno(err), "Unable to use native AIO: failed to create linux AIO context")
		}
		k = l
	default:
		return nil, nil
	}
	q := &asyncQueue{kernel: k, free: make(chan int, asyncEntries), token: make(chan struct{}, 1)}
	for i := range asyncEntries {
		q.slots[i].done = make(chan int64, 1)
		q.free <- i
	}
	q.token <- struct{}{}
	return q, nil
}

// close gives the interface back. No request is in flight.
func (q *asyncQueue) close() {
	if q != nil {
		q.kernel.close()
	}
}

// do makes a request and waits for its end. The vector stays referenced by the slot until then.
func (q *asyncQueue) do(op asyncOp, fd int, off int64, iov [][]byte, flags int) (int, error) {
	i := <-q.free
	r := &q.slots[i]
	r.op, r.fd, r.off, r.flags = op, fd, off, flags
	r.iov = r.iov[:0]
	for _, b := range iov {
		if len(b) > 0 {
			v := unix.Iovec{Base: &b[0]}
			v.SetLen(len(b))
			r.iov = append(r.iov, v)
		}
	}
	q.kernel.submit(i, r)
	res := q.await(r)
	clear(r.iov)
	q.free <- i
	if res < 0 {
		return 0, unix.Errno(-res)
	}
	return int(res), nil
}

// await waits until the request has ended and returns its result.
func (q *asyncQueue) await(r *asyncRequest) int64 {
	select {
	case res := <-r.done:
		return res
	case <-q.token:
	}
	defer func() { q.token <- struct{}{} }()
	for wait := false; ; wait = true {
		// The first look takes what is there already: requests that the page cache serves end while they are submitted.
		q.kernel.harvest(wait, q.finish)
		select {
		case res := <-r.done:
			return res
		default:
		}
	}
}

func (q *asyncQueue) finish(i int, res int64) { q.slots[i].end(res) }

// end tells who waits for the request.
func (r *asyncRequest) end(res int64) { r.done <- res }
