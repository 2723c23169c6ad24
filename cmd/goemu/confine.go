package main

import (
	"fmt"

	"golang.org/x/sys/unix"

	"goemu/internal/config"
	"goemu/internal/sandbox"
)

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
