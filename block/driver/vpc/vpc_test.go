package vpc_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/block"
	"goemu/block/driver/formattest"
)

const format = formattest.Format("vpc")

// TestModel writes and reads at random, closing the image now and then, and compares with a plain array.
func TestModel(t *testing.T) {
	const size = 17<<20 + 3*512
	for _, subformat := range []string{"dynamic", "fixed"} {
		t.Run(subformat, func(t *testing.T) {
			format.Model(t, size, 3000, "subformat", subformat, "force_size", "on")
		})
	}
}

// TestParallel lets many write to the same blocks at once, each to sectors of its own.
func TestParallel(t *testing.T) {
	const size = 16 << 20
	format.Parallel(t, size, 16384, "force_size", "on")
}

// FuzzOpen opens images with broken headers and tables, reads and writes. The footer's checksum is made right.
func FuzzOpen(f *testing.F) {
	name := filepath.Join(f.TempDir(), "seed")
	format.Create(f, name, 6<<20, "force_size", "on")
	seed, err := os.ReadFile(name)
	require.NoError(f, err)
	f.Add(seed, uint16(48), []byte("\x00\x00"))
	f.Add(seed, uint16(540), []byte{0x7f, 0xff, 0xff, 0xff, 0, 0, 2, 0})
	f.Add(seed, uint16(1536), []byte{0, 0, 0, 3, 0x7f})
	format.FuzzChanged(f, 2048, block.Mode{}, func(b []byte) {
		var sum uint32
		for i, v := range b[:512] {
			if i < 64 || i >= 68 {
				sum += uint32(v)
			}
		}
		sum = ^sum
		copy(b[64:], []byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)})
	}, nil)
}
