package main

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"goemu/internal/config"
	"goemu/internal/sandbox"
)

// drop applies -chroot and -runas, in this order: what needs the rights of the user who started the emulator is done.
func drop(vm *config.VM) error {
	var who identity
	if vm.RunAs.Origin != "" {
		var err error
		if who, err = findUser(vm.RunAs.Value); err != nil { // before the list of users is out of reach
			return at(vm.RunAs.Origin, err)
		}
	}
	if dir := vm.Chroot; dir.Origin != "" {
		if err := errors.Join(unix.Chroot(dir.Value), unix.Chdir("/")); err != nil {
			return fmt.Errorf("chroot failed")
		}
	}
	if vm.RunAs.Origin == "" {
		return nil
	}
	return at(vm.RunAs.Origin, who.assume())
}

// identity is a user to become.
type identity struct {
	name     string
	uid, gid int
	groups   []int
}

// assume makes the process that user's.
func (u identity) assume() error {
	if err := syscall.Setgroups(u.groups); err != nil {
		return fmt.Errorf("Failed to initgroups(\"%s\", %d): %s", u.name, u.gid, reason(err))
	}
	if err := syscall.Setgid(u.gid); err != nil {
		return fmt.Errorf("Failed to setgid(%d)", u.gid)
	}
	if err := syscall.Setuid(u.uid); err != nil {
		return fmt.Errorf("Failed to setuid(%d)", u.uid)
	}
	if u.uid != 0 && syscall.Setuid(0) == nil {
		return errors.New("Dropping privileges failed")
	}
	return nil
}

// findUser finds the numbers of a user by name, or takes them as UID:GID.
func findUser(name string) (id identity, err error) {
	id.name = name
	if u, g, ok := strings.Cut(name, ":"); ok {
		un, err1 := strconv.ParseUint(u, 10, 31)
		gn, err2 := strconv.ParseUint(g, 10, 31)
		if err1 == nil && err2 == nil {
			id.uid, id.gid, id.groups = int(un), int(gn), []int{int(gn)}
			return id, nil
		}
	}
	u, err := user.Lookup(name)
	if err != nil {
		return id, fmt.Errorf("User \"%s\" doesn't exist (and is not <uid>:<gid>)", name)
	}
	ids, _ := u.GroupIds()
	for _, group := range ids {
		if n, err := strconv.Atoi(group); err == nil {
			id.groups = append(id.groups, n)
		}
	}
	if id.uid, err = strconv.Atoi(u.Uid); err == nil {
		id.gid, err = strconv.Atoi(u.Gid)
	}
	return id, err
}

// setProcessName applies -name process=, of which the kernel keeps the first 15 bytes. A daemon, which was started by the file's own name,
// gets the name that the emulator was called by.
func setProcessName(name string) error {
	switch {
	case name == "" && isDaemon():
		name = progName()
	case name == "":
		return nil
	}
	return os.WriteFile("/proc/self/comm", []byte(name), 0)
}

// confine applies -sandbox and -overcommit mem-lock=on to the process.
func confine(vm *config.VM) error {
	c, on, err := sandbox.Parse(vm.Sandbox.Get)
	if err == nil && on {
		err = sandbox.Apply(c)
	}
	if err != nil {
		return at(vm.Sandbox.Origin, err)
	}
	if vm.MemLock {
		if err := unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE); err != nil {
			return fmt.Errorf("mlockall: %s\n%s: locking memory failed", reason(err), progName())
		}
	}
	return nil
}
