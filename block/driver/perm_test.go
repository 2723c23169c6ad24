package driver_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"goemu/block"
	"goemu/internal/testprog"
)

const (
	read   = block.PermConsistentRead
	write  = block.PermWrite
	resize = block.PermResize
	all    = block.PermAll
)

// image makes an empty image file.
func image(t testing.TB, size int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.img")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	return path
}

// open opens a node; the reference is dropped at the end of the test.
func open(t testing.TB, g *block.Graph, m block.Mode, pairs ...any) *block.Node {
	t.Helper()
	n, err := g.Open(t.Context(), "", block.OptionsOf(pairs...), m)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Unref(n) })
	return n
}

// backend makes a backend on the node.
func backend(t testing.TB, g *block.Graph, n *block.Node, name string, perm, shared block.Perm) (*block.Backend, error) {
	t.Helper()
	b := g.NewBackend(name, "", perm, shared)
	err := b.Insert(n)
	t.Cleanup(b.Delete)
	return b, err
}

func TestConflictTexts(t *testing.T) {
	img := image(t, 1<<20)
	g, _ := newGraph(t)
	prot := open(t, g, block.Mode{}, "driver", "file", "filename", img, "node-name", "prot")
	fmt := open(t, g, block.Mode{}, "driver", "raw", "file", "prot", "node-name", "fmt")
	if _, err := backend(t, g, fmt, "drive0", read|write, read|block.PermWriteUnchanged|resize); err != nil {
		t.Fatal(err)
	}
	_, err := backend(t, g, fmt, "", read|write, all)
	want := "Permission conflict on node 'fmt': permissions 'write' are both required by an unnamed block device (uses node 'fmt' as 'root' child) " +
		"and unshared by block device 'drive0' (uses node 'fmt' as 'root' child)."
	if err == nil || err.Error() != want {
		t.Errorf("\n%v, want\n%s", err, want)
	}
	if _, err = backend(t, g, prot, "", read|write, all); err == nil || !strings.HasPrefix(err.Error(),
		"Permission conflict on node 'prot': permissions 'write' are both required by an unnamed block device (uses node 'prot' as 'root' child) "+
			"and unshared by node 'fmt' (uses node 'prot' as 'file' child).") {
		t.Errorf("%v", err)
	}
	if _, err = backend(t, g, fmt, "", read, all); err != nil { // a failure left nothing behind
		t.Error(err)
	}
	if len(fmt.Parents()) != 2 || len(prot.Parents()) != 1 {
		t.Errorf("parents: %d %d", len(fmt.Parents()), len(prot.Parents()))
	}
}

func TestReadOnlyRefusesWriters(t *testing.T) {
	g, _ := newGraph(t)
	n := open(t, g, block.Mode{ReadOnly: true}, "driver", "raw", "file.driver", "file", "file.filename", image(t, 4096))
	b, err := backend(t, g, n, "", read, all)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.SetPerm(read|write, all); err == nil || err.Error() != "Block node is read-only" {
		t.Error(err)
	}
	if err := b.Write(t.Context(), 0, []byte("x"), 0); block.Errno(err) != 1 {
		t.Error(err)
	}
}

// qemuIO runs commands on an image by Debian's qemu-io.
func qemuIO(t *testing.T, args ...string) string {
	t.Helper()
	out, _ := exec.Command("timeout", append([]string{"-k", "3", "10", "qemu-io"}, args...)...).CombinedOutput()
	return string(out)
}

func TestLocksAgainstQEMU(t *testing.T) {
	testprog.Need(t, "qemu-io")
	img := image(t, 1<<20)
	g, _ := newGraph(t)
	n := open(t, g, block.Mode{}, "driver", "raw", "file.driver", "file", "file.filename", img)
	if out := qemuIO(t, "-f", "raw", "-c", "write 0 512", img); strings.Contains(out, "lock") {
		t.Fatalf("a node that nobody uses is locked: %s", out)
	}
	b, err := backend(t, g, n, "d", read|write, read)
	if err != nil {
		t.Fatal(err)
	}
	if out := qemuIO(t, "-f", "raw", "-c", "write 0 512", img); !strings.Contains(out, `Failed to get "write" lock`) {
		t.Errorf("QEMU may write: %s", out)
	}
	if out := qemuIO(t, "-r", "-U", "-f", "raw", "-c", "read 0 512", img); strings.Contains(out, "lock") {
		t.Errorf("force-share is refused: %s", out)
	}
	if err := b.SetPerm(0, all); err != nil {
		t.Fatal(err)
	}
	if out := qemuIO(t, "-f", "raw", "-c", "write 0 512", img); strings.Contains(out, "lock") {
		t.Errorf("still locked: %s", out)
	}

	cmd := exec.Command("timeout", "-k", "3", "20", "qemu-io", "-f", "raw", img) // holds the image while its input is open
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer in.Close()
	if _, err := out.Read(make([]byte, 8)); err != nil { // the prompt
		t.Fatal(err)
	}
	err = b.SetPerm(read|write, read)
	if err == nil || err.Error() != `Failed to get shared "write" lock` || block.HintOf(err) != "Is another process using the image ["+img+"]?" {
		t.Errorf("%v %q", err, block.HintOf(err))
	}
}

func TestAutoReadOnlyOpensForWritersOnly(t *testing.T) {
	img := image(t, 4096)
	if err := os.Chmod(img, 0o444); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		t.Log("root may write anything; only the success is tested")
	}
	g, _ := newGraph(t)
	n := open(t, g, block.Mode{AutoReadOnly: true}, "driver", "raw", "file.driver", "file", "file.filename", img)
	b, err := backend(t, g, n, "d", read, all)
	if err != nil {
		t.Fatal(err)
	}
	err = b.SetPerm(read|write, all)
	if os.Geteuid() != 0 {
		if err == nil || err.Error() != "Could not open '"+img+"': Permission denied" {
			t.Error(err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Write(t.Context(), 5, []byte("hello"), 0); err != nil {
		t.Error(err)
	}
	got := make([]byte, 5)
	if err := b.Read(t.Context(), 5, got); err != nil || string(got) != "hello" {
		t.Errorf("%q %v", got, err)
	}
}
