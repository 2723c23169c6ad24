package vga

// Ports and register numbers of the Cirrus Logic GD5446 beyond the VGA's.
const (
	portHiddenDAC               = 0x3c6
	cirrusPorts, cirrusPortsLen = 0x3b0, 0x30

	// Sequencer.
	seqUnlock, seqMode, seqDRAM        = 0x06, 0x07, 0x0f
	seqCursorX, seqCursorY             = 0x10, 0x11 // with bits 5 to 7 of the index as the position's lowest bits
	seqCursorAttr, seqCursorPattern    = 0x12, 0x13
	seqMemorySize, seqConfig, seqMClk  = 0x15, 0x17, 0x1f
	seqLast                            = 0x1f
	unlocked, locked                   = 0x12, 0x0f
	modeSVGA, modeBPP                  = 0x01, 0x0e // of seqMode
	cursorShow, cursorDAC, cursorLarge = 0x01, 0x02, 0x04
	configMMIO, configMMIOAtEnd        = 0x04, 0x40

	// Graphics controller.
	gfxBank0, gfxBank1, gfxBanking   = 0x09, 0x0a, 0x0b
	gfxMemoryConfig, gfxLast         = 0x18, 0x39
	bankDual, bank8Bytes, bankWrites = 0x01, 0x02, 0x04 // two banks; addresses times 8; write modes 4 and 5 may be used
	bank16Bytes                      = 0x14             // addresses times 16
	bankGranular16K                  = 0x20

	// CRT controller.
	crtMisc, crtExtended, crtOverlay = 0x1a, 0x1b, 0x1d
	crtLatches, crtFlipFlop          = 0x22, 0x24
	crtPart, crtAttrIndex, crtID     = 0x25, 0x26, 0x27
	crtInterlaced                    = 0x01

	cirrusID = 0x2e << 2 // GD5446

	hiddenDACReads = 4 // reads of port 0x3c6 before the hidden register is reached
)

// cirrusRegs is the state that the guest sees beyond the VGA's.
type cirrusRegs struct {
	shadow           [2]uint8 // graphics registers 0 and 1 in full: colours of the blitter
	dacLock, dacMode uint8
	cursorX, cursorY uint32
}

// Read implements memory.Ops: the ports.
func (c *Cirrus) Read(off uint64, _ int) uint64 { return uint64(c.in(cirrusPorts + uint16(off))) }

// Write implements memory.Ops.
func (c *Cirrus) Write(off uint64, _ int, v uint64) { c.out(cirrusPorts+uint16(off), uint8(v)) }

func (c *Cirrus) in(port uint16) uint8 {
	if c.absent(port) {
		return 0xff
	}
	switch port {
	case portSeqData:
		return c.readSeq()
	case portHiddenDAC:
		if c.dacLock++; c.dacLock != hiddenDACReads+1 {
			return 0xff
		}
		c.dacLock = 0
		return c.dacMode
	case portDACWrite:
		c.dacLock = 0
	case portDACData:
		return c.readDAC()
	case portGfxData:
		return c.readGfx(c.gfxIndex)
	case portCRTDataMono, portCRTDataColor:
		return c.readCRT()
	}
	return c.readPort(port)
}

func (c *Cirrus) out(port uint16, v uint8) {
	if c.absent(port) {
		return
	}
	switch port {
	case portSeqIndex:
		c.seqIndex = v
	case portSeqData:
		c.writeSeq(v)
	case portHiddenDAC:
		if c.dacLock == hiddenDACReads {
			c.dacMode = v
		}
		c.dacLock = 0
	case portDACData:
		c.writeDAC(v)
	case portGfxIndex:
		c.gfxIndex = v
	case portGfxData:
		c.writeGfx(c.gfxIndex, v)
	case portCRTDataMono, portCRTDataColor:
		c.writeCRTC(v)
	default:
		c.writePort(port, v)
	}
}

func (c *Cirrus) readSeq() uint8 {
	i := c.seqIndex
	if low := i & seqLast; low == seqCursorX || low == seqCursorY {
		i = low
	}
	if i > seqLast {
		return 0xff
	}
	return c.seq[i]
}

func (c *Cirrus) writeSeq(v uint8) {
	i := c.seqIndex
	switch i & seqLast {
	case seqCursorX:
		c.seq[seqCursorX], c.cursorX = v, uint32(v)<<3|uint32(i>>5)
		return
	case seqCursorY:
		c.seq[seqCursorY], c.cursorY = v, uint32(v)<<3|uint32(i>>5)
		return
	}
	switch {
	case i <= seqMemMode:
		c.seq[i] = v & seqMask[i]
	case i == seqUnlock:
		c.seq[i] = locked
		if v&0x17 == unlocked {
			c.seq[i] = unlocked
		}
	case i == seqConfig:
		c.seq[i] = c.seq[i]&0x38 | v&^0x38
		c.updateAccess()
	case i == seqMode:
		c.seq[i] = v
		c.updateAccess()
	case i > seqMode && i <= seqLast:
		c.seq[i] = v
	}
}

// dacColors are the palette in force: the cursor's 16 colours or the screen's. i is the first of the colour's bytes.
func (c *Cirrus) dacColors(index uint8) (colors []uint8, i int) {
	if c.seq[seqCursorAttr]&cursorDAC != 0 {
		return c.hidden[:], 3 * int(index&15)
	}
	return c.palette[:], 3 * int(index)
}

func (c *Cirrus) readDAC() uint8 {
	colors, i := c.dacColors(c.dacReadIndex)
	v := colors[i+int(c.dacSub)]
	if c.dacSub++; c.dacSub == 3 {
		c.dacSub = 0
		c.dacReadIndex++
	}
	return v
}

func (c *Cirrus) writeDAC(v uint8) {
	c.dacCache[c.dacSub] = v
	if c.dacSub++; c.dacSub == 3 {
		colors, i := c.dacColors(c.dacWriteIndex)
		copy(colors[i:], c.dacCache[:])
		c.dacSub = 0
		c.dacWriteIndex++
	}
}

func (c *Cirrus) readGfx(i uint8) uint8 {
	switch {
	case int(i) < len(c.shadow):
		return c.shadow[i]
	case i <= gfxLast:
		return c.gfx[i]
	}
	return 0xff
}

// gfxBits are the bits that exist of the registers beyond the VGA's; those of the start register are the blitter's.
var gfxBits = [gfxLast + 1]uint8{gfxBank0: 0xff, gfxBank1: 0xff, gfxBanking: 0xff,
	gfxBG1: 0xff, gfxFG1: 0xff, gfxBG2: 0xff, gfxFG2: 0xff, gfxBG3: 0xff, gfxFG3: 0xff,
	gfxWidth: 0xff, gfxWidth + 1: 0x1f, gfxHeight: 0xff, gfxHeight + 1: 0x1f, gfxDstPitch: 0xff, gfxDstPitch + 1: 0x1f,
	gfxSrcPitch: 0xff, gfxSrcPitch + 1: 0x1f, gfxDst: 0xff, gfxDst + 1: 0xff, gfxDst + 2: 0x3f, gfxSrc: 0xff, gfxSrc + 1: 0xff, gfxSrc + 2: 0x3f,
	gfxWriteMask: 0xff, gfxBlitMode: 0xff, gfxROP: 0xff, gfxBlitExt: 0xff, gfxTransparent: 0xff, gfxTransparent + 1: 0xff,
	gfxTransMask: 0xff, gfxTransMask + 1: 0xff}

func (c *Cirrus) writeGfx(i, v uint8) {
	switch {
	case i == gfxMode:
		c.gfx[i] = v & 0x7f
		c.updateAccess()
	case i <= gfxBitMask:
		c.gfx[i] = v & gfxMask[i]
		if int(i) < len(c.shadow) {
			c.shadow[i] = v
		}
	case i == gfxStart:
		c.writeStart(v)
	case i > gfxLast || gfxBits[i] == 0:
	default:
		c.gfx[i] = v & gfxBits[i]
		switch i {
		case gfxBank0, gfxBank1, gfxBanking:
			c.updateAccess()
		case gfxDst + 2:
			if c.gfx[gfxStart]&blitAuto != 0 {
				c.startBlit()
			}
		}
	}
}

func (c *Cirrus) readCRT() uint8 {
	switch i := c.crtIndex; {
	case i <= crtOverlay, i == crtLatches, i == crtPart, i == crtID:
		return c.crt[i]
	case i == crtFlipFlop:
		return uint8(c.flipFlop << 7)
	case i == crtAttrIndex:
		return c.attrIndex & 0x3f
	}
	return 0xff
}

func (c *Cirrus) writeCRTC(v uint8) {
	if c.crtIndex <= crtOverlay {
		c.writeCRT(v)
	}
}
