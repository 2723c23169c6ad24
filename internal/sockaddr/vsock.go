package sockaddr

import (
	"net"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// vsockAddr is the address of a socket between a host and its guests.
type vsockAddr struct{ cid, port string }

func (a vsockAddr) Network() string { return "vsock" }
func (a vsockAddr) String() string  { return a.cid + ":" + a.port }

// vsockConn is a connection of a family that package net does not know.
type vsockConn struct {
	*os.File
	peer vsockAddr
}

func (c vsockConn) LocalAddr() net.Addr  { return vsockAddr{} }
func (c vsockConn) RemoteAddr() net.Addr { return c.peer }

func (a *Addr) vsock() (*unix.SockaddrVM, error) {
	cid, err := strconv.ParseUint(a.Host, 10, 32)
	if err != nil {
		return nil, errorf("Failed to parse cid '%s'", a.Host)
	}
	port, err := strconv.ParseUint(a.Port, 10, 32)
	if err != nil {
		return nil, errorf("Failed to parse port '%s'", a.Port)
	}
	return &unix.SockaddrVM{CID: uint32(cid), Port: uint32(port)}, nil
}

func (a *Addr) connectVsock() (net.Conn, error) {
	sa, err := a.vsock()
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, errnof(errnoOf(err), "Failed to create socket family %d", unix.AF_VSOCK)
	}
	if err := unix.Connect(fd, sa); err != nil {
		unix.Close(fd)
		return nil, errnof(errnoOf(err), "Failed to connect to '%s:%s'", a.Host, a.Port)
	}
	unix.SetNonblock(fd, true)
	return vsockConn{os.NewFile(uintptr(fd), "vsock"), vsockAddr{a.Host, a.Port}}, nil
}

// vsockListener accepts connections of guests.
type vsockListener struct {
	f    *os.File
	addr vsockAddr
}

func (a *Addr) listenVsock() (net.Listener, error) {
	sa, err := a.vsock()
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, errnof(errnoOf(err), "Failed to create socket")
	}
	if err := unix.Bind(fd, sa); err != nil {
		unix.Close(fd)
		return nil, errnof(errnoOf(err), "Failed to bind socket")
	}
	if err := unix.Listen(fd, unix.SOMAXCONN); err != nil {
		unix.Close(fd)
		return nil, errnof(errnoOf(err), "Failed to listen on socket")
	}
	return &vsockListener{os.NewFile(uintptr(fd), "vsock"), vsockAddr{a.Host, a.Port}}, nil
}

// Accept implements net.Listener.
func (l *vsockListener) Accept() (net.Conn, error) {
	raw, err := l.f.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	var peer unix.Sockaddr
	var acceptErr error
	err = raw.Read(func(s uintptr) bool {
		fd, peer, acceptErr = unix.Accept4(int(s), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		return acceptErr != unix.EAGAIN
	})
	if err == nil {
		err = acceptErr
	}
	if err != nil {
		return nil, err
	}
	c := vsockConn{File: os.NewFile(uintptr(fd), "vsock")}
	if vm, ok := peer.(*unix.SockaddrVM); ok {
		c.peer = vsockAddr{strconv.FormatUint(uint64(vm.CID), 10), strconv.FormatUint(uint64(vm.Port), 10)}
	}
	return c, nil
}

// Close implements net.Listener.
func (l *vsockListener) Close() error { return l.f.Close() }

// Addr implements net.Listener.
func (l *vsockListener) Addr() net.Addr { return l.addr }
