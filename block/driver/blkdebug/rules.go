package blkdebug

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// rule says what happens at an event.
type rule struct {
	event  string
	state  uint64 // in which it acts; 0: in every one
	action action
}

// action is what a rule does: *injection, newState or suspension.
type action any

// injection makes requests fail.
type injection struct {
	types  ioTypes
	errno  unix.Errno
	offset int64 // bytes; anyOffset for all requests
	once   bool
}

// newState changes the node's state.
type newState uint64

// suspension stops the request and is used up by that; the string is its tag.
type suspension string

// anyOffset is the offset of a rule without sector.
const anyOffset = -1

const sectorSize = 512

// sections are the kinds of rule that options and the file can hold.
var sections = []struct {
	name    string
	members []string
	parse   func(*rule, *block.Options) error
}{
	{"inject-error", []string{"event", "state", "iotype", "errno", "sector", "once", "immediately"}, parseInjection},
	{"set-state", []string{"event", "state", "new_state"}, parseSetState},
}

// takeRules takes the rules out of the options, after those of the file.
func takeRules(config string, o *block.Options) (rules []*rule, err error) {
	if config != "" {
		text, err := os.ReadFile(config)
		if err != nil {
			return nil, block.Errnof(block.Errno(err), "Could not read blkdebug config file")
		}
		if rules, err = parseFile(config, string(text)); err != nil {
			return nil, err
		}
	}
	for _, s := range sections {
		sub := o.Extract(s.name)
		if slices.ContainsFunc(s.members, sub.Has) { // one rule without a number
			r, err := parseRule(s.name, sub, "Unknown option '%s' for ["+s.name+"]")
			if err != nil {
				return nil, err
			}
			rules = append(rules, r)
			continue
		}
		for i := 0; sub.HasPrefix(strconv.Itoa(i)); i++ {
			r, err := parseRule(s.name, sub.Extract(strconv.Itoa(i)), "["+s.name+"] section doesn't support the option '%s'")
			if err != nil {
				return nil, err
			}
			rules = append(rules, r)
		}
		if sub.Len() > 0 {
			return nil, block.Errorf(unix.EINVAL, "Unused option '%s' for [%s]", sub.Order()[0], s.name)
		}
	}
	return rules, nil
}

// parseRule reads one rule of a section and refuses members that the section does not have, with a message that names the first.
func parseRule(section string, o *block.Options, unknown string) (*rule, error) {
	for _, s := range sections {
		if s.name != section {
			continue
		}
		r := &rule{}
		var ok bool
		if r.event, ok = o.TakeString("event"); !ok {
			return nil, block.Errorf(unix.EINVAL, "Missing event name for rule")
		}
		if !known(r.event) {
			return nil, block.Errorf(unix.EINVAL, "Invalid event name \"%s\"", r.event)
		}
		var err error
		if r.state, err = o.TakeUint("state", 0); err != nil {
			return nil, err
		}
		if err := s.parse(r, o); err != nil {
			return nil, err
		}
		if o.Len() > 0 {
			return nil, block.Errorf(unix.EINVAL, unknown, o.Order()[0])
		}
		return r, nil
	}
	return nil, block.Errorf(unix.EINVAL, "There is no option group '%s'", section)
}

func parseInjection(r *rule, o *block.Options) error {
	in := &injection{types: ioDefault, offset: anyOffset}
	no, err := o.TakeUint("errno", uint64(unix.EIO))
	if err != nil {
		return err
	}
	in.errno = unix.Errno(no)
	if o.Has("sector") {
		sector, err := o.TakeUint("sector", 0)
		if err != nil {
			return err
		}
		if int64(sector) >= 0 { // -1 means any, as leaving it out does
			in.offset = int64(sector) * sectorSize
		}
	}
	if name, ok := o.TakeString("iotype"); ok {
		in.types = 0
		for i, n := range ioNames {
			if n == name {
				in.types = 1 << i
			}
		}
		if in.types == 0 {
			return block.Errorf(unix.EINVAL, "Invalid I/O type '%s'", name)
		}
	}
	if in.once, err = o.TakeBool("once", false); err != nil {
		return err
	}
	if _, err = o.TakeBool("immediately", false); err != nil { // a blocking request always fails at once
		return err
	}
	r.action = in
	return nil
}

func parseSetState(r *rule, o *block.Options) error {
	to, err := o.TakeUint("new_state", 0)
	r.action = newState(to)
	return err
}

// parseFile reads the rules of a file of sections: "[inject-error]", then lines such as event = "l2_load".
func parseFile(name, text string) (rules []*rule, err error) {
	var section string
	var members *block.Options
	finish := func() error {
		if members == nil {
			return nil
		}
		r, err := parseRule(section, members, "Invalid parameter '%s'")
		rules = append(rules, r)
		return err
	}
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[' && strings.HasSuffix(line, "]"):
			if err := finish(); err != nil {
				return nil, at(name, i, err)
			}
			section, _, _ = strings.Cut(strings.Trim(line, "[]"), " ")
			members = block.NewOptions()
		default:
			key, value, ok := strings.Cut(line, "=")
			value = strings.TrimSpace(value)
			if !ok || len(value) < 2 || value[0] != '"' || value[len(value)-1] != '"' {
				return nil, at(name, i, block.Errorf(unix.EINVAL, "parse error"))
			}
			if members == nil {
				return nil, at(name, i, block.Errorf(unix.EINVAL, "no group defined"))
			}
			members.Set(strings.TrimSpace(key), value[1:len(value)-1])
		}
	}
	return rules, finish()
}

// at adds the place in a file to an error.
func at(name string, line int, err error) error {
	return block.Prepend(err, fmt.Sprintf("%s:%d: ", name, line+1))
}
