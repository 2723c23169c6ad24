package tool

import (
	"goemu/internal/config"
	"goemu/internal/trace"
)

// Trace carries out the option --trace. done is true when nothing is left to do for the tool: the list of events was asked for, or there is a
// mistake; status is then its exit status.
func (t *Tool) Trace(text string) (done bool, status int) { return t.TraceAt("", text) }

// TraceAt is Trace with a prefix for messages.
func (t *Tool) TraceAt(where, text string) (done bool, status int) {
	o, done, status := t.traceOptions(where, text)
	if done {
		return true, status
	}
	unknown := func(name string) { t.Warnf("%strace event '%s' does not exist", where, name) }
	if err := trace.Configure(o.Get, unknown); err != nil {
		t.Report(where, err)
		return true, 1
	}
	return false, 0
}

// CheckTrace is Trace without its effect, for the parent of a process that will have it.
func (t *Tool) CheckTrace(text string) (done bool, status int) {
	_, done, status = t.traceOptions("", text)
	return done, status
}

func (t *Tool) traceOptions(where, text string) (o config.Options, done bool, status int) {
	o.Pairs = config.ParseOpts(text, "enable")
	for _, p := range o.Pairs {
		switch p.Key {
		case "enable", "events", "file":
		default:
			t.Errorf("%sInvalid parameter '%s'", where, p.Key)
			return o, true, 1
		}
	}
	if pattern, _ := o.Get("enable"); pattern == "help" || pattern == "?" {
		t.Printf("%s", trace.List())
		return o, true, 0
	}
	return o, false, 0
}
