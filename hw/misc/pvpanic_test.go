package misc

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/hw/qdev/qtest"
	"goemu/hw/virtio/virtiotest"
	"goemu/migration/vmstate/vmstatetest"
)

// TestPVPanicPCI compares the PCI function with QEMU's and has it tell of the guest's end.
func TestPVPanicPCI(t *testing.T) {
	const devfn, at = 5 << 3, 0xfd000000
	panics, loads := 0, 0
	m := virtiotest.NewMachine(t, Classes(&Hooks{Panicked: func() { panics++ }, CrashLoaded: func() { loads++ }}))
	defer m.Tree.Close()
	_, err := m.Add("pvpanic-pci", "addr", "5")
	require.NoError(t, err)
	m.Tree.Reset()
	q := qtest.Start(t, "-M", "pc", "-nodefaults", "-device", "pvpanic-pci,addr=5")
	for reg := uint32(0); reg < 256; reg += 4 {
		require.Equal(t, q.Config(devfn, reg, 4), m.Config(devfn, reg, 4), "configuration %#x", reg)
	}
	for _, w := range []struct{ reg, v uint32 }{{0x10, ^uint32(0)}, {0x10, at}, {4, 6}} {
		q.SetConfig(devfn, w.reg, 4, w.v)
		m.SetConfig(devfn, w.reg, 4, w.v)
		require.Equal(t, q.Config(devfn, w.reg, 4), m.Config(devfn, w.reg, 4))
	}
	for _, size := range []int{1, 2, 4} {
		got, _ := m.Mem.Load(at, size)
		require.Equal(t, q.Load(at, size), got, "%d bytes", size)
	}
	m.Mem.Store(at, 1, 4)
	require.Equal(t, []int{0, 0}, []int{panics, loads})
	m.Mem.Store(at, 1, 2)
	m.Mem.Store(at, 1, 1)
	require.Equal(t, []int{1, 1}, []int{panics, loads})
	vmstatetest.Compare(t, "pc", "pvpanic-pci", pvpanicPCIState.Layout())
}

// FuzzPVPanicPCI lets a guest access the function's registers and its configuration space. An operation has eight bytes: what it is, a size,
// a place and a value.
func FuzzPVPanicPCI(f *testing.F) {
	const devfn, at = 5 << 3, 0xfd000000
	f.Add([]byte{0, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{2, 2, 0x10, 0, 0xff, 0xff, 0xff, 0xff, 3, 2, 0x10, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		panics := 0
		m := virtiotest.NewMachine(t, Classes(&Hooks{Panicked: func() { panics++ }, CrashLoaded: func() {}}))
		defer m.Mem.View().Find(0).RAM.Free()
		defer m.Tree.Close()
		_, err := m.Add("pvpanic-pci", "addr", "5")
		require.NoError(t, err)
		m.SetConfig(devfn, 0x10, 4, at)
		m.SetConfig(devfn, 4, 2, 6)
		stores := 0
		for ; len(script) >= 8; script = script[8:] {
			size, place, v := 1<<(script[1]%3), uint64(script[2]), binary.LittleEndian.Uint32(script[4:])
			switch script[0] & 3 {
			case 0:
				m.Mem.Store(at+place&0xf, size, uint64(v))
				stores += size
			case 1:
				m.Mem.Load(at+place&0xf, size)
			case 2:
				m.SetConfig(devfn, uint32(place)&^3, size, v)
			case 3:
				m.Config(devfn, uint32(place)&^3, size)
			}
		}
		if panics > stores {
			t.Errorf("%d panics of %d bytes", panics, stores)
		}
	})
}
