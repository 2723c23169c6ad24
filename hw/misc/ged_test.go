package misc

import (
	"testing"

	"goemu/hw/qdev"
	"goemu/internal/clock"
	"goemu/internal/mainloop"
	"goemu/internal/memory"
)

func TestGED(t *testing.T) {
	clock.Virtual.SetFake(0)
	loop := mainloop.NewLoop()
	vm := mainloop.NewVM(loop)
	var events []mainloop.Event
	pulses := 0
	mem := memory.NewContainer("mem", memory.Whole)
	as := memory.NewAddressSpace("mem", mem)
	irq := qdev.NewIRQ(func(_ int, level bool) {
		if level {
			pulses++
		}
	}, 0)
	if _, err := NewGED(qdev.NewTree(qdev.NewRegistry()), mem, 0x1000, irq, vm); err != nil {
		t.Fatal(err)
	}
	vm.OnEvent(func(e mainloop.Event) { events = append(events, e) })
	vm.NoShutdown = true
	vm.RequestPowerdown()
	loop.RunPending()
	if v, _ := as.Load(0x1000, 4); v != gedPowerDown || pulses != 1 {
		t.Errorf("selector %#x, %d interrupts", v, pulses)
	}
	if v, _ := as.Load(0x1000, 4); v != 0 {
		t.Errorf("selector %#x after being read", v)
	}
	for _, tt := range []struct {
		name       string
		off, value uint64
		event      string
		cause      mainloop.ShutdownCause
	}{
		{"another sleep type", 0, 0x20 | 1<<2, "", ""},
		{"soft off", 0, 0x20 | 5<<2, "SHUTDOWN", mainloop.CauseGuestShutdown},
		{"wrong reset value", 2, 1, "", ""},
		{"reset", 2, 0x42, "RESET", mainloop.CauseGuestReset},
	} {
		t.Run(tt.name, func(t *testing.T) {
			events = nil
			as.Store(0x1000+GEDRegisters+tt.off, 1, tt.value)
			loop.RunPending()
			if got := len(events) != 0; got != (tt.event != "") || got && (events[0].Name != tt.event || events[0].Cause != tt.cause) {
				t.Errorf("events %v", events)
			}
		})
	}
}
