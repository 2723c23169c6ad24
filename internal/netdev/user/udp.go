package user

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// udpKey says for whom a flow is: for one port of the guest, whomever it speaks to, or for the pings with one identifier.
type udpKey struct {
	guest netip.AddrPort
	echo  bool
	v6    bool // the host's socket is an IPv6 one
}

// udpFlow is a socket of the host that stands for a port of the guest.
type udpFlow struct {
	u    *Network
	key  udpKey
	conn *net.UDPConn

	mu   sync.Mutex
	last time.Time                         // guarded by mu: when something went through
	dns  bool                              // guarded by mu: only name servers were spoken to
	seen map[netip.AddrPort]netip.AddrPort // guarded by mu: what the guest calls the addresses of the host's side
}

// Bounds of flows.
const (
	maxUDPFlows = 512
	maxPeers    = 64 // names that a flow keeps
	udpIdle     = 240 * time.Second
	dnsIdle     = 10 * time.Second
	dnsPort     = 53
	maxDatagram = 65507
)

// flow finds a flow or makes it.
func (u *Network) flow(k udpKey) (*udpFlow, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if f := u.udp[k]; f != nil {
		return f, nil
	}
	if u.isClosed() {
		return nil, errClosed
	}
	if len(u.udp) >= maxUDPFlows {
		u.dropOldest()
	}
	var conn *net.UDPConn
	var err error
	switch {
	case k.echo:
		conn, err = listenEcho(k.v6)
	case k.v6:
		conn, err = net.ListenUDP("udp6", nil)
	default:
		conn, err = net.ListenUDP("udp4", nil)
	}
	if err != nil {
		return nil, err
	}
	f := &udpFlow{u: u, key: k, conn: conn, last: time.Now(), dns: true, seen: map[netip.AddrPort]netip.AddrPort{}}
	u.udp[k] = f
	go f.read()
	return f, nil
}

// dropOldest ends the flow that was idle for the longest time. Preconditions: mu is held.
func (u *Network) dropOldest() {
	var oldest *udpFlow
	var at time.Time
	for _, f := range u.udp {
		f.mu.Lock()
		if oldest == nil || f.last.Before(at) {
			oldest, at = f, f.last
		}
		f.mu.Unlock()
	}
	delete(u.udp, oldest.key)
	_ = oldest.conn.Close()
}

// note says that the guest knows an address of the host's side by another.
func (f *udpFlow) note(host, guest netip.AddrPort) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = time.Now()
	f.dns = f.dns && guest.Port() == dnsPort
	if len(f.seen) >= maxPeers {
		clear(f.seen)
	}
	f.seen[host] = guest
}

// name is what the guest calls an address of the host's side.
func (f *udpFlow) name(host netip.AddrPort) netip.AddrPort {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = time.Now()
	if g, ok := f.seen[host]; ok {
		return g
	}
	return netip.AddrPortFrom(f.u.back(host.Addr()), host.Port())
}

// idle tells how long the flow may still live.
func (f *udpFlow) idle() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	limit := udpIdle
	if f.dns {
		limit = dnsIdle
	}
	return limit - time.Since(f.last)
}

// write sends a datagram; one for which the host has no room is lost.
func (f *udpFlow) write(b []byte, to netip.AddrPort) error { return sendTo(f.conn, b, to) }

// sendTo sends without waiting.
func sendTo(c *net.UDPConn, b []byte, to netip.AddrPort) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var sa unix.Sockaddr
	if to.Addr().Is4() {
		sa = &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}
	} else {
		sa = &unix.SockaddrInet6{Port: int(to.Port()), Addr: to.Addr().As16()}
	}
	var serr error
	err = raw.Write(func(fd uintptr) bool {
		serr = unix.Sendto(int(fd), b, unix.MSG_DONTWAIT, sa)
		return true
	})
	if err != nil {
		return err
	}
	if serr == unix.EAGAIN {
		return nil
	}
	return serr
}

// read gives the guest what comes, until the flow is idle for long.
func (f *udpFlow) read() {
	defer func() {
		_ = f.conn.Close()
		f.u.mu.Lock()
		defer f.u.mu.Unlock()
		if f.u.udp[f.key] == f {
			delete(f.u.udp, f.key)
		}
	}()
	b := make([]byte, maxDatagram)
	for {
		left := f.idle()
		if left <= 0 {
			return
		}
		_ = f.conn.SetReadDeadline(time.Now().Add(left))
		n, from, err := f.conn.ReadFromUDPAddrPort(b)
		if err != nil {
			if e, ok := err.(net.Error); ok && e.Timeout() || f.alive() {
				continue
			}
			return
		}
		from = netip.AddrPortFrom(from.Addr().Unmap().WithZone(""), from.Port())
		if f.key.echo {
			f.reply(b[:n], from.Addr())
			continue
		}
		f.u.sendUDP(f.name(from), f.key.guest, b[:n])
	}
}

// alive tells whether the flow's socket is still in use: an error of it is then the far end's.
func (f *udpFlow) alive() bool {
	f.u.mu.Lock()
	defer f.u.mu.Unlock()
	return !f.u.isClosed() && f.u.udp[f.key] == f
}

// reply gives the guest the answer to a ping.
func (f *udpFlow) reply(b []byte, from netip.Addr) {
	if len(b) < icmpHeader || b[0] != echoReply && b[0] != echoReply6 {
		return
	}
	be.PutUint16(b[4:], f.key.guest.Port()) // the host has put its own identifier there
	f.u.sendEcho(f.name(netip.AddrPortFrom(from, 0)).Addr(), f.key.guest.Addr(), b[4:])
}

// Ports of the network's own services.
const (
	dhcpServer, dhcpClient   = 67, 68
	dhcp6Server, dhcp6Client = 547, 546
	tftpPort                 = 69
)

// udpFrom takes a datagram of the guest.
func (u *Network) udpFrom(from mac, src, dst netip.AddrPort, b []byte) {
	switch {
	case dst.Port() == dhcpServer && dst.Addr().Is4() && (dst.Addr() == u.host || dst.Addr() == everybody):
		u.dhcp4(from, b)
		return
	case dst.Port() == dhcp6Server && dst.Addr().Is6() && (dst.Addr() == dhcpAgents || dst.Addr() == u.host6):
		u.dhcp6(src, b)
		return
	case dst.Port() == tftpPort && (dst.Addr() == u.host || dst.Addr() == u.host6):
		u.tftpd.take(src, dst, b)
		return
	}
	if c := u.forwardOf(src, dst); c != nil {
		c.toHost(b, dst)
		return
	}
	if u.restrict {
		return
	}
	host, ok := u.translate(dst.Addr())
	if !ok || src.Addr().IsUnspecified() || src.Addr().IsMulticast() {
		return
	}
	f, err := u.flow(udpKey{guest: src, v6: host.Is6()})
	if err != nil {
		return
	}
	to := netip.AddrPortFrom(host, dst.Port())
	f.note(to, dst)
	_ = f.write(b, to)
}
