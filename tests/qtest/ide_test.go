package qtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"goemu/block"
	"goemu/block/driver"
	"goemu/hw/ide"
	idepiix "goemu/hw/ide/piix"
	"goemu/hw/qdev"
	"goemu/internal/mainloop"
	"goemu/migration/vmstate"
)

// Ports of the primary channel and of its bus master, where the test puts it.
const (
	ideBase, ideControl = 0x1f0, 0x3f6
	masterBase          = 0xc000
	devfnIDE            = 1<<3 | 1

	ideBusy, ideDRQ = 0x80, 0x08
)

// idePair are two PCs with a disk of 8 MiB and a CD-ROM of 1 MiB on the primary channel.
type idePair struct {
	*pair
	f *idepiix.IDE
}

// image makes a file of n bytes whose sectors differ.
func image(t testing.TB, name string, n int) string {
	t.Helper()
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i>>9 ^ i*7)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func newIDEPair(t testing.TB) *idePair {
	t.Helper()
	hd, cd := image(t, "hd.img", 8<<20), image(t, "cd.iso", 1<<20)
	p := &idePair{pair: newPair(t,
		"-blockdev", "raw,node-name=hd,file.driver=file,file.filename="+hd, "-device", "ide-hd,drive=hd,bus=ide.0,unit=0,serial=S1,wwn=0x5000c50015ea71aa",
		"-blockdev", "raw,node-name=cd,read-only=on,file.driver=file,file.filename="+cd, "-device", "ide-cd,drive=cd,bus=ide.0,unit=1")}
	m := p.m
	f, err := idepiix.New(m.tree, idepiix.PIIX3Class, m.host.Bus, devfnIDE)
	if err != nil {
		t.Fatal(err)
	}
	p.f = f
	attachDrives(t, m, [2]*ide.Bus{f.Buses[0], f.Buses[0]}, [2]int{0, 1})
	p.setConfig(devfnIDE, 0x20, 4, masterBase|1)
	p.setConfig(devfnIDE, 0x04, 2, 5)
	return p
}

// attachDrives puts a disk and a CD-ROM drive at positions of our machine, runs its loop and resets it.
func attachDrives(t testing.TB, m *machine, buses [2]*ide.Bus, units [2]int) {
	t.Helper()
	files := [2]string{image(t, "hd.img", 8<<20), image(t, "cd.iso", 1<<20)}
	drives := driver.NewDrives()
	qdev.Link(&m.tree.Links, func(id string) (*block.Source, bool) { return drives.Source(id) })
	for i, id := range []string{"hd", "cd"} {
		media := []string{"disk", "cdrom"}[i]
		if _, err := drives.AddDrive("id="+id+",if=none,format=raw,media="+media+",file="+files[i], "none"); err != nil {
			t.Fatal(err)
		}
		set := []qdev.Setting{{Name: "unit", Value: fmt.Sprint(units[i])}, {Name: "drive", Value: id}}
		if id == "hd" {
			set = append(set, qdev.Setting{Name: "serial", Value: "S1"}, qdev.Setting{Name: "wwn", Value: "0x5000c50015ea71aa"})
		}
		mainloop.Lock.Lock()
		_, err := m.tree.Create(ide.Classes()[i], buses[i], set...)
		mainloop.Lock.Unlock()
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		mainloop.Lock.Lock()
		defer mainloop.Lock.Unlock()
		m.tree.Close()
		if err := drives.Close(); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- mainloop.Main.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	mainloop.Lock.Lock()
	m.tree.Reset()
	mainloop.Lock.Unlock()
}

// Out and In of our side need the machine lock, since requests end on goroutines of their own.
func (p *idePair) out(port uint16, size int, v uint32) {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	p.pair.out(port, size, v)
}

func (p *idePair) in(port uint16, size int) uint32 {
	p.t.Helper()
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	return p.pair.in(port, size)
}

func (p *idePair) setConfig(devfn uint8, reg, size int, v uint32) {
	p.out(0xcf8, 4, 0x80000000|uint32(devfn)<<8|uint32(reg&^3))
	p.out(0xcfc+uint16(reg&3), size, v)
}

// settle waits until neither side is busy.
func (p *idePair) settle() {
	p.t.Helper()
	ours := func() uint32 {
		mainloop.Lock.Lock()
		defer mainloop.Lock.Unlock()
		return p.m.In(ideControl, 1)
	}
	active := func() uint32 {
		mainloop.Lock.Lock()
		defer mainloop.Lock.Unlock()
		if p.f.Buses[0].Busy() {
			return ideBusy
		}
		return 0
	}
	for range 2000 {
		if p.q.In(ideControl, 1)&ideBusy == 0 && ours()&ideBusy == 0 && active() == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
	p.t.Fatalf("the drives stay busy: QEMU %#x, ours %#x\n%q", p.q.In(ideControl, 1), ours(), p.log)
}

// settleMaster waits until both bus masters have ended their work or raised an interrupt as well.
func (p *idePair) settleMaster() {
	p.t.Helper()
	for range 2000 {
		if s := p.q.In(masterBase+2, 1); s&1 == 0 || s&4 != 0 {
			p.settle()
			return
		}
		time.Sleep(time.Millisecond)
	}
	p.t.Fatalf("QEMU's bus master stays active\n%q", p.log)
}

// registers compares the whole command block.
func (p *idePair) registers() {
	p.t.Helper()
	for reg := uint16(7); reg >= 1; reg-- {
		p.in(ideBase+reg, 1)
	}
}

// select picks a drive and sets the task file.
func (p *idePair) task(dev uint8, feature, count uint8, lba uint32) {
	for reg, v := range []uint8{feature, count, uint8(lba), uint8(lba >> 8), uint8(lba >> 16)} {
		p.out(ideBase+1+uint16(reg), 1, uint32(v))
	}
	p.out(ideBase+6, 1, uint32(dev)|lba>>24&15)
}

// command starts a command and reads what it returns through the data register.
func (p *idePair) command(cmd uint8) {
	p.t.Helper()
	p.out(ideBase+7, 1, uint32(cmd))
	p.drain()
}

func (p *idePair) drain() {
	p.t.Helper()
	for range 20000 {
		p.settle()
		if p.in(ideControl, 1)&ideDRQ == 0 {
			p.registers()
			return
		}
		p.in(ideBase, 2)
	}
}

func TestIDEIdentify(t *testing.T) {
	p := newIDEPair(t)
	p.registers()
	p.task(0xe0, 0, 0, 0)
	p.command(0xec)
	p.task(0xf0, 0, 0, 0)
	p.command(0xec) // refused with the packet signature
	p.command(0xa1)
	p.task(0xe0, 3, 0x45, 0)
	p.command(0xef)
	p.command(0xec)
	for _, sub := range []uint8{0xd0, 0xd1, 0xda, 0xd8, 0xd9, 0xd2} {
		p.task(0xe0, sub, 1, 0xc24f00)
		p.command(0xb0)
	}
	for _, log := range []uint32{1, 6, 9} {
		p.task(0xe0, 0xd5, 1, 0xc24f00|log)
		p.command(0xb0)
	}
}

// TestIDECommands tries every command with random task files.
func TestIDECommands(t *testing.T) {
	p := newIDEPair(t)
	rng := rand.New(rand.NewPCG(5, 1))
	for cmd := range 256 {
		switch cmd {
		case 0xc8, 0xc9, 0xca, 0xcb, 0x25, 0x35, 0x06, 0xa0: // wait for a bus master or a packet
			continue
		case 0x30, 0x31, 0x34, 0x3c, 0x39, 0xc5: // wait for data
			continue
		case 0x87, 0x38, 0xcd, 0xb7, 0x03, 0xc0, 0xb9: // of compact flash
			continue
		}
		for _, dev := range []uint8{0xe0, 0xa0, 0xf0} {
			p.task(dev, uint8(rng.IntN(256)), uint8(rng.IntN(4)), uint32(rng.IntN(20000)))
			p.command(uint8(cmd))
		}
	}
}

func TestIDEPIO(t *testing.T) {
	p := newIDEPair(t)
	for _, cmd := range []uint8{0x30, 0xc5} {
		p.task(0xe0, 0, 3, 100)
		p.out(ideBase+7, 1, uint32(cmd))
		for i := range uint32(3 * 256) {
			p.settle()
			p.out(ideBase, 2, i*3)
		}
		p.settle()
		p.registers()
	}
	p.task(0xe0, 0, 5, 99)
	p.command(0x20)
	p.task(0xe0, 0, 5, 99)
	p.command(0xc4)
	p.task(0xe0, 0, 0, 16383) // reaches beyond the end
	p.command(0x20)
	p.task(0xa0, 0, 1, 0x000101) // cylinder, head, sector
	p.command(0x20)
}

// prd puts a table of descriptors at 1 MiB.
func (p *idePair) prd(list ...[2]uint32) {
	for i, d := range list {
		p.store(0x100000+uint64(8*i), 4, uint64(d[0]))
		p.store(0x100004+uint64(8*i), 4, uint64(d[1]))
	}
	p.out(masterBase+4, 4, 0x100000)
}

func TestIDEBusMaster(t *testing.T) {
	p := newIDEPair(t)
	const last = 1 << 31
	for _, tt := range []struct {
		name string
		cmd  uint8
		n    uint8
		prd  [][2]uint32
	}{
		{"read", 0xc8, 4, [][2]uint32{{0x200000, 1024}, {0x210000, 1024 | last}}},
		{"long table", 0xc8, 1, [][2]uint32{{0x200000, 4096 | last}}},
		{"short table", 0xc8, 4, [][2]uint32{{0x200000, 512 | last}}},
		{"beyond the end", 0xc8, 255, [][2]uint32{{0x200000, 0 | last}}},
		{"write", 0xca, 2, [][2]uint32{{0x200000, 1024 | last}}},
		{"read back", 0x25, 2, [][2]uint32{{0x220000, 1024 | last}}},
		{"to a device", 0xc8, 1, [][2]uint32{{0xfee00000, 512 | last}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lba := uint32(16)
			if tt.name == "beyond the end" {
				lba = 16300
			}
			p.out(masterBase+2, 1, 6)
			p.prd(tt.prd...)
			p.task(0xe0, 0, 0, 0)
			p.task(0xe0, 0, tt.n, lba)
			p.out(ideBase+7, 1, uint32(tt.cmd))
			p.out(masterBase, 1, 9)
			p.settleMaster()
			p.in(masterBase, 1)
			p.in(masterBase+2, 1)
			p.registers()
			p.out(masterBase, 1, 8)
			p.in(masterBase+2, 1)
			for _, d := range tt.prd {
				if d[0] < 0x1000000 {
					for i := range uint64(64) {
						p.load(uint64(d[0])+i*37, 1)
					}
				}
			}
		})
	}
}

// packet sends a packet command and reads the reply.
func (p *idePair) packet(dma bool, limit uint32, cdb ...byte) {
	p.t.Helper()
	feature := uint8(0)
	if dma {
		feature = 1
	}
	p.task(0xb0, feature, 0, limit<<8)
	p.out(ideBase+7, 1, 0xa0)
	p.settle()
	p.registers()
	cdb = append(cdb, make([]byte, 12-len(cdb))...)
	for i := 0; i < 12; i += 2 {
		p.out(ideBase, 2, uint32(cdb[i])|uint32(cdb[i+1])<<8)
	}
	if dma {
		p.out(masterBase, 1, 9)
		p.settleMaster()
		p.in(masterBase+2, 1)
		p.out(masterBase, 1, 8)
		p.in(masterBase+2, 1)
		p.out(masterBase+2, 1, 6)
	}
	p.drain()
}

func TestIDEPackets(t *testing.T) {
	p := newIDEPair(t)
	packets := [][]byte{
		{0x00}, {0x03, 0, 0, 0, 18}, {0x12, 0, 0, 0, 36}, {0x12, 1, 0, 0, 250}, {0x12, 1, 0x83, 0, 250}, {0x12, 1, 0x83, 0, 10}, {0x12, 1, 0x55, 0, 10},
		{0x25}, {0x28, 0, 0, 0, 0, 16, 0, 0, 3}, {0x28, 0, 0, 0, 2, 0, 0, 0, 1}, {0x2b, 0, 0, 0, 0, 5}, {0x2b, 0, 0, 1, 0, 5},
		{0x43, 2, 0, 0, 0, 0, 0, 0, 200}, {0x43, 0, 0, 0, 0, 0, 0xaa, 0, 200}, {0x43, 0, 0, 0, 0, 0, 0, 0, 200, 0x40}, {0x43, 2, 0, 0, 0, 0, 0, 0, 200, 0x80},
		{0x43, 0, 0, 0, 0, 0, 5, 0, 200}, {0x46, 0, 0, 0, 0, 0, 0, 0, 200}, {0x46, 0, 0, 1}, {0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8}, {0x4a, 1, 0, 0, 2, 0, 0, 0, 8}, {0x4a, 0},
		{0x51, 0, 0, 0, 0, 0, 0, 0, 34}, {0x51, 1}, {0x5a, 0, 0x01, 0, 0, 0, 0, 0, 40}, {0x5a, 0, 0x0e, 0, 0, 0, 0, 0, 40}, {0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 40},
		{0x5a, 0, 0xc1, 0, 0, 0, 0, 0, 40}, {0x5a, 0, 0x3f, 0, 0, 0, 0, 0, 40}, {0xa8, 0, 0, 0, 0, 7, 0, 0, 0, 2}, {0xad, 0, 0, 0, 0, 0, 0, 0xff, 0, 40}, {0xad, 0, 0, 0, 0, 0, 0, 0, 0, 40},
		{0xbb}, {0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8}, {0xbe, 0, 0, 0, 0, 3, 0, 0, 2, 0xf8}, {0xbe, 0, 0, 0, 0, 3, 0, 0, 2, 0x10}, {0xbe, 0, 0, 0, 0, 3, 0, 0, 2, 0x20}, {0xbe, 0, 0, 0, 0, 3, 0, 0, 2},
		{0xff}, {0x1e, 0, 0, 0, 1}, {0x1b, 0, 0, 0, 2}, {0x1e}, {0x1b, 0, 0, 0, 2}, {0x00}, {0x28, 0, 0, 0, 0, 16, 0, 0, 1}, {0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8}, {0x1b, 0, 0, 0, 3}, {0x00},
	}
	for _, limit := range []uint32{0xfffe, 300, 0} {
		for _, cdb := range packets {
			p.packet(false, limit, cdb...)
		}
	}
	for _, cdb := range packets {
		p.prd([2]uint32{0x200000, 1 << 31})
		p.packet(true, 0, cdb...)
		for i := range uint64(100) {
			p.load(0x200000+i*61, 1)
		}
	}
}

func TestIDEReset(t *testing.T) {
	p := newIDEPair(t)
	p.task(0xf0, 1, 2, 0x123456)
	p.out(ideControl, 1, 6)
	p.settle()
	p.out(ideControl, 1, 2)
	p.settle()
	p.registers()
	p.task(0xf0, 0, 0, 0)
	p.command(0x08)
	p.task(0xe0, 0, 0, 0)
	p.command(0x90)
}

func TestIDEState(t *testing.T) {
	p := newIDEPair(t)
	w := new(vmstate.Writer)
	p.task(0xe0, 0, 3, 100)
	p.out(ideBase+7, 1, 0x30)
	p.settle()
	mainloop.Lock.Lock()
	p.f.State().Save(w)
	err := p.f.State().Load(vmstate.NewReader(w.Bytes()), 3)
	mainloop.Lock.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	p.registers()
	for i := range uint32(256) {
		p.out(ideBase, 2, i)
	}
	p.settle()
	p.registers()
}
