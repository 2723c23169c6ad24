package input

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"goemu/hw/isa"
	"goemu/hw/qdev"
	"goemu/hw/qdev/qtest"
	"goemu/internal/mainloop"
	"goemu/internal/memory"
	"goemu/migration/vmstate"
	"goemu/migration/vmstate/vmstatetest"
)

type rig struct {
	ports  *memory.AddressSpace
	level  [isa.Lines]bool
	a20    bool
	resets int
	loop   *mainloop.Loop
	c      *I8042
}

func newRig(t testing.TB) *rig {
	t.Helper()
	r := new(rig)
	mem, io := memory.NewContainer("mem", memory.Whole), memory.NewContainer("io", 0x10000)
	r.ports = memory.NewAddressSpace("io", io)
	host := &qdev.Class{Name: "host", New: func() qdev.Device { return new(qdev.Base) }}
	tree := qdev.NewTree(qdev.NewRegistry(Classes))
	h, err := tree.Create(host, nil)
	if err != nil {
		t.Fatal(err)
	}
	bus := isa.NewBus(h, "isa.0", mem, io)
	bus.SetIRQs(qdev.NewIRQs(func(n int, level bool) { r.level[n] = level }, isa.Lines))
	r.loop = mainloop.NewLoop()
	t.Cleanup(r.loop.Close)
	vm := mainloop.NewVM(r.loop)
	vm.Reset, vm.Pause, vm.Resume = func(mainloop.ShutdownCause) { r.resets++ }, func(stopped func()) { stopped() }, func() {}
	a20 := qdev.NewIRQ(func(_ int, level bool) { r.a20 = level }, 0)
	if r.c, err = NewI8042(tree, bus, a20, vm); err != nil {
		t.Fatal(err)
	}
	tree.Reset()
	return r
}

func (r *rig) in(port uint16) uint8 {
	v, _ := r.ports.Load(uint64(port), 1)
	return uint8(v)
}

func (r *rig) out(port uint16, v uint8) { r.ports.Store(uint64(port), 1, uint64(v)) }

// TestAgainstQEMU holds random conversations with QEMU's controller, keyboard and mouse and with ours.
func TestAgainstQEMU(t *testing.T) {
	q := qtest.Start(t, "-M", "pc,vmport=off", "-nodefaults")
	r := newRig(t)
	rnd := rand.New(rand.NewSource(2))
	commands := []uint8{0x20, 0x60, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xad, 0xae, 0xc0, 0xd0, 0xd2, 0xd3, 0xd4, 0xd4, 0xd4, 0xdd, 0xdf, 0x12}
	data := []uint8{0xed, 0xee, 0xf0, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xff, 0x05, 0x00, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xeb, 0xec, 0xee, 1, 2, 3, 200, 100, 80, 0x43, 0x61, 0x77}
	var log []string
	read := func(port uint16) {
		want, got := uint8(q.In(port, 1)), r.in(port)
		log = append(log, fmt.Sprintf("in %#x: %#x", port, want))
		if got != want {
			t.Fatalf("port %#x is %#x, QEMU's is %#x, after\n%s", port, got, want, strings.Join(log[max(0, len(log)-40):], "\n"))
		}
	}
	write := func(port uint16, v uint8) {
		q.Out(port, 1, uint32(v))
		r.out(port, v)
		log = append(log, fmt.Sprintf("out %#x %#x", port, v))
	}
	for range 3000 {
		switch rnd.Intn(5) {
		case 0:
			write(0x64, commands[rnd.Intn(len(commands))])
		case 1:
			write(0x60, data[rnd.Intn(len(data))])
		case 2:
			read(0x64)
		default:
			read(0x60)
		}
	}
}

func TestLines(t *testing.T) {
	r := newRig(t)
	r.out(0x64, 0xdd)
	if r.a20 {
		t.Error("A20 is on after command 0xdd")
	}
	r.out(0x64, 0xd1)
	r.out(0x60, 0xcf)
	if !r.a20 {
		t.Error("A20 is off after writing the output port")
	}
	r.loop.RunPending()
	if r.resets != 0 {
		t.Errorf("%d resets", r.resets)
	}
	r.out(0x64, 0xff)
	r.loop.RunPending()
	r.out(0x64, 0xfe)
	r.loop.RunPending()
	r.out(0x64, 0xd1)
	r.out(0x60, 0xce)
	r.loop.RunPending()
	if r.resets != 2 {
		t.Errorf("%d resets, want 2", r.resets)
	}
	r.out(0x60, 0xf4)
	if !r.level[1] || r.in(0x60) != 0xfa || r.level[1] {
		t.Error("IRQ 1 does not follow the keyboard's reply")
	}
	r.out(0x64, 0xd4)
	r.out(0x60, 0xf4)
	if !r.level[12] || r.level[1] || r.in(0x60) != 0xfa || r.level[12] {
		t.Error("IRQ 12 does not follow the mouse's reply")
	}
}

func TestState(t *testing.T) {
	vmstatetest.Compare(t, "pc", "i8042", i8042State.Layout())
	vmstatetest.Compare(t, "pc", "ps2-kbd", keyboardState.Layout())
	vmstatetest.Compare(t, "pc", "ps2-mouse", mouseState.Layout())
	a, b := newRig(t), newRig(t)
	a.out(0x60, 0xed)
	a.out(0x60, 0x07)
	a.out(0x60, 0xf2)
	a.out(0x64, 0xd4)
	a.out(0x60, 0xe9)
	for i, d := range []qdev.Device{a.c, a.c.Keyboard, a.c.Mouse} {
		var w vmstate.Writer
		d.Dev().State().Save(&w)
		to := []qdev.Device{b.c, b.c.Keyboard, b.c.Mouse}[i]
		if err := to.Dev().State().Load(vmstate.NewReader(w.Bytes()), to.Dev().State().Layout().Version); err != nil {
			t.Fatal(err)
		}
	}
	for range 12 {
		for _, p := range []uint16{0x64, 0x60} {
			if x, y := a.in(p), b.in(p); x != y {
				t.Fatalf("port %#x: %#x, after loading %#x", p, x, y)
			}
		}
	}
}

func FuzzI8042(f *testing.F) {
	f.Add([]byte{0x64, 0xaa, 0x60, 0xff, 0x01, 0x00, 0x64, 0xd4, 0x60, 0xeb})
	f.Fuzz(func(t *testing.T, ops []byte) {
		r := newRig(t)
		for i := 0; i+1 < len(ops); i += 2 {
			port := uint16(0x60 + ops[i]&4)
			if ops[i]&1 != 0 {
				r.in(port)
			} else {
				r.out(port, ops[i+1])
			}
		}
		for _, d := range []qdev.Device{r.c, r.c.Keyboard, r.c.Mouse} {
			var w vmstate.Writer
			d.Dev().State().Save(&w)
			if err := d.Dev().State().Load(vmstate.NewReader(w.Bytes()), d.Dev().State().Layout().Version); err != nil {
				t.Fatal(err)
			}
		}
	})
}
