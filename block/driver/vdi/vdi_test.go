package vdi_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/block"
	"goemu/block/driver/formattest"
)

const format = formattest.Format("vdi")

// TestModel writes and reads at random, closing the image now and then, and compares with a plain array.
func TestModel(t *testing.T) {
	const size = 9<<20 + 3*512
	for _, static := range []string{"off", "on"} {
		t.Run("static="+static, func(t *testing.T) {
			format.Model(t, size, 3000, "static", static)
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
	format.Create(f, name, 3<<20)
	seed, err := os.ReadFile(name)
	require.NoError(f, err)
	f.Add(seed, uint16(64), []byte("xx"))
	f.Add(seed, uint16(384), []byte{0xff, 0xff, 0xff, 0x1f})
	f.Add(seed, uint16(512), []byte{0, 0, 0, 0, 0xfd, 0xff, 0xff, 0xff})
	format.FuzzChanged(f, 1024, block.Mode{}, nil, formattest.Check)
}
