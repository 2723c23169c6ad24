package user

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// Bounds of connections.
const (
	maxTCPFlows  = 2048
	maxOpening   = 256
	dialTimeout  = 75 * time.Second
	guestTimeout = 75 * time.Second
	copySize     = 128 << 10
	keepIdle     = 10 * time.Minute
)

// tcpFlow is a connection of the guest with its counterpart on the host.
type tcpFlow struct {
	guest, server netip.AddrPort // as the guest sees them
	fromHost      bool
	host          io.Closer
}

// tcpFrom is asked for a connection by the guest.
func (u *Network) tcpFrom(r *tcp.ForwarderRequest) {
	id := r.ID()
	dst := netip.AddrPortFrom(addrOf(id.LocalAddress), id.LocalPort)
	src := netip.AddrPortFrom(addrOf(id.RemoteAddress), id.RemotePort)
	for _, g := range u.guests {
		if g.addr == dst {
			if c := u.accept(r); c != nil {
				f := &tcpFlow{guest: src, server: dst, host: c}
				if u.addTCP(f) {
					g.serve(c)
					u.removeTCP(f)
				}
				_ = c.Close()
			}
			return
		}
	}
	host, ok := u.translate(dst.Addr())
	if u.restrict || !ok {
		r.Complete(false)
		return
	}
	u.mu.Lock()
	full := len(u.tcp) >= maxTCPFlows || u.isClosed()
	u.mu.Unlock()
	if full {
		r.Complete(true)
		return
	}
	d := net.Dialer{Timeout: dialTimeout}
	c, err := d.Dial("tcp", netip.AddrPortFrom(host, dst.Port()).String())
	if err != nil {
		r.Complete(true)
		return
	}
	conn := u.accept(r)
	if conn == nil {
		_ = c.Close()
		return
	}
	u.splice(&tcpFlow{guest: src, server: dst, host: c}, conn, c.(*net.TCPConn))
}

// accept makes the guest's connection, nil if it has gone.
func (u *Network) accept(r *tcp.ForwarderRequest) *gonet.TCPConn {
	var wq waiter.Queue
	ep, err := r.CreateEndpoint(&wq)
	r.Complete(false)
	if err != nil {
		return nil
	}
	keep(ep)
	return gonet.NewTCPConn(&wq, ep)
}

// keep makes the stack ask whether the guest is still there: it may have been reset.
func keep(ep tcpip.Endpoint) {
	idle := tcpip.KeepaliveIdleOption(keepIdle)
	_ = ep.SetSockOpt(&idle)
	ep.SocketOptions().SetKeepAlive(true)
}

// connectGuest connects somebody who came to a forwarded port with the guest.
func (u *Network) connectGuest(c *net.TCPConn, guest netip.AddrPort) {
	remote := addrPort(c.RemoteAddr())
	from := netip.AddrPortFrom(u.back(remote.Addr()), remote.Port())
	ctx, cancel := context.WithTimeout(context.Background(), guestTimeout)
	defer cancel()
	proto := tcpip.NetworkProtocolNumber(ipv4.ProtocolNumber)
	if guest.Addr().Is6() {
		proto = ipv6.ProtocolNumber
	}
	local := tcpip.FullAddress{NIC: nicID, Addr: addressOf(from.Addr()), Port: from.Port()}
	g, err := gonet.DialTCPWithBind(ctx, u.stack, local, tcpip.FullAddress{NIC: nicID, Addr: addressOf(guest.Addr()), Port: guest.Port()}, proto)
	if err != nil {
		_ = c.SetLinger(0) // refused, as the guest has done
		_ = c.Close()
		return
	}
	u.splice(&tcpFlow{guest: guest, server: from, fromHost: true, host: c}, g, c)
}

func (u *Network) addTCP(f *tcpFlow) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.isClosed() || len(u.tcp) >= maxTCPFlows {
		return false
	}
	u.tcp[f] = true
	return true
}

func (u *Network) removeTCP(f *tcpFlow) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.tcp, f)
}

// buffers are for copying.
var buffers = sync.Pool{New: func() any { b := make([]byte, copySize); return &b }}

// splice carries both directions of a connection until both have ended, or one was broken.
func (u *Network) splice(f *tcpFlow, guest *gonet.TCPConn, host *net.TCPConn) {
	defer host.Close()
	defer guest.Close()
	if !u.addTCP(f) {
		return
	}
	defer u.removeTCP(f)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if carry(host, guest) {
			_ = host.CloseWrite()
			return
		}
		_ = host.SetLinger(0) // the guest has broken the connection off
		_ = host.Close()
		_ = guest.Close()
	}()
	if carry(guest, host) {
		_ = guest.CloseWrite()
	} else {
		_ = guest.Close()
		_ = host.Close()
	}
	<-done
}

// carry copies until the end, which is a proper one if it returns true.
func carry(to io.Writer, from io.Reader) bool {
	b := buffers.Get().(*[]byte)
	defer buffers.Put(b)
	for {
		n, err := from.Read(*b)
		if n > 0 {
			if _, err := to.Write((*b)[:n]); err != nil {
				return false
			}
		}
		if err != nil {
			return err == io.EOF
		}
	}
}

// addrOf and addressOf convert the addresses of the stack.
func addrOf(a tcpip.Address) netip.Addr {
	r, _ := netip.AddrFromSlice(a.AsSlice())
	return r
}

func addressOf(a netip.Addr) tcpip.Address { return tcpip.AddrFromSlice(a.AsSlice()) }

// Info is what info usernet says of the connections.
func (u *Network) Info() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	s := "  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\n"
	line := func(state string, fd int, src, dst netip.AddrPort) {
		host := src.Addr().String()
		if src.Addr().IsUnspecified() {
			host = "*"
		}
		s += fmt.Sprintf("  %-19s%3d %15s %5d %15s %5d %5d %5d\n", state, fd, host, src.Port(), dst.Addr(), dst.Port(), 0, 0)
	}
	for f := range u.tcp {
		line("TCP[ESTABLISHED]", fdOf(f.host), f.guest, f.server)
	}
	for _, f := range u.fwds {
		if f.udp {
			line("UDP[HOST_FORWARD]", fdOf(f.conn), f.bound(), f.guest)
		} else {
			line("TCP[HOST_FORWARD]", fdOf(f.listener), f.bound(), f.guest)
		}
	}
	for k, f := range u.udp {
		kind := "UDP"
		if k.echo {
			kind = "ICMP"
		}
		line(fmt.Sprintf("%s[%d sec]", kind, int(f.idle()/time.Second)), fdOf(f.conn), k.guest, f.peer())
	}
	return s
}

// peer is somebody that the flow has spoken to.
func (f *udpFlow) peer() netip.AddrPort {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, g := range f.seen {
		return g
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{}), 0)
}
