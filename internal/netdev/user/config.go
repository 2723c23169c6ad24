package user

import (
	"net/netip"
	"strconv"
	"strings"

	"goemu/internal/sockaddr"
	"goemu/qapi"
)

// config is the network's addresses and what its services say.
type config struct {
	restrict, v4, v6           bool
	net, prefix                netip.Prefix
	host, dhcp, dns            netip.Addr // IPv4
	host6, dns6                netip.Addr
	hostname, domain, bootfile string
	tftp, tftpServer           string
	search                     []string
}

const (
	defaultBits   = 24
	defaultBits6  = 64
	maxBits6      = 126
	maxText       = 255
	dhcpAddresses = 16 // that DHCP gives out
)

// parseConfig reads the options. The texts of errors are QEMU's.
func parseConfig(o *qapi.NetdevUserOptions) (*config, error) {
	on := func(p *bool) bool { return p != nil && *p }
	off := func(p *bool) bool { return p != nil && !*p }
	text := func(p *string) string {
		if p == nil {
			return ""
		}
		return *p
	}
	c := &config{restrict: on(o.Restrict), hostname: text(o.Hostname), domain: text(o.Domainname), bootfile: text(o.Bootfile), tftp: text(o.Tftp), tftpServer: text(o.TftpServerName)}
	c.v4 = !off(o.Ipv4) && !(on(o.Ipv6) && o.Ipv4 == nil)
	c.v6 = !off(o.Ipv6) && !(on(o.Ipv4) && o.Ipv6 == nil)
	network := o.Net
	if network == nil && o.Ip != nil {
		s := *o.Ip + "/24"
		network = &s
	}
	switch {
	case !c.v4 && (network != nil || o.Host != nil || o.Dns != nil):
		return nil, qapi.Errorf("IPv4 disabled but netmask/host/dns provided")
	case !c.v6 && (o.Ipv6Prefix != nil || o.Ipv6Host != nil || o.Ipv6Dns != nil):
		return nil, qapi.Errorf("IPv6 disabled but prefix/host6/dns6 provided")
	case !c.v4 && !c.v6:
		return nil, qapi.Errorf("IPv4 and IPv6 disabled")
	}
	if err := c.parse4(network, o); err != nil {
		return nil, err
	}
	if err := c.parse6(o); err != nil {
		return nil, err
	}
	for _, s := range o.Dnssearch {
		c.search = append(c.search, s.Str)
	}
	switch {
	case o.Domainname != nil && c.domain == "":
		return nil, qapi.Errorf("'domainname' parameter cannot be empty")
	case len(c.domain) > maxText:
		return nil, qapi.Errorf("'domainname' parameter cannot exceed 255 bytes")
	case len(c.hostname) > maxText:
		return nil, qapi.Errorf("'vhostname' parameter cannot exceed 255 bytes")
	case len(c.tftpServer) > maxText:
		return nil, qapi.Errorf("'tftp-server-name' parameter cannot exceed 255 bytes")
	}
	return c, nil
}

// parse4 reads the options about IPv4.
func (c *config) parse4(network *string, o *qapi.NetdevUserOptions) error {
	c.net = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 2, 0}), defaultBits)
	if network != nil {
		var err error
		if c.net, err = parseNet(*network); err != nil {
			return err
		}
	}
	c.host, c.dhcp, c.dns = c.at(0x0202), c.at(0x020f), c.at(0x0203)
	for _, a := range []struct {
		text *string
		to   *netip.Addr
		err  string
	}{{o.Host, &c.host, "Failed to parse host"}, {o.Dns, &c.dns, "Failed to parse DNS"}, {o.Dhcpstart, &c.dhcp, "Failed to parse DHCP start address"}} {
		if a.text == nil {
			continue
		}
		var ok bool
		if *a.to, ok = sockaddr.ParseIPv4(*a.text); !ok {
			return qapi.Errorf("%s", a.err)
		}
	}
	switch {
	case !c.net.Contains(c.host):
		return qapi.Errorf("Host doesn't belong to network")
	case c.restrict && !c.net.Contains(c.dns):
		return qapi.Errorf("DNS doesn't belong to network")
	case c.dns == c.host:
		return qapi.Errorf("DNS must be different from host")
	case !c.net.Contains(c.dhcp):
		return qapi.Errorf("DHCP doesn't belong to network")
	case c.dhcp == c.host || c.dhcp == c.dns:
		return qapi.Errorf("DHCP must be different from host and DNS")
	}
	return nil
}

// at is the network's address with the host part n.
func (c *config) at(n uint32) netip.Addr {
	mask := ^uint32(0) << (32 - c.net.Bits())
	return addr4(num4(c.net.Addr()) | n&^mask)
}

func addr4(n uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

func num4(a netip.Addr) uint32 {
	b := a.As4()
	return be.Uint32(b[:])
}

// parseNet reads ADDRESS, ADDRESS/BITS or ADDRESS/MASK.
func parseNet(text string) (p netip.Prefix, err error) {
	addr, rest, hasMask := strings.Cut(text, "/")
	a, ok := sockaddr.ParseIPv4(addr)
	if !ok {
		return p, qapi.Errorf("Failed to parse netmask")
	}
	bits := classBits(num4(a))
	if hasMask {
		n, err := strconv.Atoi(rest)
		switch {
		case err != nil:
			m, ok := sockaddr.ParseIPv4(rest)
			if !ok {
				return p, qapi.Errorf("Failed to parse netmask (trailing chars)")
			}
			bits = 0
			for v := num4(m); v>>31 != 0; v <<= 1 {
				bits++
			}
		case n < 4 || n > 32:
			return p, qapi.Errorf("Invalid netmask provided (must be in range 4-32)")
		default:
			bits = n
		}
	}
	return netip.PrefixFrom(a, bits).Masked(), nil
}

// classBits is the length of the prefix of an address that is given without.
func classBits(a uint32) int {
	switch {
	case a&0x80000000 == 0:
		return 8
	case a&0xfff00000 == 0xac100000:
		return 12
	case a&0xc0000000 == 0x80000000:
		return 16
	case a&0xffff0000 == 0xc0a80000:
		return 16
	case a&0xffff0000 == 0xc6120000:
		return 15
	case a&0xe0000000 == 0xe0000000:
		return 24
	}
	return 28
}

// parse6 reads the options about IPv6.
func (c *config) parse6(o *qapi.NetdevUserOptions) error {
	base, bits := netip.MustParseAddr("fec0::"), int64(defaultBits6)
	if o.Ipv6Prefix != nil {
		var err error
		if base, err = netip.ParseAddr(*o.Ipv6Prefix); err != nil || !base.Is6() {
			return qapi.Errorf("Failed to parse IPv6 prefix")
		}
	}
	if o.Ipv6Prefixlen != nil && *o.Ipv6Prefixlen != 0 {
		bits = *o.Ipv6Prefixlen
	}
	if bits < 0 || bits > maxBits6 {
		return qapi.Errorf("Invalid IPv6 prefix provided (IPv6 prefix length must be between 0 and 126)")
	}
	c.prefix = netip.PrefixFrom(base, int(bits))
	last := func(n byte) netip.Addr {
		b := base.As16()
		b[15] |= n
		return netip.AddrFrom16(b)
	}
	c.host6, c.dns6 = last(2), last(3)
	if o.Ipv6Host != nil {
		a, err := netip.ParseAddr(*o.Ipv6Host)
		switch {
		case err != nil || !a.Is6():
			return qapi.Errorf("Failed to parse IPv6 host")
		case !c.prefix.Contains(a):
			return qapi.Errorf("IPv6 Host doesn't belong to network")
		}
		c.host6 = a
	}
	if o.Ipv6Dns != nil {
		a, err := netip.ParseAddr(*o.Ipv6Dns)
		switch {
		case err != nil || !a.Is6():
			return qapi.Errorf("Failed to parse IPv6 DNS")
		case c.restrict && !c.prefix.Contains(a):
			return qapi.Errorf("IPv6 DNS doesn't belong to network")
		}
		c.dns6 = a
	}
	return nil
}
