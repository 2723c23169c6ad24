package img

import (
	"sync"
	"sync/atomic"
)

// pipelineWorkers is the number of requests in flight.
const pipelineWorkers = 8

// pipeline does pieces of work in parallel and in any order until one fails.
type pipeline struct {
	in     chan piece
	wg     sync.WaitGroup
	failed atomic.Bool
	once   sync.Once
	err    error
}

func newPipeline(work func(p piece) error) *pipeline {
	l := &pipeline{in: make(chan piece)}
	for range pipelineWorkers {
		l.wg.Go(func() {
			for p := range l.in {
				if l.failed.Load() {
					continue
				}
				if err := work(p); err != nil {
					l.once.Do(func() { l.err = err })
					l.failed.Store(true)
				}
			}
		})
	}
	return l
}

// put adds work; it is false after a failure.
func (l *pipeline) put(p piece) bool {
	if l.failed.Load() {
		return false
	}
	l.in <- p
	return true
}

// close waits for the work and returns the first failure.
func (l *pipeline) close() error {
	close(l.in)
	l.wg.Wait()
	return l.err
}
