package pci

import (
	"testing"

	"goemu/hw/qdev"
	"goemu/internal/memory"
)

// sized is a function with BARs of given sizes: I/O at 0, memory at 1, prefetchable 64-bit memory at 4; zero for none.
type sized struct {
	Device
	sizes
}

type sizes struct{ io, mem, pref uint64 }

func (d *sized) PCIInfo() Info { return Info{Vendor: VendorRedHat, Device: 1, Class: ClassOthers} }

func (d *sized) Realize() error {
	d.SetInterruptPin(1)
	for _, b := range []struct {
		n    int
		typ  BARType
		size uint64
	}{{0, BARIO, d.io}, {1, BARMem32, d.mem}, {4, BARMem64 | BARPrefetch, d.pref}} {
		if b.size != 0 {
			d.SetBAR(b.n, b.typ, memory.NewIO("bar", b.size, new(ops)))
		}
	}
	return nil
}

// TestSetupAsSeaBIOS has the addresses that SeaBIOS 1.16 gives to the same functions on the pc machine.
func TestSetupAsSeaBIOS(t *testing.T) {
	r := newRig(t)
	var devs []*sized
	for _, s := range []sizes{
		{io: 0x20, mem: 0x1000, pref: 0x4000}, {io: 0x80, mem: 0x1000, pref: 0x4000},
		{io: 0x40, mem: 0x1000, pref: 0x4000}, {io: 0x100, mem: 0x1000}, {io: 0x10},
	} {
		c := &qdev.Class{Name: "sized", Bus: BusType, New: func() qdev.Device { return &sized{sizes: s} }}
		d, err := r.tree.Create(c, r.bus)
		if err != nil {
			t.Fatal(err)
		}
		devs = append(devs, d.(*sized))
	}
	line := func(devfn uint8, pin int) uint8 { return devfn>>3 + 10 }
	if err := (Setup{MemStart: 0xc0000000, MemEnd: 0xfec00000, Line: line}).Run(r.bus); err != nil {
		t.Fatal(err)
	}
	want := [][3]uint64{{0xc1c0, 0xfebfc000, 0xfebf0000}, {0xc100, 0xfebfd000, 0xfebf4000}, {0xc180, 0xfebfe000, 0xfebf8000},
		{0xc000, 0xfebff000, 0}, {0xc1e0, 0, 0}}
	for i, d := range devs {
		for k, n := range []int{0, 1, 4} {
			if _, addr, ok := d.BAR(n); addr != want[i][k] || ok != (addr != 0) {
				t.Errorf("function %d: BAR %d at %#x (%v), want %#x", i, n, addr, ok, want[i][k])
			}
		}
		if d.Config[RegIntLine] != uint8(i+10) || d.Mastering() {
			t.Errorf("function %d: interrupt line %d, command %#x", i, d.Config[RegIntLine], d.Get16(RegCommand))
		}
	}
}

func TestSetupWithoutSpace(t *testing.T) {
	for name, s := range map[string]sizes{"memory": {mem: 1 << 30}, "ports": {io: 0x8000}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			for range 2 {
				c := &qdev.Class{Name: "sized", Bus: BusType, New: func() qdev.Device { return &sized{sizes: s} }}
				if _, err := r.tree.Create(c, r.bus); err != nil {
					t.Fatal(err)
				}
			}
			if err := (Setup{MemStart: 0xc0000000, MemEnd: 0xfec00000}).Run(r.bus); err != ErrNoSpace {
				t.Error(err)
			}
		})
	}
}
