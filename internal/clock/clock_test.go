package clock

import (
	"context"
	"reflect"
	"testing"
	"time"
)

func TestFakeClockRunsTimersInOrder(t *testing.T) {
	c := New("test", false)
	c.SetFake(100)
	l := c.NewList(nil)
	var got []int64
	var b *Timer
	a := l.NewTimer(func() { got = append(got, c.Now()); b.Mod(c.Now() + 5) })
	b = l.NewTimer(func() { got = append(got, -c.Now()) })
	gone := l.NewTimer(func() { t.Error("deleted timer ran") })
	a.Mod(150)
	b.Mod(120)
	gone.Mod(130)
	gone.Del()
	c.Advance(100)
	if want := []int64{-120, 150, -155}; !reflect.DeepEqual(got, want) {
		t.Errorf("ran at %v, want %v", got, want)
	}
	if c.Now() != 200 || a.Pending() || b.Expiry() != Never {
		t.Errorf("now %d, pending %v, expiry %d", c.Now(), a.Pending(), b.Expiry())
	}
}

func TestStoppedClockKeepsTimersWaiting(t *testing.T) {
	c := New("test", false)
	l := c.NewList(nil)
	l.NewTimer(func() { t.Error("ran on a stopped clock") }).Mod(0)
	if _, ok := l.Deadline(); ok || l.RunDue() {
		t.Error("a stopped clock has a deadline")
	}
	c.Start()
	time.Sleep(time.Microsecond)
	c.Stop()
	now := c.Now()
	time.Sleep(time.Microsecond)
	if now == 0 || c.Now() != now {
		t.Errorf("stopped at %d, now %d", now, c.Now())
	}
}

func TestServerWakesInTime(t *testing.T) {
	s, err := NewServer(Realtime)
	if err != nil {
		t.Fatal(err)
	}
	s.Start(context.Background())
	defer s.Close()
	done := make(chan int64, 1)
	start := Realtime.Now()
	s.List(Realtime).NewTimer(func() { done <- Realtime.Now() }).Mod(start + 300_000)
	select {
	case at := <-done:
		if at < start+300_000 {
			t.Errorf("ran %d ns early", start+300_000-at)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("timer did not run")
	}
}

// TestServerKeepsAlarm sets timers while the server's goroutine sets its alarm again: no timer may be lost.
func TestServerKeepsAlarm(t *testing.T) {
	s, err := NewServer(Realtime)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s.Start(ctx)
	defer s.Close()
	hit := make(chan struct{}, 1)
	timer := s.List(Realtime).NewTimer(func() { hit <- struct{}{} })
	for i := range 3000 {
		timer.Mod(Realtime.Now() + int64(i%50)*100)
		select {
		case <-hit:
		case <-time.After(5 * time.Second):
			t.Fatalf("timer %d does not go off", i)
		}
	}
}
