// Package vga is the standard VGA adapter with the Bochs extensions: text, planar and packed-pixel modes of the IBM VGA, and linear
// frame buffers of any size through the DISPI registers. On the same core it has the Cirrus Logic GD5446, with modes of up to 32 bits, a
// blitter and a cursor (GD5446 Technical Reference Manual; where QEMU 7.2 does otherwise, as QEMU does).
package vga

// Ports of the adapter. Those of the CRT controller and the second status lie at 0x3b0 or 0x3d0, as the miscellaneous output says.
const (
	portAttr, portAttrRead                                 = 0x3c0, 0x3c1
	portMisc, portSeqIndex, portSeqData                    = 0x3c2, 0x3c4, 0x3c5 // status 0 when 0x3c2 is read
	portDACRead, portDACWrite, portDACData                 = 0x3c7, 0x3c8, 0x3c9
	portFeature, portMiscRead                              = 0x3ca, 0x3cc
	portGfxIndex, portGfxData                              = 0x3ce, 0x3cf
	portCRTIndexMono, portCRTDataMono, portStatus1Mono     = 0x3b4, 0x3b5, 0x3ba
	portCRTIndexColor, portCRTDataColor, portStatus1Color  = 0x3d4, 0x3d5, 0x3da
	portsMono, portsColor                                  = 0x3b0, 0x3d0
	portsBase, portVBEIndex, portVBEData, portVBEDataOther = 0x3b0, 0x1ce, 0x1cf, 0x1d0
)

// Registers of the sequencer.
const (
	seqClock, seqPlaneWrite, seqCharMap, seqMemMode = 1, 2, 3, 4
	seqCount                                        = 8

	clock8Dots, clockHalf = 0x01, 0x08
	allPlanes             = 0x0f
	memChain4             = 0x08
)

// Registers of the graphics controller.
const (
	gfxSetReset, gfxSetResetEnable, gfxCompare, gfxRotate = 0, 1, 2, 3
	gfxPlaneRead, gfxMode, gfxMisc                        = 4, 5, 6
	gfxCompareMask, gfxBitMask                            = 7, 8
	gfxCount                                              = 16

	modeReadCompare, modeOddEven = 0x08, 0x10
	miscGraphics                 = 0x01
)

// Registers of the CRT controller.
const (
	crtHTotal, crtHDisplay, crtHSyncStart, crtHSyncEnd            = 0x00, 0x01, 0x04, 0x05
	crtVTotal, crtOverflow, crtMaxScan                            = 0x06, 0x07, 0x09
	crtCursorStart, crtCursorEnd, crtStartHigh, crtStartLow       = 0x0a, 0x0b, 0x0c, 0x0d
	crtCursorHigh, crtCursorLow, crtVSyncEnd, crtVDisplay, crtOff = 0x0e, 0x0f, 0x11, 0x12, 0x13
	crtMode, crtLineCompare                                       = 0x17, 0x18

	crtLock      = 0x80 // of crtVSyncEnd: registers 0..7 are protected
	cursorOff    = 0x20 // of crtCursorStart
	crtNoCGA     = 0x01 // of crtMode: line addresses are not interleaved by two
	crtNoHerc    = 0x02 // nor by four
	crtCGAWindow = 0x40
)

// Registers of the attribute controller.
const (
	attrMode, attrOverscan, attrPlanes, attrPanning, attrColor = 0x10, 0x11, 0x12, 0x13, 0x14
	attrCount                                                  = 0x15
	attrScreenOn                                               = 0x20 // of the index

	attrLineGraphics, attrPaletteHigh = 0x04, 0x80 // of attrMode
)

// miscColor is the bit of the miscellaneous output that chooses the ports, and those of status 1 that tell of blanking.
const (
	miscColor                 = 0x01
	stsBlanking, stsVRetrace  = 0x01, 0x08
	dacReading, featureMask   = 3, 0x10
	lowMemBase, lowMemSize    = 0xa0000, 0x20000
	window64K, window32K      = 0x10000, 0x8000
	monoWindow, colorWindow   = 0x10000, 0x18000 // from lowMemBase
	fontStride, fontBlock     = 32 * 4, 8192 * 4 // a character, a font
	lastLineGraphic           = 0xdf
	firstLineGraphic          = 0xb0
	cga160Total, cga160Height = 100, 100
)

// Bits of registers that exist.
var (
	seqMask = [seqCount]uint8{0x03, 0x3d, 0x0f, 0x3f, 0x0e, 0x00, 0x00, 0xff}
	gfxMask = [gfxCount]uint8{0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff}
	// attrMask is that of the attribute controller after the palette, which has 6 bits.
	attrMask = [attrCount - attrMode]uint8{0xef, 0xff, 0x3f, 0x0f, 0x0f}
)

// Registers of the Bochs extensions.
const (
	vbeID, vbeX, vbeY, vbeBPP, vbeEnable, vbeBank                = 0, 1, 2, 3, 4, 5
	vbeVirtWidth, vbeVirtHeight, vbeXOffset, vbeYOffset, vbeRegs = 6, 7, 8, 9, 10
	vbeMemory                                                    = 10 // in units of 64 KiB

	vbeFirstID, vbeLastID                          = 0xb0c0, 0xb0c5
	vbeEnabled, vbeCaps, vbe8BitDAC, vbeKeepMemory = 0x01, 0x02, 0x20, 0x80
	vbeMaxX, vbeMaxY, vbeMaxBPP                    = 16000, 12000, 32
)
