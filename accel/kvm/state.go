package kvm

import (
	"errors"
	"fmt"

	"goemu/accel"
	"goemu/target/x86"
)

// requestBits maps request lines to the migrated form.
var requestBits = [...]struct {
	line accel.IRQ
	bit  uint32
}{
	{accel.IRQHard, x86.RequestHard}, {accel.IRQSMI, x86.RequestSMI}, {accel.IRQNMI, x86.RequestNMI}, {accel.IRQMCE, x86.RequestMCE}, {accel.IRQInit, x86.RequestInit},
	{accel.IRQSIPI, x86.RequestSIPI},
}

// part is a piece of the state that the kernel gives and takes with one request or two.
type part struct {
	name string
	pull func(c *CPU) error // into rest
	push func(c *CPU) error
}

// parts are in the order in which they are pushed: what later ones depend on comes first. Events are last but the debug registers, which
// the kernel changes with them.
var parts = []part{
	{name: "special registers", pull: (*CPU).pullSregs, push: (*CPU).pushSregs},
	{name: "activity", pull: (*CPU).pullActivity, push: (*CPU).pushActivity},
	{name: "local interrupt controller", pull: (*CPU).pullLocal, push: (*CPU).pushLocal},
	{name: "registers", pull: (*CPU).pullRegs, push: (*CPU).pushRegs},
	{name: "extended control registers", pull: (*CPU).pullXcrs, push: (*CPU).pushXcrs},
	{name: "vector state", pull: (*CPU).pullXsave, push: (*CPU).pushXsave},
	{name: "model-specific registers", pull: (*CPU).pullMSRs, push: (*CPU).pushMSRs},
	{name: "events", pull: (*CPU).pullEvents, push: (*CPU).pushEvents},
	{name: "debug registers", pull: (*CPU).pullDebugRegs, push: (*CPU).pushDebugRegs},
}

// pull gets the state from the kernel unless it is here. The CPU is outside the guest.
func (c *CPU) pull() error {
	if c.synced {
		return nil
	}
	s := &c.rest
	s.Mode, s.Mode2 = 0, x86.Mode2GIF|x86.Mode2VGIF
	for _, p := range parts {
		if err := p.pull(c); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	if s.DR[7] == 0 {
		s.DR[7] = x86.DR7Fixed
	}
	c.env.Load(s)
	c.env.SaveTo(s)
	c.synced = true
	return nil
}

// push gives the kernel the state.
func (c *CPU) push() error {
	c.env.SaveTo(&c.rest)
	for _, p := range parts {
		if err := p.push(c); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	c.dirty, c.whole = false, false
	c.ready, c.ifFlag = false, c.rest.RFLAGS&x86.FlagIF != 0
	return nil
}

// mustPull is pull where nobody can be told of an error: the state stays as it was last.
func (c *CPU) mustPull() {
	if err := c.pull(); err != nil {
		c.accel.machine.Request(accel.ShutdownInternal, err.Error())
		c.synced = true
	}
}

// Env is the CPU's environment. It may be used while the CPU is paused or not started; what is changed in it takes effect.
func (c *CPU) Env() *x86.Env {
	c.mustPull()
	c.dirty = true
	return &c.env
}

// State returns the CPU's whole state. The CPU is paused or not started.
func (c *CPU) State() *x86.State {
	c.mustPull()
	s := c.rest
	c.env.SaveTo(&s)
	if c.ic != nil {
		s.TSCDeadline = c.ic.Deadline()
	}
	s.Requests = 0
	lines := accel.IRQ(c.lines.Load())
	for _, b := range requestBits {
		if lines&b.line != 0 {
			s.Requests |= b.bit
		}
	}
	s.Halted, s.WaitSIPI = c.halted.Load(), c.waitSIPI
	if c.accel.localInKernel() {
		s.Halted = s.MPState == mpHalted
		s.WaitSIPI = s.MPState == mpUninitialized || s.MPState == mpInitReceived
	}
	return &s
}

// CheckState refuses a state that the kernel cannot go on from.
func (a *Accel) CheckState(s *x86.State) error {
	switch {
	case s.Mode&x86.ModeGuest != 0:
		return errors.New("vCPU set in guest-mode inconsistent with migrated kernel nested state")
	case s.EFER&x86.EFERSVME != 0:
		return errors.New("the guest uses SVM, which it cannot have under KVM here")
	case s.Mode&x86.ModeSMM != 0 && !a.smm:
		return errors.New("the vCPU is in System Management Mode, which is not supported by this hypervisor")
	}
	return nil
}

// SetState makes s the CPU's state; the local interrupt controller has its own already. The CPU is paused or not started.
func (c *CPU) SetState(s *x86.State) {
	c.rest = *s
	if s.TSC == 0 { // a translator's state
		c.rest.TSC = c.accel.ticks + s.TSCOffset
	}
	c.env.Load(&c.rest)
	c.synced, c.dirty, c.whole = true, true, true
	c.ifFlag = s.RFLAGS&x86.FlagIF != 0
	c.setActivity(s.Halted, s.WaitSIPI)
	if c.ic != nil && s.TSCDeadline != 0 {
		c.ic.SetDeadline(s.TSCDeadline)
	}
	for _, b := range requestBits {
		if s.Requests&b.bit != 0 {
			c.Raise(b.line)
		} else if b.line != accel.IRQHard { // that one is the interrupt controller's, which has loaded its state
			c.Lower(b.line)
		}
	}
}

// Values of model-specific registers after power-up.
const (
	patReset   = 0x0007040600070406
	miscReset  = 1
	miscMWAIT  = 1 << 18
	pollReset  = 1
	kvmClockOn = 1
)

// Reset puts the CPU in its power-up state. It must not be running.
func (c *CPU) Reset() {
	c.env.HFlags = 0
	c.env.Reset(c.accel.opt.Config, false)
	c.rest = x86.State{A20Mask: -1, PAT: patReset, MiscEnable: miscReset, PollControl: pollReset, InterruptInjected: -1, ExceptionNr: -1,
		Mode2: x86.Mode2GIF | x86.Mode2VGIF, MCGCap: c.rest.MCGCap}
	c.rest.EnableMC(c.rest.MCGCap)
	if c.accel.opt.Config.Features.Has(x86.FeatMONITOR) {
		c.rest.MiscEnable |= miscMWAIT
	}
	c.synced, c.dirty, c.whole, c.unfinished = true, true, true, false
	c.ifFlag = false
	c.setActivity(false, c.index != 0)
}

// setActivity says whether the CPU executes: the kernel, if it has the interrupt controllers, or the CPU's goroutine acts on it.
func (c *CPU) setActivity(halted, waitSIPI bool) {
	c.rest.MPState = mpRunnable
	if !c.accel.localInKernel() {
		c.halted.Store(halted && !waitSIPI)
		c.waitSIPI = waitSIPI
		return
	}
	switch {
	case waitSIPI:
		c.rest.MPState = mpUninitialized
	case halted:
		c.rest.MPState = mpHalted
	}
}

// init is the INIT request: the CPU waits for a start-up interrupt, except the first, which starts from the reset vector.
func (c *CPU) init() {
	c.mustPull()
	c.env.Reset(c.accel.opt.Config, true)
	c.rest.InterruptInjected, c.rest.ExceptionNr = -1, -1
	c.rest.NMIInjected, c.rest.NMIPending = 0, 0
	c.rest.Mode2 &^= x86.Mode2NMI
	c.dirty = true
	c.ifFlag = false
	c.halted.Store(false)
	c.waitSIPI = c.index != 0
	if c.ic != nil {
		c.ic.InitReset()
		c.waitSIPI = c.ic.Base()&x86.APICBaseBSP == 0
	}
}

// startUp begins execution at the page that the start-up interrupt names.
func (c *CPU) startUp() {
	c.mustPull()
	c.waitSIPI = false
	v := uint64(c.ic.SIPIVector())
	c.env.Seg[x86.CS].Selector = uint16(v << 8)
	c.env.Seg[x86.CS].Base = v << 12
	c.env.PC = 0
	c.env.UpdateHFlags()
	c.dirty = true
}

// SetMSR sets a model-specific register. The CPU is paused or not started.
func (c *CPU) SetMSR(index uint32, v uint64) {
	c.mustPull()
	for _, m := range msrTable {
		if m.index == index {
			c.env.SaveTo(&c.rest)
			m.set(&c.rest, v)
			c.env.Load(&c.rest)
			c.dirty = true
			return
		}
	}
}

// ChangeMC lets f change the machine check registers, and raises the exception if it says so. The CPU is paused or not started.
func (c *CPU) ChangeMC(f func(s *x86.State) (raise bool)) {
	c.mustPull()
	s := c.rest
	c.env.SaveTo(&s)
	raise := f(&s)
	c.rest.MCGStatus, c.rest.MCBanks = s.MCGStatus, s.MCBanks
	c.dirty = true
	if raise {
		c.Raise(accel.IRQMCE)
	}
}
