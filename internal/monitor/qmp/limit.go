package qmp

import (
	"sync"
	"time"

	"goemu/internal/clock"
	"goemu/internal/mainloop"
	"goemu/qapi"
)

// limited are the events that a guest can cause at will: at most one per period for each value of the member named, or one in all.
var limited = map[string]string{"RTC_CHANGE": "", "WATCHDOG": "", "BALLOON_CHANGE": "", "QUORUM_REPORT_BAD": "node-name", "QUORUM_FAILURE": "",
	"VSERPORT_CHANGE": "id", "MEMORY_DEVICE_SIZE_CHANGE": "qom-path"}

const period = time.Second

// limiter holds events back that come too fast; the last one of a period is sent at its end.
type limiter struct {
	mu    sync.Mutex
	since map[string]*limit // by event and member
}

type limit struct {
	timer *clock.Timer
	held  qapi.Event
}

func (l *limiter) pass(ev qapi.Event, send func(qapi.Event)) {
	member, ok := limited[ev.EventName()]
	if !ok {
		send(ev)
		return
	}
	key := ev.EventName()
	if member != "" {
		v, _ := qapi.ParseJSON(string(qapi.AppendJSON(nil, ev)))
		if o, ok := v.(*qapi.Object); ok {
			key += " " + o.Text(member)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.since[key]; e != nil {
		e.held = ev
		return
	}
	if l.since == nil {
		l.since = map[string]*limit{}
	}
	send(ev)
	e := &limit{}
	l.since[key] = e
	e.timer = mainloop.NewTimer(clock.Realtime, func() { l.expire(key, e, send) })
	e.timer.Mod(clock.Realtime.Now() + int64(period))
}

// expire ends a period.
func (l *limiter) expire(key string, e *limit, send func(qapi.Event)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.held == nil {
		delete(l.since, key)
		return
	}
	send(e.held)
	e.held = nil
	e.timer.Mod(clock.Realtime.Now() + int64(period))
}
