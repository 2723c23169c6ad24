package net

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"goemu/hw/qdev"
	"goemu/hw/virtio"
	"goemu/hw/virtio/virtiotest"
	"goemu/internal/mainloop"
	"goemu/internal/netdev"
	"goemu/qapi"
)

const (
	devfn   = 5 << 3
	rxRing  = 0x10000
	txRing  = 0x20000
	ctlRing = 0x30000
	rxData  = 0x100000 // rxStep bytes for each receive buffer
	txData  = 0x200000
	rxStep  = 0x800
	bufs    = 64
)

const eventIdx, mergeable = 1 << ring29, 1 << featMergeable

// ring29 is the number of the feature "event index".
const ring29 = virtio.FeatureEventIdx

// guest is a driver of a virtio-net-pci in a machine of its own.
type guest struct {
	*virtiotest.Function
	t          testing.TB
	rx, tx, cv *virtiotest.Driver
	hdr        int
	at         map[uint16]uint64 // where the buffers of the receive queue are
	size       uint32            // of each of them
	free       []uint64
	ctrl       int // the index of the control queue
}

// newModel makes a machine with a virtio-net-pci in slot 5.
func newModel(t testing.TB, set *netdev.Set, props ...string) (*virtiotest.Machine, *Model) {
	t.Helper()
	m := virtiotest.NewMachine(t, Classes())
	qdev.Link(&m.Tree.Links, set.Peer)
	d, err := m.Add("virtio-net-pci", append([]string{"addr", "5", "romfile", ""}, props...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m, d.(interface{ VirtioDevice() *Model }).VirtioDevice()
}

// newGuest brings a device up; size is the length of its receive buffers.
func newGuest(t testing.TB, set *netdev.Set, features uint64, size uint32, props ...string) *guest {
	t.Helper()
	m, _ := newModel(t, set, props...)
	g := &guest{Function: m.Map(devfn), t: t, at: map[uint16]uint64{}, size: size}
	g.start(features)
	return g
}

func (g *guest) start(features uint64) {
	g.EnableMSIX(4)
	got := g.Negotiate(features | 1<<virtio.FeatureVersion1)
	g.ctrl = 2
	g.hdr = hdrLong
	if got>>featHashReport&1 != 0 {
		g.hdr = hdrHashed
	}
	ev := got>>ring29&1 != 0
	g.rx = virtiotest.NewDriver(g.Mem, rxRing, bufs, ev)
	g.tx = virtiotest.NewDriver(g.Mem, txRing, bufs, ev)
	g.cv = virtiotest.NewDriver(g.Mem, ctlRing, bufs, ev)
	g.SetupQueue(0, g.rx, 0)
	g.SetupQueue(1, g.tx, 1)
	if got>>featCtrlVQ&1 != 0 {
		g.SetupQueue(2, g.cv, 2)
	}
	g.SetCom(virtiotest.ComStatus, 1, virtiotest.StatusReady)
	g.free = nil
	for i := range uint64(bufs) {
		g.free = append(g.free, rxData+i*rxStep)
	}
}

// refill gives the device n receive buffers.
func (g *guest) refill(n int) {
	for range n {
		at := g.free[0]
		g.free = g.free[1:]
		g.at[g.rx.Add(virtiotest.Buf{Addr: at, Len: g.size, Write: true})] = at
	}
	g.Kick(0)
}

// send gives the device a frame, in parts if cut is not zero.
func (g *guest) send(frame []byte, hdr [hdrLong]byte, cut int) {
	at := txData + uint64(g.tx.AvailIdx%bufs)*0x4000
	g.Mem.Write(at, append(hdr[:], frame...))
	n := uint32(hdrLong + len(frame))
	if cut == 0 || cut >= int(n) {
		g.tx.Add(virtiotest.Buf{Addr: at, Len: n})
	} else {
		g.tx.Add(virtiotest.Buf{Addr: at, Len: uint32(cut)}, virtiotest.Buf{Addr: at + uint64(cut), Len: n - uint32(cut)})
	}
	g.Kick(1)
}

// next waits for a frame; its header comes first.
func (g *guest) next() (hdr, frame []byte) {
	g.t.Helper()
	var all []byte
	left := 1
	g.wait(g.rx, func(head uint16, n uint32) bool {
		b := make([]byte, n)
		g.Mem.Read(g.at[head], b)
		g.free = append(g.free, g.at[head])
		if all == nil {
			if len(b) < g.hdr {
				g.t.Fatalf("%d bytes", len(b))
			}
			left = int(le.Uint16(b[hdrBuffers:]))
		}
		all = append(all, b...)
		left--
		return left <= 0
	})
	return all[:g.hdr], all[g.hdr:]
}

// wait takes used chains until done says so.
func (g *guest) wait(q *virtiotest.Driver, done func(head uint16, n uint32) bool) {
	g.t.Helper()
	for end := time.Now().Add(10 * time.Second); ; {
		if head, n, ok := q.Next(); ok {
			if done(head, n) {
				return
			}
			continue
		}
		mainloop.Main.RunPending()
		select {
		case <-g.Interrupts():
		case <-time.After(time.Millisecond):
		}
		if time.Now().After(end) {
			g.t.Fatal("nothing comes")
		}
	}
}

// sent waits until n frames were given back.
func (g *guest) sent(n int) {
	g.t.Helper()
	if n > 0 {
		g.wait(g.tx, func(uint16, uint32) bool { n--; return n == 0 })
	}
}

// command carries out a command of the control queue.
func (g *guest) command(class, cmd uint8, arg ...byte) uint8 {
	g.t.Helper()
	const at, answer = 0x80000, 0x88000
	g.Mem.Write(at, append([]byte{class, cmd}, arg...))
	g.Mem.Store(answer, 1, 0xff)
	g.cv.Add(virtiotest.Buf{Addr: at, Len: uint32(2 + len(arg))}, virtiotest.Buf{Addr: answer, Len: 1, Write: true})
	if g.Mirror != nil {
		return g.commandQEMU(at, 2+len(arg), answer)
	}
	g.Kick(g.ctrl)
	g.wait(g.cv, func(uint16, uint32) bool { return true })
	v, _ := g.Mem.Load(answer, 1)
	return uint8(v)
}

// commandQEMU has QEMU's device carry out the command of n bytes at at, the only one since the queue was set up.
func (g *guest) commandQEMU(at uint64, n int, answer uint64) uint8 {
	g.t.Helper()
	for start, n := range map[uint64]int{at: n, answer: 1, g.cv.Cfg.Desc: 16 * bufs, g.cv.Cfg.Avail: 6 + 2*bufs, g.cv.Cfg.Used: 6 + 8*bufs} {
		b := make([]byte, n)
		g.Mem.Read(start, b)
		g.Mirror.Write(start, b)
	}
	g.Kick(g.ctrl)
	require.Eventually(g.t, func() bool { return g.Mirror.Load(g.cv.Cfg.Used+2, 2) == 1 }, 10*time.Second, time.Millisecond)
	return uint8(g.Mirror.Load(answer, 1))
}

// newHub makes a set with back ends a and b at one hub.
func newHub(t testing.TB) *netdev.Set {
	s := netdev.NewSet()
	netdev.Main = s
	for _, id := range []string{"a", "b"} {
		require.NoError(t, netdev.OpenHubPort(s, &qapi.Netdev{Id: id, Type: "hubport", Hubport: &qapi.NetdevHubPortOptions{Hubid: 0}}, nil))
	}
	return s
}

// frameOf is a frame to everybody with n bytes, of which i decides the contents.
func frameOf(i, n int) []byte {
	b := bytes.Repeat([]byte{0xff}, n)
	for k := 6; k < n; k++ {
		b[k] = byte(i*31 + k)
	}
	b[12], b[13] = 0x88, 0xb5
	return b
}

// TestExchange sends frames both ways between two guests at a hub.
func TestExchange(t *testing.T) {
	for _, c := range []struct {
		name     string
		features uint64
		size     uint32
		cut      int
	}{
		{"plain", 0, 1600, 0},
		{"plain in parts", 0, 1600, hdrLong},
		{"event index", eventIdx, 1600, 5},
		{"mergeable", mergeable, 256, 40},
		{"mergeable with event index", mergeable | eventIdx, 256, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			set := newHub(t)
			a, b := newGuest(t, set, c.features, c.size, "netdev", "a"), newGuest(t, set, c.features, c.size, "netdev", "b")
			a.refill(bufs)
			b.refill(bufs)
			for i, n := range []int{60, 1514, 14, 256 - hdrLong, 257 - hdrLong, 1000, 700} {
				for _, way := range [][2]*guest{{a, b}, {b, a}} {
					want := frameOf(i, n)
					way[0].send(want, [hdrLong]byte{}, c.cut)
					hdr, got := way[1].next()
					if !bytes.Equal(got, want) {
						t.Errorf("%d bytes: got %d other ones", n, len(got))
					}
					count := byte(1)
					if c.features&mergeable != 0 {
						count = byte((n + hdrLong + int(c.size) - 1) / int(c.size))
					}
					if !bytes.Equal(hdr, append(make([]byte, hdrBuffers), count, 0)) {
						t.Errorf("header % x", hdr)
					}
					way[1].refill(len(way[1].free))
					way[0].sent(1)
				}
			}
		})
	}
}

// TestReceiverStalls sends more than the receiver has buffers for; all arrives in order once it has.
func TestReceiverStalls(t *testing.T) {
	for _, f := range []uint64{0, eventIdx, mergeable, mergeable | eventIdx} {
		t.Run(fmt.Sprintf("%#x", f), func(t *testing.T) {
			set := newHub(t)
			size := uint32(1600)
			if f&mergeable != 0 {
				size = 256 // four for each frame
			}
			a, b := newGuest(t, set, f, 1600, "netdev", "a"), newGuest(t, set, f, size, "netdev", "b")
			const frames, n = 40, 1000
			b.refill(5)
			for i := range frames {
				a.send(frameOf(i, n), [hdrLong]byte{}, 0)
			}
			a.sent(frames) // the hub has them
			for i := range frames {
				for b.rx.Pending < 4 {
					b.refill(1 + i%3)
				}
				if _, got := b.next(); !bytes.Equal(got, frameOf(i, n)) {
					t.Fatalf("frame %d: %d other bytes", i, len(got))
				}
			}
		})
	}
}

// TestTooSmall: a frame for which the driver's buffer is too small is lost, and the buffer stays.
func TestTooSmall(t *testing.T) {
	set := newHub(t)
	a, b := newGuest(t, set, 0, 1600, "netdev", "a"), newGuest(t, set, 0, 100, "netdev", "b")
	b.refill(4)
	a.send(frameOf(1, 200), [hdrLong]byte{}, 0)
	a.send(frameOf(2, 60), [hdrLong]byte{}, 0)
	a.sent(2)
	if _, got := b.next(); !bytes.Equal(got, frameOf(2, 60)) {
		t.Errorf("%d bytes", len(got))
	}
	if b.rx.Pending != 3 {
		t.Errorf("%d buffers left", b.rx.Pending)
	}
}

// wire is a back end that keeps what it gets and can take frames with work left.
type wire struct {
	mu     sync.Mutex
	frames [][]byte          // guarded by mu
	works  []*netdev.Offload // guarded by mu
	full   bool              // guarded by mu
	guest  netdev.GuestOffloads
	resume chan struct{}
	c      *netdev.Client
}

// Receive implements netdev.Port.
func (w *wire) Receive(data []byte, off *netdev.Offload) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.full {
		return false
	}
	w.frames, w.works = append(w.frames, bytes.Clone(data)), append(w.works, off)
	return true
}

// Resume implements netdev.Port.
func (w *wire) Resume() {
	select {
	case w.resume <- struct{}{}:
	default:
	}
}

// LinkChanged implements netdev.Port.
func (w *wire) LinkChanged() {}

// Close implements netdev.Port.
func (w *wire) Close() {}

// SetOffloads implements netdev.OffloadPort.
func (w *wire) SetOffloads(o netdev.GuestOffloads) { w.guest = o }

// count is how many frames came.
func (w *wire) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.frames)
}

func newWire(offloads bool) (*netdev.Set, *wire) {
	s := netdev.NewSet()
	netdev.Main = s
	w := &wire{resume: make(chan struct{}, 1)}
	w.c = s.Add(&netdev.Client{Name: "w", Kind: "wire", Model: "wire", Offloads: offloads, VnetHdr: offloads, UFO: offloads}, w, nil)
	return s, w
}

// tcpFrame is a TCP segment over IPv4 whose checksum is left to do.
func tcpFrame(payload int) []byte {
	b := frameOf(3, 54+payload)
	b[12], b[13] = 8, 0
	ip, tcp := b[14:], b[34:]
	clear(b[14:54])
	ip[0], ip[8], ip[9] = 0x45, 64, 6
	binary.BigEndian.PutUint16(ip[2:], uint16(40+payload))
	copy(ip[12:], []byte{10, 0, 2, 15, 10, 0, 2, 2})
	binary.BigEndian.PutUint16(ip[10:], netdev.Fold(netdev.Sum(0, ip[:20])))
	binary.BigEndian.PutUint32(tcp[4:], 1000)
	tcp[12], tcp[13] = 0x50, 0x18
	pseudo := netdev.Sum(netdev.Sum(0, ip[12:20]), []byte{0, 6, byte((20 + payload) >> 8), byte(20 + payload)})
	binary.BigEndian.PutUint16(tcp[16:], uint16(pseudo)) // of the pseudo header, not inverted
	return b
}

// TestOffloads: work that the guest leaves reaches a back end that takes it, and the other way round.
func TestOffloads(t *testing.T) {
	s, w := newWire(true)
	g := newGuest(t, s, ^uint64(0)&^(1<<33|1<<34|1<<40), rxStep, "netdev", "w")
	require.Equal(t, netdev.GuestOffloads{Csum: true, TSO4: true, TSO6: true, ECN: true, UFO: true}, w.guest)
	g.refill(bufs)
	want := netdev.Offload{Flags: netdev.NeedsCsum, GSOType: netdev.GSOTCPv4, HdrLen: 54, GSOSize: 1460, CsumStart: 34, CsumOffset: 16}
	var hdr [hdrLong]byte
	hdr[0], hdr[hdrGSOType] = want.Flags, want.GSOType
	le.PutUint16(hdr[hdrHdrLen:], want.HdrLen)
	le.PutUint16(hdr[hdrGSOSize:], want.GSOSize)
	le.PutUint16(hdr[hdrCsumStart:], want.CsumStart)
	le.PutUint16(hdr[hdrCsumOffset:], want.CsumOffset)
	big := tcpFrame(9000)
	g.send(big, hdr, 0)
	g.sent(1)
	require.Equal(t, 1, w.count())
	require.Equal(t, big, w.frames[0])
	require.Equal(t, want, *w.works[0])

	require.True(t, w.c.Send(big, &want))
	h, got := g.next()
	require.Equal(t, big, got)
	require.Equal(t, hdr[:hdrBuffers], h[:hdrBuffers])
	require.Equal(t, uint16((len(big)+hdrLong+rxStep-1)/rxStep), le.Uint16(h[hdrBuffers:]))

	// The guest takes less: the back end is told.
	require.EqualValues(t, ctrlOK, g.command(ctrlOffloads, offloadsSet, 1<<featGuestCsum, 0, 0, 0, 0, 0, 0, 0))
	require.Equal(t, netdev.GuestOffloads{Csum: true}, w.guest)
}

// TestSegments: a back end that takes no work gets finished segments.
func TestSegments(t *testing.T) {
	s, w := newWire(false)
	g := newGuest(t, s, ^uint64(0)&^(1<<33|1<<34|1<<40), rxStep, "netdev", "w")
	g.SetCom(0, 4, 0)
	if f := g.Com(4, 4); f&(1<<featCsum|1<<featHostTSO4|1<<featGuestCsum) != 0 {
		t.Errorf("offers %#x", f)
	}
	big := tcpFrame(3000)
	netdev.Finish(big, &netdev.Offload{Flags: netdev.NeedsCsum, GSOType: netdev.GSOTCPv4, HdrLen: 54, GSOSize: 1460, CsumStart: 34, CsumOffset: 16}, func(b []byte) { w.Receive(b, nil) })
	require.Equal(t, 3, w.count())
	at := 0
	for i, b := range w.frames {
		h, ok := netdev.Parse(b)
		require.True(t, ok)
		n := len(b) - h.Payload
		require.Equal(t, big[54+at:54+at+n], b[54:])
		require.EqualValues(t, 1000+at, binary.BigEndian.Uint32(b[38:]))
		at += n
		pseudo := netdev.Sum(netdev.Sum(0, b[26:34]), []byte{0, 6, byte((n + 20) >> 8), byte(n + 20)})
		require.Zero(t, netdev.Fold(netdev.Sum(pseudo, b[34:])), "segment %d", i)
		require.Zero(t, netdev.Fold(netdev.Sum(0, b[14:34])))
	}
	require.Equal(t, 3000, at)
}

// TestBackEndStalls: frames wait in the queue while the back end has no room, and go in order once it has.
func TestBackEndStalls(t *testing.T) {
	s, w := newWire(false)
	g := newGuest(t, s, eventIdx, 1600, "netdev", "w")
	w.mu.Lock()
	w.full = true
	w.mu.Unlock()
	for i := range 10 {
		g.send(frameOf(i, 100), [hdrLong]byte{}, 0)
	}
	w.mu.Lock()
	w.full = false
	w.mu.Unlock()
	w.c.Ready()
	g.sent(10)
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range 10 {
		require.Equal(t, frameOf(i, 100), w.frames[i])
	}
}

// TestFilter checks which frames the guest is given.
func TestFilter(t *testing.T) {
	s, w := newWire(false)
	g := newGuest(t, s, 1<<featCtrlVQ|1<<featCtrlRX|1<<featCtrlRXExtra|1<<featCtrlVLAN|1<<featCtrlMAC|1<<featMAC, 1600, "netdev", "w", "mac", "52:54:00:00:00:01")
	g.refill(bufs)
	mine, other, group := []byte{0x52, 0x54, 0, 0, 0, 1}, []byte{0x52, 0x54, 0, 0, 0, 2}, []byte{1, 0, 0x5e, 0, 0, 1}
	all := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	frame := func(dst []byte, vlan int) []byte {
		f := append(bytes.Clone(dst), make([]byte, 60)...)
		if vlan > 0 {
			f[12], f[13], f[14], f[15] = 0x81, 0, byte(vlan>>8), byte(vlan)
		}
		return f
	}
	end := frame(mine, 0)
	end[20] = 0xee // shows that all before it were dealt with
	for _, c := range []struct {
		name   string
		set    func()
		dst    []byte
		vlan   int
		passes bool
	}{
		{"promiscuous", func() {}, other, 0, true},
		{"own", func() { g.command(ctrlRX, rxPromisc, 0) }, mine, 0, true},
		{"foreign", func() {}, other, 0, false},
		{"broadcast", func() {}, all, 0, true},
		{"group", func() {}, group, 0, false},
		{"known group", func() {
			g.command(ctrlMAC, macTableSet, append([]byte{1, 0, 0, 0, 0x52, 0x54, 0, 0, 0, 2, 1, 0, 0, 0}, group...)...)
		}, group, 0, true},
		{"known single", func() {}, other, 0, true},
		{"no broadcast", func() { g.command(ctrlRX, rxNoBcast, 1) }, all, 0, false},
		{"no group", func() { g.command(ctrlRX, rxNoMulti, 1) }, group, 0, false},
		{"unknown VLAN", func() {}, mine, 7, false},
		{"known VLAN", func() { g.command(ctrlVLAN, vlanAdd, 7, 0) }, mine, 7, true},
		{"removed VLAN", func() { g.command(ctrlVLAN, vlanDel, 7, 0) }, mine, 7, false},
		{"other address", func() { g.command(ctrlMAC, macAddrSet, 0x52, 0x54, 0, 0, 0, 9) }, []byte{0x52, 0x54, 0, 0, 0, 9}, 0, true},
	} {
		c.set()
		want := frame(c.dst, c.vlan)
		require.True(t, w.c.Send(want, nil), c.name)
		if c.name == "other address" {
			end[5] = 9
		}
		require.True(t, w.c.Send(end, nil))
		_, got := g.next()
		if c.passes {
			require.Equal(t, want, got, c.name)
			_, got = g.next()
		}
		require.Equal(t, end, got, c.name)
		g.refill(len(g.free))
	}
	for name, st := range map[string]uint8{"short": g.command(ctrlRX, rxPromisc), "class": g.command(9, 0, 1), "table": g.command(ctrlMAC, macTableSet, 5, 0, 0, 0), "vlan": g.command(ctrlVLAN, vlanAdd, 0, 0x10)} {
		require.EqualValues(t, ctrlErr, st, name)
	}
}

// TestBadChains: what a driver must not do breaks the device until the next reset, and nothing else.
func TestBadChains(t *testing.T) {
	for name, f := range map[string]func(g *guest){
		"no header":           func(g *guest) { g.tx.Add(virtiotest.Buf{Addr: txData, Len: 4}); g.Kick(1) },
		"nothing out":         func(g *guest) { g.tx.Add(virtiotest.Buf{Addr: txData, Len: 64, Write: true}); g.Kick(1) },
		"command with no end": func(g *guest) { g.cv.Add(virtiotest.Buf{Addr: txData, Len: 64}); g.Kick(2) },
	} {
		t.Run(name, func(t *testing.T) {
			set := newHub(t)
			g := newGuest(t, set, 1<<featCtrlVQ, 1600, "netdev", "a")
			f(g)
			require.Eventually(t, func() bool { mainloop.Main.RunPending(); return g.Com(virtiotest.ComStatus, 1)&0x40 != 0 }, 10*time.Second, time.Millisecond)
			g.start(1 << featCtrlVQ)
			g.send(frameOf(0, 60), [hdrLong]byte{}, 0)
			g.sent(1)
		})
	}
}

// TestUnplug takes the device away while frames arrive and wait.
func TestUnplug(t *testing.T) {
	s, w := newWire(false)
	g := newGuest(t, s, eventIdx, 1600, "netdev", "w")
	g.refill(8)
	var wg sync.WaitGroup
	quit := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-quit:
				return
			default:
				w.c.Send(frameOf(1, 500), nil)
			}
		}
	})
	for range 8 {
		g.next()
	}
	g.Close()
	close(quit)
	wg.Wait()
	require.Nil(t, w.c.Peer())
	require.Len(t, s.Clients(), 1)
}

func TestOptionErrors(t *testing.T) {
	set := newHub(t)
	m := virtiotest.NewMachine(t, Classes())
	defer m.Close()
	qdev.Link(&m.Tree.Links, set.Peer)
	for _, c := range []struct{ props, want string }{
		{"netdev=x", "Property 'virtio-net-device.netdev' can't find value 'x'"},
		{"netdev=a,duplex=both", "'duplex' must be 'half' or 'full'"},
		{"netdev=a,speed=-2", "'speed' must be between 0 and INT_MAX"},
		{"netdev=a,rx_queue_size=100", "Invalid rx_queue_size (= 100), must be a power of 2 between 256 and 1024."},
		{"netdev=a,tx_queue_size=2048", "Invalid tx_queue_size (= 2048), must be a power of 2 between 256 and 1024"},
		{"netdev=a", ""},
		{"netdev=a", "Property 'virtio-net-device.netdev' can't take value 'a', it's in use"},
	} {
		pairs := []string{"romfile", ""}
		for _, p := range strings.Split(c.props, ",") {
			k, v, _ := strings.Cut(p, "=")
			pairs = append(pairs, k, v)
		}
		_, err := m.Add("virtio-net-pci", pairs...)
		if got := fmt.Sprint(err); got != c.want && !(err == nil && c.want == "") {
			t.Errorf("%s: %s\nwant %s", c.props, got, c.want)
		}
	}
}

// FuzzDevice lets a fuzzer write registers, rings and notifications while frames arrive.
func FuzzDevice(f *testing.F) {
	f.Add([]byte("\x14\x01\x0f\x00\x00\x30\x02\x00\x01\x00\x20\x04\x00\x00\x00\x01"))
	f.Add([]byte("\x00\x00\x04\x04\x00\x00\x00\x00\x08\x00\x02\x02\x40\x00\x00\x00"))
	f.Add([]byte("\x00\x00\x03\x05\x04\x01\xff\x01\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, script []byte) {
		s, w := newWire(len(script)%2 == 0)
		hash := "off"
		if len(script)%3 == 0 {
			hash = "on"
		}
		g := newGuest(t, s, ^uint64(0)&^(1<<33|1<<34|1<<40), rxStep, "netdev", "w", "rss", "on", "hash", hash)
		defer g.Mem.View().Find(0).RAM.Free()
		g.refill(bufs / 2)
		for len(script) >= 8 {
			at, size, v := uint64(le.Uint16(script)), 1<<(script[2]&3), uint64(le.Uint32(script[4:]))
			switch script[3] & 7 {
			case 0:
				g.Mem.Store(g.Modern+at&0x3fff, size, v)
			case 1:
				g.IO.Store(g.Legacy+at&0x7f, min(size, 4), v)
			case 2:
				g.Mem.Store(rxRing+at&0x3fff, size, v)
			case 3:
				g.Mem.Store(txRing+at&0x3fff, size, v)
				g.Kick(1)
			case 4:
				w.c.Send(frameOf(int(v), int(at)+14)[:int(at)+1], nil)
			case 5:
				g.Mem.Store(txData+at, size, v)
				g.Mem.Store(ctlRing+at&0x3fff, size, v)
				g.Kick(2)
				mainloop.Main.RunPending()
			case 6:
				g.SetConfig(devfn, uint32(at)&0xfc, 4, uint32(v))
				g.Mem.Load(g.Modern+uint64(v)&0x3fff, size)
			case 7:
				w.c.Ready()
			}
			script = script[8:]
		}
		g.Close()
	})
}

// TestHiddenVnetHdr: what QEMU's back end of the kind cannot do the guest is offered only if the set says so.
func TestHiddenVnetHdr(t *testing.T) {
	for _, show := range []bool{false, true} {
		s, w := newWire(false)
		w.c.Offloads, w.c.HiddenVnetHdr, s.ShowVnetHdr = true, true, show
		_, m := newModel(t, s, "netdev", "w")
		f := m.Features(0)
		if got := f&offloadFeatures == offloadFeatures; got != show || f&udpOffloads != 0 || !show && f&offloadFeatures != 0 {
			t.Errorf("shown %v: features %#x", show, f)
		}
	}
}
