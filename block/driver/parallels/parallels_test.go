package parallels_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/block"
	"goemu/block/driver/formattest"
)

const format = formattest.Format("parallels")

// TestModel writes and reads at random, closing the image now and then, and compares with a plain array.
func TestModel(t *testing.T) {
	const size = 9<<20 + 3*512
	for _, cluster := range []string{"1M", "3584"} {
		t.Run("cluster_size="+cluster, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "a.parallels")
			format.Create(t, name, size, "cluster_size", cluster)
			model := make([]byte, size)
			format.Work(t, name, model, 3000)
		})
	}
}

// TestParallel lets many write to the same blocks at once, each to sectors of its own.
func TestParallel(t *testing.T) {
	const size = 8 << 20
	name := filepath.Join(t.TempDir(), "a.parallels")
	format.Create(t, name, size)
	format.WriteParallel(t, name, size, 4096)
}

// FuzzOpen opens images with broken headers and maps, reads and writes.
func FuzzOpen(f *testing.F) {
	name := filepath.Join(f.TempDir(), "seed")
	format.Create(f, name, 64<<10, "cluster_size", "512")
	seed, err := os.ReadFile(name)
	require.NoError(f, err)
	f.Add(seed, uint16(36), []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Add(seed, uint16(28), []byte{0xff, 0xff, 0x3f, 0, 0xff, 0xff, 0xff, 0x1f})
	f.Add(seed, uint16(64), []byte{0xff, 0xff, 0xff, 0xff, 3, 0, 0, 0})
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte, at uint16, patch []byte) {
		b = append(bytes.Clone(b), make([]byte, max(0, 1024-len(b)))...)
		copy(b[int(at)%len(b):], patch)
		format.Try(t, filepath.Join(dir, "f"), b, block.Mode{}, formattest.Check)
	})
}
