package filter_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/block"
	"goemu/block/job/jobtest"
)

const surplus = 8 << 20 // prealloc-size of the tests

// length is the length of a file of the host in bytes.
func length(t *testing.T, path string) int64 {
	t.Helper()
	s, err := os.Stat(path)
	require.NoError(t, err)
	return s.Size()
}

// TestPreallocateQcow2 writes an image above the filter: its file is longer than needed until only readers are left.
func TestPreallocateQcow2(t *testing.T) {
	b := jobtest.New(t)
	b.Create("a", "")
	small := length(t, b.Path("a"))
	model := make([]byte, jobtest.Size)
	a := b.Disk(b.Open("a", "file.driver", "preallocate", "file.node-name", "f", "file.prealloc-size", int64(surplus), "file.file.driver", "file",
		"file.file.filename", b.Path("a")))
	b.Scribble(a, model, 1, 30)
	require.Greater(t, length(t, b.Path("a")), int64(surplus))
	b.Locked(func() { require.NoError(t, a.SetPerm(block.PermConsistentRead, block.PermAll)) })
	b.Locked(func() { require.NoError(t, b.Graph.SetReadOnly(context.Background(), b.Graph.Find("a"), true)) })
	require.Less(t, length(t, b.Path("a")), small+jobtest.Size+5*jobtest.Cluster)
	require.Equal(t, model, b.Content(a))
	b.Judge("a")
}

// TestPreallocateRaw compares what is read and the length with a plain array, over writes, zeroes and new lengths at random.
func TestPreallocateRaw(t *testing.T) {
	ctx := context.Background()
	path := t.TempDir() + "/raw"
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	b := jobtest.New(t)
	n := b.Open("a", "driver", "preallocate", "prealloc-size", int64(surplus), "prealloc-align", int64(4096), "file.driver", "file", "file.filename", path)
	var d *block.Backend
	b.Locked(func() {
		d = b.Graph.NewBackend("", "", block.PermConsistentRead|block.PermWrite|block.PermResize, block.PermConsistentRead)
		require.NoError(t, d.Insert(n))
		d.AllowBeyondEOF(true)
	})
	var model []byte
	r := rand.New(rand.NewPCG(1, 2))
	for range 400 {
		off := r.Int64N(int64(len(model))/512+8) * 512
		n := (1 + r.Int64N(64)) * 512
		grow := func(end int64) {
			if missing := end - int64(len(model)); missing > 0 {
				model = append(model, make([]byte, missing)...)
			}
		}
		switch r.IntN(6) {
		case 0, 1:
			data := bytes.Repeat([]byte{byte(1 + r.IntN(255))}, int(n))
			require.NoError(t, d.Write(ctx, off, data, 0))
			grow(off + n)
			copy(model[off:], data)
		case 2, 3:
			require.NoError(t, d.WriteZeroes(ctx, off, n, []block.Flags{0, block.MayUnmap}[r.IntN(2)]))
			grow(off + n)
			clear(model[off : off+n])
		case 4:
			p := []block.Prealloc{block.PreallocOff, block.PreallocFalloc, block.PreallocFull}[r.IntN(3)]
			end := int64(len(model)) + n
			require.NoError(t, d.Truncate(ctx, end, true, p, false))
			grow(end)
		case 5:
			if r.IntN(4) == 0 {
				end := off / 1024 * 512
				require.NoError(t, d.Truncate(ctx, end, true, block.PreallocOff, false))
				model = model[:min(end, int64(len(model)))]
				grow(end)
			}
		}
		got, err := d.Length(ctx)
		require.NoError(t, err)
		require.EqualValues(t, len(model), got)
		read := make([]byte, got)
		require.NoError(t, d.Read(ctx, 0, read))
		require.True(t, bytes.Equal(model, read))
	}
	require.GreaterOrEqual(t, length(t, path), int64(len(model)))
	b.Locked(d.Delete)
	require.EqualValues(t, len(model), length(t, path))
}

// TestPreallocateOptions asks for lengths that the file cannot have.
func TestPreallocateOptions(t *testing.T) {
	b := jobtest.New(t)
	b.Locked(func() {
		_, err := b.Graph.Open(context.Background(), "", block.OptionsOf("driver", "preallocate", "prealloc-align", int64(100), "file.driver", "null-co"), block.Mode{})
		require.EqualError(t, err, "prealloc-align parameter of preallocate filter is not aligned to 512")
		_, err = b.Graph.Open(context.Background(), "", block.OptionsOf("driver", "preallocate", "prealloc-align", int64(512), "file.driver", "blkdebug",
			"file.align", int64(4096), "file.image.driver", "null-co"), block.Mode{})
		require.EqualError(t, err, "prealloc-align parameter of preallocate filter is not aligned to underlying node request alignment (4096)")
	})
}
