package ring_test

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"goemu/block"
	"goemu/hw/virtio/ring"
	"goemu/hw/virtio/virtiotest"
	"goemu/internal/memory"
)

func setupPacked(t testing.TB, num uint16, eventIdx bool) (*virtiotest.PackedDriver, *ring.Queue) {
	t.Helper()
	d := virtiotest.NewPackedDriver(virtiotest.NewMemory(t), base, num, eventIdx)
	q := ring.New(d.Mem)
	if err := q.Setup(d.Cfg); err != nil {
		t.Fatal(err)
	}
	return d, q
}

// packedChain is what a driver has made available.
type packedChain struct {
	id    uint16
	out   []byte
	in    []virtiotest.Buf
	descs int
}

// TestPackedModel moves random chains through queues of odd sizes, gives them back in any order and moves the queue to another device in
// between: contents, lengths, places and suppression must be right.
func TestPackedModel(t *testing.T) {
	for _, eventIdx := range []bool{false, true} {
		rapid.Check(t, func(r *rapid.T) {
			d, q := setupPacked(t, uint16(rapid.SampledFrom([]int{1, 5, 16, 23}).Draw(r, "size")), eventIdx)
			defer d.Mem.View().Find(0).RAM.Free()
			var sent, heldChains []packedChain
			var held []ring.Used
			addr := uint64(1 << 20)
			for range rapid.IntRange(1, 60).Draw(r, "steps") {
				switch rapid.IntRange(0, 4).Draw(r, "op") {
				case 0:
					n := rapid.IntRange(1, 5).Draw(r, "bufs")
					c := packedChain{descs: n}
					indirect := rapid.Bool().Draw(r, "indirect")
					if indirect {
						c.descs = 1
					}
					if d.Free < c.descs {
						continue
					}
					bufs, out := randomBufs(r, d.Mem, n, &addr)
					c.out, c.in = out, written(bufs)
					at, wrap := d.Place()
					if indirect {
						c.id = d.AddIndirect(0x20000, bufs...)
						d.Mem.Write(0x20000+16*uint64(n), make([]byte, 16)) // what is behind the table does not count
						if len(sent) > 0 {                                  // there is one table only
							sent = append(sent, c)
							drainPacked(r, d, q, &sent, &heldChains, &held)
							continue
						}
					} else {
						c.id = d.Add(bufs...)
					}
					if len(sent) == 0 && !d.MustKick(at, wrap) {
						r.Fatal("the device waits, but does not want to be notified")
					}
					sent = append(sent, c)
					if indirect {
						drainPacked(r, d, q, &sent, &heldChains, &held)
					}
				case 1:
					drainPacked(r, d, q, &sent, &heldChains, &held)
				case 2:
					if e, err := q.Pop(); err != nil {
						r.Fatal(err)
					} else if e != nil {
						q.Unpop(e)
					}
				case 3:
					givePacked(r, d, q, &heldChains, &held)
				case 4:
					if len(held) > 0 {
						continue // what is held is the device's
					}
					to := ring.New(d.Mem)
					if err := to.Setup(d.Cfg); err != nil {
						r.Fatal(err)
					}
					if err := to.Restore(q.Position(), q.InUse()); err != nil {
						r.Fatal(err)
					}
					q = to
					q.SetNotify(false)
					q.SetNotify(true)
				}
				descs := 0
				for _, c := range heldChains {
					descs += c.descs
				}
				if got := q.InUse(); got != descs {
					r.Fatalf("%d in use, want %d", got, descs)
				}
			}
		})
	}
}

// drainPacked takes what is available.
func drainPacked(r *rapid.T, d *virtiotest.PackedDriver, q *ring.Queue, sent, heldChains *[]packedChain, held *[]ring.Used) {
	for {
		e, err := q.Pop()
		if err != nil {
			r.Fatal(err)
		}
		if e == nil {
			break
		}
		if len(*sent) == 0 {
			r.Fatal("a chain that is not there")
		}
		c := (*sent)[0]
		*sent = (*sent)[1:]
		got := make([]byte, e.OutLen())
		block.IovGather(got, e.Out)
		if e.Head != c.id || !bytes.Equal(got, c.out) || len(e.In) != len(c.in) {
			r.Fatalf("wrong chain: id %d, want %d", e.Head, c.id)
		}
		for i, b := range e.In {
			for j := range b {
				b[j] = byte(i + 1)
			}
		}
		*held, *heldChains = append(*held, ring.Used{Elem: e, Written: uint32(e.InLen())}), append(*heldChains, c)
	}
	if len(*sent) != 0 {
		r.Fatal("an available chain was not found")
	}
	if q.SetNotify(true) {
		r.Fatal("must look again, but nothing is there")
	}
}

// givePacked gives some chains back, not in the order of their coming.
func givePacked(r *rapid.T, d *virtiotest.PackedDriver, q *ring.Queue, heldChains *[]packedChain, held *[]ring.Used) {
	if len(*held) == 0 {
		return
	}
	k := rapid.IntRange(1, len(*held)).Draw(r, "batch")
	first := rapid.IntRange(0, len(*held)-k).Draw(r, "first")
	at, wrap := d.UsedPlace()
	flags := uint16(virtiotest.EventDesc)
	if !d.Cfg.EventIdx {
		flags = virtiotest.EventEnable
	}
	d.SetEvent(at, wrap, flags)
	batch := append([]ring.Used(nil), (*held)[first:first+k]...)
	chains := append([]packedChain(nil), (*heldChains)[first:first+k]...)
	*held = append((*held)[:first], (*held)[first+k:]...)
	*heldChains = append((*heldChains)[:first], (*heldChains)[first+k:]...)
	if !q.PushAll(batch) {
		r.Fatal("no interrupt")
	}
	for _, c := range chains {
		id, n, ok := d.Next()
		var want uint32
		for _, b := range c.in {
			want += b.Len
		}
		if !ok || id != c.id || n != want {
			r.Fatalf("used: id %d, %d bytes, %v; want %d, %d bytes", id, n, ok, c.id, want)
		}
	}
	if _, _, ok := d.Next(); ok {
		r.Fatal("more is used than was given back")
	}
}

func TestPackedSuppression(t *testing.T) {
	d, q := setupPacked(t, 3, true)
	move := func() bool {
		t.Helper()
		d.Add(virtiotest.Buf{Addr: 1 << 20, Len: 16, Write: true})
		e, err := q.Pop()
		if err != nil || e == nil {
			t.Fatal(e, err)
		}
		irq := q.Push(e, 16)
		d.Next()
		return irq
	}
	d.SetEvent(0, false, virtiotest.EventDisable)
	if move() {
		t.Error("interrupt in spite of the flag")
	}
	d.SetEvent(0, false, virtiotest.EventEnable)
	if !move() {
		t.Error("no interrupt")
	}
	d.SetEvent(1, false, virtiotest.EventDesc)             // in the next turn
	for i, want := range []bool{true, false, true, true} { // the first and the last are at the ring's end, behind which nothing can be compared
		if got := move(); got != want {
			t.Errorf("%d: interrupt %v", i, got)
		}
	}
	q.SetNotify(false)
	if at, wrap := d.Place(); d.MustKick(at, wrap) {
		t.Error("the driver is asked to notify")
	}
	d.Add(virtiotest.Buf{Addr: 1 << 20, Len: 16, Write: true})
	if !q.SetNotify(true) {
		t.Error("the new buffer was overlooked")
	}
}

func TestPackedHostile(t *testing.T) {
	const ok = 1 << 20
	for _, c := range []struct {
		name string
		prep func(d *virtiotest.PackedDriver)
		want string
	}{
		{"loop", func(d *virtiotest.PackedDriver) {
			for i := range 8 {
				d.Put(base, i, virtiotest.Buf{Addr: ok, Len: 1}, 0, virtiotest.FlagNext|virtiotest.FlagAvail)
			}
		}, "Looped descriptor"},
		{"empty buffer", func(d *virtiotest.PackedDriver) { d.Add(virtiotest.Buf{Addr: ok}) }, "virtio: zero sized buffers are not allowed"},
		{"no memory there", func(d *virtiotest.PackedDriver) { d.Add(virtiotest.Buf{Addr: 1 << 40, Len: 4}) }, "virtio: bogus descriptor or out of resources"},
		{"order", func(d *virtiotest.PackedDriver) {
			d.Add(virtiotest.Buf{Addr: ok, Len: 4, Write: true}, virtiotest.Buf{Addr: ok, Len: 4})
		}, "Incorrect order for descriptors"},
		{"indirect size", func(d *virtiotest.PackedDriver) {
			d.Put(base, 0, virtiotest.Buf{Addr: ok, Len: 24}, 0, virtiotest.FlagIndirect|virtiotest.FlagAvail)
		}, "Invalid size for indirect buffer table"},
		{"indirect too large", func(d *virtiotest.PackedDriver) {
			d.Put(base, 0, virtiotest.Buf{Addr: ok, Len: 16 * (ring.MaxSize + 1)}, 0, virtiotest.FlagIndirect|virtiotest.FlagAvail)
		}, "Looped descriptor"},
		{"indirect nowhere", func(d *virtiotest.PackedDriver) {
			d.Put(base, 0, virtiotest.Buf{Addr: 1 << 40, Len: 0xfffffff0}, 0, virtiotest.FlagIndirect|virtiotest.FlagAvail)
		}, "Cannot map indirect buffer"},
		{"events nowhere", func(d *virtiotest.PackedDriver) { d.Cfg.Used = 1 << 40 }, "Cannot map used"},
		{"ring nowhere", func(d *virtiotest.PackedDriver) { d.Cfg.Desc = 1 << 40 }, "Cannot map desc"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, q := setupPacked(t, 8, false)
			c.prep(d)
			wantError(t, q, d.Cfg, c.want)
		})
	}
	t.Run("another size", func(t *testing.T) {
		d, q := setupPacked(t, 8, false)
		d.Cfg.Num = 4
		if err := q.Setup(d.Cfg); err == nil {
			t.Error("a queue in use changed its size")
		}
	})
	t.Run("loaded", func(t *testing.T) {
		for _, p := range []ring.Position{{Avail: ring.Place{Index: 8}}, {Used: ring.Place{Index: 0xffff}}} {
			_, q := setupPacked(t, 8, false)
			if err := q.Restore(p, 0); err == nil {
				t.Errorf("%+v is taken", p)
			}
			if e, err := q.Pop(); e != nil || err != nil { // the machine may go on after a load that failed
				t.Error(e, err)
			}
		}
	})
}

// TestAdopt moves a chain that is held to another device, in both forms.
func TestAdopt(t *testing.T) {
	for name, packed := range map[string]bool{"split": false, "packed": true} {
		t.Run(name, func(t *testing.T) {
			bufs := []virtiotest.Buf{{Addr: 1 << 20, Len: 4}, {Addr: 2 << 20, Len: 5000, Write: true}, {Addr: 3 << 20, Len: 1, Write: true}}
			var cfg ring.Config
			var next func() (uint16, uint32, bool)
			var head uint16
			var mem *memory.AddressSpace
			if packed {
				d, _ := setupPacked(t, 8, false)
				head, cfg, next, mem = d.Add(bufs...), d.Cfg, d.Next, d.Mem
			} else {
				d, _ := setup(t, 8, false)
				head, cfg, next, mem = d.Add(bufs...), d.Cfg, d.Next, d.Mem
			}
			from, to := ring.New(mem), ring.New(mem)
			if err := from.Setup(cfg); err != nil {
				t.Fatal(err)
			}
			e, err := from.Pop()
			if err != nil || e == nil {
				t.Fatal(e, err)
			}
			if err := to.Setup(cfg); err != nil {
				t.Fatal(err)
			}
			if err := to.Restore(from.Position(), from.InUse()); err != nil {
				t.Fatal(err)
			}
			got, err := to.Adopt(e.Taken())
			if err != nil {
				t.Fatal(err)
			}
			if got.OutLen() != 4 || got.InLen() != 5001 || to.InUse() != from.InUse() {
				t.Errorf("%d and %d bytes, %d in use", got.OutLen(), got.InLen(), to.InUse())
			}
			to.Push(got, 77)
			if id, n, ok := next(); id != head || n != 77 || !ok {
				t.Error(id, n, ok)
			}
			if to.InUse() != 0 {
				t.Errorf("%d in use at the end", to.InUse())
			}
			for _, bad := range []ring.Taken{{Head: 0, Descs: 9}, {Head: 0, Descs: 1, In: []ring.Span{{Addr: 1 << 20, Len: 1 << 33}}}, {Head: 9}} {
				if packed || bad.Descs != 9 {
					if _, err := to.Adopt(bad); err == nil {
						t.Errorf("%+v is taken", bad)
					}
				}
			}
		})
	}
}

// FuzzPackedPop lets the fuzzer write the ring.
func FuzzPackedPop(f *testing.F) {
	f.Add([]byte{0, 0, 0x10, 0, 0, 0, 0, 0, 16, 0, 0, 0, 1, 0, 0x80, 0}, uint32(0x2_0000), uint8(8))
	f.Add(bytes.Repeat([]byte{0, 0, 1, 0, 0, 0, 0, 0, 16, 0, 0, 0, 4, 0, 0x81, 0}, 7), uint32(0x2_8001), uint8(7))
	f.Fuzz(func(t *testing.T, table []byte, event uint32, num uint8) {
		if num == 0 {
			return
		}
		d, q := setupPacked(t, uint16(num), event&1 != 0)
		defer d.Mem.View().Find(0).RAM.Free()
		for turn := range 20 {
			d.Mem.Write(base, table[:min(len(table), 16*int(num))])
			d.Mem.Store(d.Cfg.Avail, 4, uint64(event))
			var done []ring.Used
			for range 4 {
				e, err := q.Pop()
				if err != nil {
					return
				}
				if e == nil {
					break
				}
				for _, b := range e.In {
					clear(b[:min(len(b), 64)])
				}
				done = append(done, ring.Used{Elem: e, Written: event})
			}
			if turn%3 == 1 && len(done) > 0 {
				q.Unpop(done[len(done)-1].Elem)
				done = done[:len(done)-1]
			}
			q.PushAll(done)
			q.SetNotify(turn%2 == 0)
		}
	})
}
