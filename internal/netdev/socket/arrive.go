package socket

import (
	"io"
	"net"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// arrivals reads a connection and knows whether everything that came was taken on.
type arrivals struct {
	net.Conn
	raw  syscall.RawConn // nil: the connection is none of the host's kernel
	busy atomic.Bool     // bytes are on their way from the kernel to the peer
}

func newArrivals(c net.Conn) *arrivals {
	a := &arrivals{Conn: c}
	if s, ok := c.(syscall.Conn); ok {
		a.raw, _ = s.SyscallConn()
	}
	return a
}

// Read implements io.Reader. What the call before gave is taken on when it is called again.
func (a *arrivals) Read(b []byte) (n int, err error) {
	a.busy.Store(false)
	if a.raw == nil {
		return a.Conn.Read(b)
	}
	waitErr := a.raw.Read(func(fd uintptr) bool {
		a.busy.Store(true) // before the kernel has the bytes no more
		for {
			n, err = unix.Read(int(fd), b)
			if err != unix.EINTR {
				break
			}
		}
		if err == unix.EAGAIN {
			a.busy.Store(false)
			return false
		}
		return true
	})
	switch {
	case waitErr != nil:
		return 0, waitErr
	case err != nil:
		return 0, err
	case n == 0 && len(b) > 0:
		return 0, io.EOF
	}
	return n, nil
}

// done tells whether nothing is on its way.
func (a *arrivals) done() bool {
	waiting := 0
	if a.raw != nil {
		_ = a.raw.Control(func(fd uintptr) { waiting, _ = unix.IoctlGetInt(int(fd), unix.TIOCINQ) })
	}
	return waiting == 0 && !a.busy.Load()
}
