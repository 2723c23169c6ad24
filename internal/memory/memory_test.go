package memory

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
)

// logOps records accesses and reads as the low byte of the offset repeated.
type logOps struct{ log []string }

func (l *logOps) Read(off uint64, size int) uint64 {
	l.log = append(l.log, fmt.Sprintf("r%d@%x", size, off))
	return (off & 0xff) * 0x0101010101010101
}

func (l *logOps) Write(off uint64, size int, v uint64) {
	l.log = append(l.log, fmt.Sprintf("w%d@%x=%x", size, off, v))
}

func newRAM(t testing.TB, size uint64) *Region {
	t.Helper()
	r, err := NewRAM("ram", size)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func describe(v *FlatView) (out []string) {
	for _, r := range v.Ranges {
		out = append(out, fmt.Sprintf("%x-%x %s+%x", r.Start, r.Last, r.Region.Name(), r.Offset))
	}
	return out
}

func TestFlatView(t *testing.T) {
	root := NewContainer("root", Whole)
	ram := newRAM(t, 0x10000)
	as := NewAddressSpace("as", root)
	root.Add(NewAlias("low", ram, 0, 0x8000), 0, 0)
	root.Add(NewAlias("high", ram, 0x8000, 0x8000), 0x100000, 0)
	io := NewIO("io", 0x100, &logOps{})
	root.Add(io, 0x2000, 1)
	over := NewContainer("over", 0x1000)
	over.Add(NewIO("sub", 0x10, &logOps{}), 0x800, 0)
	root.Add(over, 0x2000, 2)
	want := []string{"0-1fff ram+0", "2000-20ff io+0", "2100-27ff ram+2100", "2800-280f sub+0", "2810-7fff ram+2810", "100000-107fff ram+8000"}
	if got := describe(as.View()); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
	io.SetEnabled(false)
	over.SetOffset(0x7900)
	want = []string{"0-7fff ram+0", "8100-810f sub+0", "100000-107fff ram+8000"}
	if got := describe(as.View()); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}

// TestFlatViewRandom compares with a byte-by-byte search of the tree.
func TestFlatViewRandom(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var leaves []*Region
		root := NewContainer("root", 256)
		containers := []*Region{root}
		for i := range 12 {
			name, size := fmt.Sprint(i), uint64(1+rng.IntN(64))
			var r *Region
			switch rng.IntN(4) {
			case 0:
				r = NewContainer(name, size)
				containers = append(containers, r)
			case 1:
				if len(leaves) > 0 {
					r = NewAlias(name, leaves[rng.IntN(len(leaves))], uint64(rng.IntN(32)), size)
					break
				}
				fallthrough
			default:
				r = NewIO(name, size, &logOps{})
				leaves = append(leaves, r)
			}
			p := containers[rng.IntN(len(containers))]
			if p == r {
				p = root
			}
			p.Add(r, uint64(rng.IntN(200)), rng.IntN(3))
			r.SetEnabled(rng.IntN(8) != 0)
		}
		as := NewAddressSpace("as", root)
		for addr := range int64(256) {
			leaf, off := lookup(root, addr)
			r := as.View().Find(uint64(addr))
			if (leaf == nil) != (r == nil) || r != nil && (r.Region != leaf || r.Offset+uint64(addr)-r.Start != uint64(off)) {
				t.Fatalf("address %x: want %v+%x, got %v", addr, leaf, off, r)
			}
		}
	}
}

// lookup finds the leaf that answers offset off of r.
func lookup(r *Region, off int64) (*Region, int64) {
	if r.disabled || off < 0 || off >= r.size {
		return nil, 0
	}
	if r.kind == kindAlias {
		return lookup(r.target, off+r.targetAt)
	}
	for _, s := range r.subs {
		if leaf, o := lookup(s, off-s.at); leaf != nil {
			return leaf, o
		}
	}
	if r.kind == kindContainer {
		return nil, 0
	}
	return r, off
}

func TestAccessSizes(t *testing.T) {
	tests := []struct {
		name        string
		valid, impl Access
		do          func(as *AddressSpace) (uint64, Result)
		value       uint64
		res         Result
		log         []string
	}{
		{"split", Access{}, Access{Max: 1}, func(as *AddressSpace) (uint64, Result) { return as.Load(0x14, 4) }, 0x17161514, OK,
			[]string{"r1@14", "r1@15", "r1@16", "r1@17"}},
		{"widened", Access{}, Access{Min: 4}, func(as *AddressSpace) (uint64, Result) { return as.Load(0x14, 1) }, 0x14, OK, []string{"r4@14"}},
		{"too wide", Access{Max: 2}, Access{}, func(as *AddressSpace) (uint64, Result) { return as.Load(0x14, 4) }, 0, DecodeError, nil},
		{"unaligned", Access{}, Access{}, func(as *AddressSpace) (uint64, Result) { return as.Load(0x15, 2) }, 0, DecodeError, nil},
		{"eight", Access{Max: 8}, Access{}, func(as *AddressSpace) (uint64, Result) { return 0, as.Store(0x10, 8, 0x0807060504030201) }, 0, OK,
			[]string{"w4@10=4030201", "w4@14=8070605"}},
		{"bytes", Access{}, Access{}, func(as *AddressSpace) (uint64, Result) { return 0, as.Write(0x11, []byte{1, 2, 3, 4, 5, 6}) }, 0, OK,
			[]string{"w1@11=1", "w2@12=302", "w2@14=504", "w1@16=6"}},
		{"nothing there", Access{}, Access{}, func(as *AddressSpace) (uint64, Result) { return as.Load(0x1000, 4) }, 0, DecodeError, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := NewContainer("root", Whole)
			ops := &logOps{}
			io := NewIO("io", 0x100, ops)
			io.Valid, io.Impl = tt.valid, tt.impl
			root.Add(io, 0, 0)
			v, res := tt.do(NewAddressSpace("as", root))
			if v != tt.value || res != tt.res || !reflect.DeepEqual(ops.log, tt.log) {
				t.Errorf("value %x, result %d, accesses %v", v, res, ops.log)
			}
		})
	}
}

func TestDirtyAndMap(t *testing.T) {
	root := NewContainer("root", Whole)
	ram := newRAM(t, 0x4000)
	root.Add(ram, 0x1000, 0)
	as := NewAddressSpace("as", root)
	b := ram.RAM()
	b.Track(DirtyMigration)
	b.SetCode(1)
	var hits [][2]uint64
	b.OnCodeWrite(func(off, n uint64) { hits = append(hits, [2]uint64{off, n}) })
	if res := as.Write(0x1ff0, bytes.Repeat([]byte{7}, 0x20)); res != OK {
		t.Fatal(res)
	}
	if want := [][2]uint64{{0x1000, 0x10}}; !reflect.DeepEqual(hits, want) {
		t.Errorf("code writes %x, want %x", hits, want)
	}
	for page, want := range []bool{true, true, false, false} {
		if got := b.TestAndClearDirty(DirtyMigration, uint64(page)); got != want {
			t.Errorf("page %d dirty %v", page, got)
		}
	}
	iov, ok := as.Map(0x1ff8, 0x10, true)
	if !ok || len(iov) != 1 || !bytes.Equal(iov[0], bytes.Repeat([]byte{7}, 0x10)) {
		t.Errorf("map: %v %v", iov, ok)
	}
	if _, ok := as.Map(0x4ff0, 0x11, false); ok {
		t.Error("mapped beyond RAM")
	}
	if v, res := as.Load(0x4ffe, 4); v != 0 || res != DecodeError {
		t.Errorf("load over the end of RAM: %x %d", v, res)
	}
}

// recorder is a Listener.
type recorder struct{ removed, added []string }

func (l *recorder) ViewChanged(removed, added []Range) {
	l.removed, l.added = describe(&FlatView{removed}), describe(&FlatView{added})
}

func TestListenerGetsDifferences(t *testing.T) {
	root := NewContainer("root", Whole)
	root.Add(newRAM(t, 0x2000), 0, 0)
	as := NewAddressSpace("as", root)
	var l recorder
	as.Listen(&l)
	if want := []string{"0-1fff ram+0"}; !reflect.DeepEqual(l.added, want) {
		t.Errorf("at first %v", l.added)
	}
	Begin()
	root.Add(NewIO("a", 0x10, &logOps{}), 0x8000, 0)
	root.Add(NewIO("b", 0x10, &logOps{}), 0x1000, 0)
	Commit()
	if want := []string{"0-fff ram+0", "1000-100f b+0", "1010-1fff ram+1010", "8000-800f a+0"}; !reflect.DeepEqual(l.added, want) {
		t.Errorf("added %v", l.added)
	}
	if want := []string{"0-1fff ram+0"}; !reflect.DeepEqual(l.removed, want) {
		t.Errorf("removed %v", l.removed)
	}
}

// TestForgottenBlock: memory of a device that has gone is the machine's no longer.
func TestForgottenBlock(t *testing.T) {
	l := NewBlockList()
	a, b := newRAM(t, PageSize), newRAM(t, 2*PageSize)
	b.RAM().Forget()
	if got := l.All(); len(got) != 1 || got[0] != a.RAM() {
		t.Errorf("%d blocks are left", len(got))
	}
}
