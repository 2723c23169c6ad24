package nic

import (
	"encoding/binary"

	"goemu/internal/netdev"
)

var be = binary.BigEndian

// Numbers in headers.
const (
	EtherHeader, vlanTag              = 14, 4
	etherVLAN                         = 0x8100
	etherIPv4, etherIPv6              = 0x0800, 0x86dd
	protoHopByHop, protoTCP, protoUDP = 0, 6, 17
	protoRouting, protoFragment       = 43, 44
	protoOptions                      = 60

	optionPad1, optionHome = 0, 0xc9
	routingHome            = 2
)

// Headers is what is found in a frame.
type Headers struct {
	IP4, IP6, TCP, UDP bool
	Fragment           bool
	Extended           bool // IPv6 with further headers
	L3, L4, L5         int  // where the IP header, what follows it, and the data begin
	End                int  // of the IP packet

	homeSource, homeDest int // where a mobile node's own addresses are (RFC 6275, sections 6.3 and 6.4), 0 for no such
}

// ParseHeaders looks at the headers of a frame of EtherHeader bytes or more without VLAN tag, or with one if it was not taken off.
func ParseHeaders(b []byte) (h Headers) {
	typ := be.Uint16(b[12:])
	h.L3 = EtherHeader
	if typ == etherVLAN && len(b) >= EtherHeader+vlanTag {
		typ, h.L3 = be.Uint16(b[16:]), EtherHeader+vlanTag
	}
	proto := -1
	switch ip := b[h.L3:]; {
	case typ == etherIPv4 && len(ip) >= 20 && ip[0]>>4 == 4 && int(ip[0]&15)*4 >= 20 && len(ip) >= int(ip[0]&15)*4:
		h.IP4, h.L4 = true, h.L3+int(ip[0]&15)*4
		h.End = min(h.L3+int(be.Uint16(ip[2:])), len(b))
		h.Fragment = be.Uint16(ip[6:])&0x3fff != 0
		proto = int(ip[9])
	case typ == etherIPv6 && len(ip) >= 40 && ip[0]>>4 == 6:
		h.IP6, h.L4 = true, h.L3+40
		h.End = min(h.L4+int(be.Uint16(ip[4:])), len(b))
		proto = h.skipExtensions(b, int(ip[6]))
	}
	h.L5 = h.L4
	if h.Fragment || h.L4 > h.End {
		return h
	}
	switch rest := b[h.L4:h.End]; {
	case proto == protoTCP && len(rest) >= 20 && int(rest[12]>>4)*4 >= 20 && int(rest[12]>>4)*4 <= len(rest):
		h.TCP, h.L5 = true, h.L4+int(rest[12]>>4)*4
	case proto == protoUDP && len(rest) >= 8:
		h.UDP, h.L5 = true, h.L4+8
	}
	return h
}

// skipExtensions moves L4 past the extension headers of IPv6 and returns the protocol after them.
func (h *Headers) skipExtensions(b []byte, next int) int {
	for h.L4+8 <= h.End {
		at, size := h.L4, 8*(int(b[h.L4+1])+1)
		switch next {
		case protoHopByHop:
		case protoRouting:
			if size == 24 && at+size <= h.End && b[at+2] == routingHome && b[at+3] == 1 {
				h.homeDest = at + 8
			}
		case protoOptions:
			h.homeSource = homeOption(b, at+2, min(at+size, h.End))
		case protoFragment:
			h.Fragment = h.Fragment || be.Uint16(b[at+2:])&0xfff9 != 0
			size = 8
		default:
			return next
		}
		next, h.L4 = int(b[at]), at+size
		h.Extended = true
	}
	return next
}

// homeOption finds the address of a home address option among the options from at to end.
func homeOption(b []byte, at, end int) int {
	for at+2 <= end {
		switch {
		case b[at] == optionPad1:
			at++
		case b[at] == optionHome && b[at+1] == 16 && at+18 <= end:
			return at + 2
		default:
			at += 2 + int(b[at+1])
		}
	}
	return 0
}

// Addresses are the source's and the destination's, one after the other.
func (h *Headers) Addresses(b []byte) []byte {
	if h.IP4 {
		return b[h.L3+12 : h.L3+20]
	}
	return b[h.L3+8 : h.L3+40]
}

// homeAddresses are those of mobile nodes if the extension headers of IPv6 have them, else Addresses.
func (h *Headers) homeAddresses(b []byte) []byte {
	a := append([]byte(nil), h.Addresses(b)...)
	if h.homeSource != 0 {
		copy(a, b[h.homeSource:h.homeSource+16])
	}
	if h.homeDest != 0 {
		copy(a[16:], b[h.homeDest:h.homeDest+16])
	}
	return a
}

// IPSumGood checks the checksum of an IPv4 header.
func (h *Headers) IPSumGood(b []byte) bool { return netdev.Fold(netdev.Sum(0, b[h.L3:h.L4])) == 0 }

// L4SumGood checks the checksum of TCP or UDP; a UDP datagram over IPv4 may have none.
func (h *Headers) L4SumGood(b []byte) bool {
	rest := b[h.L4:h.End]
	if h.UDP && h.IP4 && be.Uint16(rest[6:]) == 0 {
		return true
	}
	proto := byte(protoTCP)
	if h.UDP {
		proto = protoUDP
	}
	n := len(rest)
	sum := netdev.Sum(0, h.Addresses(b))
	sum = netdev.Sum(sum, []byte{0, proto, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
	return netdev.Fold(netdev.Sum(sum, rest)) == 0
}

// Ack tells whether the frame acknowledges data of TCP; dataToo says whether it may carry some itself.
func (h *Headers) Ack(b []byte, dataToo bool) bool {
	return h.TCP && b[h.L4+13]&0x10 != 0 && (dataToo || h.L5 == h.End)
}
