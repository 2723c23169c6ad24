package vpc_test

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
func disk(t testing.TB, name string) (*block.Backend, func(), error) {
	g := block.NewGraph(driver.All())
	g.Messages = new(bytes.Buffer)
	g.Lock()
	defer g.Unlock()
	n, err := g.Open(ctx, "", block.OptionsOf("driver", "vpc", "file.driver", "file", "file.filename", name), block.Mode{})
	if err != nil {
		return nil, nil, err
	}
	b := g.NewBackend("", "", block.PermConsistentRead|block.PermWrite, block.PermAll)
	require.NoError(t, b.Insert(n))
	g.Unref(n)
	return b, func() { g.Lock(); b.Delete(); g.Unlock() }, nil
}

func create(t testing.TB, name string, size int64, subformat string) {
	g := block.NewGraph(driver.All())
	g.Lock()
	defer g.Unlock()
	require.NoError(t, g.Create(ctx, g.FindDriver("vpc"), name, size, block.OptionsOf("subformat", subformat, "force_size", "on")))
}

// judge lets QEMU compare the image's content.
func judge(t *testing.T, name string, content []byte) {
	t.Helper()
	testprog.Need(t, "qemu-img")
	raw := name + ".raw"
	require.NoError(t, os.WriteFile(raw, content, 0o600))
	out, err := exec.Command("qemu-img", "compare", "-f", "vpc", "-F", "raw", name, raw).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// TestModel writes and reads at random, closing the image now and then, and compares with a plain array.
func TestModel(t *testing.T) {
	const size = 17<<20 + 3*512
	for _, subformat := range []string{"dynamic", "fixed"} {
		t.Run(subformat, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "a.vpc")
			create(t, name, size, subformat)
			model := make([]byte, size)
			r := rand.New(rand.NewPCG(1, 1))
			for range 4 {
				b, closed, err := disk(t, name)
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
	const size, writers = 16 << 20, 8
	name := filepath.Join(t.TempDir(), "a.vpc")
	create(t, name, size, "dynamic")
	b, closed, err := disk(t, name)
	require.NoError(t, err)
	model := make([]byte, size)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for off := int64(w) * 16384; off < size; off += writers * 16384 {
				part := model[off : off+16384]
				for i := range part {
					part[i] = byte(off>>14) | 1
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

// FuzzOpen opens images with broken headers and tables, reads and writes. The footer's checksum is made right.
func FuzzOpen(f *testing.F) {
	name := filepath.Join(f.TempDir(), "seed")
	create(f, name, 6<<20, "dynamic")
	seed, err := os.ReadFile(name)
	require.NoError(f, err)
	f.Add(seed, uint16(48), []byte("\x00\x00"))
	f.Add(seed, uint16(540), []byte{0x7f, 0xff, 0xff, 0xff, 0, 0, 2, 0})
	f.Add(seed, uint16(1536), []byte{0, 0, 0, 3, 0x7f})
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte, at uint16, patch []byte) {
		b = append(bytes.Clone(b), make([]byte, max(0, 2048-len(b)))...)
		copy(b[int(at)%len(b):], patch)
		var sum uint32
		for i, v := range b[:512] {
			if i < 64 || i >= 68 {
				sum += uint32(v)
			}
		}
		sum = ^sum
		copy(b[64:], []byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)})
		name := filepath.Join(dir, "f")
		require.NoError(t, os.WriteFile(name, b, 0o600))
		d, closed, err := disk(t, name)
		if err != nil {
			return
		}
		defer closed()
		if n, err := d.Length(ctx); err == nil && n >= 1024 {
			_ = d.Read(ctx, 0, make([]byte, 1024))
			_ = d.Write(ctx, n-512, make([]byte, 512), 0)
		}
	})
}
