// Package sockaddr holds the addresses of stream sockets as users write them (QAPI's SocketAddress: inet, unix, vsock and fd), and
// connects to them and listens on them with QEMU's error texts.
package sockaddr

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"goemu/internal/strerror"
)

// Type is the kind of an address.
type Type string

// The kinds of addresses.
const (
	Inet  Type = "inet"
	Unix  Type = "unix"
	Vsock Type = "vsock"
	FD    Type = "fd"
)

// Addr is the address of a stream socket. Which members count depends on Type.
type Addr struct {
	Type Type

	Host, Port string // inet; vsock: Host is the CID
	To         int    // inet, listening: the last port to try; 0 is Port alone
	IPv4, IPv6 *bool  // inet: which of them; nil leaves it open
	KeepAlive  bool   // inet, connecting
	Numeric    bool   // inet: no names

	Path     string // unix
	Abstract bool   // unix: a name that is not in the file system
	Loose    bool   // unix, abstract: the name is filled up with zeroes ("tight=off")

	FD string // fd: a number
}

// Error is a failure with the errno behind it.
type Error struct {
	Errno unix.Errno
	Text  string
	Hint  string
}

func (e *Error) Error() string { return e.Text }

// Unwrap gives the errno to errors.Is.
func (e *Error) Unwrap() error { return e.Errno }

func errorf(format string, a ...any) error {
	return &Error{Errno: unix.EINVAL, Text: fmt.Sprintf(format, a...)}
}

// errnof makes an error whose text ends in the errno's own.
func errnof(e unix.Errno, format string, a ...any) error {
	return &Error{Errno: e, Text: fmt.Sprintf(format, a...) + ": " + strerror.Text(e)}
}

// ParseInet reads HOST:PORT with options, as in "nbd:HOST:PORT,to=…".
func ParseInet(s string) (*Addr, error) {
	a := &Addr{Type: Inet}
	rest, what := s, "address"
	switch {
	case strings.HasPrefix(s, ":"):
		rest, what = s[1:], "port in address"
	case strings.HasPrefix(s, "["):
		host, r, ok := strings.Cut(s[1:], "]:")
		if !ok || host == "" || len(host) > 64 || strings.Contains(host, "]") {
			return nil, errorf("error parsing IPv6 address '%s'", s)
		}
		a.Host, rest, what = host, r, "IPv6 address"
	default:
		host, r, ok := strings.Cut(s, ":")
		if !ok || host == "" || len(host) > 64 {
			return nil, errorf("error parsing address '%s'", s)
		}
		a.Host, rest = host, r
	}
	port, opts, _ := strings.Cut(rest, ",")
	if port == "" || len(port) > 32 {
		return nil, errorf("error parsing %s '%s'", what, s)
	}
	a.Port = port
	return a, a.parseInetOptions(opts)
}

func (a *Addr) parseInetOptions(opts string) error {
	for _, o := range strings.Split(opts, ",") {
		name, value, has := strings.Cut(o, "=")
		flag := !has || value == "on"
		bad := has && value != "on" && value != "off"
		switch name {
		case "to":
			n, err := strconv.Atoi(value)
			if err != nil {
				return errorf("error parsing to= argument")
			}
			a.To = n
			continue
		case "ipv4":
			a.IPv4 = &flag
		case "ipv6":
			a.IPv6 = &flag
		case "keep-alive":
			a.KeepAlive = flag
		default:
			continue // QEMU looks for what it knows
		}
		if bad {
			return errorf("error parsing '%s' flag '=%s'", name, value)
		}
	}
	return nil
}

// Members is a flat dictionary that FromOptions takes the address from.
type Members interface {
	TakeString(name string) (string, bool)
	TakeBool(name string, def bool) (bool, error)
	TakeUint(name string, def uint64) (uint64, error)
	Has(name string) bool
	Names() []string
}

// FromOptions reads an address from its members by QAPI's names and refuses what is left.
func FromOptions(o Members) (*Addr, error) {
	kind, ok := o.TakeString("type")
	if !ok {
		return nil, errorf("Parameter 'type' is missing")
	}
	a := &Addr{Type: Type(kind)}
	var err error
	switch a.Type {
	case Inet:
		err = a.takeInet(o)
	case Unix:
		err = a.takeUnix(o)
	case Vsock:
		err = takeRequired(o, map[string]*string{"cid": &a.Host, "port": &a.Port}, "cid", "port")
	case FD:
		err = takeRequired(o, map[string]*string{"str": &a.FD}, "str")
	default:
		return nil, errorf("Parameter 'type' does not accept value '%s'", kind)
	}
	if err != nil {
		return nil, err
	}
	if names := o.Names(); len(names) > 0 {
		return nil, errorf("Parameter '%s' is unexpected", names[0])
	}
	return a, nil
}

func takeRequired(o Members, into map[string]*string, names ...string) error {
	for _, name := range names {
		s, ok := o.TakeString(name)
		if !ok {
			return errorf("Parameter '%s' is missing", name)
		}
		*into[name] = s
	}
	return nil
}

func (a *Addr) takeInet(o Members) (err error) {
	if err = takeRequired(o, map[string]*string{"host": &a.Host, "port": &a.Port}, "host", "port"); err != nil {
		return err
	}
	to, err := o.TakeUint("to", 0)
	if err != nil {
		return err
	}
	a.To = int(min(to, 65535))
	for name, p := range map[string]**bool{"ipv4": &a.IPv4, "ipv6": &a.IPv6} {
		if !o.Has(name) {
			continue
		}
		v, err := o.TakeBool(name, false)
		if err != nil {
			return err
		}
		*p = &v
	}
	if a.KeepAlive, err = o.TakeBool("keep-alive", false); err != nil {
		return err
	}
	a.Numeric, err = o.TakeBool("numeric", false)
	return err
}

func (a *Addr) takeUnix(o Members) (err error) {
	if err = takeRequired(o, map[string]*string{"path": &a.Path}, "path"); err != nil {
		return err
	}
	if a.Abstract, err = o.TakeBool("abstract", false); err != nil {
		return err
	}
	tight, err := o.TakeBool("tight", true)
	a.Loose = !tight
	return err
}
