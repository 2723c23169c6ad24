// Package channel opens what a migration stream travels over: sockets, descriptors and commands, by the URIs that users write. It knows
// nothing of the stream.
package channel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"goemu/internal/sockaddr"
	"goemu/internal/strerror"
)

// Channel is one connection. Shutdown makes reads and writes under way fail and may be called from any goroutine; Close waits for a
// command to end.
type Channel interface {
	Read(p []byte) (int, error)
	Write(p []byte) (int, error)
	WriteVector(v [][]byte) error
	Shutdown()
	Close() error
	// TwoWay tells whether the other side can answer.
	TwoWay() bool
}

// Files finds a descriptor that was handed over by name, and takes it out.
type Files func(name string) (*os.File, error)

// errProtocol says that a URI begins with no known protocol.
var errProtocol = errors.New("Parameter 'uri' expects a valid migration protocol")

// Opener opens a channel that was prepared. Only it may take long.
type Opener func(ctx context.Context) (Channel, error)

// split separates the protocol of a URI from the rest.
func split(uri string) (protocol, rest string) {
	for _, p := range []string{"tcp", "unix", "vsock", "exec", "fd"} {
		if r, ok := strings.CutPrefix(uri, p+":"); ok {
			return p, r
		}
	}
	return "", uri
}

// address reads what stands behind the protocol of a socket's URI.
func address(protocol, rest string) (*sockaddr.Addr, error) {
	switch protocol {
	case "unix":
		path, _, _ := strings.Cut(rest, ",")
		if path == "" {
			return nil, errors.New("invalid Unix socket address")
		}
		return &sockaddr.Addr{Type: sockaddr.Unix, Path: path}, nil
	case "vsock":
		cid, port, ok := strings.Cut(rest, ":")
		if !ok || cid == "" || port == "" {
			return nil, fmt.Errorf("error parsing vsock address '%s'", rest)
		}
		return &sockaddr.Addr{Type: sockaddr.Vsock, Host: cid, Port: port}, nil
	}
	return sockaddr.ParseInet(rest)
}

// Host is the host that a URI names, "" if it names none.
func Host(uri string) string {
	if protocol, rest := split(uri); protocol == "tcp" {
		if a, err := address(protocol, rest); err == nil {
			return a.Host
		}
	}
	return ""
}

// Many tells whether more than one channel can be opened to a URI.
func Many(uri string) bool {
	switch protocol, _ := split(uri); protocol {
	case "tcp", "unix", "vsock":
		return true
	}
	return false
}

// Outgoing prepares the channel of a source. What is wrong with the URI shows at once, what is wrong with a peer when it is opened.
func Outgoing(uri string, files Files) (Opener, error) {
	protocol, rest := split(uri)
	switch protocol {
	case "tcp", "unix", "vsock":
		a, err := address(protocol, rest)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context) (Channel, error) {
			c, err := a.Connect(ctx)
			if err != nil {
				return nil, err
			}
			return &socket{c}, nil
		}, nil
	case "exec":
		c, err := command(rest)
		return func(context.Context) (Channel, error) { return c, err }, err
	case "fd":
		c, err := descriptor(rest, files)
		return func(context.Context) (Channel, error) { return c, err }, err
	}
	return nil, errProtocol
}

// Waiting is the channel of a destination before the source is there.
type Waiting struct {
	Open  Opener
	More  Opener   // waits for another channel of the same source, nil where there is only one
	Done  func()   // lets no more channels come
	Close func()   // ends the waiting
	Addr  net.Addr // where a socket listens, nil for other channels
}

// Admit takes the channel of a source and returns the one to load from. Its error ends that channel, which it has reported and closed.
type Admit func(Channel) (Channel, error)

// ErrRefused says that the only channel there could be was not admitted.
var ErrRefused = errors.New("the channel was not admitted")

// Incoming prepares the channel of a destination; sockets listen already when it returns, and until a source is admitted.
func Incoming(uri string, files Files, admit Admit) (*Waiting, error) {
	protocol, rest := split(uri)
	var c Channel
	var err error
	switch protocol {
	case "tcp", "unix", "vsock":
		return listen(protocol, rest, admit)
	case "exec":
		c, err = command(rest)
	case "fd":
		c, err = descriptor(rest, files)
	default:
		return nil, fmt.Errorf("unknown migration protocol: %s", uri)
	}
	if err != nil {
		return nil, err
	}
	open := func(context.Context) (Channel, error) {
		ch, err := admit(awaitInput(c))
		if err != nil {
			return nil, ErrRefused
		}
		return ch, nil
	}
	return &Waiting{Open: open, Done: func() {}, Close: c.Shutdown}, nil
}

func listen(protocol, rest string, admit Admit) (*Waiting, error) {
	a, err := address(protocol, rest)
	if err != nil {
		return nil, err
	}
	l, err := a.Listen(context.Background())
	if err != nil {
		return nil, err
	}
	var once sync.Once
	w := &Waiting{Close: func() { once.Do(func() { _ = l.Close() }) }, Addr: l.Addr()}
	w.Done = w.Close
	w.Open = func(context.Context) (Channel, error) {
		for {
			c, err := l.Accept()
			if err != nil {
				return nil, err
			}
			if ch, err := admit(&socket{c}); err == nil {
				return ch, nil
			}
		}
	}
	w.More = w.Open
	return w, nil
}

// awaitInput waits until something comes: what is at the other end of a pipe shows only then.
func awaitInput(c Channel) Channel {
	b := &begun{Channel: c}
	n, err := c.Read(b.first[:])
	b.have, b.err = n > 0, err
	return b
}

// begun is a channel whose first byte, or the lack of one, has been read already.
type begun struct {
	Channel
	first [1]byte
	have  bool
	err   error
}

// Read implements Channel.
func (b *begun) Read(p []byte) (int, error) {
	switch {
	case b.have && len(p) > 0:
		b.have = false
		return copy(p, b.first[:]), nil
	case b.err != nil:
		return 0, b.err
	}
	return b.Channel.Read(p)
}

// socket is a connected socket.
type socket struct{ net.Conn }

// WriteVector implements Channel.
func (s *socket) WriteVector(v [][]byte) error {
	b := net.Buffers(v)
	_, err := b.WriteTo(s.Conn)
	if err != nil {
		return fmt.Errorf("Unable to write to socket: %s", strerror.Of(err))
	}
	return nil
}

// Shutdown implements Channel.
func (s *socket) Shutdown() {
	if c, ok := s.Conn.(interface{ CloseRead() error }); ok {
		_ = c.CloseRead()
	}
	if c, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
		return
	}
	_ = s.Close()
}

// TwoWay implements Channel.
func (*socket) TwoWay() bool { return true }

// descriptor opens a descriptor by its number or by the name under which it was handed over.
func descriptor(name string, files Files) (Channel, error) {
	var f *os.File
	if n, err := strconv.Atoi(name); err == nil && n >= 0 {
		if _, err := unix.FcntlInt(uintptr(n), unix.F_GETFD, 0); err != nil {
			return nil, fmt.Errorf("File descriptor '%s' is not open", name)
		}
		f = os.NewFile(uintptr(n), "migration")
	} else {
		if files == nil {
			return nil, fmt.Errorf("File descriptor named '%s' has not been found", name)
		}
		if f, err = files(name); err != nil {
			return nil, err
		}
	}
	return fromFile(f)
}

// fromFile makes a channel of a file, which belongs to the channel from now on.
func fromFile(f *os.File) (Channel, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, fmt.Errorf("File descriptor '%s': %w", f.Name(), err)
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFSOCK:
		defer f.Close()
		c, err := net.FileConn(f)
		if err != nil {
			return nil, err
		}
		return &socket{c}, nil
	case unix.S_IFIFO:
		return newPipe(f, f)
	}
	return &file{f}, nil
}

// file is a regular file or a device: it is read and written from where its offset stands.
type file struct{ *os.File }

// WriteVector implements Channel.
func (f *file) WriteVector(v [][]byte) error { return writeVector(f.File, v) }

// Shutdown implements Channel: nothing waits for a file.
func (*file) Shutdown() {}

// TwoWay implements Channel.
func (*file) TwoWay() bool { return false }

// writeVector writes all of v to a file.
func writeVector(f *os.File, v [][]byte) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	for len(v) > 0 {
		var n int
		var werr error
		err := c.Write(func(fd uintptr) bool {
			n, werr = unix.Writev(int(fd), v[:min(len(v), maxVector)])
			return werr != unix.EAGAIN
		})
		if err == nil {
			err = werr
		}
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("Unable to write to file: %s", strerror.Of(err))
		}
		for n > 0 || len(v) > 0 && len(v[0]) == 0 {
			k := min(n, len(v[0]))
			v[0], n = v[0][k:], n-k
			if len(v[0]) == 0 {
				v = v[1:]
			}
		}
	}
	return nil
}

// maxVector is the largest number of pieces that one system call takes.
const maxVector = 1024
