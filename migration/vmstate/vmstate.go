// Package vmstate describes the migrated state of a device as data: fields with names, widths and versions in the order in which they
// stand in QEMU's migration stream. Numbers are big endian. The package knows no device and no transport.
package vmstate

import (
	"fmt"
	"sync/atomic"
)

// Description is the layout of the state of a T.
type Description[T any] struct {
	Name                string
	Version, MinVersion int
	Fields              []Field[T]
	Subsections         []*Description[T]
	Needed              func(*T) bool       // of a subsection: whether it is sent
	Private             bool                // of a subsection: QEMU does not know it, and it is not told of in the layout
	PreSave             func(*T)            // prepares fields that are computed
	PreLoad             func(*T)            // sets what an older version lacks
	PostLoad            func(*T, int) error // takes over what was loaded; gets the version

	layout atomic.Pointer[Layout]
}

// Field is one entry of a description.
type Field[T any] struct {
	name   string
	typ    string // QEMU's name for what it holds, in the description that follows the stream
	size   int    // of one element, as QEMU reports it
	since  int
	when   func(*T) bool
	nested func() *Layout
	count  func(*T) int // of an array; nil: one
	save   func(*T, int, *Writer)
	load   func(*T, *Reader) error
}

// As returns f with another name for its type.
func (f Field[T]) As(typ string) Field[T] { f.typ = typ; return f }

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
	node := w.node
	node.begin(d.Name, d.Version, len(d.Fields))
	for i := range d.Fields {
		if f := &d.Fields[i]; f.present(p, d.Version) {
			d.saveField(f, p, w, node)
		}
	}
	for _, s := range d.Subsections {
		if s.Needed != nil && !s.Needed(p) {
			continue
		}
		w.node = node.subsection()
		w.Subsection(s.Name, uint32(s.Version))
		s.Save(p, w)
	}
	w.node = node
}

// saveField writes the elements of a field and describes them.
func (d *Description[T]) saveField(f *Field[T], p *T, w *Writer, node *Node) {
	n := 1
	if f.count != nil {
		n = f.count(p)
	}
	if node == nil {
		for i := range n {
			f.save(p, i, w)
		}
		return
	}
	alike := n > 1 && f.alike()
	for i := range n {
		at := len(w.b)
		w.node = nil
		if alike && i > 0 {
			f.save(p, i, w)
			continue
		}
		if f.nested != nil {
			w.node = new(Node)
		}
		f.save(p, i, w)
		node.add(nodeField{Name: d.uniqueName(f), Type: f.typ, Size: len(w.b) - at, Struct: w.node}, i, n, alike)
	}
	w.node = node
}

// alike tells whether the elements of an array have the same form by all means, so that describing one of them is enough.
func (f *Field[T]) alike() bool { return f.when == nil && (f.nested == nil || f.nested().fixed()) }

// uniqueName is the name of a field, with a number if others have the same.
func (d *Description[T]) uniqueName(f *Field[T]) string {
	same, number := 0, 0
	for i := range d.Fields {
		g := &d.Fields[i]
		if g == f {
			number = same
		}
		if g.name == f.name {
			same++
		}
	}
	if same > 1 {
		return fmt.Sprintf("%s[%d]", f.name, number)
	}
	return f.name
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
	for {
		name, ok := r.Subsection(d.Name)
		if !ok {
			if r.err != nil {
				return fmt.Errorf("%s: %w", d.Name, r.err)
			}
			return nil
		}
		sub := d.subsection(name)
		if sub == nil {
			return fmt.Errorf("%s: unknown subsection %s", d.Name, name)
		}
		if err := sub.Load(p, r, int(r.U32())); err != nil {
			return err
		}
	}
}

func (d *Description[T]) subsection(name string) *Description[T] {
	for _, s := range d.Subsections {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// Writer collects a stream.
type Writer struct {
	b    []byte
	node *Node // describes what is being saved
}

// Subsection begins a subsection.
func (w *Writer) Subsection(name string, version uint32) {
	w.U8(subsectionMark)
	w.U8(uint8(len(name)))
	w.Raw([]byte(name))
	w.U32(version)
}

// Bytes returns what was written.
func (w *Writer) Bytes() []byte { return w.b }

// Raw appends bytes.
func (w *Writer) Raw(p []byte) { w.b = append(w.b, p...) }

// U8 appends one byte.
func (w *Writer) U8(v uint8) { w.b = append(w.b, v) }

// Bool writes a byte, 1 for true.
func (w *Writer) Bool(v bool) {
	n := uint8(0)
	if v {
		n = 1
	}
	w.U8(n)
}

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
