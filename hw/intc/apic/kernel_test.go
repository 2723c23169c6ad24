package apic

import (
	"encoding/binary"
	"testing"

	"goemu/accel"
)

// TestRegistersMove: what one APIC gives as a page another takes over, whatever the mode, and a message meanwhile goes to who does the work.
func TestRegistersMove(t *testing.T) {
	a, b := newRig(t, 1).apics[0], newRig(t, 1).apics[0]
	a.SetBase(DefaultAddress | baseEnable)
	a.WritePage(regSVR<<4, 4, 0x1ff)
	a.WritePage(regTPR<<4, 4, 0x20)
	a.WritePage(regLDR<<4, 4, 5<<24)
	a.WritePage((regLVT+lvtLINT1)<<4, 4, 0x400)
	a.WritePage((regLVT+lvtTimer)<<4, 4, lvtPeriodic|0x40)
	a.WritePage(regDivide<<4, 4, 3)
	a.WritePage(regInitCount<<4, 4, 1000000)
	a.mu.Lock()
	a.accept(0x31, true)
	a.mu.Unlock()
	var p, q accel.LocalPage
	base := a.Registers(&p)
	b.SetRegisters(base, &p, true)
	if got := b.Registers(&q); got != base {
		t.Errorf("base %#x, want %#x", got, base)
	}
	for reg := range len(p) >> 4 {
		if reg == regCurrCount { // it counts
			continue
		}
		if x, y := binary.LittleEndian.Uint32(p[reg<<4:]), binary.LittleEndian.Uint32(q[reg<<4:]); x != y {
			t.Errorf("register %#x: %#x, want %#x", reg, y, x)
		}
	}
	if !b.WaitsForSIPI() || !b.timer.Pending() {
		t.Error("the wait for the start-up interrupt, or the timer, is lost")
	}

	var addr uint64
	pushed := false
	b.set.Offload(func() { pushed = true }, func(at uint64, _ uint32) { addr = at })
	b.set.DeliverMSI(0xfee01000, 0x41)
	if !pushed || addr != 0xfee01000 || b.timer.Pending() {
		t.Errorf("pushed %v, message to %#x", pushed, addr)
	}
	b.set.Reclaim(func() {})
	if b.set.DeliverMSI(0xfee00000|uint64(b.id)<<msiDestShift, 0x41); !b.irr.test(0x41) {
		t.Error("a message is lost after the kernel's work")
	}
}

// TestMessagesOffloaded: while the work is done elsewhere, messages of the I/O APIC go there, and only the boot processor asks the 8259 pair.
func TestMessagesOffloaded(t *testing.T) {
	r := newRig(t, 2)
	var got accel.MSIRoute
	r.set.Offload(func() {}, func(addr uint64, data uint32) { got = accel.MSIRoute{Addr: addr, Data: data} })
	m := Message{Dest: 3, Logical: true, Mode: LowestPriority, Vector: 0x42, Level: true}
	r.set.Deliver(m)
	if want := (accel.MSIRoute{Addr: 0xfee03004, Data: 0xc142}); got != want || m.Route() != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	line := r.set.ExtIntLine()
	line.Set(true)
	for i, a := range r.apics {
		if !a.picLevel || a.lineUp != (i == 0) {
			t.Errorf("CPU %d: level %v, asked %v", i, a.picLevel, a.lineUp)
		}
	}
	line.Set(false)
	if r.apics[0].lineUp {
		t.Error("the line stays")
	}
}
