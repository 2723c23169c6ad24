package nbd_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"goemu/block"
	"goemu/block/driver"
	"goemu/block/export"
	server "goemu/block/export/nbd"
)

const size = 8 << 20

// newServer serves a raw image of random bytes whose second half is a hole, and returns the socket's path.
func newServer(t *testing.T, writable bool, change func(s *server.Server, o *server.ExportOptions)) (socket string, data []byte, stop func()) {
	dir, err := os.MkdirTemp("", "nbd")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	data = make([]byte, size)
	rand.NewChaCha8([32]byte{1}).Read(data[:size/2])
	image := filepath.Join(dir, "disk")
	require.NoError(t, os.WriteFile(image, data[:size/2], 0o600))
	require.NoError(t, os.Truncate(image, size))

	ctx := context.Background()
	g := block.NewGraph(driver.All())
	g.Lock()
	n, err := g.Open(ctx, image, block.OptionsOf("driver", "raw"), block.Mode{ReadOnly: !writable, Unmap: true})
	require.NoError(t, err)
	list := export.NewList(g)
	s := server.NewServer()
	o := server.ExportOptions{Name: "disk"}
	if change != nil {
		change(s, &o)
	}
	_, err = s.Add(ctx, list, export.Options{ID: "e", Node: n, Writable: writable}, o)
	require.NoError(t, err)
	g.Unref(n)
	g.Unlock()
	socket = filepath.Join(dir, "s")
	l, err := net.Listen("unix", socket)
	require.NoError(t, err)
	s.Serve(l)
	var once sync.Once
	stop = func() { once.Do(func() { list.CloseAll(""); s.Stop() }) }
	t.Cleanup(stop)
	return socket, data, stop
}

// openClient opens the export as a node.
func openClient(t *testing.T, filename string, readOnly bool, pairs ...any) (*block.Backend, error) {
	g := block.NewGraph(driver.All())
	g.Lock()
	defer g.Unlock()
	n, err := g.Open(context.Background(), filename, block.OptionsOf(append([]any{"driver", "nbd"}, pairs...)...), block.Mode{ReadOnly: readOnly, Unmap: true})
	if err != nil {
		return nil, err
	}
	perm := block.PermConsistentRead
	if !readOnly {
		perm |= block.PermWrite
	}
	b := g.NewBackend("", "", perm, block.PermAll)
	require.NoError(t, b.Insert(n))
	g.Unref(n)
	t.Cleanup(func() { g.Lock(); b.Delete(); g.Unlock() })
	return b, nil
}

func TestReadWrite(t *testing.T) {
	socket, want, _ := newServer(t, true, nil)
	b, err := openClient(t, "nbd+unix:///disk?socket="+socket, false)
	require.NoError(t, err)
	ctx := context.Background()
	got := make([]byte, size)
	require.NoError(t, b.Read(ctx, 0, got))
	require.True(t, bytes.Equal(want, got), "data and hole")

	copy(want[1000:], "hello")
	require.NoError(t, b.Write(ctx, 1000, []byte("hello"), block.FUA))
	clear(want[4096:65536])
	require.NoError(t, b.WriteZeroes(ctx, 4096, 65536-4096, block.MayUnmap))
	require.NoError(t, b.Discard(ctx, 1<<20, 1<<20))
	clear(want[1<<20 : 2<<20]) // the file system punches a hole
	require.NoError(t, b.Flush(ctx))
	require.NoError(t, b.Read(ctx, 0, got))
	require.True(t, bytes.Equal(want, got))

	s, _, err := b.Node().StatusAbove(ctx, nil, false, true, 0, size)
	require.NoError(t, err)
	require.Equal(t, int64(4096), s.N)
	require.NotZero(t, s.Flags&block.StatusData)
	s, _, err = b.Node().StatusAbove(ctx, nil, false, true, size/2, size/2)
	require.NoError(t, err)
	require.Equal(t, int64(size/2), s.N)
	require.NotZero(t, s.Flags&block.StatusZero)
}

func TestManyInFlight(t *testing.T) {
	socket, want, _ := newServer(t, true, nil)
	b, err := openClient(t, "nbd:unix:"+socket+":exportname=disk", false)
	require.NoError(t, err)
	var wg sync.WaitGroup
	const workers = 100 // more than fit on the connection
	const part = size / workers / 512 * 512
	for w := range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			rnd := rand.New(rand.NewPCG(1, uint64(w)))
			mine := want[w*part : (w+1)*part]
			for range 40 {
				off, n := rnd.IntN(part), 0
				n = rnd.IntN(min(part-off, 20000) + 1)
				if rnd.IntN(2) == 0 {
					buf := make([]byte, n)
					for i := range buf {
						buf[i] = byte(rnd.Uint32())
					}
					copy(mine[off:], buf)
					if err := b.Write(context.Background(), int64(w*part+off), buf, 0); err != nil {
						t.Error(err)
					}
					continue
				}
				buf := make([]byte, n)
				if err := b.Read(context.Background(), int64(w*part+off), buf); err != nil || !bytes.Equal(buf, mine[off:off+n]) {
					t.Errorf("worker %d, %d bytes at %d: wrong data, %v", w, n, off, err)
				}
			}
		}()
	}
	wg.Wait()
}

func TestRefusals(t *testing.T) {
	socket, _, stop := newServer(t, false, nil)
	for _, c := range []struct {
		file     string
		readOnly bool
		pairs    []any
		want     string
	}{
		{"nbd+unix:///other?socket=" + socket, true, nil, "Requested export not available"},
		{"nbd+unix:///disk?socket=" + socket, false, nil, "Could not open image: Permission denied"},
		{"nbd+unix:///disk?socket=/nonexistent", true, nil, "Failed to connect to '/nonexistent': No such file or directory"},
		{"nbd+unix:///disk?socket=" + socket, true, []any{"x-dirty-bitmap", "qemu:dirty-bitmap:b"}, "requested x-dirty-bitmap qemu:dirty-bitmap:b not found"},
		{"nbd+unix:///disk?socket=" + socket, true, []any{"tls-creds", "x"}, "No TLS credentials with id 'x'"},
		{"nbd+unix:///disk", true, nil, "No valid URL specified"},
		{"nbd:foo", true, nil, "error parsing address 'foo'"},
		{"nbd+unix:///disk?socket=" + socket, true, []any{"host", "x"}, "Option 'host' cannot be used with a file name"},
		{"", true, []any{"path", "/x", "host", "y"}, "path and host may not be used at the same time"},
		{"", true, nil, "NBD server address missing"},
		{"", true, []any{"server.type", "foo"}, "Parameter 'type' does not accept value 'foo'"},
	} {
		_, err := openClient(t, c.file, c.readOnly, c.pairs...)
		require.EqualError(t, err, c.want, "%s %v", c.file, c.pairs)
	}
	stop()
	_, err := openClient(t, "nbd+unix:///disk?socket="+socket, true)
	require.Error(t, err)
}

func TestServerGone(t *testing.T) {
	socket, _, stop := newServer(t, true, nil)
	b, err := openClient(t, "nbd+unix:///disk?socket="+socket, false)
	require.NoError(t, err)
	stop()
	require.ErrorIs(t, b.Read(context.Background(), 0, make([]byte, 512)), unix.EIO)
}

func TestReconnect(t *testing.T) {
	socket, want, stop := newServer(t, true, nil)
	b, err := openClient(t, "nbd+unix:///disk?socket="+socket, false, "reconnect-delay", "3")
	require.NoError(t, err)
	stop()
	got := make([]byte, 4096)
	result := make(chan error, 1)
	go func() { result <- b.Read(context.Background(), 8192, got) }()
	time.Sleep(50 * time.Millisecond)
	again, _, _ := newServer(t, true, nil)
	os.Remove(socket)
	require.NoError(t, os.Symlink(again, socket))
	require.NoError(t, <-result)
	require.Equal(t, want[8192:8192+4096], got)
}

func TestNoLeaks(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Run("", func(t *testing.T) {
		socket, _, stop := newServer(t, true, func(s *server.Server, _ *server.ExportOptions) { s.MaxConnections = 2 })
		b, err := openClient(t, "nbd+unix:///disk?socket="+socket, false)
		require.NoError(t, err)
		require.NoError(t, b.Read(context.Background(), 0, make([]byte, 512)))
		idle, err := net.Dial("unix", socket) // says nothing
		require.NoError(t, err)
		defer idle.Close()
		waiting, err := net.Dial("unix", socket) // is not accepted
		require.NoError(t, err)
		defer waiting.Close()
		stop()
	})
}
