package tap

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"goemu/internal/netdev"
)

// nic keeps what it gets.
type nic struct {
	mu     sync.Mutex
	frames [][]byte // guarded by mu
}

// Receive implements netdev.Port.
func (n *nic) Receive(data []byte, _ *netdev.Offload) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.frames = append(n.frames, bytes.Clone(data))
	return true
}

// Resume implements netdev.Port.
func (n *nic) Resume() {}

// LinkChanged implements netdev.Port.
func (n *nic) LinkChanged() {}

// Close implements netdev.Port.
func (n *nic) Close() {}

func (n *nic) has(f func([]byte) bool) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, b := range n.frames {
		if f(b) {
			return true
		}
	}
	return false
}

func open(t *testing.T, options string) (*netdev.Set, error) {
	s := netdev.NewSet()
	s.Kinds = map[string]netdev.Opener{"tap": Open, "bridge": OpenBridge}
	t.Cleanup(s.Close)
	n, err := netdev.FromOpts(netdev.SplitOpts(options))
	require.NoError(t, err)
	return s, s.Open(n)
}

// TestExchange pings the host's side of an interface, and sees what the host sends to it.
func TestExchange(t *testing.T) {
	dir := t.TempDir()
	up, down := filepath.Join(dir, "up"), filepath.Join(dir, "down")
	for _, f := range []string{up, down} {
		require.NoError(t, os.WriteFile(f, []byte("#!/bin/sh\nif [ $0 = "+up+" ]; then ip addr add 10.77.66.1/24 dev $1 && ip link set $1 up; fi\necho $1 > "+f+".ran\n"), 0o755))
	}
	s, err := open(t, "tap,id=t,ifname=goemutest%d,script="+up+",downscript="+down)
	if err != nil {
		t.Skipf("ORACLE MISSING: tap interfaces: %v", err)
	}
	c, _ := s.Find("t")
	guest := new(nic)
	g := s.Add(&netdev.Client{Name: "g", Kind: "nic", Model: "nic"}, guest, c)
	name, err := os.ReadFile(up + ".ran")
	require.NoError(t, err)
	require.Equal(t, "ifname="+string(bytes.TrimSpace(name))+",script="+up+",downscript="+down, c.Info())
	// The host asks for the guest's address; the guest asks for the host's.
	u, err := net.Dial("udp4", "10.77.66.2:9")
	require.NoError(t, err)
	defer u.Close()
	_, _ = u.Write([]byte("x"))
	arp := append(bytes.Repeat([]byte{0xff}, 6), 0x52, 0x54, 0, 1, 2, 3, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 0x52, 0x54, 0, 1, 2, 3, 10, 77, 66, 2, 0, 0, 0, 0, 0, 0, 10, 77, 66, 1)
	require.True(t, g.Send(arp, nil))
	isReply := func(b []byte) bool { return len(b) >= 42 && b[12] == 8 && b[13] == 6 && b[21] == 2 && b[31] == 1 }
	isDatagram := func(b []byte) bool { return len(b) >= 43 && b[12] == 8 && b[13] == 0 && b[23] == 17 && b[42] == 'x' }
	require.Eventually(t, func() bool { return guest.has(isReply) && guest.has(isDatagram) }, 10*time.Second, 5*time.Millisecond)
	require.NoError(t, s.Delete("t"))
	_, err = os.Stat(down + ".ran")
	require.NoError(t, err)
}

// TestHelper takes an interface from a program that stands for the bridge helper, and from a descriptor.
func TestHelper(t *testing.T) {
	fd, err := unix.Open(device, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err == nil {
		_, err = setInterface(fd, defaultName, unix.IFF_TAP|unix.IFF_NO_PI|unix.IFF_VNET_HDR)
	}
	if err != nil {
		t.Skipf("ORACLE MISSING: tap interfaces: %v", err)
	}
	s, err := open(t, "tap,id=t,fd="+strconv.Itoa(fd))
	require.NoError(t, err)
	c, _ := s.Find("t")
	require.Equal(t, "fd="+strconv.Itoa(fd), c.Info())
	require.True(t, c.VnetHdr)
	require.NoError(t, s.Delete("t"))
	_, err = open(t, "bridge,id=b,helper=/bin/false")
	require.EqualError(t, err, "bridge helper failed")
}

func TestErrors(t *testing.T) {
	for opts, want := range map[string]string{
		"tap,id=t,fd=3,ifname=x":     "ifname=, script=, downscript=, vnet_hdr=, helper=, queues=, fds=, and vhostfds= are invalid with fd=",
		"tap,id=t,fds=3:4,script=no": "ifname=, script=, downscript=, vnet_hdr=, helper=, queues=, and vhostfd= are invalid with fds=",
		"tap,id=t,helper=x,ifname=y": "ifname=, script=, downscript=, vnet_hdr=, queues=, and vhostfds= are invalid with helper=",
		"tap,id=t,vhost=on":          "vhost-net requested but could not be initialized",
		"tap,id=t,fd=nosuch":         "File descriptor named 'nosuch' has not been found",
	} {
		_, err := open(t, opts)
		require.EqualError(t, err, want, opts)
	}
}
