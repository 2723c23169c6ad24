package vmdk_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/block"
	"goemu/block/driver/formattest"
)

var ctx = context.Background()

const format = formattest.Format("vmdk")

// TestModel writes and reads at random, closing the image now and then, and compares with a plain array.
func TestModel(t *testing.T) {
	const size = 5<<20 + 3*512
	for _, c := range []struct {
		name    string
		backing bool
		options []any
	}{
		{"sparse", false, nil},
		{"with zeroed grains", false, []any{"zeroed_grain", "on"}},
		{"flat", false, []any{"subformat", "monolithicFlat"}},
		{"split and sparse", false, []any{"subformat", "twoGbMaxExtentSparse", "adapter_type", "lsilogic"}},
		{"split and flat", false, []any{"subformat", "twoGbMaxExtentFlat"}},
		{"with a parent", true, []any{"zeroed_grain", "on", "backing_file", "p.vmdk"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			name := filepath.Join(dir, "a.vmdk")
			model := make([]byte, size)
			if c.backing {
				model = format.CreateParent(t, filepath.Join(dir, "p.vmdk"), size)
			}
			format.Create(t, name, size, c.options...)
			format.Work(t, name, model, 600)
		})
	}
}

// TestStream writes a compressed disk, out of order, with grains that do not become smaller, and an end that is no whole grain.
func TestStream(t *testing.T) {
	const size, grain = 3<<20 + 5*512, 64 << 10
	name := filepath.Join(t.TempDir(), "a.vmdk")
	format.Create(t, name, size, "subformat", "streamOptimized")
	model := make([]byte, size)
	r := rand.New(rand.NewPCG(2, 2))
	for i := range model[:size/2] {
		model[i] = byte(r.Uint32())
	}
	b, closed, err := format.Open(t, name, block.Mode{})
	require.NoError(t, err)
	copy(model[size/2:], bytes.Repeat([]byte("abc"), size/6))
	for _, i := range r.Perm(size/grain + 1) {
		at := int64(i) * grain
		require.NoError(t, b.WriteCompressed(ctx, at, [][]byte{model[at:min(at+grain, size)]}))
	}
	require.Error(t, b.WriteCompressed(ctx, 0, [][]byte{model[:grain]}), "a grain cannot be written twice")
	require.Error(t, b.Write(ctx, 512, model[:512], 0))
	require.NoError(t, b.FinishCompressed(ctx))
	got := make([]byte, size)
	require.NoError(t, b.Read(ctx, 0, got))
	require.True(t, bytes.Equal(model, got))
	closed()
	format.Judge(t, name, model)
}

// TestFooter reads a stream whose header is at its end, as VMware's programs write it.
func TestFooter(t *testing.T) {
	const size, grain = 1 << 20, 64 << 10
	name := filepath.Join(t.TempDir(), "a.vmdk")
	format.Create(t, name, size, "subformat", "streamOptimized")
	b, closed, err := format.Open(t, name, block.Mode{})
	require.NoError(t, err)
	model := append(bytes.Repeat([]byte{5}, grain), make([]byte, size-grain)...)
	require.NoError(t, b.WriteCompressed(ctx, 0, [][]byte{model[:grain]}))
	require.NoError(t, b.FinishCompressed(ctx))
	closed()
	f, err := os.ReadFile(name)
	require.NoError(t, err)
	footer := make([]byte, 3*512)
	footer[12] = 3
	copy(footer[512:], f[:512])
	binary.LittleEndian.PutUint64(f[56:], 1<<64-1)
	require.NoError(t, os.WriteFile(name, append(f, footer...), 0o600))
	b, closed, err = format.Open(t, name, block.Mode{ReadOnly: true})
	require.NoError(t, err)
	got := make([]byte, size)
	require.NoError(t, b.Read(ctx, 0, got))
	require.True(t, bytes.Equal(model, got))
	closed()
	format.Judge(t, name, model)
}

// TestESX reads the sparse extents of ESX of the old kind and of the new one (seSparse), which QEMU cannot make.
func TestESX(t *testing.T) {
	const grain, tableAt = 8, 16 // sectors
	number := binary.LittleEndian.PutUint32
	old := make([]byte, 128*512)
	copy(old, "COWD")
	for at, v := range map[int]uint32{4: 1, 8: 3, 12: 2048, 16: 1, 20: 4, 24: 1, 4 * 512: tableAt, tableAt * 512: 100, tableAt*512 + 8: 101} {
		number(old[at:], v)
	}
	copy(old[100*512:], bytes.Repeat([]byte{1}, 512))
	copy(old[101*512:], bytes.Repeat([]byte{3}, 512))

	long := binary.LittleEndian.PutUint64
	se := make([]byte, 300*512)
	for at, v := range map[int]uint64{
		0: 0xcafebabe, 8: 0x200000001, 16: 2048, 24: grain, 32: 64, 80: 1, 88: 1, 128: 2, 136: 1, 144: tableAt, 152: 64, 192: 128, 200: 64,
		512: 0xcafecafe, 2 * 512: 0x10000000 << 32, tableAt * 512: 3 << 60, tableAt*512 + 8: 2 << 60, tableAt*512 + 16: 3<<60 | 1<<48,
	} {
		long(se[at:], v)
	}
	copy(se[128*512:], bytes.Repeat([]byte{1}, grain*512))
	copy(se[(128+grain)*512:], bytes.Repeat([]byte{3}, grain*512))
	for _, c := range []struct {
		name, createType, kind string
		extent                 []byte
		unit                   int
	}{{"vmfsSparse", "vmfsSparse", "VMFSSPARSE", old, 1}, {"seSparse", "seSparse", "SESPARSE", se, grain}} {
		t.Run(c.name, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "a.vmdk")
			require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(name), "e.vmdk"), c.extent, 0o600))
			desc := fmt.Sprintf("# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType=\"%s\"\n# Extents\nRW 2048 %s \"e.vmdk\"\n", c.createType, c.kind)
			require.NoError(t, os.WriteFile(name, []byte(desc), 0o600))
			model := make([]byte, 1<<20)
			for i, v := range []byte{1, 0, 3} {
				copy(model[i*c.unit*512:], bytes.Repeat([]byte{v}, c.unit*512))
			}
			b, closed, err := format.Open(t, name, block.Mode{ReadOnly: true})
			require.NoError(t, err)
			got := make([]byte, len(model))
			require.NoError(t, b.Read(ctx, 0, got))
			closed()
			require.True(t, bytes.Equal(model, got))
			format.Compare(t, name, model)
		})
	}
}

// TestParallel lets many write to the same grains at once, each to sectors of its own.
func TestParallel(t *testing.T) {
	const size = 4 << 20
	format.Parallel(t, size, 4096)
}

// FuzzOpen opens images with broken headers, descriptors and tables, reads and writes.
func FuzzOpen(f *testing.F) {
	for _, kind := range []string{"monolithicSparse", "streamOptimized"} {
		name := filepath.Join(f.TempDir(), "seed")
		format.Create(f, name, 3<<20, "subformat", kind)
		d, closed, err := format.Open(f, name, block.Mode{})
		require.NoError(f, err)
		require.NoError(f, d.WriteCompressed(ctx, 64<<10, [][]byte{bytes.Repeat([]byte{9}, 64<<10)}))
		closed()
		seed, err := os.ReadFile(name)
		require.NoError(f, err)
		f.Add(seed, uint32(20), []byte{0xff, 0xff, 0xff, 0, 0, 0, 0, 0})
		f.Add(seed, uint32(12), []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
		f.Add(seed, uint32(56), bytes.Repeat([]byte{0xff}, 8))
		f.Add(seed, uint32(64<<10), []byte{1, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f})
	}
	f.Add([]byte("# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\nRW 2048 FLAT \"f\" 0\n"), uint32(0), []byte("#"))
	f.Add([]byte("version=1\nCID=1\nparentCID=2\ncreateType=\"vmfs\"\nparentFileNameHint=\"f\"\nRW 99 VMFS \"f\"\n"), uint32(0), []byte("v"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte, at uint32, patch []byte) {
		if len(b) == 0 {
			return
		}
		b = bytes.Clone(b)
		copy(b[int(at)%len(b):], patch)
		name := filepath.Join(dir, "f")
		require.NoError(t, os.WriteFile(name, b, 0o600))
		d, closed, err := format.Open(t, name, block.Mode{NoFlush: true}) // flushes take long, and find nothing
		if err != nil {
			return
		}
		defer closed()
		info, _ := d.Node().Info()
		if n, err := d.Length(ctx); err == nil && n >= 1024 && info.ClusterSize <= 1<<20 { // a grain is written as a whole
			_ = d.Read(ctx, 0, make([]byte, 1024))
			_ = d.Write(ctx, n-512, make([]byte, 512), 0)
		}
		if n, _ := d.Length(ctx); n < 1<<28 {
			_, _ = d.Node().State().(block.Checker).Check(ctx, 0)
		}
	})
}
