package block

import (
	"sync"
	"sync/atomic"
)

// requestKind is what a request does to the node.
type requestKind uint8

const (
	reqRead requestKind = iota
	reqWrite
	reqDiscard
	reqTruncate
)

// request is a request in flight on a node. Serialising requests exclude all others from their range.
type request struct {
	prev, next *request
	kind       requestKind
	off, end   int64 // what others must not overlap if one of the two is serialising

	serialising bool
	waiting     *request      // the request that this one waits for
	done        chan struct{} // made by the first one to wait for the end
}

// tracker knows the requests in flight of a node.
type tracker struct {
	mu          sync.Mutex
	first       *request
	free        *request // for reuse, linked by next
	count       int      // requests in flight, and other work that drain waits for
	serialising atomic.Int32
	idle        chan struct{} // closed when count falls to 0; made by whoever waits for that
}

// begin enters a request.
func (t *tracker) begin(kind requestKind, off, n int64) *request {
	t.mu.Lock()
	r := t.free
	if r == nil {
		r = new(request)
	} else {
		t.free = r.next
	}
	*r = request{kind: kind, off: off, end: off + n, next: t.first}
	if r.next != nil {
		r.next.prev = r
	}
	t.first = r
	t.count++
	t.mu.Unlock()
	return r
}

// end takes a request out and wakes those that wait for it.
func (t *tracker) end(r *request) {
	t.mu.Lock()
	if r.prev != nil {
		r.prev.next = r.next
	} else {
		t.first = r.next
	}
	if r.next != nil {
		r.next.prev = r.prev
	}
	if r.serialising {
		t.serialising.Add(-1)
	}
	if r.done != nil {
		close(r.done)
	} else {
		*r = request{next: t.free}
		t.free = r
	}
	t.leave()
	t.mu.Unlock()
}

// leave counts one piece of work less.
// Preconditions: mu is held.
func (t *tracker) leave() {
	if t.count--; t.count == 0 && t.idle != nil {
		close(t.idle)
		t.idle = nil
	}
}

// enter counts work that is no request of its own; exit ends it.
func (t *tracker) enter() {
	t.mu.Lock()
	t.count++
	t.mu.Unlock()
}

func (t *tracker) exit() {
	t.mu.Lock()
	t.leave()
	t.mu.Unlock()
}

// wait waits until nothing is in flight.
func (t *tracker) wait() {
	t.mu.Lock()
	for t.count > 0 {
		if t.idle == nil {
			t.idle = make(chan struct{})
		}
		idle := t.idle
		t.mu.Unlock()
		<-idle
		t.mu.Lock()
	}
	t.mu.Unlock()
}

// conflict finds a request that r must wait for. One that waits itself is left out: it will find r when it wakes up.
// Preconditions: mu is held.
func (t *tracker) conflict(r *request) *request {
	if t.serialising.Load() == 0 {
		return nil
	}
	for x := t.first; x != nil; x = x.next {
		if x == r || !x.serialising && !r.serialising || x.waiting != nil || x.off >= r.end || r.off >= x.end {
			continue
		}
		return x
	}
	return nil
}

// waitFor waits until no request conflicts with r; it reports whether it had to.
func (t *tracker) waitFor(r *request) (waited bool) {
	if t.serialising.Load() == 0 {
		return false
	}
	t.mu.Lock()
	for {
		x := t.conflict(r)
		if x == nil {
			t.mu.Unlock()
			return waited
		}
		waited = true
		if x.done == nil {
			x.done = make(chan struct{})
		}
		r.waiting = x
		t.mu.Unlock()
		<-x.done
		t.mu.Lock()
		r.waiting = nil
	}
}

// serialise makes the request exclude others from its range, widened to align.
func (t *tracker) serialise(r *request, align int64) {
	t.mu.Lock()
	if !r.serialising {
		r.serialising = true
		t.serialising.Add(1)
	}
	r.off, r.end = min(r.off, alignDown(r.off, align)), max(r.end, alignUp(r.end, align))
	t.mu.Unlock()
}

// trySerialise is serialise for requests that would rather fail than wait.
func (t *tracker) trySerialise(r *request, align int64) bool {
	t.serialise(r, align)
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.conflict(r) == nil
}

func alignDown(n, align int64) int64 { return n - n%align }

// alignUp rounds up, as far as that is possible.
func alignUp(n, align int64) int64 {
	if rest := n % align; rest != 0 && n <= 1<<63-1-(align-rest) {
		return n + align - rest
	}
	return n
}
