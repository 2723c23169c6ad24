package fs

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"goemu/hw/qdev"
	"goemu/hw/qdev/qtest"
	"goemu/hw/virtio/virtiotest"
	"goemu/internal/chardev"
	"goemu/internal/mainloop"
)

// server is a process at the other end that says something as soon as it is asked, or ends the connection.
func server(t testing.TB, say []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				if len(say) == 0 {
					return
				}
				_, _ = io.ReadFull(c, make([]byte, 12))
				_, _ = c.Write(say)
				if len(say) < 20 {
					return
				}
				_, _ = io.Copy(io.Discard, c)
			}()
		}
	}()
	return path
}

// add adds a device whose server says something.
func add(t testing.TB, say []byte, options ...string) (*virtiotest.Machine, error) {
	t.Helper()
	return addOver(t, "unix:"+server(t, say), options...)
}

// addOver adds a device that uses a character device.
func addOver(t testing.TB, char string, options ...string) (*virtiotest.Machine, error) {
	t.Helper()
	m, _ := withChardev(t, char)
	_, err := m.Add("vhost-user-fs-pci", append([]string{"addr", "5"}, options...)...)
	return m, err
}

// withChardev makes a machine that has a character device c.
func withChardev(t testing.TB, char string) (*virtiotest.Machine, *chardev.Backend) {
	t.Helper()
	m := virtiotest.NewMachine(t, Classes())
	set := chardev.NewSet(mainloop.Main, chardev.Hooks{})
	var c *chardev.Backend
	var err error
	virtiotest.Locked(func() { c, err = set.OpenLegacy("c", "c", char) })
	if err != nil {
		t.Fatal(err)
	}
	qdev.Link(&m.Tree.Links, func(id string) (*chardev.Backend, bool) { return c, id == "c" })
	t.Cleanup(func() {
		m.Close()
		virtiotest.Locked(set.Close)
	})
	return m, c
}

// features is the answer to the first request: version 1 of virtio, and no protocol features.
var features = []byte{1, 0, 0, 0, 5, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0}

func TestHelp(t *testing.T) { qtest.CompareHelp(t, Classes()) }

// TestOptions compares the refusals with QEMU's words.
func TestOptions(t *testing.T) {
	for _, c := range []struct {
		options []string
		want    string
	}{
		{nil, "missing chardev"},
		{[]string{"chardev", "c"}, "missing tag property"},
		{[]string{"chardev", "c", "tag", "0123456789012345678901234567890123456"}, "tag property must be 36 bytes or less"},
		{[]string{"chardev", "c", "tag", "t", "num-request-queues", "0"}, "num-request-queues property must be larger than 0"},
		{[]string{"chardev", "c", "tag", "t", "num-request-queues", "1024"}, "num-request-queues property must be smaller than 1024"},
		{[]string{"chardev", "c", "tag", "t", "queue-size", "3"}, "queue-size property must be a power of 2"},
		{[]string{"chardev", "c", "tag", "t", "queue-size", "2048"}, "queue-size property must be 1024 or smaller"},
		{[]string{"chardev", "c", "tag", "t"}, ""},
	} {
		_, err := add(t, features, c.options...)
		if got := text(err); got != c.want {
			t.Errorf("%v: %q, want %q", c.options, got, c.want)
		}
	}
	if _, err := add(t, nil, "chardev", "c", "tag", "t"); err == nil {
		t.Error("a server that ends the connection is taken")
	}
}

func text(err error) string {
	if err != nil {
		return err.Error()
	}
	return ""
}

// TestGone: a server that has ended the connection before the device is there is not waited for.
func TestGone(t *testing.T) {
	m, c := withChardev(t, "unix:"+server(t, nil))
	for c.Connected() {
		time.Sleep(time.Millisecond)
	}
	const want = "chardev 'c' is not connected any more"
	if _, err := m.Add("vhost-user-fs-pci", "addr", "5", "chardev", "c", "tag", "t"); text(err) != want {
		t.Errorf("%q, want %q", text(err), want)
	}
}

// TestOneServer: a server that has gone is not followed by another one, as with QEMU.
func TestOneServer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	first := make(chan net.Conn)
	go func() {
		defer close(first)
		for {
			c, err := net.Dial("unix", path)
			if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ECONNREFUSED) {
				time.Sleep(time.Millisecond)
				continue
			}
			if err != nil {
				return
			}
			_, _ = io.ReadFull(c, make([]byte, 12))
			_, _ = c.Write(features)
			first <- c
			return
		}
	}()
	m, err := addOver(t, "unix:"+path+",server=on,wait=off", "chardev", "c", "tag", "t")
	if err != nil {
		t.Fatal(err)
	}
	x := m.Bus.Function(5 << 3).(interface{ VirtioDevice() *Model }).VirtioDevice()
	(<-first).Close()
	for x.Session() != nil {
		mainloop.Main.RunPending()
		time.Sleep(time.Millisecond)
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(200 * time.Millisecond))
	if n, err := c.Read(make([]byte, 12)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the second server heard %d bytes, %v", n, err)
	}
}

// TestConfig: the driver finds the tag, the number of queues and the server's features.
func TestConfig(t *testing.T) {
	m, err := add(t, features, "chardev", "c", "tag", "share", "num-request-queues", "3")
	if err != nil {
		t.Fatal(err)
	}
	if id := m.Config(5<<3, 0, 4); id != 0x105a1af4 {
		t.Errorf("%#x", id)
	}
	f := m.Map(5 << 3)
	if n := f.Com(18, 2); n != 4 {
		t.Errorf("%d queues", n)
	}
	f.SetCom(0, 4, 1)
	if high := f.Com(4, 4); high&1 == 0 {
		t.Errorf("features %#x", high)
	}
}

// FuzzServer lets a fuzzer greet as the server.
func FuzzServer(f *testing.F) {
	f.Add(features)
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, say []byte) {
		if len(say) >= 20 { // a server that says no more keeps the connection, and the device waits for it
			say = say[:19]
		}
		_, _ = add(t, say, "chardev", "c", "tag", "t")
	})
}
