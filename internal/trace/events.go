package trace

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"sync/atomic"

	"goemu/internal/strerror"
)

// Event is something that can be traced under a name of its own, as one line of the log.
type Event uint8

// The events.
const (
	HandleQMPCommand Event = iota
	QMPRespond
	ProtocolEventEmit
	HandleHMPCommand
	VMStateNotify
	RunStateSet
	SystemWakeup
	BlockOpen
	BlockRead
	BlockWrite
	BlockWriteZeroes
	numEvents
)

// events are the names of the events and whether each is traced.
var events = [numEvents]struct {
	name string
	on   atomic.Bool
}{
	HandleQMPCommand:  {name: "handle_qmp_command"},
	QMPRespond:        {name: "monitor_qmp_respond"},
	ProtocolEventEmit: {name: "monitor_protocol_event_emit"},
	HandleHMPCommand:  {name: "handle_hmp_command"},
	VMStateNotify:     {name: "vm_state_notify"},
	RunStateSet:       {name: "runstate_set"},
	SystemWakeup:      {name: "system_wakeup_request"},
	BlockOpen:         {name: "bdrv_open_common"},
	BlockRead:         {name: "bdrv_co_preadv_part"},
	BlockWrite:        {name: "bdrv_co_pwritev_part"},
	BlockWriteZeroes:  {name: "bdrv_co_pwrite_zeroes"},
}

// Traced tells whether the event is traced.
func (e Event) Traced() bool { return events[e].on.Load() }

// Log writes what an event is about if it is traced.
func (e Event) Log(format string, args ...any) {
	if e.Traced() {
		logger.Logf(level(0), events[e].name+" "+format+"\n", args...)
	}
}

// EventState is an event's name and whether it is traced.
type EventState struct {
	Name string
	On   bool
}

// Events lists the events whose names match a pattern, in which * stands for any text and, if there is a *, ? for any character.
func Events(pattern string) (list []EventState) {
	for i := range events {
		if match(pattern, events[i].name) {
			list = append(list, EventState{events[i].name, events[i].on.Load()})
		}
	}
	return list
}

// IsPattern tells whether a name stands for several events.
func IsPattern(name string) bool { return strings.Contains(name, "*") }

// SetEvents traces the events of a pattern or not, and tells how many there are.
func SetEvents(pattern string, on bool) (n int) {
	for i := range events {
		if match(pattern, events[i].name) {
			events[i].on.Store(on)
			n++
		}
	}
	return n
}

// Enable carries out one line of a list of events: a pattern, after "-" to switch off. A line that names no event is returned as false.
func Enable(line string) bool {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return true
	}
	pattern, off := strings.CutPrefix(line, "-")
	return SetEvents(pattern, !off) > 0 || IsPattern(pattern)
}

// Configure carries out a list of options as -trace has it: "enable" is a pattern, "events" a file of such lines, "file" a new log. get tells
// the options' values; unknown is told of names of no event.
func Configure(get func(key string) (string, bool), unknown func(name string)) error {
	if pattern, ok := get("enable"); ok && !Enable(pattern) {
		unknown(pattern)
	}
	if path, ok := get("events"); ok {
		if err := EnableFile(path, unknown); err != nil {
			return err
		}
	}
	if path, ok := get("file"); ok {
		return SetFile(path)
	}
	return nil
}

// List is the names of all events, a line each.
func List() string {
	var b strings.Builder
	for i := range events {
		b.WriteString(events[i].name + "\n")
	}
	return b.String()
}

// EnableItems carries out the items "trace:PATTERN" of a list of log items and returns the others; unknown is told of names of no event.
func EnableItems(items string, unknown func(name string)) string {
	var rest []string
	for item := range strings.SplitSeq(items, ",") {
		pattern, ok := strings.CutPrefix(item, "trace:")
		if !ok {
			rest = append(rest, item)
		} else if !Enable(pattern) {
			unknown(pattern)
		}
	}
	return strings.Join(rest, ",")
}

// EnableFile carries out the lines of a file; warn is told of lines that name no event.
func EnableFile(path string, warn func(line string)) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("failed to open trace events file '%s': %s", path, strerror.Of(err))
	}
	defer f.Close()
	in := bufio.NewScanner(f)
	for in.Scan() {
		if !Enable(in.Text()) {
			warn(in.Text())
		}
	}
	return in.Err()
}

// match tells whether a name is the one given, or fits it if that is a pattern.
func match(pattern, name string) bool {
	return pattern == name || IsPattern(pattern) && fits(pattern, name)
}

func fits(pattern, name string) bool {
	for pattern != "" {
		switch c := pattern[0]; {
		case c == '*':
			for i := 0; i <= len(name); i++ {
				if fits(pattern[1:], name[i:]) {
					return true
				}
			}
			return false
		case name == "" || c != '?' && c != name[0]:
			return false
		}
		pattern, name = pattern[1:], name[1:]
	}
	return name == ""
}
