package vga

import (
	"encoding/binary"

	"goemu/ui"
)

// picture is how the graphics mode in force reads video memory.
type picture struct {
	draw          func(d []uint32, at uint32) // draws one line
	bits          int                         // per pixel of a line's memory
	width, height int
	shared        *ui.Format // the surface is video memory as it is, in this format
}

// bpp is the number of bits of a pixel in a mode of the extensions, 0 for the VGA's own modes.
func (c *Core) bpp() int {
	if c.chip != nil {
		return c.chip.bpp()
	}
	if !c.vbeOn() {
		return 0
	}
	return int(c.vbe[vbeBPP])
}

// resolution returns the width before doubling and the height.
func (c *Core) resolution() (width, height int) {
	if c.chip != nil {
		return c.chip.resolution()
	}
	if c.vbeOn() {
		return int(c.vbe[vbeX]), int(c.vbe[vbeY])
	}
	return (int(c.crt[crtHDisplay]) + 1) * 8, c.lines()
}

// plainFormat is the format of video memory if it can be shown without being drawn line by line: the picture must lie in it in one piece.
func (c *Core) plainFormat(width, height, depth int) *ui.Format {
	end := uint64(c.start)*4 + uint64(c.line)*uint64(height-1) + uint64(width*depth/8)
	if end > uint64(len(c.mem)) || c.chip != nil && c.chip.private() {
		return nil
	}
	switch {
	case depth == 32 && c.bigEndian:
		return &ui.BGRX8888
	case depth == 32:
		return &ui.XRGB8888
	case depth == 24 && c.bigEndian:
		return &ui.BGR888
	case depth == 24:
		return &ui.RGB888
	case depth == 16 && !c.bigEndian:
		return &ui.RGB565
	}
	return nil
}

// shiftMode is 0 for 16 colours from planes, 1 for 4 colours, 2 for packed pixels.
func (c *Core) shiftMode() uint8 { return c.gfx[gfxMode] >> 5 & 3 }

// picture chooses how to draw and takes over the palette.
func (c *Core) picture(width, height int) (p picture, changed bool) {
	p = picture{width: width, height: height, bits: 4}
	half := c.sr(seqClock)&clockHalf != 0
	switch c.shiftMode() {
	case 0, 1:
		changed = c.update16()
		step := 1
		if half {
			p.width, step = 2*width, 2
		}
		unpack := unpack4
		if c.shiftMode() == 1 {
			unpack = unpack2
		}
		p.draw = func(d []uint32, at uint32) { c.drawPlanes(d, at, step, unpack) }
		return p, changed
	}
	depth := c.bpp()
	p.shared = c.plainFormat(width, height, depth)
	switch depth {
	case 8:
		changed = c.update256()
		p.bits, p.draw = 8, func(d []uint32, at uint32) { c.drawPacked(d, at, 1) }
	case 15, 16, 24, 32:
		p.bits = (depth + 7) &^ 7
		p.draw = func(d []uint32, at uint32) { c.drawDirect(d, at, depth) }
	default:
		changed = c.update256()
		p.draw = func(d []uint32, at uint32) { c.drawPacked(d, at, 2) }
	}
	return p, changed
}

// drawGraphics draws the lines that have changed.
func (c *Core) drawGraphics(full bool) {
	full = c.updateStart() || full
	width, height := c.resolution()
	doubleScan := c.crt[crtMaxScan] >> 7
	repeats := int(doubleScan) // how often a line is shown again
	if c.crt[crtMode]&crtNoCGA != 0 {
		repeats = (int(c.crt[crtMaxScan]&0x1f)+1)<<doubleScan - 1
	}
	if shift := c.shiftMode(); shift != c.shift || doubleScan != c.doubleScan {
		c.shift, c.doubleScan, full = shift, doubleScan, true
	}
	p, changed := c.picture(width, height)
	depth := c.bpp()
	if c.line != c.lastLine || p.width != c.width || height != c.height || c.depth != depth || c.swapped != c.bigEndian || (p.shared != nil) != c.shared ||
		c.shared && c.sharedAt != c.start {
		c.shownW, c.shownH, c.width, c.height = p.width, height, p.width, height
		c.lastLine, c.depth, c.swapped, full = c.line, depth, c.bigEndian, true
	}
	if full {
		c.showPlain(p.width, height)
		c.shared, c.sharedAt = p.shared != nil, c.start
	}
	if p.shared != nil {
		c.copyLines(&p, full)
	} else {
		c.drawLines(&p, repeats, full || changed)
	}
	c.con.Clean()
}

// run collects changed lines that follow each other.
type run struct {
	c     *Core
	width int
	first int // -1 for none
}

func (r *run) line(y int, changed bool) {
	switch {
	case changed && r.first < 0:
		r.first = y
	case !changed && r.first >= 0:
		r.c.con.Changed(0, r.first, r.width, y-r.first)
		r.first = -1
	}
}

// copyLines shows video memory as it is.
func (c *Core) copyLines(p *picture, full bool) {
	s, r := c.con.Surface(), run{c, p.width, -1}
	n := uint64(p.width * p.shared.Bytes)
	at := uint64(c.start) * 4
	for y := range p.height {
		changed := full || c.con.Dirty(at, n)
		if changed {
			p.shared.Line(s.Row(y), c.mem[at:at+n])
		}
		r.line(y, changed)
		at += uint64(c.line)
	}
	r.line(p.height, false)
}

// drawLines draws line by line, with the ways in which the CRT controller can find them.
func (c *Core) drawLines(p *picture, repeats int, full bool) {
	s, r := c.con.Surface(), run{c, p.width, -1}
	var moved [2][2]int
	if c.chip != nil {
		moved = c.chip.moved()
	}
	width := p.width
	if c.sr(seqClock)&clockHalf != 0 && c.shift < 2 {
		width /= 2
	}
	n := uint32((width*p.bits + 7) / 8)
	at, source, again := c.start*4, uint32(0), repeats
	mode := c.crt[crtMode]
	for y := range p.height {
		from := at
		if mode&crtNoCGA == 0 {
			bit := uint32(1) << 14
			if mode&crtCGAWindow != 0 {
				bit <<= 1
			}
			from &^= bit
			if source&1 != 0 {
				from |= bit
			}
		}
		if mode&crtNoHerc == 0 {
			from = from&^0x8000 | source&2<<14
		}
		changed := full || c.lineDirty(from, n)
		for _, l := range moved {
			changed = changed || y >= l[0] && y < l[1]
		}
		if changed {
			p.draw(s.Row(y), from)
			if c.chip != nil {
				c.chip.overlay(s.Row(y), y)
			}
		}
		r.line(y, changed)
		if again > 0 {
			again--
		} else {
			mask := uint32(mode&3 ^ 3)
			if source&mask == mask {
				at += c.line
			}
			source++
			again = repeats
		}
		if uint32(y) == c.split {
			at = 0
		}
	}
	r.line(p.height, false)
}

// lineDirty tells whether n bytes of video memory, which may go over its end to its start, were written.
func (c *Core) lineDirty(at, n uint32) bool {
	from, to := at&c.mask, (at+n-1)&c.mask
	if to < from {
		return c.con.Dirty(uint64(from), uint64(c.mask-from)+1) || c.con.Dirty(0, uint64(to)+1)
	}
	return c.con.Dirty(uint64(from), uint64(to-from)+1)
}

// unpack4 takes 8 pixels of 4 planes from 4 bytes, unpack2 8 pixels of 2 bits from two pairs of planes. The first is in the low 4 bits.
func unpack4(v uint32) (pix uint32) {
	for i := range 8 {
		bit := 7 - i
		p := v>>bit&1 | v>>(8+bit)&1<<1 | v>>(16+bit)&1<<2 | v>>(24+bit)&1<<3
		pix |= p << (4 * i)
	}
	return pix
}

func unpack2(v uint32) (pix uint32) {
	for i := range 8 {
		even := uint(8 * (i / 4)) // plane 0 or 1, with 2 or 3 above it
		bit := even + uint(6-2*(i%4))
		pix |= (v>>bit&3 | v>>(16+bit)&3<<2) << (4 * i)
	}
	return pix
}

// drawPlanes draws groups of 8 pixels, each step pixels wide.
func (c *Core) drawPlanes(d []uint32, at uint32, step int, unpack func(uint32) uint32) {
	planes := spread[c.attr[attrPlanes]&15]
	for ; len(d) >= 8*step; d = d[8*step:] {
		pix := unpack(binary.LittleEndian.Uint32(c.mem[at&c.mask&^3:]) & planes)
		for i := range 8 * step {
			d[i] = c.colors[pix>>(4*(i/step))&15]
		}
		at += 4
	}
}

// drawPacked draws pixels of a byte, each step pixels wide.
func (c *Core) drawPacked(d []uint32, at uint32, step int) {
	for i := range d {
		d[i] = c.colors[c.mem[(at+uint32(i/step))&c.mask]]
	}
}

// drawDirect draws pixels that are colours.
func (c *Core) drawDirect(d []uint32, at uint32, depth int) {
	n := uint32(depth+7) / 8
	for i := range d {
		var v uint32
		for b := range n {
			x := uint32(c.mem[(at+b)&c.mask])
			if c.bigEndian {
				v = v<<8 | x
			} else {
				v |= x << (8 * b)
			}
		}
		at += n
		switch depth {
		case 15:
			v = v>>7&0xf8<<16 | v>>2&0xf8<<8 | v<<3&0xf8
		case 16:
			v = v>>8&0xf8<<16 | v>>3&0xfc<<8 | v<<3&0xf8
		}
		d[i] = v & 0xffffff
	}
}
