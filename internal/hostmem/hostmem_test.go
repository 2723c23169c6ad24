package hostmem

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/internal/userobj"
	"goemu/qapi"
)

func newSet() *userobj.Set {
	return &userobj.Set{Types: Types(func() Defaults { return Defaults{CPUs: 3, Merge: true, Dump: true} })}
}

// TestFile: what is written to memory is in its file, whose contents are there from the start; a folder gets a file that nobody sees.
func TestFile(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "m")
	for _, want := range []byte{0, 7} {
		set := newSet()
		require.NoError(t, set.Add(qapi.NewObject("qom-type", "memory-backend-file", "id", "m", "size", uint64(8<<10), "mem-path", name, "share", true, "prealloc", true)))
		b := set.Find("m").(*Backend)
		block, err := b.Take()
		require.NoError(t, err)
		require.Equal(t, want, block.Bytes()[4097])
		block.Bytes()[4097] = 7
		_, err = b.Take()
		require.ErrorContains(t, err, "can't use already busy memdev: m")
		require.ErrorContains(t, set.Remove("m"), "object 'm' is in use, can not be deleted")
		b.Release()
		require.NoError(t, set.Remove("m"))
	}
	data, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Len(t, data, 8<<10)
	require.Equal(t, byte(7), data[4097])

	require.NoError(t, os.Remove(name))
	set := newSet()
	require.NoError(t, set.Add(qapi.NewObject("qom-type", "memory-backend-file", "id", "m", "size", uint64(8<<10), "mem-path", dir)))
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
	set.Close()
}

// TestDefaults: objects know what the machine says, and keep the size that was given.
func TestDefaults(t *testing.T) {
	set := newSet()
	defer set.Close()
	require.NoError(t, set.Add(qapi.NewObject("qom-type", "memory-backend-memfd", "id", "m", "size", uint64(64<<10), "merge", false)))
	b := set.Find("m").(*Backend)
	require.Equal(t, Flags{Dump: true, Share: true, Reserve: true}, b.Flags())
	require.Equal(t, uint64(64<<10), b.Size())
	require.Equal(t, "default", b.Policy())
}
