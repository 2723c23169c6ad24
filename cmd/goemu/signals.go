package main

import (
	"fmt"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"

	"goemu/internal/mainloop"
	"goemu/internal/term"
)

// handleCoreSignals makes the signals that ask for a core dump (Ctrl-\ at a terminal is one) end the process as they do any other: the
// runtime would print what all goroutines do over a terminal in raw mode. Developers who set GOTRACEBACK get that.
func handleCoreSignals() {
	if os.Getenv("GOTRACEBACK") != "" {
		return
	}
	c := make(chan os.Signal, 1)
	signal.Notify(c, unix.SIGQUIT, unix.SIGABRT)
	go func() { term.Die((<-c).(unix.Signal)) }()
}

// handleSignals makes termination signals shut the machine down as QEMU does: once asked, the emulator ends with status 0. While it ends,
// for whatever reason, they change nothing more.
func (s *session) handleSignals() {
	c := make(chan os.Signal, 1)
	signal.Notify(c, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	go func() {
		sig := <-c
		complain(fmt.Sprintf("terminating on signal %d", sig))
		mainloop.Lock.Lock()
		defer mainloop.Lock.Unlock()
		if s.machine == nil {
			s.requestExit(0)
			return
		}
		s.machine.VM.NoShutdown = false
		s.machine.VM.RequestShutdown(mainloop.CauseHostSignal)
	}()
}
