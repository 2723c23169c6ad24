package img

import (
	"context"
	"fmt"
	"runtime"

	"goemu/block"
)

// Verdict is the outcome of a comparison; its values are qemu-img's exit statuses.
type Verdict int

// The outcomes.
const (
	Same Verdict = iota
	Different
	_
	StatusFailed // of the question how a range is stored
	ReadFailed
)

// Comparison compares two images.
type Comparison struct {
	A, B         *block.Backend
	NameA, NameB string
	Strict       bool // sizes and allocation must be equal, too

	Progress func(percent float32) // of what was done more
	Note     func(text string)     // what is to be told besides the outcome
}

// difference ends a comparison.
type difference struct {
	verdict Verdict
	text    string
}

// Run compares. text explains the verdict.
func (c *Comparison) Run(ctx context.Context) (v Verdict, text string) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sizeA, err := c.A.Length(ctx)
	if err != nil {
		return ReadFailed, fmt.Sprintf("Can't get size of %s: %s", c.NameA, reason(err))
	}
	sizeB, err := c.B.Length(ctx)
	if err != nil {
		return ReadFailed, fmt.Sprintf("Can't get size of %s: %s", c.NameB, reason(err))
	}
	c.Progress(0)
	if c.Strict && sizeA != sizeB {
		return Different, "Strict mode: Image size mismatch!"
	}
	whole := float32(max(sizeA, sizeB))
	if d := c.inOrder(whole, func(emit func(task)) *difference { return c.walk(ctx, sizeA, sizeB, emit) }); d != nil {
		return d.verdict, d.text
	}
	if sizeA != sizeB {
		c.Note("Warning: Image size mismatch!")
		over, name := c.A, c.NameA
		if sizeB > sizeA {
			over, name = c.B, c.NameB
		}
		if d := c.inOrder(whole, func(emit func(task)) *difference {
			return c.walkRest(ctx, over, name, min(sizeA, sizeB), max(sizeA, sizeB), emit)
		}); d != nil {
			return d.verdict, d.text
		}
	}
	return Same, "Images are identical."
}

// task is a range to be looked at; f is nil if nothing is to be done.
type task struct {
	n      int64
	f      func(bufs *[2][]byte) *difference
	result chan *difference
}

// inOrder runs the tasks that walk emits on all processors and returns the first difference in their order.
func (c *Comparison) inOrder(whole float32, walk func(emit func(task)) *difference) *difference {
	workers := max(2, runtime.GOMAXPROCS(0))
	queue := make(chan task, 2*workers)
	todo := make(chan task, 2*workers)
	stop := make(chan struct{})
	end := make(chan *difference, 1)
	go func() {
		d := walk(func(t task) {
			if t.f != nil {
				t.result = make(chan *difference, 1)
				select {
				case todo <- t:
				case <-stop:
					return
				}
			}
			select {
			case queue <- t:
			case <-stop:
			}
		})
		end <- d
		close(todo)
		close(queue)
	}()
	done := make(chan struct{})
	for range workers {
		go func() {
			var bufs [2][]byte
			for t := range todo {
				t.result <- t.f(&bufs)
			}
			done <- struct{}{}
		}()
	}
	var first *difference
	for t := range queue {
		if first != nil {
			continue
		}
		if t.f != nil {
			if first = <-t.result; first != nil {
				close(stop)
				continue
			}
		}
		c.Progress(float32(t.n) / whole * 100)
	}
	for range workers {
		<-done
	}
	if d := <-end; first == nil {
		first = d
	}
	return first
}

// status asks how a range is stored in the whole chain.
func status(ctx context.Context, b *block.Backend, off, n int64, name string) (block.Status, *difference) {
	s, _, err := b.Node().StatusAbove(ctx, nil, false, true, off, n)
	if err != nil {
		return s, &difference{StatusFailed, "Sector allocation test failed for " + name}
	}
	return s, nil
}

// walk emits the common part of both images.
func (c *Comparison) walk(ctx context.Context, sizeA, sizeB int64, emit func(task)) *difference {
	var a, b block.Status
	var endA, endB int64
	for off, total := int64(0), min(sizeA, sizeB); off < total; {
		if ctx.Err() != nil {
			return nil
		}
		var d *difference
		if endA <= off {
			if a, d = status(ctx, c.A, off, sizeA-off, c.NameA); d != nil {
				return d
			}
			endA = off + a.N
		}
		if endB <= off {
			if b, d = status(ctx, c.B, off, sizeB-off, c.NameB); d != nil {
				return d
			}
			endB = off + b.N
		}
		chunk := min(endA, endB) - off
		if c.Strict && flags(a) != flags(b) {
			return &difference{Different, fmt.Sprintf("Strict mode: Offset %d block status mismatch!", off)}
		}
		t := task{n: chunk}
		inA, inB := a.Flags&block.StatusAllocated != 0, b.Flags&block.StatusAllocated != 0
		if at := off; (a.Flags&b.Flags&block.StatusZero == 0) && (inA || inB) {
			t.n = min(chunk, bufferSize)
			switch {
			case inA && inB:
				t.f = func(bufs *[2][]byte) *difference { return c.both(ctx, at, t.n, bufs) }
			case inA:
				t.f = func(bufs *[2][]byte) *difference { return empty(ctx, c.A, c.NameA, at, t.n, bufs) }
			default:
				t.f = func(bufs *[2][]byte) *difference { return empty(ctx, c.B, c.NameB, at, t.n, bufs) }
			}
		}
		emit(t)
		off += t.n
	}
	return nil
}

// flags are the flags that strict mode compares.
func flags(s block.Status) block.StatusFlags {
	return s.Flags & (block.StatusData | block.StatusZero | block.StatusOffsetValid | block.StatusAllocated | block.StatusEOF | block.StatusCompressed)
}

// walkRest emits the part that only the larger image has.
func (c *Comparison) walkRest(ctx context.Context, b *block.Backend, name string, off, end int64, emit func(task)) *difference {
	for off < end {
		s, d := status(ctx, b, off, end-off, name)
		if d != nil {
			return d
		}
		for stop := off + s.N; off < stop; {
			t := task{n: stop - off}
			if at := off; s.Flags&block.StatusAllocated != 0 && s.Flags&block.StatusZero == 0 {
				t.n = min(t.n, bufferSize)
				t.f = func(bufs *[2][]byte) *difference { return empty(ctx, b, name, at, t.n, bufs) }
			}
			emit(t)
			off += t.n
		}
	}
	return nil
}

// fill reads into one of a worker's buffers.
func fill(ctx context.Context, b *block.Backend, name string, off, n int64, buf *[]byte) ([]byte, *difference) {
	if *buf == nil {
		*buf = make([]byte, bufferSize)
	}
	p := (*buf)[:n]
	if err := b.Read(ctx, off, p); err != nil {
		return nil, &difference{ReadFailed, fmt.Sprintf("Error while reading offset %d of %s: %s", off, name, reason(err))}
	}
	return p, nil
}

// both compares the content of a range.
func (c *Comparison) both(ctx context.Context, off, n int64, bufs *[2][]byte) *difference {
	a, d := fill(ctx, c.A, c.NameA, off, n, &bufs[0])
	if d != nil {
		return d
	}
	b, d := fill(ctx, c.B, c.NameB, off, n, &bufs[1])
	if d != nil {
		return d
	}
	same, k := sameRun(a, b)
	switch {
	case !same:
		return mismatch(off)
	case k < len(a):
		return mismatch(off + int64(k))
	}
	return nil
}

// empty checks that a range reads as zeroes.
func empty(ctx context.Context, b *block.Backend, name string, off, n int64, bufs *[2][]byte) *difference {
	p, d := fill(ctx, b, name, off, n, &bufs[0])
	if d != nil {
		return d
	}
	if i := firstNonzero(p); i >= 0 {
		return mismatch(off + i)
	}
	return nil
}

func mismatch(off int64) *difference {
	return &difference{Different, fmt.Sprintf("Content mismatch at offset %d!", off)}
}

// reason is the C library's text for an error.
func reason(err error) string { return block.Strerror(block.Errno(err)) }
