// Package vmstate describes the migrated state of a device as data: fields with names, widths and versions in the order in which they
// stand in QEMU's migration stream. Numbers are big endian. The package knows no device and no transport.
package vmstate

import (
	"errors"
	"fmt"
)

// Description is the layout of the state of a T.
type Description[T any] struct {
	Name                string
	Version, MinVersion int
	Fields              []Field[T]
	Subsections         []*Description[T]
	Needed              func(*T) bool       // of a subsection: whether it is sent
	PreSave             func(*T)            // prepares fields that are computed
	PreLoad             func(*T)            // sets what an older version lacks
	PostLoad            func(*T, int) error // takes over what was loaded; gets the version
}

// Field is one entry of a description.
type Field[T any] struct {
	name   string
	size   int // of one element, as QEMU reports it
	since  int
	when   func(*T) bool
	nested func() *Layout
	save   func(*T, *Writer)
	load   func(*T, *Reader) error
}

// Since returns f as a field that exists from version v on.
func (f Field[T]) Since(v int) Field[T] { f.since = v; return f }

// When returns f as a field that exists where cond holds.
func (f Field[T]) When(cond func(*T) bool) Field[T] { f.when = cond; return f }

// State is the type-erased state of one object.
type State interface {
	Save(w *Writer)
	Load(r *Reader, version int) error
	Layout() *Layout
}

// Bind returns the state of p under d.
func (d *Description[T]) Bind(p *T) State { return bound[T]{d, p} }

type bound[T any] struct {
	d *Description[T]
	p *T
}

func (b bound[T]) Save(w *Writer)                    { b.d.Save(b.p, w) }
func (b bound[T]) Load(r *Reader, version int) error { return b.d.Load(b.p, r, version) }
func (b bound[T]) Layout() *Layout                   { return b.d.Layout() }

// subsectionMark begins a subsection in the stream.
const subsectionMark = 0x05

// Save appends the state of p.
func (d *Description[T]) Save(p *T, w *Writer) {
	if d.PreSave != nil {
		d.PreSave(p)
	}
	for i := range d.Fields {
		if f := &d.Fields[i]; f.present(p, d.Version) {
			f.save(p, w)
		}
	}
	for _, s := range d.Subsections {
		if s.Needed != nil && !s.Needed(p) {
			continue
		}
		w.U8(subsectionMark)
		w.U8(uint8(len(s.Name)))
		w.Raw([]byte(s.Name))
		w.U32(uint32(s.Version))
		s.Save(p, w)
	}
}

func (f *Field[T]) present(p *T, version int) bool {
	return (f.when == nil || f.when(p)) && f.since <= version
}

// Load reads what Save of some version wrote.
func (d *Description[T]) Load(p *T, r *Reader, version int) error {
	if version > d.Version || version < d.MinVersion {
		return fmt.Errorf("%s: incoming version_id %d is not in the supported range %d..%d", d.Name, version, d.MinVersion, d.Version)
	}
	if d.PreLoad != nil {
		d.PreLoad(p)
	}
	for i := range d.Fields {
		f := &d.Fields[i]
		if !f.present(p, version) {
			continue
		}
		if err := f.load(p, r); err != nil {
			return fmt.Errorf("%s:%s: %w", d.Name, f.name, err)
		}
	}
	if r.err != nil {
		return fmt.Errorf("%s: %w", d.Name, r.err)
	}
	if err := d.loadSubsections(p, r); err != nil {
		return err
	}
	if d.PostLoad != nil {
		return d.PostLoad(p, version)
	}
	return nil
}

func (d *Description[T]) loadSubsections(p *T, r *Reader) error {
	for len(r.b) >= 2 && r.b[0] == subsectionMark {
		n := int(r.b[1])
		if len(r.b) < 2+n {
			return fmt.Errorf("%s: %w", d.Name, ErrShort)
		}
		name := string(r.b[2 : 2+n])
		if len(name) < len(d.Name) || name[:len(d.Name)] != d.Name {
			return nil // belongs to somebody outside
		}
		sub := d.subsection(name)
		if sub == nil {
			return fmt.Errorf("%s: unknown subsection %s", d.Name, name)
		}
		r.b = r.b[2+n:]
		version := int(r.U32())
		if err := sub.Load(p, r, version); err != nil {
			return err
		}
	}
	return nil
}

func (d *Description[T]) subsection(name string) *Description[T] {
	for _, s := range d.Subsections {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// ErrShort says that a stream ended too early.
var ErrShort = errors.New("unexpected end of the state")

// Writer collects a stream.
type Writer struct{ b []byte }

// Bytes returns what was written.
func (w *Writer) Bytes() []byte { return w.b }

// Raw appends bytes.
func (w *Writer) Raw(p []byte) { w.b = append(w.b, p...) }

// U8 appends one byte.
func (w *Writer) U8(v uint8) { w.b = append(w.b, v) }

// U16 appends a 16-bit number.
func (w *Writer) U16(v uint16) { w.number(uint64(v), 2) }

// U32 appends a 32-bit number.
func (w *Writer) U32(v uint32) { w.number(uint64(v), 4) }

// U64 appends a 64-bit number.
func (w *Writer) U64(v uint64) { w.number(v, 8) }

func (w *Writer) number(v uint64, size int) {
	for i := size - 1; i >= 0; i-- {
		w.b = append(w.b, uint8(v>>(8*i)))
	}
}

// Reader takes a stream apart. After an error every value is zero.
type Reader struct {
	b   []byte
	err error
}

// NewReader returns a reader of b.
func NewReader(b []byte) *Reader { return &Reader{b: b} }

// Err returns the first error.
func (r *Reader) Err() error { return r.err }

// Len returns the number of bytes left.
func (r *Reader) Len() int { return len(r.b) }

// Raw returns the next n bytes, which stay valid; nil after the end.
func (r *Reader) Raw(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.b, r.err = nil, ErrShort
		return nil
	}
	p := r.b[:n]
	r.b = r.b[n:]
	return p
}

// U8 reads one byte.
func (r *Reader) U8() uint8 { return uint8(r.number(1)) }

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
