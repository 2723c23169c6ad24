package user

import (
	"net/netip"
	"strings"
	"sync"

	"golang.org/x/net/dns/dnsmessage"
)

// Messages of BOOTP and DHCP (RFC 951, RFC 2131, RFC 2132): offsets, options and types.
const (
	bootpOp, bootpHType, bootpHLen = 0, 1, 2
	bootpXID, bootpFlags           = 4, 10
	bootpCIAddr, bootpYIAddr       = 12, 16
	bootpSIAddr, bootpCHAddr       = 20, 28
	bootpFile, bootpFileSize       = 108, 128
	bootpCookie, bootpOptions      = 236, 240
	bootpSize                      = 548

	bootRequest, bootReply = 1, 2
	dhcpCookie             = 0x63825363

	optPad, optMask, optRouter, optDNS   = 0, 1, 3, 6
	optHostname, optDomain               = 12, 15
	optRequested, optLease, optType      = 50, 51, 53
	optServer, optMessage                = 54, 56
	optTFTPServer, optSearch, optEnd     = 66, 119, 255
	dhcpDiscover, dhcpOffer, dhcpRequest = 1, 2, 3
	dhcpAck, dhcpNak                     = 5, 6
	leaseTime                            = 24 * 3600
	maxOption                            = 255
	sizeOfSearch                         = 250
)

// leases are the addresses that were given out.
type leases struct {
	mu   sync.Mutex
	used [dhcpAddresses]bool // guarded by mu
	macs [dhcpAddresses]mac  // guarded by mu
}

// find is the place of a client.
func (l *leases) find(m mac) (i int, ok bool) {
	for i := range l.macs {
		if l.used[i] && l.macs[i] == m {
			return i, true
		}
	}
	return 0, false
}

// free is a place that nobody has.
func (l *leases) free() (i int, ok bool) {
	for i := range l.used {
		if !l.used[i] {
			return i, true
		}
	}
	return 0, false
}

// give finds an address for a client. wanted is the one that it asks for, if valid.
func (u *Network) give(m mac, typ uint8, wanted netip.Addr) (a netip.Addr, ok bool) {
	l := &u.dhcpd
	l.mu.Lock()
	defer l.mu.Unlock()
	take := func(i int) (netip.Addr, bool) {
		l.used[i], l.macs[i] = true, m
		return addr4(num4(u.dhcp) + uint32(i)), true
	}
	if wanted.IsValid() {
		i := int64(num4(wanted)) - int64(num4(u.dhcp))
		if i >= 0 && i < dhcpAddresses && (!l.used[i] || l.macs[i] == m) {
			if old, had := l.find(m); had {
				l.used[old] = false
			}
			return take(int(i))
		}
		if typ == dhcpRequest {
			return a, false
		}
	}
	i, ok := l.find(m)
	if !ok {
		if i, ok = l.free(); !ok {
			return a, false
		}
	}
	return take(i)
}

// dhcp4 answers a message of a client.
func (u *Network) dhcp4(from mac, b []byte) {
	if len(b) < bootpCookie || b[bootpOp] != bootRequest {
		return
	}
	typ, wanted := dhcpOptions(b)
	plain := typ == 0
	if plain {
		typ = dhcpRequest // a client of BOOTP
	}
	if typ != dhcpDiscover && typ != dhcpRequest {
		return
	}
	client := mac(b[bootpCHAddr:])
	addr, ok := u.give(client, typ, wanted)
	if ok {
		u.learn(addr, client)
	}
	r := make([]byte, bootpOptions, bootpSize)
	r[bootpOp], r[bootpHType], r[bootpHLen] = bootReply, 1, 6
	copy(r[bootpXID:bootpXID+4], b[bootpXID:])
	copy(r[bootpCHAddr:], client[:])
	if ok {
		copy(r[bootpYIAddr:], addr.AsSlice())
	}
	copy(r[bootpSIAddr:], u.host.AsSlice())
	if len(u.bootfile) > 0 && ok {
		copy(r[bootpFile:bootpFile+bootpFileSize-1], u.bootfile)
	}
	be.PutUint32(r[bootpCookie:], dhcpCookie)
	r = u.replyOptions(r, typ, ok, plain)
	if len(r) < bootpSize {
		r = r[:bootpSize]
	}
	u.sendUDP(netip.AddrPortFrom(u.host, dhcpServer), netip.AddrPortFrom(everybody, dhcpClient), r)
}

// dhcpOptions finds the type of a message and the address that it asks for.
func dhcpOptions(b []byte) (typ uint8, wanted netip.Addr) {
	if len(b) < bootpOptions || be.Uint32(b[bootpCookie:]) != dhcpCookie {
		return 0, wanted
	}
	for o := b[bootpOptions:]; len(o) > 0 && o[0] != optEnd; {
		if o[0] == optPad {
			o = o[1:]
			continue
		}
		if len(o) < 2 || len(o) < 2+int(o[1]) {
			break
		}
		v := o[2 : 2+int(o[1])]
		switch {
		case o[0] == optType && len(v) >= 1:
			typ = v[0]
		case o[0] == optRequested && len(v) >= 4:
			wanted = netip.AddrFrom4([4]byte(v))
		}
		o = o[2+len(v):]
	}
	if ci := netip.AddrFrom4([4]byte(b[bootpCIAddr:])); typ == dhcpRequest && !wanted.IsValid() && !ci.IsUnspecified() {
		wanted = ci
	}
	return typ, wanted
}

// replyOptions adds the options of a reply.
func (u *Network) replyOptions(r []byte, typ uint8, ok, plain bool) []byte {
	add := func(code uint8, v []byte) {
		if len(v) > 0 && len(v) <= maxOption {
			r = append(append(r, code, uint8(len(v))), v...)
		}
	}
	number := func(v uint32) []byte { return be.AppendUint32(nil, v) }
	if !ok {
		add(optType, []byte{dhcpNak})
		add(optServer, u.host.AsSlice())
		add(optMessage, []byte("requested address not available"))
		return append(r, optEnd)
	}
	if !plain {
		answer := uint8(dhcpAck)
		if typ == dhcpDiscover {
			answer = dhcpOffer
		}
		add(optType, []byte{answer})
	}
	add(optServer, u.host.AsSlice())
	add(optMask, number(^uint32(0)<<(32-u.net.Bits())))
	if !u.restrict {
		add(optRouter, u.host.AsSlice())
		add(optDNS, u.dns.AsSlice())
	}
	add(optLease, number(leaseTime))
	add(optHostname, []byte(u.hostname))
	add(optDomain, []byte(u.domain))
	add(optTFTPServer, []byte(u.tftpServer))
	for s := searchList(u.search); len(s) > 0; {
		n := min(len(s), sizeOfSearch)
		add(optSearch, s[:n])
		s = s[n:]
	}
	return append(r, optEnd)
}

// searchList is a list of domains in the form of RFC 3397. Names that are none are left out.
func searchList(names []string) (out []byte) {
	for _, n := range names {
		n = strings.TrimSuffix(n, ".") + "."
		name, err := dnsmessage.NewName(n)
		if err != nil || n == "." || strings.Contains(n, "..") {
			continue
		}
		for _, label := range strings.Split(strings.TrimSuffix(name.String(), "."), ".") {
			if len(label) > 63 {
				label = label[:63]
			}
			out = append(append(out, uint8(len(label))), label...)
		}
		out = append(out, 0)
	}
	return out
}

// DHCPv6 (RFC 8415): only what a client asks that has its address from elsewhere.
const (
	dhcp6Reply, dhcp6Info = 7, 11

	opt6Client, opt6Server, opt6Request = 1, 2, 6
	opt6DNS, opt6BootFile               = 23, 59
)

var dhcpAgents = netip.MustParseAddr("ff02::1:2")

// dhcp6 answers an information request.
func (u *Network) dhcp6(src netip.AddrPort, b []byte) {
	if len(b) < 4 || b[0] != dhcp6Info {
		return
	}
	r := append([]byte{dhcp6Reply}, b[1:4]...)
	add := func(code uint16, v []byte) {
		r = be.AppendUint16(be.AppendUint16(r, code), uint16(len(v)))
		r = append(r, v...)
	}
	var dns, boot bool
	for o := b[4:]; len(o) >= 4; {
		code, n := be.Uint16(o), int(be.Uint16(o[2:]))
		if len(o) < 4+n {
			return
		}
		v := o[4 : 4+n]
		switch code {
		case opt6Client:
			if n <= 256 {
				add(opt6Client, v)
			}
		case opt6Request:
			for ; len(v) >= 2; v = v[2:] {
				dns = dns || be.Uint16(v) == opt6DNS
				boot = boot || be.Uint16(v) == opt6BootFile
			}
		}
		o = o[4+n:]
	}
	m := macOf(u.host6)
	add(opt6Server, append([]byte{0, 3, 0, 1}, m[:]...))
	if dns {
		add(opt6DNS, u.dns6.AsSlice())
	}
	if boot && u.bootfile != "" {
		add(opt6BootFile, []byte("tftp://["+u.host6.String()+"]/"+u.bootfile))
	}
	u.sendUDP(netip.AddrPortFrom(u.host6, dhcp6Server), src, r)
}
