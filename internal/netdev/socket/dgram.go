package socket

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"goemu/internal/netdev"
)

// dgram is a port whose frames are datagrams.
type dgram struct {
	netdev.Pump
	conn net.PacketConn
	dest net.Addr // nil for a connected socket
	path string   // of a unix socket that is ours
	wg   sync.WaitGroup
}

func newDgram(s *netdev.Set, kind, name string, peer *netdev.Client, conn net.PacketConn, dest net.Addr) *dgram {
	p := &dgram{conn: conn, dest: dest}
	p.Init()
	p.SetClient(s.Add(&netdev.Client{Name: name, Kind: kind, Model: kind}, p, peer))
	p.wg.Go(p.write)
	p.wg.Go(p.read)
	return p
}

func (p *dgram) read() {
	buf := make([]byte, netdev.MaxFrame)
	for {
		n, _, err := p.conn.ReadFrom(buf)
		select {
		case <-p.Done():
			return
		default:
		}
		if err != nil {
			if n == 0 && isClosed(err) {
				return
			}
			continue // an earlier datagram found nobody
		}
		if n > 0 && !p.Deliver(buf[:n], nil) {
			return
		}
	}
}

func isClosed(err error) bool {
	e, ok := err.(*net.OpError)
	return !ok || !isTransient(e.Err)
}

// isTransient tells of errors that ICMP messages cause.
func isTransient(err error) bool {
	s, ok := err.(*os.SyscallError)
	return ok && (s.Err == unix.ECONNREFUSED || s.Err == unix.EHOSTUNREACH || s.Err == unix.ENETUNREACH)
}

func (p *dgram) write() {
	var list [][]byte
	for {
		if list = p.Next(list); list == nil {
			return
		}
		for _, b := range list {
			if p.dest != nil {
				_, _ = p.conn.WriteTo(b, p.dest)
			} else if c, ok := p.conn.(net.Conn); ok {
				_, _ = c.Write(b)
			}
		}
	}
}

// Close implements netdev.Port.
func (p *dgram) Close() {
	p.Pump.Close()
	_ = p.conn.Close()
	if p.path != "" {
		_ = os.Remove(p.path)
	}
	go p.wg.Wait()
}

// multicast makes a socket that is in a group and hears what it sends itself to it.
func multicast(group *net.UDPAddr, local net.IP) (net.PacketConn, error) {
	if !group.IP.IsMulticast() {
		b := group.IP.To4()
		return nil, fmt.Errorf("specified mcastaddr %s (0x%08x) does not contain a multicast address", group.IP, uint32(b[0])<<24|uint32(b[1])<<16|uint32(b[2])<<8|uint32(b[3]))
	}
	c, err := listen(group)
	if err != nil {
		return nil, fmt.Errorf("can't bind ip=%s to socket: %s", group.IP, netdev.Reason(err))
	}
	var no error
	raw, err := c.(*net.UDPConn).SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) {
			m := &unix.IPMreq{Multiaddr: [4]byte(group.IP.To4())}
			if local != nil {
				m.Interface = [4]byte(local.To4())
			}
			if e := unix.SetsockoptIPMreq(int(fd), unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, m); e != nil {
				no = fmt.Errorf("can't add socket to multicast group %s: %s", group.IP, netdev.Reason(e))
				return
			}
			if e := unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 1); e != nil {
				no = fmt.Errorf("can't force multicast message to loopback: %s", netdev.Reason(e))
				return
			}
			if local != nil {
				if e := unix.SetsockoptInet4Addr(int(fd), unix.IPPROTO_IP, unix.IP_MULTICAST_IF, m.Interface); e != nil {
					no = fmt.Errorf("can't set the default network send interface: %s", netdev.Reason(e))
				}
			}
		})
	}
	if err == nil {
		err = no
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// listen binds a datagram socket to an address that others may use, too.
func listen(a *net.UDPAddr) (net.PacketConn, error) {
	lc := net.ListenConfig{Control: reuse}
	return lc.ListenPacket(context.Background(), "udp4", a.String())
}
