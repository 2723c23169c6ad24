package qtest

import (
	"math/rand/v2"
	"testing"

	"goemu/block"
	"goemu/block/driver"
	"goemu/hw/dma/i8257"
	"goemu/hw/fdc"
	"goemu/hw/qdev"
)

// Ports of the floppy controller, and of the DMA controller's second channel.
const (
	fdcOutput, fdcTape, fdcStatus, fdcFIFO, fdcInput = 0x3f2, 0x3f3, 0x3f4, 0x3f5, 0x3f7

	dmaAddr2, dmaCount2, dmaMask, dmaMode, dmaFlip, dmaPage2 = 0x04, 0x05, 0x0a, 0x0b, 0x0c, 0x81
	fdcBuffer                                                = 0x20000
)

// newFDCPair are two PCs with disks of 1.44 MB and 720 kB.
func newFDCPair(t testing.TB) *pair {
	t.Helper()
	p := newPair(t, "-drive", "if=floppy,format=raw,file="+image(t, "a.img", 1440<<10), "-drive", "if=floppy,index=1,format=raw,readonly=on,file="+image(t, "b.img", 720<<10))
	m := p.m
	drives := driver.NewDrives()
	qdev.Link(&m.tree.Links, func(id string) (*block.Source, bool) { return drives.Source(id) })
	for id, text := range map[string]string{"a": "file=" + image(t, "a.img", 1440<<10), "b": "readonly=on,file=" + image(t, "b.img", 720<<10)} {
		must[*driver.Drive](t)(drives.AddDrive("if=none,format=raw,id="+id+","+text, "none"))
	}
	if err := i8257.NewPair(m.tree, m.piix3.ISA, m.mem); err != nil {
		t.Fatal(err)
	}
	c := must[qdev.Device](t)(m.tree.Create(&fdc.Class, m.piix3.ISA))
	for _, id := range []string{"a", "b"} {
		must[qdev.Device](t)(m.tree.Create(&fdc.FloppyClass, c.Dev().Buses()[0].Node(), qdev.Setting{Name: "drive", Value: id}))
	}
	m.tree.Reset()
	t.Cleanup(func() {
		m.tree.Close()
		if err := drives.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// fdcCommand sends a command and reads what comes back.
func (p *pair) fdcCommand(b ...uint8) (result []uint32) {
	p.t.Helper()
	for _, v := range b {
		p.out(fdcFIFO, 1, uint32(v))
	}
	for p.in(fdcStatus, 1)&0xd0 == 0xd0 && len(result) < 16 {
		result = append(result, p.in(fdcFIFO, 1))
	}
	return result
}

// setDMA points the channel at n bytes of the buffer, for data to memory or from it.
func (p *pair) setDMA(n int, toMemory bool) {
	mode := uint32(0x4a)
	if toMemory {
		mode = 0x46
	}
	p.out(dmaMask, 1, 6)
	p.out(dmaFlip, 1, 0)
	for _, w := range [][2]uint32{{dmaAddr2, fdcBuffer & 0xff}, {dmaAddr2, fdcBuffer >> 8 & 0xff}, {dmaPage2, fdcBuffer >> 16},
		{dmaCount2, uint32(n-1) & 0xff}, {dmaCount2, uint32(n-1) >> 8}, {dmaMode, mode}, {dmaMask, 2}} {
		p.out(uint16(w[0]), 1, w[1])
	}
}

// dmaLeft compares the channel's registers and the buffer.
func (p *pair) dmaLeft(n int) {
	p.t.Helper()
	p.out(dmaFlip, 1, 0)
	for _, port := range []uint16{dmaAddr2, dmaAddr2, dmaCount2, dmaCount2, 0x08} {
		p.in(port, 1)
	}
	for at := 0; at < n; at += 8 {
		p.load(fdcBuffer+uint64(at), 8)
	}
}

// TestFloppyTransfers reads, writes, verifies and scans by DMA and by the processor.
func TestFloppyTransfers(t *testing.T) {
	p := newFDCPair(t)
	p.out(fdcOutput, 1, 0x1c)
	for range 5 {
		p.fdcCommand(8)
	}
	p.fdcCommand(3, 0xdf, 2)
	for _, drive := range []uint8{0, 1} {
		p.out(fdcInput, 1, uint32(drive)*2)
		for _, c := range []struct {
			code, track, head, sector, last uint8
			bytes                           int
			toMemory                        bool
		}{
			{0xe6, 3, 0, 1, 9, 1024, true}, {0xe6, 3, 0, 17, 18, 3 * 512, true}, {0x46, 79, 1, 8, 9, 1024, true}, {0xe6, 81, 0, 1, 9, 512, true},
			{0xe6, 0, 0, 19, 19, 512, true}, {0xe6, 0, 0, 9, 1, 512, true}, {0xc5, 5, 1, 2, 9, 1024, false}, {0xc5, 5, 0, 9, 9, 700, false}, {0xe6, 5, 1, 1, 9, 2048, true},
			{0xd6, 5, 1, 1, 9, 2048, true}, {0x51, 5, 1, 1, 9, 512, false}, {0x59, 5, 1, 1, 9, 512, false}, {0x42, 2, 0, 1, 9, 512, true}, {0x4c, 2, 0, 1, 9, 512, true},
		} {
			for at := uint64(0); at < 2048; at += 8 {
				p.store(fdcBuffer+at, 8, at*0x9e3779b97f4a7c15+uint64(c.sector))
			}
			p.setDMA(c.bytes, c.toMemory)
			p.fdcCommand(c.code, drive|c.head<<2, c.track, c.head, c.sector, 2, c.last, 0x1b, 0xff)
			p.in(fdcInput, 1)
			p.dmaLeft(c.bytes)
		}
	}
	p.fdcCommand(3, 0xdf, 3) // no DMA
	p.out(fdcInput, 1, 0)
	for _, v := range []uint32{0x46, 0, 4, 0, 2, 2, 3, 0x1b, 0xff} {
		p.out(fdcFIFO, 1, v)
	}
	for range 1024 {
		p.in(fdcFIFO, 1)
	}
	p.fdcCommand()
}

// TestFloppyRandom sends random commands.
func TestFloppyRandom(t *testing.T) {
	p := newFDCPair(t)
	r := rand.New(rand.NewPCG(2, 172))
	codes := []uint8{0x06, 0xe6, 0x45, 0x0f, 0x08, 0x07, 0x4d, 0x4e, 0x2e, 0x4c, 0x16, 0x03, 0x04, 0x12, 0x13, 0x17, 0x33, 0x8f, 0xcf, 0x14, 0x94, 0x0e, 0x10, 0x18, 0x00, 0xff, 0xcd}
	for range 400 {
		if r.IntN(8) == 0 {
			p.out(fdcOutput, 1, uint32(r.IntN(2))<<2|uint32(r.IntN(4))<<4|8)
			p.out(fdcOutput, 1, uint32(r.IntN(2))|0x0c)
			p.out(fdcInput, 1, uint32(r.IntN(4)))
		}
		if r.IntN(16) == 0 {
			p.out(fdcTape, 1, uint32(r.IntN(8)))
		}
		p.setDMA(1<<(7+r.IntN(4)), true)
		command := []uint8{codes[r.IntN(len(codes))], uint8(r.IntN(8)), uint8(r.IntN(84)), uint8(r.IntN(2)), uint8(r.IntN(20)), 2, uint8(r.IntN(20)), 0x1b, 0xff}
		for _, v := range command {
			if p.in(fdcStatus, 1)&0xc0 != 0x80 {
				break
			}
			p.out(fdcFIFO, 1, uint32(v))
		}
		p.fdcCommand()
		for _, port := range []uint16{0x3f1, fdcOutput, fdcTape, fdcStatus, fdcInput} {
			p.in(port, 1)
		}
	}
}

// TestDMARegisters writes random values to the registers of the DMA controllers, to which nothing is connected that asks for data.
func TestDMARegisters(t *testing.T) {
	p := newFDCPair(t)
	r := rand.New(rand.NewPCG(82, 57))
	for range 1500 {
		port := uint16(r.IntN(0x30))
		switch {
		case port >= 0x20:
			port = []uint16{0x81, 0x82, 0x83, 0x87, 0x89, 0x8a, 0x8b, 0x8f}[port&7]
		case port >= 0x10:
			port = 0xc0 + port&0xf*2
		}
		if port == 9 || port == 0xd2 { // a request by the guest
			continue
		}
		if r.IntN(2) == 0 {
			p.in(port, 1)
		} else {
			p.out(port, 1, uint32(r.IntN(256)))
		}
	}
}
