// Package vnc shows consoles to clients of the remote framebuffer protocol (RFC 6143, with the community's extensions).
package vnc

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"goemu/internal/config"
	"goemu/internal/sockaddr"
)

// Share says what becomes of other clients when one wants to be alone.
type Share string

// The policies.
const (
	ShareIgnore         Share = "ignore"
	ShareAllowExclusive Share = "allow-exclusive"
	ShareForceShared    Share = "force-shared"
)

// Options are those of -vnc.
type Options struct {
	ID             string
	Address        string // "none" for no listening
	WebSocket      string // port or address, "" for none
	To             int    // how many displays to try
	IPv4, IPv6     *bool
	Password       bool
	PasswordSecret string
	Creds, Authz   string // objects for TLS
	Share          Share
	Display        string // device whose screen is shown
	Head           int
	Connections    int
	Lossy          bool
	LockKeySync    bool
	KeyDelay       int64 // ms
	PowerControl   bool
	Audiodev       string // where the guest's sound comes from; there is none to be heard
}

// Default values.
const (
	defaultConnections = 32
	defaultKeyDelay    = 10
	basePort           = 5900
	baseWebSocketPort  = 5700
	maxPort            = 65535
)

// Parse reads the value of -vnc.
func Parse(value string) (*Options, error) {
	o := &Options{ID: "default", Share: ShareAllowExclusive, Connections: defaultConnections, KeyDelay: defaultKeyDelay, LockKeySync: true}
	for i, e := range config.SplitElements(value) {
		key, v, ok := strings.Cut(e, "=")
		if i == 0 && !ok {
			o.Address = e
			continue
		}
		if err := o.set(key, v, ok); err != nil {
			return nil, err
		}
	}
	if o.Password && o.PasswordSecret != "" {
		return nil, errors.New("'password' flag is redundant with 'password-secret'")
	}
	if o.Authz != "" && o.Creds == "" {
		return nil, errors.New("'tls-authz' provided but TLS is not enabled")
	}
	_, err := o.addresses()
	return o, err
}

// set sets a member; one without a value is a switch.
func (o *Options) set(key, v string, has bool) (err error) {
	flag := func(p *bool) {
		switch {
		case !has || v == "on" || v == "yes" || v == "true" || v == "y":
			*p = true
		case v == "off" || v == "no" || v == "false" || v == "n":
			*p = false
		default:
			err = fmt.Errorf("Parameter '%s' expects 'on' or 'off'", key)
		}
	}
	number := func(p *int) {
		n, e := strconv.ParseUint(v, 0, 31)
		if e != nil {
			err = fmt.Errorf("Parameter '%s' expects a number", key)
		}
		*p = int(n)
	}
	switch key {
	case "vnc":
		o.Address = v
	case "id":
		o.ID = v
	case "websocket":
		if o.WebSocket = v; !has || v == "" {
			o.WebSocket = "on"
		}
	case "to":
		number(&o.To)
	case "ipv4":
		o.IPv4 = new(bool)
		flag(o.IPv4)
	case "ipv6":
		o.IPv6 = new(bool)
		flag(o.IPv6)
	case "password":
		flag(&o.Password)
	case "password-secret":
		o.PasswordSecret = v
	case "tls-creds":
		o.Creds = v
	case "tls-authz":
		o.Authz = v
	case "share":
		switch o.Share = Share(v); o.Share {
		case ShareIgnore, ShareAllowExclusive, ShareForceShared:
		default:
			return errors.New("unknown vnc share= option")
		}
	case "display":
		o.Display = v
	case "head":
		number(&o.Head)
	case "connections":
		number(&o.Connections)
	case "lossy":
		flag(&o.Lossy)
	case "non-adaptive": // updates always are
		flag(new(bool))
	case "lock-key-sync":
		flag(&o.LockKeySync)
	case "key-delay-ms":
		n := 0
		number(&n)
		o.KeyDelay = int64(n)
	case "power-control":
		flag(&o.PowerControl)
	case "audiodev":
		o.Audiodev = v
	default:
		return fmt.Errorf("Invalid parameter '%s'", key)
	}
	return err
}

// listenAddress is an address to listen at.
type listenAddress struct {
	sockaddr.Addr
	webSocket bool
}

// addresses returns where to listen.
func (o *Options) addresses() (list []listenAddress, err error) {
	if o.Address == "" || o.Address == "none" {
		return nil, nil
	}
	display := -1
	if path, ok := strings.CutPrefix(o.Address, "unix:"); ok {
		if o.To != 0 {
			return nil, errors.New("Port range not support with UNIX socket")
		}
		list = append(list, listenAddress{Addr: sockaddr.Addr{Type: sockaddr.Unix, Path: path}})
	} else {
		host, port, ok := cutPort(o.Address)
		switch {
		case !ok:
			return nil, errors.New("no vnc port specified")
		case port == "":
			return nil, errors.New("vnc port cannot be empty")
		}
		n, err := strconv.ParseUint(port, 10, 63)
		switch {
		case err != nil:
			return nil, fmt.Errorf("can't convert to a number: %s", port)
		case n+basePort > maxPort:
			return nil, fmt.Errorf("port %s out of range", port)
		}
		display = int(n)
		list = append(list, listenAddress{Addr: o.inet(host, display+basePort, basePort)})
	}
	switch o.WebSocket {
	case "":
		return list, nil
	case "on":
		if display < 0 {
			return nil, errors.New("explicit websocket port is required")
		}
		return append(list, listenAddress{Addr: o.inet(list[0].Host, display+baseWebSocketPort, baseWebSocketPort), webSocket: true}), nil
	}
	if strings.HasPrefix(o.WebSocket, "unix:") {
		return nil, errors.New("UNIX sockets not supported with websock")
	}
	host, port, ok := cutPort(o.WebSocket)
	if !ok {
		host, port = "", o.WebSocket
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("can't convert to a number: %s", port)
	}
	if host == "" && display >= 0 {
		host = list[0].Host
	}
	return append(list, listenAddress{Addr: o.inet(host, int(n), baseWebSocketPort), webSocket: true}), nil
}

// cutPort splits an address at its last colon; brackets around the host are taken away.
func cutPort(s string) (host, port string, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return "", "", false
	}
	host = s[:i]
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		host = host[1 : len(host)-1]
	}
	return host, s[i+1:], true
}

func (o *Options) inet(host string, port, base int) sockaddr.Addr {
	a := sockaddr.Addr{Type: sockaddr.Inet, Host: host, Port: strconv.Itoa(port), IPv4: o.IPv4, IPv6: o.IPv6}
	if o.To != 0 {
		a.To = min(o.To+base, maxPort)
	}
	return a
}
