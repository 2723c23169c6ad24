package vga

import "encoding/binary"

// The chip's cursor lies in the last 16 KiB of video memory, in patterns of 256 bytes: planes of 32 lines of 4 bytes one after the other,
// or, if it is large, 64 lines of 8 bytes of the first and of the second plane.
const (
	cursorMemory  = 16 << 10
	cursorPattern = 256
)

// cursor is where the cursor was drawn last.
type cursor struct {
	size     int // 0: nowhere
	x, y     uint32
	from, to int // lines of it with anything in them
}

// cursorSize is its size in pixels, 0 if it is not shown.
func (c *Cirrus) cursorSize() int {
	switch a := c.seq[seqCursorAttr]; {
	case a&cursorShow == 0:
		return 0
	case a&cursorLarge != 0:
		return 64
	}
	return 32
}

// cursorLine is a line of both planes, the first pixel in the highest bit.
func (c *Cirrus) cursorLine(y int) (p [2]uint64) {
	m := c.mem[cirrusMemory-cursorMemory:]
	if c.seq[seqCursorAttr]&cursorLarge != 0 {
		m = m[int(c.seq[seqCursorPattern]&0x3c)*cursorPattern+16*y:]
		return [2]uint64{binary.BigEndian.Uint64(m), binary.BigEndian.Uint64(m[8:])}
	}
	m = m[int(c.seq[seqCursorPattern]&0x3f)*cursorPattern+4*y:]
	return [2]uint64{uint64(binary.BigEndian.Uint32(m)) << 32, uint64(binary.BigEndian.Uint32(m[128:])) << 32}
}

// moved implements chip.
func (c *Cirrus) moved() (lines [2][2]int) {
	size := c.cursorSize()
	old := c.cursor
	if old.size == size && old.x == c.cursorX && old.y == c.cursorY {
		return lines
	}
	now := cursor{size: size, x: c.cursorX, y: c.cursorY}
	for y := range size {
		if p := c.cursorLine(y); p[0]|p[1] != 0 {
			if now.to == 0 {
				now.from = y
			}
			now.to = y + 1
		}
	}
	c.cursor = now
	for i, x := range []cursor{old, now} {
		lines[i] = [2]int{int(x.y) + x.from, int(x.y) + x.to}
	}
	return lines
}

// private implements chip.
func (c *Cirrus) private() bool { return c.cursorSize() != 0 }

// overlay implements chip: it draws a line of the cursor. A pixel whose bit is set in the first plane alone is inverted.
func (c *Cirrus) overlay(d []uint32, y int) {
	size := c.cursorSize()
	line := int64(y) - int64(c.cursorY)
	if line < 0 || line >= int64(size) || int64(c.cursorX) >= int64(len(d)) {
		return
	}
	p := c.cursorLine(int(line))
	d = d[c.cursorX:]
	for x := range min(size, len(d)) {
		first, second := p[0]<<x>>63, p[1]<<x>>63
		switch {
		case second == 0 && first != 0:
			d[x] ^= 0xffffff
		case second != 0:
			d[x] = c.cursorColor(int(first))
		}
	}
}

// cursorColor is one of the two colours: the first or the last of the hidden palette.
func (c *Cirrus) cursorColor(i int) uint32 {
	p := c.hidden[45*i:]
	return widen(p[0])<<16 | widen(p[1])<<8 | widen(p[2])
}
