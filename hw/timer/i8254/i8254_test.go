package i8254

import (
	"testing"

	"goemu/accel"
	"goemu/hw/isa"
	"goemu/hw/qdev"
	"goemu/internal/clock"
	"goemu/internal/memory"
)

// rig is a timer on a bus of its own, on a fake clock.
type rig struct {
	kernel accel.KernelPIT
	pit    *PIT
	spk    *Speaker
	io     *memory.AddressSpace
	level  bool
	edges  []int64 // times of rising edges
}

func newRig(t testing.TB) *rig { t.Helper(); return newRigOn(t, nil) }

// newRigOn is newRig with a kernel that does the timer's work.
func newRigOn(t testing.TB, k accel.KernelPIT) *rig {
	t.Helper()
	clock.Virtual.SetFake(0)
	tree := qdev.NewTree(qdev.NewRegistry())
	bridge, err := tree.Create(&isa.BridgeClass, nil)
	if err != nil {
		t.Fatal(err)
	}
	ports := memory.NewPortSpace("io")
	bus := isa.NewBus(bridge, "isa.0", ports, ports)
	r := &rig{kernel: k, io: memory.NewAddressSpace("io", ports)}
	irq := qdev.NewIRQ(func(_ int, level bool) {
		if level && !r.level {
			r.edges = append(r.edges, clock.Virtual.Now())
		}
		r.level = level
	}, 0)
	if r.pit, err = New(tree, bus, irq, r.kernel); err != nil {
		t.Fatal(err)
	}
	if r.spk, err = NewSpeaker(tree, bus, r.pit, ""); err != nil {
		t.Fatal(err)
	}
	tree.Reset()
	t.Cleanup(tree.Close)
	return r
}

func (r *rig) out(port uint64, v ...uint64) {
	for _, x := range v {
		r.io.Store(port, 1, x)
	}
}

func (r *rig) in(port uint64) uint64 {
	v, _ := r.io.Load(port, 1)
	return v
}

func TestPeriodicInterrupts(t *testing.T) {
	for mode, control := range map[string]uint64{"rate": 0x34, "square wave": 0x36} {
		t.Run(mode, func(t *testing.T) {
			r := newRig(t)
			r.out(0x43, control)
			r.out(0x40, 0xa9, 0x04) // 1193 clocks: one millisecond
			r.edges = nil
			clock.Virtual.Advance(100_000_000)
			if n := len(r.edges); n < 99 || n > 101 {
				t.Fatalf("%d interrupts in 100 ms", n)
			}
			for i, at := range r.edges[1:] {
				if d := at - r.edges[i]; d < 998_000 || d > 1_002_000 {
					t.Errorf("interrupt %d after %d ns", i, d)
				}
			}
		})
	}
}

// TestClockJump: a clock that jumps, as a migration stream can make it do, costs no work for each period in between.
func TestClockJump(t *testing.T) {
	r := newRig(t)
	r.out(0x43, 0x34)
	r.out(0x40, 0xa9, 0x04)
	r.edges = nil
	clock.Virtual.Set(1 << 60)
	clock.Virtual.Advance(10_000_000)
	if n := len(r.edges); n < 9 || n > 12 {
		t.Errorf("%d interrupts in 10 ms", n)
	}
}

func TestOneShot(t *testing.T) {
	r := newRig(t)
	r.out(0x43, 0x30)
	r.out(0x40, 0x00, 0x10) // 4096 clocks
	r.edges = nil
	clock.Virtual.Advance(3_400_000)
	if len(r.edges) != 0 {
		t.Error("came early")
	}
	clock.Virtual.Advance(40_000_000)
	if len(r.edges) != 1 || !r.level {
		t.Errorf("edges %v, level %v", r.edges, r.level)
	}
}

func TestLatchAndReadback(t *testing.T) {
	r := newRig(t)
	r.out(0x43, 0x30)
	r.out(0x40, 0xff, 0xff)
	clock.Virtual.Advance(1_000_000) // 1193 clocks
	r.out(0x43, 0x00)                // latch
	clock.Virtual.Advance(1_000_000)
	if v := r.in(0x40) | r.in(0x40)<<8; v != 0xffff-1193 {
		t.Errorf("latched %d", v)
	}
	r.out(0x43, 0xc2) // read back status and count of channel 0
	if v := r.in(0x40); v != 0x30 {
		t.Errorf("status %#x", v)
	}
	if v := r.in(0x40) | r.in(0x40)<<8; v != 0xffff-2386 {
		t.Errorf("count %d", v)
	}
}

func TestSpeakerPort(t *testing.T) {
	r := newRig(t)
	r.out(0x61, spkGate)
	r.out(0x43, 0xb0)
	r.out(0x42, 0x00, 0x01) // 256 clocks
	if v := r.in(0x61); v&(spkGate|spkOut) != spkGate {
		t.Errorf("running: %#x", v)
	}
	clock.Virtual.Advance(300_000)
	if v := r.in(0x61); v&spkOut == 0 {
		t.Errorf("done: %#x", v)
	}
	if first := r.in(0x61); (first^r.in(0x61))&spkRefresh == 0 {
		t.Error("the refresh bit does not toggle")
	}
}

func TestDisabled(t *testing.T) {
	r := newRig(t)
	r.pit.Enable(false)
	r.edges = nil
	clock.Virtual.Advance(1_000_000_000)
	if r.level || len(r.edges) != 0 {
		t.Error("interrupts while replaced")
	}
	r.pit.Enable(true)
	clock.Virtual.Advance(1_000_000_000)
	if len(r.edges) < 17 {
		t.Errorf("%d interrupts in a second", len(r.edges))
	}
}

func BenchmarkReadPort(b *testing.B) {
	r := newRig(b)
	for b.Loop() {
		r.io.BusLoad(0x42, 1)
	}
}
