package vga

import (
	"encoding/binary"
	"fmt"
	"iter"

	"goemu/ui"
)

// textSize returns the number of characters and the size of one.
func (c *Core) textSize() (width, height, cellW, cellH int) {
	cellH = int(c.crt[crtMaxScan]&0x1f) + 1
	cellW = 8
	if c.sr(seqClock)&clock8Dots == 0 {
		cellW = 9
	}
	if c.sr(seqClock)&clockHalf != 0 {
		cellW = 16
	}
	width = int(c.crt[crtHDisplay]) + 1
	if c.crt[crtVTotal] == cga160Total {
		return width, cga160Height, cellW, cellH
	}
	return width, c.lines() / cellH, cellW, cellH
}

// resizeText gives the console the size of a text mode.
func (c *Core) resizeText(width, height, cellW, cellH int) (changed bool) {
	if width == c.width && height == c.height && cellW == c.cellW && cellH == c.cellH && c.depth == 0 {
		return false
	}
	c.shownW, c.shownH = width*cellW, height*cellH
	c.showPlain(c.shownW, c.shownH)
	c.depth, c.width, c.height, c.cellW, c.cellH = 0, width, height, cellW, cellH
	return true
}

// showPlain gives the console a surface that is drawn to.
func (c *Core) showPlain(width, height int) *ui.Surface {
	c.shared = false
	return c.con.Resize(width, height)
}

// fontOffset is where a font lies, by its number in the character map register: bits 0, 1 and 4 of map A or 2, 3 and 5 of map B.
func fontOffset(low, high uint8) uint32 { return uint32(high&1|low<<1&6)*fontBlock + 2 }

// updateFonts tells whether other fonts are used, or whether they may have been written to.
func (c *Core) updateFonts() (changed bool) {
	v := c.sr(seqCharMap)
	fonts := [2]uint32{fontOffset(v, v>>4), fontOffset(v>>2, v>>5)}
	changed = fonts != c.fonts
	c.fonts = fonts
	if c.planes&4 != 0 || c.chain4 != nil {
		c.planes = 0
		changed = true
	}
	return changed
}

// drawText draws the characters that have changed.
func (c *Core) drawText(full bool) {
	full = c.updateFonts() || full
	full = c.updateStart() || full
	width, height, cellW, cellH := c.textSize()
	if width*height <= 1 || width*height > maxCells {
		return // on the way from one mode to another
	}
	full = c.resizeText(width, height, cellW, cellH) || full
	full = c.update16() || full
	if c.graphicsChanged {
		c.graphicsChanged, full = false, true
	}
	c.updateCursor()
	if now := millis(); now >= c.blinkAt {
		c.blinkAt = now + cursorPeriod
		c.cursorOn = !c.cursorOn
	}
	cursor := int64(c.start+c.cursorAt) * 4
	surface := c.con.Surface()
	for y, at := range c.textLines(height, cellH) {
		first, last := width, -1
		for x := range width {
			src := at + int64(4*x)
			if src+2 > int64(len(c.mem)) {
				break
			}
			cell := uint32(binary.LittleEndian.Uint16(c.mem[src:]))
			if old := &c.cells[y*width+x]; full || cell != *old || src == cursor {
				*old = cell
				first, last = min(first, x), max(last, x)
				c.drawCell(surface, x, y, cell, src == cursor)
			}
		}
		if last >= 0 {
			c.con.Changed(first*cellW, y*cellH, (last-first+1)*cellW, cellH)
		}
	}
}

// Text implements ui.TextHardware.
func (c *Core) Text(t *ui.Text) {
	switch c.mode() {
	case modeBlank:
		t.Say("VGA Blank mode")
		return
	case modeGraphics:
		t.GraphicMode(c.resolution())
		return
	}
	if c.updateStart() {
		c.graphicsChanged = true
	}
	width, height, _, cellH := c.textSize()
	if width*height < 1 || width*height > maxCells {
		t.Say(fmt.Sprintf("%d x %d Text mode", width, height))
		return
	}
	t.Resize(width, height)
	at := uint32(c.crt[crtCursorHigh])<<8 | uint32(c.crt[crtCursorLow])
	cursor := int64(at) * 4
	for y, src := range c.textLines(height, cellH) {
		row := t.Cells[y*width : (y+1)*width]
		for x := range row {
			row[x] = 0
			if at := src + int64(4*x); at+2 <= int64(len(c.mem)) {
				row[x] = ui.Cell(binary.LittleEndian.Uint16(c.mem[at:]))
				if at == cursor && c.crt[crtCursorStart]&cursorOff == 0 {
					t.CursorX, t.CursorY = x, y
				}
			}
		}
	}
}

// textLines are the lines of characters with the places of video memory where they begin.
func (c *Core) textLines(height, cellH int) iter.Seq2[int, int64] {
	return func(yield func(y int, at int64) bool) {
		at, line := int64(c.start)*4, uint32(0)
		for y := range height {
			if !yield(y, at) {
				return
			}
			at += int64(c.line)
			if next := line + uint32(cellH); line < c.split && next >= c.split {
				at = 0
			}
			line += uint32(cellH)
		}
	}
}

// updateCursor makes the characters under the cursor's old and new place be drawn again.
func (c *Core) updateCursor() {
	at := uint32(c.crt[crtCursorHigh])<<8 | uint32(c.crt[crtCursorLow])
	at -= c.start
	if at == c.cursorAt && c.crt[crtCursorStart] == c.cursorStart && c.crt[crtCursorEnd] == c.curEnd {
		return
	}
	for _, i := range []uint32{c.cursorAt, at} {
		if i < maxCells {
			c.cells[i] = ^uint32(0)
		}
	}
	c.cursorAt, c.cursorStart, c.curEnd = at, c.crt[crtCursorStart], c.crt[crtCursorEnd]
}

// drawCell draws one character.
func (c *Core) drawCell(s *ui.Surface, x, y int, cell uint32, cursor bool) {
	char, attr := uint8(cell), uint8(cell>>8)
	fg, bg := c.colors[attr&15], c.colors[attr>>4]
	font := c.fonts[attr>>3&1] + fontStride*uint32(char)
	wide := char >= firstLineGraphic && char <= lastLineGraphic && c.attr[attrMode]&attrLineGraphics != 0
	var on [32]bool
	if cursor && c.crt[crtCursorStart]&cursorOff == 0 && c.cursorOn {
		for i := int(c.crt[crtCursorStart] & 0x1f); i <= min(int(c.crt[crtCursorEnd]&0x1f), c.cellH-1); i++ {
			on[i] = true
		}
	}
	for i := range c.cellH {
		bits, dup := c.mem[(font+uint32(4*i))&c.mask], wide
		if on[i] {
			bits, dup = 0xff, true
		}
		drawBits(s.Row(y*c.cellH + i)[x*c.cellW:(x+1)*c.cellW], bits, dup, fg, bg)
	}
}

// drawBits draws a line of a character of 8, 9 or 16 pixels; dup lets the ninth repeat the eighth.
func drawBits(d []uint32, bits uint8, dup bool, fg, bg uint32) {
	if len(d) == 16 {
		for i := range d {
			d[i] = pick(bits, i/2, fg, bg)
		}
		return
	}
	for i := range 8 {
		d[i] = pick(bits, i, fg, bg)
	}
	if len(d) == 9 {
		d[8] = bg
		if dup {
			d[8] = d[7]
		}
	}
}

func pick(bits uint8, i int, fg, bg uint32) uint32 {
	if bits&(0x80>>i) != 0 {
		return fg
	}
	return bg
}
