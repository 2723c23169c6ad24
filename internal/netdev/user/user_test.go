package user

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/link/ethernet"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"goemu/hw/qdev/qtest"
	"goemu/hw/virtio/virtiotest"
	"goemu/internal/netdev"
	"goemu/migration/vmstate"
	"goemu/migration/vmstate/vmstatetest"
	"goemu/qapi"
)

var guestMAC = mac{0x52, 0x54, 0, 0x12, 0x34, 0x56}

// guest is a machine in the network: frames as they are, or a stack that sends and takes them.
type guest struct {
	t   testing.TB
	set *netdev.Set
	u   *Network
	c   *netdev.Client
	ch  atomic.Pointer[channel.Endpoint]

	mu     sync.Mutex
	frames [][]byte // guarded by mu
	news   chan struct{}
}

// Receive implements netdev.Port.
func (g *guest) Receive(data []byte, off *netdev.Offload) bool {
	netdevFinish := func(b []byte) {
		if ch := g.ch.Load(); ch != nil {
			pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(b)})
			ch.InjectInbound(0, pkt)
			pkt.DecRef()
			return
		}
		g.mu.Lock()
		g.frames = append(g.frames, bytes.Clone(b))
		g.mu.Unlock()
		select {
		case g.news <- struct{}{}:
		default:
		}
	}
	if off != nil {
		netdev.Finish(data, off, netdevFinish)
		return true
	}
	netdevFinish(data)
	return true
}

// Resume implements netdev.Port.
func (g *guest) Resume() {}

// LinkChanged implements netdev.Port.
func (g *guest) LinkChanged() {}

// Close implements netdev.Port.
func (g *guest) Close() {}

// open makes a network with the options, and a guest without a stack.
func open(t testing.TB, options string) *guest {
	t.Helper()
	g := &guest{t: t, set: netdev.NewSet(), news: make(chan struct{}, 1)}
	g.set.Kinds["user"] = Open
	n, err := netdev.FromOpts(netdev.SplitOpts("user,id=n" + options))
	require.NoError(t, err)
	require.NoError(t, g.set.Open(n))
	p, _ := g.set.Peer("n")
	nic := g.set.NewNIC("test", "", guestMAC, p, []netdev.Port{g})
	g.c = nic.Clients[0]
	g.c.Offloads = true
	g.u = Networks(g.set)[0]
	t.Cleanup(g.set.Close)
	return g
}

// withStack gives the guest a stack with the addresses.
func (g *guest) withStack() *stack.Stack {
	g.t.Helper()
	ch := channel.New(1024, mtu, tcpip.LinkAddress(guestMAC[:]))
	g.ch.Store(ch)
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol},
	})
	require.Nil(g.t, s.CreateNIC(1, ethernet.New(ch)))
	for _, a := range []struct {
		proto tcpip.NetworkProtocolNumber
		addr  string
		bits  int
	}{{ipv4.ProtocolNumber, "10.0.2.15", 24}, {ipv6.ProtocolNumber, "fec0::15", 64}} {
		ip := netip.MustParseAddr(a.addr)
		require.Nil(g.t, s.AddProtocolAddress(1, tcpip.ProtocolAddress{Protocol: a.proto, AddressWithPrefix: tcpip.AddressWithPrefix{Address: addressOf(ip), PrefixLen: a.bits}}, stack.AddressProperties{}))
	}
	s.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, Gateway: addressOf(g.u.host), NIC: 1}, {Destination: header.IPv6EmptySubnet, Gateway: addressOf(g.u.host6), NIC: 1}})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			pkt := ch.ReadContext(ctx)
			if pkt == nil {
				return
			}
			v := pkt.ToView()
			g.c.Send(v.AsSlice(), nil)
			pkt.DecRef()
		}
	})
	g.t.Cleanup(func() { cancel(); wg.Wait(); s.Destroy() })
	return s
}

func full(s string) tcpip.FullAddress {
	a := netip.MustParseAddrPort(s)
	return tcpip.FullAddress{NIC: 1, Addr: addressOf(a.Addr()), Port: a.Port()}
}

// echoServer answers connections of the host with what they send.
func echoServer(t testing.TB, network, addr string) int {
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Skip("no " + network + " on this host")
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

// exchange sends n bytes and expects them back.
func exchange(t testing.TB, c interface {
	io.ReadWriteCloser
	CloseWrite() error
}, n int) {
	t.Helper()
	want := make([]byte, n)
	_, _ = rand.Read(want)
	go func() {
		_, _ = c.Write(want)
		_ = c.CloseWrite()
	}()
	got, err := io.ReadAll(c)
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, got), "%d bytes came back of %d", len(got), n)
	_ = c.Close()
}

func TestTCP(t *testing.T) {
	for _, offloads := range []bool{false, true} {
		for _, v6 := range []bool{false, true} {
			t.Run(fmt.Sprintf("offloads %v, IPv6 %v", offloads, v6), func(t *testing.T) {
				g := open(t, "")
				if offloads {
					g.c.SetPeerOffloads(netdev.GuestOffloads{Csum: true, TSO4: true, TSO6: true})
				}
				s := g.withStack()
				network, addr, host, proto := "tcp4", "127.0.0.1:0", "10.0.2.2", tcpip.NetworkProtocolNumber(ipv4.ProtocolNumber)
				if v6 {
					network, addr, host, proto = "tcp6", "[::1]:0", "[fec0::2]", ipv6.ProtocolNumber
				}
				port := echoServer(t, network, addr)
				var wg sync.WaitGroup
				for range 3 {
					wg.Go(func() {
						c, err := gonet.DialTCP(s, full(fmt.Sprintf("%s:%d", host, port)), proto)
						if !assertNoError(t, err) {
							return
						}
						exchange(t, c, 2<<20)
					})
				}
				wg.Wait()
				require.Eventually(t, func() bool { g.u.mu.Lock(); defer g.u.mu.Unlock(); return len(g.u.tcp) == 0 }, 10*time.Second, time.Millisecond, "connections are left")
			})
		}
	}
}

func assertNoError(t testing.TB, err error) bool {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
	return err == nil
}

// next waits for a frame that f accepts.
func (g *guest) next(f func(frame []byte) bool) []byte {
	g.t.Helper()
	end := time.After(10 * time.Second)
	for {
		g.mu.Lock()
		for i, b := range g.frames {
			if f(b) {
				g.frames = slices.Delete(g.frames, i, i+1)
				g.mu.Unlock()
				return b
			}
		}
		g.mu.Unlock()
		select {
		case <-g.news:
		case <-end:
			g.t.Fatal("no answer")
		}
	}
}

// frame is a frame of the guest with room for an IP packet of n bytes after the header.
func guestFrame(src netip.Addr, n int) (frame, body []byte) {
	frame, body = newFrame(src, n)
	copy(frame, []byte{0x52, 0x55, 10, 0, 2, 2})
	copy(frame[6:], guestMAC[:])
	be.PutUint16(frame[12:], typeIPv4)
	if src.Is6() {
		be.PutUint16(frame[12:], typeIPv6)
	}
	return frame, body
}

// sendUDP sends a datagram as the guest.
func (g *guest) sendUDP(src, dst string, b []byte) {
	from, to := netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst)
	f, d := guestFrame(from.Addr(), udpSize+len(b))
	be.PutUint16(d, from.Port())
	be.PutUint16(d[2:], to.Port())
	be.PutUint16(d[4:], uint16(len(d)))
	copy(d[udpSize:], b)
	be.PutUint16(d[6:], netdev.Fold(netdev.Sum(pseudo(from.Addr(), to.Addr(), protoUDP, len(d)), d)))
	g.u.putIP(f, from.Addr(), to.Addr(), protoUDP)
	g.c.Send(f, nil)
}

// arpFrom tells the network where an address of the guest is.
func (g *guest) arpFrom(addr, target string) {
	f := make([]byte, etherSize+arpSize)
	copy(f, broadcast[:])
	copy(f[6:], guestMAC[:])
	be.PutUint16(f[12:], typeARP)
	p := f[etherSize:]
	copy(p, []byte{0, 1, 8, 0, 6, 4, 0, 1})
	copy(p[8:], guestMAC[:])
	copy(p[14:], netip.MustParseAddr(addr).AsSlice())
	copy(p[24:], netip.MustParseAddr(target).AsSlice())
	g.c.Send(f, nil)
}

// datagram is the contents of a UDP frame to a port of the guest.
func datagram(b []byte, port uint16) (src netip.AddrPort, payload []byte, ok bool) {
	if len(b) < etherSize+ip4Size+udpSize || be.Uint16(b[12:]) != typeIPv4 || b[23] != protoUDP || be.Uint16(b[36:]) != port {
		return src, nil, false
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[26:])), be.Uint16(b[34:])), b[42 : 34+be.Uint16(b[38:])], true
}

func (g *guest) nextUDP(port uint16) (src netip.AddrPort, payload []byte) {
	g.t.Helper()
	g.next(func(b []byte) (ok bool) { src, payload, ok = datagram(b, port); return ok })
	return src, payload
}

func TestARP(t *testing.T) {
	g := open(t, ",guestfwd=tcp:10.0.2.100:80-cmd:cat")
	for target, want := range map[string]bool{"10.0.2.2": true, "10.0.2.3": true, "10.0.2.100": true, "10.0.2.15": false, "10.0.2.77": false, "192.168.1.1": false} {
		g.arpFrom("10.0.2.15", target)
		g.mu.Lock()
		n := len(g.frames)
		var f []byte
		if n > 0 {
			f = g.frames[0]
		}
		g.frames = nil
		g.mu.Unlock()
		require.Equal(t, want, n == 1, target)
		if want {
			ip := netip.MustParseAddr(target)
			m := macOf(ip)
			require.Equal(t, append(append([]byte{}, guestMAC[:]...), m[:]...), f[:12])
			require.Equal(t, append([]byte{0, 2}, append(m[:], ip.AsSlice()...)...), f[20:32])
		}
	}
}

// dhcpMessage is a message of a client; addr is the address that it asks for.
func dhcpMessage(typ uint8, hw mac, addr string) []byte {
	b := make([]byte, bootpOptions, 300)
	b[0], b[1], b[2] = bootRequest, 1, 6
	copy(b[bootpXID:], "xid!")
	copy(b[bootpCHAddr:], hw[:])
	be.PutUint32(b[bootpCookie:], dhcpCookie)
	if typ != 0 {
		b = append(b, optType, 1, typ)
	}
	if addr != "" {
		b = append(append(b, optRequested, 4), netip.MustParseAddr(addr).AsSlice()...)
	}
	return append(b, optEnd)
}

// options are the options of a DHCP message.
func options(b []byte) map[uint8][]byte {
	m := map[uint8][]byte{}
	for o := b[bootpOptions:]; len(o) > 1 && o[0] != optEnd; o = o[2+int(o[1]):] {
		m[o[0]] = append(m[o[0]], o[2:2+int(o[1])]...)
	}
	return m
}

func TestDHCP(t *testing.T) {
	g := open(t, ",hostname=guest,domainname=example.org,bootfile=/pxe.0,tftp-server-name=boot,dnssearch=a.example,dnssearch=b.example")
	ask := func(typ uint8, hw mac, addr string) ([]byte, map[uint8][]byte) {
		g.sendUDP("0.0.0.0:68", "255.255.255.255:67", dhcpMessage(typ, hw, addr))
		src, b := g.nextUDP(68)
		require.Equal(t, "10.0.2.2:67", src.String())
		require.Len(t, b, bootpSize)
		require.Equal(t, "xid!", string(b[bootpXID:bootpXID+4]))
		return b[bootpYIAddr : bootpYIAddr+4], options(b)
	}
	addr, o := ask(dhcpDiscover, guestMAC, "")
	require.Equal(t, []byte{10, 0, 2, 15}, addr)
	require.Equal(t, map[uint8][]byte{optType: {dhcpOffer}, optServer: {10, 0, 2, 2}, optMask: {255, 255, 255, 0}, optRouter: {10, 0, 2, 2}, optDNS: {10, 0, 2, 3},
		optLease: {0, 1, 0x51, 0x80}, optHostname: []byte("guest"), optDomain: []byte("example.org"), optTFTPServer: []byte("boot"),
		optSearch: []byte("\x01a\x07example\x00\x01b\x07example\x00")}, o)
	addr, o = ask(dhcpRequest, guestMAC, "10.0.2.15")
	require.Equal(t, []byte{10, 0, 2, 15}, addr)
	require.Equal(t, []byte{dhcpAck}, o[optType])
	_, o = ask(dhcpRequest, mac{2}, "10.0.2.15") // taken
	require.Equal(t, []byte{dhcpNak}, o[optType])
	addr, _ = ask(dhcpDiscover, mac{2}, "10.0.2.20")
	require.Equal(t, []byte{10, 0, 2, 20}, addr)
	addr, o = ask(0, mac{4}, "") // BOOTP
	require.Equal(t, []byte{10, 0, 2, 16}, addr)
	require.Nil(t, o[optType])
	for i := range 20 {
		_, o = ask(dhcpDiscover, mac{6, byte(i)}, "")
	}
	require.Equal(t, []byte{dhcpNak}, o[optType], "all are taken")
	m, ok := g.u.neigh.lookup(netip.MustParseAddr("10.0.2.15"))
	require.True(t, ok && m == guestMAC)
}

func TestTFTP(t *testing.T) {
	dir := t.TempDir()
	want := bytes.Repeat([]byte("0123456789"), 300)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "f"), want, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "even"), want[:1024], 0o600))
	g := open(t, ",tftp="+dir)
	g.arpFrom("10.0.2.15", "10.0.2.2")
	send := func(s string) []byte {
		g.sendUDP("10.0.2.15:2000", "10.0.2.2:69", []byte(s))
		src, b := g.nextUDP(2000)
		require.Equal(t, "10.0.2.2:69", src.String())
		return b
	}
	fetch := func(name, opts string, block int) (got []byte) {
		b := send("\x00\x01" + name + "\x00octet\x00" + opts)
		if opts != "" {
			require.Equal(t, "\x00\x06tsize\x003000\x00blksize\x00"+fmt.Sprint(block)+"\x00", string(b))
			b = send("\x00\x04\x00\x00")
		}
		for n := uint16(1); ; n++ {
			require.Equal(t, be.AppendUint16([]byte{0, 3}, n), b[:4])
			got = append(got, b[4:]...)
			if len(b)-4 < block {
				return got
			}
			if n == 2 { // as if the block had been lost
				again := send("\x00\x04\x00\x01")
				require.Equal(t, b, again)
			}
			b = send("\x00\x04" + string(be.AppendUint16(nil, n)))
		}
	}
	require.Equal(t, want, fetch("f", "", defaultBlock))
	require.Equal(t, want, fetch("/f", "tsize\x000\x00blksize\x001000\x00", 1000))
	require.Equal(t, want, fetch("//f", "tsize\x000\x00blksize\x0065000\x00", maxBlock))
	require.Equal(t, want[:1024], fetch("even", "", defaultBlock))
	for req, text := range map[string]string{
		"\x00\x01f\x00netascii\x00":      "\x00\x05\x00\x04Unsupported transfer mode\x00",
		"\x00\x01../f\x00octet\x00":      "\x00\x05\x00\x02Access violation\x00",
		"\x00\x01a/../../f\x00octet\x00": "\x00\x05\x00\x02Access violation\x00",
		"\x00\x01none\x00octet\x00":      "\x00\x05\x00\x01File not found\x00",
		"\x00\x01.\x00octet\x00":         "\x00\x05\x00\x01File not found\x00",
	} {
		require.Equal(t, text, string(send(req)))
	}
}

// TestNoTFTP: without a folder a request is refused, so that firmware goes on at once.
func TestNoTFTP(t *testing.T) {
	g := open(t, "")
	g.arpFrom("10.0.2.15", "10.0.2.2")
	g.sendUDP("10.0.2.15:2000", "10.0.2.2:69", []byte("\x00\x01f\x00octet\x00"))
	_, b := g.nextUDP(2000)
	require.Equal(t, "\x00\x05\x00\x02Access violation\x00", string(b))
}

// udpEcho answers datagrams on the host with what they say.
func udpEcho(t testing.TB) int {
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	go func() {
		b := make([]byte, maxDatagram)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = c.WriteTo(b[:n], from)
		}
	}()
	return c.LocalAddr().(*net.UDPAddr).Port
}

func TestUDP(t *testing.T) {
	g := open(t, "")
	port := udpEcho(t)
	s := g.withStack()
	for _, n := range []int{1, 1472, 5000} { // the last one in fragments, both ways
		c, err := gonet.DialUDP(s, nil, &tcpip.FullAddress{NIC: 1, Addr: addressOf(g.u.host), Port: uint16(port)}, ipv4.ProtocolNumber)
		require.NoError(t, err)
		want := bytes.Repeat([]byte{byte(n)}, n)
		_, err = c.Write(want)
		require.NoError(t, err)
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		got := make([]byte, maxDatagram)
		n, err := c.Read(got)
		require.NoError(t, err)
		require.Equal(t, want, got[:n])
		_ = c.Close()
	}
}

// TestUDPFlows: the number of sockets is bounded.
func TestUDPFlows(t *testing.T) {
	g := open(t, "")
	g.arpFrom("10.0.2.15", "10.0.2.2")
	port := udpEcho(t)
	const atOnce = 50 // as many as surely wait at the other side: the host drops what is too much
	for i := range maxUDPFlows + atOnce {
		g.sendUDP(fmt.Sprintf("10.0.2.15:%d", 2000+i), fmt.Sprintf("10.0.2.2:%d", port), []byte("x"))
		if i%atOnce == 0 {
			g.nextUDP(uint16(2000 + i))
		}
	}
	g.u.mu.Lock()
	n := len(g.u.udp)
	g.u.mu.Unlock()
	require.LessOrEqual(t, n, maxUDPFlows)
	src, b := g.nextUDP(2000 + maxUDPFlows + atOnce - 1)
	require.Equal(t, fmt.Sprintf("10.0.2.2:%d", port), src.String())
	require.Equal(t, "x", string(b))
}

func TestHostForward(t *testing.T) {
	g := open(t, ",hostfwd=tcp:127.0.0.1:0-:7,hostfwd=udp:127.0.0.1:0-10.0.2.15:8")
	s := g.withStack()
	l, err := gonet.ListenTCP(s, full("10.0.2.15:7"), ipv4.ProtocolNumber)
	require.NoError(t, err)
	defer l.Close()
	from := make(chan string, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		from <- c.RemoteAddr().String()
		_, _ = io.Copy(c, c)
		_ = c.Close()
	}()
	tcpFwd, udpFwd := g.u.fwds[0], g.u.fwds[1]
	if tcpFwd.udp {
		tcpFwd, udpFwd = udpFwd, tcpFwd
	}
	c, err := net.Dial("tcp4", tcpFwd.bound().String())
	require.NoError(t, err)
	require.Contains(t, g.u.Info(), fmt.Sprintf("  TCP[HOST_FORWARD]  %3d       127.0.0.1 %5d       10.0.2.15     7     0     0\n", fdOf(tcpFwd.listener), tcpFwd.bound().Port()))
	exchange(t, c.(*net.TCPConn), 1<<20)
	require.Contains(t, <-from, "10.0.2.2:")

	uc, err := gonet.DialUDP(s, &tcpip.FullAddress{NIC: 1, Port: 8}, nil, ipv4.ProtocolNumber)
	require.NoError(t, err)
	defer uc.Close()
	go func() {
		b := make([]byte, 100)
		n, a, err := uc.ReadFrom(b)
		if err == nil {
			_, _ = uc.WriteTo(append([]byte("re: "), b[:n]...), a)
		}
	}()
	h, err := net.Dial("udp4", udpFwd.bound().String())
	require.NoError(t, err)
	defer h.Close()
	_, err = h.Write([]byte("hello"))
	require.NoError(t, err)
	_ = h.SetReadDeadline(time.Now().Add(10 * time.Second))
	b := make([]byte, 100)
	n, err := h.Read(b)
	require.NoError(t, err)
	require.Equal(t, "re: hello", string(b[:n]))

	rule := fmt.Sprintf("tcp:127.0.0.1:%d", tcpFwd.bound().Port())
	found, valid := g.u.RemoveHostForward(rule)
	require.True(t, found && valid)
	found, valid = g.u.RemoveHostForward(rule)
	require.True(t, !found && valid)
	_, valid = g.u.RemoveHostForward("x")
	require.False(t, valid)
	_, err = net.Dial("tcp4", tcpFwd.bound().String())
	require.Error(t, err)
}

// TestBeforeClient: a datagram for a guest that is not there yet only waits for its address.
func TestBeforeClient(t *testing.T) {
	c, err := parseConfig(&qapi.NetdevUserOptions{})
	require.NoError(t, err)
	u, err := newNetwork(c)
	require.NoError(t, err)
	defer u.Close()
	u.sendUDP(netip.AddrPortFrom(u.host, 1), netip.AddrPortFrom(u.dhcp, 2), []byte("x"))
	require.Len(t, u.neigh.asked[u.dhcp].frames, 1)
}

func TestGuestForward(t *testing.T) {
	g := open(t, ",restrict=on,guestfwd=tcp:10.0.2.100:80-cmd:cat")
	s := g.withStack()
	for range 2 {
		c, err := gonet.DialTCP(s, full("10.0.2.100:80"), ipv4.ProtocolNumber)
		require.NoError(t, err)
		_, err = c.Write([]byte("abc"))
		require.NoError(t, err)
		b := make([]byte, 3)
		_, err = io.ReadFull(c, b)
		require.NoError(t, err)
		require.Equal(t, "abc", string(b))
		_ = c.Close()
	}
	port := echoServer(t, "tcp4", "127.0.0.1:0")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := gonet.DialContextTCP(ctx, s, full(fmt.Sprintf("10.0.2.2:%d", port)), ipv4.ProtocolNumber)
	require.Error(t, err, "restricted")
}

// TestRefused: what the host refuses is refused in the guest.
func TestRefused(t *testing.T) {
	g := open(t, "")
	s := g.withStack()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	port := l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	_, err = gonet.DialTCP(s, full(fmt.Sprintf("10.0.2.2:%d", port)), ipv4.ProtocolNumber)
	require.ErrorContains(t, err, "refused")
}

func TestPing(t *testing.T) {
	g := open(t, "")
	g.arpFrom("10.0.2.15", "10.0.2.2")
	src, dst := netip.MustParseAddr("10.0.2.15"), netip.MustParseAddr("10.0.2.2")
	f, b := guestFrame(src, 64)
	b[0] = echoRequest
	copy(b[4:], "id, sequence and contents")
	be.PutUint16(b[2:], netdev.Fold(netdev.Sum(0, b)))
	g.u.putIP(f, src, dst, protoICMP)
	g.c.Send(f, nil)
	r := g.next(func(b []byte) bool { return b[23] == protoICMP && b[34] == echoReply })
	require.Equal(t, f[38:], r[38:])
	require.Equal(t, dst.AsSlice(), r[26:30])
}

// TestRouter checks the advertisement of an IPv6 router and the answer to a solicitation for its address.
func TestRouter(t *testing.T) {
	g := open(t, ",ipv6-net=2001:db8::/56")
	me := netip.MustParseAddr("fe80::5054:ff:fe12:3456")
	send := func(to netip.Addr, msg []byte) {
		f, b := guestFrame(me, len(msg))
		copy(b, msg)
		be.PutUint16(b[2:], netdev.Fold(netdev.Sum(pseudo(me, to, protoICMPv6, len(b)), b)))
		g.u.putIP(f, me, to, protoICMPv6)
		f[etherSize+7] = hopLimitLink
		g.c.Send(f, nil)
	}
	send(netip.MustParseAddr("ff02::2"), []byte{routerSolicit, 0, 0, 0, 0, 0, 0, 0})
	r := g.next(func(b []byte) bool { return b[54] == routerAdvertise })[54:]
	require.EqualValues(t, 0, netdev.Fold(netdev.Sum(pseudo(linkLocal, allNodes, protoICMPv6, len(r)), r)))
	require.Equal(t, []byte{3, 4, 56, 0xc0}, r[16:20])
	require.Equal(t, netip.MustParseAddr("2001:db8::").AsSlice(), r[32:48])
	require.Equal(t, []byte{1, 1, 0x52, 0x56, 0, 0, 0, 2}, r[48:56])
	require.Equal(t, netip.MustParseAddr("2001:db8::3").AsSlice(), r[64:80])

	target := netip.MustParseAddr("2001:db8::2")
	send(netip.MustParseAddr("ff02::1:ff00:2"), append(append([]byte{neighbourSolicit, 0, 0, 0, 0, 0, 0, 0}, target.AsSlice()...), 1, 1, 0x52, 0x54, 0, 0x12, 0x34, 0x56))
	r = g.next(func(b []byte) bool { return b[54] == neighbourAdvert })[54:]
	require.Equal(t, target.AsSlice(), r[8:24])
	require.Equal(t, []byte{2, 1, 0x52, 0x56, 0, 0, 0, 2}, r[24:32])
}

// TestDNS: the name server's address leads to the host's.
func TestDNS(t *testing.T) {
	g := open(t, "")
	want, ok := resolver(false)
	got, gotOK := g.u.translate(g.u.dns)
	require.Equal(t, ok, gotOK)
	require.Equal(t, want, got)
	file := filepath.Join(t.TempDir(), "resolv.conf")
	require.NoError(t, os.WriteFile(file, []byte("# x\nsearch a\nnameserver 192.0.2.1\nnameserver ::1\nnameserver bad\n"), 0o600))
	require.Equal(t, []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.IPv6Loopback()}, readServers(file))
}

func TestOptions(t *testing.T) {
	for opts, want := range map[string]string{
		"net=10.0.2.0/33":                       "Invalid netmask provided (must be in range 4-32)",
		"net=10.0.2.0/x":                        "Failed to parse netmask (trailing chars)",
		"net=x":                                 "Failed to parse netmask",
		"host=10.0.3.2":                         "Host doesn't belong to network",
		"dns=10.0.2.2":                          "DNS must be different from host",
		"dhcpstart=10.0.2.3":                    "DHCP must be different from host and DNS",
		"dhcpstart=1.2.3.4":                     "DHCP doesn't belong to network",
		"ipv4=off,ipv6=off":                     "IPv4 and IPv6 disabled",
		"ipv4=off,net=10.0.2.0/24":              "IPv4 disabled but netmask/host/dns provided",
		"ipv6=off,ipv6-prefix=fec0::":           "IPv6 disabled but prefix/host6/dns6 provided",
		"ipv6-prefixlen=127":                    "Invalid IPv6 prefix provided (IPv6 prefix length must be between 0 and 126)",
		"ipv6-host=fec1::1":                     "IPv6 Host doesn't belong to network",
		"hostfwd=x":                             "Invalid host forwarding rule 'x' (No : separators)",
		"hostfwd=sctp::1-:1":                    "Invalid host forwarding rule 'sctp::1-:1' (Bad protocol name)",
		"hostfwd=tcp::99999-:1":                 "Invalid host forwarding rule 'tcp::99999-:1' (Bad host port)",
		"hostfwd=tcp::1-:0":                     "Invalid host forwarding rule 'tcp::1-:0' (Bad guest port)",
		"hostfwd=tcp:1.2.3.4:1-:1":              "Could not set up host forwarding rule 'tcp:1.2.3.4:1-:1'",
		"guestfwd=tcp:10.0.2.2:1-cmd:x":         "Conflicting/invalid host:port in guest forwarding rule 'tcp:10.0.2.2:1-cmd:x'",
		"guestfwd=udp:10.0.2.9:1-cmd:x":         "Invalid guest forwarding rule 'udp:10.0.2.9:1-cmd:x'",
		"net=192.168.76.0/24,host=192.168.76.9": "",
		"net=172.20.0.0":                        "",
	} {
		s := netdev.NewSet()
		s.Kinds["user"] = Open
		n, err := netdev.FromOpts(netdev.SplitOpts("user,id=n," + opts))
		require.NoError(t, err)
		err = s.Open(n)
		if want == "" {
			require.NoError(t, err, opts)
		} else {
			require.EqualError(t, err, want, opts)
			require.Empty(t, s.Clients())
		}
		s.Close()
	}
}

// TestState takes over what QEMU's network saves, and saves the same.
func TestState(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "qmp")
	q := qtest.Start(t, "-M", "pc", "-m", "16", "-nodefaults", "-qmp", "unix:"+socket+",server=on,wait=off", "-netdev", "user,id=n")
	q.In(0x61, 1) // once it answers, its monitor is there
	want := virtiotest.MigrateQEMU(t, socket, "slirp")
	g := open(t, "")
	r := vmstate.NewReader(want)
	require.NoError(t, g.u.State().Load(r, stateVersion))
	require.Zero(t, r.Len())
	var w vmstate.Writer
	g.u.State().Save(&w)
	require.Equal(t, want, w.Bytes())
	g.sendUDP("0.0.0.0:68", "255.255.255.255:67", dhcpMessage(dhcpRequest, guestMAC, "10.0.2.16"))
	g.nextUDP(68)
	other := open(t, "")
	vmstatetest.RoundTrip(t, stateVersion, g.u.State(), other.u.State())
	require.Equal(t, g.u.dhcpd.macs, other.u.dhcpd.macs)
	require.Error(t, other.u.State().Load(vmstate.NewReader([]byte{42}), stateVersion))
}

// FuzzFrames gives the network frames of a hostile guest, each behind its be16 length.
func FuzzFrames(f *testing.F) {
	dhcp := dhcpMessage(dhcpRequest, guestMAC, "10.0.2.15")
	frame, d := guestFrame(netip.MustParseAddr("10.0.2.15"), udpSize+len(dhcp))
	be.PutUint16(d, dhcpClient)
	be.PutUint16(d[2:], dhcpServer)
	be.PutUint16(d[4:], uint16(len(d)))
	copy(d[udpSize:], dhcp)
	new(Network).putIP(frame, netip.MustParseAddr("10.0.2.15"), netip.MustParseAddr("10.0.2.2"), protoUDP)
	f.Add(append(be.AppendUint16(nil, uint16(len(frame))), frame...))
	f.Add([]byte("\x00\x0e\x01\x02\x03\x04\x05\x06\x01\x02\x03\x04\x05\x06\x08\x06"))
	f.Fuzz(func(t *testing.T, b []byte) {
		g := open(t, ",restrict=on")
		for len(b) > 2 {
			n := min(int(be.Uint16(b)), len(b)-2)
			g.c.Send(b[2:2+n], &netdev.Offload{Flags: netdev.NeedsCsum})
			b = b[2+n:]
		}
		g.set.Close()
	})
}

// FuzzServices gives DHCP, DHCPv6 and TFTP messages of a hostile guest.
func FuzzServices(f *testing.F) {
	f.Add(uint8(0), dhcpMessage(dhcpDiscover, guestMAC, "10.0.2.15"))
	f.Add(uint8(1), []byte("\x0b\x01\x02\x03\x00\x06\x00\x02\x00\x17"))
	f.Add(uint8(2), []byte("\x00\x01f\x00octet\x00blksize\x001000\x00"))
	dir := f.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f"), make([]byte, 3000), 0o600); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		g := open(t, ",hostname=h,bootfile=/f,tftp="+dir)
		g.arpFrom("10.0.2.15", "10.0.2.2")
		switch which % 3 {
		case 0:
			g.u.dhcp4(guestMAC, b)
		case 1:
			g.u.dhcp6(netip.MustParseAddrPort("[fe80::1]:546"), b)
		case 2:
			r := request{client: netip.MustParseAddrPort("10.0.2.15:1"), server: netip.MustParseAddrPort("10.0.2.2:69"), b: b}
			g.u.tftpd.serve(r)
			r.b = []byte{0, tftpAck, 0, 1}
			g.u.tftpd.serve(r)
			g.u.tftpd.closeAll()
		}
		g.set.Close()
	})
}
