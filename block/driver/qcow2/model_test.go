package qcow2_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"goemu/block"
)

// model is a disk as a guest sees it, beside the image that should look like it.
type model struct {
	t       *rapid.T
	d       *disk
	side    *disk // a plain file, from and to which the host copies
	name    string
	open    string // options
	cluster int64
	v2      bool
	data    []byte
	snaps   map[string][]byte
	noSnaps bool // the image has a data file, or reference counts too narrow
	noComp  bool // the image has a data file
	backing bool
}

// rng draws a range of sectors.
func (m *model) rng() (off, n int64) {
	sectors := int64(len(m.data)) / 512
	off = rapid.Int64Range(0, sectors-1).Draw(m.t, "off")
	n = rapid.OneOf(rapid.Int64Range(1, 20), rapid.Int64Range(1, 600)).Draw(m.t, "n")
	return off * 512, min(n, sectors-off) * 512
}

func (m *model) write(*rapid.T) {
	off, n := m.rng()
	b := pattern(int(n), rapid.Byte().Draw(m.t, "seed"))
	copy(m.data[off:], b)
	require.NoError(m.t, m.d.b.Write(ctx, off, b, 0))
}

func (m *model) read(*rapid.T) {
	off, n := m.rng()
	b := make([]byte, n)
	require.NoError(m.t, m.d.b.Read(ctx, off, b))
	if !bytes.Equal(b, m.data[off:off+n]) {
		require.Fail(m.t, "wrong data", "%d+%d", off, n)
	}
}

func (m *model) zero(*rapid.T) {
	off, n := m.rng()
	clear(m.data[off : off+n])
	fl := rapid.SampledFrom([]block.Flags{0, block.MayUnmap}).Draw(m.t, "flags")
	require.NoError(m.t, m.d.b.WriteZeroes(ctx, off, n, fl))
}

func (m *model) discard(*rapid.T) {
	off, n := m.rng()
	require.NoError(m.t, m.d.b.Discard(ctx, off, n))
	if m.v2 && m.backing {
		return // only whole clusters become zeroes, and only where nothing shines through
	}
	first, last := (off+m.cluster-1)/m.cluster*m.cluster, (off+n)/m.cluster*m.cluster
	if off+n == int64(len(m.data)) {
		last = off + n
	}
	if first < last {
		clear(m.data[first:last])
	}
}

func (m *model) compressed(*rapid.T) {
	c := rapid.Int64Range(0, (int64(len(m.data))-1)/m.cluster).Draw(m.t, "cluster") * m.cluster
	n := min(m.cluster, int64(len(m.data))-c)
	if m.noComp {
		return
	}
	b := bytes.Repeat([]byte{rapid.Byte().Draw(m.t, "fill"), 2, 3, 4}, int(n/4))
	if rapid.Bool().Draw(m.t, "noise") {
		r := rand.New(rand.NewPCG(1, uint64(c)))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
	}
	err := m.d.b.WriteCompressed(ctx, c, [][]byte{b})
	if block.Errno(err) == unix.EIO {
		return // there is something already: that is refused
	}
	require.NoError(m.t, err)
	copy(m.data[c:], b)
}

// copyIn lets the host copy into the image, where it can.
func (m *model) copyIn(*rapid.T) {
	off, n := m.rng()
	b := pattern(int(n), rapid.Byte().Draw(m.t, "seed"))
	m.side.write(off, b)
	require.NoError(m.t, m.side.b.CopyRange(ctx, off, m.d.b, off, n))
	copy(m.data[off:], b)
}

// copyOut lets the host copy out of the image, as far as the bytes lie there as they are.
func (m *model) copyOut(*rapid.T) {
	off, n := m.rng()
	if err := m.d.b.CopyRange(ctx, off, m.side.b, off, n); err != nil {
		require.ErrorIs(m.t, err, block.ErrUnmapped)
		return
	}
	if !bytes.Equal(m.side.read(off, n), m.data[off:off+n]) {
		require.Fail(m.t, "wrong data copied", "%d+%d", off, n)
	}
}

func (m *model) flush(*rapid.T) { require.NoError(m.t, m.d.b.Flush(ctx)) }

func (m *model) reopen(*rapid.T) {
	m.d.close()
	var err error
	m.d, err = tryOpen(m.d.t, m.name, m.open, block.Mode{Unmap: true})
	require.NoError(m.t, err)
}

func (m *model) resize(*rapid.T) {
	if m.v2 && len(m.snaps) > 0 {
		return
	}
	n := rapid.Int64Range(1, 6<<20/512).Draw(m.t, "sectors") * 512
	require.NoError(m.t, m.d.b.Truncate(ctx, n, true, block.PreallocOff, true))
	old := int64(len(m.data))
	if n < old {
		m.data = m.data[:n:n]
		return
	}
	m.data = append(m.data, make([]byte, n-old)...)
}

func (m *model) snapshotter() block.Snapshotter { return m.d.n.State().(block.Snapshotter) }

func (m *model) snapshot(*rapid.T) {
	if m.noSnaps || len(m.snaps) > 3 {
		return
	}
	s := block.Snapshot{Name: fmt.Sprintf("s%d", rapid.IntRange(0, 1<<30).Draw(m.t, "name")), ICount: -1}
	require.NoError(m.t, m.snapshotter().SnapshotCreate(ctx, &s))
	m.snaps[s.ID] = bytes.Clone(m.data)
}

func (m *model) pick() (string, bool) {
	if len(m.snaps) == 0 {
		return "", false
	}
	list, err := m.snapshotter().Snapshots()
	require.NoError(m.t, err)
	require.Len(m.t, list, len(m.snaps))
	return list[rapid.IntRange(0, len(list)-1).Draw(m.t, "snapshot")].ID, true
}

func (m *model) apply(*rapid.T) {
	if id, ok := m.pick(); ok {
		if m.v2 && len(m.snaps[id]) != len(m.data) {
			return
		}
		require.NoError(m.t, m.snapshotter().SnapshotGoto(ctx, id))
		m.data = bytes.Clone(m.snaps[id])
	}
}

func (m *model) remove(*rapid.T) {
	if id, ok := m.pick(); ok {
		require.NoError(m.t, m.snapshotter().SnapshotDelete(ctx, id, ""))
		delete(m.snaps, id)
	}
}

// finish compares everything, with our own eyes and with qemu-img's.
func (m *model) finish(t testing.TB, dir string) {
	b := make([]byte, len(m.data))
	require.NoError(m.t, m.d.b.Read(ctx, 0, b))
	require.True(m.t, bytes.Equal(b, m.data), "content differs")
	m.d.close()
	require.Empty(m.t, m.d.msg.String())
	if testing.Short() {
		return
	}
	out, err := qemu(t, "qemu-img", "check", "-f", "qcow2", m.name)
	require.NoError(m.t, err, "%s", out)
	raw := filepath.Join(dir, "raw")
	require.NoError(m.t, os.WriteFile(raw, m.data, 0o644))
	out, err = qemu(t, "qemu-img", "compare", "-f", "qcow2", "-F", "raw", m.name, raw)
	require.NoError(m.t, err, "%s", out)
}

func TestModel(t *testing.T) {
	names := []string{"", "l2-cache-size=1k,refcount-cache-size=1", "cache-size=2M,l2-cache-entry-size=512", "overlap-check=all,overlap-check.inactive-l2=off", "pass-discard-other=on", "lazy-refcounts=on"}
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "m")
		require.NoError(rt, err)
		defer os.RemoveAll(dir)
		v := rapid.SampledFrom(variants).Draw(rt, "variant")
		m := &model{t: rt, name: filepath.Join(dir, "t.qcow2"), snaps: map[string][]byte{}, cluster: 65536}
		m.v2 = v == "compat=0.10"
		m.noComp = bytes.Contains([]byte(v), []byte("data_file"))
		m.noSnaps = bytes.Contains([]byte(v), []byte("data_file")) || v == "refcount_bits=1" || v == "refcount_bits=2" || v == "refcount_bits=4"
		size := rapid.Int64Range(1, 8000).Draw(rt, "sectors") * 512
		m.data = make([]byte, size)
		if !bytes.Contains([]byte(v), []byte("raw=on")) && !bytes.Contains([]byte(v), []byte("preall")) && rapid.Bool().Draw(rt, "backing") {
			m.backing = true
			n := min(rapid.Int64Range(1, 9000).Draw(rt, "backing sectors")*512, size)
			base := pattern(int(n), 9)
			require.NoError(rt, os.WriteFile(filepath.Join(dir, "base"), base, 0o644))
			copy(m.data, base)
			v += ",backing_file=" + filepath.Join(dir, "base") + ",backing_fmt=raw"
		}
		makeImage(t, m.name, size, variant(v, dir))
		if m.open = rapid.SampledFrom(names).Draw(rt, "open"); m.v2 && m.open == "lazy-refcounts=on" {
			m.open = ""
		}
		m.d = openImage(t, m.name, m.open, block.Mode{Unmap: true})
		require.NoError(rt, os.WriteFile(filepath.Join(dir, "side"), make([]byte, 6<<20), 0o600))
		m.side = openImage(t, filepath.Join(dir, "side"), "driver=file", block.Mode{})
		defer m.side.close()
		i, ok := m.d.n.Info()
		require.True(rt, ok)
		m.cluster = i.ClusterSize
		actions := map[string]func(*rapid.T){
			"write": m.write, "write2": m.write, "read": m.read, "zero": m.zero, "discard": m.discard, "compressed": m.compressed, "flush": m.flush, "reopen": m.reopen, "copy in": m.copyIn, "copy out": m.copyOut,
			"snapshot": m.snapshot, "apply": m.apply, "delete": m.remove,
			"": func(*rapid.T) { require.Empty(rt, m.d.msg.String()) },
		}
		if !m.backing {
			actions["resize"] = m.resize
		}
		if m.noSnaps {
			delete(actions, "snapshot")
		}
		rt.Repeat(actions)
		m.finish(t, dir)
	})
}

// TestParallelWrites lets many writers share clusters.
func TestParallelWrites(t *testing.T) {
	for _, v := range []string{"", "cluster_size=2M", "extended_l2=on", "cluster_size=512", "lazy_refcounts=on"} {
		t.Run(title(v), func(t *testing.T) {
			dir := t.TempDir()
			name := filepath.Join(dir, "t.qcow2")
			const size, writers = 4 << 20, 8
			base := pattern(size, 77)
			require.NoError(t, os.WriteFile(filepath.Join(dir, "base"), base, 0o644))
			makeImage(t, name, size, v+",backing_file="+filepath.Join(dir, "base")+",backing_fmt=raw")
			d := openImage(t, name, "l2-cache-size=1k", block.Mode{})
			var wg sync.WaitGroup
			for w := range writers {
				wg.Go(func() {
					r := rand.New(rand.NewPCG(uint64(w), 2))
					for range 300 {
						// Each writer owns every eighth sector.
						s := r.IntN(size/512/writers)*writers + w
						b := pattern(512, byte(s))
						copy(base[s*512:], b)
						if err := d.b.Write(ctx, int64(s)*512, b, 0); err != nil {
							t.Error(err)
							return
						}
						if r.IntN(40) == 0 {
							if err := d.b.Flush(ctx); err != nil {
								t.Error(err)
							}
						}
					}
				})
			}
			wg.Wait()
			require.True(t, bytes.Equal(base, d.read(0, size)))
			d.close()
			checkImage(t, name)
			d = openImage(t, name, "", block.Mode{ReadOnly: true})
			require.True(t, bytes.Equal(base, d.read(0, size)))
			d.close()
		})
	}
}
