package qed_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/block"
	"goemu/block/driver/formattest"
	"goemu/internal/testprog"
)

var ctx = context.Background()

const format = formattest.Format("qed")

// TestModel writes and reads at random, closing the image now and then, and compares with a plain array.
func TestModel(t *testing.T) {
	const size = 5<<20 + 3*512
	for _, c := range []struct {
		name    string
		backing bool
		options []any
	}{
		{"plain", false, nil},
		{"small clusters", false, []any{"cluster_size", "4k", "table_size", "2"}},
		{"large tables", false, []any{"table_size", "16"}},
		{"with a parent", true, []any{"backing_file", "p.qed"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			name := filepath.Join(dir, "a.qed")
			model := make([]byte, size)
			if c.backing {
				model = format.CreateParent(t, filepath.Join(dir, "p.qed"), size)
			}
			format.Create(t, name, size, c.options...)
			format.Work(t, name, model, 600)
		})
	}
}

// TestParallel lets many write to the same grains at once, each to sectors of its own.
func TestParallel(t *testing.T) {
	const size = 4 << 20
	format.Parallel(t, size, 4096)
}

// TestNotClosed: an image whose user did not come to close it is checked, and repaired, when it is opened the next time.
func TestNotClosed(t *testing.T) {
	const size, needCheck = 4 << 20, 2
	dir := t.TempDir()
	name := filepath.Join(dir, "a.qed")
	format.Create(t, name, size)
	b, closed, err := format.Open(t, name, block.Mode{})
	require.NoError(t, err)
	model := append(bytes.Repeat([]byte{3}, 1<<20), make([]byte, size-1<<20)...)
	require.NoError(t, b.Write(ctx, 0, model[:1<<20], 0))
	info, _ := b.Node().Info()
	require.True(t, info.Dirty)
	left, err := os.ReadFile(name)
	require.NoError(t, err)
	closed()
	after, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Zero(t, after[16]&needCheck)
	require.NotZero(t, left[16]&needCheck)

	for _, opened := range []string{"goemu", "QEMU"} {
		other := filepath.Join(dir, opened)
		require.NoError(t, os.WriteFile(other, left, 0o600))
		if opened == "QEMU" {
			testprog.Need(t, "qemu-io")
			out, err := exec.Command("qemu-io", "-f", "qed", "-c", "read 0 1M", other).CombinedOutput()
			require.NoError(t, err, "%s", out)
		} else {
			b, closed, err := format.Open(t, other, block.Mode{})
			require.NoError(t, err)
			info, _ := b.Node().Info()
			require.False(t, info.Dirty)
			closed()
		}
		b, err := os.ReadFile(other)
		require.NoError(t, err)
		require.Zero(t, b[16]&needCheck, opened)
	}
}

// TestRepair compares with QEMU what a check finds in broken tables, and what is left when it has repaired them.
func TestRepair(t *testing.T) {
	const size = 4 << 20
	dir := t.TempDir()
	name := filepath.Join(dir, "a.qed")
	format.Create(t, name, size)
	b, closed, err := format.Open(t, name, block.Mode{})
	require.NoError(t, err)
	require.NoError(t, b.Write(ctx, 0, bytes.Repeat([]byte{3}, 1<<20), 0))
	closed()
	good, err := os.ReadFile(name)
	require.NoError(t, err)
	const l1 = 64 << 10
	l2 := binary.LittleEndian.Uint64(good[l1:])
	for _, c := range []struct {
		at uint64
		v  uint64
	}{{l2, 12345}, {l2 + 8, 1 << 40}, {l2 + 16, 64 << 10}, {l2 + 24, l2 + 64<<10}, {l2 + 32, 0}, {l1, 77}, {l1 + 8, l2}, {l1 + 16, 1 << 50}} {
		t.Run(fmt.Sprintf("%x=%x", c.at, c.v), func(t *testing.T) {
			bad := bytes.Clone(good)
			binary.LittleEndian.PutUint64(bad[c.at:], c.v)
			ours, theirs := filepath.Join(t.TempDir(), "ours"), filepath.Join(t.TempDir(), "theirs")
			for _, fix := range []block.CheckFix{0, block.FixErrors | block.FixLeaks} {
				require.NoError(t, os.WriteFile(ours, bad, 0o600))
				require.NoError(t, os.WriteFile(theirs, bad, 0o600))
				d, closed, err := format.Open(t, ours, block.Mode{ReadOnly: fix == 0, Check: true})
				require.NoError(t, err)
				res, err := d.Node().State().(block.Checker).Check(ctx, fix)
				require.NoError(t, err)
				closed()
				testprog.Need(t, "qemu-img")
				args := []string{"check", "--output=json", "-f", "qed", theirs}
				if fix != 0 {
					args = append(args, "-r", "all")
				}
				out, _ := exec.Command("qemu-img", args...).CombinedOutput()
				var said struct {
					Corruptions, Leaks, CheckErrors int
					Fixed                           int `json:"corruptions-fixed"`
				}
				require.NoError(t, json.Unmarshal(out[bytes.IndexByte(out, '{'):bytes.LastIndexByte(out, '}')+1], &said), "%s", out)
				if fix == 0 { // after a repair QEMU checks again
					require.Equal(t, said.Corruptions, res.Corruptions, "%s", out)
					require.Equal(t, said.Leaks, res.Leaks, "%s", out)
				}
				require.Equal(t, said.Fixed, res.CorruptionsFixed, "%s", out)
			}
			a, err := os.ReadFile(ours)
			require.NoError(t, err)
			b, err := os.ReadFile(theirs)
			require.NoError(t, err)
			require.True(t, bytes.Equal(a, b), "the repaired images differ")
		})
	}
}

// FuzzOpen opens images with broken headers and tables, reads, checks and writes.
func FuzzOpen(f *testing.F) {
	name := filepath.Join(f.TempDir(), "seed")
	format.Create(f, name, 3<<20, "cluster_size", "4k", "table_size", "2")
	d, closed, err := format.Open(f, name, block.Mode{})
	require.NoError(f, err)
	require.NoError(f, d.Write(ctx, 64<<10, make([]byte, 64<<10), 0))
	closed()
	seed, err := os.ReadFile(name)
	require.NoError(f, err)
	f.Add(uint32(4), []byte{0, 0, 0, 4})
	f.Add(uint32(8), []byte{16, 0, 0, 0, 0xff, 0xff})
	f.Add(uint32(16), []byte{7, 0, 0, 0, 0, 0, 0, 0, 1})
	f.Add(uint32(48), bytes.Repeat([]byte{0xff}, 8))
	f.Add(uint32(4096), []byte{0, 0x10})
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, at uint32, patch []byte) {
		b := bytes.Clone(seed)
		copy(b[int(at)%len(b):], patch)
		format.Try(t, filepath.Join(dir, "f"), b, block.Mode{NoFlush: true}, formattest.Check) // flushes take long, and find nothing
	})
}
