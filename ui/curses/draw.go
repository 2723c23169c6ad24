package curses

import (
	"fmt"
	"strings"

	"goemu/ui"
)

// Control sequences (ECMA-48, and xterm's for the other screen).
const (
	seqBegin  = "\x1b[?1049h\x1b[0m\x1b[2J\x1b[?25l"
	seqEnd    = "\x1b[0m\x1b[?25h\x1b[?1049l"
	seqHide   = "\x1b[?25l"
	seqShow   = "\x1b[?25h"
	seqNormal = "\x1b[0m"
	seqErase  = "\x1b[2J"
)

// ansi are the terminal's numbers of the VGA's colours: red and blue change places.
var ansi = [8]byte{0, 4, 2, 6, 1, 5, 3, 7}

// drawer keeps what the terminal shows.
type drawer struct {
	charset       *Charset
	width, height int // of the terminal
	shown         []ui.Cell
	known         []bool
	cursor        [2]int // -1: hidden
	originX       int
	originY       int
	textW, textH  int
}

// resize forgets what is shown, for a terminal of a size.
func (d *drawer) resize(width, height int) {
	d.width, d.height = width, height
	d.shown, d.known = make([]ui.Cell, width*height), make([]bool, width*height)
	d.textW = -1
}

// place decides where the text lies: in the middle, or, if it is larger than the terminal, so that the cursor is seen.
func place(size, text, cursor, old int) int {
	if text <= size {
		return (size - text) / 2
	}
	at := min(0, max(old, size-text))
	if cursor >= 0 {
		at = max(min(at, -cursor+size-1), -cursor)
	}
	return at
}

// draw returns what makes the terminal show t.
func (d *drawer) draw(t *ui.Text) string {
	var b strings.Builder
	x0, y0 := place(d.width, t.Width, t.CursorX, d.originX), place(d.height, t.Height, t.CursorY, d.originY)
	if x0 != d.originX || y0 != d.originY || t.Width != d.textW || t.Height != d.textH {
		d.originX, d.originY, d.textW, d.textH = x0, y0, t.Width, t.Height
		clear(d.known)
		b.WriteString(seqNormal + seqErase + seqHide)
		d.cursor = [2]int{-1, -1}
	}
	attr, atX, atY := -1, -1, -1
	for y := max(0, y0); y < min(d.height, y0+t.Height); y++ {
		for x := max(0, x0); x < min(d.width, x0+t.Width); x++ {
			c, i := t.Cells[(y-y0)*t.Width+x-x0], y*d.width+x
			if d.known[i] && d.shown[i] == c {
				continue
			}
			if gap := x - atX; atY == y && gap > 0 && gap <= shortGap { // shorter than to go there
				for j := i - gap; j < i; j++ {
					d.known[j] = false
				}
				x = atX - 1
				continue
			}
			if atX != x || atY != y {
				fmt.Fprintf(&b, "\x1b[%d;%dH", y+1, x+1)
			}
			if a := int(c >> 8 & 0x7f); a != attr {
				b.WriteString(color(a))
				attr = a
			}
			b.WriteRune(d.charset[c&0xff])
			d.shown[i], d.known[i], atX, atY = c, true, x+1, y
		}
	}
	d.moveCursor(&b, t, atY >= 0)
	return b.String()
}

// moveCursor puts the cursor where it belongs, again if something was drawn.
func (d *drawer) moveCursor(b *strings.Builder, t *ui.Text, drawn bool) {
	c := [2]int{-1, -1}
	if t.CursorX >= 0 {
		if x, y := d.originX+t.CursorX, d.originY+t.CursorY; x >= 0 && x < d.width && y >= 0 && y < d.height {
			c = [2]int{x, y}
		}
	}
	if c == d.cursor && !drawn {
		return
	}
	switch {
	case c[0] >= 0:
		fmt.Fprintf(b, "\x1b[%d;%dH", c[1]+1, c[0]+1)
		if d.cursor[0] < 0 {
			b.WriteString(seqShow)
		}
	case d.cursor[0] >= 0:
		b.WriteString(seqHide)
	}
	d.cursor = c
}

// shortGap is how many characters are written again rather than passed.
const shortGap = 6

// color is the sequence for an attribute; bright colours are bold.
func color(a int) string {
	bold := ""
	if a&8 != 0 {
		bold = "1;"
	}
	return fmt.Sprintf("\x1b[0;%s3%d;4%dm", bold, ansi[a&7], ansi[a>>4&7])
}
