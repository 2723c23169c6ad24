package multifd

import (
	"sync"
	"sync/atomic"

	"goemu/internal/memory"
	"goemu/migration/wire"
)

// Sender spreads pages over channels. Its methods belong to one goroutine, except for Bytes and Err.
type Sender struct {
	free   chan *sendChannel // that have nothing to do
	all    []*sendChannel
	filled *packet // the one that is being filled
	number uint64
	bytes  atomic.Uint64
	wg     sync.WaitGroup

	once   sync.Once
	failed chan struct{}
	err    error // once failed is closed
}

// packet is pages of one block.
type packet struct {
	block   *memory.RAMBlock
	offsets []uint64
	flags   uint32
	number  uint64
}

// sendChannel is one channel with its goroutine.
type sendChannel struct {
	w    wire.VectorWriter
	in   chan *packet
	pkt  *packet // that the next one to be filled is exchanged for
	z    *compressor
	head [headSize]byte
	refs [][]byte // head, pages
}

// NewSender begins to send over channels whose Hello is sent already.
func NewSender(channels []wire.VectorWriter, c Compression) (*Sender, error) {
	s := &Sender{free: make(chan *sendChannel, len(channels)), filled: newPacket(), failed: make(chan struct{})}
	for _, w := range channels {
		z, err := newCompressor(c)
		if err != nil {
			return nil, err
		}
		s.all = append(s.all, &sendChannel{w: w, in: make(chan *packet, 1), pkt: newPacket(), z: z, refs: make([][]byte, 0, 1+MaxPages)})
	}
	for _, ch := range s.all {
		s.free <- ch
		s.wg.Go(func() { s.run(ch, c.number()) })
	}
	return s, nil
}

func newPacket() *packet { return &packet{offsets: make([]uint64, 0, MaxPages)} }

// Bytes is how many bytes were given to the channels.
func (s *Sender) Bytes() uint64 { return s.bytes.Load() }

// Err returns the first error of a channel.
func (s *Sender) Err() error {
	select {
	case <-s.failed:
		return s.err
	default:
		return nil
	}
}

func (s *Sender) fail(err error) {
	s.once.Do(func() {
		s.err = err
		close(s.failed)
	})
}

// Queue sends a page, sooner or later: what it is by then, until the next Sync.
func (s *Sender) Queue(b *memory.RAMBlock, at uint64) error {
	if s.filled.block != b && len(s.filled.offsets) > 0 {
		if err := s.dispatch(); err != nil {
			return err
		}
	}
	s.filled.block = b
	s.filled.offsets = append(s.filled.offsets, at)
	if len(s.filled.offsets) < MaxPages {
		return nil
	}
	return s.dispatch()
}

// next waits for a channel that has nothing to do.
func (s *Sender) next() (*sendChannel, error) {
	select {
	case ch := <-s.free:
		return ch, s.Err()
	case <-s.failed:
		return nil, s.err
	}
}

// dispatch gives the packet that was filled to a channel.
func (s *Sender) dispatch() error {
	ch, err := s.next()
	if err != nil {
		return err
	}
	p := s.filled
	s.filled = ch.pkt
	ch.pkt = p
	s.give(ch)
	return nil
}

// give makes a channel, which has nothing to do, send its packet.
func (s *Sender) give(ch *sendChannel) {
	ch.pkt.number = s.number
	s.number++
	s.bytes.Add(headSize)
	ch.in <- ch.pkt
}

// Sync sends what is queued, and a mark on every channel, which the other side waits for before it goes on with the stream.
func (s *Sender) Sync() error {
	if len(s.filled.offsets) > 0 {
		if err := s.dispatch(); err != nil {
			return err
		}
	}
	idle := func() error {
		for range s.all {
			if _, err := s.next(); err != nil {
				return err
			}
		}
		return nil
	}
	if err := idle(); err != nil {
		return err
	}
	for _, ch := range s.all {
		ch.pkt.flags = flagSync
		s.give(ch)
	}
	if err := idle(); err != nil {
		return err
	}
	for _, ch := range s.all {
		s.free <- ch
	}
	return nil
}

// run sends what a channel is given.
func (s *Sender) run(ch *sendChannel, method uint32) {
	for p := range ch.in {
		err := ch.send(p, method, &s.bytes)
		*p = packet{offsets: p.offsets[:0]}
		if err != nil {
			s.fail(err)
			return
		}
		s.free <- ch
	}
}

func (ch *sendChannel) send(p *packet, method uint32, sent *atomic.Uint64) error {
	h := head{flags: p.flags, number: p.number, offsets: p.offsets}
	ch.refs = append(ch.refs[:0], ch.head[:])
	if len(p.offsets) > 0 {
		h.flags |= method << compressionBit
		h.block = p.block.Name()
		for _, at := range p.offsets {
			ch.refs = append(ch.refs, p.block.Bytes()[at:at+memory.PageSize])
		}
		if ch.z != nil {
			b, err := ch.z.packet(ch.refs[1:])
			if err != nil {
				return err
			}
			ch.refs = append(ch.refs[:1], b)
		}
	}
	for _, b := range ch.refs[1:] {
		h.size += uint32(len(b))
	}
	sent.Add(uint64(h.size))
	h.put(ch.head[:])
	return ch.w.WriteVector(ch.refs)
}

// Close ends the goroutines. Channels that do not go on must have been shut down.
func (s *Sender) Close() {
	s.fail(errClosed)
	for _, ch := range s.all {
		close(ch.in)
	}
	s.wg.Wait()
}
