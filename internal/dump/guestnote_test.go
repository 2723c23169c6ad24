package dump

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/target/x86"
)

// vmcoreinfo is a note as Linux makes it.
func vmcoreinfo(text string) []byte {
	var b bytes.Buffer
	note(&b, "VMCOREINFO", 0, []byte(text))
	return b.Bytes()
}

// TestGuestNote: the guest's note is the last one, and in a kdump the second header tells of it.
func TestGuestNote(t *testing.T) {
	const text = "OSRELEASE=6.1\nNUMBER(phys_base)=2200000\nX=1"
	raw := vmcoreinfo(text)
	g, err := ReadGuestNote(append(bytes.Clone(raw), "what follows"...))
	require.NoError(t, err)
	e := &Core{Blocks: []Block{{0, make([]byte, 0x2000)}}, CPUs: []*x86.State{{Mode: x86.ModeLMA}}, Guest: g}
	var b bytes.Buffer
	require.NoError(t, e.Write(&b))
	f, err := elf.NewFile(bytes.NewReader(b.Bytes()))
	require.NoError(t, err)
	notes, err := io.ReadAll(f.Progs[0].Open())
	require.NoError(t, err)
	require.Equal(t, raw, notes[len(notes)-len(raw):])

	b.Reset()
	require.NoError(t, e.WriteKdump(&b, Zlib))
	file := unflatten(t, b.Bytes())
	var sub kdumpSub64
	require.NoError(t, binary.Read(bytes.NewReader(file[kdumpPage:]), le, &sub))
	require.EqualValues(t, 0x2200000, sub.PhysBase)
	require.Equal(t, text, string(file[sub.InfoAt:sub.InfoAt+sub.InfoSize]))
}

func FuzzGuestNote(f *testing.F) {
	f.Add(vmcoreinfo("NUMBER(phys_base)=1000\n"))
	f.Add([]byte{1, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := ReadGuestNote(b)
		if err != nil {
			return
		}
		if len(g.bytes) > len(b) || g.descAt+len(g.desc) > len(g.bytes) {
			t.Fatalf("%d bytes of %d", len(g.bytes), len(b))
		}
		if at, n := g.info(100, len(g.bytes)); at+n > uint64(100+len(b)) {
			t.Fatal("outside")
		}
	})
}
