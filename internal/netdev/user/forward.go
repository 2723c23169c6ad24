package user

import (
	"context"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"goemu/internal/netdev"
	"goemu/internal/sockaddr"
	"goemu/qapi"
)

// hostForward is a port of the host that leads to a port of the guest.
type hostForward struct {
	u        *Network
	udp      bool
	host     netip.AddrPort // as asked for
	guest    netip.AddrPort
	listener net.Listener
	conn     *net.UDPConn

	mu    sync.Mutex
	peers map[netip.AddrPort]netip.AddrPort // guarded by mu: what the guest is shown → who it is
}

// Close ends the forwarding; connections stay.
func (f *hostForward) Close() error {
	if f.udp {
		return f.conn.Close()
	}
	return f.listener.Close()
}

// cutField is text up to a separator.
func cutField(text *string, sep string) (field string, ok bool) {
	field, *text, ok = strings.Cut(*text, sep)
	return field, ok
}

// parseHost reads the start of a rule: [tcp|udp]:[ADDRESS]:
func parseHost(rest *string) (udp bool, addr netip.Addr, reason string) {
	addr = netip.AddrFrom4([4]byte{})
	proto, ok := cutField(rest, ":")
	switch {
	case !ok:
		return false, addr, "No : separators"
	case proto != "tcp" && proto != "udp" && proto != "":
		return false, addr, "Bad protocol name"
	}
	text, ok := cutField(rest, ":")
	if !ok {
		return false, addr, "Missing : separator"
	}
	if text != "" {
		if addr, ok = sockaddr.ParseIPv4(text); !ok {
			return false, addr, "Bad host address"
		}
	}
	return proto == "udp", addr, ""
}

// parseRule reads [tcp|udp]:[HOST]:PORT-[GUEST]:PORT.
func (u *Network) parseRule(rule string) (f *hostForward, reason string) {
	rest := rule
	udp, host, reason := parseHost(&rest)
	if reason != "" {
		return nil, reason
	}
	text, ok := cutField(&rest, "-")
	if !ok {
		return nil, "Bad host port separator"
	}
	hostPort, err := strconv.ParseUint(text, 0, 16)
	if err != nil {
		return nil, "Bad host port"
	}
	if text, ok = cutField(&rest, ":"); !ok {
		return nil, "Missing guest address"
	}
	guest := u.dhcp
	if text != "" {
		a, ok := sockaddr.ParseIPv4(text)
		if !ok {
			return nil, "Bad guest address"
		}
		if !a.IsUnspecified() {
			guest = a
		}
	}
	guestPort, err := strconv.ParseUint(rest, 0, 16)
	if err != nil || guestPort == 0 {
		return nil, "Bad guest port"
	}
	return &hostForward{u: u, udp: udp, host: netip.AddrPortFrom(host, uint16(hostPort)), guest: netip.AddrPortFrom(guest, uint16(guestPort)), peers: map[netip.AddrPort]netip.AddrPort{}}, ""
}

// AddHostForward adds a rule as of hostfwd=.
func (u *Network) AddHostForward(rule string) error {
	f, reason := u.parseRule(rule)
	if reason != "" {
		return qapi.Errorf("Invalid host forwarding rule '%s' (%s)", rule, reason)
	}
	lc := net.ListenConfig{Control: reuse}
	if f.udp {
		c, err := lc.ListenPacket(context.Background(), "udp4", f.host.String())
		if err != nil {
			return qapi.Errorf("Could not set up host forwarding rule '%s'", rule)
		}
		f.conn = c.(*net.UDPConn)
		go f.serveUDP()
	} else {
		l, err := lc.Listen(context.Background(), "tcp4", f.host.String())
		if err != nil {
			return qapi.Errorf("Could not set up host forwarding rule '%s'", rule)
		}
		f.listener = l
		go f.serveTCP()
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.isClosed() {
		_ = f.Close()
		return errClosed
	}
	u.fwds = append([]*hostForward{f}, u.fwds...)
	return nil
}

func reuse(_, _ string, c syscall.RawConn) error {
	var err error
	if cerr := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) }); cerr != nil {
		return cerr
	}
	return err
}

// RemoveHostForward removes the rule for [tcp|udp]:[HOST]:PORT. valid is false for other texts.
func (u *Network) RemoveHostForward(text string) (found, valid bool) {
	rest := text
	udp, host, reason := parseHost(&rest)
	port, err := strconv.Atoi(rest)
	if reason != "" || err != nil {
		return false, false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for i, f := range u.fwds {
		if f.udp == udp && f.bound() == netip.AddrPortFrom(host, uint16(port)) {
			u.fwds = append(u.fwds[:i:i], u.fwds[i+1:]...)
			_ = f.Close()
			return true, true
		}
	}
	return false, true
}

// bound is where the rule listens.
func (f *hostForward) bound() netip.AddrPort {
	if f.udp {
		return addrPort(f.conn.LocalAddr())
	}
	return addrPort(f.listener.Addr())
}

func (f *hostForward) serveTCP() {
	for {
		c, err := f.listener.Accept()
		if err != nil {
			if errnoIsTransient(err) {
				continue
			}
			return
		}
		go f.u.connectGuest(c.(*net.TCPConn), f.guest)
	}
}

// errnoIsTransient tells whether a listener goes on after an error.
func errnoIsTransient(err error) bool {
	e, ok := err.(net.Error)
	return ok && e.Timeout()
}

func (f *hostForward) serveUDP() {
	b := make([]byte, maxDatagram)
	for {
		n, from, err := f.conn.ReadFromUDPAddrPort(b)
		if err != nil {
			f.u.mu.Lock()
			ended := f.u.isClosed() || !slices.Contains(f.u.fwds, f)
			f.u.mu.Unlock()
			if ended {
				return
			}
			continue
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		shown := netip.AddrPortFrom(f.u.back(from.Addr()), from.Port())
		f.mu.Lock()
		if len(f.peers) >= maxPeers*maxPeers {
			clear(f.peers)
		}
		f.peers[shown] = from
		f.mu.Unlock()
		f.u.sendUDP(shown, f.guest, b[:n])
	}
}

// forwardOf finds the forwarding that a datagram of the guest is an answer to.
func (u *Network) forwardOf(src, dst netip.AddrPort) *hostForward {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, f := range u.fwds {
		if !f.udp || f.guest != src {
			continue
		}
		f.mu.Lock()
		_, ok := f.peers[dst]
		f.mu.Unlock()
		if ok {
			return f
		}
	}
	return nil
}

// toHost sends an answer of the guest to whoever has asked.
func (f *hostForward) toHost(b []byte, shown netip.AddrPort) {
	f.mu.Lock()
	to, ok := f.peers[shown]
	f.mu.Unlock()
	if ok {
		_ = sendTo(f.conn, b, to)
	}
}

// guestForward is an address in the network that leads to a program or a character device.
type guestForward struct {
	addr    netip.AddrPort
	command string
	device  *device // nil for a program
}

func (g *guestForward) close() {
	if g.device != nil {
		g.device.close()
	}
}

// addGuestForward adds a rule of guestfwd=: [tcp]:SERVER:PORT-DEVICE or -cmd:PROGRAM.
func (u *Network) addGuestForward(rule string) error {
	rest := rule
	bad := qapi.Errorf("Invalid guest forwarding rule '%s'", rule)
	proto, ok := cutField(&rest, ":")
	if !ok || proto != "tcp" && proto != "" {
		return bad
	}
	text, ok := cutField(&rest, ":")
	if !ok {
		return bad
	}
	addr := u.at(0x0204)
	if text != "" {
		a, ok := sockaddr.ParseIPv4(text)
		if !ok {
			return bad
		}
		if !a.IsUnspecified() {
			addr = a
		}
	}
	if text, ok = cutField(&rest, "-"); !ok {
		return bad
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return bad
	}
	g := &guestForward{addr: netip.AddrPortFrom(addr, uint16(port))}
	taken := slices.ContainsFunc(u.guests, func(o *guestForward) bool { return o.addr == g.addr })
	if taken || !u.net.Contains(addr) || addr == u.host || addr == u.dns {
		return qapi.Errorf("Conflicting/invalid host:port in guest forwarding rule '%s'", rule)
	}
	label := "guestfwd.tcp." + text
	var isCommand bool
	if g.command, isCommand = strings.CutPrefix(rest, "cmd:"); !isCommand {
		if Chardevs == nil {
			return qapi.Errorf("Could not open guest forwarding device '%s'", label)
		}
		if g.device, err = newDevice(label, rest); err != nil {
			return qapi.Errorf("%s\nCould not open guest forwarding device '%s'", err, label)
		}
	}
	u.guests = append([]*guestForward{g}, u.guests...)
	return nil
}

// serve connects the guest with the program or the device until either ends.
func (g *guestForward) serve(c io.ReadWriteCloser) {
	defer c.Close()
	if g.device != nil {
		g.device.serve(c)
		return
	}
	cmd := exec.Command("/bin/sh", "-c", "exec "+g.command)
	in, err := cmd.StdinPipe()
	if err != nil {
		return
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return
	}
	if cmd.Start() != nil {
		return
	}
	go func() {
		_, _ = io.Copy(in, c)
		_ = in.Close()
	}()
	_, _ = io.Copy(c, out)
	_ = c.Close()
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// Networks are the back ends of this kind in a set.
func Networks(s *netdev.Set) (list []*Network) {
	for _, c := range s.Clients() {
		if u, ok := c.Port().(*Network); ok {
			list = append(list, u)
		}
	}
	return list
}

// Client is the network's place in the set.
func (u *Network) Client() *netdev.Client { return u.c }
