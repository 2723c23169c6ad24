package e1000e

import "goemu/internal/netdev"

// Numbers in headers.
const (
	etherHeader, vlanTag              = 14, 4
	etherIPv4, etherIPv6              = 0x0800, 0x86dd
	protoHopByHop, protoTCP, protoUDP = 0, 6, 17
	protoRouting, protoFragment       = 43, 44
	protoOptions                      = 60
)

// headers is what is found in a frame.
type headers struct {
	ip4, ip6, tcp, udp bool
	fragment           bool
	extended           bool // IPv6 with further headers
	l3, l4, l5         int  // where the IP header, what follows it, and the data begin
	end                int  // of the IP packet
}

// parse looks at the headers of a frame without VLAN tag, or with one if it was not taken off.
func parse(b []byte) (h headers) {
	typ := be.Uint16(b[12:])
	h.l3 = etherHeader
	if typ == etherVLAN && len(b) >= etherHeader+vlanTag {
		typ, h.l3 = be.Uint16(b[16:]), etherHeader+vlanTag
	}
	proto := -1
	switch ip := b[h.l3:]; {
	case typ == etherIPv4 && len(ip) >= 20 && ip[0]>>4 == 4 && int(ip[0]&15)*4 >= 20 && len(ip) >= int(ip[0]&15)*4:
		h.ip4, h.l4 = true, h.l3+int(ip[0]&15)*4
		h.end = min(h.l3+int(be.Uint16(ip[2:])), len(b))
		h.fragment = be.Uint16(ip[6:])&0x3fff != 0
		proto = int(ip[9])
	case typ == etherIPv6 && len(ip) >= 40 && ip[0]>>4 == 6:
		h.ip6, h.l4 = true, h.l3+40
		h.end = min(h.l4+int(be.Uint16(ip[4:])), len(b))
		proto = h.skipExtensions(b, int(ip[6]))
	}
	h.l5 = h.l4
	if h.fragment || h.l4 > h.end {
		return h
	}
	switch rest := b[h.l4:h.end]; {
	case proto == protoTCP && len(rest) >= 20 && int(rest[12]>>4)*4 >= 20 && int(rest[12]>>4)*4 <= len(rest):
		h.tcp, h.l5 = true, h.l4+int(rest[12]>>4)*4
	case proto == protoUDP && len(rest) >= 8:
		h.udp, h.l5 = true, h.l4+8
	}
	return h
}

// skipExtensions moves l4 past the extension headers of IPv6 and returns the protocol after them.
func (h *headers) skipExtensions(b []byte, next int) int {
	for h.l4+8 <= h.end {
		switch next {
		case protoHopByHop, protoRouting, protoOptions:
			next, h.l4 = int(b[h.l4]), h.l4+8*(int(b[h.l4+1])+1)
		case protoFragment:
			h.fragment = h.fragment || be.Uint16(b[h.l4+2:])&0xfff9 != 0
			next, h.l4 = int(b[h.l4]), h.l4+8
		default:
			return next
		}
		h.extended = true
	}
	return next
}

// addresses are the source's and the destination's, one after the other.
func (h *headers) addresses(b []byte) []byte {
	if h.ip4 {
		return b[h.l3+12 : h.l3+20]
	}
	return b[h.l3+8 : h.l3+40]
}

// ipSumGood checks the checksum of an IPv4 header.
func (h *headers) ipSumGood(b []byte) bool { return netdev.Fold(netdev.Sum(0, b[h.l3:h.l4])) == 0 }

// l4SumGood checks the checksum of TCP or UDP; a UDP datagram over IPv4 may have none.
func (h *headers) l4SumGood(b []byte) bool {
	rest := b[h.l4:h.end]
	if h.udp && h.ip4 && be.Uint16(rest[6:]) == 0 {
		return true
	}
	proto := byte(protoTCP)
	if h.udp {
		proto = protoUDP
	}
	n := len(rest)
	sum := netdev.Sum(0, h.addresses(b))
	sum = netdev.Sum(sum, []byte{0, proto, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
	return netdev.Fold(netdev.Sum(sum, rest)) == 0
}

// ack tells whether the frame acknowledges data of TCP; dataToo says whether it may carry some itself.
func (h *headers) ack(b []byte, dataToo bool) bool {
	return h.tcp && b[h.l4+13]&0x10 != 0 && (dataToo || h.l5 == h.end)
}

// toeplitz is the hash by which frames are spread over queues (section 7.1.2.8.1.3).
func toeplitz(key, data []byte) (hash uint32) {
	window := be.Uint32(key)
	for i, v := range data {
		for bit := range 8 {
			if v<<bit&0x80 != 0 {
				hash ^= window
			}
			window <<= 1
			if key[(i+4)%len(key)]<<bit&0x80 != 0 {
				window |= 1
			}
		}
	}
	return hash
}
