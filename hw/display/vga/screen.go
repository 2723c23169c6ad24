package vga

import (
	"goemu/internal/clock"
	"goemu/internal/memory"
	"goemu/ui"
)

// What kind of picture is shown.
const (
	modeNone     = -1 // nothing was drawn since reset
	modeText     = 0
	modeGraphics = 1
	modeBlank    = 2
)

// cursorPeriod is how long the text cursor stays on or off: 16 frames of 60 a second.
const cursorPeriod = 1000 * 2 * 16 / 60 / 2

// maxCells is how many characters a text mode may have.
const maxCells = 160 * 100

// screen is what was drawn last, to tell what has changed.
type screen struct {
	graphics            int
	shift, doubleScan   uint8
	line, start, split  uint32 // bytes per line, first group of 4 bytes, line from which video memory is shown from its start
	lastLine            uint32
	planes              uint8 // written since; of interest for the font in plane 2
	fonts               [2]uint32
	cellW, cellH        int
	width, height       int // in characters or pixels; -1 after Invalidate
	shownW, shownH      int // in pixels
	depth               int
	shared              bool // the surface is video memory as it is
	sharedAt            uint32
	swapped             bool
	cursorStart, curEnd uint8
	cursorAt            uint32
	cursorOn            bool
	blinkAt             int64 // in ms of the virtual clock
	colors              [256]uint32
	cells               [maxCells]uint32
	graphicsChanged     bool // by the text view
}

func (s *screen) reset() {
	*s = screen{graphics: modeNone, cursorOn: s.cursorOn, blinkAt: s.blinkAt, depth: s.depth, lastLine: s.lastLine, shared: s.shared, swapped: s.swapped}
}

// Invalidate implements ui.Hardware.
func (c *Core) Invalidate() { c.width, c.height = -1, -1 }

// Update implements ui.Hardware.
func (c *Core) Update() {
	memory.FlushCoalesced()
	mode := c.mode()
	full := mode != c.graphics
	if full {
		c.graphics = mode
		c.blinkAt = millis()
	}
	switch mode {
	case modeText:
		c.drawText(full)
	case modeGraphics:
		c.drawGraphics(full)
	default:
		c.drawBlank(full)
	}
}

func millis() int64 { return clock.Virtual.Now() / 1e6 }

func (c *Core) mode() int {
	switch {
	case c.attrIndex&attrScreenOn == 0:
		return modeBlank
	case c.gfx[gfxMisc]&miscGraphics != 0:
		return modeGraphics
	}
	return modeText
}

func (c *Core) drawBlank(full bool) {
	if !full || c.shownW <= 0 || c.shownH <= 0 {
		return
	}
	s := c.con.Surface()
	if c.shared {
		c.shared = false
		s = ui.NewSurface(c.shownW, c.shownH)
		c.con.Switch(s)
	}
	s.Fill(0, 0, c.shownW, c.shownH, 0)
	c.con.ChangedAll()
}

// widen turns a colour of 6 bits into one of 8.
func widen(v uint8) uint32 {
	v &= 0x3f
	return uint32(v<<2 | v&1<<1 | v&1)
}

func (c *Core) color(i int, eight bool) uint32 {
	p := c.palette[3*i : 3*i+3]
	if eight {
		return uint32(p[0])<<16 | uint32(p[1])<<8 | uint32(p[2])
	}
	return widen(p[0])<<16 | widen(p[1])<<8 | widen(p[2])
}

func (c *Core) setColor(i int, v uint32) (changed bool) {
	changed = c.colors[i] != v
	c.colors[i] = v
	return changed
}

// update16 takes over the colours of the modes with up to 16 of them.
func (c *Core) update16() (changed bool) {
	for i := range 16 {
		v, high := c.attr[i], c.attr[attrColor]
		if c.attr[attrMode]&attrPaletteHigh != 0 {
			v = high&15<<4 | v&15
		} else {
			v = high&12<<4 | v&0x3f
		}
		changed = c.setColor(i, c.color(int(v), false)) || changed
	}
	return changed
}

// update256 takes over the colours of the modes with 256 of them.
func (c *Core) update256() (changed bool) {
	for i := range 256 {
		changed = c.setColor(i, c.color(i, c.dac8)) || changed
	}
	return changed
}

// updateStart takes over where and how the picture lies in video memory.
func (c *Core) updateStart() (changed bool) {
	line, start, split := c.vbeLine, c.vbeStart, uint32(65535)
	switch {
	case c.chip != nil:
		line, start, split = c.chip.layout()
	case !c.vbeOn():
		line = uint32(c.crt[crtOff]) << 3
		start = uint32(c.crt[crtStartLow]) | uint32(c.crt[crtStartHigh])<<8
		split = uint32(c.crt[crtLineCompare]) | uint32(c.crt[crtOverflow]&0x10)<<4 | uint32(c.crt[crtMaxScan]&0x40)<<3
	}
	changed = line != c.line || start != c.start || split != c.split
	c.line, c.start, c.split = line, start, split
	return changed
}

// lines is the number of lines that the CRT controller shows.
func (c *Core) lines() int {
	return (int(c.crt[crtVDisplay]) | int(c.crt[crtOverflow]&0x02)<<7 | int(c.crt[crtOverflow]&0x40)<<3) + 1
}
