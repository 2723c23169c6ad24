package i8254

import (
	"errors"
	"fmt"

	"goemu/accel"
	"goemu/hw/isa"
	"goemu/hw/qdev"
	"goemu/internal/clock"
	"goemu/migration/vmstate"
)

// TickPolicy says what becomes of the interrupts that a guest has not taken in time.
type TickPolicy string

// The policies.
const (
	TicksDelay   TickPolicy = "delay"
	TicksDiscard TickPolicy = "discard"
	TicksSlew    TickPolicy = "slew"
)

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *TickPolicy) UnmarshalText(b []byte) error {
	switch v := TickPolicy(b); v {
	case TicksDelay, TicksDiscard, TicksSlew:
		*p = v
		return nil
	}
	return fmt.Errorf("unknown policy %s", b) // the caller says it in QEMU's words
}

// PropertyType implements qdev.TypeNamer.
func (TickPolicy) PropertyType() string { return "LostTickPolicy" }

// kernelPIT is the device type kvm-pit.
type kernelPIT struct {
	PIT
	Ticks TickPolicy `prop:"lost_tick_policy,default=delay"`
}

// KernelClass is the device type whose work a kernel does while the machine runs.
var KernelClass = qdev.Class{Name: "kvm-pit", Parents: []string{"pit-common"}, Bus: isa.BusType, Internal: true, Category: qdev.Misc,
	New: func() qdev.Device { return new(kernelPIT) }, State: func(d qdev.Device) vmstate.State { return state.Bind(&d.(*kernelPIT).PIT) }}

// Realize implements qdev.Device.
func (p *kernelPIT) Realize() error {
	if p.Ticks == TicksSlew {
		return errors.New("Lost tick policy not supported.")
	}
	if err := p.kernel.CreatePIT(p.Ticks == TicksDiscard); err != nil {
		return err
	}
	return p.PIT.Realize()
}

// Offload lets the kernel, if there is one for it, do the work until Reclaim. Preconditions of both: the machine lock is held.
func (p *PIT) Offload() {
	if p.kernel != nil {
		p.push()
		p.offloaded = true
	}
}

// Reclaim takes the state back.
func (p *PIT) Reclaim() {
	if p.offloaded {
		p.pull()
		p.offloaded = false
	}
}

// withState runs f with the state here while the kernel does the work; put says that f changes it.
func (p *PIT) withState(put bool, f func()) {
	if p.offloaded {
		p.pull()
		if put {
			defer p.push()
		}
	}
	f()
}

func (p *PIT) push() {
	now := clock.Virtual.Now()
	s := accel.PITState{Replaced: p.irqDisabled != 0}
	for i := range p.channels {
		c := &p.channels[i]
		s.Channels[i] = accel.PITChannel{Count: uint32(c.count), LatchedCount: c.latchedCount, CountLatched: c.countLatched, StatusLatched: c.statusLatched, Status: c.status,
			ReadState: c.readState, WriteState: c.writeState, WriteLatch: c.writeLatch, RWMode: c.rwMode, Mode: c.mode, BCD: c.bcd, Gate: c.gate, Age: now - c.loadTime}
	}
	p.kernel.SetPIT(s)
}

func (p *PIT) pull() {
	s := p.kernel.PIT()
	now := clock.Virtual.Now()
	p.irqDisabled = 0
	if s.Replaced {
		p.irqDisabled = 1
	}
	for i := range p.channels {
		c := &s.Channels[i]
		p.channels[i] = channel{count: validCount(int32(c.Count)), latchedCount: c.LatchedCount, countLatched: c.CountLatched, statusLatched: c.StatusLatched, status: c.Status,
			readState: c.ReadState, writeState: c.WriteState, writeLatch: c.WriteLatch, rwMode: c.RWMode, mode: c.Mode, bcd: c.BCD, gate: c.Gate, loadTime: now - c.Age}
	}
	p.channels[0].next = p.channels[0].transition(now)
}
