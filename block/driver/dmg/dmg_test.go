package dmg_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zlib"
	"github.com/stretchr/testify/require"

	"goemu/block"
	"goemu/block/driver/formattest"
)

var ctx = context.Background()

const format = formattest.Format("dmg")

// image makes a disk of 24 sectors: plain, zeroes, zlib, bzip2 in chunks of different lengths, with the table in the property list or in the
// resource fork.
func image(t testing.TB, fork bool) (b, content []byte) {
	be := binary.BigEndian
	plain := bytes.Repeat([]byte{1}, 3*512)
	var z bytes.Buffer
	deflated := bytes.Repeat([]byte("0123456789abcdef"), 512/16*8)
	w := zlib.NewWriter(&z)
	w.Write(deflated)
	w.Close()
	table := make([]byte, 204)
	copy(table, "mish")
	be.PutUint64(table[8:], 2) // the first two sectors are in a table of their own
	chunk := func(to []byte, kind uint32, sector, sectors, at, n int) []byte {
		to = be.AppendUint32(be.AppendUint32(to, kind), 0)
		for _, v := range []int{sector, sectors, at, n} {
			to = be.AppendUint64(to, uint64(v))
		}
		return to
	}
	first := chunk(append([]byte("mish"), make([]byte, 200)...), 2, 0, 2, 0, 0)
	table = chunk(table, 1, 0, 3, 0, len(plain))
	table = chunk(table, 0x7ffffffe, 0, 0, 0, 0)
	table = chunk(table, 0, 3, 11, 0, 0)
	table = chunk(table, 0x80000005, 14, 8, len(plain), z.Len())
	table = chunk(table, 0xffffffff, 22, 0, 0, 0)
	b = append(append(b, plain...), z.Bytes()...)
	content = append(make([]byte, 2*512), plain...)
	content = append(append(content, make([]byte, 11*512)...), deflated...)
	trailer := make([]byte, 512)
	copy(trailer, "koly")
	be.PutUint64(trailer[0x1ec:], 24)
	at := 0x28
	var part []byte
	if fork {
		var data []byte
		for _, t := range [][]byte{first, table} {
			data = append(be.AppendUint32(data, uint32(len(t))), t...)
		}
		part = be.AppendUint32(part, 256)
		part = be.AppendUint32(be.AppendUint32(part, 0), uint32(len(data)))
		part = append(append(part, make([]byte, 256-len(part))...), data...)
	} else {
		at = 0xd8
		for _, t := range [][]byte{first, table} {
			part = append(part, "<key>blkx</key><data>\n\t"+base64.StdEncoding.EncodeToString(t)+"\n</data>"...)
		}
	}
	be.PutUint64(trailer[at:], uint64(len(b)))
	be.PutUint64(trailer[at+8:], uint64(len(part)))
	return append(append(b, part...), trailer...), content
}

func TestRead(t *testing.T) {
	for _, fork := range []bool{false, true} {
		b, content := image(t, fork)
		format.Reads(t, b, content)
	}
}

// TestBzip2 reads a chunk compressed by bzip2, for which QEMU has a module that is not installed everywhere.
func TestBzip2(t *testing.T) {
	packed, err := exec.Command("sh", "-c", "head -c 4096 /dev/zero | tr '\\0' x | bzip2 -c").Output()
	if err != nil {
		t.Skip("ORACLE MISSING: bzip2 is not installed (package bzip2)")
	}
	b, content := image(t, true)
	i := bytes.Index(b, binary.BigEndian.AppendUint32(nil, 0x80000005))
	binary.BigEndian.PutUint32(b[i:], 0x80000006)
	require.Greater(t, int(binary.BigEndian.Uint64(b[i+32:])), len(packed))
	copy(b[3*512:], packed)
	name := filepath.Join(t.TempDir(), "a.dmg")
	require.NoError(t, os.WriteFile(name, b, 0o600))
	d, closed, err := format.Open(t, name, block.Mode{ReadOnly: true})
	require.NoError(t, err)
	defer closed()
	got := make([]byte, len(content))
	require.NoError(t, d.Read(ctx, 0, got))
	require.True(t, bytes.Equal(append(content[:16*512:16*512], bytes.Repeat([]byte("x"), 4096)...), got))
}

func TestErrors(t *testing.T) {
	good, _ := image(t, true)
	trailer := len(good) - 512
	format.Refuses(t, good[:100])
	for _, c := range []struct {
		at int
		v  uint64
	}{{trailer, 0}, {trailer + 0x18, 1 << 40}, {trailer + 0x28, 1 << 40}, {trailer + 0x30, 1 << 40}, {trailer + 0x30, 0}, {trailer + 0xd8, 1 << 40}, {trailer + 0x1ec, 1 << 63}} {
		b := bytes.Clone(good)
		binary.BigEndian.PutUint64(b[c.at:], c.v)
		format.Refuses(t, b)
	}
}

func FuzzOpen(f *testing.F) {
	for _, fork := range []bool{false, true} {
		b, _ := image(f, fork)
		f.Add(uint32(len(b)-512+0x1ec), bytes.Repeat([]byte{0x7f}, 8))
		f.Add(uint32(len(b)-512+0x30), []byte{0, 0, 0, 0, 0, 0, 0, 1})
		if fork {
			f.Add(uint32(bytes.Index(b, []byte("mish"))+204), []byte{0x80, 0, 0, 5})
			format.FuzzRead(f, b)
		}
	}
}
