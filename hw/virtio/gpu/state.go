package gpu

import (
	"errors"
	"fmt"
	"slices"

	"goemu/migration/vmstate"
)

// After the common part of the device come, for each picture from the last one made: be32 identifier, width, height, format, number of
// pieces; be64 address and be32 length of each; the pixels. A zero ends them. The screens follow.

var headState = vmstate.Description[head]{
	Name: "virtio-gpu-one-scanout", Version: 1, MinVersion: 1,
	Fields: []vmstate.Field[head]{
		vmstate.Of("resource_id", func(h *head) *uint32 { return &h.shown }),
		vmstate.Of("width", func(h *head) *uint32 { return &h.part.width }),
		vmstate.Of("height", func(h *head) *uint32 { return &h.part.height }),
		vmstate.Of("x", func(h *head) *uint32 { return &h.part.x }).As("int32"),
		vmstate.Of("y", func(h *head) *uint32 { return &h.part.y }).As("int32"),
		vmstate.Of("cursor.resource_id", func(h *head) *uint32 { return &h.hand.resource }),
		vmstate.Of("cursor.hot_x", func(h *head) *uint32 { return &h.hand.hotX }),
		vmstate.Of("cursor.hot_y", func(h *head) *uint32 { return &h.hand.hotY }),
		vmstate.Of("cursor.pos.x", func(h *head) *uint32 { return &h.hand.x }),
		vmstate.Of("cursor.pos.y", func(h *head) *uint32 { return &h.hand.y }),
	},
}

// SaveAfter implements virtio.LateState.
func (m *Model) SaveAfter(w *vmstate.Writer) {
	for _, id := range m.order {
		r := m.resources[id]
		for _, v := range []uint32{r.id, r.width, r.height, r.format, uint32(len(r.backing))} {
			w.U32(v)
		}
		for _, p := range r.backing {
			w.U64(p.addr)
			w.U32(p.length)
		}
		w.Raw(r.pixels)
	}
	w.U32(0)
	enabled := uint32(0)
	if m.enabled {
		enabled = 1
	}
	w.U32(enabled)
	w.U32(uint32(len(m.heads)))
	for _, h := range m.heads {
		headState.Save(h, w)
	}
}

// LoadAfter implements virtio.LateState.
func (m *Model) LoadAfter(r *vmstate.Reader) error {
	for _, old := range m.resources {
		m.destroy(old)
	}
	for id := r.U32(); id != 0 && r.Err() == nil; id = r.U32() {
		if err := m.loadResource(id, r); err != nil {
			return err
		}
	}
	slices.Reverse(m.order) // each was put before those loaded earlier
	m.enabled = r.U32() != 0
	if n := r.U32(); r.Err() == nil && int(n) != len(m.heads) {
		return fmt.Errorf("virtio-gpu: %d scanouts in the stream, %d here", n, len(m.heads))
	}
	for _, h := range m.heads {
		if err := headState.Load(h, r, headState.Version); err != nil {
			return err
		}
		if err := m.resume(h); err != nil {
			return err
		}
	}
	return r.Err()
}

func (m *Model) loadResource(id uint32, s *vmstate.Reader) error {
	width, height, format, n := s.U32(), s.U32(), s.U32(), s.U32()
	if err := s.Err(); err != nil {
		return err
	}
	if m.resources[id] != nil || formats[format] == nil || n > maxEntries*2 {
		return fmt.Errorf("virtio-gpu: resource %d of the stream: twice, or of unknown format %d, or in %d pieces", id, format, n)
	}
	pieces := make([]piece, n)
	for i := range pieces {
		pieces[i] = piece{addr: s.U64(), length: s.U32()}
	}
	r := m.newResource(id, format, width, height)
	if r == nil {
		return fmt.Errorf("virtio-gpu: resource %d of the stream is too large: %dx%d", id, width, height)
	}
	copy(r.pixels, s.Raw(len(r.pixels)))
	if err := s.Err(); err != nil {
		return err
	}
	if !m.attach(r, pieces) {
		return fmt.Errorf("virtio-gpu: the backing of resource %d of the stream is no memory", id)
	}
	return nil
}

// resume shows on a screen what it showed before migration. Older versions of QEMU send the size of the part only with some pictures.
func (m *Model) resume(h *head) error {
	if h.shown == 0 {
		return nil
	}
	r := m.resources[h.shown]
	if r == nil {
		return fmt.Errorf("virtio-gpu: scanout %d of the stream shows resource %d, which is not there", h.number, h.shown)
	}
	part := h.part
	if part.width < minSide || part.height < minSide || !part.within(r.width, r.height) {
		return errors.New("virtio-gpu: a scanout of the stream lies outside of its resource")
	}
	enabled := m.enabled
	m.show(h, r, part)
	m.enabled = enabled
	if h.hand.resource != 0 {
		m.defineCursor(h)
		h.con.MoveCursor(int(int32(h.hand.x)), int(int32(h.hand.y)), true)
	}
	return nil
}
