package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// reason is why a system call failed, in the C library's words.
func reason(err error) string { return block.Strerror(block.Errno(err)) }

// writePID creates the file of -pidfile. It stays locked while the emulator runs, so that a stale file is no obstacle.
func writePID(path string) (remove func(), err error) {
	if path == "" {
		return func() {}, nil
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot create PID file: Could not create '%s': %s", path, reason(err))
	}
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_SETLK, &lock); err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot create PID file: Cannot lock '%s': another process holds it", path)
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = fmt.Fprintf(f, "%d\n", os.Getpid())
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot create PID file: %w", err)
	}
	return func() { os.Remove(path); f.Close() }, nil
}
