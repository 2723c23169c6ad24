package tcg

import "sync"

// Dirty logging: while a RAM block is tracked, the first store through an entry of the soft TLB takes the slow path, which marks the page
// dirty and lets further stores go directly. A round of the log begins by collecting and clearing the marks; then every CPU, between two
// instructions, makes all its entries slow again. A store made in between hits a page that was just collected and is seen when that page
// is read.

// Log begins a round of the dirty log: it returns when every CPU reports the next store to each page of tracked RAM. The marks have been
// collected before. No lock that a CPU may wait for is held.
func (a *Accel) Log() {
	var wg sync.WaitGroup
	for _, c := range a.list() {
		wg.Go(func() { c.Do(c.relog) })
	}
	wg.Wait()
}

// relog is Log for one CPU, on its goroutine.
func (c *CPU) relog() {
	c.kernel.relog()
	for i := range c.spaces {
		if s := &c.spaces[i]; s.valid {
			s.user.relog()
			s.ac.relog()
		}
	}
}
