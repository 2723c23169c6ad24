package curses

import (
	"fmt"
	"strings"
)

// Charset is what the codes of a guest's characters stand for.
type Charset [256]rune

// cp437High are the characters of code page 437 from 0x80 on.
const cp437High = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00a0"

// glyphs are what a VGA shows for control characters.
const glyphs = " ☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼"

const delGlyph = '⌂'

// charsets are the names, in capital letters, of character sets with their upper halves.
var charsets = map[string]string{
	"CP437": cp437High, "IBM437": cp437High, "437": cp437High,
	"ISO-8859-1": latin1High(), "ISO8859-1": latin1High(), "LATIN1": latin1High(),
	"ASCII": "", "US-ASCII": "",
}

// latin1High are the characters of ISO 8859-1 from 0x80 on, without the control characters.
func latin1High() string {
	var b strings.Builder
	for c := rune(0x80); c <= 0xff; c++ {
		if c < 0xa0 {
			b.WriteByte('?')
		} else {
			b.WriteRune(c)
		}
	}
	return b.String()
}

// ParseCharset finds a character set, code page 437 for the empty name.
func ParseCharset(name string) (*Charset, error) {
	if name == "" {
		name = "CP437"
	}
	high, ok := charsets[strings.ToUpper(name)]
	if !ok {
		return nil, fmt.Errorf("Could not convert font glyphs from %s: 'Invalid argument'", name)
	}
	var c Charset
	for i := range c {
		c[i] = '?'
		if i >= ' ' && i < 0x7f {
			c[i] = rune(i)
		}
	}
	copy(c[:], []rune(glyphs))
	c[0x7f] = delGlyph
	copy(c[0x80:], []rune(high))
	return &c, nil
}
