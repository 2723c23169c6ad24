package qcow_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/block"
	"goemu/block/driver/formattest"
)

const format = formattest.Format("qcow")

// TestModel writes and reads at random, closing the image now and then, and compares with a plain array.
func TestModel(t *testing.T) {
	const size = 5<<20 + 3*512
	for _, backing := range []bool{false, true} {
		t.Run(map[bool]string{false: "plain", true: "with a parent"}[backing], func(t *testing.T) {
			dir := t.TempDir()
			name := filepath.Join(dir, "a.qcow")
			model := make([]byte, size)
			var options []any
			if backing {
				model = format.CreateParent(t, filepath.Join(dir, "p.qcow"), size)
				options = []any{"backing_file", "p.qcow"}
			}
			format.Create(t, name, size, options...)
			format.Work(t, name, model, 300)
		})
	}
}

// TestParallel lets many write to the same clusters at once, each to sectors of its own.
func TestParallel(t *testing.T) {
	const size = 2 << 20
	format.Parallel(t, size, 1024)
}

// FuzzOpen opens images with broken headers and tables, reads and writes.
func FuzzOpen(f *testing.F) {
	name := filepath.Join(f.TempDir(), "seed")
	format.Create(f, name, 64<<10)
	b, closed, err := format.Open(f, name, block.Mode{})
	require.NoError(f, err)
	require.NoError(f, b.Write(f.Context(), 0, []byte{512: 1}[:512], 0))
	closed()
	seed, err := os.ReadFile(name)
	require.NoError(f, err)
	f.Add(seed, uint16(24), []byte{0x7f, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Add(seed, uint16(32), []byte{16, 13})
	f.Add(seed, uint16(40), []byte{0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Add(seed, uint16(48), []byte{0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Add(seed, uint16(8192), []byte{0xff, 0xff})
	format.FuzzChanged(f, 1024, block.Mode{NoBacking: true}, nil, nil)
}
