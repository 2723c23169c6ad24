package misc

import (
	"os/exec"
	"strings"
	"testing"

	"goemu/hw/isa"
	"goemu/hw/qdev"
	"goemu/hw/qdev/qtest"
	"goemu/internal/mainloop"
	"goemu/internal/memory"
	"goemu/internal/testprog"
	"goemu/migration/vmstate/vmstatetest"
)

type rig struct {
	mem, ports *memory.AddressSpace
	bus        *isa.Bus
	level      [isa.Lines]bool
	exits      []int
	panics     int
	loads      int
	classes    map[string]*qdev.Class
	tree       *qdev.Tree
}

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{classes: map[string]*qdev.Class{}}
	list := Classes(&Hooks{Exit: func(s int) { r.exits = append(r.exits, s) }, Panicked: func() { r.panics++ }, CrashLoaded: func() { r.loads++ }})
	for _, c := range list {
		r.classes[c.Name] = c
	}
	mem, io := memory.NewContainer("mem", memory.Whole), memory.NewContainer("io", 0x10000)
	r.mem, r.ports = memory.NewAddressSpace("mem", mem), memory.NewAddressSpace("io", io)
	host := &qdev.Class{Name: "host", New: func() qdev.Device { return new(qdev.Base) }}
	r.tree = qdev.NewTree(qdev.NewRegistry(list))
	h, err := r.tree.Create(host, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.bus = isa.NewBus(h, "isa.0", mem, io)
	r.bus.SetIRQs(qdev.NewIRQs(func(n int, level bool) { r.level[n] = level }, isa.Lines))
	return r
}

func (r *rig) add(t testing.TB, name string) qdev.Device {
	t.Helper()
	d := qdev.New(r.classes[name])
	if err := qdev.Realize(d, r.bus); err != nil {
		t.Fatal(err)
	}
	qdev.Reset(d)
	return d
}

func (r *rig) in(port uint16, size int) uint32 {
	v, _ := r.ports.Load(uint64(port), size)
	return uint32(v)
}

func (r *rig) out(port uint16, size int, v uint32) { r.ports.Store(uint64(port), size, uint64(v)) }

func TestPort92(t *testing.T) {
	vmstatetest.Compare(t, "pc", "port92", qdev.New(&Port92Class).Dev().State().Layout())
	r := newRig(t)
	a20 := false
	vm := mainloop.NewVM(mainloop.NewLoop())
	d, err := NewPort92(r.tree, r.bus, qdev.NewIRQ(func(_ int, level bool) { a20 = level }, 0), vm)
	if err != nil {
		t.Fatal(err)
	}
	r.out(0x92, 1, 2)
	if !a20 || r.in(0x92, 1) != 2 {
		t.Errorf("A20 %v, reads %#x", a20, r.in(0x92, 1))
	}
	r.out(0x92, 1, 1)
	if a20 {
		t.Error("A20 is still on")
	}
	qdev.Reset(d)
	if r.in(0x92, 1) != 0 {
		t.Errorf("%#x after reset", r.in(0x92, 1))
	}
}

func TestDebugExit(t *testing.T) {
	r := newRig(t)
	r.add(t, "isa-debug-exit")
	r.out(0x501, 1, 0)
	r.out(0x501, 2, 0x10)
	r.out(0x502, 1, 0xff)
	if len(r.exits) != 3 || r.exits[0] != 1 || r.exits[1] != 33 || r.exits[2] != 255 {
		t.Errorf("exits %v", r.exits)
	}
}

func TestPVPanic(t *testing.T) {
	r := newRig(t)
	r.add(t, "pvpanic")
	r.out(0x505, 1, 1)
	r.out(0x505, 1, 2)
	r.out(0x505, 1, 4)
	if r.panics != 1 || r.loads != 1 || r.in(0x505, 1) != 3 {
		t.Errorf("%d panics, %d crash loads, reads %#x", r.panics, r.loads, r.in(0x505, 1))
	}
}

// TestTestdev makes the same accesses to QEMU's device.
func TestTestdev(t *testing.T) {
	q := qtest.Start(t, "-M", "pc", "-nodefaults", "-device", "pc-testdev")
	r := newRig(t)
	r.add(t, "pc-testdev")
	out := func(port uint16, size int, v uint32) { q.Out(port, size, v); r.out(port, size, v) }
	in := func(port uint16, size int) {
		t.Helper()
		if want, got := q.In(port, size), r.in(port, size); want != got {
			t.Errorf("port %#x size %d: %#x, QEMU has %#x", port, size, got, want)
		}
	}
	out(0xe0, 4, 0x12345678)
	for _, base := range []uint16{0xe0, 0xe8} {
		for off := range uint16(4) {
			in(base+off, 1)
		}
		in(base, 2)
		in(base, 4)
	}
	out(0xe1, 1, 0xaa)
	out(0xea, 2, 0xbbcc)
	in(0xe0, 4)
	out(0xe4, 4, 0x1000)
	q.Store(0xff000010, 8, 0x1122334455667788)
	r.mem.Store(0xff000010, 8, 0x1122334455667788)
	for _, size := range []int{1, 2, 4, 8} {
		want := q.Load(0xff000010, size)
		if got, _ := r.mem.Load(0xff000010, size); got != want {
			t.Errorf("memory, size %d: %#x, QEMU has %#x", size, got, want)
		}
	}
	r.out(0x2005, 1, 1)
	if !r.level[5] {
		t.Error("port 0x2005 does not raise IRQ 5")
	}
	r.out(0x2005, 1, 0)
	r.out(0x2017, 1, 1) // no such line on an ISA bus
	if r.level[5] {
		t.Error("IRQ 5 does not fall")
	}
	r.out(0x2008, 4, 0x00010001) // each byte drives its own line
	for line, want := range map[int]bool{8: true, 9: false, 10: true, 11: false} {
		if r.level[line] != want {
			t.Errorf("a write of 4 bytes leaves IRQ %d at %v", line, r.level[line])
		}
	}
}

func TestHelp(t *testing.T) {
	qemu := testprog.QEMU(t)
	for _, c := range Classes(new(Hooks)) {
		if c.Internal {
			continue
		}
		out, err := exec.Command(qemu, "-device", c.Name+",help").Output()
		if err != nil {
			t.Fatal(err)
		}
		var want strings.Builder
		for _, l := range strings.SplitAfter(string(out), "\n") {
			if !strings.Contains(l, "<child<") && !strings.Contains(l, "<link<") {
				want.WriteString(l)
			}
		}
		if got := qdev.Help(c); got != want.String() {
			t.Errorf("got\n%swant\n%s", got, want.String())
		}
	}
}

func FuzzTestdev(f *testing.F) {
	f.Add(uint64(0xfffe), 8, uint64(1))
	f.Fuzz(func(t *testing.T, off uint64, size int, v uint64) {
		if size != 1 && size != 2 && size != 4 && size != 8 {
			return
		}
		d := new(Testdev)
		store(d.mem[:], off, size, v)
		got := load(d.mem[:], off, size)
		mask := ^uint64(0) >> (64 - 8*size)
		if off+uint64(size) <= testMemSize && off < testMemSize && got != v&mask {
			t.Fatalf("%#x at %#x: %#x", v, off, got)
		}
	})
}
