package driver

import (
	"bytes"
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"goemu/block"
)

// The host copies only where every node on the way hands the bytes on and does nothing else.
func TestCopyRange(t *testing.T) {
	const size, cluster = 1 << 20, 64 << 10
	file := func(name string, more ...any) []any {
		return append([]any{"file.driver", "file", "file.filename", name}, more...)
	}
	for name, c := range map[string]struct {
		source, target []any // in place of a raw image in a file
		off            int64
		flags          block.Flags
		byHand         bool
	}{
		"raw":                    {},
		"FUA":                    {flags: block.FUA},
		"serialising":            {flags: block.Serialising, byHand: true},
		"window":                 {target: file("dst", "offset", cluster)},
		"copy-before-write":      {source: file("src", "driver", "copy-before-write", "target.driver", "null-co")},
		"preallocate source":     {source: file("src", "driver", "preallocate")},
		"throttle source":        {source: file("src", "driver", "throttle", "throttle-group", "g"), byHand: true},
		"blkdebug source":        {source: []any{"driver", "blkdebug", "image.driver", "file", "image.filename", "src"}, byHand: true},
		"copy-on-read filter":    {source: file("src", "driver", "copy-on-read"), byHand: true},
		"qcow2 without clusters": {source: file("qcow2", "driver", "qcow2"), byHand: true},
		"qcow2":                  {target: file("qcow2", "driver", "qcow2")},
		"qcow2 with FUA":         {target: file("qcow2", "driver", "qcow2"), flags: block.FUA},
		"qcow2 on throttle":      {target: []any{"driver", "qcow2", "file.driver", "throttle", "file.throttle-group", "g", "file.file.driver", "file", "file.file.filename", "qcow2"}, byHand: true},
		"throttle":               {target: file("dst", "driver", "throttle", "throttle-group", "g"), byHand: true},
		"throttle under raw":     {target: []any{"file.driver", "throttle", "file.throttle-group", "g", "file.file.driver", "file", "file.file.filename", "dst"}, byHand: true},
		"blkdebug":               {target: []any{"driver", "blkdebug", "image.driver", "file", "image.filename", "dst"}, byHand: true},
		"kept before write":      {target: file("dst", "driver", "copy-before-write", "target.driver", "null-co"), byHand: true},
		"preallocate":            {target: file("dst", "driver", "preallocate"), byHand: true},
		"quorum":                 {target: []any{"driver", "quorum", "vote-threshold", 1, "children.0.driver", "file", "children.0.filename", "dst"}, byHand: true},
		"detect-zeroes":          {target: file("dst", "detect-zeroes", "on"), byHand: true},
		"detect-zeroes of file":  {target: file("dst", "file.detect-zeroes", "unmap", "file.discard", "unmap"), byHand: true},
		"null":                   {target: []any{"driver", "null-co", "size", size}, byHand: true},
		"unaligned":              {target: []any{"driver", "blkdebug", "align", 4096, "image.driver", "file", "image.filename", "dst"}, off: 512, byHand: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			ctx := context.Background()
			g := block.NewGraph(All())
			group := block.NewThrottleGroup("g")
			g.Object = func(string) any { return group }
			g.Lock()
			defer g.Unlock()
			want := bytes.Repeat([]byte{1, 2, 3, 4}, size/4)
			require.NoError(t, os.WriteFile("src", want, 0o600))
			require.NoError(t, os.WriteFile("dst", make([]byte, 2*size), 0o600))
			require.NoError(t, g.Create(ctx, g.FindDriver("qcow2"), "qcow2", size, block.NewOptions()))
			open := func(o []any, name string, perm block.Perm) *block.Backend {
				options := block.OptionsOf("driver", "raw")
				if o == nil {
					o = file(name)
				}
				options.Merge(block.OptionsOf(o...), true)
				n, err := g.Open(ctx, "", options, block.Mode{Unmap: true})
				require.NoError(t, err)
				b := g.NewBackend("", "", perm, block.PermAll)
				require.NoError(t, b.Insert(n))
				g.Unref(n)
				t.Cleanup(func() { g.Lock(); defer g.Unlock(); b.Delete() })
				return b
			}
			from := open(c.source, "src", block.PermConsistentRead)
			to := open(c.target, "dst", block.PermConsistentRead|block.PermWrite)
			dirty, err := to.Root().Node().AddBitmap(ctx, "", cluster)
			require.NoError(t, err)
			defer to.Root().Node().RemoveBitmap(dirty)
			err = block.CopyRange(ctx, from.Root(), 0, to.Root(), c.off, 2*cluster, c.flags)
			if c.byHand {
				require.ErrorIs(t, err, unix.ENOTSUP)
				return
			}
			require.NoError(t, err)
			require.Equal(t, int64(2*cluster), dirty.Count(), "a copy is a write for those who mark them")
			got := make([]byte, 4*cluster)
			require.NoError(t, to.Read(ctx, 0, got))
			require.Equal(t, append(want[:2*cluster:2*cluster], make([]byte, 2*cluster)...), got)
		})
	}
}
