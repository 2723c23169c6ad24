package driver

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"goemu/block"
)

// What snapshot-access shows stays what it was when the filter was put in place, and is gone once it was discarded.
func TestSnapshotAccess(t *testing.T) {
	ctx := context.Background()
	g := block.NewGraph(All())
	dir := t.TempDir()
	g.Lock()
	defer g.Unlock()
	file := g.FindDriver("file")
	for _, name := range []string{"disk", "old"} {
		require.NoError(t, g.Create(ctx, file, dir+"/"+name, 1<<20, block.NewOptions()))
	}
	open := func(o ...any) *block.Node {
		n, err := g.Open(ctx, "", block.OptionsOf(o...), block.Mode{Unmap: true})
		require.NoError(t, err)
		t.Cleanup(func() { g.Lock(); defer g.Unlock(); g.Unref(n) })
		return n
	}
	open("driver", "file", "filename", dir+"/disk", "node-name", "disk")
	cbw := open("driver", "copy-before-write", "file", "disk", "target.driver", "file", "target.filename", dir+"/old")
	past := open("driver", "snapshot-access", "file", cbw.Name())
	user := func(n *block.Node, p block.Perm) *block.Backend {
		b := g.NewBackend("", "", p, block.PermAll)
		require.NoError(t, b.Insert(n))
		t.Cleanup(func() { g.Lock(); defer g.Unlock(); b.Delete() })
		return b
	}
	guest, reader := user(cbw, block.PermConsistentRead|block.PermWrite), user(past, block.PermConsistentRead)
	require.NoError(t, guest.Write(ctx, 70000, bytes.Repeat([]byte{1}, 100000), 0))
	got, want := make([]byte, 1<<20), make([]byte, 1<<20)
	require.NoError(t, reader.Read(ctx, 0, got))
	require.Equal(t, want, got)
	require.NoError(t, guest.Read(ctx, 0, got))
	require.NotEqual(t, want, got)
	require.NoError(t, reader.Root().Discard(ctx, 0, 64<<10))
	require.ErrorIs(t, reader.Read(ctx, 0, got), unix.EACCES)
	require.NoError(t, reader.Read(ctx, 64<<10, got[64<<10:]))
}
