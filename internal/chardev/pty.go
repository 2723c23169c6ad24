package chardev

import (
	"fmt"
	"os"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"goemu/internal/term"
)

// ptyRetry is how often a pseudo terminal that nobody has open is looked at; the kernel gives no sign of an open.
const ptyRetry = time.Second

// ptyConn is the master side of a pseudo terminal. While nobody has the slave open, output is dropped.
type ptyConn struct {
	*pollFD
	b *Backend
}

// openPTY makes a pseudo terminal for somebody to open.
func openPTY(b *Backend, s *Spec) error {
	master, slave, err := pty.Open()
	if err != nil {
		return fmt.Errorf("Failed to create PTY: %s", reason(err))
	}
	defer slave.Close()
	mfd := int(master.Fd())
	if err = term.SetRaw(int(slave.Fd())); err == nil {
		err = unix.SetNonblock(mfd, true)
	}
	var fd *pollFD
	if err == nil {
		fd, err = newPollFD(mfd, mfd)
	}
	if err != nil {
		master.Close()
		return fmt.Errorf("Failed to create PTY: %s", reason(err))
	}
	s.Notice = fmt.Sprintf("char device redirected to %s (label %s)", slave.Name(), b.ID)
	b.discard = true
	b.end = &pumpEnd{b: b, label: "pty:" + slave.Name(), p: startPump(b, &ptyConn{fd, b}, true, nil), after: func() {
		fd.release()
		master.Close()
	}}
	return nil
}

// hungUp tells whether nobody has the slave open.
func (p *ptyConn) hungUp() bool {
	fds := []unix.PollFd{{Fd: int32(p.in), Events: unix.POLLOUT}}
	n, _ := unix.Poll(fds, 0)
	return n > 0 && fds[0].Revents&unix.POLLHUP != 0
}

// Read waits until somebody opens the terminal and types.
func (p *ptyConn) Read(buf []byte) (int, error) {
	for {
		if p.hungUp() {
			p.b.setConnected(false, true)
			wake := []unix.PollFd{{Fd: int32(p.wakeFD), Events: unix.POLLIN}}
			if n, _ := unix.Poll(wake, int(ptyRetry/time.Millisecond)); n > 0 {
				return 0, os.ErrClosed
			}
			continue
		}
		p.b.setConnected(true, true)
		if !p.wait(p.in, unix.POLLIN) {
			return 0, os.ErrClosed
		}
		if n, err := unix.Read(p.in, buf); err == nil && n > 0 {
			return n, nil
		}
	}
}

// Write drops what cannot be delivered because nobody has the terminal open.
func (p *ptyConn) Write(buf []byte) (int, error) {
	for n := 0; n < len(buf); {
		if !p.wait(p.out, unix.POLLOUT) {
			return n, os.ErrClosed
		}
		k, _ := unix.Write(p.out, buf[n:])
		n += max(k, 0)
		if k <= 0 && p.hungUp() {
			break
		}
	}
	return len(buf), nil
}
