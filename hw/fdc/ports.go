package fdc

// ports are the registers; first is the number of the one at the first port.
type ports struct {
	*Controller
	first uint64
}

// Read implements memory.Ops.
func (p ports) Read(off uint64, _ int) uint64 {
	c := p.Controller
	var v uint8
	switch off + p.first {
	case regStatusB:
		v = c.statusB
	case regOutput:
		v = c.output | c.selected
	case regTape:
		v = c.tape
	case regStatus:
		c.rate &^= dsrPowerDown
		c.output |= dorRunning
		v = c.status
	case regFIFO:
		v = c.readFIFO()
	case regInput:
		if c.current().changed != 0 {
			v = dirChanged
		}
	}
	return uint64(v)
}

// Write implements memory.Ops. All registers but the one that ends it are deaf while the controller is held in reset.
func (p ports) Write(off uint64, _ int, value uint64) {
	c, v := p.Controller, uint8(value)
	reg := off + p.first
	switch {
	case reg == regOutput:
		c.writeOutput(v)
	case c.output&dorRunning == 0:
	case reg == regTape:
		c.tape = v & tdrBootSelect
	case reg == regStatus:
		c.writeRate(v)
	case reg == regFIFO:
		c.writeFIFO(v)
	case reg == regInput:
		c.rate = c.rate&^dsrRate | v&dsrRate
	}
}

// writeOutput starts motors, selects a drive and ends a reset.
func (c *Controller) writeOutput(v uint8) {
	for _, m := range [...]struct{ bit, shown uint8 }{{dorMotor0, srbMotor0}, {dorMotor1, srbMotor1}, {dorSelect, srbDrive0}} {
		c.statusB &^= m.shown
		if v&m.bit != 0 {
			c.statusB |= m.shown
		}
	}
	if v&dorRunning != 0 && c.output&dorRunning == 0 {
		c.reset(true)
		c.rate &^= dsrPowerDown
	}
	c.selected, c.output = v&dorSelect, v
}

// writeRate sets the data rate, resets the controller or puts it to sleep.
func (c *Controller) writeRate(v uint8) {
	if v&dsrReset != 0 {
		c.output &^= dorRunning
		c.reset(true)
		c.output |= dorRunning
	}
	if v&dsrPowerDown != 0 {
		c.reset(true)
	}
	c.rate = v
}
