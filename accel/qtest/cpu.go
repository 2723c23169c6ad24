// Package qtest is the accelerator without execution and the protocol by which a test program drives the machine instead: it
// accesses ports and memory, moves the clock and watches interrupt lines. It knows no concrete device.
package qtest

import (
	"os"
	"sync/atomic"

	"goemu/accel"
	"goemu/target/x86"
)

// CPU is a virtual CPU that never executes. It keeps its state and its request lines.
type CPU struct {
	index  int
	apicID uint32
	cfg    *x86.Config
	env    *x86.Env
	rest   x86.State // what the environment has no room for
	ic     accel.InterruptController
	lines  atomic.Uint32
}

// NewCPU returns a CPU in its power-up state.
func NewCPU(index int, apicID uint32, cfg *x86.Config) *CPU {
	c := &CPU{index: index, apicID: apicID, cfg: cfg, env: new(x86.Env)}
	c.rest.EnableMC(cfg.MCGCap())
	c.env.A20Mask = ^uint64(0)
	c.Reset()
	return c
}

// Values of model-specific registers after power-up.
const (
	patReset   = 0x0007040600070406
	miscEnable = 1
	miscMWAIT  = 1 << 18
)

// Reset puts the CPU in its power-up state.
func (c *CPU) Reset() {
	c.env.HFlags = 0
	c.env.Reset(c.cfg, false)
	c.rest = x86.State{PAT: patReset, MiscEnable: miscEnable, WaitSIPI: c.index != 0, MCGCap: c.rest.MCGCap, MCGCtl: c.rest.MCGCtl, MCBanks: c.rest.MCBanks}
	if c.cfg.Features.Has(x86.FeatMONITOR) {
		c.rest.MiscEnable |= miscMWAIT
	}
}

// Index implements accel.CPU.
func (c *CPU) Index() int { return c.index }

// APICID implements accel.CPU.
func (c *CPU) APICID() uint32 { return c.apicID }

// Raise implements accel.CPU.
func (c *CPU) Raise(l accel.IRQ) { c.lines.Or(uint32(l)) }

// Lower implements accel.CPU.
func (c *CPU) Lower(l accel.IRQ) { c.lines.And(^uint32(l)) }

// Do implements accel.CPU: the CPU is always between two instructions.
func (c *CPU) Do(f func()) { f() }

// Halted implements accel.CPU.
func (c *CPU) Halted() bool { return c.rest.Halted || c.rest.WaitSIPI }

// Thread is that of the whole process: the CPU has none of its own.
func (c *CPU) Thread() int { return os.Getpid() }

// Env is the CPU's environment.
func (c *CPU) Env() *x86.Env { return c.env }

// SetInterruptController connects the local interrupt controller.
func (c *CPU) SetInterruptController(ic accel.InterruptController) { c.ic = ic }

// SetA20 opens or closes the A20 gate.
func (c *CPU) SetA20(on bool) {
	c.env.A20Mask = ^uint64(0)
	if !on {
		c.env.A20Mask &^= 1 << 20
	}
}

// SetMSR sets a model-specific register; the ones that a kernel's entry needs are part of the environment, which no guest will see.
func (c *CPU) SetMSR(uint32, uint64) {}

// State returns the CPU's whole state.
func (c *CPU) State() *x86.State {
	s := c.env.Save()
	s.PAT, s.MiscEnable, s.FeatureControl, s.TSCAdjust = c.rest.PAT, c.rest.MiscEnable, c.rest.FeatureControl, c.rest.TSCAdjust
	s.MTRRFixed, s.MTRRDefType, s.MTRRVar = c.rest.MTRRFixed, c.rest.MTRRDefType, c.rest.MTRRVar
	s.MCGCap, s.MCGStatus, s.MCGCtl, s.MCBanks = c.rest.MCGCap, c.rest.MCGStatus, c.rest.MCGCtl, c.rest.MCBanks
	s.Mode2, s.Halted, s.WaitSIPI = c.rest.Mode2, c.rest.Halted, c.rest.WaitSIPI
	if c.ic != nil {
		s.TSCDeadline = c.ic.Deadline()
	}
	return s
}

// SetState makes s the CPU's state.
func (c *CPU) SetState(s *x86.State) {
	c.env.Load(s)
	c.rest = *s
	if c.ic != nil && s.TSCDeadline != 0 {
		c.ic.SetDeadline(s.TSCDeadline)
	}
}

// ChangeMC lets f change the machine check registers.
func (c *CPU) ChangeMC(f func(s *x86.State) (raise bool)) {
	s := c.State()
	raise := f(s)
	c.rest.MCGStatus, c.rest.MCBanks = s.MCGStatus, s.MCBanks
	if raise {
		c.Raise(accel.IRQMCE)
	}
}

// Accel keeps the CPUs; there is nothing to start or to stop.
type Accel struct{}

// Start implements the machine's accelerator.
func (Accel) Start() {}

// Pause implements the machine's accelerator.
func (Accel) Pause() {}

// Resume implements the machine's accelerator.
func (Accel) Resume() {}

// Close implements the machine's accelerator.
func (Accel) Close() error { return nil }
