package block

import (
	"context"
	"sync/atomic"
	"time"

	"goemu/internal/clock"
)

// step counts requests that have neither ended nor wait for limits, while a test protocol moves the time.
type step struct{ running atomic.Int64 }

var steps step

type stepKey struct{}

// Stepped begins an operation whose requests a test protocol's commands wait for: they use the result. end ends the operation.
func Stepped(ctx context.Context) (with context.Context, end func()) {
	if !clock.Virtual.Manual() {
		return ctx, func() {}
	}
	steps.add(1)
	return context.WithValue(ctx, stepKey{}, &steps), func() { steps.add(-1) }
}

func stepOf(ctx context.Context) *step {
	s, _ := ctx.Value(stepKey{}).(*step)
	return s
}

// add does nothing for an operation that nobody waits for.
func (s *step) add(n int64) {
	if s != nil {
		s.running.Add(n)
	}
}

// settleLimit is how long Settle waits, settleStep how long between two looks.
const (
	settleLimit = 100 * time.Millisecond
	settleStep  = 20 * time.Microsecond
)

// Settle waits until operations have ended or wait for limits: a test protocol's commands take no time.
func Settle() {
	for end := time.Now().Add(settleLimit); steps.running.Load() > 0 && time.Now().Before(end); {
		time.Sleep(settleStep)
	}
}
