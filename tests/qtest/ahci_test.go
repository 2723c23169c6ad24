package qtest

import (
	"encoding/binary"
	"testing"
	"time"

	"goemu/hw/ide"
	"goemu/hw/ide/ahci"
	"goemu/hw/qdev"
	"goemu/internal/mainloop"
)

// Where the test puts the adapter, and the memory that its two ports use.
const (
	devfnAHCI = 4 << 3
	ahciBase  = 0xfe000000
	ahciPort  = 0x100

	ahciList, ahciReceived, ahciTable, ahciData = 0x100000, 0x110000, 0x120000, 0x200000
)

// ahciPair are two PCs with an adapter that has a disk at port 0 and a CD-ROM drive at port 1.
type ahciPair struct{ *idePair }

func newAHCIPair(t testing.TB) *ahciPair {
	t.Helper()
	hd, cd := image(t, "hd.img", 8<<20), image(t, "cd.iso", 1<<20)
	p := &ahciPair{&idePair{pair: newPair(t, "-device", "ich9-ahci,id=s,addr=4",
		"-blockdev", "raw,node-name=hd,file.driver=file,file.filename="+hd, "-device", "ide-hd,drive=hd,bus=s.0,serial=S1,wwn=0x5000c50015ea71aa",
		"-blockdev", "raw,node-name=cd,read-only=on,file.driver=file,file.filename="+cd, "-device", "ide-cd,drive=cd,bus=s.1,serial=C1")}}
	d := must[qdev.Device](t)(p.m.tree.New(ahci.Classes()[0]))
	a := d.(*ahci.AHCI)
	a.Addr = devfnAHCI
	if err := qdev.Realize(a, p.m.host.Bus); err != nil {
		t.Fatal(err)
	}
	attachDrives(t, p.m, [2]*ide.Bus{a.Buses()[0], a.Buses()[1]}, [2]int{0, 0})
	for reg := 0; reg < 0x100; reg += 4 {
		p.config(devfnAHCI, reg, 4)
	}
	p.setConfig(devfnAHCI, 0x24, 4, ahciBase)
	p.setConfig(devfnAHCI, 0x20, 4, masterBase|1)
	p.setConfig(devfnAHCI, 0x04, 2, 7)
	return p
}

func (p *ahciPair) store(addr uint64, v uint32) {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	p.pair.store(addr, 4, uint64(v))
}

func (p *ahciPair) load(addr uint64) uint32 {
	p.t.Helper()
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	return uint32(p.pair.load(addr, 4))
}

func (p *ahciPair) bytes(addr uint64, b []byte) {
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	for i := 0; i < len(b); i += 4 {
		p.store(addr+uint64(i), binary.LittleEndian.Uint32(b[i:]))
	}
}

// registers compares all of a port's registers and what it received.
func (p *ahciPair) registers(port uint64) {
	p.t.Helper()
	for reg := uint64(0); reg < 0x40; reg += 4 {
		p.load(ahciBase + ahciPort + port*0x80 + reg)
	}
	for at := uint64(0); at < 0x60; at += 4 {
		p.load(ahciReceived + port*0x100 + at)
	}
	for reg := uint64(0); reg < 0x14; reg += 4 {
		p.load(ahciBase + reg)
	}
}

// start sets a port up and starts its engines.
func (p *ahciPair) start(port uint64) {
	at := uint64(ahciBase + ahciPort + port*0x80)
	p.store(ahciBase+4, 1<<1)
	p.store(at, uint32(ahciList+port*0x400))
	p.store(at+8, uint32(ahciReceived+port*0x100))
	p.store(at+0x14, 0xffffffff)
	p.store(at+0x18, 1<<4)
	p.store(at+0x30, 0xffffffff)
	p.store(at+0x18, 1<<4|1)
	p.registers(port)
}

// issue sends a command with n bytes of data in two parts and waits for its end.
func (p *ahciPair) issue(port uint64, opts uint32, fis, packet []byte, n uint32) {
	p.t.Helper()
	p.bytes(ahciTable, append(append([]byte{0x27, 0x80}, fis...), make([]byte, 62-len(fis))...))
	p.bytes(ahciTable+0x40, append(packet, make([]byte, 16-len(packet))...))
	first := n/2&^1 + 2
	for i, part := range []uint32{first, max(n, first+2) - first} {
		p.bytes(ahciTable+0x80+uint64(16*i), binary.LittleEndian.AppendUint32(make([]byte, 12), part-1))
		p.store(ahciTable+0x80+uint64(16*i), uint32(ahciData+0x10000*i))
	}
	list := ahciList + port*0x400
	prds := uint32(0)
	if n > 0 {
		prds = 2
	}
	p.store(list, 5|opts|prds<<16)
	p.store(list+4, 0)
	p.store(list+8, ahciTable)
	p.store(list+12, 0)
	at := uint64(ahciBase + ahciPort + port*0x80)
	if queued := fis[0]&0xfe == 0x60; queued {
		p.store(at+0x34, 1)
	}
	p.store(at+0x38, 1)
	done := func(load func(addr uint64) uint32) bool {
		return load(at+0x38) == 0 && load(at+0x34) == 0 || load(at+0x10)&(1<<24|1<<30) != 0
	}
	for range 3000 {
		if done(func(addr uint64) uint32 { return uint32(p.q.Load(addr, 4)) }) && done(func(addr uint64) uint32 {
			mainloop.Lock.Lock()
			defer mainloop.Lock.Unlock()
			return uint32(p.m.Load(addr, 4))
		}) {
			break
		}
		time.Sleep(time.Millisecond)
	}
	p.registers(port)
	p.load(list + 4)
	for i := range uint64(40) {
		p.load(ahciData + i*4*13)
		p.load(ahciData + 0x10000 + i*4*13)
	}
	p.store(at+0x10, 0xffffffff)
	p.store(ahciBase+8, 0xffffffff)
	p.registers(port)
	if p.load(at+0x20)&1 != 0 { // after an error the engine starts again
		p.store(at+0x18, 1<<4)
		p.store(at+0x18, 1<<4|1)
	}
}

// fis is a register frame from the command byte on.
func fis(cmd, feature uint8, lba uint64, device uint8, count uint16) []byte {
	return []byte{cmd, feature, uint8(lba), uint8(lba >> 8), uint8(lba >> 16), device, uint8(lba >> 24), uint8(lba >> 32), uint8(lba >> 40), 0, uint8(count), uint8(count >> 8), 0, 0}
}

// ncq is the frame of a queued command with tag 0.
func ncq(cmd uint8, lba uint64, count uint16) []byte {
	f := fis(cmd, uint8(count), lba, 0x40, 0)
	f[9] = uint8(count >> 8)
	return f
}

func TestAHCI(t *testing.T) {
	p := newAHCIPair(t)
	const write = 1 << 6
	p.registers(0)
	p.start(0)
	p.issue(0, 0, fis(0xec, 0, 0, 0, 0), nil, 512)
	p.issue(0, 0, fis(0xc8, 0, 16, 0x40, 8), nil, 4096)
	p.issue(0, 0, fis(0x25, 0, 300, 0x40, 3), nil, 1536)
	p.issue(0, 0, fis(0x20, 0, 7, 0x40, 4), nil, 2048)
	p.issue(0, 0, fis(0xc4, 0, 7, 0x40, 40), nil, 20480)
	p.issue(0, write, fis(0xca, 0, 64, 0x40, 4), nil, 2048)
	p.issue(0, write, fis(0x30, 0, 70, 0x40, 3), nil, 1536)
	p.issue(0, 0, fis(0x25, 0, 60, 0x40, 20), nil, 10240)
	p.issue(0, 0, ncq(0x60, 60, 20), nil, 10240)
	p.issue(0, write, ncq(0x61, 80, 6), nil, 3072)
	p.issue(0, 0, ncq(0x60, 78, 10), nil, 5120)
	p.issue(0, 0, fis(0xe7, 0, 0, 0, 0), nil, 0)
	p.issue(0, 0, fis(0xef, 0x82, 0, 0, 0), nil, 0)
	p.issue(0, 0, fis(0xc8, 0, 20000, 0x40, 8), nil, 4096) // beyond the end
	p.issue(0, 0, fis(0xff, 0, 0, 0, 0), nil, 0)
	p.issue(0, 0, fis(0x06, 1, 0, 0x40, 1), nil, 512)
}

func TestAHCIPackets(t *testing.T) {
	p := newAHCIPair(t)
	const packet = 1 << 5
	p.start(1)
	p.issue(1, 0, fis(0xa1, 0, 0, 0, 0), nil, 512)
	for _, dma := range []uint8{0, 1} {
		for _, c := range []struct {
			n   uint32
			cdb []byte
		}{{0, []byte{0}}, {18, []byte{3, 0, 0, 0, 18}}, {36, []byte{0x12, 0, 0, 0, 36}}, {8, []byte{0x25}}, {4096, []byte{0x28, 0, 0, 0, 0, 5, 0, 0, 2}}, {20, []byte{0x43, 2, 0, 0, 0, 0, 0, 0, 20}}} {
			p.issue(1, packet, fis(0xa0, dma, 0xfffe00, 0, 0), c.cdb, c.n)
		}
	}
}
