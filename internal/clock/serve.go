package clock

import (
	"context"
	"sync"
)

// Server serves lists of timers on a goroutine of its own, with no lock held: callbacks do their own locking. Local APIC timers use
// one so that they never wait for the machine lock.
type Server struct {
	alarm *Alarm
	lists []*List
	wg    sync.WaitGroup
	mu    sync.Mutex // makes reading the deadlines and setting the alarm one step
	calls sync.Mutex // held while callbacks run
}

// NewServer returns a server with one list for each clock.
func NewServer(clocks ...*Clock) (*Server, error) {
	a, err := NewAlarm()
	if err != nil {
		return nil, err
	}
	s := &Server{alarm: a}
	for _, c := range clocks {
		s.lists = append(s.lists, c.NewList(s.rearm))
	}
	return s, nil
}

// List returns the server's list for a clock, nil if it has none.
func (s *Server) List(c *Clock) *List {
	for _, l := range s.lists {
		if l.clock == c {
			return l
		}
	}
	return nil
}

// Start begins serving; it ends with ctx or Close.
func (s *Server) Start(ctx context.Context) {
	s.wg.Add(1)
	stop := context.AfterFunc(ctx, func() { _ = s.alarm.Close() })
	go func() {
		defer s.wg.Done()
		defer stop()
		s.rearm()
		for s.alarm.Wait() == nil {
			s.calls.Lock()
			for _, l := range s.lists {
				l.RunDue()
			}
			s.calls.Unlock()
			s.rearm()
		}
	}()
}

// Settle waits for callbacks that are under way: when it returns none runs any more on a clock that was stopped before.
func (s *Server) Settle() {
	s.calls.Lock()
	defer s.calls.Unlock()
}

// Close ends serving and waits for the callback in progress.
func (s *Server) Close() {
	_ = s.alarm.Close()
	s.wg.Wait()
	for _, l := range s.lists {
		l.Close()
	}
}

// Delay returns the nanoseconds until the earliest deadline of the lists, Never if there is none.
func Delay(lists []*List) int64 {
	d := Never
	for _, l := range lists {
		if at, ok := l.Deadline(); ok {
			d = min(d, max(at-l.clock.Now(), 0))
		}
	}
	return d
}

// rearm sets the alarm. Without the lock a goroutine that saw old deadlines could overwrite the alarm of one that saw new ones.
func (s *Server) rearm() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alarm.Set(Delay(s.lists))
}
