package ui

import "fmt"

// Cell is a character on a screen of characters: its code in the low byte, the attribute of a VGA in the high one (bits 0 to 3 are the
// colour, 4 to 6 that behind it).
type Cell uint16

// Text is a screen as characters.
type Text struct {
	Width, Height    int
	Cells            []Cell // line by line
	CursorX, CursorY int    // -1 without a cursor
}

// Resize gives the screen a size and no cursor; the characters are to be written.
func (t *Text) Resize(width, height int) {
	t.Width, t.Height, t.CursorX, t.CursorY = width, height, -1, -1
	if n := width * height; cap(t.Cells) < n {
		t.Cells = make([]Cell, n)
	} else {
		t.Cells = t.Cells[:n]
	}
}

// Size and colour of a screen that only says something.
const (
	messageWidth, messageHeight = 60, 3
	blank                       = Cell(0x0720)
	messageColor                = 0x1800 // as QEMU's
)

// Say makes the screen say something, for one that has no characters.
func (t *Text) Say(message string) {
	t.Resize(messageWidth, messageHeight)
	for i := range t.Cells {
		t.Cells[i] = blank
	}
	at := messageWidth + (messageWidth-len(message))/2
	for i := range len(message) {
		t.Cells[at+i] = messageColor | Cell(message[i])
	}
}

// GraphicMode makes the screen say that it is a picture of some size.
func (t *Text) GraphicMode(width, height int) {
	t.Say(fmt.Sprintf("%d x %d Graphic mode", width, height))
}

// TextHardware is an adapter whose screen may consist of characters.
type TextHardware interface {
	// Text writes the characters that are seen to t. It is called under the machine lock.
	Text(t *Text)
}

// Typist is a console's other side that takes what a terminal sends, not keys.
type Typist interface {
	Type(keys []byte)
	// Scroll shows n lines more of those that have left the screen at its top, fewer if n is negative.
	Scroll(n int)
}

// Typist is who takes what is typed at the console, nil for a console of a screen with a keyboard. Preconditions: the machine lock is held.
func (c *Console) Typist() Typist {
	t, _ := c.hw.(Typist)
	return t
}

// Text writes the console's characters to t. Preconditions: the machine lock is held.
func (c *Console) Text(t *Text) {
	if h, ok := c.hw.(TextHardware); ok {
		h.Text(t)
		return
	}
	t.GraphicMode(c.surface.Width, c.surface.Height)
}
