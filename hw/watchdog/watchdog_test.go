package watchdog

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/hw/pci"
	"goemu/hw/qdev/qtest"
	"goemu/hw/virtio/virtiotest"
	"goemu/internal/clock"
	"goemu/internal/mainloop"
)

const (
	devfn = 5 << 3
	bar   = 0xfd000000
)

// newMachine makes a machine with an i6300esb that is mapped, and counts how often it has run out.
func newMachine(t testing.TB) (m *virtiotest.Machine, expired *int) {
	clock.Virtual.SetFake(0)
	expired = new(int)
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	m = virtiotest.NewMachine(t, Classes(func() { *expired++ }))
	_, err := m.Add("i6300esb", "addr", "5")
	require.NoError(t, err)
	m.Tree.Reset()
	m.SetConfig(devfn, pci.RegBAR0, 4, bar)
	m.SetConfig(devfn, pci.RegCommand, 2, pci.CommandMemory)
	return m, expired
}

func pass(ns int64) {
	clock.Virtual.Set(clock.Virtual.Now() + ns)
	mainloop.Main.RunPending()
}

// TestStages lets both stages run out, and pings in between.
func TestStages(t *testing.T) {
	m, expired := newMachine(t)
	unlocked := func(at uint64, size int, v uint64) {
		m.Mem.Store(bar+regReload, 1, unlock1)
		m.Mem.Store(bar+regReload, 1, unlock2)
		m.Mem.Store(bar+at, size, v)
	}
	const ticks = 1000 // of 2^15 ticks of 30 ns
	stage := int64(ticks<<slowShift) * pciTick
	mainloop.Lock.Lock()
	unlocked(regPreload1, 4, ticks)
	unlocked(regPreload2, 4, 2*ticks)
	m.SetConfig(devfn, cfgLock, 1, lockEnable)
	mainloop.Lock.Unlock()
	pass(stage - 1)
	mainloop.Lock.Lock()
	m.Mem.Store(bar+regReload, 2, reloadPing) // is not unlocked
	unlocked(regReload, 2, reloadPing)
	mainloop.Lock.Unlock()
	pass(stage)
	pass(2*stage - 1)
	require.Zero(t, *expired)
	pass(1)
	require.Equal(t, 1, *expired)
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	v, _ := m.Mem.Load(bar+regReload, 2)
	require.EqualValues(t, reloadRebooted, v, "after the reset the driver is told")
	require.Zero(t, m.Config(devfn, cfgLock, 1))
	unlocked(regReload, 2, 1<<9)
	v, _ = m.Mem.Load(bar+regReload, 2)
	require.Zero(t, v)
}

// TestRegisters compares registers with QEMU's.
func TestRegisters(t *testing.T) {
	q := qtest.Start(t, "-M", "pc", "-m", "16", "-nodefaults", "-device", "i6300esb,addr=5")
	m, _ := newMachine(t)
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	q.SetConfig(devfn, pci.RegBAR0, 4, bar)
	q.SetConfig(devfn, pci.RegCommand, 2, pci.CommandMemory)
	for _, v := range []uint32{0, 0x35, 0x13, 0x22, 2, 6, 7, 0} {
		for reg := uint32(0); reg < 256; reg++ {
			for _, size := range []int{1, 2, 4} {
				if reg%uint32(size) != 0 {
					continue
				}
				if got, want := m.Config(devfn, reg, size), q.Config(devfn, reg, size); got != want {
					t.Errorf("after %x: config %02x, %d bytes: %x, want %x", v, reg, size, got, want)
				}
			}
		}
		m.SetConfig(devfn, cfgConfig, 2, v)
		q.SetConfig(devfn, cfgConfig, 2, v)
		m.SetConfig(devfn, cfgLock, 1, v)
		q.SetConfig(devfn, cfgLock, 1, v)
		for at := uint64(0); at < esbBytes; at += 4 {
			got, _ := m.Mem.Load(bar+at, 4)
			if want := q.Load(bar+at, 4); got != want {
				t.Errorf("after %x: register %x: %x, want %x", v, at, got, want)
			}
		}
	}
}

// FuzzESB writes registers as the input says while time passes.
func FuzzESB(f *testing.F) {
	f.Add([]byte("\x0c\x00\x80\x00\x0c\x00\x86\x00\x00\x02\x01\x00\x68\x40\x02\x00\x00\x80\xff\xff"))
	f.Fuzz(func(t *testing.T, script []byte) {
		m, _ := newMachine(t)
		defer m.Mem.View().Find(0).RAM.Free()
		for n := 0; len(script) >= 4 && n < 1000; n++ {
			at, size, v := script[0], 1<<(script[1]&3%3), binary.LittleEndian.Uint16(script[2:])
			switch script[1] >> 6 {
			case 0:
				mainloop.Lock.Lock()
				m.Mem.Store(bar+uint64(at), size, uint64(v))
				m.Mem.Load(bar+uint64(at), size)
				mainloop.Lock.Unlock()
			case 1:
				mainloop.Lock.Lock()
				m.SetConfig(devfn, uint32(at)&^3, size, uint32(v))
				mainloop.Lock.Unlock()
			default:
				pass(int64(v) << 16)
			}
			script = script[4:]
		}
	})
}

func TestHelp(t *testing.T) { qtest.CompareHelp(t, Classes(func() {})) }
