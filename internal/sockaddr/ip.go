package sockaddr

import (
	"net/netip"
	"strconv"
	"strings"
)

// ParseIPv4 reads an IPv4 address as the C library does (inet_aton): one to four numbers, decimal, octal or hexadecimal, of which the
// last one fills what is left; "0" is any address.
func ParseIPv4(text string) (a netip.Addr, ok bool) {
	parts := strings.Split(text, ".")
	if len(parts) > 4 {
		return a, false
	}
	var v uint64
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 0, 32)
		if err != nil || strings.Contains(p, "_") {
			return a, false
		}
		if i < len(parts)-1 {
			if n > 255 {
				return a, false
			}
			v |= n << (24 - 8*i)
			continue
		}
		if n >= 1<<(32-8*i) {
			return a, false
		}
		v |= n
	}
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}), true
}

// ParseIP reads a numeric address of either family.
func ParseIP(text string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(text); err == nil {
		return a, true
	}
	return ParseIPv4(text)
}
