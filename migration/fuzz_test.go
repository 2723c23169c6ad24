package migration

import (
	"bytes"
	"io"
	"slices"
	"testing"

	"goemu/block"
	"goemu/block/driver/null"
	"goemu/hw/qdev"
	"goemu/internal/mainloop"
	"goemu/internal/memory"
	"goemu/migration/channel"
	"goemu/migration/ram"
	"goemu/migration/vmstate"
	"goemu/migration/wire"
)

// chip is a device with a state of every kind.
type chip struct {
	a   uint8
	b   [3]uint32
	c   [5]byte
	sub uint16
}

var chipState = vmstate.Description[chip]{Name: "chip", Version: 2, MinVersion: 1,
	Fields: []vmstate.Field[chip]{
		vmstate.Of("a", func(c *chip) *uint8 { return &c.a }),
		vmstate.Array("b", func(c *chip) []uint32 { return c.b[:] }),
		vmstate.Buffer("c", len(chip{}.c), func(c *chip) []byte { return c.c[:] }).Since(2),
	},
	Subsections: []*vmstate.Description[chip]{{Name: "chip/sub", Version: 1, MinVersion: 1, Needed: func(c *chip) bool { return c.sub != 0 },
		Fields: []vmstate.Field[chip]{vmstate.Of("sub", func(c *chip) *uint16 { return &c.sub })}}},
}

// newEngine makes the engine of a machine with a chip, a little RAM and a disk, with bitmaps if that is wanted.
func newEngine(t testing.TB, bitmaps bool) (*Engine, *chip, *memory.RAMBlock) {
	t.Helper()
	b, err := memory.NewRAMBlock("pc.ram", 4*memory.PageSize)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Free() })
	c := &chip{}
	e := New()
	e.M = Machine{
		Name: "pc", VM: mainloop.NewVM(mainloop.Main), RAM: func() []*memory.RAMBlock { return []*memory.RAMBlock{b} }, LoadDone: func() {},
		Sections: func(bool) []qdev.Section { return []qdev.Section{{Name: "chip", State: chipState.Bind(c)}} },
		Graph:    block.NewGraph(null.Drivers),
		Dropped:  func(name string) bool { return name == "rom" },
	}
	e.M.Graph.Lock()
	defer e.M.Graph.Unlock()
	e.M.Graph.Messages = io.Discard
	n, err := e.M.Graph.Open(t.Context(), "", block.OptionsOf("driver", "null-co", "node-name", "disk", "size", "1048576"), block.Mode{})
	if err != nil {
		t.Fatal(err)
	}
	if bitmaps {
		for _, name := range []string{"one", "two"} {
			b, err := n.AddBitmap(t.Context(), name, 65536)
			if err != nil {
				t.Fatal(err)
			}
			b.Set(1<<17, 1<<18)
		}
	}
	return e, c, b
}

// stream is what a source sends.
func stream(t testing.TB) []byte {
	t.Helper()
	e, c, b := newEngine(t, true)
	*c = chip{a: 1, b: [3]uint32{2, 3, 4}, c: [5]byte{5}, sub: 6}
	copy(b.Bytes()[memory.PageSize:], "some content")
	b.MarkDirty(0, b.Size())
	var out bytes.Buffer
	g := new(globalState)
	g.set(mainloop.StateRunning)
	sink := wire.NewSink(&out)
	e.caps[CapDirtyBitmaps] = true
	o := newOutgoing(e)
	o.sink = sink
	if err := o.takeBitmaps(); err != nil {
		t.Fatal(err)
	}
	saver := ram.NewSaver(e.M.RAM(), nil)
	e.writeState(sink, saver, g)
	saver.Close()
	if err := sink.Flush(); err != nil {
		t.Fatal(err)
	}
	// The bitmaps' section is put in after the head and the configuration, as in a migration.
	var part bytes.Buffer
	o.sink = wire.NewSink(&part)
	o.announceBitmaps()
	o.sendBitmaps()
	if err := o.sink.Flush(); err != nil {
		t.Fatal(err)
	}
	const head = 4 + 4 + 1 + 4 + len("pc")
	return slices.Concat(out.Bytes()[:head], part.Bytes(), out.Bytes()[head:])
}

// TestStream loads what was saved.
func TestStream(t *testing.T) {
	e, c, b := newEngine(t, false)
	if err := (&loader{e: e}).load(bytes.NewReader(stream(t))); err != nil {
		t.Fatal(err)
	}
	if want := (chip{a: 1, b: [3]uint32{2, 3, 4}, c: [5]byte{5}, sub: 6}); *c != want || string(b.Bytes()[memory.PageSize:memory.PageSize+4]) != "some" || e.global != "running" {
		t.Errorf("%+v %q", *c, e.global)
	}
	e.M.Graph.Lock()
	defer e.M.Graph.Unlock()
	for _, name := range []string{"one", "two"} {
		if m := e.M.Graph.Find("disk").FindBitmap(name); m == nil || m.Count() != 1<<18 || !m.Get(1<<17) || !m.State().Enabled {
			t.Errorf("bitmap %s has not come in: %+v", name, m)
		}
	}
}

// deaf is a channel that only says which way it goes.
type deaf struct{ channel.Channel }

func (deaf) TwoWay() bool { return false }

// postcopyStream is what a source sends whose bitmaps follow behind the machine.
func postcopyStream(t testing.TB) []byte {
	t.Helper()
	e, c, b := newEngine(t, true)
	*c = chip{a: 1, sub: 6}
	b.MarkDirty(0, b.Size())
	e.caps[CapDirtyBitmaps] = true
	var out bytes.Buffer
	g := new(globalState)
	g.set(mainloop.StateRunning)
	withMachine(func() { e.M.VM.SetState(mainloop.StateFinishMigrate) })
	o := newOutgoing(e)
	o.sink, o.saver = wire.NewSink(&out), ram.NewSaver(e.M.RAM(), nil)
	defer o.saver.Close()
	for _, f := range []func() error{o.begin, func() error { return o.handOver(g) }, o.sendBitmapsAfter} {
		if err := f(); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

// TestPostcopyStream loads a machine before its bitmaps, which are given up where the stream breaks off after that.
func TestPostcopyStream(t *testing.T) {
	whole := postcopyStream(t)
	for cut := range 60 {
		e, c, _ := newEngine(t, false)
		l := &loader{e: e, ch: deaf{}}
		err := l.load(bytes.NewReader(whole[:len(whole)-cut]))
		if (err == nil) != (cut == 0) || l.phase != running || *c != (chip{a: 1, sub: 6}) || e.global != "running" || e.incomingStatus() != PostcopyActive {
			t.Fatalf("cut %d: %v, phase %d, %+v %q", cut, err, l.phase, *c, e.global)
		}
		l.bitmaps.giveUp()
		e.M.Graph.Lock()
		for _, name := range []string{"one", "two"} {
			m := e.M.Graph.Find("disk").FindBitmap(name)
			if m == nil && cut == 0 || m != nil && (m.Count() != 1<<18 || !m.State().Enabled || m.State().Busy || m.HasSuccessor()) {
				t.Errorf("cut %d: bitmap %s: %+v", cut, name, m)
			}
		}
		e.M.Graph.Unlock()
	}
}

// FuzzStream loads anything: there is a state or an error, and no more memory is taken than the machine has.
func FuzzStream(f *testing.F) {
	good := stream(f)
	f.Add(good)
	for _, n := range []int{0, 8, 20, len(good) / 2, len(good) - 1} {
		f.Add(good[:n])
	}
	f.Add(postcopyStream(f))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, _, _ := newEngine(t, false)
		if err := (&loader{e: e, ch: deaf{}}).load(bytes.NewReader(data)); err != nil && err.Error() == "" {
			t.Error("an error without words")
		}
	})
}
