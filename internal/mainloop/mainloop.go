// Package mainloop runs the emulator's event loop: posted functions, timers and the machine lock under which device models run. It
// also holds the machine's run state and the requests to reset, shut down, suspend and stop it.
package mainloop

import (
	"context"
	"sync"

	"goemu/internal/clock"
)

// Lock is the machine lock. Device models, the main loop's callbacks and a vCPU's device accesses run under it. Not reentrant.
var Lock sync.Mutex

// Loop runs posted functions and timers, one at a time, under the machine lock.
type Loop struct {
	wake  chan struct{}
	lists [3]*clock.List // virtual, realtime, host

	mu    sync.Mutex
	posts []func()
	alarm *clock.Alarm // while running
}

// Main is the process's main loop.
var Main = NewLoop()

// NewLoop returns a loop that does not run yet; functions can be posted and timers set already.
func NewLoop() *Loop {
	l := &Loop{wake: make(chan struct{}, 1)}
	for i, c := range []*clock.Clock{clock.Virtual, clock.Realtime, clock.Host} {
		l.lists[i] = c.NewList(l.rearm)
	}
	return l
}

// Close takes the loop's timers from the clocks: none expires any more.
func (l *Loop) Close() {
	for _, x := range l.lists {
		x.Close()
	}
}

// Post makes f run on the main loop under the machine lock, after all functions posted before. It never blocks.
func Post(f func()) { Main.Post(f) }

// NewTimer returns a timer of the main loop; f runs under the machine lock.
func NewTimer(c *clock.Clock, f func()) *clock.Timer { return Main.NewTimer(c, f) }

// Post makes f run on the loop under the machine lock.
func (l *Loop) Post(f func()) {
	l.mu.Lock()
	l.posts = append(l.posts, f)
	l.mu.Unlock()
	l.kick()
}

func (l *Loop) kick() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Barrier waits until everything that was posted before has run. It must not be called on the loop, and not with the machine lock held.
func (l *Loop) Barrier() {
	done := make(chan struct{})
	l.Post(func() { close(done) })
	<-done
}

// Posted tells whether functions wait.
func (l *Loop) Posted() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.posts) > 0
}

// NewTimer returns a timer whose callback runs on the loop under the machine lock. c is one of clock.Virtual, Realtime and Host.
func (l *Loop) NewTimer(c *clock.Clock, f func()) *clock.Timer {
	for _, list := range l.lists {
		if list.Clock() == c {
			return list.NewTimer(f)
		}
	}
	panic("BUG: clock " + c.Name() + " has no list in the main loop")
}

// rearm sets the alarm for the earliest timer.
func (l *Loop) rearm() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.alarm != nil {
		l.alarm.Set(clock.Delay(l.lists[:]))
	}
}

// Run runs the loop until ctx ends.
func (l *Loop) Run(ctx context.Context) error {
	a, err := clock.NewAlarm()
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.alarm = a
	l.mu.Unlock()
	var wg sync.WaitGroup
	wg.Go(func() {
		for a.Wait() == nil {
			l.kick()
		}
	})
	defer func() {
		l.mu.Lock()
		l.alarm = nil
		l.mu.Unlock()
		_ = a.Close()
		wg.Wait()
	}()
	l.rearm()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.wake:
			l.RunPending()
			l.rearm()
		}
	}
}

// RunPending runs what is posted and due now, under the machine lock, which the caller must not hold.
func (l *Loop) RunPending() {
	l.mu.Lock()
	posts := l.posts
	l.posts = nil
	l.mu.Unlock()
	Lock.Lock()
	defer Lock.Unlock()
	for _, f := range posts {
		f()
	}
	for _, list := range l.lists {
		list.RunDue()
	}
}
