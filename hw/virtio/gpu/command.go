package gpu

import (
	"goemu/hw/display/edid"
	"goemu/hw/virtio"
	"goemu/hw/virtio/ring"
)

// command is a kind of request: its size with the header, and what carries it out. What it returns is the answer: data after the
// header, and the type.
type command struct {
	size int
	do   func(m *Model, c []byte, e *ring.Element) (data []byte, typ uint32)
}

var commands = map[uint32]command{
	cmdGetDisplayInfo: {hdrSize, (*Model).displayInfo},
	cmdGetEDID:        {edidCommand, (*Model).getEDID},
	cmdCreate2D:       {createSize, (*Model).create},
	cmdUnref:          {unrefSize, (*Model).unref},
	cmdSetScanout:     {scanoutSize, (*Model).setScanout},
	cmdFlush:          {flushSize, (*Model).flush},
	cmdTransferToHost: {transferSize, (*Model).transfer},
	cmdAttachBacking:  {attachSize, (*Model).attachBacking},
	cmdDetachBacking:  {detachSize, (*Model).detachBacking},
	cmdCreateBlob:     {hdrSize, (*Model).noBlob},
	cmdScanoutBlob:    {hdrSize, (*Model).noBlob},
}

// handleControl serves the control queue.
func (m *Model) handleControl(q *virtio.Queue) bool {
	for e := q.Pop(); e != nil; e = q.Pop() {
		q.Push(e, uint32(m.control(e)))
	}
	return true
}

// control carries a request out and returns the size of the answer.
func (m *Model) control(e *ring.Element) int {
	c := readAll(e.Out, transferSize)
	if len(c) < hdrSize {
		return 0
	}
	var data []byte
	typ := uint32(errUnspecified)
	if k, ok := commands[le.Uint32(c)]; ok && len(c) >= k.size {
		data, typ = k.do(m, c, e)
	}
	answer := make([]byte, hdrSize, hdrSize+len(data))
	le.PutUint32(answer, typ)
	if le.Uint32(c[hdrFlags:])&flagFence != 0 {
		le.PutUint32(answer[hdrFlags:], flagFence)
		copy(answer[hdrFence:hdrContext+4], c[hdrFence:])
	}
	return writeAll(e.In, append(answer, data...))
}

// readAll returns up to n bytes from the start of a chain's buffers.
func readAll(bufs [][]byte, n int) []byte {
	out := make([]byte, 0, n)
	for _, b := range bufs {
		out = append(out, b[:min(len(b), n-len(out))]...)
	}
	return out
}

// writeAll fills a chain's buffers and returns how much there was room for.
func writeAll(bufs [][]byte, data []byte) (n int) {
	for _, b := range bufs {
		n += copy(b, data[n:])
	}
	return n
}

func rectOf(b []byte) rect {
	return rect{le.Uint32(b), le.Uint32(b[4:]), le.Uint32(b[8:]), le.Uint32(b[12:])}
}

func (m *Model) displayInfo([]byte, *ring.Element) ([]byte, uint32) {
	data := make([]byte, displaySize-hdrSize)
	for i, h := range m.heads {
		if h.on {
			d := data[i*displayEntry:]
			le.PutUint32(d[8:], h.wanted.width)
			le.PutUint32(d[12:], h.wanted.height)
			le.PutUint32(d[displayEnabled:], 1)
		}
	}
	return data, respDisplayInfo
}

// noBlob refuses pictures in memory that host and driver share: the feature is not offered.
func (*Model) noBlob([]byte, *ring.Element) ([]byte, uint32) { return nil, errInvalidParam }

func (m *Model) getEDID(c []byte, _ *ring.Element) ([]byte, uint32) {
	n := le.Uint32(c[edidScanout:])
	if n >= uint32(len(m.heads)) {
		return nil, errInvalidParam
	}
	data := make([]byte, edidSize-hdrSize)
	le.PutUint32(data[edidLength-hdrSize:], edidBytes)
	w := m.heads[n].wanted
	copy(data[edidData-hdrSize:], edid.Generate(edid.Info{XRes: w.width, YRes: w.height}, edidBytes))
	return data, respEDID
}

func (m *Model) create(c []byte, _ *ring.Element) ([]byte, uint32) {
	id, format := le.Uint32(c[createID:]), le.Uint32(c[createFormat:])
	switch {
	case id == 0 || m.resources[id] != nil:
		return nil, errInvalidResource
	case formats[format] == nil:
		return nil, errInvalidParam
	case m.newResource(id, format, le.Uint32(c[createWidth:]), le.Uint32(c[createHeight:])) == nil:
		return nil, errOutOfMemory
	}
	return nil, respNoData
}

func (m *Model) unref(c []byte, _ *ring.Element) ([]byte, uint32) {
	r := m.resources[le.Uint32(c[unrefID:])]
	if r == nil {
		return nil, errInvalidResource
	}
	m.destroy(r)
	return nil, respNoData
}

func (m *Model) attachBacking(c []byte, e *ring.Element) ([]byte, uint32) {
	r, n := m.resources[le.Uint32(c[attachID:])], le.Uint32(c[attachEntries:])
	switch {
	case r == nil:
		return nil, errInvalidResource
	case r.backed || n > maxEntries:
		return nil, errUnspecified
	}
	list := readAll(e.Out, attachSize+int(n)*entrySize)[attachSize:]
	if len(list) < int(n)*entrySize {
		return nil, errUnspecified
	}
	pieces := make([]piece, n)
	for i := range pieces {
		d := list[i*entrySize:]
		pieces[i] = piece{addr: le.Uint64(d), length: le.Uint32(d[entryLength:])}
	}
	if !m.attach(r, pieces) {
		return nil, errUnspecified
	}
	return nil, respNoData
}

// find returns a picture, with a backing if one is needed.
func (m *Model) find(id uint32, backed bool) (r *resource, err uint32) {
	r = m.resources[id]
	switch {
	case r == nil:
		return nil, errInvalidResource
	case backed && !r.backed:
		return nil, errUnspecified
	}
	return r, 0
}

func (m *Model) detachBacking(c []byte, _ *ring.Element) ([]byte, uint32) {
	r, err := m.find(le.Uint32(c[detachID:]), true)
	if r == nil {
		return nil, err
	}
	m.detach(r)
	return nil, respNoData
}

// transfer reads a rectangle from the backing, which has the lines of a whole picture from the offset on.
func (m *Model) transfer(c []byte, _ *ring.Element) ([]byte, uint32) {
	r, err := m.find(le.Uint32(c[transferID:]), true)
	if r == nil {
		return nil, err
	}
	part, off := rectOf(c[transferRect:]), le.Uint64(c[transferOffset:])
	if !part.within(r.width, r.height) {
		return nil, errInvalidParam
	}
	for _, h := range m.heads {
		h.stale = h.stale || h.shown == r.id
	}
	if off == 0 && part.x == 0 && part.y == 0 && part.width == r.width { // no gaps: in one go
		m.fetch(r, 0, r.pixels[:r.stride()*uint64(part.height)])
		return nil, respNoData
	}
	for line := range uint64(part.height) {
		at := (uint64(part.y)+line)*r.stride() + uint64(part.x)*bytesPerPixel
		if from := off + line*r.stride(); from >= off {
			m.fetch(r, from, r.pixels[at:at+uint64(part.width)*bytesPerPixel])
		}
	}
	return nil, respNoData
}

func (m *Model) setScanout(c []byte, _ *ring.Element) ([]byte, uint32) {
	n, id, part := le.Uint32(c[scanoutNumber:]), le.Uint32(c[scanoutResource:]), rectOf(c[scanoutRect:])
	if n >= uint32(len(m.heads)) {
		return nil, errInvalidScanout
	}
	if id == 0 {
		m.switchOff(m.heads[n])
		return nil, respNoData
	}
	r, err := m.find(id, true)
	switch {
	case r == nil:
		return nil, err
	case part.width < minSide || part.height < minSide || !part.within(r.width, r.height):
		return nil, errInvalidParam
	}
	m.show(m.heads[n], r, part)
	return nil, respNoData
}

func (m *Model) flush(c []byte, _ *ring.Element) ([]byte, uint32) {
	r, err := m.find(le.Uint32(c[flushID:]), false)
	if r == nil {
		return nil, err
	}
	part := rectOf(c[flushRect:])
	if !part.within(r.width, r.height) {
		return nil, errInvalidParam
	}
	for i, h := range m.heads {
		if r.heads>>i&1 != 0 {
			h.flush(r, part)
		}
	}
	return nil, respNoData
}
