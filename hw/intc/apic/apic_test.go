package apic

import (
	"math/rand/v2"
	"testing"

	"goemu/accel"
	"goemu/hw/qdev"
	"goemu/internal/clock"
	"goemu/migration/vmstate/vmstatetest"
)

// cpu is a CPU that notes its request lines; its time-stamp counter runs at 2 GHz.
type cpu struct {
	id    uint32
	lines accel.IRQ
}

func (c *cpu) Index() int          { return int(c.id) }
func (c *cpu) APICID() uint32      { return c.id }
func (c *cpu) Raise(irq accel.IRQ) { c.lines |= irq }
func (c *cpu) Lower(irq accel.IRQ) { c.lines &^= irq }
func (c *cpu) Do(f func())         { f() }
func (c *cpu) Halted() bool        { return false }

// TSCDelay implements TSCDelayer.
func (c *cpu) TSCDelay(tsc uint64) int64 { return (int64(tsc) - 2*clock.Virtual.Now() + 1) / 2 }

// eois records broadcasts.
type eois struct{ vectors []uint8 }

func (e *eois) EndOfInterrupt(v uint8) { e.vectors = append(e.vectors, v) }

// pic is a controller behind LINT0.
type pic struct{ level bool }

func (p *pic) Level() bool { return p.level }
func (p *pic) Ack() uint8  { p.level = false; return 0x99 }

type rig struct {
	set   *Set
	cpus  []*cpu
	apics []*APIC
	eois  eois
	pic   pic
}

func newRig(t testing.TB, n int) *rig {
	t.Helper()
	clock.Virtual.SetFake(1000)
	list := clock.Virtual.NewList(nil)
	t.Cleanup(list.Close)
	r := &rig{set: NewSet(list)}
	r.set.Listen(&r.eois)
	r.set.SetExtInt(&r.pic)
	tree := qdev.NewTree(qdev.NewRegistry())
	for i := range n {
		c := &cpu{id: uint32(i)}
		a, err := r.set.New(tree, c, true)
		if err != nil {
			t.Fatal(err)
		}
		r.cpus, r.apics = append(r.cpus, c), append(r.apics, a)
		a.WritePage(regSVR<<4, 4, 0x1ff)
	}
	return r
}

// take acknowledges until nothing is left and returns the vectors, ending each.
func (r *rig) take(n int) (got []uint8) {
	for r.cpus[n].lines&accel.IRQHard != 0 {
		v, ok := r.apics[n].Ack()
		if !ok {
			break
		}
		got = append(got, v)
		r.apics[n].WritePage(regEOI<<4, 4, 0)
	}
	return got
}

func equal(a []uint8, b ...uint8) bool { return string(a) == string(b) }

func TestPriorities(t *testing.T) {
	r := newRig(t, 1)
	a := r.apics[0]
	fixed := func(v uint8) { r.set.Deliver(Message{Dest: 0, Vector: v}) }
	fixed(0x31)
	fixed(0x55)
	if v, ok := a.Ack(); v != 0x55 || !ok {
		t.Errorf("first %x %v", v, ok)
	}
	fixed(0x52) // same class as the one in service
	if r.cpus[0].lines != 0 || a.ppr() != 0x50 {
		t.Errorf("lines %x, PPR %x", r.cpus[0].lines, a.ppr())
	}
	fixed(0x61)
	if got := r.take(0); !equal(got, 0x61) {
		t.Errorf("nested: %x", got)
	}
	a.WritePage(regEOI<<4, 4, 0)
	a.SetTPR(0x40)
	if got := r.take(0); !equal(got, 0x52) {
		t.Errorf("above the task priority: %x", got)
	}
	a.SetTPR(0)
	if got := r.take(0); !equal(got, 0x31) {
		t.Errorf("after lowering it: %x", got)
	}
	fixed(0x31)
	a.SetTPR(0x30)
	if v, ok := a.Ack(); v != 0xff || !ok {
		t.Errorf("spurious: %x %v", v, ok)
	}
}

func TestDestinations(t *testing.T) {
	tests := []struct {
		name  string
		setup func(r *rig)
		m     Message
		hits  []int
	}{
		{"physical", nil, Message{Dest: 2}, []int{2}},
		{"broadcast", nil, Message{Dest: 0xff}, []int{0, 1, 2, 3}},
		{"flat logical", func(r *rig) { r.each(func(a *APIC, i int) { a.WritePage(regLDR<<4, 4, 1<<(24+i)) }) }, Message{Dest: 5, Logical: true}, []int{0, 2}},
		{"cluster", func(r *rig) {
			r.each(func(a *APIC, i int) {
				a.WritePage(regDFR<<4, 4, 0x0fffffff)
				a.WritePage(regLDR<<4, 4, uint32(i/2<<4|1<<(i%2))<<24)
			})
		}, Message{Dest: 0x13, Logical: true}, []int{2, 3}},
		{"lowest priority", nil, Message{Dest: 0xff, Mode: LowestPriority}, []int{0}},
		{"x2APIC physical", (*rig).x2, Message{Dest: 3}, []int{3}},
		{"x2APIC logical", (*rig).x2, Message{Dest: 6, Logical: true}, []int{1, 2}},
		{"x2APIC broadcast", (*rig).x2, Message{Dest: 0xffffffff}, []int{0, 1, 2, 3}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, 4)
			if tt.setup != nil {
				tt.setup(r)
			}
			tt.m.Vector = 0x40
			r.set.Deliver(tt.m)
			hits := map[int]bool{}
			for _, n := range tt.hits {
				hits[n] = true
			}
			for i, c := range r.cpus {
				if got := c.lines&accel.IRQHard != 0; got != hits[i] {
					t.Errorf("CPU %d: %v", i, got)
				}
			}
		})
	}
}

func (r *rig) each(f func(a *APIC, i int)) {
	for i, a := range r.apics {
		f(a, i)
	}
}

func (r *rig) x2() {
	for _, a := range r.apics {
		a.SetBase(a.Base() | baseX2APIC)
	}
}

func TestInterProcessorInterrupts(t *testing.T) {
	tests := []struct {
		name      string
		high, low uint32
		lines     [3]accel.IRQ
	}{
		{"fixed", 1 << 24, 0x4041, [3]accel.IRQ{0, accel.IRQHard, 0}},
		{"self", 0, 0x44041, [3]accel.IRQ{accel.IRQHard, 0, 0}},
		{"all", 0, 0x84041, [3]accel.IRQ{accel.IRQHard, accel.IRQHard, accel.IRQHard}},
		{"others", 0, 0xc4041, [3]accel.IRQ{0, accel.IRQHard, accel.IRQHard}},
		{"NMI", 2 << 24, 0x4400, [3]accel.IRQ{0, 0, accel.IRQNMI}},
		{"SMI", 2 << 24, 0x4200, [3]accel.IRQ{0, 0, accel.IRQSMI}},
		{"INIT", 1 << 24, 0xc500, [3]accel.IRQ{0, accel.IRQInit, 0}},
		{"INIT de-assert", 1 << 24, 0x8500, [3]accel.IRQ{}},
		{"start-up", 1 << 24, 0x4699, [3]accel.IRQ{0, accel.IRQSIPI, 0}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, 3)
			r.apics[0].WritePage(regICRHigh<<4, 4, tt.high)
			r.apics[0].WritePage(regICRLow<<4, 4, tt.low)
			for i, c := range r.cpus {
				if c.lines != tt.lines[i] {
					t.Errorf("CPU %d: lines %x", i, c.lines)
				}
			}
			if tt.name == "start-up" && r.apics[1].SIPIVector() != 0x99 {
				t.Errorf("vector %x", r.apics[1].SIPIVector())
			}
		})
	}
}

func TestTimer(t *testing.T) {
	r := newRig(t, 1)
	a := r.apics[0]
	a.WritePage(regDivide<<4, 4, 0x3) // by 16
	a.WritePage(regLVT<<4, 4, 0x40)
	a.WritePage(regInitCount<<4, 4, 100)
	clock.Virtual.Advance(800)
	if v := a.ReadPage(regCurrCount<<4, 4); v != 50 {
		t.Errorf("half way: %d", v)
	}
	clock.Virtual.Advance(10000)
	if got := r.take(0); !equal(got, 0x40) || a.ReadPage(regCurrCount<<4, 4) != 0 {
		t.Errorf("one-shot: %x", got)
	}
	a.WritePage(regLVT<<4, 4, 0x41|lvtPeriodic) // does not start it again
	clock.Virtual.Advance(10000)
	if got := r.take(0); len(got) != 0 || a.ReadPage(regCurrCount<<4, 4) != 0 || a.ReadPage(regInitCount<<4, 4) != 100 {
		t.Errorf("periodic after one-shot: %x", got)
	}
	a.WritePage(regLVT<<4, 4, 0x41|lvtPeriodic)
	a.WritePage(regInitCount<<4, 4, 100)
	for i := range 5 {
		clock.Virtual.Advance(1616)
		if got := r.take(0); !equal(got, 0x41) {
			t.Errorf("period %d: %x", i, got)
		}
	}
	a.WritePage(regLVT<<4, 4, 0x42|lvtDeadline)
	clock.Virtual.Advance(10000)
	a.SetDeadline(uint64(2*clock.Virtual.Now() + 1000))
	clock.Virtual.Advance(499)
	if a.Deadline() == 0 || len(r.take(0)) != 0 {
		t.Error("deadline came early")
	}
	clock.Virtual.Advance(1)
	if got := r.take(0); !equal(got, 0x42) || a.Deadline() != 0 {
		t.Errorf("deadline: %x, %d", got, a.Deadline())
	}
	if a.SetDeadline(uint64(clock.Virtual.Now())); a.Deadline() != 0 || !equal(r.take(0), 0x42) {
		t.Error("a deadline in the past waits")
	}
	a.WritePage(regLVT<<4, 4, 0x40|lvtMasked)
	a.WritePage(regInitCount<<4, 4, 10)
	clock.Virtual.Advance(10000)
	if got := r.take(0); len(got) != 0 {
		t.Errorf("masked: %x", got)
	}
}

func TestLevelTriggeredEndIsBroadcast(t *testing.T) {
	r := newRig(t, 1)
	r.set.DeliverMSI(DefaultAddress, 0x8050)
	r.set.DeliverMSI(DefaultAddress, 0x0051)
	if got := r.take(0); !equal(got, 0x51, 0x50) || !equal(r.eois.vectors, 0x50) {
		t.Errorf("taken %x, broadcast %x", got, r.eois.vectors)
	}
}

func TestExternalController(t *testing.T) {
	r := newRig(t, 2)
	line := r.set.ExtIntLine()
	r.pic.level = true
	line.Raise()
	if r.cpus[0].lines != accel.IRQHard || r.cpus[1].lines != 0 {
		t.Errorf("lines %x %x", r.cpus[0].lines, r.cpus[1].lines)
	}
	if v, ok := r.apics[0].Ack(); v != 0x99 || !ok {
		t.Errorf("vector %x", v)
	}
	line.Lower()
	if _, ok := r.apics[0].Ack(); ok || r.cpus[0].lines != 0 {
		t.Errorf("still there, lines %x", r.cpus[0].lines)
	}
	r.apics[0].WritePage((regLVT+lvtLINT0)<<4, 4, lvtMasked)
	r.pic.level = true
	if line.Raise(); r.cpus[0].lines != 0 {
		t.Error("masked interrupt came through")
	}
}

func TestModes(t *testing.T) {
	r := newRig(t, 2)
	a := r.apics[1]
	base := a.Base()
	for _, tt := range []struct {
		v  uint64
		ok bool
	}{
		{base | 1, false}, {base&^baseEnable | baseX2APIC, false}, {base | baseX2APIC, true}, {base, false},
		{base &^ baseEnable, true}, {base | baseX2APIC, false}, {base, true}, {base | 1<<52, false},
	} {
		if ok := a.SetBase(tt.v); ok != tt.ok {
			t.Errorf("base %x: %v", tt.v, ok)
		}
	}
	if _, ok := a.ReadMSR(0x802); ok {
		t.Error("MSR outside x2APIC mode")
	}
	a.SetBase(base | baseX2APIC)
	for msr, want := range map[uint32]uint64{0x802: 1, 0x803: 0x50014, 0x80d: 2} {
		if v, ok := a.ReadMSR(msr); v != want || !ok {
			t.Errorf("MSR %x = %x %v", msr, v, ok)
		}
	}
	for msr, v := range map[uint32]uint64{0x802: 0, 0x80b: 1, 0x808: 0x100, 0x80e: 0, 0x83f: 0x100} {
		if a.WriteMSR(msr, v) {
			t.Errorf("MSR %x took %x", msr, v)
		}
	}
	a.WriteMSR(0x80f, 0x1ff)
	if !a.WriteMSR(0x83f, 0x66) || !equal(r.take(1), 0x66) {
		t.Error("self IPI")
	}
	a.SetBase(base &^ baseEnable)
	a.SetBase(base)
	a.WritePage(regID<<4, 4, 7<<24)
	a.SetBase(base &^ baseEnable)
	if a.SetBase(base); a.ReadPage(regID<<4, 4) != 1<<24 {
		t.Error("switching off keeps the identifier")
	}
}

func TestState(t *testing.T) {
	r := newRig(t, 2)
	a, b := r.apics[0], r.apics[1]
	a.WritePage(regLVT<<4, 4, 0x40)
	a.WritePage(regInitCount<<4, 4, 100000)
	r.set.Deliver(Message{Dest: 0, Vector: 0x77})
	vmstatetest.RoundTrip(t, 3, a.State(), b.State())
	if b.timer.Expiry() != a.timer.Expiry() || r.cpus[1].lines != accel.IRQHard {
		t.Errorf("timer %d, lines %x", b.timer.Expiry(), r.cpus[1].lines)
	}
}

func FuzzRegisters(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) {
		r := newRig(t, 3)
		rng := rand.New(rand.NewPCG(seed, 7))
		for range 200 {
			a := r.apics[rng.IntN(3)]
			switch rng.IntN(6) {
			case 0:
				a.WritePage(rng.Uint32(), 1<<rng.IntN(3), rng.Uint32())
			case 1:
				a.ReadPage(rng.Uint32(), 4)
			case 2:
				a.WriteMSR(0x800+rng.Uint32()&0xff, rng.Uint64()>>(rng.IntN(64)))
				a.ReadMSR(0x800 + rng.Uint32()&0xff)
			case 3:
				a.SetBase(rng.Uint64() & 0xfeeffd00)
			case 4:
				r.set.DeliverMSI(rng.Uint64(), rng.Uint32())
				a.Ack()
			case 5:
				clock.Virtual.Advance(rng.Int64N(100000))
			}
		}
	})
}
