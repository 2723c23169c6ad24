package clock

import (
	"container/heap"
	"math"
	"sync"
)

// Never is the expiry of a timer that is not pending.
const Never = int64(math.MaxInt64)

// List is a set of timers of one clock that one goroutine serves.
type List struct {
	clock *Clock

	mu     sync.Mutex
	heap   timerHeap
	notify func() // the earliest deadline has changed
}

// NewList returns an empty list. notify is called, without any lock of this package, when the earliest deadline changes or the clock
// starts, stops or jumps; it must not block.
func (c *Clock) NewList(notify func()) *List {
	l := &List{clock: c, notify: notify}
	c.mu.Lock()
	c.lists = append(c.lists, l)
	c.mu.Unlock()
	return l
}

// Close detaches the list from its clock.
func (l *List) Close() {
	c := l.clock
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, x := range c.lists {
		if x == l {
			c.lists = append(c.lists[:i:i], c.lists[i+1:]...)
			return
		}
	}
}

// Clock returns the clock that the timers follow.
func (l *List) Clock() *Clock { return l.clock }

// Timer calls a function once at a time.
type Timer struct {
	list  *List
	f     func()
	at    int64
	index int // in the heap, -1 when not pending
}

// NewTimer returns a timer that is not pending. f runs on the goroutine that serves the list.
func (l *List) NewTimer(f func()) *Timer { return &Timer{list: l, f: f, at: Never, index: -1} }

// Mod makes the timer pending for the time ns of its clock, whether or not it was pending.
func (t *Timer) Mod(ns int64) {
	l := t.list
	l.mu.Lock()
	first := l.first()
	t.at = ns
	if t.index >= 0 {
		heap.Fix(&l.heap, t.index)
	} else {
		heap.Push(&l.heap, t)
	}
	changed := l.first() < first
	l.mu.Unlock()
	if changed {
		l.rearm()
	}
}

// Del makes the timer not pending. A callback that has already begun is not waited for.
func (t *Timer) Del() {
	l := t.list
	l.mu.Lock()
	if t.index >= 0 {
		heap.Remove(&l.heap, t.index)
	}
	t.at = Never
	l.mu.Unlock()
}

// Pending tells whether the timer waits for its time.
func (t *Timer) Pending() bool {
	t.list.mu.Lock()
	defer t.list.mu.Unlock()
	return t.index >= 0
}

// Expiry returns the time the timer waits for, or Never.
func (t *Timer) Expiry() int64 {
	t.list.mu.Lock()
	defer t.list.mu.Unlock()
	return t.at
}

// Restore makes the timer pending for ns, or not pending when ns is negative or Never; Saved is its inverse. They are the form in
// which a timer is migrated (all ones: not pending).
func (t *Timer) Restore(ns int64) {
	if ns == -1 || ns == Never {
		t.Del()
		return
	}
	t.Mod(ns)
}

// Saved returns the expiry, or -1.
func (t *Timer) Saved() int64 {
	if ns := t.Expiry(); ns != Never {
		return ns
	}
	return -1
}

// Deadline returns the time of the earliest timer; ok is false if there is none or the clock is stopped.
func (l *List) Deadline() (ns int64, ok bool) {
	if !l.clock.Running() {
		return 0, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	ns = l.first()
	return ns, ns != Never
}

// RunDue calls the functions of all timers whose time has come and tells whether there were any. What becomes due meanwhile is left
// for the next call, so that a guest that asks for a very short period does not keep the caller here.
func (l *List) RunDue() bool {
	ran := false
	now := l.clock.Now()
	for l.clock.Running() {
		l.mu.Lock()
		if l.first() > now {
			l.mu.Unlock()
			break
		}
		t := heap.Pop(&l.heap).(*Timer)
		t.at = Never
		l.mu.Unlock()
		ran = true
		t.f()
	}
	return ran
}

func (l *List) first() int64 {
	if len(l.heap) == 0 {
		return Never
	}
	return l.heap[0].at
}

func (l *List) rearm() {
	if l.notify != nil {
		l.notify()
	}
}

// timerHeap implements heap.Interface.
type timerHeap []*Timer

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].at < h[j].at }
func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements heap.Interface.
func (h *timerHeap) Push(x any) {
	t := x.(*Timer)
	t.index = len(*h)
	*h = append(*h, t)
}

// Pop implements heap.Interface.
func (h *timerHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	t.index = -1
	return t
}
