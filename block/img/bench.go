package img

import (
	"context"
	"fmt"
	"sync"
	"time"

	"goemu/block"
)

// Bench sends requests of one kind, many at a time.
type Bench struct {
	Image         *block.Backend
	Write         bool
	Count, Depth  int
	Size, Step    int
	Offset        int64
	Pattern       byte
	FlushInterval int
	Drain         bool // wait for all requests before a flush
}

// Run measures.
func (b *Bench) Run(ctx context.Context) (time.Duration, error) {
	length, err := b.Image.Length(ctx)
	if err != nil {
		return 0, err
	}
	r := &benchRun{Bench: b, length: max(length, 1), next: b.Offset, left: b.Count}
	r.idle = sync.NewCond(&r.mu)
	var wg sync.WaitGroup
	start := time.Now()
	for range min(b.Depth, b.Count) {
		wg.Go(func() { r.work(ctx) })
	}
	wg.Wait()
	return time.Since(start), r.err
}

type benchRun struct {
	*Bench
	length int64

	mu       sync.Mutex
	idle     *sync.Cond // with mu: inFlight or flushing changed
	next     int64
	left     int // requests not sent
	sent     int
	inFlight int
	flushing bool
	err      error
}

// take takes the next request.
func (r *benchRun) take() (off int64, flush, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.flushing {
		r.idle.Wait()
	}
	if r.left == 0 || r.err != nil {
		return 0, false, false
	}
	if r.FlushInterval > 0 && r.sent > 0 && r.sent%r.FlushInterval == 0 {
		flush = true
		if r.Drain {
			r.flushing = true
			for r.inFlight > 0 {
				r.idle.Wait()
			}
		}
	}
	off = r.next
	r.next = (r.next + int64(r.Step)) % r.length
	r.left--
	r.sent++
	r.inFlight++
	return off, flush, true
}

func (r *benchRun) work(ctx context.Context) {
	buf := make([]byte, r.Size)
	for i := range buf {
		buf[i] = r.Pattern
	}
	iov := [][]byte{buf}
	for {
		off, flush, ok := r.take()
		if !ok {
			return
		}
		var err error
		if flush {
			if err = r.Image.Flush(ctx); err != nil {
				err = fmt.Errorf("Failed flush request: %s", reason(err))
			}
			if r.Drain {
				r.mu.Lock()
				r.flushing = false
				r.mu.Unlock()
				r.idle.Broadcast()
			}
		}
		if err == nil {
			if r.Write {
				err = r.Image.WriteV(ctx, off, iov, 0)
			} else {
				err = r.Image.ReadV(ctx, off, iov, 0)
			}
			if err != nil {
				err = fmt.Errorf("Failed request: %s", reason(err))
			}
		}
		r.mu.Lock()
		r.inFlight--
		if r.err == nil {
			r.err = err
		}
		wake := r.FlushInterval > 0
		r.mu.Unlock()
		if wake {
			r.idle.Broadcast()
		}
	}
}
