package misc

import (
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
