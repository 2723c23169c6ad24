package ui

import "encoding/binary"

// Format says how a guest's frame buffer stores pixels: little endian numbers of Bytes bytes with a field for each colour.
type Format struct {
	Bytes   int
	R, G, B Field
}

// Field is the place of a colour in a pixel.
type Field struct{ Shift, Bits uint8 }

// Formats of guests.
var (
	XRGB8888 = Format{4, Field{16, 8}, Field{8, 8}, Field{0, 8}}
	XBGR8888 = Format{4, Field{0, 8}, Field{8, 8}, Field{16, 8}}
	RGBX8888 = Format{4, Field{24, 8}, Field{16, 8}, Field{8, 8}}
	BGRX8888 = Format{4, Field{8, 8}, Field{16, 8}, Field{24, 8}}
	RGB888   = Format{3, Field{16, 8}, Field{8, 8}, Field{0, 8}}
	BGR888   = Format{3, Field{0, 8}, Field{8, 8}, Field{16, 8}}
	RGB565   = Format{2, Field{11, 5}, Field{5, 6}, Field{0, 5}}
)

// get returns a colour with 8 bits; fewer bits are widened by repeating the highest ones.
func (f Field) get(v uint32) uint32 {
	v = v >> f.Shift & (1<<f.Bits - 1)
	if f.Bits == 8 {
		return v
	}
	return v<<(8-f.Bits) | v>>(2*f.Bits-8)
}

// Line converts as many pixels as both slices have.
func (f *Format) Line(dst []uint32, src []byte) {
	n := min(len(dst), len(src)/f.Bytes)
	if *f == XRGB8888 {
		for i := range dst[:n] {
			dst[i] = binary.LittleEndian.Uint32(src[4*i:]) & 0xffffff
		}
		return
	}
	for i := range dst[:n] {
		var v uint32
		for b := f.Bytes - 1; b >= 0; b-- {
			v = v<<8 | uint32(src[f.Bytes*i+b])
		}
		dst[i] = f.R.get(v)<<16 | f.G.get(v)<<8 | f.B.get(v)
	}
}
