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

// TestLongMode: a CPU in long mode makes a file of the 64-bit class; segments with linear addresses point into the memory, which is in the
// file once.
func TestLongMode(t *testing.T) {
	st := &x86.State{Mode: x86.ModeLMA, RIP: 0xffffffff81000000, CR3: 0x1000}
	st.Regs[sp] = 0xffffc90000000ff8
	low, high := bytes.Repeat([]byte{1}, 0x3000), bytes.Repeat([]byte{2}, 0x1000)
	e := &Core{Blocks: []Block{{0, low}, {1 << 32, high}}, CPUs: []*x86.State{st, st},
		Mappings: []Mapping{{0xffff888000000000, 0x1000, 0x1000}, {0xffff888100000000, 1 << 32, 0x2000}, {0xffffffffff5ff000, 0xfee00000, 0x1000}}}
	var b bytes.Buffer
	require.NoError(t, e.Write(&b))
	require.Equal(t, e.Total(), e.Written())
	f, err := elf.NewFile(bytes.NewReader(b.Bytes()))
	require.NoError(t, err)
	require.Equal(t, elf.ELFCLASS64, f.Class)
	require.Equal(t, elf.EM_X86_64, f.Machine)
	require.Len(t, f.Progs, 4)
	for i, want := range []struct {
		filled int
		value  byte
	}{{0x1000, 1}, {0x1000, 2}, {0, 0}} {
		p := f.Progs[i+1]
		require.Equal(t, e.Mappings[i], Mapping{p.Vaddr, p.Paddr, p.Memsz})
		data, err := io.ReadAll(p.Open())
		require.NoError(t, err)
		require.Equal(t, bytes.Repeat([]byte{want.value}, want.filled), append([]byte{}, data...))
	}
	notes, err := io.ReadAll(f.Progs[0].Open())
	require.NoError(t, err)
	require.Equal(t, "CORE\x00", string(notes[12:17]))
	require.Equal(t, 336, binary.Size(prStatus64{}), "as in Linux's elfcore.h")
	require.Equal(t, 144, binary.Size(prStatus32{}))
	require.Equal(t, 440, binary.Size(cpuState{}))
	ip := notes[20+112+16*8:]
	require.Equal(t, st.RIP, binary.LittleEndian.Uint64(ip))
	require.Len(t, notes, 2*(20+336)+2*(20+440))
}
