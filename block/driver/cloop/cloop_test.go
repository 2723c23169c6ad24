package cloop_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zlib"
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
	n, err := g.Open(ctx, "", block.OptionsOf("driver", "cloop", "file.driver", "file", "file.filename", name), block.Mode{ReadOnly: true})
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
	name := filepath.Join(t.TempDir(), "a.cloop")
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
	out, err := exec.Command("qemu-img", "compare", "-f", "cloop", "-F", "raw", name, raw).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// checkError opens a broken image, and compares the error with QEMU's.
func checkError(t *testing.T, image []byte) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "a.cloop")
	require.NoError(t, os.WriteFile(name, image, 0o600))
	_, _, err := disk(t, name)
	require.Error(t, err)
	if _, err := exec.LookPath("qemu-img"); err != nil {
		t.Skip("ORACLE MISSING: qemu-img is not installed (package qemu-utils)")
	}
	out, _ := exec.Command("qemu-img", "info", "-f", "cloop", name).CombinedOutput()
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

// image makes a disk of three blocks of 4 KiB.
func image() (b, content []byte) {
	be := binary.BigEndian
	b = make([]byte, 128)
	copy(b, "#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n")
	b = be.AppendUint32(be.AppendUint32(b, 4096), 3)
	at := len(b) + 4*8
	var data bytes.Buffer
	for i := range 3 {
		b = be.AppendUint64(b, uint64(at+data.Len()))
		block := bytes.Repeat([]byte{byte(i), 7}, 2048)
		w := zlib.NewWriter(&data)
		w.Write(block)
		w.Close()
		content = append(content, block...)
	}
	b = be.AppendUint64(b, uint64(at+data.Len()))
	return append(b, data.Bytes()...), content
}

func TestRead(t *testing.T) {
	b, content := image()
	check(t, b, content)
}

func TestErrors(t *testing.T) {
	for _, c := range []struct {
		at int
		v  uint32
	}{{128, 0}, {128, 513}, {128, 1 << 30}, {132, 1<<32 - 1}, {132, 1 << 27}, {140, 1 << 20}, {152, 1}} {
		b, _ := image()
		binary.BigEndian.PutUint32(b[c.at:], c.v)
		checkError(t, b)
	}
}

func FuzzOpen(f *testing.F) {
	b, _ := image()
	f.Add(uint32(132), []byte{3, 0xff, 0xff, 0xff})
	f.Add(uint32(144), []byte{0x7f})
	f.Add(uint32(170), []byte{1, 2, 3})
	fuzz(f, b)
}
