package user

import (
	"net/netip"
	"sync"
	"time"

	"goemu/internal/netdev"
)

// linkLocal is the router's address on the link.
var (
	linkLocal = netip.MustParseAddr("fe80::2")
	allNodes  = netip.MustParseAddr("ff02::1")
)

// ICMPv6 types (RFC 4443, RFC 4861).
const (
	echoRequest6     = 128
	echoReply6       = 129
	routerSolicit    = 133
	routerAdvertise  = 134
	neighbourSolicit = 135
	neighbourAdvert  = 136
)

// Options of neighbour discovery and what router advertisements say.
const (
	optSourceLink = 1
	optTargetLink = 2
	optPrefix     = 3
	optRDNSS      = 25

	raLifetime   = 1800 // seconds
	raValid      = 86400
	raPreferred  = 14400
	raInterval   = 600 * time.Second
	raOther      = 0x40 // there is more to learn by DHCPv6
	hopLimitLink = 255
)

// icmp6 takes an ICMPv6 message.
func (u *Network) icmp6(from mac, src, dst netip.Addr, hops uint8, b []byte) {
	if len(b) < 8 {
		return
	}
	switch b[0] {
	case echoRequest6:
		u.echo(src, dst, b)
	case routerSolicit:
		if hops == hopLimitLink && b[1] == 0 {
			if !src.IsUnspecified() {
				u.learn(src, from)
			}
			u.sendRA()
			u.ra.start(u)
		}
	case neighbourSolicit, neighbourAdvert:
		if hops != hopLimitLink || b[1] != 0 || len(b) < 24 {
			return
		}
		target := netip.AddrFrom16([16]byte(b[8:24]))
		if b[0] == neighbourAdvert {
			if m, ok := linkOption(b[24:], optTargetLink); ok && !u.ours(target) {
				u.learn(target, m)
			}
			return
		}
		if !src.IsUnspecified() && !u.ours(src) {
			u.learn(src, from)
		}
		if u.ours(target) {
			u.advertise(target, src, from)
		}
	}
}

// linkOption finds the Ethernet address in the options of a message.
func linkOption(b []byte, typ uint8) (m mac, ok bool) {
	for len(b) >= 8 && b[1] > 0 && int(b[1])*8 <= len(b) {
		if b[0] == typ {
			return mac(b[2:8]), true
		}
		b = b[int(b[1])*8:]
	}
	return m, false
}

// sendICMP6 sends a message of neighbour discovery.
func (u *Network) sendICMP6(src, dst netip.Addr, b []byte) {
	frame, body := newFrame(src, len(b))
	copy(body, b)
	body[2], body[3] = 0, 0
	be.PutUint16(body[2:], netdev.Fold(netdev.Sum(pseudo(src, dst, protoICMPv6, len(body)), body)))
	u.putIP(frame, src, dst, protoICMPv6)
	frame[etherSize+7] = hopLimitLink
	u.sendIP(dst, frame, nil)
}

// advertise answers a solicitation for one of the network's addresses.
func (u *Network) advertise(target, to netip.Addr, toMAC mac) {
	b := make([]byte, 32)
	b[0], b[4] = neighbourAdvert, 0xe0 // router, solicited, override
	if to.IsUnspecified() {
		b[4], to = 0xa0, allNodes
	}
	copy(b[8:], target.AsSlice())
	b[24], b[25] = optTargetLink, 1
	m := macOf(target)
	copy(b[26:], m[:])
	if !to.IsMulticast() {
		u.learn(to, toMAC)
	}
	u.sendICMP6(target, to, b)
}

// askNeighbour asks who has an address.
func (u *Network) askNeighbour(a netip.Addr) {
	b := make([]byte, 32)
	b[0] = neighbourSolicit
	copy(b[8:], a.AsSlice())
	b[24], b[25] = optSourceLink, 1
	m := macOf(u.host6)
	copy(b[26:], m[:])
	t := a.As16()
	group := netip.AddrFrom16([16]byte{0xff, 2, 11: 1, 12: 0xff, 13: t[13], 14: t[14], 15: t[15]})
	u.sendICMP6(u.host6, group, b)
}

// sendRA tells everybody of the prefix, the router and the name server.
func (u *Network) sendRA() {
	m := macOf(linkLocal)
	b := make([]byte, 16, 96)
	b[0], b[4], b[5] = routerAdvertise, ttl, raOther
	if !u.restrict {
		be.PutUint16(b[6:], raLifetime)
	}
	prefix := make([]byte, 32)
	prefix[0], prefix[1], prefix[2], prefix[3] = optPrefix, 4, uint8(u.prefix.Bits()), 0xc0
	be.PutUint32(prefix[4:], raValid)
	be.PutUint32(prefix[8:], raPreferred)
	copy(prefix[16:], u.prefix.Masked().Addr().AsSlice())
	b = append(append(b, prefix...), optSourceLink, 1)
	b = append(b, m[:]...)
	dns := make([]byte, 24)
	dns[0], dns[1] = optRDNSS, 3
	be.PutUint32(dns[4:], uint32(2*raInterval/time.Second))
	copy(dns[8:], u.dns6.AsSlice())
	u.sendICMP6(linkLocal, allNodes, append(b, dns...))
}

// announcer repeats router advertisements once a guest has asked for one.
type announcer struct {
	mu    sync.Mutex
	timer *time.Timer // guarded by mu
	ended bool        // guarded by mu
}

func (a *announcer) start(u *Network) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.timer != nil || a.ended {
		return
	}
	a.timer = time.AfterFunc(raInterval, func() {
		u.sendRA()
		a.mu.Lock()
		defer a.mu.Unlock()
		if !a.ended {
			a.timer.Reset(raInterval)
		}
	})
}

func (a *announcer) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended = true
	if a.timer != nil {
		a.timer.Stop()
	}
}
