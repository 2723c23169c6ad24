// Package textcon is text consoles: screens of characters on which a character device of the machine (a serial port, the monitor) writes as
// on a terminal, and at which one types to it. They know ECMA-48's sequences for the cursor, erasing and colours.
package textcon

import (
	"io"
	"sync"

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

	con   *ui.Console // guarded by the machine lock, as what is drawn on it
	drawn []ui.Cell
	known bool
}

// New returns a console of columns and rows; 0 is the usual number.
func New(id string, columns, rows int) *Console {
	if columns <= 0 {
		columns = 80
	}
	if rows <= 0 {
		rows = 24
	}
	c := &Console{ID: id, screen: newScreen(min(columns, maxColumns), min(rows, maxRows))}
	c.typed.L = &c.mu
	return c
}

// Show adds the console to a machine's. Preconditions: the machine lock is held.
func (c *Console) Show(set *ui.Set) { c.con = set.Add(nil, 0, c) }

// Invalidate implements ui.Hardware.
func (c *Console) Invalidate() { c.known = false }

// Update implements ui.Hardware: it draws the characters, the one under the cursor inverted.
func (c *Console) Update() {
	var t ui.Text
	c.Text(&t)
	s := c.con.Resize(t.Width*ui.FontWidth, t.Height*ui.FontHeight)
	t.Cells[t.CursorY*t.Width+t.CursorX] ^= 0x7700
	for i, cell := range t.Cells {
		if c.known && i < len(c.drawn) && c.drawn[i] == cell {
			continue
		}
		x, y := i%t.Width*ui.FontWidth, i/t.Width*ui.FontHeight
		s.Char(x, y, byte(cell), palette[cell>>8&0xf], palette[cell>>12&0x7])
		c.con.Changed(x, y, ui.FontWidth, ui.FontHeight)
	}
	c.drawn, c.known = t.Cells, true
}

// palette are the VGA's colours.
var palette = [16]uint32{
	0x000000, 0x0000aa, 0x00aa00, 0x00aaaa, 0xaa0000, 0xaa00aa, 0xaa5500, 0xaaaaaa,
	0x555555, 0x5555ff, 0x55ff55, 0x55ffff, 0xff5555, 0xff55ff, 0xffff55, 0xffffff,
}

// Text implements ui.TextHardware.
func (c *Console) Text(t *ui.Text) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t.Resize(c.width, c.height)
	copy(t.Cells, c.cells)
	t.CursorX, t.CursorY = min(c.x, c.width-1), c.y
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
