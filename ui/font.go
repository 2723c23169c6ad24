package ui

import "bytes"

// Size of a character in text consoles.
const (
	FontWidth, FontHeight = 8, 16
	fontChars             = 256
)

// FindROM returns the contents of a VGA BIOS, in which the font of text consoles is found; nil if there is none.
var FindROM = func() []byte { return nil }

var font struct {
	glyphs []byte
	sought bool
}

// fontStart is how a font of 16 lines begins: an empty character, then a smiling face.
var fontStart = append(make([]byte, FontHeight+2), 0x7e, 0x81, 0xa5, 0x81, 0x81, 0xbd, 0x99, 0x81, 0x81, 0x7e)

// Font returns 256 characters of FontHeight lines, nil if there is none. Preconditions: the machine lock is held.
func Font() []byte {
	if !font.sought {
		font.sought = true
		rom := FindROM()
		if at := bytes.Index(rom, fontStart); at >= 0 && len(rom)-at >= fontChars*FontHeight {
			font.glyphs = bytes.Clone(rom[at : at+fontChars*FontHeight])
		}
	}
	return font.glyphs
}

// Glyph returns the lines of a character, nil without a font. Preconditions: the machine lock is held.
func Glyph(c byte) []byte {
	f := Font()
	if f == nil {
		return nil
	}
	return f[int(c)*FontHeight : (int(c)+1)*FontHeight]
}

// Char draws a character with its upper left corner at x, y; what lies outside of the surface is left out.
func (s *Surface) Char(x, y int, c byte, fg, bg uint32) {
	s.Fill(x, y, FontWidth, FontHeight, bg)
	for i, bits := range Glyph(c) {
		if y+i < 0 || y+i >= s.Height {
			continue
		}
		row := s.Row(y + i)
		for j := range FontWidth {
			if bits&(0x80>>j) != 0 && x+j >= 0 && x+j < s.Width {
				row[x+j] = fg
			}
		}
	}
}

// Colours of text on placeholders.
const placeholderText = 0xaaaaaa

// Placeholder returns a surface that says why there is nothing to see.
func Placeholder(width, height int, text string) *Surface {
	s := NewSurface(width, height)
	s.Placeholder = true
	x, y := (width/FontWidth-len(text))/2, (height/FontHeight-1)/2
	for i := range len(text) {
		s.Char((x+i)*FontWidth, y*FontHeight, text[i], placeholderText, 0)
	}
	return s
}
