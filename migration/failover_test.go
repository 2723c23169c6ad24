package migration

import (
	"slices"
	"sync"
	"testing"
	"time"
)

// pair is a Failover whose device goes when the test says so.
type pair struct {
	withdrawn, gone, restored bool // guarded by the machine lock
}

func (p *pair) WithdrawPrimaries() { p.withdrawn = true }
func (p *pair) Withdrawing() bool  { return p.withdrawn && !p.gone }
func (p *pair) RestorePrimaries()  { p.restored = true }

// TestFailover: a migration does not begin before the guest has let go of what cannot migrate, and gives it back if it comes to nothing.
func TestFailover(t *testing.T) {
	for _, cancel := range []bool{false, true} {
		e, _, _ := newEngine(t, false)
		p := new(pair)
		e.M.Failover, e.M.Log, e.M.CPUs = p, func() {}, func() []CPU { return nil }
		var mu sync.Mutex
		var seen []Status
		e.Hooks.Status = func(s Status) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, s)
		}
		if err := e.SetCapabilities(map[Capability]bool{CapEvents: true}); err != nil {
			t.Fatal(err)
		}
		until := func(s Status) {
			t.Helper()
			for end := time.Now().Add(2 * time.Minute); e.Query().Status != s; time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("%s, not %s", e.Query().Status, s)
				}
			}
		}
		if err := e.Migrate("exec:cat >/dev/null", nil); err != nil {
			t.Fatal(err)
		}
		until(WaitUnplug)
		if !e.Migrating() {
			t.Error("it does not migrate")
		}
		want := []Status{Setup, WaitUnplug, Active, Completed}
		if cancel {
			e.Cancel()
			if s := e.Query().Status; s != Cancelling {
				t.Errorf("%s while the guest still has the device", s)
			}
			want = []Status{Setup, WaitUnplug, Cancelling, Cancelled}
		}
		withMachine(func() { p.gone = true })
		until(want[len(want)-1])
		<-e.out.done
		withMachine(func() {
			if p.restored != cancel {
				t.Errorf("restored %v, cancelled %v", p.restored, cancel)
			}
		})
		mu.Lock()
		if !slices.Equal(seen, want) {
			t.Errorf("%v, want %v", seen, want)
		}
		mu.Unlock()
	}
}
