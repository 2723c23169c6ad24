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
