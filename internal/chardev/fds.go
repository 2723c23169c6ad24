package chardev

import (
	"net"

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
