package clock

import (
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Alarm wakes a goroutine at a time with the precision of the kernel's high-resolution timers; Go's own sleep rounds to
// milliseconds when the process is idle. It makes no wake-up that was not asked for.
type Alarm struct {
	f *os.File

	mu    sync.Mutex
	armed int64 // deadline on Realtime the kernel timer is set to, Never if unset
}

// alarmSlack is how far from its deadline an alarm may be set already without being set again, in nanoseconds.
const alarmSlack = 500

// NewAlarm returns an alarm that is not set.
func NewAlarm() (*Alarm, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("timerfd_create", err)
	}
	return &Alarm{f: os.NewFile(uintptr(fd), "timerfd"), armed: Never}, nil
}

// Set makes the alarm go off in d nanoseconds (at once if not positive), or never if d is Never.
func (a *Alarm) Set(d int64) {
	at := Never
	if d != Never {
		d = max(d, 1)
		at = Realtime.Now() + d
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.armed == at || at != Never && a.armed != Never && max(a.armed-at, at-a.armed) < alarmSlack {
		return
	}
	a.armed = at
	a.settime(d)
}

func (a *Alarm) settime(d int64) {
	var spec unix.ItimerSpec
	if d != Never {
		spec.Value = unix.NsecToTimespec(d)
	}
	rc, err := a.f.SyscallConn()
	if err != nil {
		return // closed
	}
	_ = rc.Control(func(fd uintptr) { _ = unix.TimerfdSettime(int(fd), 0, &spec, nil) })
}

// Wait blocks until the alarm goes off; it returns an error after Close.
func (a *Alarm) Wait() error {
	var buf [8]byte
	_, err := a.f.Read(buf[:])
	a.mu.Lock()
	a.armed = Never
	a.mu.Unlock()
	return err
}

// Close ends the alarm and a Wait in progress.
func (a *Alarm) Close() error { return a.f.Close() }
