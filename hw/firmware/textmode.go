package firmware

import "encoding/binary"

// Ports of a VGA adapter in colour modes, and its memory in text modes and in planar graphics modes.
const (
	vgaAttr, vgaMisc, vgaSeq, vgaDACMask, vgaDACWrite, vgaDACData = 0x3c0, 0x3c2, 0x3c4, 0x3c6, 0x3c8, 0x3c9
	vgaGfx, vgaCRT, vgaStatus                                     = 0x3ce, 0x3d4, 0x3da
	vgaPlanes, vgaText                                            = 0xa0000, 0xb8000

	attrScreenOn = 0x20
	crtVSyncEnd  = 0x11 // its bit 7 protects the first registers of the CRT controller
)

// The screen after the switch to text mode.
const (
	TextMode             = 3
	TextColumns          = 80
	TextLines            = 25
	GlyphLines           = 16
	blankCell            = 0x0720 // a space, light grey on black
	glyphs, glyphsStride = 256, 32
)

// Registers of mode 3 with 9x16 characters (IBM VGA, 720x400), by controller.
var (
	textMisc = uint8(0x67)
	textSeq  = []uint8{3, 0, 3, 0, 2}
	textCRT  = []uint8{0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0, 0x4f, 0x0d, 0x0e, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff}
	textGfx  = []uint8{0, 0, 0, 0, 0, 0x10, 0x0e, 0x0f, 0xff}
	textAttr = []uint8{0, 1, 2, 3, 4, 5, 0x14, 7, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x0c, 0, 0x0f, 8, 0}
	// fontSeq and fontGfx make plane 2 writable at vgaPlanes.
	fontSeq = []uint8{3, 0, 4, 0, 6}
	fontGfx = []uint8{0, 0, 0, 0, 0, 0, 4, 0x0f, 0xff}
)

// Bus is how firmware reaches the adapter.
type Bus interface {
	In(port uint16) uint8
	Out(port uint16, v uint8)
	Write(addr uint64, p []byte)
}

// StartTextMode programs a VGA adapter as its BIOS leaves it: text of 80x25 characters on a blank screen. font is 256 glyphs of 16
// lines; without one the characters stay as they are in video memory.
func StartTextMode(b Bus, font []byte) {
	list := func(port uint16, regs []uint8) {
		for i, v := range regs {
			b.Out(port, uint8(i))
			b.Out(port+1, v)
		}
	}
	b.Out(vgaMisc, textMisc)
	if len(font) >= glyphs*GlyphLines {
		list(vgaSeq, fontSeq)
		list(vgaGfx, fontGfx)
		plane := make([]byte, glyphs*glyphsStride)
		for i := range glyphs {
			copy(plane[i*glyphsStride:], font[i*GlyphLines:(i+1)*GlyphLines])
		}
		b.Write(vgaPlanes, plane)
	}
	list(vgaSeq, textSeq)
	b.Out(vgaCRT, crtVSyncEnd)
	b.Out(vgaCRT+1, 0)
	list(vgaCRT, textCRT)
	list(vgaGfx, textGfx)
	b.In(vgaStatus) // the next write to the attribute controller is an index
	for i, v := range textAttr {
		b.Out(vgaAttr, uint8(i))
		b.Out(vgaAttr, v)
	}
	b.Out(vgaAttr, attrScreenOn)
	b.Out(vgaDACMask, 0xff)
	b.Out(vgaDACWrite, 0)
	for i := range uint8(64) {
		for _, bit := range []uint8{2, 1, 0} { // red, green, blue: two thirds from the primary bit, one from the secondary one
			b.Out(vgaDACData, i>>bit&1*0x2a+i>>(bit+3)&1*0x15)
		}
	}
	b.Write(vgaText, blankScreen())
}

func blankScreen() (p []byte) {
	for range TextColumns * TextLines {
		p = binary.LittleEndian.AppendUint16(p, blankCell)
	}
	return p
}
