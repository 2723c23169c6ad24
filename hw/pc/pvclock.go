package pc

import (
	"goemu/hw/qdev"
	"goemu/migration/vmstate"
)

// PVClock is an accelerator whose guests may read a clock of its own, which is part of the machine's state. All but HasClock are called
// while the machine is paused.
type PVClock interface {
	HasClock() bool
	Clock() uint64 // nanoseconds
	SetClock(ns uint64)
	ReliableClock() bool
}

// pvClock is the clock's state.
type pvClock struct {
	m        *Machine
	clock    PVClock
	reliable bool
}

const pvClockName = "kvmclock"

var pvClockState = vmstate.Description[pvClock]{
	Name: pvClockName, Version: 1, MinVersion: 1,
	Fields: []vmstate.Field[pvClock]{
		vmstate.Computed("clock", func(p *pvClock) uint64 { return p.clock.Clock() }, func(p *pvClock, v uint64) { p.clock.SetClock(v) }),
	},
	PostLoad: func(p *pvClock, _ int) error {
		p.m.fromKVM = true
		return nil
	},
	Subsections: []*vmstate.Description[pvClock]{{Name: "kvmclock/clock_is_reliable", Version: 1, MinVersion: 1,
		Needed: func(*pvClock) bool { return true },
		Fields: []vmstate.Field[pvClock]{
			vmstate.Computed("clock_is_reliable", func(p *pvClock) bool { return p.clock.ReliableClock() }, func(p *pvClock, v bool) { p.reliable = v }),
		}}},
}

// pvClock is the accelerator's clock, nil if it has none.
func (m *Machine) pvClock() PVClock {
	if c, ok := m.accel.(PVClock); ok && c.HasClock() {
		return c
	}
	return nil
}

// noPVClock takes the state of a clock that this machine's guests cannot read.
type noPVClock struct{}

func (noPVClock) HasClock() bool      { return false }
func (noPVClock) Clock() uint64       { return 0 }
func (noPVClock) SetClock(uint64)     {}
func (noPVClock) ReliableClock() bool { return false }

// pvClockSection is the clock's section if there is one to be sent, or one to be understood.
func (m *Machine) pvClockSection(load bool) []qdev.Section {
	c := m.pvClock()
	switch {
	case len(m.cpus) == 0, c == nil && !load:
		return nil
	case c == nil:
		c = noPVClock{}
	}
	return []qdev.Section{{Name: pvClockName, State: pvClockState.Bind(&pvClock{m: m, clock: c})}}
}
