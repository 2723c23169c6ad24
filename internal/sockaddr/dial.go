package sockaddr

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"goemu/internal/fdset"
)

// noName is what the C library says of an unknown host.
const noName = "Name or service not known"

// keepAlive is the time between probes when they are asked for.
const keepAlive = 15 * time.Second

// maxUnixPath is the space for a name in a socket address.
const maxUnixPath = len(unix.RawSockaddrUnix{}.Path)

// Connect makes a connection.
func (a *Addr) Connect(ctx context.Context) (net.Conn, error) {
	switch a.Type {
	case Unix:
		return a.connectUnix(ctx)
	case Vsock:
		return a.connectVsock()
	case FD:
		f, err := a.file()
		if err != nil {
			return nil, err
		}
		defer f.Close()
		c, err := net.FileConn(f)
		if err != nil {
			return nil, errorf("File descriptor '%s' is not a socket", a.FD)
		}
		return c, nil
	}
	return a.connectInet(ctx)
}

// Listen opens a listening socket. An old socket file is removed first.
func (a *Addr) Listen(ctx context.Context) (net.Listener, error) {
	switch a.Type {
	case Unix:
		return a.listenUnix(ctx)
	case Vsock:
		return a.listenVsock()
	case FD:
		f, err := a.file()
		if err != nil {
			return nil, err
		}
		defer f.Close()
		l, err := net.FileListener(f)
		if err != nil {
			return nil, errorf("File descriptor '%s' is not a socket", a.FD)
		}
		return l, nil
	}
	return a.listenInet(ctx)
}

// file takes over the inherited descriptor, or the one that a client has handed over under the name.
func (a *Addr) file() (*os.File, error) {
	fd, named := fdset.Default.TakeNamed(a.FD)
	if !named {
		var err error
		if fd, err = strconv.Atoi(a.FD); err != nil || fd < 0 {
			return nil, errnof(unix.EINVAL, "Unable to parse FD number %s", a.FD)
		}
	}
	if _, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err != nil {
		return nil, errorf("File descriptor '%s' is not a socket", a.FD)
	}
	return os.NewFile(uintptr(fd), "fd:"+a.FD), nil
}

// errnoOf digs the errno out of package net's errors.
func errnoOf(err error) unix.Errno {
	var e unix.Errno
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return unix.ETIMEDOUT
	case errors.Is(err, context.Canceled):
		return unix.ECANCELED
	}
	return unix.EINVAL
}

// network is the network of package net that the address allows.
func (a *Addr) network() (string, error) {
	no4, no6 := a.IPv4 != nil && !*a.IPv4, a.IPv6 != nil && !*a.IPv6
	only4, only6 := a.IPv4 != nil && *a.IPv4, a.IPv6 != nil && *a.IPv6
	switch {
	case no4 && no6:
		return "", errorf("Cannot disable IPv4 and IPv6 at same time")
	case only4 && only6:
		return "tcp", nil
	case only6 || no4:
		return "tcp6", nil
	case only4 || no6:
		return "tcp4", nil
	}
	return "tcp", nil
}

// resolve finds the numeric addresses; an empty host is any address (passive) or the loopback.
func (a *Addr) resolve(ctx context.Context) (network string, list []netip.AddrPort, err error) {
	if network, err = a.network(); err != nil {
		return "", nil, err
	}
	port, err := net.DefaultResolver.LookupPort(ctx, network, a.Port)
	if err != nil {
		return "", nil, errorf("address resolution failed for %s:%s: %s", a.Host, a.Port, "Servname not supported for ai_socktype")
	}
	if ip, ok := ParseIP(a.Host); ok {
		return network, []netip.AddrPort{netip.AddrPortFrom(ip, uint16(port))}, nil
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, strings.Replace(network, "tcp", "ip", 1), a.Host)
	if a.Numeric || err != nil || len(ips) == 0 {
		return "", nil, errorf("address resolution failed for %s:%s: %s", a.Host, a.Port, noName)
	}
	for _, ip := range ips {
		list = append(list, netip.AddrPortFrom(ip.Unmap(), uint16(port)))
	}
	return network, list, nil
}

func (a *Addr) connectInet(ctx context.Context) (net.Conn, error) {
	if a.Host == "" || a.Port == "" {
		return nil, errorf("host and/or port not specified")
	}
	network, list, err := a.resolve(ctx)
	if err != nil {
		return nil, err
	}
	d := net.Dialer{KeepAlive: -1}
	if a.KeepAlive {
		d.KeepAlive = keepAlive
	}
	var last error
	for _, ap := range list {
		c, err := d.DialContext(ctx, network, ap.String())
		if err == nil {
			return c, nil
		}
		last = err
	}
	return nil, errnof(errnoOf(last), "Failed to connect to '%s:%s'", a.Host, a.Port)
}

func (a *Addr) listenInet(ctx context.Context) (net.Listener, error) {
	if a.KeepAlive {
		return nil, errorf("keep-alive option is not supported for passive sockets")
	}
	list := []netip.AddrPort{{}}
	network, err := a.network()
	if err != nil {
		return nil, err
	}
	if a.Host != "" {
		if network, list, err = a.resolve(ctx); err != nil {
			return nil, err
		}
	} else if port, err := strconv.ParseUint(a.Port, 10, 16); err == nil {
		list[0] = netip.AddrPortFrom(netip.Addr{}, uint16(port))
	}
	lc := net.ListenConfig{KeepAlive: -1}
	var last error
	for _, ap := range list {
		for port := int(ap.Port()); port <= max(a.To, int(ap.Port())); port++ {
			host := ""
			if ap.Addr().IsValid() {
				host = ap.Addr().String()
			}
			l, err := lc.Listen(ctx, network, net.JoinHostPort(host, strconv.Itoa(port)))
			if err == nil {
				return l, nil
			}
			if last = err; errnoOf(err) != unix.EADDRINUSE {
				return nil, errnof(errnoOf(err), "Failed to bind socket")
			}
		}
	}
	return nil, errnof(errnoOf(last), "Failed to find an available port")
}

// unixName is the name for package net: abstract names start with '@' there.
func (a *Addr) unixName() (string, error) {
	limit := maxUnixPath
	if a.Abstract {
		limit--
	}
	if len(a.Path) > limit {
		return "", &Error{Errno: unix.EINVAL, Text: "UNIX socket path '" + a.Path + "' is too long",
			Hint: "Path must be less than " + strconv.Itoa(limit) + " bytes"}
	}
	if !a.Abstract {
		return a.Path, nil
	}
	name := "@" + a.Path
	if a.Loose {
		name += strings.Repeat("\x00", maxUnixPath-len(name))
	}
	return name, nil
}

func (a *Addr) connectUnix(ctx context.Context) (net.Conn, error) {
	if a.Path == "" {
		return nil, errorf("unix connect: no path specified")
	}
	name, err := a.unixName()
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", name)
	if err != nil {
		return nil, errnof(errnoOf(err), "Failed to connect to '%s'", a.Path)
	}
	return c, nil
}

func (a *Addr) listenUnix(ctx context.Context) (net.Listener, error) {
	name, err := a.unixName()
	if err != nil {
		return nil, err
	}
	if !a.Abstract {
		if err := os.Remove(a.Path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, errnof(errnoOf(err), "Failed to unlink socket %s", a.Path)
		}
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", name)
	if err != nil {
		return nil, errnof(errnoOf(err), "Failed to bind socket to %s", a.Path)
	}
	return l, nil
}
