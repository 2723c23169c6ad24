package vnc

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/jpeg"

	"github.com/klauspost/compress/zlib"
)

// Encodings of rectangles, and what clients tell with numbers in their place.
const (
	encRaw, encHextile, encZlib, encTight, encZRLE = 0, 5, 6, 7, 16

	encDesktopSize, encRichCursor, encPointerType = -223, -239, -257
	encExtKey, encLEDs, encExtDesktopSize         = -258, -261, -308
	encXVP, encAlphaCursor                        = -309, -314
	encCompress0, encQuality0                     = -256, -32
)

// patch is a part of the picture that is sent.
type patch struct {
	x, y, w, h int
	pix        []uint32 // w pixels per line
}

// part returns a part of the patch; its coordinates are relative to the patch.
func (p *patch) part(x, y, w, h int) patch {
	out := patch{p.x + x, p.y + y, w, h, make([]uint32, 0, w*h)}
	for i := range h {
		at := (y+i)*p.w + x
		out.pix = append(out.pix, p.pix[at:at+w]...)
	}
	return out
}

// stream is a compressed stream that goes on over all rectangles.
type stream struct {
	buf bytes.Buffer
	w   *zlib.Writer
}

// compress adds data to the stream and returns what there is of it until there.
func (s *stream) compress(data []byte, level int) []byte {
	if s.w == nil {
		s.w, _ = zlib.NewWriterLevel(&s.buf, level) // levels are checked
	}
	s.buf.Reset()
	_, _ = s.w.Write(data) // to memory
	_ = s.w.Flush()
	return s.buf.Bytes()
}

// encoder writes rectangles for one client.
type encoder struct {
	format     pixelFormat
	encoding   int32
	level      int // of compression
	quality    int // of JPEG, -1 for none
	zlib, zrle stream
	tight      [3]stream // colours, two colours, palettes
	palette    palette
	out        []byte
	scratch    []byte
}

func (e *encoder) header(x, y, w, h int, encoding int32) {
	for _, v := range []int{x, y, w, h} {
		e.out = binary.BigEndian.AppendUint16(e.out, uint16(v))
	}
	e.out = binary.BigEndian.AppendUint32(e.out, uint32(encoding))
}

// patch writes a patch and returns how many rectangles it has become.
func (e *encoder) patch(p *patch) int {
	switch e.encoding {
	case encTight:
		return e.tightPatch(p)
	case encHextile:
		e.header(p.x, p.y, p.w, p.h, encHextile)
		e.hextile(p)
	case encZlib:
		e.header(p.x, p.y, p.w, p.h, encZlib)
		e.sized(e.zlib.compress(e.pixels(p.pix), e.level))
	case encZRLE:
		e.header(p.x, p.y, p.w, p.h, encZRLE)
		e.sized(e.zrle.compress(e.zrleTiles(p), e.level))
	default:
		e.header(p.x, p.y, p.w, p.h, encRaw)
		for _, v := range p.pix {
			e.out = e.format.append(e.out, v)
		}
	}
	return 1
}

func (e *encoder) sized(data []byte) {
	e.out = binary.BigEndian.AppendUint32(e.out, uint32(len(data)))
	e.out = append(e.out, data...)
}

// pixels returns pixels in the client's format; the slice is good until the next call.
func (e *encoder) pixels(pix []uint32) []byte {
	e.scratch = e.scratch[:0]
	for _, v := range pix {
		e.scratch = e.format.append(e.scratch, v)
	}
	return e.scratch
}

// Bits of a hextile's first byte.
const (
	hexRaw, hexBackground, hexForeground, hexSubrects, hexColoured = 1, 2, 4, 8, 16
	hexSide                                                        = 16
)

func (e *encoder) hextile(p *patch) {
	for y := 0; y < p.h; y += hexSide {
		for x := 0; x < p.w; x += hexSide {
			t := p.part(x, y, min(hexSide, p.w-x), min(hexSide, p.h-y))
			e.hextileTile(&t)
		}
	}
}

// hextileTile writes a tile: its most frequent colour and the runs of others, or all of its pixels if that is shorter.
func (e *encoder) hextileTile(t *patch) {
	p := &e.palette
	p.index(t.pix, paletteColors) // a tile has no more pixels than that
	most := p.mostFrequent()
	bg := p.colors[most]
	if len(p.colors) == 1 {
		e.out = e.format.append(append(e.out, hexBackground), bg)
		return
	}
	mark := len(e.out)
	flags := byte(hexBackground | hexSubrects | hexColoured)
	if len(p.colors) == 2 {
		flags = hexBackground | hexForeground | hexSubrects
	}
	e.out = e.format.append(append(e.out, flags), bg)
	if len(p.colors) == 2 {
		e.out = e.format.append(e.out, p.colors[1-most])
	}
	count := len(e.out)
	e.out = append(e.out, 0)
	n := 0
	for y := range t.h {
		for x := 0; x < t.w; {
			c, from := t.pix[y*t.w+x], x
			for x++; x < t.w && t.pix[y*t.w+x] == c; x++ {
			}
			if c == bg {
				continue
			}
			if flags&hexColoured != 0 {
				e.out = e.format.append(e.out, c)
			}
			e.out = append(e.out, byte(from<<4|y), byte(x-from-1)<<4)
			n++
		}
	}
	if n > 255 || len(e.out)-mark > 1+len(t.pix)*e.format.bytes {
		e.out = append(e.out[:mark], hexRaw)
		for _, v := range t.pix {
			e.out = e.format.append(e.out, v)
		}
		return
	}
	e.out[count] = byte(n)
}

// Tiles of ZRLE.
const (
	zrleSide, zrlePlainRLE, zrlePalette = 64, 128, 16
)

// cpixel adds a pixel with the bytes that count.
func (e *encoder) cpixel(b []byte, v uint32) []byte {
	at := e.format.compact()
	n := len(b)
	b = e.format.append(b, v)
	if at < 0 {
		return b
	}
	copy(b[n:], b[n+at:n+at+3])
	return b[:n+3]
}

func (e *encoder) zrleTiles(p *patch) []byte {
	b := e.scratch[:0]
	for y := 0; y < p.h; y += zrleSide {
		for x := 0; x < p.w; x += zrleSide {
			t := p.part(x, y, min(zrleSide, p.w-x), min(zrleSide, p.h-y))
			b = e.zrleTile(b, &t)
		}
	}
	e.scratch = b
	return b
}

func (e *encoder) zrleTile(b []byte, t *patch) []byte {
	if e.palette.index(t.pix, zrlePalette) {
		colors := e.palette.colors
		b = append(b, byte(len(colors)))
		for _, c := range colors {
			b = e.cpixel(b, c)
		}
		if len(colors) == 1 {
			return b
		}
		return appendPacked(b, e.palette.numbers, t.w, len(colors))
	}
	runs := 1
	for i := 1; i < len(t.pix); i++ {
		if t.pix[i] != t.pix[i-1] {
			runs++
		}
	}
	if runs*2 < len(t.pix) {
		b = append(b, zrlePlainRLE)
		for i := 0; i < len(t.pix); {
			from := i
			for i++; i < len(t.pix) && t.pix[i] == t.pix[from]; i++ {
			}
			b = e.cpixel(b, t.pix[from])
			n := i - from - 1
			for ; n >= 255; n -= 255 {
				b = append(b, 255)
			}
			b = append(b, byte(n))
		}
		return b
	}
	b = append(b, 0)
	for _, v := range t.pix {
		b = e.cpixel(b, v)
	}
	return b
}

// appendPacked adds numbers of colours with as many bits as they need; lines, of w pixels, begin with whole bytes.
func appendPacked(b, numbers []byte, w, colors int) []byte {
	width := 4
	if colors <= 2 {
		width = 1
	} else if colors <= 4 {
		width = 2
	}
	for ; len(numbers) > 0; numbers = numbers[w:] {
		acc, n := byte(0), 0
		for _, v := range numbers[:w] {
			acc = acc<<width | v
			if n += width; n == 8 {
				b = append(b, acc)
				acc, n = 0, 0
			}
		}
		if n > 0 {
			b = append(b, acc<<(8-n))
		}
	}
	return b
}

// Limits and bytes of the encoding tight.
const (
	tightWidth, tightArea             = 2048, 65536
	tightFill, tightJPEG, tightFilter = 0x80, 0x90, 0x40
	tightPaletteFilter                = 1
	tightMin                          = 12   // shorter data is not compressed
	tightJPEGMin                      = 4096 // pixels from which on JPEG is worth it
	tightFull, tightMono, tightColors = 0, 1, 2
)

// jpegQuality is what the ten levels of clients mean.
var jpegQuality = [10]int{15, 29, 41, 42, 62, 77, 79, 86, 92, 100}

func (e *encoder) tightPatch(p *patch) (n int) {
	width := min(p.w, tightWidth)
	height := max(1, tightArea/width)
	for y := 0; y < p.h; y += height {
		for x := 0; x < p.w; x += width {
			t := p.part(x, y, min(width, p.w-x), min(height, p.h-y))
			e.tightRect(&t)
			n++
		}
	}
	return n
}

// tpixel adds a pixel as tight has it.
func (e *encoder) tpixel(b []byte, v uint32) []byte {
	if e.format.triple() {
		return append(b, byte(v>>16), byte(v>>8), byte(v))
	}
	return e.format.append(b, v)
}

func (e *encoder) tightRect(t *patch) {
	e.header(t.x, t.y, t.w, t.h, encTight)
	few := e.palette.index(t.pix, paletteColors)
	colors, numbers := e.palette.colors, e.palette.numbers
	switch {
	case few && len(colors) == 1:
		e.out = e.tpixel(append(e.out, tightFill), colors[0])
	case few && len(colors) == 2:
		e.tightPalette(tightMono, colors)
		e.scratch = appendPacked(e.scratch[:0], numbers, t.w, 2)
		e.tightData(tightMono, e.scratch)
	case few && len(colors)*2 < len(t.pix):
		e.tightPalette(tightColors, colors)
		e.tightData(tightColors, numbers)
	case e.quality >= 0 && len(t.pix) >= tightJPEGMin && e.format.bytes > 1:
		e.tightPicture(t)
	default:
		b := e.scratch[:0]
		for _, v := range t.pix {
			b = e.tpixel(b, v)
		}
		e.scratch = b
		e.out = append(e.out, tightFull<<4)
		e.tightData(tightFull, b)
	}
}

func (e *encoder) tightPalette(s int, list []uint32) {
	e.out = append(e.out, byte(s<<4|tightFilter), tightPaletteFilter, byte(len(list)-1))
	for _, c := range list {
		e.out = e.tpixel(e.out, c)
	}
}

// tightData adds data, compressed if it is long enough.
func (e *encoder) tightData(s int, data []byte) {
	if len(data) < tightMin {
		e.out = append(e.out, data...)
		return
	}
	e.tightSized(e.tight[s].compress(data, e.level))
}

// tightSized adds data after its length in groups of 7 bits.
func (e *encoder) tightSized(data []byte) {
	n := len(data)
	switch {
	case n < 1<<7:
		e.out = append(e.out, byte(n))
	case n < 1<<14:
		e.out = append(e.out, byte(n)|0x80, byte(n>>7))
	default:
		e.out = append(e.out, byte(n)|0x80, byte(n>>7)|0x80, byte(n>>14))
	}
	e.out = append(e.out, data...)
}

func (e *encoder) tightPicture(t *patch) {
	img := image.NewRGBA(image.Rect(0, 0, t.w, t.h))
	for i, v := range t.pix {
		copy(img.Pix[4*i:], []byte{byte(v >> 16), byte(v >> 8), byte(v), 0xff})
	}
	var b bytes.Buffer
	_ = jpeg.Encode(&b, img, &jpeg.Options{Quality: jpegQuality[e.quality]}) // to memory, and not too large
	e.out = append(e.out, tightJPEG)
	e.tightSized(b.Bytes())
}
