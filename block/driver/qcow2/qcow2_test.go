package qcow2_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"goemu/block"
	"goemu/block/driver"
	"goemu/internal/testprog"
)

var ctx = context.Background()

// newGraph makes a graph that knows all drivers; what drivers tell people goes to the buffer.
func newGraph() (*block.Graph, *bytes.Buffer) {
	g := block.NewGraph(driver.All())
	var b bytes.Buffer
	g.Messages = &b
	return g, &b
}

// disk is an open image.
type disk struct {
	t   testing.TB
	g   *block.Graph
	n   *block.Node
	b   *block.Backend
	msg *bytes.Buffer
}

// opts makes options of "a=b,c=d".
func opts(s string) *block.Options {
	o := block.NewOptions()
	for _, kv := range strings.Split(s, ",") {
		if k, v, ok := strings.Cut(kv, "="); ok {
			o.Set(k, v)
		}
	}
	return o
}

// makeImage creates an image with options as in "-o".
func makeImage(t testing.TB, name string, size int64, o string) {
	g, _ := newGraph()
	g.Lock()
	defer g.Unlock()
	require.NoError(t, g.Create(ctx, g.FindDriver("qcow2"), name, size, opts(o)))
}

// openImage opens an image with a mode and options.
func openImage(t testing.TB, name, o string, m block.Mode) *disk {
	d, err := tryOpen(t, name, o, m)
	require.NoError(t, err)
	return d
}

func tryOpen(t testing.TB, name, o string, m block.Mode) (*disk, error) {
	g, msg := newGraph()
	g.Lock()
	defer g.Unlock()
	op := opts(o)
	op.SetDefault("driver", "qcow2")
	n, err := g.Open(ctx, name, op, m)
	if err != nil {
		return nil, err
	}
	perm := block.PermConsistentRead | block.PermWrite | block.PermResize
	if m.ReadOnly {
		perm = block.PermConsistentRead
	}
	b := g.NewBackend("", "", perm, block.PermAll)
	err = b.Insert(n)
	g.Unref(n)
	return &disk{t: t, g: g, n: n, b: b, msg: msg}, err
}

func (d *disk) close() {
	d.g.Lock()
	defer d.g.Unlock()
	d.b.Delete()
}

func (d *disk) write(off int64, b []byte) { require.NoError(d.t, d.b.Write(ctx, off, b, 0)) }

func (d *disk) read(off, n int64) []byte {
	b := make([]byte, n)
	require.NoError(d.t, d.b.Read(ctx, off, b))
	return b
}

// qemu runs one of Debian's tools and returns its output; the test is skipped without it.
func qemu(t testing.TB, tool string, args ...string) (string, error) {
	path := testprog.Need(t, tool)
	c, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	out, err := exec.CommandContext(c, path, args...).CombinedOutput()
	return string(out), err
}

// mustQemu is qemu for calls that must succeed.
func mustQemu(t testing.TB, tool string, args ...string) string {
	out, err := qemu(t, tool, args...)
	require.NoError(t, err, "%s %v: %s", tool, args, out)
	return out
}

// checkImage lets qemu-img check the image.
func checkImage(t testing.TB, name string) {
	out, err := qemu(t, "qemu-img", "check", "-f", "qcow2", name)
	require.NoError(t, err, "%s", out)
}

// pattern is n bytes that depend on seed.
func pattern(n int, seed byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = seed + byte(i>>9)*7 + byte(i)
	}
	return b
}

// variants are the creation options that the tests go through.
var variants = []string{
	"", "compat=0.10", "cluster_size=512", "cluster_size=4k", "cluster_size=2M", "refcount_bits=1", "refcount_bits=2", "refcount_bits=4", "refcount_bits=8",
	"refcount_bits=32", "refcount_bits=64", "lazy_refcounts=on", "extended_l2=on", "extended_l2=on,cluster_size=16k", "extended_l2=on,cluster_size=2M",
	"compression_type=zstd", "preallocation=metadata", "preallocation=falloc", "preallocation=full", "preallocation=metadata,extended_l2=on",
	"preallocation=falloc,extended_l2=on", "data_file=DIR/data", "data_file=DIR/data,data_file_raw=on", "data_file=DIR/data,extended_l2=on",
}

// plainDir is a temporary directory whose name, other than the test's, can be part of an option string.
func plainDir(t *testing.T) string {
	dir, err := os.MkdirTemp("", "qcow2-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}

// title names a test after a variant, without what would split an option string in the name of its folder.
func title(v string) string { return strings.ReplaceAll(v, ",", " ") }

// variant puts the directory into an option string.
func variant(v, dir string) string { return strings.ReplaceAll(v, "DIR", dir) }

func TestCreateWriteRead(t *testing.T) {
	for _, v := range variants {
		t.Run(title(v), func(t *testing.T) {
			dir := plainDir(t)
			name := filepath.Join(dir, "t.qcow2")
			makeImage(t, name, 8<<20, variant(v, dir))
			checkImage(t, name)
			want := make([]byte, 8<<20)
			d := openImage(t, name, "", block.Mode{})
			put := func(off, n int, seed byte) {
				copy(want[off:], pattern(n, seed))
				d.write(int64(off), want[off:off+n])
			}
			put(0, 512, 1)
			put(100<<10, 300<<10, 2)
			put(3<<20+1024, 1<<20, 3)
			put(200<<10, 4096, 4)
			put(8<<20-512, 512, 5)
			require.True(t, bytes.Equal(want, d.read(0, 8<<20)))
			d.close()
			require.Empty(t, d.msg.String())
			checkImage(t, name)
			raw := filepath.Join(dir, "raw")
			require.NoError(t, os.WriteFile(raw, want, 0o644))
			mustQemu(t, "qemu-img", "compare", "-f", "qcow2", "-F", "raw", name, raw)
			d = openImage(t, name, "", block.Mode{ReadOnly: true})
			require.True(t, bytes.Equal(want, d.read(0, 8<<20)))
			d.close()
		})
	}
}

// TestFreedCompressed: a cluster of compressed data that was given back and became a table takes no further compressed data.
func TestFreedCompressed(t *testing.T) {
	name := filepath.Join(t.TempDir(), "t.qcow2")
	makeImage(t, name, 1<<20, "")
	d := openImage(t, name, "", block.Mode{Unmap: true})
	data := [][]byte{bytes.Repeat([]byte{1}, 65536)}
	require.NoError(t, d.b.WriteCompressed(ctx, 0, data))
	require.NoError(t, d.b.Discard(ctx, 0, 65536))
	require.NoError(t, d.n.State().(block.Snapshotter).SnapshotCreate(ctx, &block.Snapshot{Name: "s"}))
	require.NoError(t, d.b.WriteCompressed(ctx, 0, data), "%s", d.msg)
	d.close()
	require.Empty(t, d.msg.String())
	checkImage(t, name)
}

// TestGrowBehindCompressed is case 1: the disk was cut inside a compressed cluster and grows again, with zeroes.
func TestGrowBehindCompressed(t *testing.T) {
	for _, v := range []string{"cluster_size=16k", "extended_l2=on,cluster_size=16k"} {
		for _, to := range []int64{8 << 10, 1 << 20} {
			name := filepath.Join(t.TempDir(), "t.qcow2")
			makeImage(t, name, 64<<10, v)
			d := openImage(t, name, "", block.Mode{})
			data := bytes.Repeat([]byte{7}, 16<<10)
			require.NoError(t, d.b.WriteCompressed(ctx, 0, [][]byte{data}))
			require.NoError(t, d.n.State().(block.Snapshotter).SnapshotCreate(ctx, &block.Snapshot{Name: "s"})) // keeps the cluster
			require.NoError(t, d.b.Truncate(ctx, 5<<10, true, block.PreallocOff, true))
			require.NoError(t, d.b.Truncate(ctx, to, true, block.PreallocOff, true))
			want := append(data[:5<<10:5<<10], make([]byte, to-5<<10)...)
			require.True(t, bytes.Equal(want, d.read(0, to)))
			d.close()
			checkImage(t, name)
		}
	}
}
