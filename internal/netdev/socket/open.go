package socket

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"goemu/internal/netdev"
	"goemu/internal/sockaddr"
	"goemu/qapi"
)

func reuse(_, _ string, c syscall.RawConn) error {
	var err error
	cerr := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) })
	return errors.Join(cerr, err)
}

// Open is the Opener of the kind socket.
func Open(s *netdev.Set, n *qapi.Netdev, peer *netdev.Client) error {
	o := n.Socket
	given := 0
	for _, p := range []*string{o.Fd, o.Listen, o.Connect, o.Mcast, o.Udp} {
		if p != nil {
			given++
		}
	}
	switch {
	case given != 1:
		return qapi.Errorf("exactly one of listen=, connect=, mcast= or udp= is required")
	case o.Localaddr != nil && o.Mcast == nil && o.Udp == nil:
		return qapi.Errorf("localaddr= is only valid with mcast= or udp=")
	case o.Fd != nil:
		return openFD(s, "socket", n.Id, *o.Fd, peer)
	case o.Listen != nil:
		return openListen(s, n.Id, *o.Listen, peer)
	case o.Connect != nil:
		return openConnect(s, n.Id, *o.Connect, peer)
	case o.Mcast != nil:
		return openMulticast(s, n.Id, o, peer)
	}
	return openUDP(s, n.Id, o, peer)
}

func openFD(s *netdev.Set, kind, name, text string, peer *netdev.Client) error {
	fd, err := netdev.TakeFD(text)
	if err != nil {
		return err
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err != nil {
		return fmt.Errorf("%s: Can't use file descriptor %d: %s", name, fd, netdev.Reason(err))
	}
	ok, err := isStream(fd)
	switch {
	case err != nil:
		return err
	case ok:
		c, err := connOf(fd)
		if err != nil {
			return err
		}
		p := newStream(s, kind, name, peer)
		p.Client().SetInfo("socket: fd=%d", fd)
		p.start(c)
		return nil
	}
	return openDgramFD(s, kind, name, fd, peer)
}

func openDgramFD(s *netdev.Set, kind, name string, fd int, peer *netdev.Client) error {
	family := "unix"
	if sa, err := unix.Getsockname(fd); err == nil {
		if _, ok := sa.(*unix.SockaddrUnix); !ok {
			family = "inet"
		}
	}
	c, err := packetOf(fd)
	if err != nil {
		return err
	}
	p := newDgram(s, kind, name, peer, c, nil)
	prefix := ""
	if kind == "socket" {
		prefix = "socket: "
	}
	p.Client().SetInfo("%sfd=%d %s", prefix, fd, family)
	return nil
}

func openListen(s *netdev.Set, name, text string, peer *netdev.Client) error {
	a, err := address(text)
	if err != nil {
		return err
	}
	lc := net.ListenConfig{Control: reuse}
	l, err := lc.Listen(context.Background(), "tcp4", a.String())
	if err != nil {
		return fmt.Errorf("can't bind ip=%s to socket: %s", a.IP, netdev.Reason(err))
	}
	p := newStream(s, "socket", name, peer)
	p.Client().SetLinkDown(true)
	p.next = accept(l, func(c net.Conn) string { return fmt.Sprintf("socket: connection from %s", c.RemoteAddr()) })
	p.start(nil)
	return nil
}

// accept waits for connections at a listener, which is closed with the port.
func accept(l net.Listener, info func(net.Conn) string) func(context.Context) (net.Conn, string, error) {
	return func(ctx context.Context) (net.Conn, string, error) {
		stop := context.AfterFunc(ctx, func() { _ = l.Close() })
		defer stop()
		c, err := l.Accept()
		if err != nil {
			return nil, "", err
		}
		context.AfterFunc(ctx, func() { _ = l.Close() })
		return c, info(c), nil
	}
}

func openConnect(s *netdev.Set, name, text string, peer *netdev.Client) error {
	a, err := address(text)
	if err != nil {
		return err
	}
	var d net.Dialer
	c, err := d.Dial("tcp4", a.String())
	if err != nil {
		return fmt.Errorf("can't connect socket: %s", netdev.Reason(err))
	}
	p := newStream(s, "socket", name, peer)
	p.Client().SetInfo("socket: connect to %s", a)
	p.start(c)
	return nil
}

func openMulticast(s *netdev.Set, name string, o *qapi.NetdevSocketOptions, peer *netdev.Client) error {
	a, err := address(*o.Mcast)
	if err != nil {
		return err
	}
	var local net.IP
	if o.Localaddr != nil {
		if local = net.ParseIP(*o.Localaddr).To4(); local == nil {
			return fmt.Errorf("localaddr '%s' is not a valid IPv4 address", *o.Localaddr)
		}
	}
	c, err := multicast(a, local)
	if err != nil {
		return err
	}
	newDgram(s, "socket", name, peer, c, a).Client().SetInfo("socket: mcast=%s", a)
	return nil
}

func openUDP(s *netdev.Set, name string, o *qapi.NetdevSocketOptions, peer *netdev.Client) error {
	if o.Localaddr == nil {
		return qapi.Errorf("localaddr= is mandatory with udp=")
	}
	local, err := address(*o.Localaddr)
	if err != nil {
		return err
	}
	remote, err := address(*o.Udp)
	if err != nil {
		return err
	}
	c, err := listen(local)
	if err != nil {
		return fmt.Errorf("can't bind ip=%s to socket: %s", local.IP, netdev.Reason(err))
	}
	newDgram(s, "socket", name, peer, c, remote).Client().SetInfo("socket: udp=%s", remote)
	return nil
}

// uri shows the far end of a connection, and the same as clients are told.
func uri(c net.Conn) (text string, a *qapi.SocketAddress) {
	switch r := c.RemoteAddr().(type) {
	case *net.TCPAddr:
		host, port := r.IP.String(), strconv.Itoa(r.Port)
		a = &qapi.SocketAddress{Type: qapi.SocketAddressTypeInet, Inet: &qapi.InetSocketAddress{Host: host, Port: port}}
		if r.IP.To4() == nil {
			host = "[" + host + "]"
			yes := true
			a.Inet.Ipv6 = &yes
		} else {
			yes := true
			a.Inet.Ipv4 = &yes
		}
		return "tcp:" + host + ":" + port, a
	case *net.UnixAddr:
		path := strings.TrimPrefix(r.Name, "@")
		return "unix:" + path, &qapi.SocketAddress{Type: qapi.SocketAddressTypeUnix, Unix: &qapi.UnixSocketAddress{Path: path}}
	}
	return c.RemoteAddr().String(), &qapi.SocketAddress{Type: qapi.SocketAddressTypeFd, Fd: &qapi.String{}}
}

// OpenStream is the Opener of the kind stream.
func OpenStream(s *netdev.Set, n *qapi.Netdev, peer *netdev.Client) error {
	o := n.Stream
	a := sockaddr.Of(o.Addr)
	var next func(ctx context.Context) (net.Conn, string, error)
	info := func(c net.Conn) string {
		text, _ := uri(c)
		return text
	}
	if o.Server != nil && *o.Server {
		l, err := a.Listen(context.Background())
		if err != nil {
			return err
		}
		next = accept(l, info)
	} else {
		done := false
		next = func(ctx context.Context) (net.Conn, string, error) {
			if done {
				return nil, "", net.ErrClosed
			}
			done = true
			c, err := a.Connect(ctx)
			if err != nil {
				return nil, "", err
			}
			return c, info(c), nil
		}
	}
	p := newStream(s, "stream", n.Id, peer)
	p.Client().SetLinkDown(true)
	p.next = next
	p.up = func(c net.Conn) {
		_, addr := uri(c)
		s.Tell(&qapi.NetdevStreamConnectedEvent{NetdevId: n.Id, Addr: addr})
	}
	p.down = func() { s.Tell(&qapi.NetdevStreamDisconnectedEvent{NetdevId: n.Id}) }
	p.start(nil)
	return nil
}

// OpenDgram is the Opener of the kind dgram.
func OpenDgram(s *netdev.Set, n *qapi.Netdev, peer *netdev.Client) error {
	local, remote := n.Dgram.Local, n.Dgram.Remote
	if remote != nil && remote.Inet != nil {
		a, err := hostPort(remote.Inet.Host, remote.Inet.Port)
		if err != nil {
			return err
		}
		if a.IP.IsMulticast() {
			return dgramMulticast(s, n.Id, a, local, peer)
		}
	}
	switch {
	case local == nil:
		return qapi.Errorf("dgram requires local= parameter")
	case remote != nil && local.Fd != nil:
		return qapi.Errorf("don't set remote with local.fd")
	case remote != nil && remote.Type != local.Type:
		return qapi.Errorf("remote and local types must be the same")
	case remote == nil && local.Fd == nil:
		return qapi.Errorf("type=inet or type=unix requires remote parameter")
	case local.Fd != nil:
		fd, err := netdev.TakeFD(local.Fd.Str)
		if err != nil {
			return err
		}
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err != nil {
			return fmt.Errorf("%s: Can't use file descriptor %d: %s", n.Id, fd, netdev.Reason(err))
		}
		return openDgramFD(s, "dgram", n.Id, fd, peer)
	case local.Inet != nil:
		return dgramInet(s, n.Id, local.Inet, remote.Inet, peer)
	case local.Unix != nil:
		return dgramUnix(s, n.Id, local.Unix.Path, remote.Unix.Path, peer)
	}
	return qapi.Errorf("only support inet or fd type for local")
}

func dgramMulticast(s *netdev.Set, name string, group *net.UDPAddr, local *qapi.SocketAddress, peer *netdev.Client) error {
	var ip net.IP
	switch {
	case local == nil:
	case local.Inet != nil:
		if ip = net.ParseIP(local.Inet.Host).To4(); ip == nil {
			return fmt.Errorf("localaddr '%s' is not a valid IPv4 address", local.Inet.Host)
		}
	case local.Fd != nil:
		fd, err := netdev.TakeFD(local.Fd.Str)
		if err != nil {
			return err
		}
		c, err := packetOf(fd)
		if err != nil {
			return fmt.Errorf("%s: Can't use file descriptor %d: %s", name, fd, netdev.Reason(err))
		}
		newDgram(s, "dgram", name, peer, c, group).Client().SetInfo("fd=%d (cloned mcast=%s)", fd, group)
		return nil
	default:
		return qapi.Errorf("only support inet or fd type for local")
	}
	c, err := multicast(group, ip)
	if err != nil {
		return err
	}
	newDgram(s, "dgram", name, peer, c, group).Client().SetInfo("mcast=%s", group)
	return nil
}

func dgramInet(s *netdev.Set, name string, local, remote *qapi.InetSocketAddress, peer *netdev.Client) error {
	l, err := hostPort(local.Host, local.Port)
	if err != nil {
		return err
	}
	r, err := hostPort(remote.Host, remote.Port)
	if err != nil {
		return err
	}
	c, err := listen(l)
	if err != nil {
		return fmt.Errorf("can't bind ip=%s to socket: %s", l.IP, netdev.Reason(err))
	}
	newDgram(s, "dgram", name, peer, c, r).Client().SetInfo("udp=%s/%s", l, r)
	return nil
}

// maxUnixPath is the space for a name in a socket address.
const maxUnixPath = 108

func dgramUnix(s *netdev.Set, name, local, remote string, peer *netdev.Client) error {
	for _, path := range []string{local, remote} {
		if len(path) >= maxUnixPath {
			return fmt.Errorf("UNIX socket path '%s' is too long\nPath must be less than %d bytes", path, maxUnixPath)
		}
	}
	if err := os.Remove(local); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("failed to unlink socket %s: %s", local, netdev.Reason(err))
	}
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: local, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("can't bind unix=%s to socket: %s", local, netdev.Reason(err))
	}
	p := newDgram(s, "dgram", name, peer, c, &net.UnixAddr{Name: remote, Net: "unixgram"})
	p.path = local
	p.Client().SetInfo("udp=%s:%s", local, remote)
	return nil
}
