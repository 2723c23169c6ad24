package raw

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"goemu/block"
	"goemu/block/driver/file"
)

// newDisk makes a disk over a file with the given contents.
func newDisk(t *testing.T, contents []byte, o Options) *Disk {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(path, contents, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := file.Open(file.Options{Filename: path, ReadOnly: o.ReadOnly})
	if err != nil {
		t.Fatal(err)
	}
	d, err := New(f, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

var ctx = context.Background()

func read(t *testing.T, b block.Disk, off, n int64) []byte {
	t.Helper()
	buf := make([]byte, n)
	if err := b.ReadV(ctx, off, [][]byte{buf}); err != nil {
		t.Fatal(err)
	}
	return buf
}

func TestWindow(t *testing.T) {
	whole := make([]byte, 4096)
	for i := range whole {
		whole[i] = byte(i >> 4)
	}
	d := newDisk(t, whole, Options{Offset: 512, Size: 1024})
	if n, _ := d.Length(); n != 1024 {
		t.Errorf("length %d", n)
	}
	if !bytes.Equal(read(t, d, 100, 200), whole[612:812]) {
		t.Error("wrong bytes")
	}
	for _, c := range [][2]int64{{0, 1025}, {1024, 1}, {-1, 1}, {1 << 62, 1 << 62}} {
		if err := d.Discard(ctx, c[0], c[1]); !errors.Is(err, unix.EIO) {
			t.Errorf("%v: %v", c, err)
		}
	}
}

func TestRoundedUp(t *testing.T) {
	d := newDisk(t, []byte("abc"), Options{})
	if n, _ := d.Length(); n != 512 {
		t.Fatalf("length %d", n)
	}
	if got := read(t, d, 0, 512); string(got[:4]) != "abc\x00" {
		t.Errorf("%q", got[:4])
	}
}

func TestGuard(t *testing.T) {
	qcow := make([]byte, 512)
	copy(qcow, "QFI\xfb\x00\x00\x00\x03")
	for _, c := range []struct {
		name   string
		probed bool
		off    int64
		data   []byte
		want   error
	}{
		{"signature", true, 0, qcow, unix.EPERM},
		{"signature elsewhere", true, 512, qcow, nil},
		{"signature, format named", false, 0, qcow, nil},
		{"harmless", true, 0, make([]byte, 512), nil},
		{"part of the sector", true, 0, qcow[:256], unix.EINVAL},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDisk(t, make([]byte, 2048), Options{Probed: c.probed})
			if err := d.WriteV(ctx, c.off, [][]byte{c.data}, false); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
}

func TestDetectZeroes(t *testing.T) {
	d := newDisk(t, bytes.Repeat([]byte{7}, 1<<20), Options{DetectZeroes: true})
	if err := d.WriteV(ctx, 4096, [][]byte{make([]byte, 8192), make([]byte, 100)}, false); err != nil {
		t.Fatal(err)
	}
	want := bytes.Repeat([]byte{7}, 1<<20)
	clear(want[4096 : 4096+8292])
	if !bytes.Equal(read(t, d, 0, 1<<20), want) {
		t.Error("contents differ")
	}
	if allZero([][]byte{make([]byte, 9000), {0, 1}}) {
		t.Error("a one was overlooked")
	}
}

func TestReadOnlyAttach(t *testing.T) {
	d := newDisk(t, make([]byte, 512), Options{ReadOnly: true})
	if err := d.Attach(block.PermWrite, block.PermAll); err == nil || err.Error() != "Block node is read-only" {
		t.Error(err)
	}
}

// TestOverlayModel compares an overlay with a byte slice and checks that the disk below never changes.
func TestOverlayModel(t *testing.T) {
	const size = 9*overlayBlock + 512
	t.Setenv("TMPDIR", t.TempDir())
	base := make([]byte, size)
	for i := range base {
		base[i] = byte(i*13 + i>>8)
	}
	rapid.Check(t, func(r *rapid.T) {
		o, err := NewOverlay(newDisk(t, base, Options{ReadOnly: true}))
		if err != nil {
			r.Fatal(err)
		}
		defer o.Close()
		model := bytes.Clone(base)
		for range rapid.IntRange(1, 20).Draw(r, "steps") {
			off := rapid.Int64Range(0, size-1).Draw(r, "off")
			n := rapid.Int64Range(1, size-off).Draw(r, "n")
			switch rapid.IntRange(0, 2).Draw(r, "op") {
			case 0:
				b := bytes.Repeat([]byte{rapid.Byte().Draw(r, "b")}, int(n))
				if err := o.WriteV(ctx, off, [][]byte{b[:n/3], b[n/3:]}, false); err != nil {
					r.Fatal(err)
				}
				copy(model[off:], b)
			case 1:
				if err := o.WriteZeroes(ctx, off, n, true, false); err != nil {
					r.Fatal(err)
				}
				clear(model[off : off+n])
			}
			got := make([]byte, size)
			if err := o.ReadV(ctx, 0, [][]byte{got[:777], got[777:]}); err != nil {
				r.Fatal(err)
			}
			if !bytes.Equal(got, model) {
				r.Fatal("contents differ")
			}
		}
		if !bytes.Equal(read(t, o.base, 0, size), base) {
			r.Fatal("the disk below changed")
		}
	})
	if left, _ := os.ReadDir(os.Getenv("TMPDIR")); len(left) != 0 {
		t.Errorf("files left: %v", left)
	}
}

func TestProbe(t *testing.T) {
	vdi := make([]byte, 512)
	binary.LittleEndian.PutUint32(vdi[64:], vdiSignature)
	for _, c := range []struct {
		head, want string
	}{
		{"", "raw"}, {"QFI", "raw"}, {"QFI\xfb\x00\x00\x00\x03", "qcow2"}, {"QFI\xfb\x00\x00\x00\x01", "qcow"}, {"KDMV", "vmdk"},
		{string(vdi), "vdi"}, {"vhdxfile", "vhdx"}, {strings.Repeat("x", 600), "raw"},
	} {
		if got := Probe([]byte(c.head)); got != c.want {
			t.Errorf("%.10q: %s, want %s", c.head, got, c.want)
		}
	}
}

func FuzzProbe(f *testing.F) {
	f.Add([]byte("QFI\xfb\x00\x00"))
	f.Fuzz(func(t *testing.T, head []byte) {
		if Probe(head) == "" {
			t.Error("no format")
		}
	})
}
