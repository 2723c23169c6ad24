// Package sandbox takes system calls away from the process (-sandbox), with a seccomp filter on all its threads. What is filtered follows
// QEMU: calls that an emulator never needs, obsolete ones, and on request those that raise privileges, make processes or change
// scheduling.
package sandbox

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Config says which groups of calls are refused besides those that nobody needs.
type Config struct {
	Obsolete, Privileges, Spawn, Resources bool
	NoNewPrivileges                        bool // child processes get no more privileges, either
}

// What happens to a call.
const (
	kill = uint32(unix.SECCOMP_RET_KILL_PROCESS)
	deny = uint32(unix.SECCOMP_RET_ERRNO) | uint32(unix.EPERM)
	lack = uint32(unix.SECCOMP_RET_ERRNO) | uint32(unix.ENOSYS)
)

// rule refuses a call.
type rule struct {
	number int
	action uint32
}

// Offsets in the kernel's struct seccomp_data.
const (
	dataNumber = 0
	dataArch   = 4
	dataArg0   = 16 // its low half
)

// Flags of clone that threads always have, and flags that mean more than a thread.
const (
	threadFlags  = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_THREAD | unix.CLONE_SYSVSEM
	processFlags = unix.CLONE_PIDFD | unix.CLONE_PTRACE | unix.CLONE_VFORK | unix.CLONE_PARENT | unix.CLONE_NEWNS | unix.CLONE_UNTRACED |
		unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_IO
)

func rules(c Config) []rule {
	list := append([]rule(nil), never...)
	for _, g := range []struct {
		on    bool
		rules []rule
	}{{c.Obsolete, obsolete}, {c.Privileges, privileges}, {c.Spawn, spawn}, {c.Resources, resources}} {
		if g.on {
			list = append(list, g.rules...)
		}
	}
	return list
}

// program is the filter.
func program(c Config) []unix.SockFilter {
	const (
		load   = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		above  = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
		and    = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
		answer = unix.BPF_RET | unix.BPF_K
	)
	p := []unix.SockFilter{
		{Code: load, K: dataArch}, {Code: equal, K: arch, Jt: 1}, {Code: answer, K: kill},
		{Code: load, K: dataNumber}, {Code: above, K: foreign, Jf: 1}, {Code: answer, K: kill},
	}
	for _, r := range rules(c) {
		p = append(p, unix.SockFilter{Code: equal, K: uint32(r.number), Jf: 1}, unix.SockFilter{Code: answer, K: r.action})
	}
	if c.Spawn { // threads may still be made
		p = append(p, unix.SockFilter{Code: equal, K: unix.SYS_CLONE, Jf: 4}, unix.SockFilter{Code: load, K: dataArg0},
			unix.SockFilter{Code: and, K: threadFlags | processFlags}, unix.SockFilter{Code: equal, K: threadFlags, Jt: 1}, unix.SockFilter{Code: answer, K: kill})
	}
	return append(p, unix.SockFilter{Code: answer, K: unix.SECCOMP_RET_ALLOW})
}

// Parse reads the values of the option's parameters: enable, obsolete, elevateprivileges, spawn and resourcecontrol. on tells whether there
// is to be a filter.
func Parse(get func(name string) (string, bool)) (c Config, on bool, err error) {
	switch v, _ := get("enable"); v {
	case "on", "yes", "true", "y":
		on = true
	case "off", "no", "false", "n", "":
		return c, false, nil
	default:
		return c, false, errors.New("Parameter 'enable' expects 'on' or 'off'")
	}
	c.Obsolete = true
	refuse := func(name string, set func(v string) bool) {
		if v, given := get(name); given && !set(v) && err == nil {
			err = fmt.Errorf("invalid argument for %s", name)
		}
	}
	denied := func(to *bool) func(string) bool {
		return func(v string) bool { *to = v == "deny"; return *to || v == "allow" }
	}
	refuse("obsolete", denied(&c.Obsolete))
	refuse("elevateprivileges", func(v string) bool {
		c.NoNewPrivileges = v == "children"
		c.Privileges = v == "deny" || v == "children"
		return c.Privileges || v == "allow"
	})
	refuse("spawn", denied(&c.Spawn))
	refuse("resourcecontrol", denied(&c.Resources))
	return c, on, err
}
