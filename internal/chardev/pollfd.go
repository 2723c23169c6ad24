package chardev

import (
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// pollFD reads and writes inherited file descriptors without changing their (shared) blocking mode; Close ends a Read or Write that
// waits. The descriptors themselves stay open.
type pollFD struct {
	in, out int
	wake    *os.File
	wakeFD  int
	mu      sync.RWMutex
	closed  bool
}

func newPollFD(in, out int) (*pollFD, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, err
	}
	return &pollFD{in: in, out: out, wakeFD: fd, wake: os.NewFile(uintptr(fd), "eventfd")}, nil
}

// wait blocks until fd is ready; false after Close.
func (p *pollFD) wait(fd int, events int16) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: events}, {Fd: int32(p.wakeFD), Events: unix.POLLIN}}
	for {
		_, err := unix.Poll(fds, -1)
		if err != nil && err != unix.EINTR {
			return false
		}
		if fds[1].Revents != 0 {
			return false
		}
		if fds[0].Revents != 0 {
			return true
		}
	}
}

// Read implements io.Reader.
func (p *pollFD) Read(b []byte) (int, error) {
	for p.wait(p.in, unix.POLLIN) {
		n, err := unix.Read(p.in, b)
		switch {
		case err == unix.EINTR || err == unix.EAGAIN:
			continue
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		}
		return n, nil
	}
	return 0, os.ErrClosed
}

// writeChunk is what a pipe that polls ready takes without blocking.
const writeChunk = 4096

// Write implements io.Writer.
func (p *pollFD) Write(b []byte) (n int, err error) {
	for n < len(b) {
		if !p.wait(p.out, unix.POLLOUT) {
			return n, os.ErrClosed
		}
		k, err := unix.Write(p.out, b[n:min(len(b), n+writeChunk)])
		if err != nil && err != unix.EINTR && err != unix.EAGAIN {
			return n, err
		}
		n += max(k, 0)
	}
	return n, nil
}

// Close ends waiting calls.
func (p *pollFD) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	_, err := unix.Write(p.wakeFD, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	return err
}

// release frees the wake-up descriptor; no call may be in progress.
func (p *pollFD) release() { p.wake.Close() }
