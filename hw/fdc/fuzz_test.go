package fdc

import (
	"testing"

	"goemu/block"
	"goemu/block/driver"
	"goemu/hw/dma/i8257"
	"goemu/hw/isa"
	"goemu/hw/qdev"
	"goemu/internal/clock"
	"goemu/internal/mainloop"
	"goemu/internal/memory"
	"goemu/migration/vmstate/vmstatetest"
)

// rig is a controller with a disk of 1.44 MB in its first drive.
type rig struct {
	ports *memory.AddressSpace
	fdc   *Controller
}

func newRig(t testing.TB) *rig {
	t.Helper()
	clock.Virtual.SetFake(0)
	g := driver.NewDrives()
	if _, err := g.AddDrive("if=none,id=fd,file.driver=null-co,file.size=1474560,file.read-zeroes=on,format=raw", "none"); err != nil {
		t.Fatal(err)
	}
	ram, err := memory.NewRAM("ram", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ram.RAM().Free() })
	tree := qdev.NewTree(qdev.NewRegistry())
	qdev.Link(&tree.Links, func(id string) (*block.Source, bool) { return g.Source(id) })
	mem, io := memory.NewContainer("system", memory.Whole), memory.NewPortSpace("io")
	mem.Add(ram, 0, 0)
	bridge, err := tree.Create(&isa.BridgeClass, nil)
	if err != nil {
		t.Fatal(err)
	}
	bus := isa.NewBus(bridge, "isa.0", mem, io)
	if err := i8257.NewPair(tree, bus, memory.NewAddressSpace("memory", mem)); err != nil {
		t.Fatal(err)
	}
	d, err := tree.Create(&Class, bus)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{ports: memory.NewAddressSpace("io", io), fdc: d.(*Controller)}
	if _, err := tree.Create(&FloppyClass, &r.fdc.bus, qdev.Setting{Name: "drive", Value: "fd"}); err != nil {
		t.Fatal(err)
	}
	tree.Reset()
	t.Cleanup(tree.Close)
	return r
}

// FuzzController drives a floppy controller and the DMA controllers by bytes: each two are a port and a value.
func FuzzController(f *testing.F) {
	read := []byte{0x46, 0xe6, 0x46, 0, 0x46, 0, 0x46, 0, 0x46, 1, 0x46, 2, 0x46, 18, 0x46, 27, 0x46, 255}
	f.Add(append([]byte{0x0b, 0x46, 0x05, 0xff, 0x05, 0x11, 0x0a, 2}, read...))
	f.Add(append([]byte{0x43, 0x14}, read...))
	f.Add([]byte{0x46, 0x0a, 0x46, 0, 0xff, 0xff, 0xc6, 0, 0xc6, 0})
	f.Add([]byte{0x46, 0x8e, 0x46, 1, 0x46, 2, 0x46, 3, 0x46, 4, 0x46, 0xc5, 0xc6, 0})
	f.Add([]byte{0x0b, 0x02, 0x09, 6, 0x0a, 2})
	f.Fuzz(func(t *testing.T, script []byte) {
		mainloop.Lock.Lock()
		defer mainloop.Lock.Unlock()
		r := newRig(t)
		for i := 0; i+1 < len(script) && i < 4000; i += 2 {
			at, v := uint64(script[i]&0x7f), script[i+1]
			if at >= 0x40 {
				at = StandardBase + at&7
			} else if at >= 0x20 {
				at += 0xa0
			}
			switch {
			case script[i] == 0xff:
				clock.Virtual.Advance(int64(v) * 1e6)
				mainloop.Lock.Unlock()
				mainloop.Main.RunPending()
				mainloop.Lock.Lock()
			case script[i] >= 0x80:
				r.ports.Load(at, 1)
			default:
				r.ports.Store(at, 1, uint64(v))
			}
		}
		other := newRig(t)
		vmstatetest.RoundTrip(t, isaState.Version, r.fdc.State(), other.fdc.State())
	})
}
