// Package edid makes the description that a monitor gives of itself (VESA E-EDID 1.4, with a CTA-861 block and a DisplayID block for
// large screens).
package edid

import "encoding/binary"

// Info is what the description says. Zero values stand for QEMU's defaults.
type Info struct {
	XRes        uint32 `prop:"xres,default=0"`
	YRes        uint32 `prop:"yres,default=0"`
	XMax        uint32 `prop:"xmax,default=0"`
	YMax        uint32 `prop:"ymax,default=0"`
	RefreshRate uint32 `prop:"refresh_rate,default=0"` // in mHz

	WidthMM, HeightMM uint32
}

// Sizes and places of the blocks.
const (
	blockSize    = 128
	checksumAt   = blockSize - 1
	extensionsAt = 126
	descriptorAt = 54
	descriptor   = 18
	stdAt        = 38
	stdEnd       = 54
)

// Defaults.
const (
	defaultX, defaultY = 1280, 800
	defaultRate        = 75000
	defaultDPI         = 100
	largeSide          = 4096
	largeClock         = 65536
)

// mode is a resolution and where it is announced: a number in the CTA block, a bit among the established timings or one among the
// additional standard timings. Those with neither place become standard timings while there is room.
type mode struct{ x, y, byte, xtra, bit, cta uint32 }

var modes = []mode{
	{x: 5120, y: 2160, cta: 125}, {x: 4096, y: 2160, cta: 101}, {x: 3840, y: 2160, cta: 96}, {x: 2560, y: 1080, cta: 89},
	{x: 2048, y: 1152}, {x: 1920, y: 1080, cta: 31}, {x: 3840, y: 2160, cta: 97},
	{x: 1920, y: 1200, xtra: 10, bit: 0}, {x: 1600, y: 1200, xtra: 9, bit: 2}, {x: 1680, y: 1050, xtra: 9, bit: 5},
	{x: 1440, y: 900, xtra: 8, bit: 5}, {x: 1280, y: 1024, xtra: 7, bit: 1}, {x: 1280, y: 960, xtra: 7, bit: 3}, {x: 1280, y: 768, xtra: 7, bit: 6},
	{x: 1920, y: 1440, xtra: 11, bit: 5}, {x: 1856, y: 1392, xtra: 10, bit: 3}, {x: 1792, y: 1344, xtra: 10, bit: 5},
	{x: 1440, y: 1050, xtra: 8, bit: 1}, {x: 1360, y: 768, xtra: 8, bit: 7},
	{x: 1024, y: 768, byte: 36, bit: 3}, {x: 800, y: 600, byte: 35, bit: 0}, {x: 640, y: 480, byte: 35, bit: 5},
}

// timing is a video timing; the porches are shares of the resolution.
type timing struct {
	x, xFront, xSync, xBlank uint32
	y, yFront, ySync, yBlank uint32
	clock                    uint64 // in units of 10 kHz
}

func timingOf(rate, x, y uint32) timing {
	t := timing{x: x, xFront: x * 25 / 100, xSync: x * 3 / 100, xBlank: x * 35 / 100,
		y: y, yFront: y * 5 / 1000, ySync: y * 5 / 1000, yBlank: y * 35 / 1000}
	t.clock = uint64(rate) * uint64(x+t.xBlank) * uint64(y+t.yBlank) / 10000000
	return t
}

// MM returns the length of res pixels at dpi dots per inch.
func MM(dpi, res uint32) uint32 { return res * 254 / 10 / dpi }

// Generate returns a description of size bytes (128, 256 or 384).
func Generate(info Info, size int) []byte {
	e := make([]byte, size)
	x, y, rate := or(info.XRes, defaultX), or(info.YRes, defaultY), or(info.RefreshRate, defaultRate)
	width, height := MM(defaultDPI, x), MM(defaultDPI, y)
	if info.WidthMM != 0 && info.HeightMM != 0 {
		width, height = info.WidthMM, info.HeightMM
	}
	t := timingOf(rate, x, y)
	large := x >= largeSide || y >= largeSide || t.clock >= largeClock
	var cta, id []byte
	if size >= 2*blockSize {
		cta = e[blockSize : 2*blockSize]
		e[extensionsAt]++
		copy(cta, []byte{0x02, 0x03, 0x05, 0x00, 0x40}) // CTA-861, revision 3; descriptors follow a video data block
	}
	if size >= 3*blockSize && large {
		id = e[2*blockSize : 3*blockSize]
		e[extensionsAt]++
	}
	header(e, width, height)
	d := &descriptors{base: e, cta: cta, at: e[descriptorAt:]}
	if !large {
		detailed(d.at, t, width, height)
		d.next()
	}
	xtra := d.at
	kind(xtra, 0xf7)
	xtra[5] = 10
	d.next()
	fillModes(e, xtra, cta, info.XMax, info.YMax)
	ranges(d.at)
	d.next()
	if d.at != nil {
		kind(d.at, 0xfc)
		copy(d.at[5:descriptor], "QEMU Monitor\n")
		d.next()
	}
	for d.at != nil {
		kind(d.at, 0x10)
		d.next()
	}
	if id != nil {
		displayID(id, t)
	}
	checksum(e[:blockSize])
	if cta != nil {
		checksum(cta)
	}
	if id != nil {
		checksum(id)
	}
	return e
}

func or(v, def uint32) uint32 {
	if v == 0 {
		return def
	}
	return v
}

// header fills the fixed part of the first block.
func header(e []byte, width, height uint32) {
	copy(e, []byte{0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0})
	binary.BigEndian.PutUint16(e[8:], ('R'-'@')<<10|('H'-'@')<<5|('T'-'@'))
	binary.LittleEndian.PutUint16(e[10:], 0x1234)
	e[16], e[17] = 42, 2014-1990 // week and year of manufacture
	e[18], e[19] = 1, 4
	e[20] = 0xa5 // digital, 8 bits per colour, DisplayPort
	e[21], e[22] = uint8(width/10), uint8(height/10)
	e[23] = 220 - 100 // gamma
	e[24] = 0x06      // sRGB, preferred timing
	// Chromaticity of sRGB: red, green, blue, white, each x and y, as fractions of 1024.
	c := [8]uint32{655, 338, 307, 614, 154, 61, 320, 337}
	for i := range 2 {
		v := c[4*i:]
		e[25+i] = uint8(v[0]&3<<6 | v[1]&3<<4 | v[2]&3<<2 | v[3]&3)
	}
	for i, v := range c {
		e[27+i] = uint8(v >> 2)
	}
}

// descriptors are the places for descriptors, in the first block and then behind the video data block of the CTA block.
type descriptors struct {
	base, cta, at []byte
	in            bool // at lies in cta
	off           int
}

func (d *descriptors) next() {
	if d.at == nil {
		return
	}
	if !d.in && d.off == 0 {
		d.off = descriptorAt
	}
	switch {
	case d.off+2*descriptor < checksumAt:
		d.off += descriptor
	case !d.in && d.cta != nil:
		d.in, d.off = true, int(d.cta[2])
	default:
		d.at = nil
		return
	}
	if d.in {
		d.at = d.cta[d.off:]
	} else {
		d.at = d.base[d.off:]
	}
}

// kind begins a descriptor that is no timing.
func kind(d []byte, k uint8) { copy(d, []byte{0, 0, 0, k, 0}) }

// ranges gives the limits: 50 to 125 Hz, 30 to 160 kHz, 2550 MHz.
func ranges(d []byte) {
	kind(d, 0xfd)
	copy(d[5:], []byte{50, 125, 30, 160, 255, 1, '\n', ' ', ' ', ' ', ' ', ' ', ' '})
}

// detailed writes a timing.
func detailed(d []byte, t timing, width, height uint32) {
	binary.LittleEndian.PutUint16(d, uint16(t.clock))
	d[2], d[3], d[4] = uint8(t.x), uint8(t.xBlank), uint8(t.x>>8&15<<4|t.xBlank>>8&15)
	d[5], d[6], d[7] = uint8(t.y), uint8(t.yBlank), uint8(t.y>>8&15<<4|t.yBlank>>8&15)
	d[8], d[9] = uint8(t.xFront), uint8(t.xSync)
	d[10] = uint8(t.yFront&15<<4 | t.ySync&15)
	d[11] = uint8(t.xFront&0x300>>2 | t.xSync&0x300>>4 | t.yFront&0x30>>2 | t.ySync&0x30>>4)
	d[12], d[13], d[14] = uint8(width), uint8(height), uint8(width>>8&15<<4|height>>8&15)
	d[17] = 0x18
}

// fillModes announces the modes up to a size.
func fillModes(e, xtra, cta []byte, maxX, maxY uint32) {
	std := stdAt
	for _, m := range modes {
		if maxX != 0 && m.x > maxX || maxY != 0 && m.y > maxY {
			continue
		}
		switch {
		case m.byte != 0:
			e[m.byte] |= 1 << m.bit
		case std < stdEnd:
			if standard(e[std:], m.x, m.y) {
				std += 2
			}
		case m.xtra != 0:
			xtra[m.xtra] |= 1 << m.bit
		}
		if cta != nil && m.cta != 0 {
			cta[cta[2]] = uint8(m.cta)
			cta[2]++
			cta[4]++
		}
	}
	for ; std < stdEnd; std += 2 {
		e[std], e[std+1] = 1, 1
	}
}

// standard writes a standard timing of 60 Hz; those of other shapes, or too wide ones, cannot be written.
func standard(d []byte, x, y uint32) bool {
	var aspect uint8
	switch {
	case x*10 == y*16:
		aspect = 0
	case x*3 == y*4:
		aspect = 1
	case x*4 == y*5:
		aspect = 2
	case x*9 == y*16:
		aspect = 3
	default:
		return false
	}
	if x/8-31 > 255 {
		return false
	}
	d[0], d[1] = uint8(x/8-31), aspect<<6
	return true
}

// displayID writes the block in which a large resolution has room.
func displayID(d []byte, t timing) {
	copy(d, []byte{0x70, 0x13, 23, 0x03, 0, 0x03, 0, 0x14, uint8(t.clock), uint8(t.clock >> 8), uint8(t.clock >> 16), 0x88})
	for i, v := range []uint32{t.x, t.xBlank, t.xFront, t.xSync, t.y, t.yBlank, t.yFront, t.ySync} {
		binary.LittleEndian.PutUint16(d[12+2*i:], uint16(v-1))
	}
	sum(d[1:], 23+4)
}

// sum makes the bytes up to and including p[n] add up to a multiple of 256.
func sum(p []byte, n int) {
	var s uint8
	for _, b := range p[:n] {
		s += b
	}
	p[n] = -s
}

func checksum(block []byte) { sum(block, checksumAt) }
