package migration

import (
	"sync"
	"sync/atomic"
	"time"
)

// throttle slows the guest down when it dirties memory faster than that can be sent (auto-converge): every virtual CPU sleeps for a
// part of each period.
type throttle struct {
	cpus    func() []CPU
	percent atomic.Int32 // 0: off
	high    int          // how often in a row the guest was too fast
	quit    chan struct{}
	wg      sync.WaitGroup
}

// runTime is how long a CPU runs between two sleeps.
const runTime = 10 * time.Millisecond

// observe judges a period of the dirty log.
func (t *throttle) observe(dirtied, sent uint64, p Parameters) {
	limit := sent * uint64(p.ThrottleTriggerThreshold) / 100
	if dirtied <= limit {
		return
	}
	if t.high++; t.high < 2 {
		return
	}
	t.high = 0
	now := uint64(t.percent.Load())
	if now == 0 {
		t.set(uint64(p.CpuThrottleInitial))
		return
	}
	more := uint64(p.CpuThrottleIncrement)
	if p.CpuThrottleTailslow {
		left := 100 - now
		ideal := uint64(float64(left) * float64(limit) / float64(dirtied))
		more = min(left-ideal, more)
	}
	t.set(min(now+more, uint64(p.MaxCpuThrottle)))
}

// set makes every CPU sleep for a percentage of the time.
func (t *throttle) set(percent uint64) {
	t.percent.Store(int32(percent))
	if t.quit != nil {
		return
	}
	t.quit = make(chan struct{})
	for _, c := range t.cpus() {
		t.wg.Go(func() { t.slow(c) })
	}
}

// slow is the throttling of one CPU.
func (t *throttle) slow(c CPU) {
	for {
		part := float64(t.percent.Load()) / 100
		if part <= 0 {
			return
		}
		c.Do(func() {
			select {
			case <-t.quit:
			case <-time.After(time.Duration(float64(runTime) * part / (1 - part))):
			}
		})
		select {
		case <-t.quit:
			return
		case <-time.After(runTime):
		}
	}
}

// stop lets the guest run freely.
func (t *throttle) stop() {
	t.percent.Store(0)
	if t.quit != nil {
		close(t.quit)
		t.wg.Wait()
		t.quit = nil
	}
}
