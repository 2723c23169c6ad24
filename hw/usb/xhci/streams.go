package xhci

// stream is a stream of an endpoint, which has a ring of its own (section 4.12.2).
type stream struct {
	ctx   uint64
	ring  ring
	known bool // the ring has been taken from the context
}

const (
	streamContextBytes = 16
	streamTypeMask     = 14
	streamPrimary      = 1 << 1 // a ring, in an array that holds nothing else
)

// makeStreams gives the endpoint its streams if its context has some; their contexts are where a ring would be.
func (e *endpoint) makeStreams(w *[5]uint32) {
	if !e.c.Streams || w[0]&epStreams == 0 {
		return
	}
	e.linear = w[0]&epLinear != 0
	e.streams = make([]stream, 2<<(w[0]>>epStreamsAt&primaryStreams))
	for i := range e.streams {
		e.streams[i].ctx = e.ring.dequeue + streamContextBytes*uint64(i)
	}
	e.ring = ring{}
}

// stream finds a stream; code says why there is none. Arrays in arrays are not there, as in QEMU.
func (e *endpoint) stream(id uint16) (s *stream, code uint32) {
	switch {
	case !e.linear:
		return nil, ccStreamType
	case id == 0 || int(id) >= len(e.streams):
		return nil, ccStreamID
	}
	s = &e.streams[id]
	if !s.known {
		var w [2]uint32
		e.c.words(s.ctx, w[:])
		if w[0]&streamTypeMask != streamPrimary {
			return nil, ccStreamType
		}
		s.ring, s.known = ring{join([2]uint32{w[0] &^ 15, w[1]}), w[0]&1 != 0}, true
	}
	return s, 0
}

// forgetStreams makes the streams be taken from their contexts again, which the driver may change now.
func (e *endpoint) forgetStreams() {
	for i := range e.streams {
		e.streams[i].known = false
	}
}

// ringOf is the ring of a stream, the endpoint's if it has none.
func (e *endpoint) ringOf(s *stream) *ring {
	if s != nil {
		return &s.ring
	}
	return &e.ring
}

// put writes how far the stream's ring is to its context.
func (s *stream) put(c *Controller) {
	var w [2]uint32
	c.words(s.ctx, w[:])
	low, high := s.ring.words()
	c.putWords(s.ctx, w[0]&streamTypeMask|low, high)
}
