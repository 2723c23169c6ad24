package tcg

import (
	"goemu/accel"
	"goemu/target/x86"
)

// requestBits maps request lines to the migrated form.
var requestBits = [...]struct {
	line accel.IRQ
	bit  uint32
}{
	{accel.IRQHard, x86.RequestHard}, {accel.IRQSMI, x86.RequestSMI}, {accel.IRQNMI, x86.RequestNMI}, {accel.IRQMCE, x86.RequestMCE}, {accel.IRQInit, x86.RequestInit},
	{accel.IRQSIPI, x86.RequestSIPI}, {irqVirtual, x86.RequestVirtual},
}

// State returns the CPU's whole state. The CPU is paused or not started.
func (c *CPU) State() *x86.State {
	s := c.env.Save()
	m := &c.msr
	s.PAT, s.MiscEnable, s.FeatureControl, s.TSCAdjust = m.pat, m.miscEnable, m.featCtl, m.tscAdjust
	s.MTRRDefType, s.MCGCap, s.MCGStatus, s.MCGCtl, s.MCBanks = m.mtrrDef, c.cfg.MCGCap(), m.mcgStatus, m.mcgCtl, m.mc
	s.MTRRFixed[0] = m.mtrrFix64K
	copy(s.MTRRFixed[1:], m.mtrrFix16K[:])
	copy(s.MTRRFixed[1+len(m.mtrrFix16K):], m.mtrrFix4K[:])
	for i := range s.MTRRVar {
		s.MTRRVar[i] = x86.MTRR{Base: m.mtrrPhys[2*i], Mask: m.mtrrPhys[2*i+1]}
	}
	s.SVM = c.svm.SVMState
	s.Mode2 = s.Mode2&^x86.Mode2SVM | c.svm.mode2
	if c.nmiBlocked {
		s.Mode2 |= x86.Mode2NMI
	}
	if c.smmNMI && s.Mode&x86.ModeSMM != 0 {
		s.Mode2 |= x86.Mode2SMMInsideNMI
	}
	if c.ic != nil {
		s.TSCDeadline = c.ic.Deadline()
	}
	lines := accel.IRQ(c.lines.Load())
	for _, b := range requestBits {
		if lines&b.line != 0 {
			s.Requests |= b.bit
		}
	}
	s.Halted, s.WaitSIPI = c.halted.Load(), c.waitSIPI
	return s
}

// SetState makes s the CPU's state; the local interrupt controller has its own already. The CPU is paused or not started.
func (c *CPU) SetState(s *x86.State) {
	c.stateMu.Lock()
	c.setState(s)
	c.stateMu.Unlock()
	if s.Mode&x86.ModeGuest != 0 {
		c.svm.tscOffset = c.vmcb(x86.VMCBTSCOffset, 8)
	}
	if c.ic != nil && s.TSCDeadline != 0 {
		c.ic.SetDeadline(s.TSCDeadline)
	}
	c.Lower(accel.IRQReset)
	c.nmis.Store(0)
	for _, b := range requestBits {
		if s.Requests&b.bit != 0 {
			c.Raise(b.line)
		} else if b.line != accel.IRQHard { // that one is the interrupt controller's, which has loaded its state
			c.Lower(b.line)
		}
	}
}

// setState makes s the state of the CPU itself. Preconditions: stateMu is held.
func (c *CPU) setState(s *x86.State) {
	c.ev, c.last.id, c.once, c.alone = event{}, 0, false, false
	c.env.Load(s)
	m := &c.msr
	m.pat, m.miscEnable, m.featCtl, m.tscAdjust = s.PAT, s.MiscEnable, s.FeatureControl, s.TSCAdjust
	m.mtrrDef, m.mcgStatus, m.mcgCtl, m.mc = s.MTRRDefType, s.MCGStatus, s.MCGCtl, s.MCBanks
	m.mtrrFix64K = s.MTRRFixed[0]
	copy(m.mtrrFix16K[:], s.MTRRFixed[1:])
	copy(m.mtrrFix4K[:], s.MTRRFixed[1+len(m.mtrrFix16K):])
	for i, r := range s.MTRRVar {
		m.mtrrPhys[2*i], m.mtrrPhys[2*i+1] = r.Base, r.Mask
	}
	c.nmiBlocked = s.Mode2&x86.Mode2NMI != 0
	c.svm = svm{SVMState: s.SVM, mode2: s.Mode2 & x86.Mode2SVM}
	c.needGIF()
	c.smiBlocked = s.Mode&x86.ModeSMM != 0
	c.smmNMI = s.Mode2&x86.Mode2SMMInsideNMI != 0
	c.a20.Store(s.A20Mask&(1<<20) != 0)
	c.halted.Store(s.Halted && !s.WaitSIPI)
	c.waitSIPI = s.WaitSIPI
	c.flushTLB(true)
	c.updateWatch()
}

// ChangeMC lets f change the machine check registers, and raises the exception if it says so. The CPU is paused or not started.
func (c *CPU) ChangeMC(f func(s *x86.State) (raise bool)) {
	m := &c.msr
	s := &x86.State{MCGCap: c.cfg.MCGCap(), MCGStatus: m.mcgStatus, MCGCtl: m.mcgCtl, MCBanks: m.mc}
	s.CR4 = c.env.CR[4]
	raise := f(s)
	m.mcgStatus, m.mc = s.MCGStatus, s.MCBanks
	if raise {
		c.Raise(accel.IRQMCE)
	}
}
