package vmstate

import (
	"errors"
	"io"
	"strings"
)

// ErrShort says that a stream ended too early.
var ErrShort = errors.New("unexpected end of the state")

// ErrLong says that a stream wants more at once than any state has.
var ErrLong = errors.New("part of the state is too long")

// Sizes of a stream's buffer: what is asked for at once, and the longest part that must be in memory as a whole.
const (
	fillSize = 256 << 10
	maxPart  = 64 << 20
)

// Reader takes a stream apart. After an error every value is zero.
type Reader struct {
	b    []byte    // what is there and was not taken
	src  io.Reader // what b is filled from, nil if b is all
	buf  []byte    // of src, behind b
	read int64     // bytes taken from src
	err  error
}

// NewReader returns a reader of b.
func NewReader(b []byte) *Reader { return &Reader{b: b} }

// NewStream returns a reader of src. It may read ahead.
func NewStream(src io.Reader) *Reader { return &Reader{src: src} }

// Err returns the first error.
func (r *Reader) Err() error { return r.err }

// Len returns the number of bytes left in memory.
func (r *Reader) Len() int { return len(r.b) }

// Consumed returns the number of bytes of the stream that were taken.
func (r *Reader) Consumed() int64 { return r.read - int64(len(r.b)) }

// has tells whether n bytes can be looked at in b, which is filled if need be.
func (r *Reader) has(n int) bool { return len(r.b) >= n || r.fill(n) == nil }

// fill reads until b has n bytes. What was taken of the old b is overwritten.
func (r *Reader) fill(n int) error {
	switch {
	case r.err != nil:
		return r.err
	case r.src == nil:
		return ErrShort
	case n > maxPart:
		return ErrLong
	}
	for len(r.b) < n {
		buf := r.buf
		if len(buf) < n && len(r.b) == len(buf) { // it grows with what is there, not with what is asked for
			buf = make([]byte, 2*len(buf)+fillSize)
		}
		have := copy(buf, r.b)
		k, err := io.ReadAtLeast(r.src, buf[have:], min(n, len(buf))-have)
		r.buf, r.b = buf, buf[:have+k]
		r.read += int64(k)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			err = ErrShort
		}
		if err != nil && len(r.b) < n {
			return err
		}
	}
	return nil
}

// fail ends the reading.
func (r *Reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.b = nil
}

// Subsection reads the beginning of a subsection of what has the name of; ok is false, and nothing is taken, if something else follows.
func (r *Reader) Subsection(of string) (name string, ok bool) {
	if !r.has(1) || r.b[0] != subsectionMark || !r.has(2) {
		return "", false
	}
	n := int(r.b[1])
	if !r.has(2 + n) {
		r.fail(ErrShort)
		return "", false
	}
	name = string(r.b[2 : 2+n])
	if !strings.HasPrefix(name, of) {
		return "", false // belongs to somebody outside
	}
	r.b = r.b[2+n:]
	return name, true
}

// Raw returns the next n bytes, which stay valid until more is read; nil after the end.
func (r *Reader) Raw(n int) []byte {
	if n < 0 {
		r.fail(ErrShort)
		return nil
	}
	if len(r.b) < n {
		if err := r.fill(n); err != nil {
			r.fail(err)
			return nil
		}
	}
	p := r.b[:n]
	r.b = r.b[n:]
	return p
}

// Full fills p.
func (r *Reader) Full(p []byte) error {
	for r.err == nil {
		n := copy(p, r.b)
		r.b, p = r.b[n:], p[n:]
		if len(p) == 0 {
			break
		}
		if err := r.fill(1); err != nil {
			r.fail(err)
		}
	}
	return r.err
}

// U8 reads one byte.
func (r *Reader) U8() uint8 { return uint8(r.number(1)) }

// Bool reads a byte: true if it is not 0.
func (r *Reader) Bool() bool { return r.U8() != 0 }

// U16 reads a 16-bit number.
func (r *Reader) U16() uint16 { return uint16(r.number(2)) }

// U32 reads a 32-bit number.
func (r *Reader) U32() uint32 { return uint32(r.number(4)) }

// U64 reads a 64-bit number.
func (r *Reader) U64() uint64 { return r.number(8) }

func (r *Reader) number(size int) (v uint64) {
	for _, b := range r.Raw(size) {
		v = v<<8 | uint64(b)
	}
	return v
}
