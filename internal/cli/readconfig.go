package cli

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"syscall"

	"goemu/internal/strerror"
)

var (
	groupID  = regexp.MustCompile(`^\[([A-Za-z0-9_-]+) "([^"]*)"\]$`)
	group    = regexp.MustCompile(`^\[([A-Za-z0-9_-]+)\]$`)
	argument = regexp.MustCompile(`^([A-Za-z0-9_.-]+) *= *"([^"]*)"$`)
)

// configGroups maps a group of a configuration file to the option that takes its members.
var configGroups = map[string]string{
	"machine": "machine", "accel": "accel", "smp-opts": "smp", "memory": "m", "device": "device", "drive": "drive",
	"chardev": "chardev", "object": "object", "global": "global", "name": "name", "rtc": "rtc", "fw_cfg": "fw_cfg", "numa": "numa",
}

// readconfig applies a configuration file: [group "id"] headings with key = "value" lines.
func (p *parser) readconfig(path string) error {
	f, err := os.Open(path)
	if err != nil {
		var no syscall.Errno
		if errors.As(err, &no) {
			return p.errorf("Could not open '%s': %s", path, strerror.Text(no))
		}
		return p.errorf("Could not open '%s': %w", path, err)
	}
	defer f.Close()
	var name string
	var members []string
	flush := func() error {
		if name == "" {
			return nil
		}
		row := lookup(configGroups[name])
		p.origin = "-readconfig " + path
		return row.apply(p, strings.Join(members, ","))
	}
	sc := bufio.NewScanner(f)
	for n := 1; sc.Scan(); n++ {
		line := strings.TrimSpace(sc.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		if m := argument.FindStringSubmatch(line); m != nil && name != "" {
			members = append(members, m[1]+"="+strings.ReplaceAll(m[2], ",", ",,"))
			continue
		}
		m := groupID.FindStringSubmatch(line)
		if m == nil {
			m = group.FindStringSubmatch(line)
		}
		switch {
		case m == nil && argument.MatchString(line):
			return fmt.Errorf("%s:%d: no group defined", path, n)
		case m == nil:
			return fmt.Errorf("%s:%d: parse error", path, n)
		case configGroups[m[1]] == "":
			return fmt.Errorf("%s:%d: There is no option group '%s'", path, n, m[1])
		}
		if err := flush(); err != nil {
			return err
		}
		name, members = m[1], nil
		if len(m) > 2 {
			members = append(members, "id="+strings.ReplaceAll(m[2], ",", ",,"))
		}
	}
	if err := sc.Err(); err != nil {
		return p.errorf("%w", err)
	}
	return flush()
}
