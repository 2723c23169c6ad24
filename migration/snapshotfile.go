package migration

import (
	"context"
	"io"
	"sync"

	"goemu/block"
)

// stateChunk is how much of a machine's state is read or written at once: whole clusters of all formats, so that nothing is copied.
const stateChunk = 4 << 20

// stateWriter writes a machine's state into an image: while one chunk is on its way the next is filled.
type stateWriter struct {
	n     *block.Node
	b     []byte
	at    int64 // of b in the state
	spare chan []byte
	work  chan stateWork
	wg    sync.WaitGroup

	mu  sync.Mutex
	err error // guarded by mu
}

type stateWork struct {
	b  []byte
	at int64
}

func newStateWriter(n *block.Node) *stateWriter {
	w := &stateWriter{n: n, b: make([]byte, 0, stateChunk), spare: make(chan []byte, 2), work: make(chan stateWork, 1)}
	for range cap(w.spare) {
		w.spare <- make([]byte, 0, stateChunk)
	}
	w.wg.Go(w.write)
	return w
}

func (w *stateWriter) write() {
	for c := range w.work {
		if w.failed() == nil {
			if err := w.n.SaveVMState(context.Background(), c.at, [][]byte{c.b}); err != nil {
				w.mu.Lock()
				w.err = err
				w.mu.Unlock()
			}
		}
		w.spare <- c.b[:0]
	}
}

func (w *stateWriter) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// WriteVector implements wire.VectorWriter.
func (w *stateWriter) WriteVector(v [][]byte) error {
	for _, p := range v {
		for len(p) > 0 {
			k := min(len(p), cap(w.b)-len(w.b))
			w.b = append(w.b, p[:k]...)
			p = p[k:]
			if len(w.b) == cap(w.b) {
				w.pass()
			}
		}
	}
	return w.failed()
}

// Write implements io.Writer.
func (w *stateWriter) Write(p []byte) (int, error) {
	return len(p), w.WriteVector([][]byte{p})
}

func (w *stateWriter) pass() {
	w.work <- stateWork{w.b, w.at}
	w.at += int64(len(w.b))
	w.b = <-w.spare
}

// Close writes the rest and returns the first error.
func (w *stateWriter) Close() error {
	if len(w.b) > 0 {
		w.pass()
	}
	close(w.work)
	w.wg.Wait()
	return w.failed()
}

// stateReader reads a machine's state from an image, one chunk ahead.
type stateReader struct {
	b     []byte
	chunk []byte // that b is of
	ready chan stateRead
	spare chan []byte
	quit  chan struct{}
	wg    sync.WaitGroup
	err   error
}

type stateRead struct {
	b   []byte
	err error
}

func newStateReader(n *block.Node, size uint64) *stateReader {
	r := &stateReader{ready: make(chan stateRead), spare: make(chan []byte, 2), quit: make(chan struct{})}
	for range cap(r.spare) {
		r.spare <- make([]byte, stateChunk)
	}
	r.wg.Go(func() { r.read(n, size) })
	return r
}

func (r *stateReader) read(n *block.Node, size uint64) {
	defer close(r.ready)
	for at := uint64(0); at < size; {
		var b []byte
		select {
		case b = <-r.spare:
		case <-r.quit:
			return
		}
		b = b[:min(stateChunk, size-at)]
		err := n.LoadVMState(context.Background(), int64(at), [][]byte{b})
		at += uint64(len(b))
		select {
		case r.ready <- stateRead{b, err}:
		case <-r.quit:
			return
		}
		if err != nil {
			return
		}
	}
}

// Read implements io.Reader.
func (r *stateReader) Read(p []byte) (int, error) {
	if len(r.b) == 0 && r.err == nil {
		if r.chunk != nil {
			r.spare <- r.chunk[:stateChunk]
			r.chunk = nil
		}
		c, ok := <-r.ready
		switch {
		case !ok:
			r.err = io.EOF
		case c.err != nil:
			r.err = c.err
		default:
			r.b, r.chunk = c.b, c.b
		}
	}
	n := copy(p, r.b)
	r.b = r.b[n:]
	if n == 0 && len(p) > 0 {
		return 0, r.err
	}
	return n, nil
}

// Close ends the reading.
func (r *stateReader) Close() {
	close(r.quit)
	r.wg.Wait()
}
