package qtest

import (
	"testing"
	"time"

	"goemu/accel"
	"goemu/internal/clock"
	"goemu/internal/mainloop"
)

// virtualWire connects interrupt n of the pair to the CPU at vector 0x20+n, as a BIOS does, and returns a function that counts
// the interrupts taken since its last call.
func (m *machine) virtualWire(n int) (taken func() int) {
	m.Out(0x20, 1, 0x11)
	m.Out(0x21, 1, 0x20)
	m.Out(0x21, 1, 0x04)
	m.Out(0x21, 1, 0x01)
	m.Out(0xa0, 1, 0x11)
	m.Out(0xa1, 1, 0x28)
	m.Out(0xa1, 1, 0x02)
	m.Out(0xa1, 1, 0x01)
	m.Out(0x21, 1, 0xfb&^uint32(1<<n&0xff))
	m.Out(0xa1, 1, 0xff&^uint32(1<<n>>8))
	return func() (count int) {
		for m.cpu.lines&accel.IRQHard != 0 {
			v, ok := m.apic.Ack()
			if !ok {
				break
			}
			if int(v) == 0x20+n {
				count++
			}
			m.Out(0xa0, 1, 0x20)
			m.Out(0x20, 1, 0x20)
		}
		return count
	}
}

// run advances the virtual time in steps and returns what taken counts.
func run(d, step time.Duration, taken func() int) (count int) {
	for ; d > 0; d -= step {
		clock.Virtual.Advance(int64(step))
		count += taken()
	}
	return count
}

func (m *machine) cmos(reg uint32) uint32 { m.Out(0x70, 1, reg); return m.In(0x71, 1) }

func (m *machine) setCMOS(reg, v uint32) { m.Out(0x70, 1, reg); m.Out(0x71, 1, v) }

func TestRTCInterrupts(t *testing.T) {
	m := newMachine(t)
	taken := m.virtualWire(8)
	withFlags := func() int { n := taken(); m.cmos(0x0c); return n }
	m.setCMOS(0x0b, 0x12) // update-ended interrupt
	if n := run(5*time.Second, 100*time.Millisecond, withFlags); n != 5 {
		t.Errorf("%d updates in 5 s", n)
	}
	if h, min, s, day, month := m.cmos(4), m.cmos(2), m.cmos(0), m.cmos(7), m.cmos(8); h != 0 || min != 0 || s != 0x03 || day != 0x29 || month != 2 {
		t.Errorf("time %x:%x:%x on %x.%x.", h, min, s, day, month)
	}
	m.setCMOS(0x0a, 0x26) // 1024 Hz
	m.setCMOS(0x0b, 0x42)
	if n := run(time.Second, 500*time.Microsecond, withFlags); n < 1022 || n > 1026 {
		t.Errorf("%d periodic interrupts in 1 s", n)
	}
	m.setCMOS(1, 0x10) // alarm at 10 seconds past every minute
	m.setCMOS(3, 0xc0)
	m.setCMOS(5, 0xc0)
	m.setCMOS(0x0b, 0x22)
	if n := run(180*time.Second, time.Second, withFlags); n != 3 {
		t.Errorf("%d alarms in 3 minutes", n)
	}
}

func TestHPETReplacesPIT(t *testing.T) {
	m := newMachine(t)
	taken := m.virtualWire(0)
	const base = 0xfed00000
	m.Store(base+0x10, 4, 0)
	m.Store(base+0x100, 4, 0x4c) // timer 0: enable, periodic, set the comparator
	m.Store(base+0x108, 4, 100_000)
	m.Store(base+0x108, 4, 100_000) // one millisecond
	m.Store(base+0x10, 4, 3)
	taken()
	if n := run(time.Second, 100*time.Microsecond, taken); n < 998 || n > 1002 {
		t.Errorf("%d interrupts in 1 s", n)
	}
	if v := m.Load(base+0xf0, 4); v != 100_000_000 {
		t.Errorf("counter %d after 1 s", v)
	}
	m.Store(base+0x10, 4, 0)
	taken()
	if n := run(time.Second, time.Millisecond, taken); n != 18 {
		t.Errorf("%d interrupts of the 8254 in 1 s afterwards", n)
	}
	if v := m.Load(base+0xf0, 4); v != 100_000_000 {
		t.Errorf("stopped counter %d", v)
	}
}

func TestHPETThroughIOAPIC(t *testing.T) {
	m := newMachine(t)
	m.apic.WritePage(0xf0, 4, 0x1ff)
	m.Out(0x21, 1, 0xff) // not through the 8259 pair
	m.Out(0x43, 1, 0x30) // the 8254, at the same pin, stays low
	m.Out(0x40, 1, 0xff)
	m.Out(0x40, 1, 0xff)
	m.Store(0xfec00000, 4, 0x10+2*2)
	m.Store(0xfec00010, 4, 0x8041) // pin 2: vector 0x41, level
	const base = 0xfed00000
	m.Store(base+0x140, 4, 2<<9|1<<8|1<<2|1<<1) // timer 2: pin 2, level, 32 bits
	m.Store(base+0x10, 4, 1)
	m.Store(base+0x148, 4, 1000)
	clock.Virtual.Advance(9_999)
	if m.cpu.lines != 0 {
		t.Error("came early")
	}
	clock.Virtual.Advance(1)
	for i := range 2 { // the line stays up, so it comes again after its end
		if v, ok := m.apic.Ack(); v != 0x41 || !ok || m.Load(base+0x20, 4) != 4 {
			t.Fatalf("interrupt %d: vector %#x %v, status %#x", i, v, ok, m.Load(base+0x20, 4))
		}
		if i == 1 {
			m.Store(base+0x20, 4, 4)
		}
		m.apic.WritePage(0xb0, 4, 0)
	}
	if m.cpu.lines != 0 {
		t.Error("interrupt after the status was cleared")
	}
}

func TestPowerEvents(t *testing.T) {
	const base = 0x600
	m := newMachine(t)
	m.pm.SetupPM(base, 0x700)
	taken := m.virtualWire(9)
	m.Out(base+2, 2, 0x101) // power button and timer
	m.vm.Start()
	m.vm.RequestPowerdown()
	service(m)
	if n := taken(); n != 1 || m.In(base, 2)&0x100 == 0 {
		t.Errorf("power button: %d interrupts, status %#x", n, m.In(base, 2))
	}
	m.Out(base, 2, 0x101)
	if n := run(5*time.Second, 10*time.Millisecond, func() int { n := taken(); m.Out(base, 2, 1); return n }); n != 2 {
		t.Errorf("%d timer interrupts in 5 s", n) // bit 23 changes every 2.34 s
	}
	for _, tt := range []struct {
		name string
		do   func()
		want mainloop.Event
	}{
		{"soft off", func() { m.Out(base+4, 2, 0x2000) }, mainloop.Event{Name: "SHUTDOWN", Cause: mainloop.CauseGuestShutdown}},
		{"reset port", func() { m.Out(0xcf9, 1, 6) }, mainloop.Event{Name: "RESET", Cause: mainloop.CauseGuestReset}},
		{"port 92", func() { m.Out(0x92, 1, 1) }, mainloop.Event{Name: "RESET", Cause: mainloop.CauseGuestReset}},
		{"suspend", func() { m.Out(base+4, 2, 0x2400) }, mainloop.Event{Name: "SUSPEND", Cause: mainloop.CauseNone}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m.events = nil
			tt.do()
			service(m)
			if n := len(m.events); n == 0 || m.events[n-1] != tt.want {
				t.Errorf("events %v", m.events)
			}
		})
	}
}

// service runs what was posted, with the virtual clock kept fake.
func service(m *machine) {
	now := clock.Virtual.Now()
	m.loop.RunPending()
	clock.Virtual.SetFake(now)
}

func FuzzChips(f *testing.F) {
	f.Add([]byte{0x43, 0x34, 0, 0, 0, 0, 0x40, 0xff, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		m := newMachine(t)
		m.vm.NoShutdown = true
		for n := 0; len(script) >= 6 && n < 500; n, script = n+1, script[6:] {
			addr := uint64(script[0]) | uint64(script[1])<<8
			v := uint32(script[2]) | uint32(script[3])<<8 | uint32(script[4])<<16
			size := 1 << (script[5] & 3 % 3)
			switch script[5] >> 4 & 7 {
			case 0, 1:
				m.Out(uint16(addr), size, v)
			case 2:
				m.In(uint16(addr), size)
			case 3:
				m.Store(0xfed00000+addr&0x3ff, 4, uint64(v)<<(script[5]&15))
			case 4:
				m.Store(0xfec00000+addr&0xff, 4, uint64(v))
			case 5:
				m.host.Bus.WriteConfig(0x80000000|uint32(addr), size, v)
			case 6:
				clock.Virtual.Advance(int64(v) & 0x3fff)
				m.apic.Ack()
			case 7:
				m.apic.WritePage(uint32(addr), 4, v)
				service(m)
			}
		}
	})
}
