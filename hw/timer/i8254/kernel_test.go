package i8254

import (
	"testing"

	"goemu/accel"
	"goemu/hw/isa"
	"goemu/hw/qdev"
	"goemu/internal/clock"
	"goemu/internal/memory"
)

// kernel keeps the state that it is given.
type kernel struct {
	state   accel.PITState
	at      int64 // when it was given
	discard bool
}

func (k *kernel) CreatePIT(discard bool) error { k.discard = discard; return nil }

func (k *kernel) SetPIT(s accel.PITState) { k.state, k.at = s, clock.Virtual.Now() }

func (k *kernel) PIT() accel.PITState {
	s := k.state
	for i := range s.Channels {
		s.Channels[i].Age += clock.Virtual.Now() - k.at
	}
	return s
}

// TestKernel: a kernel gets the counters as they are and gives them back; what the speaker and the HPET change meanwhile reaches it; the
// interrupt is its own business.
func TestKernel(t *testing.T) {
	k := new(kernel)
	r := newRigOn(t, k)
	r.out(0x43, 0x34)
	r.out(0x40, 0xa9, 0x04)
	r.out(0x43, 0xb6)
	r.out(0x42, 0x00, 0x10)
	clock.Virtual.Advance(500_000)
	r.pit.Offload()
	if c := k.state.Channels[0]; c.Count != 1193 || c.Mode != 2 || c.Age != 500_000 {
		t.Errorf("the kernel gets %+v", c)
	}
	r.out(0x61, 1)
	if k.state.Channels[2].Gate != 1 {
		t.Error("the gate does not reach the kernel")
	}
	if r.in(0x61)&spkOut == 0 {
		t.Error("the output, which has just begun, is low")
	}
	r.pit.Enable(false)
	if !k.state.Replaced {
		t.Error("the kernel does not hear of the HPET")
	}
	r.pit.Enable(true)
	clock.Virtual.Advance(10_000_000)
	r.pit.Reclaim()
	if c := r.pit.channels[0]; c.count != 1193 || c.next <= clock.Virtual.Now() || c.next > clock.Virtual.Now()+1_100_000 {
		t.Errorf("%+v comes back", c)
	}
	if clock.Virtual.Advance(10_000_000); len(r.edges) != 0 || r.level {
		t.Error("the interrupt is driven here, too")
	}
	if k.discard {
		t.Error("missed interrupts are lost")
	}
}

// TestTickPolicy: what is not possible is refused in QEMU's words.
func TestTickPolicy(t *testing.T) {
	for v, want := range map[TickPolicy]string{TicksDelay: "", TicksDiscard: "", TicksSlew: "Lost tick policy not supported."} {
		k := new(kernel)
		tree := qdev.NewTree(qdev.NewRegistry())
		tree.Globals = []qdev.Global{{Driver: "kvm-pit", Property: "lost_tick_policy", Value: string(v)}}
		bridge, err := tree.Create(&isa.BridgeClass, nil)
		if err != nil {
			t.Fatal(err)
		}
		ports := memory.NewPortSpace("io")
		_, err = New(tree, isa.NewBus(bridge, "isa.0", ports, ports), qdev.NewIRQ(func(int, bool) {}, 0), k)
		if (err == nil) != (want == "") || err != nil && err.Error() != want || k.discard != (v == TicksDiscard) {
			t.Errorf("%s: %v, discarded %v", v, err, k.discard)
		}
		tree.Close()
	}
}
