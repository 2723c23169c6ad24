package nbd

import (
	"bufio"
	"crypto/tls"
	"errors"
	"math/bits"
	"net"
	"sync"
	"sync/atomic"

	proto "goemu/block/nbdproto"
)

// slowMark is set by whoever finds a request slow and taken by the reader.
type slowMark struct{ v atomic.Bool }

func (s *slowMark) set()       { s.v.Store(true) }
func (s *slowMark) take() bool { return s.v.Load() && s.v.Swap(false) }

// gate bounds the requests in flight and their data.
type gate struct {
	mu    sync.Mutex
	room  sync.Cond
	n     int
	bytes int64
}

func (g *gate) init() { g.room.L = &g.mu }

func (g *gate) full(bytes int64) bool {
	return g.n >= maxRequests || g.n > 0 && g.bytes+bytes > maxInFlight
}

func (g *gate) tryEnter(bytes int64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.full(bytes) {
		return false
	}
	g.n++
	g.bytes += bytes
	return true
}

func (g *gate) enter(bytes int64) {
	g.mu.Lock()
	for g.full(bytes) {
		g.room.Wait()
	}
	g.n++
	g.bytes += bytes
	g.mu.Unlock()
}

func (g *gate) leave(bytes int64) {
	g.mu.Lock()
	g.n--
	g.bytes -= bytes
	g.mu.Unlock()
	g.room.Signal()
}

// request is a request with its data and its reply.
type request struct {
	proto.Request
	data     []byte // of the request or of the reply
	admitted bool
	readErr  error

	head [proto.StructuredReplySize + 16]byte // of a reply with one chunk
	out  [][]byte                             // the reply
	one  [2][]byte                            // storage of out
}

var requests = sync.Pool{New: func() any { return new(request) }}

func newRequest(req proto.Request) *request {
	r := requests.Get().(*request)
	r.Request = req
	return r
}

// Buffers come in powers of two, which makes them aligned as direct I/O wants it.
const (
	minClass = 12
	maxClass = 25
)

// maxKept is how many bytes of buffers are kept for the next requests.
const maxKept = 16 << 20

// buffers are those that nobody uses now, the one used last first: it is still in the processor's cache.
var buffers struct {
	mu    sync.Mutex
	kept  int
	class [maxClass + 1][][]byte
}

// alloc gives the request a buffer of size bytes.
func (r *request) alloc(size int) {
	if size == 0 {
		r.data = nil
		return
	}
	class := max(minClass, bits.Len(uint(size-1)))
	buffers.mu.Lock()
	list := buffers.class[class]
	if n := len(list) - 1; n >= 0 {
		r.data = list[n][:size]
		buffers.class[class], list[n] = list[:n], nil
		buffers.kept -= cap(r.data)
	}
	buffers.mu.Unlock()
	if r.data == nil {
		r.data = make([]byte, size, 1<<class)
	}
}

// free gives the request and its buffer back.
func (r *request) free() {
	if n := cap(r.data); n > 0 {
		class := bits.Len(uint(n - 1))
		buffers.mu.Lock()
		if buffers.kept+n <= maxKept {
			buffers.class[class] = append(buffers.class[class], r.data[:0])
			buffers.kept += n
		}
		buffers.mu.Unlock()
	}
	*r = request{}
	requests.Put(r)
}

// sender sends replies. Those of requests that end while another reply is being sent go out together afterwards.
type sender struct {
	conn   net.Conn
	tls    *bufio.Writer // gathers small pieces for TLS
	finish func(r *request)

	mu      sync.Mutex
	idle    sync.Cond
	pending []*request // guarded by mu
	bytes   int        // guarded by mu: of pending
	busy    bool       // guarded by mu: somebody is sending
	err     error      // guarded by mu: the connection is lost
	spare   []*request
	iov     [][]byte
}

// tlsBuffer is the size of the buffer before TLS: more than a record.
const tlsBuffer = 32 << 10

func (s *sender) init(conn net.Conn, finish func(r *request)) {
	s.conn, s.finish = conn, finish
	s.idle.L = &s.mu
	if _, ok := conn.(*tls.Conn); ok {
		s.tls = bufio.NewWriterSize(conn, tlsBuffer)
	}
}

// quiet tells whether the connection was closed on this side.
func (s *sender) quiet() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Is(s.err, net.ErrClosed)
}

// queue adds a reply that flush, or the next send, will send; many of them are sent at once.
func (s *sender) queue(r *request) {
	s.mu.Lock()
	s.pending = append(s.pending, r)
	for _, b := range r.out {
		s.bytes += len(b)
	}
	full := s.bytes >= batchMax
	s.mu.Unlock()
	if full {
		s.flush()
	}
}

// send adds a reply and sends everything that is waiting, unless somebody else is sending and will do that.
func (s *sender) send(r *request) error {
	s.mu.Lock()
	s.pending = append(s.pending, r)
	return s.drain()
}

// flush sends everything that is waiting.
func (s *sender) flush() error {
	s.mu.Lock()
	if len(s.pending) == 0 {
		err := s.err
		s.mu.Unlock()
		return err
	}
	return s.drain()
}

// group is the number of replies at the beginning of a batch that are sent with one call: what is large goes out alone, so that its buffer
// is free early.
func group(batch []*request) (n int) {
	for size := 0; n < len(batch) && size < batchMax; n++ {
		for _, b := range batch[n].out {
			size += len(b)
		}
	}
	return n
}

// drain sends until nothing is waiting.
// Preconditions: mu is held; it is released.
func (s *sender) drain() error {
	if s.busy {
		err := s.err
		s.mu.Unlock()
		return err
	}
	s.busy = true
	for len(s.pending) > 0 {
		batch := s.pending
		s.pending, s.spare, s.bytes = s.spare[:0], batch, 0
		err := s.err
		s.mu.Unlock()
		for rest := batch; len(rest) > 0; {
			part := rest[:group(rest)]
			rest = rest[len(part):]
			if err == nil {
				if err = s.write(part); err != nil {
					s.conn.Close() // wakes the reader
				}
			}
			for i, r := range part {
				s.finish(r)
				part[i] = nil
			}
		}
		s.mu.Lock()
		if s.err == nil {
			s.err = err
		}
	}
	s.busy = false
	err := s.err
	s.mu.Unlock()
	return err
}

// write sends the replies of a batch with as few system calls as possible.
func (s *sender) write(batch []*request) error {
	if s.tls != nil {
		for _, r := range batch {
			for _, b := range r.out {
				if _, err := s.tls.Write(b); err != nil {
					return err
				}
			}
		}
		return s.tls.Flush()
	}
	s.iov = s.iov[:0]
	for _, r := range batch {
		s.iov = append(s.iov, r.out...)
	}
	if len(s.iov) == 1 {
		_, err := s.conn.Write(s.iov[0])
		return err
	}
	iov := net.Buffers(s.iov)
	_, err := iov.WriteTo(s.conn)
	return err
}
