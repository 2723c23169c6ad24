package ehci

import "goemu/internal/clock"

// capRegs answers for the capability registers, opRegs for the operational ones, portRegs for the ports.
type (
	capRegs  Controller
	opRegs   Controller
	portRegs Controller
)

// Read implements memory.Ops.
func (o *capRegs) Read(off uint64, _ int) uint64 { return uint64(o.caps[off]) }

// Write implements memory.Ops.
func (*capRegs) Write(uint64, int, uint64) {}

// Read implements memory.Ops.
func (o *opRegs) Read(off uint64, _ int) uint64 {
	c := (*Controller)(o)
	switch off {
	case regCommand:
		return uint64(c.command)
	case regStatus:
		return uint64(c.status)
	case regEnable:
		return uint64(c.enable)
	case regFrame:
		return uint64(c.frame &^ 7) // whole frames are what migrates
	case regSegment:
		return uint64(c.segment)
	case regPeriodic:
		return uint64(c.periodicBase)
	case regAsync:
		return uint64(c.asyncBase)
	case regConfig:
		return uint64(c.configured)
	}
	return uint64(c.unused[(off-regUnused)>>2])
}

// Write implements memory.Ops.
func (o *opRegs) Write(off uint64, _ int, value uint64) {
	if o.mastering {
		return
	}
	c, v := (*Controller)(o), uint32(value)
	switch off {
	case regCommand:
		c.setCommand(v)
	case regStatus:
		c.status &^= v & stsCauses
		c.updateIRQ()
	case regEnable:
		v &= stsCauses
		if c.running() && v&stsRollover != 0 {
			c.schedule()
		}
		c.enable = v
	case regFrame:
		c.frame = v & (frameLimit - 1)
		c.pendingFrame = c.frame
	case regSegment:
		c.segment = v
	case regPeriodic:
		c.periodicBase = v
	case regAsync:
		c.asyncBase = v
	case regConfig:
		c.configured = v & 1
		if c.configured != 0 {
			for i := range c.ports {
				c.setOwner(i, 0)
			}
		}
	default:
		c.unused[(off-regUnused)>>2] = v
	}
}

func (c *Controller) setCommand(v uint32) {
	if v&cmdReset != 0 {
		c.Reset()
		return
	}
	if c.command&cmdListSize == 0 {
		v &^= cmdListSize // the size of the frame list is fixed
	}
	if v&cmdDoorbell != 0 { // drivers wait for it with a time limit
		c.stepdown = 0
		c.schedule()
	}
	if (v^c.command)&(cmdRun|cmdPeriodic|cmdAsync) != 0 {
		if c.states[periodic] == stateInactive {
			c.lastRun = uint64(clock.Virtual.Now())
		}
		c.command = v
		c.updateHalt()
		c.stepdown = 0
		c.schedule()
	}
	c.command = v
}

// Read implements memory.Ops.
func (o *portRegs) Read(off uint64, _ int) uint64 { return uint64(o.portStatus[off>>2]) }

// Write implements memory.Ops.
func (o *portRegs) Write(off uint64, _ int, value uint64) {
	if o.mastering {
		return
	}
	c, i, v := (*Controller)(o), int(off>>2), uint32(value)
	s, p := &c.portStatus[i], &c.ports[i]
	*s &^= v & portClearOnes
	*s &= v | ^uint32(portEnabled) // may be cleared, not set
	c.setOwner(i, v)
	v &= portWritable
	if v&portReset == 0 && *s&portReset != 0 && p.Present() {
		p.Reset()
		*s &^= portConnectChanged
		if p.Device().Supports(high) {
			v |= portEnabled
		}
	}
	if v&portResume == 0 && *s&portResume != 0 {
		v &^= portSuspended
	}
	*s = *s&^portWritable | v
}

// setOwner gives a port to its companion or takes it back.
func (c *Controller) setOwner(i int, v uint32) {
	p := &c.ports[i]
	if p.companion == nil || (v^c.portStatus[i])&portOwner == 0 {
		return
	}
	if p.Present() {
		p.Pull()
	}
	c.portStatus[i] = c.portStatus[i]&^portOwner | v&portOwner
	if p.Present() {
		p.Plug()
	}
}
