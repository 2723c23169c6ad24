package tcg

import (
	"sync/atomic"
	"time"
)

// slice is how long a virtual CPU of a single-threaded machine executes while another one wants to.
const slice = 2 * time.Millisecond

// turn makes the virtual CPUs of a single-threaded machine execute one at a time. The token goes to the CPU that waits longest.
type turn struct {
	token  chan struct{}
	holder atomic.Pointer[CPU]
}

func newTurn() *turn {
	t := &turn{token: make(chan struct{}, 1)}
	t.token <- struct{}{}
	return t
}

// take waits until c may execute, ending the turn of whoever executes after a slice.
func (t *turn) take(c *CPU) {
	select {
	case <-t.token:
	default:
		t.wait()
	}
	t.holder.Store(c)
}

func (t *turn) wait() {
	tick := time.NewTicker(slice)
	defer tick.Stop()
	for {
		select {
		case <-t.token:
			return
		case <-tick.C:
			if h := t.holder.Load(); h != nil {
				setExitReq(&h.env.Header)
			}
		}
	}
}

// give ends a turn.
func (t *turn) give() {
	t.holder.Store(nil)
	t.token <- struct{}{}
}
