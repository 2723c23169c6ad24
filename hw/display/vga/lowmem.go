package vga

import "encoding/binary"

// lowMem answers the window at 0xa0000 byte by byte.
type lowMem struct{ c *Core }

// spread gives each bit of a number a byte of its own.
var spread = [16]uint32{0x00000000, 0x000000ff, 0x0000ff00, 0x0000ffff, 0x00ff0000, 0x00ff00ff, 0x00ffff00, 0x00ffffff,
	0xff000000, 0xff0000ff, 0xff00ff00, 0xff00ffff, 0xffff0000, 0xffff00ff, 0xffffff00, 0xffffffff}

// offset turns an address of the window into one of the memory behind it.
func (c *Core) offset(addr uint64) (off uint64, ok bool) {
	switch c.gfx[gfxMisc] >> 2 & 3 {
	case 0:
		return addr, true
	case 1:
		return addr + c.bankOffset(), addr < window64K
	case 2:
		addr -= monoWindow
	default:
		addr -= colorWindow
	}
	return addr, addr < window32K
}

// oddEven is the place of a byte when even addresses go to planes 0 and 2, odd ones to 1 and 3.
func (c *Core) oddEven(off uint64) (at uint64, plane uint8) {
	plane = c.gfx[gfxPlaneRead]&2 | uint8(off&1)
	return off&^1<<1 | uint64(plane), plane
}

// Read implements memory.Ops.
func (l lowMem) Read(addr uint64, _ int) uint64 {
	c := l.c
	off, ok := c.offset(addr)
	if !ok {
		return 0xff
	}
	switch {
	case c.sr(seqMemMode)&memChain4 != 0:
	case c.gfx[gfxMode]&modeOddEven != 0:
		off, _ = c.oddEven(off)
	default:
		if 4*off >= uint64(len(c.mem)) {
			return 0xff
		}
		c.latch = binary.LittleEndian.Uint32(c.mem[4*off:])
		if c.gfx[gfxMode]&modeReadCompare == 0 {
			return uint64(c.latch >> (8 * c.gfx[gfxPlaneRead]) & 0xff)
		}
		v := (c.latch ^ spread[c.gfx[gfxCompare]&15]) & spread[c.gfx[gfxCompareMask]&15]
		v |= v >> 16
		v |= v >> 8
		return uint64(^v & 0xff)
	}
	if off >= uint64(len(c.mem)) {
		return 0xff
	}
	return uint64(c.mem[off])
}

// Write implements memory.Ops.
func (l lowMem) Write(addr uint64, _ int, v uint64) {
	c := l.c
	off, ok := c.offset(addr)
	if !ok {
		return
	}
	var plane uint8
	switch {
	case c.sr(seqMemMode)&memChain4 != 0:
		plane = uint8(off & 3)
	case c.gfx[gfxMode]&modeOddEven != 0:
		off, plane = c.oddEven(off)
	default:
		c.writePlanes(off, uint32(uint8(v)))
		return
	}
	if mask := uint8(1) << plane; c.sr(seqPlaneWrite)&mask != 0 && off < uint64(len(c.mem)) {
		c.mem[off] = uint8(v)
		c.planes |= mask
		c.vram.RAM().MarkDirty(off, 1)
	}
}

// repeat gives each plane the same byte.
func repeat(v uint32) uint32 { return v & 0xff * 0x01010101 }

// writePlanes writes a byte through the graphics controller, to all planes at once.
func (c *Core) writePlanes(off uint64, v uint32) {
	if 4*off >= uint64(len(c.mem)) {
		return
	}
	rotate := c.gfx[gfxRotate] & 7
	bits := uint32(c.gfx[gfxBitMask])
	mode := c.gfx[gfxMode] & 3
	switch mode {
	case 0:
		set := spread[c.gfx[gfxSetResetEnable]&15]
		v = repeat(v>>rotate|v<<(8-rotate))&^set | spread[c.gfx[gfxSetReset]&15]&set
	case 1:
		v = c.latch
	case 2:
		v = spread[v&15]
	case 3:
		bits &= v>>rotate | v<<(8-rotate)
		v = spread[c.gfx[gfxSetReset]&15]
	}
	if mode != 1 {
		switch c.gfx[gfxRotate] >> 3 {
		case 1:
			v &= c.latch
		case 2:
			v |= c.latch
		case 3:
			v ^= c.latch
		}
		bits = repeat(bits)
		v = v&bits | c.latch&^bits
	}
	planes := c.sr(seqPlaneWrite) & allPlanes
	c.planes |= planes
	mask := spread[planes]
	p := c.mem[4*off : 4*off+4]
	binary.LittleEndian.PutUint32(p, binary.LittleEndian.Uint32(p)&^mask|v&mask)
	c.vram.RAM().MarkDirty(4*off, 4)
}
