package wire

import (
	"encoding/binary"
	"io"
	"net"
	"sync/atomic"
)

// Limits of what a Sink gathers before it writes.
const (
	maxVector = 1000     // below the kernel's limit for one system call
	arenaSize = 64 << 10 // of what is not written in place
)

// Sink gathers what goes into a stream and writes it in large pieces. Memory given to Ref is written from where it is. After an error
// nothing is written any more.
type Sink struct {
	w     io.Writer
	vec   net.Buffers
	arena []byte
	from  int // of the arena: what is not in vec yet
	err   error
	total atomic.Int64
}

// NewSink returns a sink that writes to w.
func NewSink(w io.Writer) *Sink { return &Sink{w: w, arena: make([]byte, 0, arenaSize)} }

// Err returns the first error.
func (s *Sink) Err() error { return s.err }

// Total is the number of bytes put so far; any goroutine may ask.
func (s *Sink) Total() int64 { return s.total.Load() }

// Fail makes the sink write nothing any more.
func (s *Sink) Fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

// room makes sure that n bytes fit into the arena without moving it.
func (s *Sink) room(n int) {
	if cap(s.arena)-len(s.arena) < n || len(s.vec) >= maxVector {
		_ = s.Flush()
	}
}

// U8 puts a byte.
func (s *Sink) U8(v uint8) {
	s.room(1)
	s.arena = append(s.arena, v)
	s.total.Add(1)
}

// U16 puts a 16-bit number.
func (s *Sink) U16(v uint16) {
	s.room(2)
	s.arena = binary.BigEndian.AppendUint16(s.arena, v)
	s.total.Add(2)
}

// U32 puts a 32-bit number.
func (s *Sink) U32(v uint32) {
	s.room(4)
	s.arena = binary.BigEndian.AppendUint32(s.arena, v)
	s.total.Add(4)
}

// U64 puts a 64-bit number.
func (s *Sink) U64(v uint64) {
	s.room(8)
	s.arena = binary.BigEndian.AppendUint64(s.arena, v)
	s.total.Add(8)
}

// Name puts a string behind its length.
func (s *Sink) Name(name string) {
	s.room(1 + len(name))
	s.arena = append(append(s.arena, uint8(len(name))), name...)
	s.total.Add(int64(1 + len(name)))
}

// Bytes puts p, which is copied if it is small and must stay as it is until Flush otherwise.
func (s *Sink) Bytes(p []byte) {
	if len(p) > arenaSize/16 {
		s.Ref(p)
		return
	}
	s.room(len(p))
	s.arena = append(s.arena, p...)
	s.total.Add(int64(len(p)))
}

// Ref puts p without copying it.
func (s *Sink) Ref(p []byte) {
	s.room(0)
	s.seal()
	s.vec = append(s.vec, p)
	s.total.Add(int64(len(p)))
}

// seal moves what is in the arena to the vector.
func (s *Sink) seal() {
	if len(s.arena) > s.from {
		s.vec = append(s.vec, s.arena[s.from:len(s.arena):len(s.arena)])
		s.from = len(s.arena)
	}
}

// Flush writes everything.
func (s *Sink) Flush() error {
	s.seal()
	if s.err == nil && len(s.vec) > 0 {
		v := s.vec
		if vw, ok := s.w.(VectorWriter); ok {
			s.err = vw.WriteVector(v)
		} else {
			_, s.err = v.WriteTo(s.w)
		}
	}
	clear(s.vec[:cap(s.vec)])
	s.vec, s.arena, s.from = s.vec[:0], s.arena[:0], 0
	return s.err
}

// VectorWriter is a writer that takes many pieces at once.
type VectorWriter interface {
	WriteVector(v [][]byte) error
}
