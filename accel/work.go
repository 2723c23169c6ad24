package accel

import "sync"

// Work is what others want to be run on a CPU's goroutine.
type Work struct {
	mu    sync.Mutex
	list  []func()
	ended bool
}

// Add queues f and returns what is closed when f has run; nil if the goroutine runs nothing any more.
func (w *Work) Add(f func()) (done <-chan struct{}) {
	c := make(chan struct{})
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return nil
	}
	w.list = append(w.list, func() { f(); close(c) })
	return c
}

// Run runs what is queued, on the CPU's goroutine.
func (w *Work) Run() {
	w.mu.Lock()
	list := w.list
	w.list = nil
	w.mu.Unlock()
	for _, f := range list {
		f()
	}
}

// End runs what is queued for the last time; Begin lets a goroutine come again.
func (w *Work) End() {
	w.mu.Lock()
	w.ended = true
	w.mu.Unlock()
	w.Run()
}

// Begin takes functions again after End.
func (w *Work) Begin() {
	w.mu.Lock()
	w.ended = false
	w.mu.Unlock()
}
