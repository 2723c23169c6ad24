package file

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"goemu/block"
	"goemu/internal/testprog"
)

// newFile opens a fresh file of the given size.
func newFile(t testing.TB, size int64, o Options) *File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	o.Filename = path
	f, err := openTest(o)
	if err != nil {
		if o.Direct && strings.Contains(err.Error(), "O_DIRECT") {
			t.Skip("SKIPPED: the file system of TMPDIR has no O_DIRECT")
		}
		if o.AIO == aioUring && strings.Contains(err.Error(), "Unable to use io_uring") {
			t.Skip("SKIPPED: the host has no io_uring")
		}
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// openTest opens a file without a node.
func openTest(o Options) (f *File, err error) {
	f = &File{opts: o, align: 1, writable: !o.ReadOnly}
	if f.fd, err = openFile(o.Filename, o.ReadOnly, o.Direct); err != nil {
		return nil, err
	}
	if f.async, err = newAsyncQueue(o.AIO); err != nil {
		return nil, err
	}
	return f, f.inspect()
}

// zero clears a range as a node does.
func zero(f *File, off, n int64, unmap bool) error {
	fl := block.Flags(0)
	if unmap {
		fl = block.MayUnmap
	}
	err := (&Node{File: f}).WriteZeroes(context.Background(), off, n, fl)
	if block.IsNotSup(err) {
		return f.WriteV(context.Background(), off, [][]byte{make([]byte, n)}, false)
	}
	return err
}

// split cuts b in pieces of the given sizes; the last piece takes the rest.
func split(b []byte, sizes []int) [][]byte {
	var iov [][]byte
	for _, n := range sizes {
		n = min(n, len(b))
		iov = append(iov, b[:n])
		b = b[n:]
	}
	return append(iov, b)
}

// ways are the ways to the host.
var ways = []Options{{AIO: aioThreads}, {AIO: aioThreads, Direct: true}, {AIO: aioUring}, {AIO: aioUring, Direct: true}, {AIO: aioNative, Direct: true}}

// wayName names one of the ways.
func wayName(o Options) string { return o.AIO + map[bool]string{true: " direct"}[o.Direct] }

// TestModel compares random requests with the same operations on a byte slice.
func TestModel(t *testing.T) {
	const size = 64 << 10
	for _, o := range ways {
		t.Run(wayName(o), func(t *testing.T) {
			o.Unmap = true
			f := newFile(t, size, o)
			model := make([]byte, size)
			ctx := context.Background()
			rapid.Check(t, func(r *rapid.T) {
				off := rapid.Int64Range(0, size-1).Draw(r, "off")
				n := rapid.Int64Range(1, size-off).Draw(r, "n")
				if rapid.Bool().Draw(r, "align") {
					off &^= 511
				}
				pieces := rapid.SliceOfN(rapid.IntRange(0, 9000), 0, 5).Draw(r, "pieces")
				switch rapid.IntRange(0, 3).Draw(r, "op") {
				case 0:
					buf := rapid.SliceOfN(rapid.Byte(), 1, 64).Draw(r, "data")
					buf = bytes.Repeat(buf, int(n)/len(buf)+1)[:n]
					if err := f.WriteV(ctx, off, split(buf, pieces), n%7 == 0); err != nil {
						r.Fatal(err)
					}
					copy(model[off:], buf)
				case 1:
					if err := zero(f, off, n, n%2 == 0); err != nil {
						r.Fatal(err)
					}
					clear(model[off : off+n])
				case 2:
					if err := f.Discard(ctx, off, n); err != nil {
						r.Fatal(err)
					}
					clear(model[off : off+n]) // this file is sparse: discarded bytes read as zero
				default:
					buf := make([]byte, n)
					if err := f.ReadV(ctx, off, split(buf, pieces)); err != nil {
						r.Fatal(err)
					}
					if !bytes.Equal(buf, model[off:off+n]) {
						r.Fatalf("read of %d bytes at %d differs", n, off)
					}
				}
			})
			if f.Length() != size {
				t.Errorf("size is %d", f.Length())
			}
		})
	}
}

// TestManyInFlight has more requests in flight than the kernel's queue takes, each goroutine on blocks of its own.
func TestManyInFlight(t *testing.T) {
	const size, goroutines, block = 4 << 20, 2 * asyncEntries, 4096
	for _, o := range ways {
		t.Run(wayName(o), func(t *testing.T) {
			f, ctx := newFile(t, size, o), context.Background()
			var wg sync.WaitGroup
			for g := range goroutines {
				wg.Go(func() {
					buf := alignedBuffer(2 * block)
					want, got := buf[:block], buf[block:]
					for round := range 20 {
						off := int64((g+round*goroutines)%(size/block)) * block
						for i := range want {
							want[i] = byte(g + round + i)
						}
						err := f.WriteV(ctx, off, [][]byte{want[:512], want[512:]}, round%8 == 0)
						if err == nil && round%10 == 0 {
							err = f.Flush(ctx)
						}
						if err == nil {
							err = f.ReadV(ctx, off, [][]byte{got})
						}
						if err != nil || !bytes.Equal(want, got) {
							t.Errorf("block at %d: wrong content or %v", off, err)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

func TestEnd(t *testing.T) {
	for _, direct := range []bool{false, true} {
		f := newFile(t, 700, Options{Direct: direct})
		buf := bytes.Repeat([]byte{1}, 1024)
		if err := f.ReadV(context.Background(), 0, [][]byte{buf[:100], buf[100:]}); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(buf, make([]byte, 1024)) {
			t.Errorf("direct=%v: bytes beyond the end are not zero", direct)
		}
		if err := f.WriteV(context.Background(), 650, [][]byte{[]byte("hello")}, false); err != nil {
			t.Fatal(err)
		}
		if f.Length() != 700 {
			t.Errorf("direct=%v: a write inside changed the size to %d", direct, f.Length())
		}
		if err := f.WriteV(context.Background(), 698, [][]byte{[]byte("hello")}, false); err != nil {
			t.Fatal(err)
		}
		if st, _ := os.Stat(f.Path()); f.Length() != 703 || st.Size() != 703 {
			t.Errorf("direct=%v: size %d, on disk %d", direct, f.Length(), st.Size())
		}
	}
}

func TestManyPieces(t *testing.T) {
	f := newFile(t, 0, Options{})
	want := make([]byte, 3*iovMax)
	var w, r [][]byte
	got := make([]byte, len(want))
	for i := range want {
		want[i] = byte(i * 7)
		w, r = append(w, want[i:i+1]), append(r, got[i:i+1])
	}
	if err := f.WriteV(context.Background(), 5, w, true); err != nil {
		t.Fatal(err)
	}
	if err := f.ReadV(context.Background(), 5, r); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("contents differ")
	}
}

func TestTryRead(t *testing.T) {
	f := newFile(t, 8192, Options{})
	buf := make([]byte, 4096)
	if err := f.ReadV(context.Background(), 0, [][]byte{buf}); err != nil {
		t.Fatal(err)
	}
	if !f.TryReadV(0, [][]byte{buf}) {
		t.Log("the host cannot answer from its page cache")
	}
	if f.TryReadV(8000, [][]byte{buf}) {
		t.Error("a read across the end was called complete")
	}
}

func TestOpenErrors(t *testing.T) {
	_, err := openTest(Options{Filename: "/nonexistent/x"})
	if err == nil || err.Error() != "Could not open '/nonexistent/x': No such file or directory" || !errors.Is(err, unix.ENOENT) {
		t.Error(err)
	}
}

func TestReadOnly(t *testing.T) {
	f := newFile(t, 512, Options{ReadOnly: true})
	ctx := context.Background()
	for name, err := range map[string]error{
		"write":   f.WriteV(ctx, 0, [][]byte{{1}}, false),
		"zero":    zero(f, 0, 512, true),
		"discard": f.Discard(ctx, 0, 512),
	} {
		if !errors.Is(err, unix.EBADF) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestLocks has two users of one file in this process: the locks belong to the open file, so this is the same as two processes.
func TestLocks(t *testing.T) {
	const rw, r = block.PermConsistentRead | block.PermWrite, block.PermConsistentRead
	const shareRead = block.PermConsistentRead | block.PermWriteUnchanged | block.PermResize
	for _, c := range []struct {
		name                   string
		used1, sh1, used2, sh2 block.Perm
		want                   string
	}{
		{"two writers", rw, shareRead, rw, shareRead, `Failed to get "write" lock`},
		{"reader excludes writer", r, shareRead, rw, shareRead, `Failed to get "write" lock`},
		{"writer excludes reader", rw, shareRead | block.PermWrite, r, shareRead, `Failed to get shared "write" lock`},
		{"two readers", r, shareRead, r, shareRead, ""},
		{"both share", rw, block.PermAll, rw, block.PermAll, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newFile(t, 512, Options{})
			b, err := openTest(Options{Filename: a.Path()})
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			if err := a.Attach(c.used1, c.sh1); err != nil {
				t.Fatal(err)
			}
			err = b.Attach(c.used2, c.sh2)
			if got := errText(err); !strings.HasPrefix(got, c.want) || (got == "") != (c.want == "") {
				t.Fatalf("got %q, want %q", got, c.want)
			}
			a.Detach()
			if err := b.Attach(c.used2, c.sh2); err != nil {
				t.Errorf("after release: %v", err)
			}
		})
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestLocksQEMU lets QEMU's own tool meet our lock.
func TestLocksQEMU(t *testing.T) {
	tool := testprog.Need(t, "qemu-io")
	f := newFile(t, 4096, Options{})
	run := func() string {
		out, _ := exec.Command(tool, "-f", "raw", "-c", "write 0 512", f.Path()).CombinedOutput()
		return string(out)
	}
	if out := run(); !strings.Contains(out, "wrote 512/512") {
		t.Fatalf("without a lock: %s", out)
	}
	if err := f.Attach(block.PermConsistentRead|block.PermWrite, block.PermConsistentRead); err != nil {
		t.Fatal(err)
	}
	if out := run(); !strings.Contains(out, `Failed to get "write" lock`) {
		t.Errorf("QEMU ignores our lock: %s", out)
	}
}

func BenchmarkRead4K(b *testing.B) {
	f := newFile(b, 64<<20, Options{})
	buf := make([]byte, 4096)
	iov := [][]byte{buf}
	b.SetBytes(4096)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := f.ReadV(context.Background(), int64(i%16384)*4096, iov); err != nil {
			b.Fatal(err)
		}
	}
}
