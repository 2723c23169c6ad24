package balloon

import (
	"errors"
	"math"
	"strconv"
	"time"

	"goemu/hw/qdev"
	"goemu/hw/virtio"
	"goemu/internal/clock"
	"goemu/internal/qom"
	"goemu/qapi"
)

// Names of the properties.
const (
	propInterval = "guest-stats-polling-interval"
	propStats    = "guest-stats"
)

// statNames are the statistics by their tags (section 5.5.6.5).
var statNames = [...]string{"stat-swap-in", "stat-swap-out", "stat-major-faults", "stat-minor-faults", "stat-free-memory", "stat-total-memory",
	"stat-available-memory", "stat-disk-caches", "stat-htlb-pgalloc", "stat-htlb-pgfail"}

// A statistic from the driver: le16 tag, le64 value.
const (
	statSize  = 10
	statValue = 2
	maxStats  = 64 // looked at in one message
)

// stats are what the driver has last told about its memory.
type stats struct {
	values [len(statNames)]uint64
	at     int64 // seconds of the epoch, 0 for never
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (*stats) UnmarshalText([]byte) error { return errors.New("not writable") }

// PropertyType implements qdev.TypeNamer.
func (stats) PropertyType() string { return "guest statistics" }

// HideDefault keeps the default out of the help.
func (stats) HideDefault() {}

// OfObject implements what qdev asks for.
func (stats) OfObject() {}

// clear makes all statistics unknown.
func (s *stats) clear() {
	for i := range s.values {
		s.values[i] = math.MaxUint64
	}
}

func (s *stats) object() *qapi.Object {
	values, o := qapi.NewObject(), qapi.NewObject()
	for i, name := range statNames {
		values.Set(name, s.values[i])
	}
	o.Set("stats", values)
	o.Set("last-update", s.at)
	return o
}

// interval is the time in seconds between two questions for statistics, 0 for no questions.
type interval int64

// UnmarshalText implements encoding.TextUnmarshaler.
func (i *interval) UnmarshalText(b []byte) error {
	v, err := parseInterval(string(b))
	*i = v
	return err
}

// PropertyType implements qdev.TypeNamer.
func (interval) PropertyType() string { return "int" }

// HideDefault keeps the default out of the help.
func (interval) HideDefault() {}

// OfObject implements what qdev asks for.
func (interval) OfObject() {}

func parseInterval(text string) (interval, error) {
	v, err := strconv.ParseInt(text, 0, 64)
	switch {
	case err != nil:
		return 0, errors.New("Invalid parameter type for '" + propInterval + "', expected: integer")
	case v < 0:
		return 0, errors.New("timer value must be greater than zero")
	case v > math.MaxUint32:
		return 0, errors.New("timer value is too big")
	}
	return interval(v), nil
}

// showStats makes the properties change with the device.
func (m *Model) showStats(n *qom.Node) {
	if n == nil {
		return
	}
	n.AddProperty(qom.Property{Name: propStats, Type: stats{}.PropertyType(), Get: func() any { return m.Props.Stats.object() }})
	n.AddProperty(qom.Property{Name: propInterval, Type: interval(0).PropertyType(), Get: func() any { return int64(m.Props.Interval) },
		Set: m.setInterval})
}

// setInterval changes the time between two questions.
func (m *Model) setInterval(v any) error {
	text, err := qdev.Text(propInterval, v)
	if err != nil {
		return err
	}
	i, err := parseInterval(text)
	if err != nil || i == m.Props.Interval {
		return err
	}
	was := m.Props.Interval
	m.Props.Interval = i
	switch {
	case i == 0:
		m.timer.Del()
	case was == 0:
		m.timer.Mod(clock.Virtual.Now())
	default:
		m.arm()
	}
	return nil
}

// arm asks again after the interval, if there is one.
func (m *Model) arm() {
	if m.Props.Interval > 0 {
		m.timer.Mod(clock.Virtual.Now() + int64(m.Props.Interval)*int64(time.Second))
	}
}

// askForStats gives the driver the chain back in which it will send new statistics.
func (m *Model) askForStats() {
	e := m.held
	if e == nil || !m.Has(featureStats) {
		m.arm()
		return
	}
	m.held = nil
	m.statsQueue.Push(e, 0)
}

// receiveStats takes new statistics and keeps the chain until more are wanted.
func (m *Model) receiveStats(q *virtio.Queue) bool {
	for {
		e := q.Pop()
		if e == nil {
			return true
		}
		if m.held != nil {
			q.Push(m.held, 0) // a driver has one chain only
		}
		m.held = e
		s := &m.Props.Stats
		s.clear()
		var b [statSize]byte
		c := outOf(e)
		for left := maxStats; left > 0 && c.next(b[:]); left-- {
			if tag := le.Uint16(b[:]); int(tag) < len(s.values) {
				s.values[tag] = le.Uint64(b[statValue:])
			}
		}
		s.at = time.Now().Unix()
		m.arm()
	}
}
