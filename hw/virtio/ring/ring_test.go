package ring_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"pgregory.net/rapid"

	"goemu/block"
	"goemu/hw/virtio/ring"
	"goemu/hw/virtio/virtiotest"
	"goemu/internal/memory"
)

const base = 0x10000 // of the rings; buffers lie above 1 MiB

func setup(t testing.TB, num uint16, eventIdx bool) (*virtiotest.Driver, *ring.Queue) {
	t.Helper()
	mem := virtiotest.NewMemory(t)
	d := virtiotest.NewDriver(mem, base, num, eventIdx)
	q := ring.New(mem)
	if err := q.Setup(d.Cfg); err != nil {
		t.Fatal(err)
	}
	return d, q
}

// randomBufs draws the n buffers of a chain from addr on and fills those that the device reads, which is out.
func randomBufs(r *rapid.T, mem *memory.AddressSpace, n int, addr *uint64) (bufs []virtiotest.Buf, out []byte) {
	writes := rapid.IntRange(0, n).Draw(r, "writes")
	for i := range n {
		b := virtiotest.Buf{Addr: *addr, Len: uint32(rapid.IntRange(1, 3000).Draw(r, "len")), Write: i >= n-writes}
		if *addr += 4096; *addr+8192 > virtiotest.RAMSize {
			*addr = 1 << 20
		}
		if !b.Write {
			data := bytes.Repeat([]byte{byte(*addr >> 12), byte(i)}, int(b.Len+1)/2)[:b.Len]
			mem.Write(b.Addr, data)
			out = append(out, data...)
		}
		bufs = append(bufs, b)
	}
	return bufs, out
}

// written are the buffers that the device writes.
func written(bufs []virtiotest.Buf) (in []virtiotest.Buf) {
	for _, b := range bufs {
		if b.Write {
			in = append(in, b)
		}
	}
	return in
}

// TestModel moves random chains through a queue and checks contents, order, lengths and both suppression mechanisms.
func TestModel(t *testing.T) {
	for _, eventIdx := range []bool{false, true} {
		d, q := setup(t, 16, eventIdx)
		type chain struct {
			head uint16
			out  []byte
			in   []virtiotest.Buf
		}
		var sent []chain       // made available, not popped
		var held []ring.Used   // popped
		var heldChains []chain // in step with held
		done := map[uint16]chain{}
		addr := uint64(1 << 20)
		rapid.Check(t, func(r *rapid.T) {
			for range rapid.IntRange(1, 30).Draw(r, "steps") {
				switch rapid.IntRange(0, 3).Draw(r, "op") {
				case 0:
					n := rapid.IntRange(1, 5).Draw(r, "bufs")
					indirect := rapid.Bool().Draw(r, "indirect")
					if d.Free() < n || len(d.Mem.View().Ranges) == 0 {
						continue
					}
					var c chain
					bufs, out := randomBufs(r, d.Mem, n, &addr)
					c.out, c.in = out, written(bufs)
					old := d.AvailIdx
					if indirect {
						c.head = d.AddIndirect(addr, bufs...)
						if addr += 4096; addr+8192 > virtiotest.RAMSize {
							addr = 1 << 20
						}
					} else {
						c.head = d.Add(bufs...)
					}
					if len(sent) == 0 && !d.MustKick(old) {
						r.Fatal("the device waits, but does not want to be notified")
					}
					sent = append(sent, c)
				case 1:
					e, err := q.Pop()
					if err != nil {
						r.Fatal(err)
					}
					if e == nil {
						if len(sent) != 0 {
							r.Fatal("an available chain was not found")
						}
						if q.SetNotify(true) {
							r.Fatal("must look again, but nothing is there")
						}
						continue
					}
					c := sent[0]
					sent = sent[1:]
					got := make([]byte, e.OutLen())
					block.IovGather(got, e.Out)
					if e.Head != c.head || !bytes.Equal(got, c.out) {
						r.Fatalf("wrong chain: head %d, want %d", e.Head, c.head)
					}
					for i, b := range e.In {
						for j := range b {
							b[j] = byte(i + 1)
						}
					}
					held = append(held, ring.Used{Elem: e, Written: uint32(e.InLen())})
					heldChains = append(heldChains, c)
				case 2:
					if len(held) == 0 {
						continue
					}
					k := rapid.IntRange(1, len(held)).Draw(r, "batch")
					for _, c := range heldChains[:k] {
						done[c.head] = c
					}
					old := d.UsedIdx
					d.SetUsedEvent(old)
					var irq bool
					if k == 1 {
						irq = q.Push(held[0].Elem, held[0].Written)
					} else {
						irq = q.PushAll(held[:k])
					}
					held, heldChains = held[k:], heldChains[k:]
					if !irq {
						r.Fatal("no interrupt")
					}
					for range k {
						head, n, ok := d.Next()
						c := done[head]
						if !ok || c.out == nil && c.in == nil {
							r.Fatalf("used: %d %v", head, ok)
						}
						delete(done, head)
						var want uint32
						for i, b := range c.in {
							want += b.Len
							v, _ := d.Mem.Load(b.Addr+uint64(b.Len)-1, 1)
							if v != uint64(i+1) {
								r.Fatalf("buffer %d was not written", i)
							}
						}
						if n != want {
							r.Fatalf("length %d, want %d", n, want)
						}
					}
				}
				if got := q.InUse(); got != len(held) {
					r.Fatalf("%d in use, want %d", got, len(held))
				}
			}
		})
	}
}

func TestSuppression(t *testing.T) {
	buf := virtiotest.Buf{Addr: 1 << 20, Len: 16, Write: true}
	move := func(t *testing.T, d *virtiotest.Driver, q *ring.Queue) bool {
		t.Helper()
		d.Add(buf)
		e, err := q.Pop()
		if err != nil || e == nil {
			t.Fatal(e, err)
		}
		irq := q.Push(e, 16)
		d.Next()
		return irq
	}
	t.Run("flags", func(t *testing.T) {
		d, q := setup(t, 8, false)
		d.SetNoInterrupt(true)
		if move(t, d, q) {
			t.Error("interrupt in spite of the flag")
		}
		d.SetNoInterrupt(false)
		if !move(t, d, q) {
			t.Error("no interrupt")
		}
		q.SetNotify(false)
		if d.MustKick(0) {
			t.Error("the driver is asked to notify")
		}
		d.Add(buf)
		if !q.SetNotify(true) || !d.MustKick(0) {
			t.Error("the new buffer was overlooked")
		}
	})
	t.Run("event index", func(t *testing.T) {
		d, q := setup(t, 8, true)
		d.SetUsedEvent(3)
		want := []bool{true, false, false, true, false} // the first one has no previous position to compare with
		for i, w := range want {
			if got := move(t, d, q); got != w {
				t.Errorf("%d: interrupt %v", i, got)
			}
		}
	})
	t.Run("on empty", func(t *testing.T) {
		d, q := setup(t, 8, false)
		d.Cfg.NotifyOnEmpty = true
		q.Setup(d.Cfg)
		d.SetNoInterrupt(true)
		if !move(t, d, q) {
			t.Error("no interrupt when the queue ran empty")
		}
	})
}

// wantError sets a queue up and takes a chain, which must fail with a text.
func wantError(t *testing.T, q *ring.Queue, cfg ring.Config, want string) {
	t.Helper()
	if err := q.Setup(cfg); err != nil {
		t.Fatal(err)
	}
	e, err := q.Pop()
	if err == nil || err.Error() != want || e != nil {
		t.Errorf("%v %v, want %s", e, err, want)
	}
}

func TestHostile(t *testing.T) {
	const ok = 1 << 20
	for _, c := range []struct {
		name string
		prep func(d *virtiotest.Driver)
		want string
	}{
		{"index jump", func(d *virtiotest.Driver) { d.Mem.Store(d.Cfg.Avail+2, 2, 100) }, "Guest moved used index from 0 to 100"},
		{"bad head", func(d *virtiotest.Driver) { d.Publish(8) }, "Guest says index 8 is available"},
		{"bad next", func(d *virtiotest.Driver) {
			d.PutDesc(base, 0, virtiotest.Buf{Addr: ok, Len: 1}, virtiotest.FlagNext, 99)
			d.Publish(0)
		}, "Desc next is 99"},
		{"loop", func(d *virtiotest.Driver) {
			d.PutDesc(base, 0, virtiotest.Buf{Addr: ok, Len: 1}, virtiotest.FlagNext, 0)
			d.Publish(0)
		}, "Looped descriptor"},
		{"empty buffer", func(d *virtiotest.Driver) { d.Add(virtiotest.Buf{Addr: ok}) }, "virtio: zero sized buffers are not allowed"},
		{"no memory there", func(d *virtiotest.Driver) { d.Add(virtiotest.Buf{Addr: 1 << 40, Len: 4}) }, "virtio: bogus descriptor or out of resources"},
		{"end of memory", func(d *virtiotest.Driver) {
			d.Add(virtiotest.Buf{Addr: virtiotest.RAMSize - 8, Len: 9})
		}, "virtio: bogus descriptor or out of resources"},
		{"address wraps", func(d *virtiotest.Driver) { d.Add(virtiotest.Buf{Addr: ^uint64(0) - 3, Len: 64}) }, "virtio: bogus descriptor or out of resources"},
		{"order", func(d *virtiotest.Driver) {
			d.Add(virtiotest.Buf{Addr: ok, Len: 4, Write: true}, virtiotest.Buf{Addr: ok, Len: 4})
		}, "Incorrect order for descriptors"},
		{"indirect size", func(d *virtiotest.Driver) {
			d.PutDesc(base, 0, virtiotest.Buf{Addr: ok, Len: 24}, virtiotest.FlagIndirect, 0)
			d.Publish(0)
		}, "Invalid size for indirect buffer table"},
		{"indirect nowhere", func(d *virtiotest.Driver) {
			d.PutDesc(base, 0, virtiotest.Buf{Addr: 1 << 40, Len: 0xfffffff0}, virtiotest.FlagIndirect, 0)
			d.Publish(0)
		}, "Cannot map indirect buffer"},
		{"rings nowhere", func(d *virtiotest.Driver) { d.Cfg.Used = 1 << 40 }, "Cannot map used"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, q := setup(t, 8, false)
			c.prep(d)
			wantError(t, q, d.Cfg, c.want)
		})
	}
}

func TestResetDropsOldElements(t *testing.T) {
	d, q := setup(t, 8, false)
	d.Add(virtiotest.Buf{Addr: 1 << 20, Len: 16, Write: true})
	e, _ := q.Pop()
	q.Reset()
	d2 := virtiotest.NewDriver(d.Mem, base, 8, false)
	q.Setup(d2.Cfg)
	d2.Add(virtiotest.Buf{Addr: 1 << 20, Len: 16, Write: true})
	if _, err := q.Pop(); err != nil {
		t.Fatal(err)
	}
	if q.Push(e, 16) {
		t.Error("interrupt for an element of an earlier life")
	}
	if _, _, ok := d2.Next(); ok {
		t.Error("the old element was given back")
	}
}

// TestDirty checks that what the device writes is reported: data, used entry and index.
func TestDirty(t *testing.T) {
	d, q := setup(t, 8, false)
	b := d.Mem.View().Find(0).RAM
	b.Track(memory.DirtyMigration)
	d.Add(virtiotest.Buf{Addr: 0x200ff0, Len: 0x20, Write: true}, virtiotest.Buf{Addr: 0x300000, Len: 0x1000, Write: true})
	for p := range uint64(virtiotest.RAMSize >> memory.PageBits) {
		b.TestAndClearDirty(memory.DirtyMigration, p)
	}
	e, _ := q.Pop()
	q.Push(e, 0x18)
	for p, want := range map[uint64]bool{0x200: true, 0x201: true, 0x300: false, d.Cfg.Used >> 12: true, base >> 12: false} {
		if got := b.TestAndClearDirty(memory.DirtyMigration, p); got != want {
			t.Errorf("page %x: dirty %v", p, got)
		}
	}
}

// FuzzPop lets the fuzzer write the rings.
func FuzzPop(f *testing.F) {
	f.Add([]byte{0, 0, 0x10, 0, 0, 0, 0, 0, 16, 0, 0, 0, 1, 0, 1, 0}, uint16(1), false)
	f.Add(bytes.Repeat([]byte{0, 0, 1, 0, 0, 0, 0, 0, 16, 0, 0, 0, 4, 0, 1, 0}, 8), uint16(8), true)
	f.Fuzz(func(t *testing.T, table []byte, idx uint16, eventIdx bool) {
		d, q := setup(t, 8, eventIdx)
		defer d.Mem.View().Find(0).RAM.Free()
		d.Mem.Write(base, table[:min(len(table), 1024)])
		for i := range uint64(8) {
			d.Mem.Store(d.Cfg.Avail+4+2*i, 2, i)
		}
		d.Mem.Store(d.Cfg.Avail+2, 2, uint64(idx))
		for range 20 {
			for _, at := range []*uint16{nil, &idx} {
				if c, err := q.Look(at); err == nil && len(c.Descs) > ring.MaxSize {
					t.Fatalf("a chain of %d", len(c.Descs))
				}
			}
			e, err := q.Pop()
			if err != nil || e == nil {
				return
			}
			for _, b := range e.In {
				clear(b[:min(len(b), 64)])
			}
			q.Push(e, binary.LittleEndian.Uint32(append(table, 0, 0, 0, 0)))
			q.SetNotify(idx%2 == 0)
		}
	})
}

func BenchmarkPopPush(b *testing.B) {
	d, q := setup(b, 128, true)
	bufs := []virtiotest.Buf{{Addr: 1 << 20, Len: 16}, {Addr: 1<<20 + 4096, Len: 4096, Write: true}, {Addr: 1<<20 + 64, Len: 1, Write: true}}
	head := d.Add(bufs...)
	e, _ := q.Pop()
	q.Push(e, 0)
	d.Next()
	b.ReportAllocs()
	for b.Loop() {
		d.Publish(head)
		e, err := q.Pop()
		if err != nil || e == nil {
			b.Fatal(e, err)
		}
		q.Push(e, 4097)
		d.UsedIdx++
	}
}
