package chardev

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"goemu/internal/term"
)

// reason is strerror's text for an error of package os.
func reason(err error) string {
	var pe *fs.PathError
	var se *os.SyscallError
	switch {
	case errors.As(err, &pe):
		err = pe.Err
	case errors.As(err, &se):
		err = se.Err
	}
	s := err.Error()
	if s != "" && s[0] >= 'a' && s[0] <= 'z' {
		s = string(s[0]-'a'+'A') + s[1:]
	}
	return s
}

// nullEnd drops output and has no input.
type nullEnd struct{}

func (nullEnd) name() string { return "null" }
func (nullEnd) stop(bool)    {}
func (nullEnd) wrote()       {}

func openNull(b *Backend, _ *Spec) error {
	b.end = nullEnd{}
	b.discard = true
	return nil
}

// pumpEnd is an endpoint with one connection for its whole life.
type pumpEnd struct {
	b     *Backend
	label string
	p     *pump
	after func() // releases what the connection does not own
}

func (e *pumpEnd) name() string { return e.label }
func (e *pumpEnd) wrote()       { e.b.outCond.Broadcast() }
func (e *pumpEnd) stop(drain bool) {
	e.p.stop(drain)
	if e.after != nil {
		e.after()
	}
}

// stdioClaimed is set while a backend owns the process's standard input and output.
var stdioClaimed claim

var (
	errStdioTaken    = errors.New("cannot use stdio by multiple character devices")
	errStdioDetached = errors.New("cannot use stdio with -daemonize")
)

func openStdio(b *Backend, s *Spec) error {
	signals, err := s.boolean("signal", true)
	if err != nil {
		return err
	}
	if s.detached {
		return errStdioDetached
	}
	if !stdioClaimed.take() {
		return errStdioTaken
	}
	fd, err := newPollFD(0, 1)
	if err != nil {
		stdioClaimed.release()
		return err
	}
	var raw *term.Raw
	if term.IsTerminal(0) {
		if raw, err = term.MakeRaw(0, signals); err != nil {
			fd.release()
			stdioClaimed.release()
			return err
		}
	}
	b.connected = true
	b.end = &pumpEnd{b: b, label: "stdio", p: startPump(b, fd, true, nil), after: func() {
		if raw != nil {
			raw.Restore()
		}
		fd.release()
		stdioClaimed.release()
	}}
	return nil
}

func openFile(b *Backend, s *Spec) error {
	appendTo, err := s.boolean("append", false)
	if err != nil {
		return err
	}
	path, ok := s.get("path")
	if !ok {
		return errors.New("chardev: file: no filename given")
	}
	flags := os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	if appendTo {
		flags = os.O_WRONLY | os.O_CREATE | os.O_APPEND
	}
	f, err := openFileOrSet(path, flags)
	if err != nil {
		return fmt.Errorf("Could not open '%s': %s", path, reason(err))
	}
	var in *os.File
	if p, ok := s.get("input-path"); ok {
		if in, err = os.Open(p); err != nil {
			f.Close()
			return fmt.Errorf("Could not open '%s': %s", p, reason(err))
		}
	}
	b.connected = true
	b.end = &pumpEnd{b: b, label: "file", p: startPump(b, &pair{in, f}, in != nil, nil)}
	return nil
}

// pair is a connection of two files; in may be nil.
type pair struct{ in, out *os.File }

func (p *pair) Read(b []byte) (int, error)  { return p.in.Read(b) }
func (p *pair) Write(b []byte) (int, error) { return p.out.Write(b) }
func (p *pair) Close() error {
	if p.in != nil && p.in != p.out {
		p.in.Close()
	}
	return p.out.Close()
}

// openPipe opens NAME.in and NAME.out, or else NAME for both directions.
func openPipe(b *Backend, s *Spec) error {
	path, ok := s.get("path")
	if !ok {
		return errors.New("chardev: pipe: no device path given")
	}
	in, err1 := os.OpenFile(path+".in", os.O_RDWR, 0)
	out, err2 := os.OpenFile(path+".out", os.O_RDWR, 0)
	if err1 != nil || err2 != nil {
		for _, f := range []*os.File{in, out} {
			if f != nil {
				f.Close()
			}
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return fmt.Errorf("Could not open '%s': %s", path, reason(err))
		}
		in, out = f, f
	}
	b.connected = true
	b.end = &pumpEnd{b: b, label: "pipe", p: startPump(b, &pair{in, out}, true, nil)}
	return nil
}

// openDevice opens a host terminal device (serial, also called tty).
func openDevice(b *Backend, s *Spec) error {
	path, ok := s.get("path")
	if !ok {
		return errors.New("chardev: serial/tty: no device path given")
	}
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return fmt.Errorf("Could not open '%s': %s", path, reason(err))
	}
	restore := func() {}
	if raw, err := term.MakeRaw(int(f.Fd()), false); err == nil { // others, such as /dev/null, do as they are
		restore = raw.Restore
	}
	fd, err := newPollFD(int(f.Fd()), int(f.Fd()))
	if err != nil {
		restore()
		f.Close()
		return err
	}
	b.connected = true
	b.end = &pumpEnd{b: b, label: "serial", p: startPump(b, fd, true, nil), after: func() {
		restore()
		fd.release()
		f.Close()
	}}
	return nil
}
