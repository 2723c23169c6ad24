package user

import (
	"bytes"
	"net/netip"
	"slices"
	"sync"
	"time"

	"goemu/internal/netdev"
)

// neighbours knows the Ethernet addresses of the guests.
type neighbours struct {
	mu    sync.RWMutex
	known map[netip.Addr]mac       // guarded by mu
	asked map[netip.Addr]*question // guarded by mu
}

// question is an address that is looked for, with the packets for it.
type question struct {
	at     time.Time
	frames [][]byte
	works  []*netdev.Offload
}

// Bounds of the table.
const (
	maxNeighbours = 1024
	maxQuestions  = 64
	maxHeld       = 64 // packets for one of them
	askAgain      = time.Second
)

func (n *neighbours) init() {
	n.known, n.asked = map[netip.Addr]mac{}, map[netip.Addr]*question{}
}

// lookup finds an address.
func (n *neighbours) lookup(a netip.Addr) (m mac, ok bool) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	m, ok = n.known[a]
	return m, ok
}

// learn notes an address and sends what waits for it.
func (u *Network) learn(a netip.Addr, m mac) {
	if a.IsUnspecified() || a.IsMulticast() || m[0]&1 != 0 {
		return
	}
	n := &u.neigh
	n.mu.Lock()
	if len(n.known) >= maxNeighbours {
		clear(n.known)
	}
	n.known[a] = m
	q := n.asked[a]
	delete(n.asked, a)
	n.mu.Unlock()
	if q != nil {
		for i, f := range q.frames {
			u.sendIP(a, f, q.works[i])
		}
	}
}

// sendIP sends an IP packet to a guest. The frame has room for its header and is the caller's again after.
func (u *Network) sendIP(dst netip.Addr, frame []byte, off *netdev.Offload) {
	src := u.host
	if dst.Is6() {
		src = u.host6
	}
	from := macOf(src)
	copy(frame[6:], from[:])
	typ := uint16(typeIPv4)
	if dst.Is6() {
		typ = typeIPv6
	}
	be.PutUint16(frame[12:], typ)
	to, ok := u.neigh.lookup(dst)
	switch {
	case ok:
	case dst == everybody:
		to = broadcast
	case dst.Is6() && dst.IsMulticast():
		b := dst.As16()
		to = mac{0x33, 0x33, b[12], b[13], b[14], b[15]}
	default:
		u.hold(dst, frame, off)
		return
	}
	copy(frame, to[:])
	u.send(frame, off)
}

// hold keeps a packet until the guest says where the address is, and asks it.
func (u *Network) hold(dst netip.Addr, frame []byte, off *netdev.Offload) {
	n := &u.neigh
	now := time.Now()
	n.mu.Lock()
	q := n.asked[dst]
	if q == nil {
		if len(n.asked) >= maxQuestions {
			clear(n.asked)
		}
		q = new(question)
		n.asked[dst] = q
	}
	ask := now.Sub(q.at) >= askAgain
	if ask {
		q.at, q.frames, q.works = now, nil, nil // older ones are lost
	}
	if len(q.frames) < maxHeld {
		q.frames, q.works = append(q.frames, bytes.Clone(frame)), append(q.works, off)
	}
	n.mu.Unlock()
	switch {
	case !ask:
	case dst.Is4():
		u.sendARP(1, u.host, broadcast, dst, mac{})
	default:
		u.askNeighbour(dst)
	}
}

// ARP packets (RFC 826) for IPv4 over Ethernet: be16 hardware, be16 protocol, u8 lengths, be16 operation, sender, target.
const arpSize = 28

// arp takes an ARP packet: the guest asks for one of the network's addresses, or tells its own.
func (u *Network) arp(frame []byte) {
	p := frame[etherSize:]
	if len(p) < arpSize || !slices.Equal(p[:6], []byte{0, 1, 8, 0, 6, 4}) {
		return
	}
	op, sender, target := be.Uint16(p[6:]), netip.AddrFrom4([4]byte(p[14:])), netip.AddrFrom4([4]byte(p[24:]))
	if u.net.Contains(sender) && !u.ours(sender) {
		u.learn(sender, mac(p[8:14]))
	}
	if op == 1 && u.ours(target) && sender != target {
		u.sendARP(2, target, mac(p[8:14]), sender, mac(p[8:14]))
	}
}

// ours tells whether an address is one of the network itself.
func (u *Network) ours(a netip.Addr) bool {
	if a == u.host || a == u.dns || a == u.host6 || a == u.dns6 || a == linkLocal {
		return true
	}
	return slices.ContainsFunc(u.guests, func(g *guestForward) bool { return g.addr.Addr() == a })
}

// sendARP sends an ARP packet from one of the network's addresses.
func (u *Network) sendARP(op uint16, from netip.Addr, to mac, target netip.Addr, targetMAC mac) {
	f := make([]byte, etherSize+arpSize)
	m := macOf(from)
	copy(f, to[:])
	copy(f[6:], m[:])
	be.PutUint16(f[12:], typeARP)
	p := f[etherSize:]
	copy(p, []byte{0, 1, 8, 0, 6, 4})
	be.PutUint16(p[6:], op)
	copy(p[8:], m[:])
	copy(p[14:], from.AsSlice())
	copy(p[18:], targetMAC[:])
	copy(p[24:], target.AsSlice())
	u.send(f, nil)
}
