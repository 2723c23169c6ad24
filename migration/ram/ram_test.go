package ram

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"goemu/internal/memory"
	"goemu/migration/ram/ramtest"
	"goemu/migration/vmstate"
	"goemu/migration/wire"
)

// TestRounds sends memory that changes between the rounds; the other side must end with the same, pages of zeroes included. Changes are
// encoded against all of what was sent, some of it, or none. The other side's memory was used before, or is fresh.
func TestRounds(t *testing.T) {
	for _, cache := range []uint64{0, 64 * memory.PageSize, 512 * memory.PageSize} {
		for _, fresh := range []bool{false, true} {
			t.Run(fmt.Sprint(cache, " fresh ", fresh), func(t *testing.T) { rounds(t, cache, fresh) })
		}
	}
}

func rounds(t *testing.T, cache uint64, fresh bool) {
	r := rand.New(rand.NewPCG(1, 2))
	src := []*memory.RAMBlock{ramtest.NewBlock(t, "pc.ram", 300), ramtest.NewBlock(t, "vga.vram", 70), ramtest.NewBlock(t, "pc.bios", 3)}
	dst := []*memory.RAMBlock{ramtest.NewBlock(t, "pc.ram", 300), ramtest.NewBlock(t, "vga.vram", 70)}
	for _, b := range dst {
		for i := range b.Bytes() {
			if !fresh {
				b.Bytes()[i] = 0xaa
			}
		}
	}
	write := func() {
		for range 60 {
			b := src[r.IntN(len(src))]
			at := r.Uint64N(b.Size())
			if r.IntN(4) == 0 {
				at &^= memory.PageSize - 1
				clear(b.Bytes()[at : at+memory.PageSize])
				b.MarkDirty(at, memory.PageSize)
				continue
			}
			b.Bytes()[at] = uint8(r.Uint32())
			b.MarkDirty(at, 1)
		}
	}
	write()
	rounds := 0
	s := NewSaver(src, func() { rounds++ })
	defer s.Close()
	s.SetXBZRLE(cache)
	var out bytes.Buffer
	sink := wire.NewSink(&out)
	s.Setup(sink)
	for range 20 {
		write()
		s.Send(sink, 1+r.Int64N(100*memory.PageSize))
		s.End(sink)
		if err := sink.Flush(); err != nil { // before memory changes again
			t.Fatal(err)
		}
		s.Sync()
	}
	write()
	s.Stop()
	s.Sync()
	if !s.Send(sink, 1<<62) {
		t.Error("something is left")
	}
	s.End(sink)
	if err := sink.Flush(); err != nil {
		t.Fatal(err)
	}
	if s.Pending() != 0 || rounds != 21 || uint64(out.Len()) < s.Transferred.Load() {
		t.Errorf("%d bytes pending, %d rounds, %d bytes transferred of %d", s.Pending(), rounds, s.Transferred.Load(), out.Len())
	}
	l := Loader{Blocks: dst, Dropped: func(name string) bool { return name == "pc.bios" }}
	rd := vmstate.NewStream(&out)
	for range 22 {
		if err := l.Load(rd, Version); err != nil {
			t.Fatal(err)
		}
	}
	for i, b := range dst {
		if !bytes.Equal(b.Bytes(), src[i].Bytes()) {
			t.Errorf("%s differs", b.Name())
		}
	}
	if rd.Len() != 0 {
		t.Errorf("%d bytes left", rd.Len())
	}
	if x := &s.XBZRLE; (cache != 0) != (x.Pages.Load() > 0 && x.Misses.Load() > 0 && x.Bytes.Load() < x.Pages.Load()*memory.PageSize/2) {
		t.Errorf("%d pages encoded in %d bytes, %d misses", x.Pages.Load(), x.Bytes.Load(), x.Misses.Load())
	}
}

// TestFree: pages that are said to be free are not sent unless they are written to afterwards.
func TestFree(t *testing.T) {
	src, dst := ramtest.NewBlock(t, "pc.ram", 200), ramtest.NewBlock(t, "pc.ram", 200)
	fill := func(b *memory.RAMBlock, v byte) {
		for i := range b.Bytes() {
			b.Bytes()[i] = v
		}
	}
	fill(src, 1)
	fill(dst, 2)
	var out bytes.Buffer
	sink := wire.NewSink(&out)
	s := NewSaver([]*memory.RAMBlock{src}, func() {})
	defer s.Close()
	calls := ""
	s.FreedLater, s.BeforeSync, s.OnSync = true, func() { calls += "b" }, func() { calls += "a" }
	s.Setup(sink)
	s.Free(src, 100, 10*memory.PageSize)                          // of which nine are whole
	s.Free(src, 50*memory.PageSize, 150*memory.PageSize+1<<40)    // to the end
	s.Free(ramtest.NewBlock(t, "other", 1), 0, 1*memory.PageSize) // of nobody
	const left = 200 - 9 - 150
	if n := s.Pending(); n != left*memory.PageSize {
		t.Errorf("%d pages pending", n/memory.PageSize)
	}
	s.Send(sink, 1<<40)
	s.End(sink)
	src.Bytes()[60*memory.PageSize] = 3
	src.MarkDirty(60*memory.PageSize, 1)
	s.Sync()
	s.Send(sink, 1<<40)
	s.End(sink)
	if err := sink.Flush(); err != nil {
		t.Fatal(err)
	}
	l, rd := Loader{Blocks: []*memory.RAMBlock{dst}}, vmstate.NewStream(&out)
	for range 3 {
		if err := l.Load(rd, Version); err != nil {
			t.Fatal(err)
		}
	}
	for p := range 200 {
		want := byte(1)
		switch {
		case p == 60:
			want = 3
		case p >= 1 && p < 10 || p >= 50:
			want = 2
		}
		if got := dst.Bytes()[p*memory.PageSize]; got != want {
			t.Errorf("page %d has %d, want %d", p, got, want)
		}
	}
	if calls != "baba" {
		t.Error(calls)
	}
}

func TestRefused(t *testing.T) {
	name := func(w *vmstate.Writer, s string) { w.U8(uint8(len(s))); w.Raw([]byte(s)) }
	for want, fill := range map[string]func(w *vmstate.Writer){
		`Unknown ramblock "other", cannot accept migration`: func(w *vmstate.Writer) { w.U64(0x4000 | flagMemSize); name(w, "other"); w.U64(0x4000) },
		"Size mismatch: pc.ram: 0x3000 != 0x4000":           func(w *vmstate.Writer) { w.U64(0x3000 | flagMemSize); name(w, "pc.ram"); w.U64(0x3000) },
		"Illegal RAM offset 4000":                           func(w *vmstate.Writer) { w.U64(0x4000 | flagZero); name(w, "pc.ram"); w.U8(0) },
		"Can't find block x":                                func(w *vmstate.Writer) { w.U64(flagPage); name(w, "x") },
		"Ack, bad migration stream!":                        func(w *vmstate.Writer) { w.U64(flagPage | flagContinue) },
		"Unknown combination of migration flags: 0x80":      func(w *vmstate.Writer) { w.U64(0x80) },
		"XBZRLE page - wrong compression!":                  func(w *vmstate.Writer) { w.U64(flagXBZRLE); name(w, "pc.ram"); w.U8(2); w.U16(0) },
		"XBZRLE page - len overflow!":                       func(w *vmstate.Writer) { w.U64(flagXBZRLE); name(w, "pc.ram"); w.U8(1); w.U16(4097) },
		"XBZRLE page - decode error!":                       func(w *vmstate.Writer) { w.U64(flagXBZRLE); name(w, "pc.ram"); w.U8(1); w.U16(1); w.U8(0) },
		"Received an unexpected compressed page":            func(w *vmstate.Writer) { w.U64(0x100) },
		"unexpected end of the state":                       func(w *vmstate.Writer) { w.U64(flagPage); name(w, "pc.ram"); w.U64(1) },
	} {
		var w vmstate.Writer
		fill(&w)
		l := Loader{Blocks: []*memory.RAMBlock{ramtest.NewBlock(t, "pc.ram", 4)}}
		if err := l.Load(vmstate.NewReader(w.Bytes()), Version); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func FuzzLoad(f *testing.F) {
	b := ramtest.NewBlock(f, "pc.ram", 4)
	s := NewSaver([]*memory.RAMBlock{b}, func() {})
	var out bytes.Buffer
	sink := wire.NewSink(&out)
	b.Bytes()[5000] = 1
	s.Setup(sink)
	s.Send(sink, 1<<62)
	s.End(sink)
	_ = sink.Flush()
	s.Close()
	f.Add(out.Bytes())
	f.Fuzz(func(_ *testing.T, data []byte) {
		l := Loader{Blocks: []*memory.RAMBlock{b}, Dropped: func(name string) bool { return name == "pc.bios" }}
		r := vmstate.NewStream(bytes.NewReader(data))
		for range 3 {
			if l.Load(r, Version) != nil {
				return
			}
		}
	})
}

// FuzzXBZRLE: what an encoding says makes the one page out of the other, and nothing that is none does harm.
func FuzzXBZRLE(f *testing.F) {
	f.Add([]byte("some bytes of a page"), []byte("some other bytes of a page"))
	f.Add([]byte{}, []byte{0, 1, 7, 130, 1, 1, 9})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		var before, now, page [memory.PageSize]byte
		copy(before[:], a)
		copy(now[:], b)
		page = before
		enc, err := encodeXBZRLE(nil, before[:], now[:], memory.PageSize)
		if err == nil && (len(enc) > memory.PageSize || !decodeXBZRLE(page[:], enc) || page != now) {
			t.Errorf("%x does not make %x of %x", enc, now, before)
		}
		if err == nil && len(enc) == 0 && before != now {
			t.Error("pages that differ count as equal")
		}
		decodeXBZRLE(page[:], b)
	})
}
