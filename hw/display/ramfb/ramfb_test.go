package ramfb

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/hw/firmware/fwcfg"
	"goemu/hw/qdev"
	"goemu/hw/qdev/qtest"
	"goemu/hw/virtio/virtiotest"
	"goemu/internal/memory"
	"goemu/ui"
)

const ramSize = virtiotest.RAMSize

func newScreen(t testing.TB) *Screen {
	t.Helper()
	ui.FindROM = func() []byte { return nil }
	tree := qdev.NewTree(qdev.NewRegistry(Classes()))
	mem := virtiotest.NewMemory(t)
	fw, err := fwcfg.New(tree, memory.NewContainer("io", 0x10000), mem)
	require.NoError(t, err)
	d, err := tree.Create(tree.Registry.Lookup("ramfb"), nil)
	require.NoError(t, err)
	require.NoError(t, Connect(tree, fw, mem, func(string) []byte { return []byte("rom") }))
	require.EqualError(t, Connect(tree, fw, mem, func(string) []byte { return nil }), "duplicate fw_cfg file name: etc/ramfb")
	t.Cleanup(func() { qdev.Unrealize(d) })
	return d.(*Screen)
}

// set writes the item as firmware does.
func (s *Screen) set(addr uint64, format, width, height, stride uint32) {
	be := binary.BigEndian
	be.PutUint64(s.item[:], addr)
	for at, v := range map[int]uint32{itemFormat: format, itemWidth: width, itemHeight: height, itemStride: stride} {
		be.PutUint32(s.item[at:], v)
	}
	s.configure()
}

func TestPicture(t *testing.T) {
	s := newScreen(t)
	s.con.Refresh()
	require.True(t, s.con.Surface().Placeholder)
	raw := make([]byte, 100*20)
	for i := range raw {
		raw[i] = byte(i * 3)
	}
	s.mem.Write(0x1000, raw)
	for format, f := range formats {
		s.set(0x1000, format, 20, 16, 100)
		s.con.Refresh()
		out := s.con.Surface()
		require.Equal(t, []int{20, 16}, []int{out.Width, out.Height})
		for y := range out.Height {
			want := make([]uint32, 20)
			f.Line(want, raw[100*y:])
			require.Equal(t, want, out.Row(y))
		}
	}
	s.set(0x1000, xr24, 24, 16, 0)
	s.con.Refresh()
	s.mem.Write(0x1000+24*4*5, []byte{1, 2, 3})
	s.con.Refresh()
	require.EqualValues(t, 0x030201, s.con.Surface().Row(5)[0])
}

// TestRefused: what is no picture in memory leaves the last one.
func TestRefused(t *testing.T) {
	s := newScreen(t)
	s.set(0, xr24, 32, 32, 0)
	was := s.mode
	for _, c := range [][5]uint64{
		{ramSize - 4096, uint64(xr24), 32, 33, 0}, {0, 0x1234, 32, 32, 0}, {0, uint64(xr24), 15, 32, 0}, {0, uint64(xr24), 32, 15, 0}, {0, uint64(xr24), 16001, 32, 0},
		{0, uint64(xr24), 32, 12001, 0}, {0, uint64(xr24), 32, 32, 0xffffffff}, {^uint64(0) - 100, uint64(xr24), 32, 32, 0}, {ramSize, uint64(xr24), 32, 32, 0},
	} {
		s.set(c[0], uint32(c[1]), uint32(c[2]), uint32(c[3]), uint32(c[4]))
		require.Equal(t, was, s.mode, "%x", c)
	}
	s.set(ramSize-4096, xr24, 32, 32, 0)
	require.NotEqual(t, was, s.mode)
}

func TestHelp(t *testing.T) { qtest.CompareHelp(t, Classes()) }

// FuzzItem writes the item with any contents.
func FuzzItem(f *testing.F) {
	s := new(Screen)
	binary.BigEndian.PutUint32(s.item[itemFormat:], xr24)
	f.Add(s.item[:])
	f.Fuzz(func(t *testing.T, item []byte) {
		s := newScreen(t)
		defer s.mem.View().Find(0).RAM.Free()
		copy(s.item[:], item)
		s.item[itemWidth], s.item[itemHeight] = 0, 0 // pictures of a size that is quick to draw
		s.configure()
		s.con.Refresh()
	})
}
