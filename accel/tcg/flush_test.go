package tcg

import (
	"sync/atomic"
	"testing"
	"time"

	eng "goemu/tcg"
	"goemu/tcg/ir"
)

// smallEngine is an engine whose cache is full after some blocks.
type smallEngine struct {
	eng.Engine
	room    int
	left    atomic.Int32
	flushed func()
}

func (e *smallEngine) Compile(b *ir.Block, id uint64) (eng.Code, error) {
	if e.left.Add(-1) < 0 {
		return eng.Code{}, eng.ErrFull{}
	}
	return e.Engine.Compile(b, id)
}

func (e *smallEngine) Flush() {
	e.Engine.Flush()
	e.flushed()
	e.left.Store(int32(e.room))
}

// TestFullCache runs two CPUs whose code does not fit in the cache: whoever looks for a block while all are dropped must see afterwards that
// its block is gone, so the epoch must not end before; and one CPU's flush is enough for both.
func TestFullCache(t *testing.T) {
	const room, sum = 12, 2 * 2000
	image := assemble(t, "atomic.asm")
	for what, e := range testEngines(t) {
		small := &smallEngine{Engine: e, room: room}
		small.left.Store(room)
		m, a := newTestMachine(t, "max", image, 2, small)
		flushes := 0
		small.flushed = func() {
			if n := a.epoch.Load(); n != uint64(flushes) {
				t.Errorf("%s: flush %d has begun epoch %d before its end", what, flushes, n)
			}
			if small.left.Load() >= 0 {
				t.Errorf("%s: flush %d came while there was room", what, flushes)
			}
			flushes++
		}
		a.Start()
		select {
		case <-m.Exit:
		case <-time.After(time.Minute):
			a.Pause()
			t.Fatalf("%s: the guest does not end\n%s%s", what, a.CPUs()[0].Dump(), a.CPUs()[1].Dump())
		}
		a.Pause()
		if flushes == 0 {
			t.Errorf("%s: the cache was never full", what)
		}
		if got := le.Uint32(m.Output()); got != sum {
			t.Errorf("%s: the sum is %d, want %d", what, got, sum)
		}
	}
}
