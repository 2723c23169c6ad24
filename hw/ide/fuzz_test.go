package ide

import (
	"testing"

	"goemu/block"
	"goemu/block/driver"
	"goemu/hw/disk"
	"goemu/hw/qdev"
	"goemu/internal/mainloop"
)

// FuzzBus drives a channel with a disk and a CD-ROM drive by bytes: each two are a register and a value.
func FuzzBus(f *testing.F) {
	f.Add([]byte{6, 0xe0, 2, 1, 7, 0xec, 0x80, 0})
	f.Add([]byte{6, 0xf0, 1, 0, 4, 0xfe, 5, 0xff, 7, 0xa0, 0x81, 0x12, 0x81, 0, 0x81, 36, 0x81, 0, 0x81, 0, 0x81, 0, 0x80, 0})
	f.Add([]byte{6, 0xe0, 2, 3, 7, 0x30, 0x81, 5, 8, 4, 7, 0x20})
	f.Fuzz(func(t *testing.T, script []byte) {
		mainloop.Lock.Lock()
		defer mainloop.Lock.Unlock()
		b := newTestBus(t)
		for i := 0; i+1 < len(script) && i < 4000; i += 2 {
			op, v := script[i], script[i+1]
			switch {
			case op >= 0x80 && op&1 == 0:
				for range int(v) + 1 {
					b.ReadData(2)
				}
			case op >= 0x80:
				b.WriteData(2, uint32(v))
			case op == 8:
				b.WriteControl(v)
				b.softReset()
			case op >= 0x40:
				b.Read(int(op & 7))
			default:
				b.Write(int(op&7), v)
			}
			b.jobs.Drain()
		}
	})
}

// tableless is an adapter whose guest never gives it memory.
type tableless struct{ NoDMA }

// Start implements DMA.
func (tableless) Start(begin func()) { begin() }

func newTestBus(t *testing.T) *Bus {
	t.Helper()
	g := driver.NewDrives()
	drives := map[string]*block.Source{}
	for _, id := range []string{"hd", "cd"} {
		if _, err := g.AddDrive("if=none,id="+id+",file.driver=null-co,file.size=1M,file.read-zeroes=on,format=raw", "none"); err != nil {
			t.Fatal(err)
		}
		drives[id], _ = g.Source(id)
	}
	b := NewBus(nil, 0, 0, 2, nil)
	b.DMA = tableless{}
	for i, id := range []string{"hd", "cd"} {
		d := qdev.New(Classes()[i])
		switch d := d.(type) {
		case *HD:
			d.Drive = drives[id]
		case *CD:
			d.Drive = drives[id]
		}
		if err := qdev.Realize(d, b); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		mainloop.Lock.Lock()
		defer mainloop.Lock.Unlock()
		disk.DrainAll()
	})
	return b
}
