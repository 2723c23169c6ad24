package netdev

import (
	"slices"
	"sync"
)

// Outbox sends frames to a client's peer for a sender that cannot wait: frames for which the peer has no room wait in a queue, in order.
type Outbox struct {
	c         *Client
	maxFrames int
	maxBytes  int

	mu    sync.Mutex
	queue []outFrame // guarded by mu
	bytes int        // guarded by mu: in queue
	busy  bool       // guarded by mu: somebody is sending
	again bool       // guarded by mu: Resume was called meanwhile
}

type outFrame struct {
	data []byte
	off  *Offload
}

// Init connects the outbox with its client and bounds what waits, in frames and, unless maxBytes is zero, in bytes.
func (o *Outbox) Init(c *Client, maxFrames, maxBytes int) {
	o.c, o.maxFrames, o.maxBytes = c, maxFrames, maxBytes
}

// Send sends a frame now or later; it is the caller's again when it returns. With false it is lost, as too much waits.
func (o *Outbox) Send(data []byte, off *Offload) bool {
	o.mu.Lock()
	if o.busy || len(o.queue) > 0 {
		ok := len(o.queue) < o.maxFrames && (o.maxBytes == 0 || o.bytes+len(data) <= o.maxBytes)
		if ok {
			o.queue = append(o.queue, outFrame{slices.Clone(data), off})
			o.bytes += len(data)
		}
		o.mu.Unlock()
		return ok
	}
	o.busy, o.again = true, false
	o.mu.Unlock()
	if !o.c.Send(data, off) {
		o.mu.Lock()
		o.queue = slices.Insert(o.queue, 0, outFrame{slices.Clone(data), off})
		o.bytes += len(data)
		again := o.again
		o.busy = again
		o.mu.Unlock()
		if !again {
			return true
		}
	}
	o.drain()
	return true
}

// drain sends what is queued. Preconditions: busy is the caller's.
func (o *Outbox) drain() {
	for {
		o.mu.Lock()
		if len(o.queue) == 0 {
			o.queue, o.busy = nil, false
			o.mu.Unlock()
			return
		}
		f := o.queue[0]
		o.again = false
		o.mu.Unlock()
		if !o.c.Send(f.data, f.off) {
			o.mu.Lock()
			again := o.again
			o.busy = again
			o.mu.Unlock()
			if !again {
				return
			}
			continue
		}
		o.mu.Lock()
		o.queue[0] = outFrame{}
		o.queue = o.queue[1:]
		o.bytes -= len(f.data)
		o.mu.Unlock()
	}
}

// Resume goes on with what waits, on a goroutine of its own.
func (o *Outbox) Resume() {
	o.mu.Lock()
	if o.busy || len(o.queue) == 0 {
		o.again = true
		o.mu.Unlock()
		return
	}
	o.busy = true
	o.mu.Unlock()
	go o.drain()
}
