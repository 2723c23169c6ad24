package vnc

import (
	"encoding/binary"
	"math/bits"
)

// channel is a colour in a client's pixels.
type channel struct {
	max  uint16
	pos  uint8
	bits uint8
}

// pixelFormat is how a client wants pixels.
type pixelFormat struct {
	bytes     int
	bigEndian bool
	r, g, b   channel
}

var nativeFormat = pixelFormat{4, false, channel{0xff, 16, 8}, channel{0xff, 8, 8}, channel{0xff, 0, 8}}

// readFormat reads a pixel format of 16 bytes; mapped says that the client wants a table of colours instead.
func readFormat(p []byte) (f pixelFormat, mapped, ok bool) {
	f = pixelFormat{bytes: int(p[0]) / 8, bigEndian: p[2] != 0}
	if p[3] == 0 { // no true colour: 256 colours
		f = pixelFormat{bytes: 1, r: channel{7, 0, 3}, g: channel{7, 3, 3}, b: channel{3, 6, 2}}
		return f, true, true
	}
	for i, c := range []*channel{&f.r, &f.g, &f.b} {
		c.max, c.pos = binary.BigEndian.Uint16(p[4+2*i:]), p[10+i]&31
		c.bits = uint8(bits.OnesCount16(c.max))
	}
	return f, false, p[0] == 8 || p[0] == 16 || p[0] == 32
}

func (f *pixelFormat) append16(b []byte) []byte {
	depth, big := byte(24), byte(0)
	if f.bytes < 4 {
		depth = byte(8 * f.bytes)
	}
	if f.bigEndian {
		big = 1
	}
	b = append(b, byte(8*f.bytes), depth, big, 1)
	for _, c := range []channel{f.r, f.g, f.b} {
		b = binary.BigEndian.AppendUint16(b, c.max)
	}
	return append(b, f.r.pos, f.g.pos, f.b.pos, 0, 0, 0)
}

func (c channel) put(v uint32) uint32 { return v & 0xff << c.bits >> 8 << c.pos }

// append adds a pixel.
func (f *pixelFormat) append(b []byte, v uint32) []byte {
	p := f.r.put(v>>16) | f.g.put(v>>8) | f.b.put(v)
	switch {
	case f.bytes == 1:
		return append(b, byte(p))
	case f.bytes == 2 && f.bigEndian:
		return binary.BigEndian.AppendUint16(b, uint16(p))
	case f.bytes == 2:
		return binary.LittleEndian.AppendUint16(b, uint16(p))
	case f.bigEndian:
		return binary.BigEndian.AppendUint32(b, p)
	}
	return binary.LittleEndian.AppendUint32(b, p)
}

// compact is the place of the three bytes that a compressed pixel of ZRLE has in a pixel of four, -1 if all four are needed.
func (f *pixelFormat) compact() int {
	if f.bytes != 4 || f.r.max != 0xff || f.g.max != 0xff || f.b.max != 0xff {
		return -1
	}
	top := max(f.r.pos, f.g.pos, f.b.pos)
	low := min(f.r.pos, f.g.pos, f.b.pos)
	switch {
	case top <= 16 && !f.bigEndian, low >= 8 && f.bigEndian:
		return 0
	case low >= 8, top <= 16:
		return 1
	}
	return -1
}

// triple tells whether the encoding tight sends pixels as red, green and blue bytes.
func (f *pixelFormat) triple() bool {
	return f.bytes == 4 && f.r.max == 0xff && f.g.max == 0xff && f.b.max == 0xff
}
