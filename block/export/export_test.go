package export_test

import (
	"context"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"goemu/block"
	"goemu/block/driver"
	"goemu/block/export"
	server "goemu/block/export/nbd"
	proto "goemu/block/nbdproto"
)

// newControl makes a program with the nodes "rw" and "ro".
func newControl(t *testing.T) (c *server.Control, deleted chan string) {
	g := block.NewGraph(driver.All())
	g.Lock()
	defer g.Unlock()
	for name, readOnly := range map[string]bool{"rw": false, "ro": true} {
		_, err := g.Open(context.Background(), "", block.OptionsOf("driver", "null-co", "node-name", name, "size", "1M", "read-only", readOnly), block.Mode{})
		require.NoError(t, err)
	}
	deleted = make(chan string, 10)
	list := export.NewList(g)
	list.Deleted = func(id string) { deleted <- id }
	return &server.Control{Graph: g, List: list}, deleted
}

func add(c *server.Control, pairs ...any) error {
	c.Graph.Lock()
	defer c.Graph.Unlock()
	return c.Add(context.Background(), block.OptionsOf(pairs...))
}

func TestControl(t *testing.T) {
	c, deleted := newControl(t)
	ctx := context.Background()
	sock := filepath.Join(t.TempDir(), "s")
	require.EqualError(t, c.Stop(), "NBD server not running")
	require.EqualError(t, add(c, "id", "e", "node-name", "rw"), "NBD server not running")
	require.EqualError(t, c.Start(ctx, block.OptionsOf()), "Parameter 'addr' is missing")
	require.EqualError(t, c.Start(ctx, block.OptionsOf("addr.type", "unix", "addr.path", sock, "tls-creds", "x")), "No TLS credentials with id 'x'")
	require.NoError(t, c.Start(ctx, block.OptionsOf("addr.type", "unix", "addr.path", sock)))
	require.EqualError(t, c.Start(ctx, block.OptionsOf()), "NBD server already running")

	require.NoError(t, add(c, "id", "export0", "node-name", "rw", "writable", true))
	for _, x := range []struct {
		want  string
		pairs []any
	}{
		{"Invalid block export id", []any{"id", "#x", "node-name", "rw"}},
		{"Block export id 'export0' is already in use", []any{"id", "export0", "node-name", "rw"}},
		{"Cannot export read-only node as writable", []any{"id", "export1", "node-name", "ro", "writable", true}},
		{"NBD server already has export named 'rw'", []any{"id", "export1", "node-name", "rw"}},
		{"Bitmap 'b' is not found", []any{"id", "export1", "node-name", "rw", "name", "x", "bitmaps.0", "b"}},
		{"Parameter 'node-name' is missing", []any{"id", "export1"}},
		{"Parameter 'foo' is unexpected", []any{"id", "export1", "node-name", "rw", "foo", "1"}},
	} {
		require.EqualError(t, add(c, x.pairs...), x.want)
	}
	require.Equal(t, []export.Info{{ID: "export0", Type: "nbd", NodeName: "rw"}}, c.List.Infos())
	require.EqualError(t, c.List.Remove("none", false), "Export 'none' is not found")

	conn, err := net.Dial("unix", sock)
	require.NoError(t, err)
	defer conn.Close()
	_, info, err := new(proto.Dialer).Negotiate(conn, "rw")
	require.NoError(t, err)
	require.Equal(t, uint64(1<<20), info.Size)
	require.EqualError(t, c.List.Remove("export0", false), "export 'export0' still in use")
	require.NoError(t, c.List.Remove("export0", true))
	select {
	case id := <-deleted:
		require.Equal(t, "export0", id)
	case <-time.After(10 * time.Second):
		t.Fatal("the client keeps the export alive")
	}
	require.Empty(t, c.List.Infos())
	_, err = conn.Read(make([]byte, 1))
	require.Error(t, err, "the client is disconnected")
	require.NoError(t, add(c, "id", "again", "node-name", "ro"))
	require.NoError(t, c.Stop())
	require.Equal(t, "again", <-deleted)
	require.False(t, c.Running())
}

func TestBusyBitmap(t *testing.T) {
	c, _ := newControl(t)
	ctx := context.Background()
	require.NoError(t, c.Start(ctx, block.OptionsOf("addr.type", "unix", "addr.path", filepath.Join(t.TempDir(), "s"))))
	defer c.Stop()
	c.Graph.Lock()
	b, err := c.Graph.Find("rw").AddBitmap(ctx, "b", 65536)
	c.Graph.Unlock()
	require.NoError(t, err)
	require.EqualError(t, add(c, "id", "e", "node-name", "rw", "bitmaps.0", "b"), "Enabled bitmap 'b' incompatible with readonly export")
	require.NoError(t, add(c, "id", "e", "node-name", "rw", "writable", true, "bitmaps.0.node", "rw", "bitmaps.0.name", "b"))
	require.True(t, b.State().Busy)
	require.EqualError(t, add(c, "id", "f", "node-name", "rw", "name", "f", "writable", true, "bitmaps.0", "b"),
		"Bitmap 'b' is currently in use by another operation and cannot be used")
	require.NoError(t, c.List.Remove("e", false))
	require.False(t, b.State().Busy)
}
