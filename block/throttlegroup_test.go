package block

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"goemu/internal/clock"
)

// TestThrottleTurns has members of a group with more requests than the limits let pass in virtual time: each gets its share of each
// step, whoever asked first.
func TestThrottleTurns(t *testing.T) {
	const members, requests, size = 3, 20, 512
	clock.Virtual.SetFake(0)
	StepThrottles()
	g := NewThrottleGroup("g")
	limits := NewThrottleConfig()
	limits.Buckets[BytesWrite] = Bucket{Avg: members * size, Length: 1}
	require.NoError(t, g.SetConfig(limits))
	var done [members]atomic.Int64
	var list [members]*ThrottleMember
	for i := range list {
		list[i] = g.Join()
	}
	ask := func(i int) {
		ctx, end := Stepped(context.Background())
		go func() {
			defer end()
			if list[i].Wait(ctx, size, true) == nil {
				done[i].Add(1)
			}
		}()
	}
	until := func(text string, f func(i int) int64, want ...int64) {
		t.Helper()
		for i := range want {
			require.Eventually(t, func() bool { return f(i) == want[i] }, time.Minute, 100*time.Microsecond, "%s: member %d", text, i)
		}
		Settle()
		require.Zero(t, steps.running.Load(), text)
	}
	ended := func(i int) int64 { return done[i].Load() }
	waiting := func(i int) int64 {
		g.mu.Lock()
		defer g.mu.Unlock()
		return int64(len(list[i].waiting[throttleWrites]))
	}

	ask(members - 1)
	until("an empty bucket", ended, 0, 0, 1)
	for i := range list {
		for range requests {
			ask(i)
		}
		until("a full bucket", waiting, []int64{requests, requests, requests}[:i+1]...)
	}
	clock.Virtual.Advance(int64(3700 * time.Millisecond))
	until("time", ended, 4, 4, 4)
	require.False(t, list[0].Leave(), "two members are left")
	until("a member left", ended, requests, 4, 4)
	limits.Buckets[BytesWrite].Avg = 0
	require.NoError(t, g.SetConfig(limits))
	until("no limits", ended, requests, requests, requests+1)
}

// Neither direction starves while the other has requests waiting, and together they keep to the common limit.
func TestThrottleDirections(t *testing.T) {
	const rate, seconds = 16, 4
	clock.Virtual.SetFake(0)
	StepThrottles()
	g := NewThrottleGroup("g")
	limits := NewThrottleConfig()
	limits.Buckets[OpsTotal] = Bucket{Avg: rate, Max: rate, Length: 1}
	require.NoError(t, g.SetConfig(limits))
	m := g.Join()
	var waiting [throttleDirections][]*throttled
	passed := 0
	for _, dir := range []int{throttleWrites, throttleReads} {
		for range 2 * rate * seconds {
			if w := m.queue(context.Background(), dir, 1); w != nil {
				waiting[dir] = append(waiting[dir], w)
			} else {
				passed++
			}
		}
	}
	for range rate * seconds {
		clock.Virtual.Advance(int64(time.Second / rate))
	}
	for _, list := range waiting {
		went := 0
		for _, w := range list {
			select {
			case <-w.ready:
				went++
			default:
			}
		}
		require.Greater(t, went, rate)
		passed += went
	}
	require.InDelta(t, rate*(seconds+1), passed, 2)
}

// TestThrottleBeforeSteps has a group that was made before a test protocol's time counts go by the host's clock.
func TestThrottleBeforeSteps(t *testing.T) {
	clock.Virtual.SetFake(0)
	throttlesStepped.Store(false)
	g := NewThrottleGroup("g")
	limits := NewThrottleConfig()
	limits.Buckets[BytesRead] = Bucket{Avg: 10000, Length: 1}
	require.NoError(t, g.SetConfig(limits))
	m := g.Join()
	for range 4 {
		require.NoError(t, m.Wait(t.Context(), 500, false))
	}
}
