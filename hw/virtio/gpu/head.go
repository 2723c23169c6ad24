package gpu

import (
	"goemu/hw/qdev"
	"goemu/ui"
)

// rect is a part of a picture.
type rect struct{ x, y, width, height uint32 }

// within tells whether it lies in a picture of a size.
func (r rect) within(width, height uint32) bool {
	return uint64(r.x)+uint64(r.width) <= uint64(width) && uint64(r.y)+uint64(r.height) <= uint64(height)
}

// meet is the part that two have in common, empty if there is none.
func (r rect) meet(o rect) rect {
	x, y := max(r.x, o.x), max(r.y, o.y)
	right, bottom := min(r.x+r.width, o.x+o.width), min(r.y+r.height, o.y+o.height)
	if right <= x || bottom <= y {
		return rect{}
	}
	return rect{x, y, right - x, bottom - y}
}

type size struct{ width, height uint32 }

// head is a scanout: a screen, and the part of a picture that it shows.
type head struct {
	m      *Model
	number int
	con    *ui.Console
	other  ui.Hardware // draws while no driver has shown anything; nil if nobody does
	wanted size        // by the viewer
	on     bool        // a viewer is there

	shown uint32 // picture, 0 for none
	part  rect
	stale bool // the surface lags behind the picture
	hand  hand
}

func newHead(m *Model, owner any, number int) *head {
	h := &head{m: m, number: number}
	h.con = ui.Main.Add(owner, number, h)
	return h
}

// reset switches the screen off; the driver had it if was is set.
func (h *head) reset(was bool) {
	h.shown, h.part, h.stale, h.hand = 0, rect{}, false, hand{}
	if was && h.other != nil {
		h.other.Invalidate()
	}
}

// Update implements ui.Hardware.
func (h *head) Update() {
	if !h.m.enabled && h.other != nil {
		h.other.Update()
		return
	}
	if r := h.m.resources[h.shown]; r != nil && h.stale {
		r.draw(h.con.Surface(), 0, 0, h.part)
		h.stale = false
		h.con.ChangedAll()
	}
}

// Invalidate implements ui.Hardware.
func (h *head) Invalidate() {
	h.stale = true
	if !h.m.enabled && h.other != nil {
		h.other.Invalidate()
	}
}

// SetPreferred implements ui.Resizer: the driver hears of it and may follow.
func (h *head) SetPreferred(width, height int) {
	h.wanted = size{uint32(width), uint32(height)}
	h.on = width > 0 && height > 0
	h.m.events |= eventDisplay
	h.m.ConfigChanged()
}

// show makes a part of a picture the screen's.
func (m *Model) show(h *head, r *resource, part rect) {
	m.enabled = true
	if old := m.resources[h.shown]; old != nil {
		old.heads &^= 1 << h.number
	}
	r.heads |= 1 << h.number
	h.con.Resize(int(part.width), int(part.height))
	h.shown, h.part, h.stale = r.id, part, true
}

// switchOff shows nothing on the screen.
func (m *Model) switchOff(h *head) {
	if h.shown == 0 {
		return
	}
	if r := m.resources[h.shown]; r != nil {
		r.heads &^= 1 << h.number
	}
	h.shown, h.part, h.stale = 0, rect{}, false
	s := h.con.Surface()
	h.con.Switch(ui.Placeholder(s.Width, s.Height, "Display output is not active."))
}

// flush draws what has changed of a picture.
func (h *head) flush(r *resource, changed rect) {
	common := changed.meet(h.part)
	if common == (rect{}) {
		return
	}
	if common == h.part {
		h.stale = false
	}
	x, y := int(common.x-h.part.x), int(common.y-h.part.y)
	r.draw(h.con.Surface(), x, y, common)
	h.con.Changed(x, y, int(common.width), int(common.height))
}

var _ ui.Resizer = (*head)(nil)
var _ qdev.Device = (*VGA)(nil)
