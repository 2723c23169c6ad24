package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

// readyEnv names the descriptor on which a daemon tells its parent that it is ready.
const readyEnv = "GOEMU_READY_FD"

// isDaemon tells whether this process is the one that daemonize started.
func isDaemon() bool { return os.Getenv(readyEnv) != "" }

// daemonize starts this program again in a session of its own and waits until it is ready or has failed.
func daemonize() (status int, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer r.Close()
	exe, err := os.Executable()
	if err != nil {
		return 0, err
	}
	cmd := exec.Command(exe, os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), readyEnv+"=3")
	cmd.ExtraFiles = []*os.File{w}
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("-daemonize: %w", err)
	}
	w.Close()
	if b, _ := io.ReadAll(r); len(b) > 0 {
		return 0, nil
	}
	if err := cmd.Wait(); err != nil {
		return 1, nil
	}
	return 0, nil
}

// becomeReady does what comes last of preparations, tells the parent, if there is one, that the machine exists, and lets go of the terminal.
func becomeReady(last func() error) error {
	if !isDaemon() {
		return last()
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	if err := last(); err != nil {
		return err
	}
	if err := unix.Dup2(int(null.Fd()), 2); err != nil {
		return err
	}
	f := os.NewFile(3, "ready")
	defer f.Close()
	_, err = f.Write([]byte{1})
	return err
}
