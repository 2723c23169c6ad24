package vga

// vbePorts answers the index port and both data ports of the extensions, with accesses of two bytes only.
type vbePorts struct{ c *Core }

// Read implements memory.Ops.
func (p vbePorts) Read(off uint64, size int) uint64 {
	switch {
	case size != 2 || off > portVBEDataOther-portVBEIndex:
		return ^uint64(0)
	case off == 0:
		return uint64(p.c.vbeIndex)
	}
	return uint64(p.c.readVBE())
}

// Write implements memory.Ops.
func (p vbePorts) Write(off uint64, size int, v uint64) {
	switch {
	case size != 2 || off > portVBEDataOther-portVBEIndex:
	case off == 0:
		p.c.vbeIndex = uint16(v)
	default:
		p.c.writeVBE(uint16(v))
	}
}

func (c *Core) readVBE() uint16 {
	i := c.vbeIndex
	switch {
	case i == vbeMemory:
		return uint16(len(c.mem) >> 16)
	case i >= vbeRegs:
		return 0
	}
	if c.vbe[vbeEnable]&vbeCaps != 0 {
		switch i {
		case vbeX:
			return vbeMaxX
		case vbeY:
			return vbeMaxY
		case vbeBPP:
			return vbeMaxBPP
		}
	}
	return c.vbe[i]
}

func (c *Core) writeVBE(v uint16) {
	switch i := c.vbeIndex; i {
	case vbeID:
		if v >= vbeFirstID && v <= vbeLastID {
			c.vbe[i] = v
		}
	case vbeX, vbeY, vbeBPP, vbeVirtWidth, vbeXOffset, vbeYOffset:
		c.vbe[i] = v
		c.fixVBE()
		c.vbeToVGA()
	case vbeBank:
		v &= uint16(c.vbeBankMask)
		c.vbe[i] = v
		c.bank = int32(v) << 16
		c.updateWindow()
	case vbeEnable:
		c.enableVBE(v)
	}
}

func (c *Core) enableVBE(v uint16) {
	if v&vbeEnabled != 0 && !c.vbeOn() {
		c.vbe[vbeVirtWidth], c.vbe[vbeXOffset], c.vbe[vbeYOffset] = 0, 0, 0
		c.vbe[vbeEnable] |= vbeEnabled
		c.fixVBE()
		c.vbeToVGA()
		if v&vbeKeepMemory == 0 {
			n := min(uint64(c.vbe[vbeY])*uint64(c.vbeLine), uint64(len(c.mem)))
			clear(c.mem[:n])
			c.vram.RAM().MarkDirty(0, n)
		}
	} else {
		c.bank = 0
	}
	c.dac8 = v&vbe8BitDAC != 0
	c.vbe[vbeEnable] = v
	c.updateWindow()
}

// fixVBE puts the nearest valid values in the place of what the guest has written.
func (c *Core) fixVBE() {
	if !c.vbeOn() {
		return
	}
	r := &c.vbe
	bits := uint32(r[vbeBPP])
	switch bits {
	case 4, 8, 16, 24, 32:
	case 15:
		bits = 16
	default:
		bits = 8
		r[vbeBPP] = 8
	}
	r[vbeX] = min(max(r[vbeX]&^7, 8), vbeMaxX)
	r[vbeVirtWidth] = max(min(r[vbeVirtWidth]&^7, vbeMaxX), r[vbeX])
	line := uint32(r[vbeVirtWidth]) * bits / 8
	size := uint32(len(c.mem))
	lines := size / line
	r[vbeY] = uint16(min(uint32(min(max(r[vbeY], 1), vbeMaxY)), lines))
	r[vbeXOffset] = min(r[vbeXOffset], vbeMaxX)
	r[vbeYOffset] = min(r[vbeYOffset], vbeMaxY)
	shown := uint32(r[vbeY]) * line
	offset := uint32(r[vbeXOffset])*bits/8 + uint32(r[vbeYOffset])*line
	if offset+shown > size {
		r[vbeYOffset] = 0
		if offset = uint32(r[vbeXOffset]) * bits / 8; offset+shown > size {
			r[vbeXOffset], offset = 0, 0
		}
	}
	r[vbeVirtHeight] = uint16(lines)
	c.vbeLine, c.vbeStart = line, offset/4
}

// vbeToVGA sets the VGA's registers as the extensions' mode wants them.
func (c *Core) vbeToVGA() {
	if !c.vbeOn() {
		return
	}
	c.gfx[gfxMisc] = c.gfx[gfxMisc]&^0x0c | 0x04 | miscGraphics
	c.crt[crtMode] |= crtNoCGA | crtNoHerc
	c.crt[crtOff] = uint8(c.vbeLine >> 3)
	c.crt[crtHDisplay] = uint8(c.vbe[vbeX]>>3 - 1)
	h := int(c.vbe[vbeY]) - 1
	c.crt[crtVDisplay] = uint8(h)
	c.crt[crtOverflow] = c.crt[crtOverflow]&^0x42 | uint8(h>>7&0x02) | uint8(h>>3&0x40)
	c.crt[crtLineCompare] = 0xff // with the next two: line 1023
	c.crt[crtOverflow] |= 0x10
	c.crt[crtMaxScan] |= 0x40
	shift := uint8(0)
	if c.vbe[vbeBPP] == 4 {
		c.seqVBE[seqClock] &^= clockHalf
	} else {
		shift = 2
		c.seqVBE[seqMemMode] |= memChain4
		c.seqVBE[seqPlaneWrite] |= allPlanes
	}
	c.gfx[gfxMode] = c.gfx[gfxMode]&^0x60 | shift<<5
	c.crt[crtMaxScan] &^= 0x9f // no line is shown twice
}
