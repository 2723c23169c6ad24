package user

import (
	"net/netip"

	"goemu/internal/netdev"
)

// Frames: destination, source, be16 type.
const (
	etherSize = 14
	typeIPv4  = 0x0800
	typeARP   = 0x0806
	typeIPv6  = 0x86dd

	ip4Size, ip6Size, udpSize = 20, 40, 8

	protoICMP   = 1
	protoTCP    = 6
	protoUDP    = 17
	protoFrag   = 44
	protoICMPv6 = 58

	mtu = 1500
	ttl = 64
)

type mac [6]byte

var (
	broadcast = mac{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	everybody = netip.AddrFrom4([4]byte{255, 255, 255, 255})
)

// macOf is the Ethernet address of one of the network's own addresses.
func macOf(a netip.Addr) mac {
	b := a.AsSlice()
	m := mac{0x52, 0x55}
	if a.Is6() {
		m[1] = 0x56
	}
	copy(m[2:], b[len(b)-4:])
	return m
}

// receive takes a frame of the guest.
func (u *Network) receive(data []byte, off *netdev.Offload) {
	if len(data) < etherSize {
		return
	}
	switch be.Uint16(data[12:]) {
	case typeARP:
		if u.v4 {
			u.arp(data)
		}
	case typeIPv4:
		if u.v4 {
			u.receive4(data, off)
		}
	case typeIPv6:
		if u.v6 {
			u.receive6(data, off)
		}
	}
}

// receive4 takes an IPv4 packet.
func (u *Network) receive4(frame []byte, off *netdev.Offload) {
	p := frame[etherSize:]
	if len(p) < ip4Size || p[0]>>4 != 4 {
		return
	}
	head, total := int(p[0]&15)*4, int(be.Uint16(p[2:]))
	if head < ip4Size || total < head || total > len(p) {
		return
	}
	src, dst := netip.AddrFrom4([4]byte(p[12:])), netip.AddrFrom4([4]byte(p[16:]))
	fragment := be.Uint16(p[6:])&0x3fff != 0
	if fragment {
		if p[9] == protoUDP || p[9] == protoTCP {
			u.link.inject(typeIPv4, frame)
		}
		return
	}
	if netdev.Fold(netdev.Sum(0, p[:head])) != 0 {
		return
	}
	body := p[head:total]
	switch p[9] {
	case protoTCP:
		if sumOK(body, src, dst, protoTCP, off) {
			u.link.inject(typeIPv4, frame)
		}
	case protoUDP:
		if b, ok := udpPayload(body, src, dst, off); ok {
			u.udpFrom(mac(frame[6:12]), netip.AddrPortFrom(src, be.Uint16(body)), netip.AddrPortFrom(dst, be.Uint16(body[2:])), b)
		}
	case protoICMP:
		u.icmp4(src, dst, body)
	}
}

// receive6 takes an IPv6 packet.
func (u *Network) receive6(frame []byte, off *netdev.Offload) {
	p := frame[etherSize:]
	if len(p) < ip6Size || p[0]>>4 != 6 || len(p) < ip6Size+int(be.Uint16(p[4:])) {
		return
	}
	src, dst := netip.AddrFrom16([16]byte(p[8:])), netip.AddrFrom16([16]byte(p[24:]))
	body := p[ip6Size : ip6Size+int(be.Uint16(p[4:]))]
	switch p[6] {
	case protoTCP:
		if sumOK(body, src, dst, protoTCP, off) {
			u.link.inject(typeIPv6, frame)
		}
	case protoFrag:
		if len(body) >= 8 && body[0] != protoICMPv6 {
			u.link.inject(typeIPv6, frame)
		}
	case protoUDP:
		if b, ok := udpPayload(body, src, dst, off); ok {
			u.udpFrom(mac(frame[6:12]), netip.AddrPortFrom(src, be.Uint16(body)), netip.AddrPortFrom(dst, be.Uint16(body[2:])), b)
		}
	case protoICMPv6:
		if sumOK(body, src, dst, protoICMPv6, off) {
			u.icmp6(mac(frame[6:12]), src, dst, p[7], body)
		}
	}
}

// pseudo is the sum of the pseudo header.
func pseudo(src, dst netip.Addr, proto uint8, n int) uint32 {
	s := netdev.Sum(uint32(proto), src.AsSlice())
	return netdev.Sum(netdev.Sum(s, dst.AsSlice()), []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

// sumOK checks the checksum of what an IP packet carries; with work left it is still to be made.
func sumOK(b []byte, src, dst netip.Addr, proto uint8, off *netdev.Offload) bool {
	return off != nil && off.Flags&netdev.NeedsCsum != 0 || netdev.Fold(netdev.Sum(pseudo(src, dst, proto, len(b)), b)) == 0
}

// udpPayload checks a datagram, whose checksum is still to be made if there is work left, and returns its contents.
func udpPayload(d []byte, src, dst netip.Addr, off *netdev.Offload) (b []byte, ok bool) {
	if len(d) < udpSize {
		return nil, false
	}
	n := int(be.Uint16(d[4:]))
	if n < udpSize || n > len(d) {
		return nil, false
	}
	if be.Uint16(d[6:]) != 0 && !sumOK(d[:n], src, dst, protoUDP, off) {
		return nil, false
	}
	return d[udpSize:n], true
}

// newFrame is an empty frame for an IP packet with n bytes after the header.
func newFrame(src netip.Addr, n int) (frame, body []byte) {
	if src.Is6() {
		frame = make([]byte, etherSize+ip6Size+n)
		return frame, frame[etherSize+ip6Size:]
	}
	frame = make([]byte, etherSize+ip4Size+n)
	return frame, frame[etherSize+ip4Size:]
}

// putIP writes the header of an IP packet.
func (u *Network) putIP(frame []byte, src, dst netip.Addr, proto uint8) {
	p := frame[etherSize:]
	if src.Is6() {
		p[0] = 0x60
		be.PutUint16(p[4:], uint16(len(p)-ip6Size))
		p[6], p[7] = proto, ttl
		copy(p[8:], src.AsSlice())
		copy(p[24:], dst.AsSlice())
		return
	}
	p[0], p[8], p[9] = 0x45, ttl, proto
	be.PutUint16(p[2:], uint16(len(p)))
	be.PutUint16(p[4:], uint16(u.ipID.Add(1)))
	copy(p[12:], src.AsSlice())
	copy(p[16:], dst.AsSlice())
	p[10], p[11] = 0, 0
	be.PutUint16(p[10:], netdev.Fold(netdev.Sum(0, p[:ip4Size])))
}

// sendUDP sends the guest a datagram.
func (u *Network) sendUDP(src, dst netip.AddrPort, b []byte) {
	frame, d := newFrame(src.Addr(), udpSize+len(b))
	be.PutUint16(d, src.Port())
	be.PutUint16(d[2:], dst.Port())
	be.PutUint16(d[4:], uint16(len(d)))
	copy(d[udpSize:], b)
	sum := netdev.Fold(netdev.Sum(pseudo(src.Addr(), dst.Addr(), protoUDP, len(d)), d))
	if sum == 0 {
		sum = 0xffff
	}
	be.PutUint16(d[6:], sum)
	u.sendPacket(src.Addr(), dst.Addr(), protoUDP, frame, d)
}

// sendPacket sends the guest a packet that newFrame has made, in fragments if need be.
func (u *Network) sendPacket(src, dst netip.Addr, proto uint8, frame, body []byte) {
	if len(frame) > etherSize+mtu {
		u.fragment(src, dst, proto, body)
		return
	}
	u.putIP(frame, src, dst, proto)
	u.sendIP(dst, frame, nil)
}

// fragment sends a packet in pieces.
func (u *Network) fragment(src, dst netip.Addr, proto uint8, d []byte) {
	id := u.ipID.Add(1)
	room := (mtu - ip4Size) &^ 7
	if src.Is6() {
		room = (mtu - ip6Size - 8) &^ 7
	}
	for pos := 0; pos < len(d); pos += room {
		n := min(room, len(d)-pos)
		more := pos+n < len(d)
		if src.Is6() {
			f, body := newFrame(src, 8+n)
			body[0] = proto
			where := uint16(pos)
			if more {
				where |= 1
			}
			be.PutUint16(body[2:], where)
			be.PutUint32(body[4:], id)
			copy(body[8:], d[pos:pos+n])
			u.putIP(f, src, dst, protoFrag)
			u.sendIP(dst, f, nil)
			continue
		}
		f, body := newFrame(src, n)
		copy(body, d[pos:pos+n])
		u.putIP(f, src, dst, proto)
		p := f[etherSize:]
		where := uint16(pos / 8)
		if more {
			where |= 0x2000
		}
		be.PutUint16(p[4:], uint16(id))
		be.PutUint16(p[6:], where)
		be.PutUint16(p[10:], 0)
		be.PutUint16(p[10:], netdev.Fold(netdev.Sum(0, p[:ip4Size])))
		u.sendIP(dst, f, nil)
	}
}
