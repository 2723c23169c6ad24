package qtest

import (
	"testing"

	"goemu/hw/display/vga"
	"goemu/hw/pci"
	"goemu/hw/qdev"
	"goemu/migration/vmstate"
	"goemu/ui"
)

// FuzzVGA makes accesses to the adapter's ports, registers and memory, draws in between, and loads its state, also a changed one.
func FuzzVGA(f *testing.F) {
	f.Add([]byte{0xce, 4, 0, 0xcf, 0xc1, 0, 0xff, 0, 0}, []byte{})
	fuzzAdapter(f, "VGA", 0x18, qdev.Setting{Name: "vgamem_mb", Value: "1"})
}

// FuzzCirrus does so with the GD5446: 16-bit writes to an index port write the register, too.
func FuzzCirrus(f *testing.F) {
	f.Add([]byte{0x4e, 0x20, 40, 0x4e, 0x24, 80, 0x4e, 0x32, 0x0d, 0x4e, 0x33, 4, 0x4e, 0x30, 0xc0, 0x4e, 0x31, 2, 0xff, 0, 0}, []byte{})
	f.Add([]byte{0x44, 7, 1, 0x4e, 0x20, 3, 0x4e, 0x24, 80, 0x4e, 0x32, 0x0d, 0x4e, 0x30, 4, 0x4e, 0x31, 2, 0xd8, 1, 2, 0xd8, 1, 2, 0x44, 0x12, 1, 0xff, 0, 0}, []byte{1, 0, 3})
	fuzzAdapter(f, "cirrus-vga", 0x14)
}

// fuzzAdapter fuzzes an adapter whose registers in memory are behind the BAR with a number of the configuration space.
func fuzzAdapter(f *testing.F, device string, registers int, settings ...qdev.Setting) {
	f.Fuzz(func(t *testing.T, ops, change []byte) {
		m := newMachine(t)
		set := append([]qdev.Setting{{Name: "addr", Value: "05.0"}, {Name: "romfile", Value: ""}}, settings...)
		d, err := m.tree.Create(qdev.NewRegistry(vga.Classes()).Lookup(device), m.host.Bus, set...)
		if err != nil {
			t.Fatal(err)
		}
		defer qdev.Unrealize(d)
		m.tree.Reset()
		fn := d.(pci.Function).PCI()
		fn.DefaultWriteConfig(0x10, 4, vgaMem)
		fn.DefaultWriteConfig(registers, 4, vgaRegs)
		fn.DefaultWriteConfig(4, 2, 3)
		c := ui.Main.Find(d, 0)
		for i := 0; i+2 < len(ops) && i < 600; i += 3 {
			v := uint64(ops[i+1]) | uint64(ops[i+2])<<8
			switch op := uint16(ops[i]); {
			case op < 0x60:
				m.Out(0x3b0+op%0x30, 1+int(op)/0x30, uint32(v))
			case op < 0xc0:
				m.In(0x3b0+op%0x30, 1)
			case op < 0xd1:
				m.Out(0x100+op, 2, uint32(v))
			case op < 0xd8:
				m.Store(0xa0000+v<<1&0x1ffff, 1, v)
				m.Load(0xa0000+v<<1&0x1ffff, 2)
			case op < 0xe0:
				m.Store(vgaMem+uint64(op&7)<<22+v<<6, 4, v)
				m.Load(vgaMem+uint64(op&7)<<22+v<<6, 4)
			case op < 0xf0:
				m.Store(vgaRegs+v&0xffe, 2, v>>4)
				m.Load(vgaRegs+v&0xffc, 4)
			default:
				c.Refresh()
			}
		}
		c.Refresh()
		var w vmstate.Writer
		d.Dev().State().Save(&w)
		b := w.Bytes()
		for i := 0; i+2 < len(change); i += 3 {
			b[(int(change[i])|int(change[i+1])<<8)%len(b)] ^= change[i+2]
		}
		if d.Dev().State().Load(vmstate.NewReader(b), d.Dev().State().Layout().Version) == nil {
			m.Store(0xa0000, 1, 1)
			c.Refresh()
		}
	})
}
