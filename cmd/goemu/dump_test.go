package main

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
)

// TestDump: a dump has QEMU's notes and segments of RAM, whose contents are those that pmemsave sees; errors are QEMU's.
func TestDump(t *testing.T) {
	qemu := testprog.QEMU(t)
	dir := t.TempDir()
	args := []string{"-accel", "tcg", "-M", "pc", "-nodefaults", "-m", "16", "-smp", "2", "-S", "-display", "none", "-qmp", "stdio"}
	commands := func(name string) []string {
		file := filepath.Join(dir, name)
		return []string{`{"execute":"query-dump"}`,
			`{"execute":"dump-guest-memory","arguments":{"paging":false,"protocol":"x"}}`, `{"execute":"dump-guest-memory","arguments":{"paging":false,"protocol":"file:/nosuch/x"}}`,
			`{"execute":"dump-guest-memory","arguments":{"paging":false,"protocol":"fd:x"}}`, `{"execute":"dump-guest-memory","arguments":{"paging":false,"protocol":"file:/nosuch/x","begin":1}}`,
			`{"execute":"dump-guest-memory","arguments":{"paging":false,"protocol":"file:/nosuch/x","length":1}}`,
			`{"execute":"dump-guest-memory","arguments":{"paging":false,"protocol":"file:` + file + `0","begin":0,"length":0}}`,
			`{"execute":"dump-guest-memory","arguments":{"paging":false,"protocol":"file:` + file + `1","begin":4096,"length":65536}}`, `{"execute":"query-dump"}`,
			`{"execute":"dump-guest-memory","arguments":{"paging":true,"protocol":"file:` + file + `2"}}`,
			`{"execute":"pmemsave","arguments":{"val":0,"size":655360,"filename":"` + file + `m"}}`,
			`{"execute":"human-monitor-command","arguments":{"command-line":"info dump"}}`,
			`{"execute":"dump-guest-memory","arguments":{"paging":true,"protocol":"file:` + file + `3","format":"kdump-zlib"}}`,
			`{"execute":"dump-guest-memory","arguments":{"paging":false,"protocol":"file:/nosuch/x","begin":0,"format":"kdump-zlib"}}`,
			`{"execute":"dump-guest-memory","arguments":{"paging":true,"protocol":"file:` + file + `3","format":"kdump-lzo"}}`,
			`{"execute":"dump-guest-memory","arguments":{"paging":false,"protocol":"file:/nosuch/x","length":0,"format":"kdump-snappy"}}`,
			`{"execute":"dump-guest-memory","arguments":{"paging":false,"protocol":"file:` + file + `3","format":"kdump-zlib"}}`, `{"execute":"query-dump"}`}
	}
	want, got := talkQMP(t, qemu, args, commands("q")), talkQMP(t, testprog.Goemu(t), args, commands("g"))
	for i, c := range commands("g") {
		assert.JSONEq(t, want[i], got[i], c)
	}
	for _, n := range []string{"1", "2"} {
		q, g := openELF(t, filepath.Join(dir, "q"+n)), openELF(t, filepath.Join(dir, "g"+n))
		require.Equal(t, q.Class, g.Class)
		require.Equal(t, q.Machine, g.Machine)
		require.Equal(t, q.Type, g.Type)
		require.Equal(t, content(t, q.Progs[0]), content(t, g.Progs[0]), "notes")
		want, got := q.Progs[1].ProgHeader, g.Progs[1].ProgHeader
		want.Off, got.Off = 0, 0
		require.Equal(t, want, got, "the first segment of memory")
		low := content(t, g.Progs[1])
		data, err := os.ReadFile(filepath.Join(dir, "gm"))
		require.NoError(t, err)
		at := g.Progs[1].Paddr
		size := min(uint64(len(low)), 0xa0000-at)
		require.Equal(t, data[at:at+size], low[:size], fmt.Sprintf("memory from %#x on", at))
	}
}

// TestCompressedDump: a compressed dump has QEMU's headers, which the pages' number and the registers are in.
func TestCompressedDump(t *testing.T) {
	qemu := testprog.QEMU(t)
	var heads [2][]byte
	for i, bin := range []string{qemu, testprog.Goemu(t)} {
		name := filepath.Join(t.TempDir(), "dump")
		out := talkQMP(t, bin, []string{"-accel", "tcg", "-M", "pc", "-nodefaults", "-m", "16", "-smp", "2", "-S", "-display", "none", "-qmp", "stdio"},
			[]string{`{"execute":"human-monitor-command","arguments":{"command-line":"dump-guest-memory -z ` + name + `"}}`})
		require.JSONEq(t, `{"return": ""}`, out[0])
		b, err := os.ReadFile(name)
		require.NoError(t, err)
		const start, piece = 4096, 16
		end := start
		for range 3 { // first header, second header, notes
			end += piece + int(binary.BigEndian.Uint64(b[end+8:]))
		}
		heads[i] = b[:end]
	}
	require.Equal(t, heads[0], heads[1])
}

func openELF(t *testing.T, name string) *elf.File {
	t.Helper()
	f, err := elf.Open(name)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

func content(t *testing.T, p *elf.Prog) []byte {
	t.Helper()
	b, err := io.ReadAll(p.Open())
	require.NoError(t, err)
	return b
}
