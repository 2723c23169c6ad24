package cli

import (
	"slices"
	"strconv"

	"goemu/internal/config"
)

// switches reads a list of parameters that are on or off.
func (p *parser) switches(v string, to map[string]*bool) (err error) {
	for _, pr := range config.ParseOpts(v, "") {
		at := to[pr.Key]
		if at == nil {
			return p.errorf("Invalid parameter '%s'", pr.Key)
		}
		if *at, err = parseBool(pr.Key, pr.Value.(string)); err != nil {
			return p.errorf("%w", err)
		}
	}
	return nil
}

func (p *parser) msg(v string) error {
	return p.switches(v, map[string]*bool{"timestamp": &p.VM.Messages.Timestamp, "guest-name": &p.VM.Messages.GuestName})
}

// overcommit reads -overcommit; power management by the guest is only possible with hardware virtualization.
func (p *parser) overcommit(v string) error {
	return p.switches(v, map[string]*bool{"mem-lock": &p.VM.MemLock, "cpu-pm": new(bool)})
}

func (p *parser) sandbox(v string) error {
	o := config.Options{Origin: p.origin, Pairs: config.ParseOpts(v, "enable")}
	for _, pr := range o.Pairs {
		if !slices.Contains([]string{"enable", "obsolete", "elevateprivileges", "spawn", "resourcecontrol"}, pr.Key) {
			return p.errorf("Invalid parameter '%s'", pr.Key)
		}
	}
	p.VM.Sandbox = o
	return nil
}

func (p *parser) runAs(v string) error {
	p.VM.RunAs = config.Source{Origin: p.origin, Value: v}
	return nil
}
func (p *parser) chroot(v string) error {
	p.VM.Chroot = config.Source{Origin: p.origin, Value: v}
	return nil
}

// echr reads -echr: the number of the character that begins a command to the emulator.
func (p *parser) echr(v string) error {
	n, err := strconv.ParseUint(v, 0, 8)
	if err != nil || n == 0 {
		return p.errorf("Bad argument to echr")
	}
	p.VM.Escape = byte(n)
	return nil
}

// audioParameters are the parameters of every audio back end, without those of its two directions.
var audioParameters = []string{"id", "driver", "timer-period", "in", "out"}

// audiodev reads -audiodev. No device makes sound: the driver that discards it is the only one.
func (p *parser) audiodev(v string) error {
	if isHelp(v) {
		return p.query(QueryAudio, "")
	}
	o, err := parseStructured(p.origin, v, "driver")
	if err != nil {
		return err
	}
	driver, ok := o.Get("driver")
	switch {
	case !ok:
		return p.errorf("Parameter 'driver' is missing")
	case driver != "none":
		return p.errorf("Parameter 'driver' does not accept value '%s'", driver)
	}
	id, ok := o.Get("id")
	if !ok {
		return p.errorf("Parameter 'id' is missing")
	}
	for _, pr := range o.Pairs {
		if !slices.Contains(audioParameters, pr.Key) && !slices.Contains(audioParameters, direction(pr.Key)) {
			return p.errorf("Parameter '%s' is unexpected", pr.Key)
		}
	}
	p.VM.Audiodevs = append(p.VM.Audiodevs, id)
	return nil
}

// direction is the direction that a parameter such as "in.frequency" is about, "" for none and for names that no direction has.
func direction(key string) string {
	for _, d := range []string{"in", "out"} {
		for _, name := range []string{"mixing-engine", "fixed-settings", "frequency", "channels", "voices", "format", "buffer-length"} {
			if key == d+"."+name {
				return d
			}
		}
	}
	return ""
}
