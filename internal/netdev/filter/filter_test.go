package filter

import (
	"bytes"
	"encoding/binary"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"goemu/internal/chardev"
	"goemu/internal/mainloop"
	"goemu/internal/netdev"
	"goemu/internal/userobj"
	"goemu/qapi"
)

// end is one end of a link; it keeps what it gets.
type end struct {
	c      *netdev.Client
	mu     sync.Mutex
	frames [][]byte // guarded by mu
}

// Receive implements netdev.Port.
func (e *end) Receive(data []byte, _ *netdev.Offload) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.frames = append(e.frames, bytes.Clone(data))
	return true
}

// Resume implements netdev.Port.
func (e *end) Resume() {}

// LinkChanged implements netdev.Port.
func (e *end) LinkChanged() {}

// Close implements netdev.Port.
func (e *end) Close() {}

func (e *end) got() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var list []string
	for _, f := range e.frames {
		list = append(list, string(f))
	}
	e.frames = nil
	return list
}

// newLink makes a netdev n with its peer.
func newLink(t *testing.T) (n, peer *end, objects *userobj.Set) {
	set := netdev.NewSet()
	netdev.Main = set
	n, peer = new(end), new(end)
	n.c = set.Add(&netdev.Client{Name: "n", Kind: "wire", Model: "wire"}, n, nil)
	peer.c = set.Add(&netdev.Client{Name: "p", Kind: "wire", Model: "wire"}, peer, n.c)
	objects = &userobj.Set{Types: Types()}
	Forget = func(id string) { _ = objects.Remove(id) }
	t.Cleanup(objects.Close)
	return n, peer, objects
}

// add makes an object from names and values.
func add(s *userobj.Set, pairs ...any) error {
	o := new(qapi.Object)
	for i := 0; i < len(pairs); i += 2 {
		o.Set(pairs[i].(string), pairs[i+1])
	}
	return s.Add(o)
}

func TestDump(t *testing.T) {
	n, peer, objects := newLink(t)
	file := filepath.Join(t.TempDir(), "f.pcap")
	require.NoError(t, add(objects, "qom-type", "filter-dump", "id", "d", "netdev", "n", "file", file, "maxlen", int64(4)))
	n.c.Send([]byte("to the peer"), nil)
	peer.c.Send([]byte("back"), nil)
	require.NoError(t, objects.Remove("d"))
	n.c.Send([]byte("later"), nil)
	require.Equal(t, []string{"to the peer", "later"}, peer.got())
	require.Equal(t, []string{"back"}, n.got())
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, []byte("\xd4\xc3\xb2\xa1\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00\x01\x00\x00\x00"), b[:24])
	require.Equal(t, "\x04\x00\x00\x00\x0b\x00\x00\x00to t", string(b[32:44]))
	require.Equal(t, "\x04\x00\x00\x00\x04\x00\x00\x00back", string(b[52:64]))
	require.Len(t, b, 64)
}

func TestBuffer(t *testing.T) {
	n, peer, objects := newLink(t)
	require.NoError(t, add(objects, "qom-type", "filter-buffer", "id", "b", "netdev", "n", "queue", "tx", "interval", int64(1000000000)))
	n.c.Send([]byte("1"), nil)
	n.c.Send([]byte("2"), nil)
	peer.c.Send([]byte("3"), nil)
	require.Empty(t, peer.got())
	require.Equal(t, []string{"3"}, n.got())
	require.NoError(t, objects.Remove("b"))
	require.Equal(t, []string{"1", "2"}, peer.got())
	// Frames that it held go on behind it: the filter before it sees them once.
	file := filepath.Join(t.TempDir(), "f.pcap")
	require.NoError(t, add(objects, "qom-type", "filter-dump", "id", "d", "netdev", "n", "file", file))
	require.NoError(t, add(objects, "qom-type", "filter-buffer", "id", "b", "netdev", "n", "queue", "tx", "interval", int64(1000000000)))
	n.c.Send([]byte("4"), nil)
	require.NoError(t, objects.Remove("b"))
	require.NoError(t, objects.Remove("d"))
	require.Equal(t, []string{"4"}, peer.got())
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Len(t, b, 24+16+1)
	// The filter goes with its netdev.
	require.NoError(t, add(objects, "qom-type", "filter-buffer", "id", "b", "netdev", "n", "interval", int64(1000)))
	netdev.Main.Close()
	require.Nil(t, objects.Find("b"))
}

func TestErrors(t *testing.T) {
	_, _, objects := newLink(t)
	require.NoError(t, add(objects, "qom-type", "filter-buffer", "id", "one", "netdev", "n", "interval", int64(1000)))
	for want, pairs := range map[string][]any{
		"Parameter 'netdev' is required":                                        {"qom-type", "filter-dump"},
		"Parameter 'netdev' expects a network backend id":                       {"qom-type", "filter-dump", "netdev", "x"},
		"dump filter needs 'file' property set!":                                {"qom-type", "filter-dump", "netdev", "n"},
		"net dump: can't open /nowhere/x: No such file or directory":            {"qom-type", "filter-dump", "netdev", "n", "file", "/nowhere/x"},
		"filter 'x' not found":                                                  {"qom-type", "filter-dump", "netdev", "n", "position", "id=x"},
		"Parameter 'position' expects 'head', 'tail' or 'id=<id>'":              {"qom-type", "filter-dump", "netdev", "n", "position", "x"},
		"filter 'one' belongs to a different netdev":                            {"qom-type", "filter-dump", "netdev", "p", "position", "id=one"},
		"filter redirector needs 'indev' or 'outdev' at least one property set": {"qom-type", "filter-redirector", "netdev", "n"},
		"Device 'x' not found":                                                  {"qom-type", "filter-mirror", "netdev", "n", "outdev", "x"},
		"Invalid value for netfilter status, should be 'on' or 'off'":           {"qom-type", "filter-mirror", "netdev", "n", "status", "x"},
	} {
		require.EqualError(t, add(objects, append(pairs, "id", "f")...), want)
	}
	require.NoError(t, add(objects, "qom-type", "filter-buffer", "id", "two", "netdev", "n", "interval", int64(1000), "position", "id=one", "insert", "before"))
	c, _ := netdev.Main.Find("n")
	require.Equal(t, "two", c.Filters()[0].ID)
}

// TestRedirector sends frames out through a socket and back in through another.
func TestRedirector(t *testing.T) {
	n, peer, objects := newLink(t)
	chars := chardev.NewSet(mainloop.Main, chardev.Hooks{})
	defer chars.Close()
	FindChardev = chars.Find
	dir, err := os.MkdirTemp("", "filter")
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	dial := func(id string) net.Conn {
		s, err := chardev.Parse("socket,id=" + id + ",server=on,wait=off,path=" + filepath.Join(dir, id))
		require.NoError(t, err)
		_, err = chars.Open(s)
		require.NoError(t, err)
		c, err := net.Dial("unix", filepath.Join(dir, id))
		require.NoError(t, err)
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		return c
	}
	out, in := dial("out"), dial("in")
	defer out.Close()
	defer in.Close()
	for _, id := range []string{"out", "in"} {
		b, _ := chars.Find(id)
		require.Eventually(t, func() bool { mainloop.Main.RunPending(); return b.Connected() }, 10*time.Second, time.Millisecond)
	}
	require.NoError(t, add(objects, "qom-type", "filter-redirector", "id", "r", "netdev", "n", "queue", "tx", "outdev", "out"))
	require.NoError(t, add(objects, "qom-type", "filter-redirector", "id", "i", "netdev", "n", "queue", "tx", "indev", "in", "vnet_hdr_support", true))
	n.c.Send([]byte("a frame"), nil)
	b := make([]byte, 11)
	_, err = out.Read(b)
	require.NoError(t, err)
	require.Equal(t, "\x00\x00\x00\x07a frame", string(b))
	require.Empty(t, peer.got())
	_, err = in.Write(append(binary.BigEndian.AppendUint32(nil, 9), "\x00\x00\x00\x02__another"[:13]...))
	require.NoError(t, err)
	var got []string
	require.Eventually(t, func() bool { mainloop.Main.RunPending(); got = peer.got(); return got != nil }, 10*time.Second, time.Millisecond)
	require.Equal(t, []string{"another"}, got)
}
