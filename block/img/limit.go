package img

import (
	"context"
	"sync"
	"time"
)

// burstDivisor is the part of a second's amount that may go at once.
const burstDivisor = 10

// limiter lets an amount per second pass.
type limiter struct {
	mu    sync.Mutex
	rate  float64 // per second
	level float64 // passed and not yet drained
	last  time.Time
}

func newLimiter(rate int64) *limiter { return &limiter{rate: float64(rate), last: time.Now()} }

// wait waits until n more may pass. A nil limiter lets everything pass.
func (l *limiter) wait(ctx context.Context, n int64) {
	if l == nil {
		return
	}
	l.mu.Lock()
	now := time.Now()
	l.level = max(0, l.level-now.Sub(l.last).Seconds()*l.rate)
	l.last = now
	over := l.level - l.rate/burstDivisor
	l.level += float64(n)
	l.mu.Unlock()
	if over <= 0 {
		return
	}
	select {
	case <-time.After(time.Duration(over / l.rate * float64(time.Second))):
	case <-ctx.Done():
	}
}
