package qio

import (
	"os"
	"os/signal"
	"runtime"
	"strings"
	"time"

	"goemu/internal/term"
	"goemu/internal/tool"

	"golang.org/x/sys/unix"
)

// maxSignal is the largest number of a signal.
const maxSignal = 65

// poll is how often waiting for a breakpoint looks.
const poll = time.Millisecond

func controlCommands() []cmd {
	return []cmd{
		{name: "break", least: 2, most: 2, args: "event tag", oneline: "sets a breakpoint on event and tags the stopped request as tag", run: (*session).setBreak},
		{name: "remove_break", least: 1, most: 1, args: "tag", oneline: "remove a breakpoint by tag", run: (*session).removeBreak},
		{name: "resume", least: 1, most: 1, args: "tag", oneline: "resumes the request tagged as tag", run: (*session).resume},
		{name: "wait_break", least: 1, most: 1, args: "tag", oneline: "waits for the suspension of a request", run: (*session).waitBreak},
		{name: "abort", noImage: true, oneline: "simulate a program crash using abort(3)", run: func(s *session, _ []string) error { return s.raise(unix.SIGABRT) }},
		{name: "sigraise", least: 1, most: 1, noImage: true, args: "signal", oneline: "raises a signal", help: sigraiseHelp, run: (*session).sigraise},
		{name: "sleep", least: 1, most: 1, noImage: true, oneline: "waits for the given value in milliseconds", run: (*session).sleep},
		{name: "quit", alt: "q", most: any, noImage: true, oneline: "exit the program", run: func(s *session, _ []string) error { s.quit = true; return nil }},
	}
}

// breakError says that a breakpoint could not be changed.
func (s *session) breakError(err error, format string, a ...string) error {
	if err != nil {
		s.Printf("Could not %s: %s\n", strings.TrimSpace(format+" "+strings.Join(a, " ")), tool.Reason(err))
	}
	return err
}

func (s *session) setBreak(args []string) error {
	b := s.image.Node().Breakpoints()
	if b == nil {
		return s.breakError(unix.ENOTSUP, "set breakpoint")
	}
	return s.breakError(b.Breakpoint(args[1], args[2]), "set breakpoint")
}

func (s *session) removeBreak(args []string) error {
	b := s.image.Node().Breakpoints()
	if b == nil {
		return s.breakError(unix.ENOTSUP, "remove breakpoint", args[1])
	}
	return s.breakError(b.RemoveBreakpoint(args[1]), "remove breakpoint", args[1])
}

func (s *session) resume(args []string) error {
	b := s.image.Node().Breakpoints()
	if b == nil {
		return s.breakError(unix.ENOTSUP, "resume request")
	}
	return s.breakError(b.ResumeRequest(args[1]), "resume request")
}

func (s *session) waitBreak(args []string) error {
	b := s.image.Node().Breakpoints()
	s.relax(func() {
		for b != nil && !b.Suspended(args[1]) {
			time.Sleep(poll)
		}
	})
	return nil
}

func (s *session) sigraise(args []string) error {
	n, err := s.number(args[1])
	if err != nil {
		return err
	}
	if n > maxSignal {
		s.Printf("signal argument '%s' is too large to be a valid signal\n", args[1])
		return errCommand
	}
	return s.raise(unix.Signal(n))
}

// raise sends the process a signal with its default effect.
func (s *session) raise(sig unix.Signal) error {
	s.Out.Flush()
	if sig == 0 {
		return nil
	}
	signal.Reset(sig)
	runtime.LockOSThread()
	if !fatalToGo(sig) {
		unix.Kill(os.Getpid(), sig)
		time.Sleep(poll)
		return nil
	}
	term.Die(sig)
	return nil
}

// fatalToGo are the signals that the Go runtime turns into something else than their default effect.
func fatalToGo(sig unix.Signal) bool {
	switch sig {
	case unix.SIGABRT, unix.SIGQUIT, unix.SIGSEGV, unix.SIGBUS, unix.SIGFPE, unix.SIGILL, unix.SIGTRAP, unix.SIGSYS:
		return true
	}
	return false
}

func (s *session) sleep(args []string) error {
	n, err := tool.ParseLong(args[1])
	if err != nil || n < 0 {
		s.Printf("%s is not a valid number\n", args[1])
		return errCommand
	}
	s.relax(func() { time.Sleep(time.Duration(n) * time.Millisecond) })
	return nil
}
