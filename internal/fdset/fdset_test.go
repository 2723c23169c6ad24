package fdset

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// open returns a descriptor of a new file.
func open(t *testing.T, flags int) int {
	t.Helper()
	fd, err := unix.Open(filepath.Join(t.TempDir(), "f"), flags|unix.O_CREAT, 0o600)
	require.NoError(t, err)
	return fd
}

func TestSets(t *testing.T) {
	var tab Table
	r, w := open(t, unix.O_RDONLY), open(t, unix.O_WRONLY)
	assert.EqualValues(t, 0, tab.Add(-1, r, ""))
	assert.EqualValues(t, 0, tab.Add(0, w, "log"))
	assert.EqualValues(t, 1, tab.Add(-1, open(t, unix.O_RDONLY), ""))
	assert.Equal(t, []Member{{w, "log"}, {r, ""}}, tab.Sets()[0].FDs)

	fd, err := tab.Open("/dev/fdset/0", unix.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = unix.Write(fd, []byte("x"))
	assert.NoError(t, err)
	unix.Close(fd)
	_, err = tab.Open("/dev/fdset/0", unix.O_RDWR, 0)
	assert.Equal(t, unix.EACCES, err)
	_, err = tab.Open("/dev/fdset/7", unix.O_RDONLY, 0)
	assert.Equal(t, unix.ENOENT, err)
	_, err = tab.Open("/dev/fdset/x", unix.O_RDONLY, 0)
	assert.Equal(t, unix.EINVAL, err)

	assert.False(t, tab.Remove(0, 9999))
	assert.True(t, tab.Remove(0, -1))
	assert.False(t, tab.Remove(0, -1))
	assert.Len(t, tab.Sets(), 1)
}

func TestNamed(t *testing.T) {
	var tab Table
	first, second := open(t, unix.O_RDONLY), open(t, unix.O_RDONLY)
	tab.SetNamed("a", first)
	tab.SetNamed("a", second)
	_, err := os.Stat("/proc/self/fd/" + strconv.Itoa(first))
	assert.Error(t, err, "the descriptor that was replaced is closed")
	fd, ok := tab.TakeNamed("a")
	assert.True(t, ok)
	assert.Equal(t, second, fd)
	_, ok = tab.TakeNamed("a")
	assert.False(t, ok)
	unix.Close(second)
}
