package chardev

import (
	"errors"
	"sync"
)

// Ring is the endpoint of kind ringbuf: it keeps the last bytes of the output.
type Ring struct {
	mu   sync.Mutex
	buf  []byte
	prod uint64
	cons uint64
	b    *Backend
}

const defaultRingSize = 64 << 10

func openRing(b *Backend, s *Spec) error {
	size, err := s.size("size", defaultRingSize)
	if err != nil {
		return err
	}
	if size == 0 || size&(size-1) != 0 || size > 1<<30 {
		return errors.New("size of ringbuf chardev must be power of two")
	}
	b.end = &Ring{buf: make([]byte, size), b: b}
	return nil
}

// Ring returns the ring of a backend of kind ringbuf or memory, nil for others.
func (b *Backend) Ring() *Ring {
	r, _ := b.endpoint().(*Ring)
	return r
}

func (r *Ring) name() string { return "ringbuf" }
func (r *Ring) stop(bool)    {}

// wrote moves the queue into the ring; the oldest bytes give way.
func (r *Ring) wrote() {
	r.b.mu.Lock()
	data := r.b.out
	r.b.out = nil
	r.b.notifyWritable()
	r.b.mu.Unlock()
	r.Write(data)
	if l := r.b.log; l != nil {
		l.write(data)
	}
}

// Write adds bytes; the oldest ones give way.
func (r *Ring) Write(data []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	size := uint64(len(r.buf))
	for _, c := range data {
		r.buf[r.prod&(size-1)] = c
		r.prod++
	}
	if r.prod-r.cons > size {
		r.cons = r.prod - size
	}
}

// Read takes up to n of the bytes kept.
func (r *Ring) Read(n int) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	n = int(min(uint64(max(n, 0)), r.prod-r.cons))
	p := make([]byte, n)
	for i := range p {
		p[i] = r.buf[r.cons&uint64(len(r.buf)-1)]
		r.cons++
	}
	return p
}
