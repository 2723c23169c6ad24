package gpu

import (
	"goemu/hw/virtio"
	"goemu/ui"
)

// hand is the pointer of a screen as the driver has described it last.
type hand struct {
	resource   uint32
	hotX, hotY uint32
	x, y       uint32
}

// handleCursor serves the cursor queue.
func (m *Model) handleCursor(q *virtio.Queue) bool {
	for e := q.Pop(); e != nil; e = q.Pop() {
		if c := readAll(e.Out, cursorSize); len(c) == cursorSize {
			m.cursor(c)
		}
		q.Push(e, 0)
	}
	return true
}

// cursor carries a command out.
func (m *Model) cursor(c []byte) {
	n := le.Uint32(c[cursorScanout:])
	if n >= uint32(len(m.heads)) {
		return
	}
	h := m.heads[n]
	now := hand{le.Uint32(c[cursorResource:]), le.Uint32(c[cursorHotX:]), le.Uint32(c[cursorHotY:]), le.Uint32(c[cursorX:]), le.Uint32(c[cursorY:])}
	if le.Uint32(c) == cmdMoveCursor {
		h.hand.x, h.hand.y = now.x, now.y
	} else {
		h.hand = now
		m.defineCursor(h)
	}
	h.con.MoveCursor(int(int32(now.x)), int(int32(now.y)), now.resource != 0)
}

// defineCursor shows the pointer's picture; one of another size than a pointer's is not looked at.
func (m *Model) defineCursor(h *head) {
	p := &ui.Cursor{Width: cursorSide, Height: cursorSide, HotX: int(int32(h.hand.hotX)), HotY: int(int32(h.hand.hotY))}
	r := m.resources[h.hand.resource]
	switch old := h.con.Cursor(); {
	case r != nil && r.width == cursorSide && r.height == cursorSide:
		p.Pix = make([]uint32, cursorSide*cursorSide)
		for i := range p.Pix {
			p.Pix[i] = le.Uint32(r.pixels[bytesPerPixel*i:])
		}
	case old != nil && old.Width == cursorSide && old.Height == cursorSide:
		p.Pix = old.Pix
	default:
		p.Pix = make([]uint32, cursorSide*cursorSide)
	}
	h.con.DefineCursor(p)
}
