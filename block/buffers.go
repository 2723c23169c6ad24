package block

import "sync"

// Buffers lends large buffers, the one that came back last first: it is still in the processor's cache.
type Buffers struct {
	size int64

	mu   sync.Mutex
	free [][]byte
}

// NewBuffers makes buffers of size bytes, aligned as those of AlignedBuffer.
func NewBuffers(size int64) *Buffers { return &Buffers{size: size} }

// Get lends a buffer of n bytes, at most the size, with any content.
func (p *Buffers) Get(n int64) []byte {
	if n < p.size/2 { // not worth holding a large one for it
		return AlignedBuffer(n)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.free) - 1
	if last < 0 {
		return AlignedBuffer(p.size)[:n]
	}
	b := p.free[last]
	p.free = p.free[:last]
	return b[:n]
}

// Put takes back what Get lent; nil is nothing.
func (p *Buffers) Put(b []byte) {
	if int64(cap(b)) == p.size {
		p.mu.Lock()
		p.free = append(p.free, b[:p.size])
		p.mu.Unlock()
	}
}
