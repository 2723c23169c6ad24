package nbd

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"goemu/block"

	"golang.org/x/sys/unix"
)

// forkEnv marks the server process of --fork; its value is the number of sockets that the service manager passed to the first process.
const forkEnv = "GOEMU_NBD_SERVER"

// firstPassed is the first descriptor that a service manager passes.
const firstPassed = 3

// activatedSockets is the number of sockets that a service manager passed (LISTEN_FDS, LISTEN_PID).
func activatedSockets() int {
	if s := os.Getenv(forkEnv); s != "" {
		n, _ := strconv.Atoi(s)
		return n
	}
	pid, err := strconv.Atoi(os.Getenv("LISTEN_PID"))
	if err != nil || pid != os.Getpid() {
		return 0
	}
	n, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if err != nil || n <= 0 {
		return 0
	}
	return n
}

// forkServer starts this program again as the server, shows its errors and returns when it is ready. QEMU forks for that.
func (c *command) forkServer() int {
	exe, err := os.Executable()
	if err != nil {
		c.Errorf("Failed to fork: %v", err)
		return 1
	}
	r, w, err := os.Pipe()
	if err != nil {
		c.Errorf("Error setting up communication pipe: %v", err)
		return 1
	}
	cmd := exec.Command(exe, os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), forkEnv+"="+strconv.Itoa(c.activated))
	cmd.Stderr = w
	for fd := firstPassed; fd < firstPassed+c.activated; fd++ {
		cmd.ExtraFiles = append(cmd.ExtraFiles, os.NewFile(uintptr(fd), "socket"))
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		c.Errorf("Failed to fork: %v", errors.Unwrap(err))
		return 1
	}
	w.Close()
	n, _ := io.Copy(c.Err, r)
	if n > 0 {
		return 1
	}
	return 0
}

// detach lets go of the first process's pipe.
func detach() error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	return unix.Dup2(int(null.Fd()), 2)
}

// passedListener is the socket that a service manager passed.
func passedListener() (net.Listener, error) {
	f := os.NewFile(firstPassed, "LISTEN_FD_3")
	defer f.Close()
	return net.FileListener(f)
}

// writePID creates the file of --pid-file. It stays locked as long as the result is open.
func writePID(path string) (*os.File, error) {
	const mode = 0o600
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, mode)
	if err != nil {
		return nil, block.Errnof(block.Errno(err), "Could not create '%s'", path)
	}
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_SETLK, &lock); err != nil {
		return nil, block.Errnof(block.Errno(err), "Cannot lock pid file")
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteString(strconv.Itoa(os.Getpid()) + "\n")
	}
	if err != nil {
		return nil, block.Errnof(block.Errno(err), "Failed to write pid file")
	}
	return f, nil
}
