package driver_test

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// TestCacheDropped: a file that becomes ours is not in the page cache any more, unless the user wants that; one that stays there although it
// must not is refused.
func TestCacheDropped(t *testing.T) {
	file := image(t, 1<<20)
	var st unix.Statfs_t
	if err := unix.Statfs(file, &st); err != nil || st.Type == unix.TMPFS_MAGIC {
		t.Skipf("ORACLE MISSING: files under %s have no page cache of their own", file)
	}
	fd, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer fd.Close()
	if _, err := fd.WriteAt(make([]byte, 1<<20), 0); err != nil {
		t.Fatal(err)
	}
	g, _ := newGraph(t)
	g.SetInMigrate(true)
	n := open(t, g, block.Mode{Inactive: true}, "driver", "file", "node-name", "n", "filename", file, "x-check-cache-dropped", true)
	held, err := unix.Mmap(int(fd.Fd()), 0, 4096, unix.PROT_READ, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Activate(t.Context()); err == nil || err.Error() != "page cache still in use!" {
		t.Errorf("a page that somebody has mapped: %v", err)
	}
	if !n.Inactive() {
		t.Error("active after a failure")
	}
	if err := unix.Munmap(held); err != nil {
		t.Fatal(err)
	}
	if err := n.Activate(t.Context()); err != nil {
		t.Error(err)
	}
	kept := open(t, g, block.Mode{Inactive: true}, "driver", "file", "node-name", "k", "filename", file, "x-check-cache-dropped", true, "drop-cache", false, "read-only", true)
	if _, err := fd.ReadAt(make([]byte, 4096), 0); err != nil {
		t.Fatal(err)
	}
	if err := kept.Activate(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestFixedOptions: what a file was opened with beyond its cache is neither changed nor reset by a reopen.
func TestFixedOptions(t *testing.T) {
	g, _ := newGraph(t)
	file := image(t, 1<<20)
	n := open(t, g, block.Mode{}, "driver", "file", "node-name", "n", "filename", file, "locking", "off", "x-check-cache-dropped", true)
	for _, c := range []struct {
		options []any
		want    string
	}{
		{[]any{"locking", "off"}, ""},
		{[]any{"locking", "on"}, "Cannot change the option 'locking'"},
		{nil, "Option 'locking' cannot be reset to its default value"},
		{[]any{"locking", "off", "aio", "native"}, "Cannot change the option 'aio'"},
		{[]any{"locking", "off", "force-share", true}, "Cannot change the option 'force-share'"},
		{[]any{"locking", "off", "drop-cache", false}, ""},
	} {
		o := block.OptionsOf(append([]any{"driver", "file", "node-name", "n", "filename", file}, c.options...)...)
		err := g.Reopen(t.Context(), block.ReopenRequest{Node: n, Options: o})
		if err == nil && c.want != "" || err != nil && err.Error() != c.want {
			t.Errorf("%v: %v, want %q", c.options, err, c.want)
		}
	}
}
