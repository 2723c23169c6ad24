package parallels_test

import (
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
			format.Model(t, size, 3000, "cluster_size", cluster)
		})
	}
}

// TestParallel lets many write to the same blocks at once, each to sectors of its own.
func TestParallel(t *testing.T) {
	const size = 8 << 20
	format.Parallel(t, size, 4096)
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
	format.FuzzChanged(f, 1024, block.Mode{}, nil, formattest.Check)
}
