package vmstate

import (
	"fmt"
	"unsafe"
)

// Number is what a field on the wire can be; a bool is one byte.
type Number interface {
	~bool | ~uint8 | ~int8 | ~uint16 | ~int16 | ~uint32 | ~int32 | ~uint64 | ~int64
}

func sizeOf[V Number]() int { var v V; return int(unsafe.Sizeof(v)) }

func put[V Number](w *Writer, v *V) {
	switch p := any(v).(type) {
	case *bool:
		if *p {
			w.U8(1)
		} else {
			w.U8(0)
		}
	case *uint8:
		w.U8(*p)
	case *uint16:
		w.U16(*p)
	case *uint32:
		w.U32(*p)
	case *uint64:
		w.U64(*p)
	case *int8:
		w.U8(uint8(*p))
	case *int16:
		w.U16(uint16(*p))
	case *int32:
		w.U32(uint32(*p))
	case *int64:
		w.U64(uint64(*p))
	default:
		panic("BUG: vmstate field of a named type")
	}
}

func get[V Number](r *Reader, v *V) {
	switch p := any(v).(type) {
	case *bool:
		*p = r.U8() != 0
	case *uint8:
		*p = r.U8()
	case *uint16:
		*p = r.U16()
	case *uint32:
		*p = r.U32()
	case *uint64:
		*p = r.U64()
	case *int8:
		*p = int8(r.U8())
	case *int16:
		*p = int16(r.U16())
	case *int32:
		*p = int32(r.U32())
	case *int64:
		*p = int64(r.U64())
	default:
		panic("BUG: vmstate field of a named type")
	}
}

// typeOf is QEMU's name for a number.
func typeOf[V Number]() string {
	var v V
	return fmt.Sprintf("%T", v)
}

// one makes a function that saves a field which is no array.
func one[T any](save func(*T, *Writer)) func(*T, int, *Writer) {
	return func(p *T, _ int, w *Writer) { save(p, w) }
}

// Of is a number; its width on the wire is that of the Go type.
func Of[T any, V Number](name string, at func(*T) *V) Field[T] {
	return Field[T]{name: name, typ: typeOf[V](), size: sizeOf[V](),
		save: func(p *T, _ int, w *Writer) { put(w, at(p)) },
		load: func(p *T, r *Reader) error { get(r, at(p)); return r.err }}
}

// Computed is a number that is got and set by functions.
func Computed[T any, V Number](name string, save func(*T) V, load func(*T, V)) Field[T] {
	return Field[T]{name: name, typ: typeOf[V](), size: sizeOf[V](),
		save: func(p *T, _ int, w *Writer) { v := save(p); put(w, &v) },
		load: func(p *T, r *Reader) error {
			var v V
			if get(r, &v); r.err == nil {
				load(p, v)
			}
			return r.err
		}}
}

// Array is a fixed number of numbers.
func Array[T any, V Number](name string, at func(*T) []V) Field[T] {
	return Field[T]{name: name, typ: typeOf[V](), size: sizeOf[V](),
		count: func(p *T) int { return len(at(p)) },
		save:  func(p *T, i int, w *Writer) { put(w, &at(p)[i]) },
		load: func(p *T, r *Reader) error {
			for i := range at(p) {
				get(r, &at(p)[i])
			}
			return r.err
		}}
}

// Buffer is n bytes.
func Buffer[T any](name string, n int, at func(*T) []byte) Field[T] {
	return Field[T]{name: name, typ: "buffer", size: n,
		save: func(p *T, _ int, w *Writer) { w.Raw(at(p)[:n]) },
		load: func(p *T, r *Reader) error { copy(at(p)[:n], r.Raw(n)); return r.err }}
}

// Unused is n bytes that nobody uses any more.
func Unused[T any](n int) Field[T] { return UnusedOf[T](n, n) }

// UnusedOf is n unused bytes that QEMU reports with another size.
func UnusedOf[T any](n, reported int) Field[T] {
	return Field[T]{name: "unused", typ: "unused_buffer", size: reported,
		save: func(_ *T, _ int, w *Writer) { w.Raw(make([]byte, n)) },
		load: func(_ *T, r *Reader) error { r.Raw(n); return r.err }}
}

// Struct is a nested object with a description of its own.
func Struct[T, U any](name string, d *Description[U], at func(*T) *U) Field[T] {
	return Field[T]{name: name, typ: "struct", nested: d.Layout,
		save: func(p *T, _ int, w *Writer) { d.Save(at(p), w) },
		load: func(p *T, r *Reader) error { return d.Load(at(p), r, d.Version) }}
}

// Structs is a fixed number of nested objects.
func Structs[T, U any](name string, d *Description[U], at func(*T) []U) Field[T] {
	return Field[T]{name: name, typ: "struct", nested: d.Layout,
		count: func(p *T) int { return len(at(p)) },
		save:  func(p *T, i int, w *Writer) { d.Save(&at(p)[i], w) },
		load: func(p *T, r *Reader) error {
			for i := range at(p) {
				if err := d.Load(&at(p)[i], r, d.Version); err != nil {
					return err
				}
			}
			return nil
		}}
}

// TimerState is a timer as the stream carries it: the expiry in nanoseconds, -1 when not pending.
type TimerState interface {
	Saved() int64
	Restore(ns int64)
}

// Timer is a timer.
func Timer[T any](name string, at func(*T) TimerState) Field[T] {
	return Computed(name, func(p *T) int64 { return at(p).Saved() }, func(p *T, ns int64) { at(p).Restore(ns) }).As("timer")
}

// Custom is anything else; size is what QEMU reports for it.
func Custom[T any](name string, size int, save func(*T, *Writer), load func(*T, *Reader) error) Field[T] {
	return Field[T]{name: name, typ: "custom", size: size, save: one(save), load: load}
}

// Nested returns f with the layout of what it holds, for custom fields that save nested objects.
func (f Field[T]) Nested(layout func() *Layout) Field[T] { f.nested = layout; return f }
