package vmstate

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

type inner struct{ a uint16 }

type outer struct {
	b     bool
	words []uint32
	in    [2]inner
	late  uint8
	extra int64
}

var innerState = Description[inner]{Name: "inner", Version: 1, MinVersion: 1,
	Fields: []Field[inner]{Of("a", func(p *inner) *uint16 { return &p.a })}}

var outerState = Description[outer]{Name: "outer", Version: 2, MinVersion: 1,
	Fields: []Field[outer]{
		Of("b", func(p *outer) *bool { return &p.b }),
		Array("words", func(p *outer) []uint32 { return p.words }),
		Unused[outer](1),
		Structs("in", &innerState, func(p *outer) []inner { return p.in[:] }),
		Of("late", func(p *outer) *uint8 { return &p.late }).Since(2),
	},
	Subsections: []*Description[outer]{{Name: "outer/extra", Version: 1, MinVersion: 1,
		Needed: func(p *outer) bool { return p.extra != 0 },
		Fields: []Field[outer]{Of("extra", func(p *outer) *int64 { return &p.extra })}}},
}

func TestSaveLoad(t *testing.T) {
	src := outer{true, []uint32{0x01020304, 5}, [2]inner{{6}, {7}}, 8, -2}
	var w Writer
	outerState.Save(&src, &w)
	want := append([]byte{1, 1, 2, 3, 4, 0, 0, 0, 5, 0, 0, 6, 0, 7, 8, 5, 11}, "outer/extra"...)
	want = append(want, 0, 0, 0, 1, 255, 255, 255, 255, 255, 255, 255, 254)
	if !bytes.Equal(w.Bytes(), want) {
		t.Fatalf("saved % x", w.Bytes())
	}
	dst := outer{words: make([]uint32, 2)}
	if err := outerState.Load(&dst, NewReader(want), 2); err != nil {
		t.Fatal(err)
	}
	if dst.in != src.in || dst.late != 8 || dst.extra != -2 || dst.words[0] != 0x01020304 || !dst.b {
		t.Errorf("loaded %+v", dst)
	}
	dst = outer{words: make([]uint32, 2)}
	if err := outerState.Load(&dst, NewReader(want[:14]), 1); err != nil || dst.late != 0 || dst.in != src.in {
		t.Errorf("version 1: %v %+v", err, dst)
	}
	for n := range want {
		if n == 15 {
			continue // complete without the subsection
		}
		if err := outerState.Load(&dst, NewReader(want[:n]), 2); err == nil && n != 16 {
			t.Errorf("%d bytes loaded without error", n)
		}
	}
	if err := outerState.Load(&dst, NewReader(want), 3); err == nil {
		t.Error("a version from the future loaded")
	}
}

// TestStream takes a stream apart whose pieces come one way and another: what is longer than the buffer, and the end, included.
func TestStream(t *testing.T) {
	const long = 3*fillSize + 5
	var w Writer
	w.U64(1 << 60)
	page := bytes.Repeat([]byte{1, 2, 3, 4}, 1024)
	w.Raw(page)
	w.Raw(bytes.Repeat([]byte{7}, long))
	w.U16(0x1234)
	for _, slow := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader} {
		r := NewStream(slow(bytes.NewReader(w.Bytes())))
		if v := r.U64(); v != 1<<60 {
			t.Errorf("read %#x", v)
		}
		got := make([]byte, len(page))
		if err := r.Full(got); err != nil || !bytes.Equal(got, page) {
			t.Errorf("%v, or a page that differs", err)
		}
		if p := r.Raw(long); len(p) != long || bytes.Count(p, []byte{7}) != long {
			t.Errorf("%d bytes, or others than written", len(p))
		}
		if v := r.U16(); v != 0x1234 || r.Err() != nil || r.Consumed() != int64(len(w.Bytes())) {
			t.Errorf("read %#x: %v; %d bytes consumed", v, r.Err(), r.Consumed())
		}
		if r.U8(); !errors.Is(r.Err(), ErrShort) {
			t.Errorf("behind the end: %v", r.Err())
		}
	}
}

func FuzzLoad(f *testing.F) {
	var w Writer
	outerState.Save(&outer{true, []uint32{1, 2}, [2]inner{{6}, {7}}, 8, 3}, &w)
	f.Add(w.Bytes(), 2)
	f.Fuzz(func(t *testing.T, b []byte, version int) {
		p := outer{words: make([]uint32, 2)}
		if outerState.Load(&p, NewReader(b), version) == nil {
			var w Writer
			outerState.Save(&p, &w)
		}
	})
}
