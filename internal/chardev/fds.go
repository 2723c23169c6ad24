package chardev

import (
	"errors"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// maxFDs is how many descriptors one message may carry.
const maxFDs = 16

// fdConn is a unix socket that takes descriptors along with data.
type fdConn struct {
	*net.UnixConn
	b *Backend
}

// Read implements io.Reader.
func (c fdConn) Read(p []byte) (int, error) {
	var oob [256]byte
	n, nOOB, _, _, err := c.ReadMsgUnix(p, oob[:])
	if nOOB > 0 {
		c.b.setFDs(descriptors(oob[:nOOB]))
	}
	return n, err
}

// descriptors takes the descriptors out of a message's control data.
func descriptors(oob []byte) (fds []int) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil
	}
	for i := range messages {
		if list, err := unix.ParseUnixRights(&messages[i]); err == nil {
			fds = append(fds, list...)
		}
	}
	for i, fd := range fds {
		unix.CloseOnExec(fd)
		if i >= maxFDs {
			_ = unix.Close(fd)
		}
	}
	return fds[:min(len(fds), maxFDs)]
}

// setFDs keeps the descriptors that came last; those before that nobody took are closed.
func (b *Backend) setFDs(fds []int) {
	b.mu.Lock()
	old := b.fds
	b.fds = fds
	b.mu.Unlock()
	for _, fd := range old {
		_ = unix.Close(fd)
	}
}

// TakeFD hands the first of the descriptors that came along with the last input over.
func (b *Backend) TakeFD() (fd int, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.fds) == 0 {
		return -1, false
	}
	fd, b.fds = b.fds[0], b.fds[1:]
	return fd, true
}

// sendTime is how long the other side may take to make room for a message.
const sendTime = 10 * time.Second

// SendFDs writes a message with descriptors to a unix socket, past what is queued by Write; the descriptors stay the caller's. It blocks
// until all is written, for a while at most.
func (b *Backend) SendFDs(p []byte, fds []int) error {
	c, ok := b.fdConn()
	if !ok {
		return errors.New("not connected")
	}
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	_ = c.SetWriteDeadline(time.Now().Add(sendTime))
	n, _, err := c.WriteMsgUnix(p, oob, nil)
	if err == nil && n < len(p) {
		_, err = c.Write(p[n:])
	}
	return err
}

// PassesFDs tells whether descriptors can be sent along with data: over unix sockets.
func (b *Backend) PassesFDs() bool {
	e, ok := b.endpoint().(*socketEnd)
	return ok && e.addr.network == "unix" && e.creds == nil && !e.websocket && !e.telnet
}

// Reconnects tells whether another connection may follow when one has ended.
func (b *Backend) Reconnects() bool {
	e, ok := b.endpoint().(*socketEnd)
	return ok && (e.server || e.reconnect > 0)
}

func (b *Backend) fdConn() (c fdConn, ok bool) {
	e, ok := b.endpoint().(*socketEnd)
	if !ok {
		return c, false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.cur == nil {
		return c, false
	}
	c, ok = e.cur.c.(fdConn)
	return c, ok
}
