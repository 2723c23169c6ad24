package gpu

import (
	"slices"
	"sort"

	"goemu/ui"
)

// resource is a picture of the driver's with a copy in the driver's memory, its backing.
type resource struct {
	id, format    uint32
	width, height uint32
	pixels        []byte // as the driver has them, line after line without gaps
	backing       []piece
	backed        bool
	heads         uint32 // bit n: it is shown on scanout n
}

// piece is a part of a backing: guest memory, and where in the backing it begins.
type piece struct {
	addr   uint64
	length uint32
	start  uint64
}

func (r *resource) stride() uint64 { return uint64(r.width) * bytesPerPixel }

// Costs of descriptions in bytes, about.
const (
	resourceCost = 128
	pieceCost    = 24
)

// newResource makes a picture, nil if there is too little memory for it.
func (m *Model) newResource(id, format, width, height uint32) *resource {
	n, limit := uint64(width)*uint64(height)*bytesPerPixel, uint64(m.Props.MaxHostMem)
	if n/bytesPerPixel>>32 != 0 || n+m.hostMem >= limit || m.tables+resourceCost > limit {
		return nil
	}
	r := &resource{id: id, format: format, width: width, height: height, pixels: make([]byte, n)}
	m.resources[id] = r
	m.order = slices.Insert(m.order, 0, id)
	m.hostMem += n
	m.tables += resourceCost
	return r
}

// destroy forgets a picture and takes it off the screens.
func (m *Model) destroy(r *resource) {
	for i, h := range m.heads {
		if r.heads>>i&1 != 0 {
			m.switchOff(h)
		}
	}
	m.detach(r)
	delete(m.resources, r.id)
	m.order = slices.DeleteFunc(m.order, func(id uint32) bool { return id == r.id })
	m.hostMem -= uint64(len(r.pixels))
	m.tables -= resourceCost
}

// attach gives a picture a backing; false if a part of it is no memory, or there are too many.
func (m *Model) attach(r *resource, pieces []piece) bool {
	cost := uint64(len(pieces)) * pieceCost
	if m.tables+cost > uint64(m.Props.MaxHostMem) {
		return false
	}
	start := uint64(0)
	for i := range pieces {
		p := &pieces[i]
		if _, ok := m.memory().Map(p.addr, uint64(p.length), false); !ok || p.length == 0 {
			return false
		}
		p.start = start
		start += uint64(p.length)
	}
	m.tables += cost
	r.backing, r.backed = pieces, len(pieces) > 0
	return true
}

func (m *Model) detach(r *resource) {
	m.tables -= uint64(len(r.backing)) * pieceCost
	r.backing, r.backed = nil, false
}

// fetch reads the backing from an offset on; what lies after its end leaves b as it is.
func (m *Model) fetch(r *resource, off uint64, b []byte) {
	i := sort.Search(len(r.backing), func(i int) bool { return r.backing[i].start+uint64(r.backing[i].length) > off })
	for ; i < len(r.backing) && len(b) > 0; i++ {
		p := r.backing[i]
		skip := off - p.start
		n := min(uint64(len(b)), uint64(p.length)-skip)
		_ = m.memory().Read(p.addr+skip, b[:n])
		b, off = b[n:], off+n
	}
}

// draw converts a rectangle of a picture, which lies within it, to a place on a surface.
func (r *resource) draw(s *ui.Surface, x, y int, from rect) {
	f := formats[r.format]
	for line := range int(from.height) {
		at := uint64(int(from.y)+line)*r.stride() + uint64(from.x)*bytesPerPixel
		f.Line(s.Row(y + line)[x:], r.pixels[at:at+uint64(from.width)*bytesPerPixel])
	}
}
