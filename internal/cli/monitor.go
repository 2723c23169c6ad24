package cli

import (
	"fmt"
	"slices"

	"goemu/internal/config"
	"goemu/qapi"
)

func (p *parser) addMonitor(v string, control, pretty bool) error {
	if v != "none" || control {
		p.VM.Monitors = append(p.VM.Monitors, config.Monitor{Device: config.Source{Value: v, Origin: p.origin}, Control: control, Pretty: pretty})
	} else {
		p.VM.NoMonitor = true
	}
	return nil
}

func (p *parser) monitor(v string) error   { return p.addMonitor(v, false, false) }
func (p *parser) qmp(v string) error       { return p.addMonitor(v, true, false) }
func (p *parser) qmpPretty(v string) error { return p.addMonitor(v, true, true) }

// mon reads -mon.
func (p *parser) mon(v string) error {
	m := config.Monitor{Device: config.Source{Origin: p.origin}}
	for _, pr := range config.ParseOpts(v, "chardev") {
		s := pr.Value.(string)
		switch pr.Key {
		case "chardev":
			m.Chardev = s
		case "id":
		case "mode":
			if s != "readline" && s != "control" {
				return p.errorf("Parameter 'mode' does not accept value '%s'", s)
			}
			m.Control = s == "control"
		case "pretty":
			on, ok := switches[s]
			if !ok {
				return p.errorf("Parameter 'pretty' expects 'on' or 'off'")
			}
			m.Pretty = on
		default:
			return p.errorf("Invalid parameter '%s'", pr.Key)
		}
	}
	if m.Chardev == "" {
		return p.errorf("Parameter 'chardev' is missing")
	}
	if m.Pretty && !m.Control {
		return p.errorf("'pretty' is not compatible with HMP monitors")
	}
	p.VM.Monitors = append(p.VM.Monitors, m)
	return nil
}

// switches are the words for on and off.
var switches = map[string]bool{"on": true, "yes": true, "true": true, "y": true, "off": false, "no": false, "false": false, "n": false}

func (p *parser) preconfig(string) error {
	p.VM.Preconfig = true
	return nil
}

// watchdogActions are the values of -watchdog-action, in QEMU's order.
var watchdogActions = []string{"reset", "shutdown", "poweroff", "pause", "debug", "none", "inject-nmi"}

func (p *parser) watchdogAction(v string) error {
	if !slices.Contains(watchdogActions, v) {
		return fmt.Errorf("Unknown -watchdog-action parameter")
	}
	p.VM.OnWatchdog = v
	return nil
}

// action reads -action.
func (p *parser) action(v string) error {
	for _, pr := range config.ParseOpts(v, "") {
		s := pr.Value.(string)
		allowed := map[string][]string{"reboot": {"reset", "shutdown"}, "shutdown": {"poweroff", "pause"},
			"panic": {"pause", "shutdown", "exit-failure", "none"}, "watchdog": watchdogActions}[pr.Key]
		switch {
		case allowed == nil:
			return p.errorf("Invalid parameter '%s'", pr.Key)
		case !slices.Contains(allowed, s):
			return p.errorf("Parameter '%s' does not accept value '%s'", pr.Key, s)
		}
		switch pr.Key {
		case "reboot":
			p.VM.NoReboot = s == "shutdown"
		case "shutdown":
			p.VM.NoShutdown = s == "pause"
		case "panic":
			p.VM.OnPanic = s
		case "watchdog":
			p.VM.OnWatchdog = s
		}
	}
	return nil
}

// compat reads -compat; the last one counts.
func (p *parser) compat(v string) error {
	if _, err := qapi.ParseCompatPolicy(v); err != nil {
		return p.errorf("%s", err)
	}
	p.VM.Compat = v
	return nil
}

func (p *parser) addFD(v string) error {
	p.VM.AddFDs = append(p.VM.AddFDs, config.Options{Origin: p.origin, Pairs: config.ParseOpts(v, "")})
	return nil
}

// trace reads -trace.
func (p *parser) trace(v string) error {
	o := config.Options{Origin: p.origin, Pairs: config.ParseOpts(v, "enable")}
	for _, pr := range o.Pairs {
		if pr.Key != "enable" && pr.Key != "events" && pr.Key != "file" {
			return p.errorf("Invalid parameter '%s'", pr.Key)
		}
	}
	if name, _ := o.Get("enable"); isHelp(name) {
		return p.query(QueryTraceEvents, "")
	}
	p.VM.Traces = append(p.VM.Traces, o)
	return nil
}
