package vga

// Registers of the blitter, which are the graphics controller's. Numbers of more than 8 bits lie in registers that follow each other, but
// for colours.
const (
	gfxBG1, gfxFG1, gfxBG2, gfxFG2, gfxBG3, gfxFG3  = 0x10, 0x11, 0x12, 0x13, 0x14, 0x15
	gfxWidth, gfxHeight, gfxDstPitch, gfxSrcPitch   = 0x20, 0x22, 0x24, 0x26
	gfxDst, gfxSrc, gfxWriteMask                    = 0x28, 0x2c, 0x2f
	gfxBlitMode, gfxStart, gfxROP, gfxBlitExt       = 0x30, 0x31, 0x32, 0x33
	gfxTransparent, gfxTransMask                    = 0x34, 0x38
	blitBackwards, blitToSystem, blitFromSystem     = 0x01, 0x02, 0x04 // of gfxBlitMode
	blitTransparent, blitPattern, blitExpand        = 0x08, 0x40, 0x80
	blitPixel                                       = 0x30
	blitBusy, blitGo, blitReset, blitUsed, blitAuto = 0x01, 0x02, 0x04, 0x10, 0x80 // of gfxStart
	extGrain, extInvert, extSolid                   = 0x01, 0x02, 0x04             // of gfxBlitExt: source lines in dwords, ones are background
	blitLine                                        = 8192                         // bytes of a line at most
	patternLines                                    = 8
)

const ropSource = 0x0d

// rasterOps are the operations by the number in gfxROP; the others leave the destination as it is.
var rasterOps = [256]func(d, s uint32) uint32{
	0x00:      func(_, _ uint32) uint32 { return 0 },
	0x05:      func(d, s uint32) uint32 { return s & d },
	0x09:      func(d, s uint32) uint32 { return s &^ d },
	0x0b:      func(d, _ uint32) uint32 { return ^d },
	ropSource: func(_, s uint32) uint32 { return s },
	0x0e:      func(_, _ uint32) uint32 { return ^uint32(0) },
	0x50:      func(d, s uint32) uint32 { return d &^ s },
	0x59:      func(d, s uint32) uint32 { return s ^ d },
	0x6d:      func(d, s uint32) uint32 { return s | d },
	0x90:      func(d, s uint32) uint32 { return ^(s & d) },
	0x95:      func(d, s uint32) uint32 { return ^(s ^ d) },
	0xad:      func(d, s uint32) uint32 { return s | ^d },
	0xd0:      func(_, s uint32) uint32 { return ^s },
	0xd6:      func(d, s uint32) uint32 { return ^s | d },
	0xda:      func(d, s uint32) uint32 { return ^(s | d) },
}

// blit is an operation of the blitter. Its source is video memory, or lines that the CPU writes one after the other.
type blit struct {
	bytes                             uint32 // of a pixel
	width, height, dstPitch, srcPitch int    // bytes, lines, bytes
	fg, bg, dst, src                  uint32
	mode, ext                         uint8
	rop                               func(d, s uint32) uint32 // nil: nothing is drawn
	replaces                          bool                     // rop takes the source as it is
	draw                              func(b *blitter, dst, src uint32, dstPitch, srcPitch, height int)
	at, end                           int // next byte from the CPU and how many make a line; both 0 while none are wanted
	left                              int // bytes that are still to come from the CPU, with those that are there
	skip                              uint32
	transparent                       uint32
	line                              [blitLine]byte
}

// blitter draws: the operation with the memory that it works on.
type blitter struct {
	*blit
	mem  []byte
	mask uint32
}

// wants tells whether the blitter waits for data from the CPU.
func (b *blit) wants() bool { return b.at != b.end }

func (c *Cirrus) word(i uint8) int { return int(c.gfx[i]) | int(c.gfx[i+1])<<8 }

// color is a colour with as many bytes as a pixel: the first one is shadow register i, the others lie in every second register from high on.
func (c *Cirrus) color(i int, high uint8) (v uint32) {
	v = uint32(c.shadow[i])
	for k := range uint8(c.blit.bytes) - 1 {
		v |= uint32(c.gfx[high+2*k]) << (8 * (k + 1))
	}
	return v
}

// writeStart writes the register that starts and resets the blitter.
func (c *Cirrus) writeStart(v uint8) {
	old := c.gfx[gfxStart]
	c.gfx[gfxStart] = v
	switch {
	case old&^v&blitReset != 0:
		c.endBlit()
	case v&^old&blitGo != 0:
		c.startBlit()
	}
}

// endBlit puts the blitter to rest.
func (c *Cirrus) endBlit() {
	c.gfx[gfxStart] &^= blitGo | blitBusy | blitUsed
	update := c.blit.at != 0 || c.blit.end != 0
	c.blit.at, c.blit.end, c.blit.left = 0, 0, 0
	if update {
		c.updateAccess()
	}
}

// startBlit does what the registers say, or gets ready for the data that the CPU is to write. What cannot be done is ignored.
func (c *Cirrus) startBlit() {
	if !c.Blitter {
		c.endBlit()
		return
	}
	c.gfx[gfxStart] |= blitBusy
	b := &c.blit
	b.width, b.height, b.dstPitch, b.srcPitch = c.word(gfxWidth)+1, c.word(gfxHeight)+1, c.word(gfxDstPitch), c.word(gfxSrcPitch)
	b.dst = (uint32(c.word(gfxDst)) | uint32(c.gfx[gfxDst+2])<<16) & cirrusMask
	b.src = (uint32(c.word(gfxSrc)) | uint32(c.gfx[gfxSrc+2])<<16) & cirrusMask
	b.mode, b.ext, b.rop = c.gfx[gfxBlitMode]&^blitPixel, c.gfx[gfxBlitExt], rasterOps[c.gfx[gfxROP]]
	b.replaces = c.gfx[gfxROP] == ropSource
	b.bytes = uint32(c.gfx[gfxBlitMode]&blitPixel>>4) + 1
	b.fg, b.bg = c.color(1, gfxFG1), c.color(0, gfxBG1)
	b.skip = uint32(c.gfx[gfxWriteMask])
	b.transparent = uint32(c.word(gfxTransparent))
	if !c.runBlit() {
		c.endBlit()
	}
}

// runBlit chooses how to draw and does it; false means that the operation is ignored.
func (c *Cirrus) runBlit() bool {
	b := &c.blit
	transparent := b.mode&blitTransparent != 0
	switch {
	case b.mode&(blitToSystem|blitFromSystem) == blitToSystem|blitFromSystem:
		return false
	case b.ext&extSolid != 0 && b.mode&(blitToSystem|blitTransparent|blitPattern|blitExpand) == blitPattern|blitExpand:
		if !b.inside(len(c.mem), true) {
			return false
		}
		b.draw = (*blitter).solid
		c.drawBlit(0)
		c.endBlit()
		return true
	case b.mode&blitExpand != 0:
		pattern := b.mode&blitPattern != 0
		b.draw = func(b *blitter, dst, src uint32, dstPitch, _, height int) {
			b.expand(dst, src, dstPitch, height, pattern, transparent)
		}
	case b.mode&blitPattern != 0:
		b.draw = (*blitter).pattern
	case transparent && b.bytes > 2:
		return false
	default:
		step, size := 1, uint32(1)
		if transparent {
			size = b.bytes
		}
		if b.mode&blitBackwards != 0 {
			step, b.dstPitch, b.srcPitch = -1, -b.dstPitch, -b.srcPitch
		}
		b.draw = func(b *blitter, dst, src uint32, dstPitch, srcPitch, height int) {
			b.copy(dst, src, dstPitch, srcPitch, height, step, size, transparent)
		}
	}
	switch {
	case b.mode&blitFromSystem != 0:
		return c.awaitCPU()
	case b.mode&blitToSystem != 0:
		return false // nobody uses it
	case b.mode&blitPattern != 0:
		size := patternBytes(c.bpp())
		b.src &^= size - 1
		if int(b.src+size) > len(c.mem) || !b.inside(len(c.mem), true) {
			return false
		}
		c.drawBlit(0)
	default:
		if !b.inside(len(c.mem), false) {
			return false
		}
		c.drawBlit(b.srcPitch)
	}
	c.endBlit()
	return true
}

// patternBytes is the size of a pattern of 8 by 8 pixels in video memory.
func patternBytes(bpp int) uint32 {
	switch bpp {
	case 8:
		return 64
	case 15, 16:
		return 128
	}
	return 256
}

// inside tells whether the operation stays in video memory of a size.
func (b *blit) inside(size int, dstOnly bool) bool {
	reach := func(addr uint32, pitch int) bool {
		far := int(addr) + (b.height-1)*pitch
		switch {
		case pitch == 0:
			return false
		case pitch < 0:
			return far-b.width >= -1 && int(addr) < size
		}
		return far+b.width <= size
	}
	return b.width <= blitLine && reach(b.dst, b.dstPitch) && (dstOnly || reach(b.src, b.srcPitch))
}

// drawBlit draws the whole picture from video memory, or a pattern that came from the CPU.
func (c *Cirrus) drawBlit(srcPitch int) {
	b := &c.blit
	src := b.src
	if b.left != 0 {
		src = 0
	}
	if b.rop != nil {
		b.draw(c.blitter(), b.dst, src, b.dstPitch, srcPitch, b.height)
	}
	c.drawn(b.dst, b.dstPitch, b.height)
}

func (c *Cirrus) blitter() *blitter { return &blitter{&c.blit, c.mem, cirrusMask} }

// drawn notes that lines of the destination have changed.
func (c *Cirrus) drawn(dst uint32, pitch, lines int) {
	n := uint64(c.blit.width)
	if pitch < 0 {
		dst -= uint32(n) - 1
	}
	ram := c.vram.RAM()
	for range lines {
		at := uint64(dst & cirrusMask)
		ram.MarkDirty(at, min(n, cirrusMemory-at))
		if at+n > cirrusMemory {
			ram.MarkDirty(0, at+n-cirrusMemory)
		}
		dst += uint32(pitch)
	}
}

// awaitCPU gets ready for data from the CPU.
func (c *Cirrus) awaitCPU() bool {
	b := &c.blit
	if !b.inside(len(c.mem), true) {
		return false
	}
	b.mode &^= blitFromSystem
	pixels := b.width / int(b.bytes)
	lines := b.height
	switch {
	case b.mode&blitPattern != 0:
		lines, b.srcPitch = 1, patternLines*patternLines*int(b.bytes)
		if b.mode&blitExpand != 0 {
			b.srcPitch = patternLines
		}
	case b.mode&blitExpand == 0:
		b.srcPitch = (b.width + 3) &^ 3
	case b.ext&extGrain != 0:
		b.srcPitch = (pixels + 31) / 32 // QEMU counts dwords here and takes as many bytes
	default:
		b.srcPitch = (pixels + 7) / 8
	}
	b.at, b.end, b.left = 0, b.srcPitch, b.srcPitch*lines
	if b.left == 0 { // narrower than a pixel
		b.end = 0
	}
	c.updateAccess()
	return true
}

// feed takes a byte from the CPU, and draws a line when it is complete.
func (c *Cirrus) feed(v uint8) {
	b := &c.blit
	b.line[b.at] = v
	if b.at++; b.at < b.end {
		return
	}
	if b.mode&blitPattern != 0 {
		if b.inside(len(c.mem), true) {
			c.drawBlit(0)
		}
		c.endBlit()
		return
	}
	if b.rop != nil {
		b.draw(c.blitter(), b.dst, 0, 0, 0, 1)
	}
	c.drawn(b.dst, 0, 1)
	b.dst += uint32(b.dstPitch)
	if b.left -= b.srcPitch; b.left == 0 {
		c.endBlit()
		return
	}
	b.at = 0
}

// load reads n bytes of the source, which are aligned.
func (b *blitter) load(at, n uint32) (v uint32) {
	from, mask := b.mem, b.mask
	if b.left != 0 {
		from, mask = b.line[:], blitLine-1
	}
	if n == 3 {
		for k := range n {
			v |= uint32(from[(at+k)&mask]) << (8 * k)
		}
		return v
	}
	at &= mask &^ (n - 1)
	for k := range n {
		v |= uint32(from[at+k]) << (8 * k)
	}
	return v
}

// put draws a pixel of n bytes.
func (b *blitter) put(at, v, n uint32) {
	if n != 3 {
		at &= b.mask &^ (n - 1)
	}
	for k := range n {
		p := &b.mem[(at+k)&b.mask]
		*p = uint8(b.rop(uint32(*p), v>>(8*k)))
	}
}

// putUnless draws a pixel of n bytes unless it is to have the transparent colour.
func (b *blitter) putUnless(at, v, n uint32) {
	at &= b.mask &^ (n - 1)
	var old uint32
	for k := range n {
		old |= uint32(b.mem[at+k]) << (8 * k)
	}
	v = b.rop(old, v) & (1<<(8*n) - 1)
	if v == b.transparent&(1<<(8*n)-1) {
		return
	}
	for k := range n {
		b.mem[at+k] = uint8(v >> (8 * k))
	}
}

// solid fills with the foreground colour.
func (b *blitter) solid(dst, _ uint32, dstPitch, _, height int) {
	for range height {
		for x := uint32(0); x < uint32(b.width); x += b.bytes {
			b.put(dst+x, b.fg, b.bytes)
		}
		dst += uint32(dstPitch)
	}
}

// copy copies pixels of size bytes, forwards or, with step -1, from the last byte on backwards.
func (b *blitter) copy(dst, src uint32, dstPitch, srcPitch, height, step int, size uint32, transparent bool) {
	if step > 0 && height > 1 && (dstPitch < b.width || srcPitch < b.width) {
		return
	}
	put := b.put
	if transparent {
		put = b.putUnless
	}
	advance := uint32(step) * size
	first := uint32(0) // of a pixel, from where the counters are
	if step < 0 {
		first = -(size - 1)
	}
	for range height {
		d, s := dst, src
		if b.replaces && !transparent && b.move(d, s, step) {
			dst, src = dst+uint32(dstPitch), src+uint32(srcPitch)
			continue
		}
		for x := uint32(0); x < uint32(b.width); x += size {
			put(d+first, b.load(s+first, size), size)
			d, s = d+advance, s+advance
		}
		// A line that is no multiple of a pixel has moved the counters too far; the next one begins that much later.
		over := uint32(step) * ((uint32(b.width)+size-1)/size*size - uint32(b.width))
		dst, src = dst+uint32(dstPitch)+over, src+uint32(srcPitch)+over
	}
}

// move copies a line of video memory at once if that is the same as byte by byte; it returns false if not.
func (b *blitter) move(dst, src uint32, step int) bool {
	n := uint32(b.width)
	dst, src = dst&b.mask, src&b.mask
	if step < 0 {
		dst, src = dst-(n-1), src-(n-1)
	}
	// The counters do not go over an end of memory, and no byte is written that is still to be read.
	if b.left != 0 || max(dst, src) > b.mask+1-n || dst != src && dst-src < n && step > 0 || dst != src && src-dst < n && step < 0 {
		return false
	}
	copy(b.mem[dst:dst+n], b.mem[src:src+n])
	return true
}

// skips returns how many bytes are left out at the left of each line, and how many pixels of the source. In pixels of 3 bytes the register
// counts bytes, if exact is set.
func (b *blitter) skips(exact bool) (dst, src uint32) {
	if b.bytes == 3 && exact {
		return b.skip & 0x1f, b.skip & 0x1f / 3
	}
	return b.skip & 7 * b.bytes, b.skip & 7
}

// pattern repeats a pattern of 8 by 8 pixels.
func (b *blitter) pattern(dst, src uint32, dstPitch, _, height int) {
	pitch := patternLines * b.bytes
	if b.bytes == 3 {
		pitch = patternLines * 4
	}
	skip, _ := b.skips(true)
	row := b.src & 7
	for range height {
		line, x := src+row*pitch, skip
		column := skip / b.bytes
		if b.bytes == 3 {
			column = skip // QEMU takes the bytes left out for pixels
		}
		for ; x < uint32(b.width); x += b.bytes {
			b.put(dst+x, b.load(line+column*b.bytes, b.bytes), b.bytes)
			column = (column + 1) & 7
		}
		row = (row + 1) & 7
		dst += uint32(dstPitch)
	}
}

// expand draws a pixel for each bit: the foreground for ones and, unless it is transparent, the background for zeroes. The lines follow each
// other in the source, or are those of a pattern.
func (b *blitter) expand(dst, src uint32, dstPitch, height int, pattern, transparent bool) {
	skip, skipBits := b.skips(transparent)
	colors := [2]uint32{b.bg, b.fg}
	one := uint32(1)
	if transparent && b.ext&extInvert != 0 {
		one = 0
	}
	row := b.src & 7
	for range height {
		at := src
		if pattern {
			at += row
		}
		bits := b.load(at, 1)
		at++
		bit := 7 - int(skipBits)
		for x := skip; x < uint32(b.width); x += b.bytes {
			if bit < 0 && !pattern {
				bits, bit = b.load(at, 1), 7
				at++
			}
			v := bits >> (uint(bit) & 31) & 1
			if !transparent || v == one {
				b.put(dst+x, colors[v], b.bytes)
			}
			if bit--; pattern {
				bit &= 7
			}
		}
		if !pattern {
			src = at
		}
		row = (row + 1) & 7
		dst += uint32(dstPitch)
	}
}
