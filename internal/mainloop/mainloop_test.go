package mainloop

import (
	"context"
	"reflect"
	"sync"
	"testing"
	"time"

	"goemu/internal/clock"
)

// runLoop runs l for the duration of the test.
func runLoop(t *testing.T, l *Loop) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := l.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
}

func TestLoopRunsPostsAndTimersUnderLock(t *testing.T) {
	l := NewLoop()
	runLoop(t, l)
	done := make(chan bool, 2)
	report := func() { done <- !Lock.TryLock() }
	l.Post(report)
	l.NewTimer(clock.Realtime, report).Mod(clock.Realtime.Now() + 1000)
	for range 2 {
		select {
		case locked := <-done:
			if !locked {
				t.Error("ran without the machine lock")
			}
		case <-time.After(5 * time.Second):
			t.Fatal("callback did not run")
		}
	}
}

func TestRequests(t *testing.T) {
	tests := []struct {
		name   string
		setup  func(*VM)
		do     func(*VM)
		state  RunState
		events []Event
		exit   ShutdownCause
	}{
		{"reset", nil, func(v *VM) { v.RequestReset(CauseGuestReset) }, StateRunning, []Event{{Name: "RESET", Cause: CauseGuestReset}}, ""},
		{"no-reboot", func(v *VM) { v.NoReboot = true }, func(v *VM) { v.RequestReset(CauseGuestReset) }, StateRunning,
			[]Event{{Name: "SHUTDOWN", Cause: CauseGuestReset}}, CauseGuestReset},
		{"no-shutdown", func(v *VM) { v.NoShutdown = true }, func(v *VM) { v.RequestShutdown(CauseGuestShutdown) }, StateShutdown,
			[]Event{{Name: "SHUTDOWN", Cause: CauseGuestShutdown}, {Name: "STOP", Cause: CauseNone}}, ""},
		{"reset while shut down", func(v *VM) { v.NoShutdown = true; v.Stop(StateShutdown) },
			func(v *VM) { v.RequestReset(CauseHostSystemReset) }, StatePrelaunch,
			[]Event{{Name: "RESET", Cause: CauseHostSystemReset}}, ""},
		{"suspend", nil, func(v *VM) { v.RequestSuspend() }, StateSuspended, []Event{{Name: "SUSPEND", Cause: CauseNone}}, ""},
		{"panic", nil, func(v *VM) { v.RequestPanic() }, StateGuestPanicked, []Event{{Name: "GUEST_PANICKED", Action: "poweroff"},
			{Name: "STOP", Cause: CauseNone}, {Name: "SHUTDOWN", Cause: CauseGuestPanic}}, CauseGuestPanic},
		{"panic, no-shutdown", func(v *VM) { v.NoShutdown = true }, func(v *VM) { v.RequestPanic() }, StateGuestPanicked,
			[]Event{{Name: "GUEST_PANICKED", Action: "pause"}, {Name: "STOP", Cause: CauseNone}}, ""},
		{"panic, none", func(v *VM) { v.OnPanic = PanicNone }, func(v *VM) { v.RequestPanic() }, StateRunning,
			[]Event{{Name: "GUEST_PANICKED", Action: "run"}}, ""},
		{"watchdog", nil, func(v *VM) { v.Watchdog() }, StateRunning, []Event{{Name: "WATCHDOG", Action: "reset"}, {Name: "RESET", Cause: CauseGuestReset}}, ""},
		{"watchdog, pause", func(v *VM) { v.OnWatchdog = WatchdogPause }, func(v *VM) { v.Watchdog() }, StateWatchdog,
			[]Event{{Name: "WATCHDOG", Action: "pause"}, {Name: "STOP", Cause: CauseNone}}, ""},
		{"powerdown", nil, func(v *VM) { v.RequestPowerdown() }, StateRunning, []Event{{Name: "POWERDOWN", Cause: CauseNone}}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := NewLoop()
			v := NewVM(l)
			v.Start()
			if tt.setup != nil {
				tt.setup(v)
			}
			var events []Event
			v.OnEvent(func(e Event) { events = append(events, e) })
			tt.do(v)
			l.RunPending()
			var exit ShutdownCause
			select {
			case exit = <-v.Exit():
			default:
			}
			if v.State() != tt.state || exit != tt.exit || !reflect.DeepEqual(events, tt.events) {
				t.Errorf("state %s, exit %q, events %v", v.State(), exit, events)
			}
		})
	}
}

// TestHold: what is asked for while the machine's state is saved or replaced is done after, or forgotten with the guest that asked for it.
func TestHold(t *testing.T) {
	l := NewLoop()
	v := NewVM(l)
	v.Start()
	resets := 0
	v.Reset = func(ShutdownCause) { resets++ }
	hold := func(cause ShutdownCause, forget bool) (during, after int) {
		resets = 0
		v.Hold()
		v.RequestReset(cause)
		l.RunPending()
		during = resets
		if forget {
			v.Forget()
		}
		v.Release()
		l.RunPending()
		return during, resets
	}
	for _, tt := range []struct {
		cause  ShutdownCause
		forget bool
		want   int
	}{{CauseGuestReset, false, 1}, {CauseGuestReset, true, 0}, {CauseHostSystemReset, true, 1}} {
		if during, after := hold(tt.cause, tt.forget); during != 0 || after != tt.want {
			t.Errorf("%+v: %d resets during, %d after", tt, during, after)
		}
	}
}

// TestPausesNest: who pauses the CPUs gives the machine lock away meanwhile. Another one that pauses them then, or stops the machine, does not
// make them go on under the first.
func TestPausesNest(t *testing.T) {
	v := NewVM(NewLoop())
	v.Start()
	run := true
	var between func()
	v.Resume = func() { run = true }
	v.Pause = func(stopped func()) {
		f := between
		between = nil
		if f != nil {
			f()
		}
		run = false
		stopped()
	}
	v.Reset = func(ShutdownCause) {
		if run {
			t.Error("a reset while the CPUs run")
		}
	}
	reset := func() { v.serveReset(CauseGuestReset) }
	between = reset
	v.Stop(StatePaused)
	if run || v.State() != StatePaused {
		t.Errorf("stopped, with a reset meanwhile: CPUs run %v, state %s", run, v.State())
	}
	v.Start()
	between = func() { v.Stop(StateIOError) }
	reset()
	if run || v.State() != StatePrelaunch {
		t.Errorf("reset, stopped meanwhile: CPUs run %v, state %s", run, v.State())
	}
	v.Start()
	between = func() { v.Stop(StateIOError) }
	v.Stop(StateSaveVM)
	if run || v.State() != StateIOError {
		t.Errorf("stopped twice: CPUs run %v, state %s", run, v.State())
	}
	v.Start()
	between = func() {
		v.PauseCPUs()
		v.ResumeCPUs()
	}
	v.PauseCPUs()
	if run {
		t.Error("the inner pair of pauses let the CPUs go on")
	}
	if v.ResumeCPUs(); !run {
		t.Error("the CPUs stand still")
	}
}
