package vhdx_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/block"
	"goemu/block/driver/formattest"
)

var ctx = context.Background()

const format = formattest.Format("vhdx")

// TestModel writes and reads at random, closing the image now and then, and compares with a plain array.
func TestModel(t *testing.T) {
	const size = 9<<20 + 3*512
	for _, c := range []struct {
		name    string
		options []any
	}{
		{"zero", []any{"block_size", "1M"}},
		{"absent", []any{"block_size", "2M", "block_state_zero", "off"}},
		{"fixed", []any{"subformat", "fixed", "block_state_zero", "off", "block_size", "1M"}},
		{"fixed and zero", []any{"subformat", "fixed", "block_size", "4M", "log_size", "2M"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "a.vhdx")
			format.Create(t, name, size, c.options...)
			model := make([]byte, size)
			format.Work(t, name, model, 3000)
		})
	}
}

// TestParallel lets many write to the same blocks at once, each to sectors of its own.
func TestParallel(t *testing.T) {
	const size = 8 << 20
	format.Parallel(t, size, 16384, "block_size", "1M")
}

// TestLog interrupts a write behind each of its steps: what the log holds must come into the image, whoever opens it next, and nothing else must.
func TestLog(t *testing.T) {
	const size = 4 << 20
	dir := t.TempDir()
	before, after := filepath.Join(dir, "before"), filepath.Join(dir, "after")
	format.Create(t, before, size, "block_size", "1M")
	b, err := os.ReadFile(before)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(after, b, 0o600))
	d, closed, err := format.Open(t, after, block.Mode{})
	require.NoError(t, err)
	data := bytes.Repeat([]byte{7}, 512)
	require.NoError(t, d.Write(ctx, 1<<20, data, 0))
	closed()
	done, err := os.ReadFile(after)
	require.NoError(t, err)
	const logAt, batAt = 1 << 20, 2 << 20
	model := make([]byte, size)
	copy(model[1<<20:], data)
	for _, c := range []struct {
		name      string
		spoil     func(b []byte)
		replay    bool
		wantEmpty bool
	}{
		{"the table is not written", func(b []byte) { clear(b[batAt : batAt+4096]) }, true, false},
		{"the log is not whole", func(b []byte) { clear(b[batAt : batAt+4096]); b[logAt+4096+100] ^= 1 }, false, true},
		{"the log belongs to another use", func(b []byte) { clear(b[batAt : batAt+4096]); b[logAt+32] ^= 1 }, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "a.vhdx")
			broken := bytes.Clone(done)
			for _, at := range []int{64 << 10, 128 << 10} { // the log counts
				h := broken[at : at+4096]
				copy(h[48:64], broken[logAt+32:])
				clear(h[4:8])
				binary.LittleEndian.PutUint32(h[4:], crc32.Checksum(h, crc32.MakeTable(crc32.Castagnoli)))
			}
			c.spoil(broken)
			require.NoError(t, os.WriteFile(name, broken, 0o600))
			_, closed, err := format.Open(t, name, block.Mode{ReadOnly: true})
			if c.replay {
				require.EqualError(t, err, "VHDX image file '"+name+"' opened read-only, but contains a log that needs to be replayed")
			} else {
				require.NoError(t, err)
				closed()
			}
			if _, err := exec.LookPath("qemu-img"); err == nil { // QEMU finds the same in it
				theirs := name + ".theirs"
				require.NoError(t, os.WriteFile(theirs, broken, 0o600))
				out, err := exec.Command("qemu-img", "check", "-r", "all", "-f", "vhdx", theirs).CombinedOutput()
				require.NoError(t, err, "%s", out)
				require.Equal(t, c.replay, bytes.Contains(out, []byte("repaired")), "%s", out)
			}
			d, closed, err := format.Open(t, name, block.Mode{})
			require.NoError(t, err)
			got := make([]byte, 512)
			require.NoError(t, d.Read(ctx, 1<<20, got))
			require.Equal(t, c.wantEmpty, bytes.Equal(got, make([]byte, 512)))
			closed()
			if c.replay {
				format.Judge(t, name, model)
			}
		})
	}
}

// FuzzOpen opens images with broken headers, log entries and tables, reads and writes. Checksums are made right.
func FuzzOpen(f *testing.F) {
	name := filepath.Join(f.TempDir(), "seed")
	format.Create(f, name, 3<<20, "block_size", "1M")
	d, closed, err := format.Open(f, name, block.Mode{})
	require.NoError(f, err)
	require.NoError(f, d.Write(ctx, 1<<20, make([]byte, 512), 0))
	closed()
	seed, err := os.ReadFile(name)
	require.NoError(f, err)
	const headers, table, log, bat, metadata = 64 << 10, 192 << 10, 1 << 20, 2 << 20, 3 << 20
	f.Add(uint32(table+8), []byte{0xff, 7})
	f.Add(uint32(headers+48), seed[log+32:log+48])
	f.Add(uint32(log+16), []byte{0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff})
	f.Add(uint32(log+64), []byte("zero\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x70"))
	f.Add(uint32(bat), []byte{6, 0, 0xf0, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Add(uint32(metadata+64<<10), []byte{0, 0, 0, 0x10, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	dir := f.TempDir()
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	f.Fuzz(func(t *testing.T, at uint32, patch []byte) {
		b := bytes.Clone(seed)
		copy(b[64<<10+48:], seed[log+32:log+48]) // an entry to be replayed
		copy(b[128<<10+48:], seed[log+32:log+48])
		copy(b[int(at)%len(b):], patch)
		for _, s := range []struct{ at, n int }{{64 << 10, 4096}, {128 << 10, 4096}, {table, 64 << 10}, {log, 8192}} {
			part := b[s.at : s.at+s.n]
			clear(part[4:8])
			binary.LittleEndian.PutUint32(part[4:], crc32.Checksum(part, castagnoli))
		}
		format.Try(t, filepath.Join(dir, "f"), b, block.Mode{NoFlush: true}, formattest.Check) // flushes take long, and find nothing
	})
}
