package p9

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"goemu/hw/qdev"
	"goemu/hw/virtio/virtiotest"
	"goemu/internal/fsdev"
)

// client sends messages to a server as a driver does.
type client struct {
	t testing.TB
	s *server
}

// newClient makes a server of a directory with the options.
func newClient(t testing.TB, dir string, options ...string) *client {
	t.Helper()
	m := map[string]string{"id": "x", "fsdriver": "local", "path": dir, "security_model": "mapped-file"}
	for _, o := range options {
		k, v, _ := strings.Cut(o, "=")
		m[k] = v
	}
	d, err := fsdev.New(nil, func(n string) (string, bool) { v, ok := m[n]; return v, ok })
	require.NoError(t, err)
	fs, err := d.Open()
	require.NoError(t, err)
	s, err := newServer(fs, d)
	require.NoError(t, err)
	t.Cleanup(func() { s.reset(); fs.Close() })
	c := &client{t, s}
	c.ok(tVersion, uint32(8192), version2000L)
	c.ok(tAttach, uint32(0), ^uint32(0), "", "", uint32(0))
	return c
}

// message does a request and returns the reply, without its header.
func (c *client) message(typ uint8, args ...any) (reply uint8, body []byte) {
	r := message(args...)
	op := &operation{request: request{b: r}, typ: typ, tag: 1, in: [][]byte{make([]byte, 8192)}}
	op.out = [][]byte{append(header(headerBytes+len(r), typ, 1), r...)}
	n := c.s.do(op)
	b := op.in[0][:n]
	return b[4], b[headerBytes:]
}

func message(args ...any) []byte {
	var r reply
	for _, a := range args {
		switch v := a.(type) {
		case uint8:
			r.u8(v)
		case uint16:
			r.u16(v)
		case uint32:
			r.u32(v)
		case uint64:
			r.u64(v)
		case string:
			r.str(v)
		case []byte:
			r.b = append(r.b, v...)
		}
	}
	return r.b
}

func (c *client) ok(typ uint8, args ...any) []byte {
	c.t.Helper()
	got, b := c.message(typ, args...)
	if got != typ+1 {
		c.t.Fatalf("request %d: error %v", typ, unix.Errno(le.Uint32(b)))
	}
	return b
}

func (c *client) fails(want unix.Errno, typ uint8, args ...any) {
	c.t.Helper()
	got, b := c.message(typ, args...)
	require.EqualValues(c.t, tLerror+1, got)
	require.Equal(c.t, want, unix.Errno(le.Uint32(b)))
}

// TestEscapes tries to get out of the directory.
func TestEscapes(t *testing.T) {
	for _, model := range []string{"none", "mapped-file", "mapped-xattr", "passthrough"} {
		t.Run(model, func(t *testing.T) {
			top := t.TempDir()
			dir := filepath.Join(top, "dir")
			require.NoError(t, os.MkdirAll(filepath.Join(dir, "sub"), 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(top, "secret"), []byte("secret"), 0o644))
			for name, to := range map[string]string{"up": "..", "root": "/", "file": "../secret", "abs": filepath.Join(top, "secret")} {
				require.NoError(t, os.Symlink(to, filepath.Join(dir, name)))
			}
			c := newClient(t, dir, "security_model="+model)
			// .. of the root is the root.
			b := c.ok(tWalk, uint32(0), uint32(1), uint16(2), "..", "..")
			require.Equal(t, b[2:15], b[15:28])
			for _, link := range []string{"up", "root"} {
				b := c.ok(tWalk, uint32(0), uint32(2), uint16(2), link, "secret")
				require.EqualValues(t, 1, le.Uint16(b), "a symbolic link leads nowhere")
				c.fails(unix.ENOENT, tClunk, uint32(2))
			}
			for i, link := range []string{"file", "abs"} {
				n := uint32(10 + i)
				c.ok(tWalk, uint32(0), n, uint16(1), link)
				c.fails(unix.ELOOP, tLopen, n, uint32(unix.O_RDONLY))
				c.fails(unix.ELOOP, tSetattr, n, uint32(setSize), uint32(0), uint32(0), uint32(0), uint64(0), uint64(0), uint64(0), uint64(0), uint64(0))
			}
			for _, name := range []string{"../x", "/etc/passwd", "a/b", ""} {
				c.fails(unix.ENOENT, tWalk, uint32(0), uint32(3), uint16(1), name)
				c.fails(unix.ENOENT, tMkdir, uint32(0), name, uint32(0o755), uint32(0))
			}
			c.fails(unix.EEXIST, tMkdir, uint32(0), "..", uint32(0o755), uint32(0))
			c.fails(unix.EINVAL, tUnlinkat, uint32(0), "..", uint32(0x200))
			c.fails(unix.EEXIST, tRenameat, uint32(0), "sub", uint32(0), "..")
			data, err := os.ReadFile(filepath.Join(top, "secret"))
			require.NoError(t, err)
			require.Equal(t, "secret", string(data))
		})
	}
}

// TestFiles makes, writes, renames and removes files; fids follow what is renamed.
func TestFiles(t *testing.T) {
	for _, model := range []string{"none", "mapped-file", "mapped-xattr"} {
		t.Run(model, func(t *testing.T) {
			dir := t.TempDir()
			if unix.Setxattr(dir, "user.test", []byte("1"), 0) != nil && model == "mapped-xattr" {
				t.Skip("SKIPPED: no extended attributes in ", dir)
			}
			c := newClient(t, dir, "security_model="+model)
			c.ok(tMkdir, uint32(0), "d", uint32(0o750), uint32(5))
			c.ok(tWalk, uint32(0), uint32(1), uint16(1), "d")
			c.ok(tWalk, uint32(1), uint32(2), uint16(0))
			c.ok(tLcreate, uint32(2), "f", uint32(unix.O_RDWR), uint32(0o640), uint32(7))
			c.ok(tWrite, uint32(2), uint64(3), uint32(5), []byte("hello"))
			b := c.ok(tRead, uint32(2), uint64(0), uint32(100))
			require.Equal(t, "\x08\x00\x00\x00\x00\x00\x00hello", string(b))
			c.ok(tWalk, uint32(1), uint32(3), uint16(1), "f")
			c.ok(tRenameat, uint32(0), "d", uint32(0), "e")
			b = c.ok(tGetattr, uint32(3), uint64(attrBasic))
			require.EqualValues(t, 8, le.Uint64(b[8+13+12+16:]))
			if model != "none" {
				require.EqualValues(t, unix.S_IFREG|0o640, le.Uint32(b[8+13:]))
				require.EqualValues(t, 7, le.Uint32(b[8+13+8:]))
				c.ok(tSymlink, uint32(1), "l", "../../../etc/passwd", uint32(0))
				c.ok(tWalk, uint32(1), uint32(4), uint16(1), "l")
				require.Equal(t, "\x13\x00../../../etc/passwd", string(c.ok(tReadlink, uint32(4))))
				st, err := os.Lstat(filepath.Join(dir, "e", "l"))
				require.NoError(t, err)
				require.True(t, st.Mode().IsRegular())
				c.ok(tUnlinkat, uint32(1), "l", uint32(0))
				if model == "mapped-file" { // a file of the host's replaces one of the guest's
					require.NoError(t, os.WriteFile(filepath.Join(dir, "host"), nil, 0o600))
					c.ok(tMknod, uint32(0), "guest", uint32(unix.S_IFREG|0o777), uint32(0), uint32(0), uint32(0))
					c.ok(tRenameat, uint32(0), "host", uint32(0), "guest")
					c.ok(tWalk, uint32(0), uint32(5), uint16(1), "guest")
					b = c.ok(tGetattr, uint32(5), uint64(attrBasic))
					require.EqualValues(t, unix.S_IFREG|0o600, le.Uint32(b[8+13:]))
				}
				// What fails changes nothing.
				c.ok(tMkdir, uint32(0), "other", uint32(0o700), uint32(0))
				c.fails(unix.ENOTEMPTY, tRenameat, uint32(0), "other", uint32(0), "e")
				c.fails(unix.ENOTEMPTY, tUnlinkat, uint32(0), "e", uint32(0x200))
				b = c.ok(tGetattr, uint32(1), uint64(attrBasic))
				require.EqualValues(t, unix.S_IFDIR|0o750, le.Uint32(b[8+13:]))
				require.EqualValues(t, 5, le.Uint32(b[8+13+8:]))
			}
			c.ok(tClunk, uint32(2))
			c.ok(tRemove, uint32(3))
			c.fails(unix.ENOENT, tGetattr, uint32(3), uint64(attrBasic))
			c.ok(tUnlinkat, uint32(0), "e", uint32(0x200))
			_, err := os.Stat(filepath.Join(dir, "e"))
			require.True(t, os.IsNotExist(err))
		})
	}
}

// Cases of requests that waited forever, found by reading.

// TestCase1: two requests give each other up.
func TestCase1(t *testing.T) {
	s := newClient(t, t.TempDir()).s
	var ops []*operation
	for tag := range uint16(2) {
		o := &operation{request: request{b: message(1 - tag)}, typ: tFlush, tag: tag, in: [][]byte{make([]byte, 100)}}
		s.begin(o)
		ops = append(ops, o)
	}
	var wg sync.WaitGroup
	for _, o := range ops {
		wg.Go(func() {
			s.finish(o, s.dispatch(o))
			close(o.done)
		})
	}
	wg.Wait()
}

// TestCase2: the driver resets the device while a request waits to be given up.
func TestCase2(t *testing.T) {
	FindDevice = func(id string) *fsdev.Device { return &fsdev.Device{ID: id, Driver: "synth"} }
	defer func() { FindDevice = func(string) *fsdev.Device { return nil } }()
	m := virtiotest.NewMachine(t, Classes())
	const devfn, ring, out, in = 5 << 3, 0x10000, 0x20000, 0x30000
	var s *server
	virtiotest.Locked(func() {
		d, err := m.Add("virtio-9p-pci", "addr", "5", "fsdev", "x", "mount_tag", "t")
		require.NoError(t, err)
		s = d.(interface{ VirtioDevice() *Model }).VirtioDevice().server
	})
	t.Cleanup(m.Close)
	f := m.Map(devfn)
	f.EnableMSIX(2)
	f.Negotiate(1 << 32)
	q := virtiotest.NewDriver(f.Mem, ring, queueSize, false)
	f.SetupQueue(0, q, 0)
	virtiotest.Locked(func() { f.SetCom(virtiotest.ComStatus, 1, virtiotest.StatusReady) })
	send := func(typ uint8, args ...any) {
		b := message(args...)
		b = append(header(headerBytes+len(b), typ, 1), b...)
		f.Mem.Write(out, b)
		q.Add(virtiotest.Buf{Addr: out, Len: uint32(len(b))}, virtiotest.Buf{Addr: in, Len: 4096, Write: true})
		f.Kick(0)
	}
	ask := func(typ uint8, args ...any) {
		send(typ, args...)
		require.Eventually(t, func() bool { _, _, ok := q.Next(); return ok }, 10*time.Second, time.Millisecond)
		reply, _ := f.Mem.Load(in+4, 1)
		require.EqualValues(t, typ+1, reply)
	}
	ask(tVersion, uint32(8192), version2000L)
	ask(tAttach, uint32(0), ^uint32(0), "", "", uint32(0))
	ask(tWalk, uint32(0), uint32(1), uint16(1), "FLUSH")
	ask(tLopen, uint32(1), uint32(unix.O_WRONLY))
	send(tWrite, uint32(1), uint64(0), uint32(1), []byte{1})
	require.Eventually(t, func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.active) == 1 }, 10*time.Second, time.Millisecond)
	virtiotest.Locked(func() { f.SetCom(virtiotest.ComStatus, 1, 0) })
}

// TestReadOnly refuses all changes.
func TestReadOnly(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "f"), []byte("x"), 0o644))
	c := newClient(t, dir, "readonly=on", "security_model=none")
	c.fails(unix.EROFS, tMkdir, uint32(0), "d", uint32(0o755), uint32(0))
	c.fails(unix.EROFS, tRemove, uint32(0))
	c.ok(tWalk, uint32(0), uint32(1), uint16(1), "f")
	c.fails(unix.EROFS, tLopen, uint32(1), uint32(unix.O_RDWR))
	c.ok(tLopen, uint32(1), uint32(unix.O_RDONLY))
}

// TestOptions compares messages about options with QEMU's.
func TestOptions(t *testing.T) {
	for _, c := range []struct{ option, want string }{
		{"local,id=a,path=/", "security_model property not set\nValid options are: security_model=[passthrough|mapped-xattr|mapped-file|none]"},
		{"local,id=a,security_model=none", "path property not set"},
		{"local,id=a,path=/,security_model=x", "invalid security_model property 'x'\nValid options are: security_model=[passthrough|mapped-xattr|mapped-file|none]"},
		{"local,id=a,path=/,security_model=none,fmode=0600", "fmode is only valid for mapped security modes"},
		{"local,id=a,path=/,security_model=none,multidevs=x", "invalid multidevs property 'x'\nValid options are: multidevs=[remap|forbid|warn]"},
		{"synth,id=a,path=/", "'path' is invalid for fsdriver 'synth'"},
		{"nosuch,id=a", "fsdev: fsdriver nosuch not found"},
	} {
		words := strings.Split(c.option, ",")
		m := map[string]string{"fsdriver": words[0]}
		names := []string{"fsdriver"}
		for _, w := range words[1:] {
			k, v, _ := strings.Cut(w, "=")
			m[k] = v
			names = append(names, k)
		}
		_, err := fsdev.New(names, func(n string) (string, bool) { v, ok := m[n]; return v, ok })
		require.EqualError(t, err, c.want)
		out, err := exec.CommandContext(context.Background(), "qemu-system-x86_64", "-M", "none", "-fsdev", c.option).CombinedOutput()
		if err != nil && len(out) > 0 {
			require.Contains(t, string(out), c.want)
		}
	}
}

func TestHelp(t *testing.T) {
	out, err := exec.Command("qemu-system-x86_64", "-device", "virtio-9p-pci,help").Output()
	if err != nil {
		t.Skip("ORACLE MISSING: qemu-system-x86_64: ", err)
	}
	for _, name := range []string{"mount_tag=<str>", "fsdev=<str>"} {
		require.Contains(t, string(out), name)
		require.Contains(t, qdev.Help(Classes()[0]), name)
	}
}

// FuzzServer sends messages as the input says.
func FuzzServer(f *testing.F) {
	f.Add(append([]byte{15, tMkdir}, message(uint32(0), "d", uint32(0o755), uint32(0))...))
	f.Add(append(append([]byte{13, tWalk}, message(uint32(0), uint32(1), uint16(1), "d")...), append([]byte{8, tLopen}, message(uint32(1), uint32(0))...)...))
	f.Add([]byte{'0', tGetattr}) // 1: the end of a short request left its fid held
	f.Fuzz(func(t *testing.T, script []byte) {
		c := newClient(t, t.TempDir())
		for n := 0; len(script) >= 2 && n < 100; n++ {
			size := min(int(script[0]), len(script)-2)
			if script[1] != tFlush {
				c.message(script[1], script[2:2+size])
			}
			script = script[2+size:]
		}
	})
}
