package netdev

import (
	"errors"
	"strconv"
	"strings"

	"goemu/internal/config"
	"goemu/qapi"
)

// implied is the name of an option's first value.
const implied = "type"

// FromOpts reads a back end from the option's names and values.
func FromOpts(pairs [][2]string) (*qapi.Netdev, error) {
	pairs, err := splitNet6(pairs)
	if err != nil {
		return nil, err
	}
	o, err := qapi.FromOpts("Netdev", pairs)
	if err != nil {
		return nil, err
	}
	n := new(qapi.Netdev)
	return n, qapi.Decode("Netdev", o, n)
}

// splitNet6 makes the prefix and its length of ipv6-net=fec0::0/64.
func splitNet6(pairs [][2]string) (out [][2]string, err error) {
	for _, p := range pairs {
		if p[0] != "ipv6-net" {
			out = append(out, p)
			continue
		}
		addr, bits, ok := strings.Cut(p[1], "/")
		if !ok {
			bits = "64"
		}
		if addr == "" {
			return nil, errors.New("Parameter 'ipv6-net' expects a valid IPv6 prefix")
		}
		if _, err := strconv.ParseUint(bits, 10, 32); err != nil {
			return nil, errors.New("Parameter 'ipv6-prefixlen' expects a number")
		}
		out = append(out, [2]string{"ipv6-prefix", addr}, [2]string{"ipv6-prefixlen", bits})
	}
	return out, nil
}

// IsModern tells whether the value of -netdev is JSON or in the syntax with dots, which only some kinds have.
func IsModern(text, typ string) bool {
	return strings.HasPrefix(text, "{") || typ == "stream" || typ == "dgram"
}

// ParseModern reads a value of -netdev in one of the newer syntaxes.
func ParseModern(text string) (*qapi.Netdev, error) {
	n := new(qapi.Netdev)
	if strings.HasPrefix(text, "{") {
		v, err := qapi.ParseJSON(text)
		if err != nil {
			return nil, err
		}
		return n, qapi.Decode("Netdev", v, n)
	}
	o, err := qapi.ParseKeyval(text, implied)
	if err != nil {
		return nil, err
	}
	return n, qapi.Decode("Netdev", qapi.FromKeyval("Netdev", o), n)
}

// IsID tells whether text can be an identifier.
func IsID(text string) bool {
	for i, c := range []byte(text) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (i == 0 || (c < '0' || c > '9') && c != '-' && c != '.' && c != '_') {
			return false
		}
	}
	return text != ""
}

// SplitOpts splits "a,b=c" into names and values; a first element without '=' is the type, a later one a switch.
func SplitOpts(text string) (out [][2]string) {
	for first := true; text != ""; first = false {
		var elem string
		elem, text, _ = config.CutElement(text)
		key, val, ok := strings.Cut(elem, "=")
		switch {
		case ok:
		case first:
			key, val = implied, elem
		case strings.HasPrefix(elem, "no") && len(elem) > 2:
			key, val = elem[2:], "off"
		default:
			val = "on"
		}
		out = append(out, [2]string{key, val})
	}
	return out
}
