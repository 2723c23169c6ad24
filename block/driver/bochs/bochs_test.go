package bochs_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/block"
	"goemu/block/driver"
)

var ctx = context.Background()

// disk opens an image with a backend on it.
func disk(t testing.TB, name string) (*block.Backend, func(), error) {
	g := block.NewGraph(driver.All())
	g.Messages, g.Report = new(bytes.Buffer), func(string) {}
	g.Lock()
	defer g.Unlock()
	n, err := g.Open(ctx, "", block.OptionsOf("driver", "bochs", "file.driver", "file", "file.filename", name), block.Mode{ReadOnly: true})
	if err != nil {
		return nil, nil, err
	}
	b := g.NewBackend("", "", block.PermConsistentRead, block.PermAll)
	require.NoError(t, b.Insert(n))
	g.Unref(n)
	return b, func() { g.Lock(); b.Delete(); g.Unlock() }, nil
}

// check reads an image, whole and in pieces, and lets QEMU read it, too.
func check(t *testing.T, image, content []byte) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "a.bochs")
	require.NoError(t, os.WriteFile(name, image, 0o600))
	b, closed, err := disk(t, name)
	require.NoError(t, err)
	n, err := b.Length(ctx)
	require.NoError(t, err)
	require.EqualValues(t, len(content), n)
	for _, step := range []int{len(content), 512, 512 * 7} {
		for off := 0; off < len(content); off += step {
			got := make([]byte, min(step, len(content)-off))
			require.NoError(t, b.Read(ctx, int64(off), got))
			require.True(t, bytes.Equal(content[off:off+len(got)], got), "at %#x", off)
		}
	}
	closed()
	if _, err := exec.LookPath("qemu-img"); err != nil {
		t.Skip("ORACLE MISSING: qemu-img is not installed (package qemu-utils)")
	}
	raw := name + ".raw"
	require.NoError(t, os.WriteFile(raw, content, 0o600))
	out, err := exec.Command("qemu-img", "compare", "-f", "bochs", "-F", "raw", name, raw).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// checkError opens a broken image, and compares the error with QEMU's.
func checkError(t *testing.T, image []byte) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "a.bochs")
	require.NoError(t, os.WriteFile(name, image, 0o600))
	_, _, err := disk(t, name)
	require.Error(t, err)
	if _, err := exec.LookPath("qemu-img"); err != nil {
		t.Skip("ORACLE MISSING: qemu-img is not installed (package qemu-utils)")
	}
	out, _ := exec.Command("qemu-img", "info", "-f", "bochs", name).CombinedOutput()
	said := strings.TrimSpace(string(out))
	said = said[strings.Index(said, "qemu-img: "):] // modules that are missing are told of before
	require.Equal(t, said, "qemu-img: Could not open '"+name+"': "+err.Error())
}

// fuzz opens what changes of a seed give, and reads.
func fuzz(f *testing.F, seed []byte) {
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, at uint32, patch []byte) {
		b := bytes.Clone(seed)
		copy(b[int(at)%len(b):], patch)
		name := filepath.Join(dir, "f")
		require.NoError(t, os.WriteFile(name, b, 0o600))
		d, closed, err := disk(t, name)
		if err != nil {
			return
		}
		defer closed()
		if n, err := d.Length(ctx); err == nil && n >= 1024 {
			_ = d.Read(ctx, 0, make([]byte, 1024))
			_ = d.Read(ctx, (n-512)&^511, make([]byte, 512))
		}
	})
}

// image makes a disk of 100 sectors in extents of 32: the first has two sectors, the second is absent, the last one comes first in the file.
func image(version uint32) (b, content []byte) {
	const extent, catalogAt = 32 * 512, 512
	le := binary.LittleEndian
	b = make([]byte, 512)
	copy(b, "Bochs Virtual HD Image")
	copy(b[32:], "Redolog")
	copy(b[48:], "Growing")
	for at, v := range map[int]uint32{64: version, 68: catalogAt, 72: 4, 76: 4, 80: extent} {
		le.PutUint32(b[at:], v)
	}
	size := 88
	if version == 0x10000 {
		size = 84
	}
	le.PutUint64(b[size:], 100*512)
	for _, v := range []uint32{1, 1<<32 - 1, 1<<32 - 1, 0} {
		b = le.AppendUint32(b, v)
	}
	content = make([]byte, 100*512)
	for _, e := range []struct{ at, marks int }{{96, 0b1111}, {0, 1<<31 | 1<<3}} {
		bitmap := make([]byte, 512)
		le.PutUint32(bitmap, uint32(e.marks))
		data := bytes.Repeat([]byte{0xee}, extent) // what is not marked must not be seen
		for i := range 32 {
			if e.marks>>i&1 != 0 {
				s := bytes.Repeat([]byte{byte(e.at + i + 1)}, 512)
				copy(data[i*512:], s)
				copy(content[(e.at+i)*512:], s)
			}
		}
		b = append(append(b, bitmap...), data...)
	}
	return b, content
}

func TestRead(t *testing.T) {
	for _, version := range []uint32{0x10000, 0x20000} {
		b, content := image(version)
		check(t, b, content)
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct {
		at int
		v  uint32
	}{{0, 1}, {64, 3}, {72, 1 << 21}, {72, 3}, {80, 256}, {80, 1000}, {80, 1 << 24}} {
		b, _ := image(0x20000)
		binary.LittleEndian.PutUint32(b[c.at:], c.v)
		checkError(t, b)
	}
}

func FuzzOpen(f *testing.F) {
	b, _ := image(0x20000)
	f.Add(uint32(72), []byte{0xff, 0xff, 0x0f})
	f.Add(uint32(88), bytes.Repeat([]byte{0xff}, 8))
	f.Add(uint32(76), []byte{0, 0, 0, 0})
	fuzz(f, b)
}
