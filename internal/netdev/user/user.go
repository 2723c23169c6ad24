// Package user is the back end "user": an IPv4 and IPv6 network inside the emulator with a gateway, DHCP, DNS and TFTP, whose connections
// go out through the host's sockets. TCP, and putting together fragments, is the business of gVisor's network stack; everything else is
// here. The addresses, the services and the translation of addresses are those of libslirp.
package user

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"goemu/internal/netdev"
	"goemu/qapi"
)

var be = binary.BigEndian

// Bounds of what waits for the guest.
const (
	maxOutFrames = 4096
	maxOutBytes  = 16 << 20
)

// Network is a back end of the kind user.
type Network struct {
	*config
	set    *netdev.Set
	c      *netdev.Client
	out    netdev.Outbox
	guest  atomic.Uint32 // what the guest takes: netdev.GuestOffloads as bits
	stack  *stack.Stack
	link   *link
	neigh  neighbours
	dhcpd  leases
	tftpd  *tftp
	ipID   atomic.Uint32
	ra     announcer
	closed chan struct{}

	mu     sync.Mutex
	udp    map[udpKey]*udpFlow // guarded by mu
	tcp    map[*tcpFlow]bool   // guarded by mu
	fwds   []*hostForward      // guarded by mu, the newest first
	guests []*guestForward     // not changed after Open
}

// Open is the Opener of the kind user.
func Open(s *netdev.Set, n *qapi.Netdev, peer *netdev.Client) error {
	c, err := parseConfig(n.User)
	if err != nil {
		return err
	}
	u, err := newNetwork(c)
	if err != nil {
		return err
	}
	u.set = s
	// Forwarding comes first: the client is only seen once all is well.
	for i := len(n.User.Guestfwd) - 1; i >= 0; i-- {
		if err := u.addGuestForward(n.User.Guestfwd[i].Str); err != nil {
			u.Close()
			return err
		}
	}
	for i := len(n.User.Hostfwd) - 1; i >= 0; i-- {
		if err := u.AddHostForward(n.User.Hostfwd[i].Str); err != nil {
			u.Close()
			return err
		}
	}
	u.c = s.Add(&netdev.Client{Name: n.Id, Kind: "user", Model: "user", Offloads: true, HiddenVnetHdr: true}, u, peer)
	restrict := "off"
	if c.restrict {
		restrict = "on"
	}
	u.c.SetInfo("net=%s,restrict=%s", c.net.Addr(), restrict)
	u.out.Init(u.c, maxOutFrames, maxOutBytes)
	close(u.link.ready)
	return nil
}

// newNetwork makes a network without forwarding and without a client.
func newNetwork(c *config) (*Network, error) {
	u := &Network{config: c, closed: make(chan struct{}), udp: map[udpKey]*udpFlow{}, tcp: map[*tcpFlow]bool{}}
	u.neigh.init()
	u.tftpd = newTFTP(u)
	return u, u.initStack()
}

// Receive implements netdev.Port.
func (u *Network) Receive(data []byte, off *netdev.Offload) bool {
	select {
	case <-u.link.ready:
		u.receive(data, off)
	default:
	}
	return true
}

// Resume implements netdev.Port.
func (u *Network) Resume() { u.out.Resume() }

// LinkChanged implements netdev.Port.
func (u *Network) LinkChanged() {}

// Close implements netdev.Port.
func (u *Network) Close() {
	u.mu.Lock()
	select {
	case <-u.closed:
		u.mu.Unlock()
		return
	default:
	}
	close(u.closed)
	var ends []interface{ Close() error }
	for _, f := range u.fwds {
		ends = append(ends, f)
	}
	for _, f := range u.udp {
		ends = append(ends, f.conn)
	}
	for f := range u.tcp {
		ends = append(ends, f.host)
	}
	u.mu.Unlock()
	for _, e := range ends {
		_ = e.Close()
	}
	for _, g := range u.guests {
		g.close()
	}
	u.tftpd.close()
	u.ra.stop()
	go u.stack.Destroy() // connections in it end on their own goroutines
}

// isClosed tells whether Close was called. Preconditions: mu is held, if the answer is to last.
func (u *Network) isClosed() bool {
	select {
	case <-u.closed:
		return true
	default:
		return false
	}
}

// Bits of Network.guest.
const (
	takesCsum = 1 << iota
	takesTSO4
	takesTSO6
)

// SetOffloads implements netdev.OffloadPort.
func (u *Network) SetOffloads(o netdev.GuestOffloads) {
	var v uint32
	for bit, on := range map[uint32]bool{takesCsum: o.Csum, takesTSO4: o.TSO4, takesTSO6: o.TSO6} {
		if on {
			v |= bit
		}
	}
	u.guest.Store(v)
}

// send gives the guest a frame; what the guest does not want to do itself is done here. Frames are lost until there is a client:
// forwarded ports may get something as soon as they are open.
func (u *Network) send(frame []byte, off *netdev.Offload) {
	select {
	case <-u.link.ready:
	default:
		return
	}
	if off != nil {
		need := uint32(takesCsum)
		switch off.GSOType {
		case netdev.GSOTCPv4:
			need |= takesTSO4
		case netdev.GSOTCPv6:
			need |= takesTSO6
		}
		if u.guest.Load()&need != need {
			netdev.Finish(frame, off, func(b []byte) { u.out.Send(b, nil) })
			return
		}
	}
	u.out.Send(frame, off)
}

// translate is where on the host the guest's packets for an address go: the network's own addresses are the host itself and its name
// server. ok is false if they go nowhere.
func (u *Network) translate(a netip.Addr) (host netip.Addr, ok bool) {
	switch {
	case a.Is4() && u.net.Contains(a) || a == everybody:
		if a == u.dns {
			return resolver(false)
		}
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), true
	case a.Is6() && u.prefix.Contains(a):
		if a == u.dns6 {
			return resolver(true)
		}
		return netip.IPv6Loopback(), true
	case a.IsMulticast() || a.IsUnspecified() || a.IsLinkLocalUnicast() && a.Is6():
		return a, false
	}
	return a, true
}

// back is what the guest sees instead of an address of the host.
func (u *Network) back(a netip.Addr) netip.Addr {
	a = a.Unmap()
	switch {
	case a.Is4() && (a.IsLoopback() || a.IsUnspecified()):
		return u.host
	case a.Is6() && (a.IsLoopback() || a.IsUnspecified() || a.IsLinkLocalUnicast()):
		return u.host6
	}
	return a.WithZone("")
}

// addrPort is the address of a socket.
func addrPort(a net.Addr) netip.AddrPort {
	switch a := a.(type) {
	case *net.TCPAddr:
		p := a.AddrPort()
		return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
	case *net.UDPAddr:
		p := a.AddrPort()
		return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
	}
	return netip.AddrPort{}
}

var errClosed = errors.New("the network is closed")
