package user

import (
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"goemu/internal/netdev"
)

// ICMPv4 types and codes (RFC 792).
const (
	echoReply    = 0
	unreachable  = 3
	echoRequest  = 8
	codeNet      = 0
	quoted       = 8 // bytes of the packet's contents in an error
	icmpHeader   = 8
	unreachable6 = 1
	codeNoRoute6 = 0
)

// icmp4 takes an ICMP message.
func (u *Network) icmp4(src, dst netip.Addr, b []byte) {
	if len(b) < icmpHeader || b[0] != echoRequest || netdev.Fold(netdev.Sum(0, b)) != 0 {
		return
	}
	u.echo(src, dst, b)
}

// echo answers a ping to the network's own addresses, and asks others in the guest's name.
func (u *Network) echo(src, dst netip.Addr, b []byte) {
	switch {
	case dst == u.host || dst == u.dns || dst == u.host6 || dst == u.dns6 || dst == linkLocal:
		u.sendEcho(dst, src, b[4:])
		return
	case u.restrict || dst.IsMulticast():
		return
	}
	host, ok := u.translate(dst)
	if !ok {
		return
	}
	f, err := u.flow(udpKey{guest: netip.AddrPortFrom(src, be.Uint16(b[4:])), echo: true, v6: host.Is6()})
	if err == nil {
		f.note(netip.AddrPortFrom(host, 0), netip.AddrPortFrom(dst, 0))
		err = f.write(b, netip.AddrPortFrom(host, 0))
	}
	if err != nil {
		u.sendUnreachable(src, dst, b)
	}
}

// sendEcho sends a reply; rest is what follows the checksum.
func (u *Network) sendEcho(from, to netip.Addr, rest []byte) {
	frame, body := newFrame(from, 4+len(rest))
	copy(body[4:], rest)
	if from.Is6() {
		body[0] = echoReply6
	}
	u.sendICMP(from, to, frame, body)
}

// sendICMP sends a message whose checksum is still zero.
func (u *Network) sendICMP(from, to netip.Addr, frame, body []byte) {
	proto, sum := uint8(protoICMP), uint32(0)
	if from.Is6() {
		proto, sum = protoICMPv6, pseudo(from, to, protoICMPv6, len(body))
	}
	be.PutUint16(body[2:], netdev.Fold(netdev.Sum(sum, body)))
	u.sendPacket(from, to, proto, frame, body)
}

// sendUnreachable tells the guest that a ping goes nowhere.
func (u *Network) sendUnreachable(guest, dst netip.Addr, b []byte) {
	orig, body := newFrame(guest, min(len(b), quoted))
	copy(body, b)
	proto, typ, code, own := uint8(protoICMP), uint8(unreachable), uint8(codeNet), u.host
	if guest.Is6() {
		proto, typ, code, own = protoICMPv6, unreachable6, codeNoRoute6, u.host6
	}
	u.putIP(orig, guest, dst, proto)
	orig = orig[etherSize:]
	frame, msg := newFrame(own, icmpHeader+len(orig))
	msg[0], msg[1] = typ, code
	copy(msg[icmpHeader:], orig)
	u.sendICMP(own, guest, frame, msg)
}

// listenEcho makes a socket for pings, if the host lets its users have such.
func listenEcho(v6 bool) (*net.UDPConn, error) {
	family, proto := unix.AF_INET, unix.IPPROTO_ICMP
	if v6 {
		family, proto = unix.AF_INET6, unix.IPPROTO_ICMPV6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, proto)
	if err != nil {
		return nil, err
	}
	var sa unix.Sockaddr = &unix.SockaddrInet4{}
	if v6 {
		sa = &unix.SockaddrInet6{}
	}
	if err := unix.Bind(fd, sa); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "ping")
	defer f.Close()
	c, err := net.FilePacketConn(f)
	if err != nil {
		return nil, err
	}
	return c.(*net.UDPConn), nil
}
