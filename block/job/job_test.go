package job

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"goemu/block"
)

// script is a body made of functions.
type script struct {
	run      func(*Job) error
	prepare  func() error
	calls    []string
	complete chan struct{}
}

func (s *script) Run(j *Job) error { return s.run(j) }
func (s *script) Prepare(*Job) error {
	s.calls = append(s.calls, "prepare")
	if s.prepare != nil {
		return s.prepare()
	}
	return nil
}
func (s *script) Commit(*Job)         { s.calls = append(s.calls, "commit") }
func (s *script) Abort(*Job)          { s.calls = append(s.calls, "abort") }
func (s *script) Clean(*Job)          { s.calls = append(s.calls, "clean") }
func (s *script) Complete(*Job) error { close(s.complete); return nil }

// log collects events as text.
type log struct {
	mu    sync.Mutex
	lines []string
}

func (l *log) listen(r Report) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch r.Event {
	case EventStatus:
		l.lines = append(l.lines, r.Job.ID+" "+r.Job.Status.String())
	case EventError:
		l.lines = append(l.lines, fmt.Sprintf("%s ERROR %s %s", r.Job.ID, r.Operation, r.Action))
	default:
		l.lines = append(l.lines, r.Job.ID+" "+[...]string{"", "READY", "PENDING", "COMPLETED", "CANCELLED"}[r.Event]+r.Job.Error)
	}
}

func newList(t *testing.T) (*List, *log) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	l := &log{}
	return NewList(block.NewGraph(), l.listen), l
}

// locked runs f with the graph lock.
func (l *List) locked(f func()) {
	l.graph.Lock()
	defer l.graph.Unlock()
	f()
}

func start(t *testing.T, l *List, s Spec, b Body) (j *Job) {
	t.Helper()
	s.Type, s.BlockJob = "test", true
	l.locked(func() {
		var err error
		j, err = l.New(s, b)
		require.NoError(t, err)
		j.Start()
	})
	return j
}

func TestLife(t *testing.T) {
	l, ev := newList(t)
	b := &script{run: func(j *Job) error { j.SetRemaining(10); j.Progress(4); return nil }}
	j := start(t, l, Spec{ID: "j"}, b)
	require.NoError(t, j.AwaitEnd())
	require.Equal(t, []string{"j created", "j running", "j waiting", "j pending", "j COMPLETED", "j concluded", "j null"}, ev.lines)
	require.Equal(t, []string{"prepare", "commit", "clean"}, b.calls)
	require.Empty(t, l.Infos())
	i := j.Info()
	require.Equal(t, [2]int64{10, 4}, [2]int64{i.Len, i.Offset})
}

func TestFailure(t *testing.T) {
	l, ev := newList(t)
	b := &script{run: func(*Job) error { return unix.ENOSPC }}
	require.ErrorIs(t, start(t, l, Spec{ID: "j"}, b).AwaitEnd(), unix.ENOSPC)
	require.Equal(t, []string{"j created", "j running", "j aborting", "j COMPLETEDNo space left on device", "j concluded", "j null"}, ev.lines)
	require.Equal(t, []string{"abort", "clean"}, b.calls)
}

func TestReadyAndComplete(t *testing.T) {
	l, ev := newList(t)
	b := &script{complete: make(chan struct{})}
	b.run = func(j *Job) error { j.MarkReady(); <-b.complete; return nil }
	j := start(t, l, Spec{ID: "j"}, b)
	require.Eventually(t, func() bool { return j.Info().Ready }, 10*time.Second, time.Millisecond)
	l.locked(func() { require.NoError(t, j.Complete()) })
	require.NoError(t, j.AwaitEnd())
	require.Equal(t, []string{"j created", "j running", "j ready", "j READY", "j waiting", "j pending", "j COMPLETED", "j concluded", "j null"}, ev.lines)
}

// untilCancelled is a body that works until it is cancelled.
func untilCancelled(j *Job) error {
	for !j.Cancelled() {
		j.Wait()
	}
	return nil
}

func TestCancelAndPause(t *testing.T) {
	l, ev := newList(t)
	j := start(t, l, Spec{ID: "j"}, &script{run: untilCancelled})
	l.locked(func() {
		require.NoError(t, j.Pause())
		require.EqualError(t, j.Pause(), "Job is already paused")
	})
	require.Eventually(t, func() bool { return j.Info().Status == Paused }, 10*time.Second, time.Millisecond)
	l.locked(func() {
		require.EqualError(t, j.Complete(), "Job 'j' in state 'paused' cannot accept command verb 'complete'")
		require.NoError(t, j.Resume())
		require.EqualError(t, j.Resume(), "Can't resume a job that was not paused")
		require.NoError(t, j.Cancel(false))
	})
	require.ErrorIs(t, j.AwaitEnd(), unix.ECANCELED)
	require.Equal(t, "j CANCELLEDOperation canceled", ev.lines[len(ev.lines)-3])
}

func TestManual(t *testing.T) {
	l, ev := newList(t)
	j := start(t, l, Spec{ID: "j", Flags: ManualFinalize | ManualDismiss}, &script{run: func(*Job) error { return nil }})
	require.Eventually(t, func() bool { return j.Info().Status == Pending }, 10*time.Second, time.Millisecond)
	l.locked(func() {
		require.EqualError(t, j.Dismiss(), "Job 'j' in state 'pending' cannot accept command verb 'dismiss'")
		require.NoError(t, j.Finalize())
		require.Equal(t, Concluded, j.Info().Status)
		_, err := l.New(Spec{ID: "j"}, &script{})
		require.EqualError(t, err, "Job ID 'j' already in use")
		require.NoError(t, j.Dismiss())
	})
	require.Equal(t, []string{"j created", "j running", "j waiting", "j pending", "j PENDING", "j COMPLETED", "j concluded", "j null"}, ev.lines)
}

func TestTransaction(t *testing.T) {
	l, _ := newList(t)
	txn := NewTxn()
	good := &script{run: func(*Job) error { return nil }}
	fail := make(chan struct{})
	var jobs []*Job
	l.locked(func() {
		for i, b := range []*script{good, {run: untilCancelled}, {run: func(*Job) error { <-fail; return errors.New("broken") }}} {
			j, err := l.New(Spec{ID: string(rune('a' + i)), Txn: txn}, b)
			require.NoError(t, err)
			jobs = append(jobs, j)
		}
		for _, j := range jobs {
			j.Start()
		}
	})
	require.Eventually(t, func() bool { return jobs[0].Info().Status == Waiting }, 10*time.Second, time.Millisecond)
	close(fail)
	require.EqualError(t, jobs[2].AwaitEnd(), "broken")
	require.ErrorIs(t, jobs[0].AwaitEnd(), unix.ECANCELED)
	require.ErrorIs(t, jobs[1].AwaitEnd(), unix.ECANCELED)
	require.Equal(t, []string{"abort", "clean"}, good.calls)
}

func TestFailedPrepare(t *testing.T) {
	l, _ := newList(t)
	b := &script{run: func(*Job) error { return nil }, prepare: func() error { return errors.New("no") }}
	require.EqualError(t, start(t, l, Spec{ID: "j"}, b).AwaitEnd(), "no")
	require.Equal(t, []string{"prepare", "abort", "clean"}, b.calls)
}

func TestStopOnError(t *testing.T) {
	l, ev := newList(t)
	j := start(t, l, Spec{ID: "j"}, &script{run: func(j *Job) error {
		for range 2 {
			j.Progress(1)
			require.Equal(t, ActionStop, j.Failed(PolicyENOSPC, false, unix.ENOSPC))
			j.PausePoint()
		}
		return nil
	}})
	for try := range int64(2) {
		require.Eventually(t, func() bool { i := j.Info(); return i.Status == Paused && i.Offset == try+1 }, 10*time.Second, time.Millisecond)
		require.Equal(t, "nospace", j.Info().IOStatus)
		l.locked(func() { require.NoError(t, j.Resume()) })
	}
	require.NoError(t, j.AwaitEnd())
	require.Contains(t, ev.lines, "j ERROR write stop")
	require.Equal(t, ActionReport, PolicyENOSPC.action(unix.EIO))
	require.Equal(t, ActionIgnore, PolicyIgnore.action(unix.EIO))
}

func TestHoldAndCancelAll(t *testing.T) {
	l, _ := newList(t)
	j := start(t, l, Spec{ID: "j"}, &script{run: func(j *Job) error {
		for !j.Cancelled() {
			j.Locked(func() {})
			j.PausePoint()
		}
		return nil
	}})
	for range 20 {
		l.locked(func() {
			j.Hold()
			j.AwaitIdle()
			j.Release()
		})
	}
	l.CancelAll()
	require.Empty(t, l.Infos())
}

func TestSpeed(t *testing.T) {
	l, _ := newList(t)
	l.locked(func() {
		j, err := l.New(Spec{ID: "j", Speed: 1000}, &script{})
		require.NoError(t, err)
		require.False(t, j.Charge(100).Any(), "the first slice")
		d := j.Charge(300)
		require.InDelta(t, float64(300*time.Millisecond), float64(d.time), float64(50*time.Millisecond))
		d = j.Charge(1 << 40)
		require.NoError(t, j.SetSpeed(0))
		j.Rest(d) // which the new speed has ended before it began
		require.False(t, j.Charge(1<<40).Any())
		for _, much := range []int64{9223372036853727232, math.MaxInt64} { // the first is libvirt's unlimited one
			require.NoError(t, j.SetSpeed(much))
			for range 3 {
				require.False(t, j.Charge(1<<20).Any())
				j.budget.start = j.budget.start.Add(-time.Second)
			}
		}
		require.EqualError(t, j.SetSpeed(-1), "Parameter 'speed' expects a non-negative value")
		require.NoError(t, j.Cancel(false))
	})
}
