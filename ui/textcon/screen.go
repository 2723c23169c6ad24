package textcon

import (
	"fmt"
	"slices"

	"goemu/ui"
)

// screen is the emulated terminal.
type screen struct {
	width, height  int
	cells          []ui.Cell
	above          [][]ui.Cell // lines that have left the screen, the last one last
	back           int         // how many of them are shown
	x, y           int         // the cursor; x is width behind the last column
	savedX, savedY int
	attr           attributes

	state parse
	args  []int
	open  bool // the last argument has a digit
	mark  byte // '?' or the like before the arguments
}

// attributes are how characters are written.
type attributes struct {
	fg, bg         uint8 // colours as ANSI numbers them
	bold, inverted bool
}

var plain, banner = attributes{fg: 7}, attributes{fg: 7, bg: 4}

// vga are the VGA's numbers of ANSI's colours: red and blue change places.
var vga = [8]ui.Cell{0, 4, 2, 6, 1, 5, 3, 7}

// cell is a character as it is written now.
func (a attributes) cell(c byte) ui.Cell {
	fg, bg := vga[a.fg&7], vga[a.bg&7]
	if a.inverted {
		fg, bg = bg, fg
	}
	if a.bold {
		fg |= 8
	}
	return ui.Cell(c) | fg<<8 | bg<<12
}

// parse is where in a sequence the terminal is.
type parse uint8

const (
	inText parse = iota
	afterEscape
	inSequence // after ESC [
	inSkip     // one more byte belongs to a sequence that means nothing here
)

const (
	tabWidth = 8
	maxLines = 512 // those above included
	maxArgs  = 16
	maxArg   = 9999
)

func newScreen(width, height int) screen {
	s := screen{width: width, height: height, cells: make([]ui.Cell, width*height), attr: plain}
	s.erase(0, len(s.cells))
	return s
}

// resize gives the screen another size; what fits stays.
func (s *screen) resize(width, height int) {
	n := newScreen(width, height)
	for y := range min(height, s.height) {
		copy(n.cells[y*width:(y+1)*width], s.cells[y*s.width:(y+1)*s.width])
	}
	n.x, n.y, n.attr = min(s.x, width), min(s.y, height-1), s.attr
	*s = n
}

// erase blanks cells from one to before another.
func (s *screen) erase(from, to int) {
	blank := plain.cell(' ')
	for i := max(from, 0); i < min(to, len(s.cells)); i++ {
		s.cells[i] = blank
	}
}

// put takes a byte; answer is what the terminal replies.
func (s *screen) put(b byte) (answer string) {
	switch s.state {
	case afterEscape:
		s.state = inText
		switch b {
		case '[':
			s.state, s.args, s.open, s.mark = inSequence, s.args[:0], false, 0
		case '7':
			s.savedX, s.savedY = s.x, s.y
		case '8':
			s.move(s.savedX, s.savedY)
		case '(', ')', '#':
			s.state = inSkip
		case 'c':
			*s = newScreen(s.width, s.height)
		}
	case inSkip:
		s.state = inText
	case inSequence:
		return s.sequence(b)
	default:
		s.text(b)
	}
	return ""
}

// text takes a byte that is in no sequence.
func (s *screen) text(b byte) {
	switch b {
	case '\r':
		s.x = 0
	case '\n', '\v', '\f':
		s.lineFeed()
	case '\b':
		if s.x > 0 {
			s.x--
		}
	case '\t':
		if s.x = (s.x/tabWidth + 1) * tabWidth; s.x > s.width {
			s.x = 0
			s.lineFeed()
		}
	case 0, '\a', 0x0e, 0x0f:
	case 0x1b:
		s.state = afterEscape
	default:
		if s.x >= s.width {
			s.x = 0
			s.lineFeed()
		}
		s.cells[s.y*s.width+s.x] = s.attr.cell(b)
		s.x++
	}
}

// lineFeed goes to the next line; at the end everything moves up.
func (s *screen) lineFeed() {
	if s.y++; s.y < s.height {
		return
	}
	s.y = s.height - 1
	if s.back > 0 { // what is shown stays
		s.back++
	}
	s.above = append(s.above, slices.Clone(s.cells[:s.width]))
	if n := len(s.above) - (maxLines - s.height); n > 0 {
		s.above = slices.Delete(s.above, 0, n)
	}
	s.scroll(0)
	copy(s.cells, s.cells[s.width:])
	s.erase(s.y*s.width, len(s.cells))
}

// scroll shows n lines more of those above, fewer if n is negative.
func (s *screen) scroll(n int) { s.back = max(0, min(s.back+n, len(s.above))) }

// line is a line as it is shown.
func (s *screen) line(y int) []ui.Cell {
	if y < s.back {
		return s.above[len(s.above)-s.back+y]
	}
	y -= s.back
	return s.cells[y*s.width : (y+1)*s.width]
}

func (s *screen) move(x, y int) { s.x, s.y = max(0, min(x, s.width-1)), max(0, min(y, s.height-1)) }

// sequence takes a byte after ESC [.
func (s *screen) sequence(b byte) (answer string) {
	switch {
	case b >= '0' && b <= '9':
		if !s.open {
			s.args, s.open = append(s.args, 0), true
		}
		last := &s.args[len(s.args)-1]
		*last = min(*last*10+int(b-'0'), maxArg)
	case b == ';' || b == ':':
		if !s.open {
			s.args = append(s.args, 0)
		}
		if s.open = false; len(s.args) >= maxArgs {
			s.args = s.args[:maxArgs-1]
		}
	case b >= '<' && b <= '?':
		s.mark = b
	case b >= '@' && b <= '~':
		s.state = inText
		if s.mark == 0 {
			return s.control(b)
		}
	case b == 0x1b:
		s.state = afterEscape
	case b < ' ':
		s.text(b)
	}
	return ""
}

// arg is an argument of the sequence, or what stands for one that is not there or zero.
func (s *screen) arg(i, missing int) int {
	if i < len(s.args) && s.args[i] != 0 {
		return s.args[i]
	}
	return missing
}

// control carries a sequence out.
func (s *screen) control(b byte) (answer string) {
	at := s.y*s.width + min(s.x, s.width-1)
	switch n := s.arg(0, 1); b {
	case 'A':
		s.move(s.x, s.y-n)
	case 'B', 'e':
		s.move(s.x, s.y+n)
	case 'C', 'a':
		s.move(s.x+n, s.y)
	case 'D':
		s.move(min(s.x, s.width-1)-n, s.y)
	case 'E':
		s.move(0, s.y+n)
	case 'F':
		s.move(0, s.y-n)
	case 'G', '`':
		s.move(n-1, s.y)
	case 'd':
		s.move(s.x, n-1)
	case 'H', 'f':
		s.move(s.arg(1, 1)-1, n-1)
	case 'J':
		s.eraseFrom(s.arg(0, 0), at, 0, len(s.cells))
	case 'K':
		s.eraseFrom(s.arg(0, 0), at, s.y*s.width, (s.y+1)*s.width)
	case 'P':
		line := s.cells[at : (s.y+1)*s.width]
		n = min(n, len(line))
		copy(line, line[n:])
		s.erase((s.y+1)*s.width-n, (s.y+1)*s.width)
	case '@':
		line := s.cells[at : (s.y+1)*s.width]
		n = min(n, len(line))
		copy(line[n:], line)
		s.erase(at, at+n)
	case 'X':
		s.erase(at, min(at+n, (s.y+1)*s.width))
	case 'm':
		s.rendition()
	case 's':
		s.savedX, s.savedY = s.x, s.y
	case 'u':
		s.move(s.savedX, s.savedY)
	case 'n':
		switch s.arg(0, 0) {
		case 5:
			return "\x1b[0n"
		case 6:
			return fmt.Sprintf("\x1b[%d;%dR", s.y+1, min(s.x, s.width-1)+1)
		}
	}
	return ""
}

// eraseFrom erases what is behind a place (0), before and at it (1), or all (2) of a range.
func (s *screen) eraseFrom(what, at, begin, end int) {
	switch what {
	case 0:
		s.erase(at, end)
	case 1:
		s.erase(begin, at+1)
	case 2, 3:
		s.erase(begin, end)
	}
}

// rendition changes how characters are written.
func (s *screen) rendition() {
	if len(s.args) == 0 {
		s.attr = plain
	}
	for _, n := range s.args {
		switch {
		case n == 0:
			s.attr = plain
		case n == 1:
			s.attr.bold = true
		case n == 7:
			s.attr.inverted = true
		case n == 22:
			s.attr.bold = false
		case n == 27:
			s.attr.inverted = false
		case n >= 30 && n <= 37:
			s.attr.fg = uint8(n - 30)
		case n == 39:
			s.attr.fg = plain.fg
		case n >= 40 && n <= 47:
			s.attr.bg = uint8(n - 40)
		case n == 49:
			s.attr.bg = plain.bg
		}
	}
}
