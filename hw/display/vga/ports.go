package vga

// ports answers a run of ports of single bytes; wider accesses are made of them, as far as the run goes.
type ports struct {
	c       *Core
	base, n uint16
}

// Read implements memory.Ops.
func (p *ports) Read(off uint64, size int) uint64 {
	port := p.base + uint16(off)
	switch size {
	case 1:
		return uint64(p.c.readPort(port))
	case 2:
		v := uint64(p.c.readPort(port))
		if uint16(off)+1 < p.n {
			return v | uint64(p.c.readPort(port+1))<<8
		}
		return v | 0xff00
	}
	return ^uint64(0)
}

// Write implements memory.Ops.
func (p *ports) Write(off uint64, size int, v uint64) {
	port := p.base + uint16(off)
	if size > 2 {
		return
	}
	p.c.writePort(port, uint8(v))
	if size == 2 && uint16(off)+1 < p.n {
		p.c.writePort(port+1, uint8(v>>8))
	}
}

// absent tells whether a port is one of the other colour scheme's.
func (c *Core) absent(port uint16) bool {
	other := uint16(portsColor)
	if c.misc&miscColor != 0 {
		other = portsMono
	}
	return port&^0xf == other
}

func (c *Core) readPort(port uint16) (v uint8) {
	if c.absent(port) {
		return 0xff
	}
	switch port {
	case portAttr:
		if c.flipFlop == 0 {
			v = c.attrIndex
		}
	case portAttrRead:
		if i := c.attrIndex & 0x1f; i < attrCount {
			v = c.attr[i]
		}
	case portMisc:
		v = c.status0
	case portSeqIndex:
		v = c.seqIndex
	case portSeqData:
		v = c.seq[c.seqIndex&7]
	case portDACRead:
		v = c.dacState
	case portDACWrite:
		v = c.dacWriteIndex
	case portDACData:
		v = c.palette[int(c.dacReadIndex)*3+int(c.dacSub)]
		if c.dacSub++; c.dacSub == 3 {
			c.dacSub = 0
			c.dacReadIndex++
		}
	case portFeature:
		v = c.feature
	case portMiscRead:
		v = c.misc
	case portGfxIndex:
		v = c.gfxIndex
	case portGfxData:
		v = c.gfx[c.gfxIndex&15]
	case portCRTIndexMono, portCRTIndexColor:
		v = c.crtIndex
	case portCRTDataMono, portCRTDataColor:
		v = c.crt[c.crtIndex]
	case portStatus1Mono, portStatus1Color: // whoever waits for either state of the beam gets it
		c.status1 ^= stsVRetrace | stsBlanking
		c.flipFlop = 0
		v = c.status1
	}
	return v
}

func (c *Core) writePort(port uint16, v uint8) {
	if c.absent(port) {
		return
	}
	switch port {
	case portAttr:
		c.writeAttr(v)
	case portMisc:
		c.misc = v &^ 0x10
	case portSeqIndex:
		c.seqIndex = v & 7
	case portSeqData:
		c.seq[c.seqIndex&7] = v & seqMask[c.seqIndex&7]
		c.updateWindow()
	case portDACRead:
		c.dacReadIndex, c.dacSub, c.dacState = v, 0, dacReading
	case portDACWrite:
		c.dacWriteIndex, c.dacSub, c.dacState = v, 0, 0
	case portDACData:
		c.dacCache[c.dacSub] = v
		if c.dacSub++; c.dacSub == 3 {
			copy(c.palette[int(c.dacWriteIndex)*3:], c.dacCache[:])
			c.dacSub = 0
			c.dacWriteIndex++
		}
	case portGfxIndex:
		c.gfxIndex = v & 15
	case portGfxData:
		c.gfx[c.gfxIndex&15] = v & gfxMask[c.gfxIndex&15]
		c.vbeToVGA()
		c.updateWindow()
	case portCRTIndexMono, portCRTIndexColor:
		c.crtIndex = v
	case portCRTDataMono, portCRTDataColor:
		c.writeCRT(v)
	case portStatus1Mono, portStatus1Color:
		c.feature = v & featureMask
	}
}

func (c *Core) writeAttr(v uint8) {
	if c.flipFlop == 0 {
		c.attrIndex = v & 0x3f
	} else if i := c.attrIndex & 0x1f; i < attrMode {
		c.attr[i] = v & 0x3f
	} else if i < attrCount {
		c.attr[i] = v & attrMask[i-attrMode]
	}
	c.flipFlop ^= 1
}

// writeCRT writes a register of the CRT controller; of the protected ones only a bit of the line comparison can be changed.
func (c *Core) writeCRT(v uint8) {
	if c.crt[crtVSyncEnd]&crtLock != 0 && c.crtIndex <= crtOverflow {
		if c.crtIndex == crtOverflow {
			c.crt[crtOverflow] = c.crt[crtOverflow]&^0x10 | v&0x10
			c.vbeToVGA()
		}
		return
	}
	c.crt[c.crtIndex] = v
	c.vbeToVGA()
}
