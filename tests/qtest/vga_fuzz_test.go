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
	f.Fuzz(func(t *testing.T, ops, change []byte) {
		m := newMachine(t)
		d, err := m.tree.Create(qdev.NewRegistry(vga.Classes()).Lookup("VGA"), m.host.Bus, qdev.Setting{Name: "addr", Value: "05.0"},
			qdev.Setting{Name: "romfile", Value: ""}, qdev.Setting{Name: "vgamem_mb", Value: "1"})
		if err != nil {
			t.Fatal(err)
		}
		defer qdev.Unrealize(d)
		m.tree.Reset()
		fn := d.(pci.Function).PCI()
		fn.DefaultWriteConfig(0x10, 4, vgaMem)
		fn.DefaultWriteConfig(0x18, 4, vgaRegs)
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
			case op < 0xe0:
				m.Store(0xa0000+v<<1&0x1ffff, 1, v)
				m.Load(0xa0000+v<<1&0x1ffff, 2)
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
