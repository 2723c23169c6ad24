package channel

import (
	"fmt"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

// pipe is a pair of pipes, or a single one, perhaps with the command at the other end.
type pipe struct {
	in, out *os.File
	cmd     *exec.Cmd
}

// pollable reopens the descriptor of a pipe so that waiting for it can be ended by closing it.
func pollable(f *os.File) (*os.File, error) {
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

func newPipe(in, out *os.File) (*pipe, error) {
	same := in == out
	in, err := pollable(in)
	if err != nil {
		return nil, err
	}
	if same {
		return &pipe{in: in, out: in}, nil
	}
	out, err = pollable(out)
	if err != nil {
		_ = in.Close()
		return nil, err
	}
	return &pipe{in: in, out: out}, nil
}

// command starts a shell command whose input and output are the channel.
func command(line string) (*pipe, error) {
	cmd := exec.Command("/bin/sh", "-c", line)
	cmd.Stderr = os.Stderr
	inR, inW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		_, _ = inR.Close(), inW.Close()
		return nil, err
	}
	cmd.Stdin, cmd.Stdout = inR, outW
	err = cmd.Start()
	_, _ = inR.Close(), outW.Close()
	if err != nil {
		_, _ = inW.Close(), outR.Close()
		return nil, fmt.Errorf("Unable to fork: %w", err)
	}
	return &pipe{in: outR, out: inW, cmd: cmd}, nil
}

// Read implements Channel.
func (p *pipe) Read(b []byte) (int, error) { return p.in.Read(b) }

// Write implements Channel.
func (p *pipe) Write(b []byte) (int, error) { return p.out.Write(b) }

// WriteVector implements Channel.
func (p *pipe) WriteVector(v [][]byte) error { return writeVector(p.out, v) }

// Shutdown implements Channel.
func (p *pipe) Shutdown() {
	_ = p.in.Close()
	if p.out != p.in {
		_ = p.out.Close()
	}
}

// Close implements Channel: it waits for the command to end.
func (p *pipe) Close() error {
	p.Shutdown()
	if p.cmd == nil {
		return nil
	}
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("the command of the channel failed: %w", err)
	}
	return nil
}

// TwoWay implements Channel.
func (p *pipe) TwoWay() bool { return p.cmd != nil }
