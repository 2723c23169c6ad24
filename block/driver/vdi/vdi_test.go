package vdi_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/block"
	"goemu/block/driver"
	"goemu/internal/testprog"
)

var ctx = context.Background()

// disk opens an image with a backend on it.
func disk(t testing.TB, name string, m block.Mode) (*block.Backend, func(), error) {
	g := block.NewGraph(driver.All())
	g.Messages = new(bytes.Buffer)
	g.Lock()
	defer g.Unlock()
	n, err := g.Open(ctx, "", block.OptionsOf("driver", "vdi", "file.driver", "file", "file.filename", name), m)
	if err != nil {
		return nil, nil, err
	}
	perm := block.PermConsistentRead
	if !m.ReadOnly {
		perm |= block.PermWrite
	}
	b := g.NewBackend("", "", perm, block.PermAll)
	require.NoError(t, b.Insert(n))
	g.Unref(n)
	return b, func() { g.Lock(); b.Delete(); g.Unlock() }, nil
}

func create(t testing.TB, name string, size int64, static string) {
	g := block.NewGraph(driver.All())
	g.Lock()
	defer g.Unlock()
	require.NoError(t, g.Create(ctx, g.FindDriver("vdi"), name, size, block.OptionsOf("static", static)))
}

// judge lets QEMU check the image and compare its content.
func judge(t *testing.T, name string, content []byte) {
	t.Helper()
	testprog.Need(t, "qemu-img")
	raw := name + ".raw"
	require.NoError(t, os.WriteFile(raw, content, 0o600))
	for _, args := range [][]string{{"check", "-f", "vdi", name}, {"compare", "-f", "vdi", "-F", "raw", name, raw}} {
		out, err := exec.Command("qemu-img", args...).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
}

// TestModel writes and reads at random, closing the image now and then, and compares with a plain array.
func TestModel(t *testing.T) {
	const size = 9<<20 + 3*512
	for _, static := range []string{"off", "on"} {
		t.Run("static="+static, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "a.vdi")
			create(t, name, size, static)
			model := make([]byte, size)
			r := rand.New(rand.NewPCG(1, 1))
			for range 4 {
				b, closed, err := disk(t, name, block.Mode{})
				require.NoError(t, err)
				for range 25 {
					off := r.Int64N(size/512) * 512
					n := min((1+r.Int64N(3000))*512, size-off)
					got := make([]byte, n)
					switch r.IntN(4) {
					case 0, 1:
						got = bytes.Repeat([]byte{byte(1 + r.IntN(255))}, int(n))
						require.NoError(t, b.Write(ctx, off, got, 0))
						copy(model[off:], got)
					case 2:
						require.NoError(t, b.WriteZeroes(ctx, off, n, 0))
						clear(model[off : off+n])
					case 3:
						require.NoError(t, b.Read(ctx, off, got))
						require.True(t, bytes.Equal(model[off:off+n], got), "at %#x", off)
					}
				}
				closed()
				judge(t, name, model)
			}
		})
	}
}

// TestParallel lets many write to the same blocks at once, each to sectors of its own.
func TestParallel(t *testing.T) {
	const size, writers = 8 << 20, 8
	name := filepath.Join(t.TempDir(), "a.vdi")
	create(t, name, size, "off")
	b, closed, err := disk(t, name, block.Mode{})
	require.NoError(t, err)
	model := make([]byte, size)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for off := int64(w) * 4096; off < size; off += writers * 4096 {
				part := model[off : off+4096]
				for i := range part {
					part[i] = byte(off>>12) | 1
				}
				if b.Write(ctx, off, part, 0) != nil {
					t.Error("a write failed")
				}
			}
		})
	}
	wg.Wait()
	closed()
	judge(t, name, model)
}

// FuzzOpen opens images with broken headers and maps, reads and writes.
func FuzzOpen(f *testing.F) {
	name := filepath.Join(f.TempDir(), "seed")
	create(f, name, 3<<20, "off")
	seed, err := os.ReadFile(name)
	require.NoError(f, err)
	f.Add(seed, uint16(64), []byte("xx"))
	f.Add(seed, uint16(384), []byte{0xff, 0xff, 0xff, 0x1f})
	f.Add(seed, uint16(512), []byte{0, 0, 0, 0, 0xfd, 0xff, 0xff, 0xff})
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte, at uint16, patch []byte) {
		b = append(bytes.Clone(b), make([]byte, max(0, 1024-len(b)))...)
		copy(b[int(at)%len(b):], patch)
		name := filepath.Join(dir, "f")
		require.NoError(t, os.WriteFile(name, b, 0o600))
		d, closed, err := disk(t, name, block.Mode{})
		if err != nil {
			return
		}
		defer closed()
		if n, err := d.Length(ctx); err == nil && n >= 1024 {
			_ = d.Read(ctx, 0, make([]byte, 1024))
			_ = d.Write(ctx, n-512, make([]byte, 512), 0)
		}
		_, _ = d.Node().State().(block.Checker).Check(ctx, 0)
	})
}
