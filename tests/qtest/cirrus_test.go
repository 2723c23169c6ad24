package qtest

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// newCirrusPair is newVGAPair for the GD5446, with its registers in memory.
func newCirrusPair(t testing.TB) *vgaPair {
	p := newVGAPair(t, "cirrus-vga")
	p.setConfig(devfnVGA, 0x14, 4, vgaRegs)
	p.indexed(0x3c4, 6, 0x12)
	return p
}

// same compares n bytes of video memory.
func (p *vgaPair) same(what string, at uint64, n int) {
	p.t.Helper()
	want, err := hex.DecodeString(strings.TrimPrefix(p.q.Command("read 0x%x 0x%x", at, n)[0], "0x"))
	if err != nil {
		p.t.Fatal(err)
	}
	got := make([]byte, n)
	p.m.mem.Read(at, got)
	if !bytes.Equal(got, want) {
		i := 0
		for got[i] == want[i] {
			i++
		}
		p.t.Fatalf("%s: video memory differs at %#x: %#x, QEMU has %#x\n%q", what, at+uint64(i), got[i], want[i], p.log)
	}
}

// cirrusModes are the values of the sequencer's register 7 and of the hidden register by name.
var cirrusModes = []struct {
	name      string
	mode, dac uint8
}{{"8 bits", 1, 0}, {"15 bits", 7, 0xf0}, {"16 bits", 7, 0xe1}, {"24 bits", 5, 0xe5}, {"32 bits", 9, 0xe5}, {"16 bits by a doubled clock", 3, 0xe1}, {"an unknown mode", 0x0b, 0}}

// cirrusMode sets a picture of 160 by 120.
func (p *vgaPair) cirrusMode(mode, dac uint8, line int) {
	p.set(&vgaModes[6])
	p.indexed(0x3c4, 7, mode)
	p.indexed(0x3d4, 0x01, 19)
	p.indexed(0x3d4, 0x07, 0)
	p.indexed(0x3d4, 0x09, 0x40)
	p.indexed(0x3d4, 0x12, 119)
	p.indexed(0x3d4, 0x18, 0xff)
	p.indexed(0x3d4, 0x13, uint8(line>>3))
	p.indexed(0x3d4, 0x1b, uint8(line>>11<<4))
	for range 4 {
		p.pair.in(0x3c6, 1)
	}
	p.out(0x3c6, 1, uint32(dac))
}

// TestCirrusModes compares pictures in the chip's own modes, with cursors.
func TestCirrusModes(t *testing.T) {
	p := newCirrusPair(t)
	rng := rand.New(rand.NewPCG(21, 22))
	p.screens("at power-on")
	p.colors(rng)
	p.fill(rng, vgaMem, 64)
	pattern := make([]byte, 16<<10)
	for i := range pattern {
		if pattern[i] = uint8(rng.Uint32()); i>>8&3 == 1 {
			pattern[i] = 0
		}
	}
	p.q.Command("write 0x%x 0x%x 0x%x", vgaMem+4<<20-len(pattern), len(pattern), pattern)
	p.m.mem.Write(vgaMem+4<<20-uint64(len(pattern)), pattern)
	p.indexed(0x3c4, 0x12, 2)
	p.colors(rng) // the cursor's
	p.indexed(0x3c4, 0x12, 0)
	for _, m := range cirrusModes {
		p.cirrusMode(m.mode, m.dac, 1024)
		p.screens(m.name)
		p.indexed(0x3d4, 0x0d, uint8(rng.IntN(256)))
		p.indexed(0x3d4, 0x1b, 0x05)
		p.screens(m.name + " from another start")
		p.cirrusMode(m.mode, m.dac, 512)
		for i := range 4 {
			p.indexed(0x3c4, 0x12, []uint8{1, 5, 4, 1}[rng.IntN(4)])
			p.indexed(0x3c4, 0x13, uint8(rng.IntN(256)))
			p.indexed(0x3c4, 0x10|rng.IntN(8)<<5, uint8(rng.IntN(24)))
			p.indexed(0x3c4, 0x11|rng.IntN(8)<<5, uint8(rng.IntN(18)))
			p.fill(rng, vgaMem, 1)
			p.screens(fmt.Sprint(m.name, " with cursor ", i))
		}
		p.indexed(0x3c4, 0x12, 0)
		p.screens(m.name + " without it")
		p.indexed(0x3d4, 0x1a, 1)
		p.screens(m.name + " interlaced")
		p.indexed(0x3d4, 0x1a, 0)
	}
	for i := range vgaModes {
		p.set(&vgaModes[i])
		p.indexed(0x3c4, 7, 0)
		p.screens(vgaModes[i].name)
	}
}

// TestCirrusRegisters compares all registers after random writes, through ports and memory, and memory through the windows.
func TestCirrusRegisters(t *testing.T) {
	p := newCirrusPair(t)
	rng := rand.New(rand.NewPCG(23, 24))
	p.fill(rng, vgaMem, 64)
	for round := range 20 {
		for range 12 {
			switch rng.IntN(6) {
			case 0:
				p.indexed(0x3c4, rng.IntN(256), uint8(rng.IntN(256)))
			case 1:
				if i := rng.IntN(256); i != 0x2a && i != 0x31 {
					p.indexed(0x3ce, i, uint8(rng.IntN(256)))
				}
			case 2:
				p.indexed(0x3d4, rng.IntN(256), uint8(rng.IntN(256)))
			case 3:
				p.out(uint16(0x3c6+rng.IntN(4)), 1, uint32(rng.IntN(256)))
			case 4:
				p.indexed(0x3ce, 9+rng.IntN(3), uint8(rng.IntN(256)))
				p.indexed(0x3ce, 5, uint8(0x40|rng.IntN(8)))
			default:
				if at := uint64(0x100 + rng.IntN(0x100)); at&0xff != 0x40 && at&0xff != 0x12 {
					p.store(vgaRegs+at, 1, uint64(rng.IntN(256)))
				}
			}
		}
		p.indexed(0x3ce, 5, uint8(0x40|rng.IntN(8))) // QEMU takes a new mode over with the next register of the windows
		for i := range 64 {
			p.out(0x3c4, 1, uint32(i))
			p.pair.in(0x3c5, 1)
			p.out(0x3ce, 1, uint32(i))
			p.pair.in(0x3cf, 1)
			p.out(0x3d4, 1, uint32(i))
			p.pair.in(0x3d5, 1)
		}
		for i := range uint64(0x200) {
			if port := i & 0x1f; i >= 0x100 || port != 0x1a {
				p.load(vgaRegs+i, 1)
			}
		}
		for range 10 {
			for _, base := range []uint64{0xa0000, 0xa0000, 0xb8000 - 0x80, vgaMem, vgaMem + 4<<20 - 0x200, vgaMem + 16<<20} {
				at := base + uint64(rng.IntN(0x10000))
				switch base {
				case 0xb8000 - 0x80, vgaMem + 4<<20 - 0x200:
					at = base + uint64(rng.IntN(0x1f0))
				}
				if at&0xff != 0x40 && at&0xff != 0x12 {
					p.store(at, 1, uint64(rng.IntN(256)))
				}
				p.load(at&^3, []int{1, 2, 4}[rng.IntN(3)])
			}
		}
		p.screens(fmt.Sprint("round ", round))
	}
}

// TestCirrusBlitter compares what random operations of the blitter draw.
func TestCirrusBlitter(t *testing.T) {
	p := newCirrusPair(t)
	rng := rand.New(rand.NewPCG(25, 26))
	p.fill(rng, vgaMem, 64)
	ops := []uint8{0x00, 0x05, 0x06, 0x09, 0x0b, 0x0d, 0x0e, 0x50, 0x59, 0x6d, 0x90, 0x95, 0xad, 0xd0, 0xd6, 0xda, 0x77, 0x0d, 0x0d}
	modes := []uint8{0, 1, 4, 8, 9, 0x40, 0x44, 0x80, 0x84, 0x88, 0x8c, 0xc0, 0xc4, 0xc8, 0xcc, 0xc0, 0x02, 0x06}
	for round := range 96 {
		m := cirrusModes[round/8%len(cirrusModes)]
		if round%8 == 0 {
			p.cirrusMode(m.mode, m.dac, 512)
		}
		put := func(reg int, v uint32, n int) {
			for range n {
				p.indexed(0x3ce, reg, uint8(v))
				reg, v = reg+1, v>>8
			}
		}
		width, height, mode := rng.IntN(100), rng.IntN(12), modes[rng.IntN(len(modes))]|uint8(rng.IntN(4)<<4)
		put(0x20, uint32(width), 2)
		put(0x22, uint32(height), 2)
		put(0x24, uint32(rng.IntN(300)), 2)
		put(0x26, uint32(rng.IntN(300)), 2)
		put(0x28, uint32(0x4000+rng.IntN(0x8000)), 2)
		put(0x2c, uint32(0x4000+rng.IntN(0x8000)), 3)
		put(0x2f, uint32(rng.IntN(256)), 1)
		put(0x30, uint32(mode), 1)
		put(0x32, uint32(ops[rng.IntN(len(ops))]), 1)
		put(0x33, uint32([]int{0, 0, 2, 1, 4}[rng.IntN(5)]), 1)
		put(0x34, uint32(rng.IntN(0x10000)), 2)
		for _, reg := range []int{0, 1, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15} {
			put(reg, uint32(rng.IntN(256)), 1)
		}
		if rng.IntN(3) == 0 {
			put(0x31, 0x80, 1)
			put(0x2a, 0, 1)
		} else {
			put(0x2a, 0, 1)
			put(0x31, 2, 1)
		}
		for i := range 4000 {
			p.out(0x3ce, 1, 0x31)
			if status := p.pair.in(0x3cf, 1); mode&4 == 0 || status&1 == 0 {
				break
			}
			at := []uint64{0xa0000, vgaMem, vgaMem + 16<<20}[round%3]
			p.store(at+uint64(i), 1, uint64(rng.IntN(256)))
		}
		put(0x31, 4, 1)
		put(0x31, 0, 1)
		p.same(fmt.Sprint("round ", round), vgaMem+0x3000, 0xe000) // all that the addresses and pitches reach
		if round%32 == 31 {
			p.screens(fmt.Sprint("round ", round))
		}
	}
}
