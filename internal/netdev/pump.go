package netdev

import (
	"slices"
	"sync"
)

// Pump is the part of a back end's port that connects frames with functions that may block: frames from the peer wait for Next, and
// Deliver waits until the peer takes a frame.
type Pump struct {
	c *Client

	mu     sync.Mutex
	queue  [][]byte // guarded by mu: frames from the peer
	bytes  int      // guarded by mu
	closed bool     // guarded by mu
	free   [][]byte // guarded by mu: buffers for frames
	filled sync.Cond
	resume chan struct{}
	done   chan struct{}
}

// Bounds of what waits for the host.
const (
	pumpFrames = 256
	pumpBytes  = 1 << 20
	pumpFree   = 64
)

// Init makes the pump ready; c may still be nil, SetClient follows then.
func (p *Pump) Init() {
	p.filled.L = &p.mu
	p.resume, p.done = make(chan struct{}, 1), make(chan struct{})
}

// SetClient connects the pump with its client.
func (p *Pump) SetClient(c *Client) { p.c = c }

// Client is the pump's client.
func (p *Pump) Client() *Client { return p.c }

// Push takes a frame for the host, with a header before it; false means that there is no room.
func (p *Pump) Push(header, data []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return true
	}
	if len(p.queue) >= pumpFrames || p.bytes+len(data) > pumpBytes && len(p.queue) > 0 {
		return false
	}
	var b []byte
	if n := len(p.free); n > 0 {
		b, p.free = p.free[n-1], p.free[:n-1]
	}
	b = append(append(b[:0], header...), data...)
	p.queue = append(p.queue, b)
	p.bytes += len(b)
	if len(p.queue) == 1 {
		p.filled.Signal()
	}
	return true
}

// Receive implements Port.
func (p *Pump) Receive(data []byte, _ *Offload) bool { return p.Push(nil, data) }

// Next waits for frames from the peer and returns all there are; nil after Close.
func (p *Pump) Next(list [][]byte) [][]byte {
	p.mu.Lock()
	for _, b := range list {
		if len(p.free) < pumpFree {
			p.free = append(p.free, b)
		}
	}
	for len(p.queue) == 0 && !p.closed {
		p.filled.Wait()
	}
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	list = append(list[:0], p.queue...)
	clear(p.queue)
	p.queue, p.bytes = p.queue[:0], 0
	p.mu.Unlock()
	p.c.Ready()
	return list
}

// Deliver sends a frame to the peer and waits until it takes it; false after Close.
func (p *Pump) Deliver(data []byte, off *Offload) bool {
	for {
		if p.c.Send(data, off) {
			return true
		}
		select {
		case <-p.resume:
		case <-p.done:
			return false
		}
	}
}

// Resume implements Port.
func (p *Pump) Resume() {
	select {
	case p.resume <- struct{}{}:
	default:
	}
}

// LinkChanged implements Port.
func (p *Pump) LinkChanged() {}

// Done is closed by Close.
func (p *Pump) Done() <-chan struct{} { return p.done }

// Close ends Next and Deliver.
func (p *Pump) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.closed, p.queue = true, slices.Delete(p.queue, 0, len(p.queue))
	close(p.done)
	p.filled.Broadcast()
}
