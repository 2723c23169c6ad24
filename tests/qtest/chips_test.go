package qtest

import (
	"math/rand/v2"
	"testing"

	"goemu/migration/vmstate"
	"goemu/migration/vmstate/vmstatetest"
)

const steps = 1500

func TestInterruptControllersAndTimer(t *testing.T) {
	p := newPair(t)
	rng := rand.New(rand.NewPCG(1, 1))
	ports := []uint16{0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1, 0x40, 0x41, 0x42, 0x43, 0x61}
	for range steps {
		port := ports[rng.IntN(len(ports))]
		if rng.IntN(3) == 0 {
			p.in(port, 1)
		} else {
			p.out(port, 1, uint32(rng.IntN(256)))
		}
	}
}

func TestRTC(t *testing.T) {
	p := newPair(t)
	dump := func() {
		for i := range uint32(128) {
			p.out(0x70, 1, i)
			p.in(0x71, 1)
		}
	}
	dump()
	rng := rand.New(rand.NewPCG(2, 1))
	for range steps {
		p.out(0x70, 1, uint32(rng.IntN(16)))
		if rng.IntN(2) == 0 {
			p.in(0x71, 1)
		} else {
			v := rng.IntN(10) | rng.IntN(6)<<4 // valid as a time more often than not
			if rng.IntN(4) == 0 {
				v = rng.IntN(256)
			}
			p.out(0x71, 1, uint32(v))
		}
	}
	dump()
}

func TestConfigSpace(t *testing.T) {
	for _, tt := range []struct {
		name  string
		devfn uint8
	}{{"i440FX", 0}, {"PIIX3", 8}, {"PIIX4_PM", 11}, {"absent", 0x28}} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPair(t)
			for reg := 0; reg < 0x100; reg += 4 {
				p.config(tt.devfn, reg, 4)
			}
			rng := rand.New(rand.NewPCG(3, uint64(tt.devfn)))
			for range 600 {
				size := 1 << rng.IntN(3)
				reg := rng.IntN(0x100) &^ (size - 1)
				p.setConfig(tt.devfn, reg, size, rng.Uint32()>>(32-8*size))
				p.config(tt.devfn, reg, size)
			}
			for reg := 0; reg < 0x100; reg++ {
				p.config(tt.devfn, reg, 1)
			}
		})
	}
}

func TestConfigPorts(t *testing.T) {
	p := newPair(t)
	rng := rand.New(rand.NewPCG(4, 1))
	for range 300 {
		size := 1 << rng.IntN(3)
		port := uint16(0xcf8 + rng.IntN(8)&^(size-1))
		if port <= 0xcf9 && port+uint16(size) > 0xcf9 && size < 4 { // the reset port
			continue
		}
		if rng.IntN(2) == 0 {
			p.out(port, size, 0x80000000&(rng.Uint32()|0x80000000)|rng.Uint32()&0xff)
		}
		p.in(port, size)
	}
}

func TestShadowRAMWindows(t *testing.T) {
	p := newPair(t)
	rng := rand.New(rand.NewPCG(5, 1))
	// Start with writable RAM everywhere and known contents: QEMU has its firmware behind PCI there.
	for reg := 0x59; reg <= 0x5f; reg++ {
		p.setConfig(0, reg, 1, 0x33)
	}
	var addrs []uint64
	for at := uint64(0xc0000); at < 0x100000; at += 0x2000 {
		addrs = append(addrs, at)
		p.store(at, 4, at)
	}
	for range 200 {
		reg, v := 0x59+rng.IntN(7), []uint32{0x11, 0x13, 0x31, 0x33}[rng.IntN(4)]
		p.setConfig(0, reg, 1, v)
		at := addrs[rng.IntN(len(addrs))]
		if v == 0x33 { // a write of QEMU's qtest, unlike one of a CPU, goes through to read-only windows
			for reg := 0x59; reg <= 0x5f; reg++ {
				p.setConfig(0, reg, 1, 0x33)
			}
			p.store(at, 4, rng.Uint64()&0xffffffff)
		}
		p.load(at, 4)
	}
	p.setConfig(0, 0x72, 1, 0x4a) // open SMRAM
	p.store(0xa0000, 4, 0x12345678)
	p.load(0xa0000, 4)
	p.setConfig(0, 0x72, 1, 0x0a) // closed: PCI is behind, where nothing answers
	p.load(0xa0000, 4)
}

func TestPowerManagement(t *testing.T) {
	p := newPair(t)
	const base = 0x600
	p.setConfig(11, 0x40, 4, base|1)
	p.setConfig(11, 0x80, 1, 1)
	p.setConfig(11, 0x90, 4, 0x701)
	p.setConfig(11, 0xd2, 1, 9)
	rng := rand.New(rand.NewPCG(6, 1))
	ports := []uint16{base, base + 2, base + 4, base + 8, 0xafe0, 0xafe1, 0xafe2, 0xafe3, 0xb2, 0xb3}
	for range steps {
		port, size := ports[rng.IntN(len(ports))], 2
		if port < base || port >= 0xafe0 {
			size = 1
		}
		if rng.IntN(2) == 0 {
			p.in(port, size)
			continue
		}
		v := rng.Uint32() & 0xffff
		if port == base+4 {
			v &^= 0x2000 // no sleep
		}
		p.out(port, size, v>>(16-8*size))
	}
	for _, port := range []uint16{base + 0x10, base + 0x3f, base + 0x40, 0x92, 0x80, 0x701, 0x703, 0x704, 0x70d} {
		p.in(port, 1)
	}
}

func TestIOAPIC(t *testing.T) {
	p := newPair(t)
	rng := rand.New(rand.NewPCG(7, 1))
	const base = 0xfec00000
	for range steps {
		sel := uint64(rng.IntN(0x42))
		p.store(base, 4, sel)
		p.load(base, 4)
		if rng.IntN(2) == 0 {
			v := rng.Uint64() & 0xffffffff &^ 0x700 // fixed delivery
			if rng.IntN(4) != 0 {
				v |= 1 << 16
			}
			p.store(base+0x10, 4, v)
		}
		p.load(base+0x10, 4)
		if rng.IntN(8) == 0 {
			p.store(base+0x40, 4, rng.Uint64()&0xff)
		}
	}
}

func TestHPET(t *testing.T) {
	p := newPair(t)
	rng := rand.New(rand.NewPCG(8, 1))
	const base = 0xfed00000
	regs := []uint64{0, 4, 0x10, 0x14, 0x20, 0x24, 0xf0, 0xf4, 0x100, 0x104, 0x108, 0x10c, 0x110, 0x114, 0x120, 0x124, 0x128, 0x12c, 0x140, 0x148, 0x28}
	for _, r := range regs {
		p.load(base+r, 4)
		p.load(base+r&^7, 8)
	}
	for range steps {
		r := base + regs[rng.IntN(len(regs))]
		if rng.IntN(2) == 0 {
			p.load(r, 4)
			continue
		}
		v := rng.Uint64() & 0xffffffff
		if r == base+0x10 && rng.IntN(4) != 0 {
			v &^= 1
		}
		if r&0xff == 0x10+0x100&0xff && r > base+0x100 || r&0x1f == 0 && r >= base+0x100 {
			v &^= 1 << 14 // no message-signalled interrupts to anywhere
		}
		p.store(r, 4, v)
	}
}

func TestStateLayouts(t *testing.T) {
	m := newMachine(t)
	for _, s := range []struct {
		device string
		state  vmstate.State
	}{
		{"ioapic", m.ioapic.State()}, {"isa-pit", m.pit.State()}, {"mc146818rtc", m.rtc.State()}, {"hpet", m.hpet.State()},
		{"i440FX", m.host.Bridge.State()}, {"i440FX-pcihost", m.host.State()}, {"PIIX3", m.piix3.State()},
	} {
		t.Run(s.device, func(t *testing.T) { vmstatetest.Compare(t, "pc-i440fx-7.2", s.device, s.state.Layout()) })
	}
}
