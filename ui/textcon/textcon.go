// Package textcon is text consoles: screens of characters on which a character device of the machine (a serial port, the monitor) writes as
// on a terminal, and at which one types to it. They know ECMA-48's sequences for the cursor, erasing and colours.
package textcon

import (
	"io"
	"sync"
	"time"

	"goemu/ui"
)

// Bounds of a console's size, and of the input that waits.
const (
	maxColumns, maxRows = 160, 100
	inputLimit          = 4 << 10
)

// Console is a text console. The character device reads what was typed and writes what is to be seen.
type Console struct {
	// ID is the character device's.
	ID string

	mu     sync.Mutex
	typed  sync.Cond
	input  []byte // guarded by mu, as all that follows
	closed bool
	screen

	sized bool        // was given a size
	con   *ui.Console // guarded by the machine lock, as what is drawn on it
	text  ui.Text
	drawn []ui.Cell // with the cursor
}

// New returns a console of columns and rows. With a 0 it has the usual size, that of the machine's screen if it has one.
func New(id string, columns, rows int) *Console {
	sized := columns > 0 && rows > 0
	if !sized {
		columns, rows = 80, 24
	}
	c := &Console{ID: id, sized: sized, screen: newScreen(min(columns, maxColumns), min(rows, maxRows))}
	c.typed.L = &c.mu
	c.attr = banner
	for _, b := range []byte(id + " console\r\n") {
		c.put(b)
	}
	c.attr = plain
	return c
}

// Show adds the console to a machine's. Preconditions: the machine lock is held.
func (c *Console) Show(set *ui.Set) {
	if a := set.Active(); !c.sized && a != nil {
		c.mu.Lock()
		c.resize(min(a.Surface().Width/ui.FontWidth, maxColumns), min(a.Surface().Height/ui.FontHeight, maxRows))
		c.mu.Unlock()
	}
	c.con = set.Add(nil, 0, c)
}

// Invalidate implements ui.Hardware.
func (c *Console) Invalidate() { c.drawn = nil }

// blink is how long the cursor is seen, and not seen.
const blink = 500 * time.Millisecond

// cursorMark is in a cell with the cursor on it; characters that are written have no such attribute.
const cursorMark ui.Cell = 0x8000

// Update implements ui.Hardware: it draws what has changed, the character under the cursor in the usual colours, exchanged.
func (c *Console) Update() { c.draw(time.Now().UnixNano()/int64(blink)%2 == 0) }

func (c *Console) draw(cursor bool) {
	t := &c.text
	c.Text(t)
	s := c.con.Resize(t.Width*ui.FontWidth, t.Height*ui.FontHeight)
	if at := t.CursorY*t.Width + t.CursorX; cursor && t.CursorY >= 0 {
		under := plain
		under.inverted = true
		t.Cells[at] = under.cell(byte(t.Cells[at])) | cursorMark
	}
	if len(c.drawn) != len(t.Cells) {
		c.drawn = make([]ui.Cell, len(t.Cells)) // no cell that is written is 0
	}
	for i, cell := range t.Cells {
		if c.drawn[i] == cell {
			continue
		}
		x, y := i%t.Width*ui.FontWidth, i/t.Width*ui.FontHeight
		colors := &palette[cell>>11&1]
		s.Char(x, y, byte(cell), colors[cell>>8&7], colors[cell>>12&7])
		c.con.Changed(x, y, ui.FontWidth, ui.FontHeight)
		c.drawn[i] = cell
	}
}

// palette are the colours by their numbers in a VGA, usual ones and bright ones.
var palette = [2][8]uint32{
	{0x000000, 0x0000aa, 0x00aa00, 0x00aaaa, 0xaa0000, 0xaa00aa, 0xaaaa00, 0xaaaaaa},
	{0x000000, 0x0000ff, 0x00ff00, 0x00ffff, 0xff0000, 0xff00ff, 0xffff00, 0xffffff},
}

// Text implements ui.TextHardware.
func (c *Console) Text(t *ui.Text) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t.Resize(c.width, c.height)
	for y := range c.height {
		copy(t.Cells[y*c.width:], c.line(y))
	}
	if y := c.y + c.back; y < c.height {
		t.CursorX, t.CursorY = min(c.x, c.width-1), y
	}
}

// Scroll implements ui.Typist.
func (c *Console) Scroll(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.scroll(n)
}

// Type implements ui.Typist.
func (c *Console) Type(keys []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := min(len(keys), inputLimit-len(c.input)); n > 0 {
		c.input = append(c.input, keys[:n]...)
		c.typed.Signal()
	}
}

// Read implements io.Reader: it waits for something to be typed.
func (c *Console) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.input) == 0 && !c.closed {
		c.typed.Wait()
	}
	if c.closed {
		return 0, io.EOF
	}
	n := copy(p, c.input)
	c.input = c.input[n:]
	return n, nil
}

// Write implements io.Writer.
func (c *Console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range p {
		if answer := c.put(b); answer != "" && len(c.input)+len(answer) <= inputLimit {
			c.input = append(c.input, answer...)
			c.typed.Signal()
		}
	}
	return len(p), nil
}

// Close implements io.Closer: the character device has gone.
func (c *Console) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.typed.Broadcast()
	return nil
}
