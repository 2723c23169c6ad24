package nvme

// initRegs fills in the registers that never change.
func (c *Controller) initRegs() {
	v := uint64(capQueueCount | capCQR | capTimeout | capNVM | capManySets | capAdminOnly | capMaxPage<<capMaxPageAt)
	if c.cmb != nil {
		v |= capMemoryBuf
	}
	if c.persistent != nil {
		v |= capPersistent
		c.put32(regPMRCAP, pmrReads|pmrWrites|pmrBAR<<pmrBARAt|pmrBarrier|pmrWindowed)
	}
	le.PutUint64(c.regs[regCAP:], v)
	le.PutUint32(c.regs[regVS:], version14)
	if c.cmb != nil && c.LegacyCMB {
		c.showBuffer()
	}
}

func (c *Controller) get32(at int) uint32    { return le.Uint32(c.regs[at:]) }
func (c *Controller) put32(at int, v uint32) { le.PutUint32(c.regs[at:], v) }
func (c *Controller) get64(at int) uint64    { return le.Uint64(c.regs[at:]) }

// fail stops the controller for good: only a reset helps.
func (c *Controller) fail() { c.put32(regCSTS, stsFailed) }

type registers Controller

// Read implements memory.Ops.
func (o *registers) Read(off uint64, size int) uint64 {
	c := (*Controller)(o)
	if off > barBytes-uint64(size) {
		return 0
	}
	var b [8]byte
	copy(b[:size], c.regs[off:])
	return le.Uint64(b[:])
}

// Write implements memory.Ops.
func (o *registers) Write(off uint64, size int, v uint64) {
	c := (*Controller)(o)
	if off >= doorbells {
		if off&3 == 0 {
			c.ring(off-doorbells, uint16(v))
		}
		return
	}
	c.write(int(off), size, v)
}

// put writes a register of 64 bits, whole or its lower half.
func (c *Controller) put(at, size int, v uint64) {
	if size == 8 {
		le.PutUint64(c.regs[at:], v)
	} else if size == 4 {
		c.put32(at, uint32(v))
	} else {
		le.PutUint16(c.regs[at:], uint16(v))
	}
}

func (c *Controller) write(at, size int, v uint64) {
	switch at {
	case regINTMS:
		c.setMask(c.get32(regINTMS) | uint32(v))
	case regINTMC:
		c.setMask(c.get32(regINTMS) &^ uint32(v))
	case regCC:
		c.configure(uint32(v))
	case regAQA:
		c.put32(at, uint32(v))
	case regASQ, regACQ:
		c.put(at, size, v)
	case regASQ + 4, regACQ + 4:
		c.put32(at, uint32(v))
	case regCMBMSC:
		if c.cmb != nil {
			c.put(at, size, v)
			c.placeBuffer(uint32(v))
		}
	case regCMBMSC + 4:
		c.put32(at, uint32(v))
	case regPMRCTL, regPMRMSCL, regPMRMSCU:
		c.writePersistent(at, uint32(v))
	}
}

func (c *Controller) setMask(v uint32) {
	c.put32(regINTMS, v)
	c.put32(regINTMC, v)
	c.updatePin()
}

// configure takes a new value of the configuration register: enabling and disabling, and notices of shutting down.
func (c *Controller) configure(v uint32) {
	old, sts := c.get32(regCC), c.get32(regCSTS)
	c.put32(regCC, v)
	const shut = 3 << ccShut
	switch {
	case v&shut != 0 && old&shut == 0:
		c.shutdown()
		sts = sts&^stsShutMask | stsShutDone
	case v&shut == 0 && old&shut != 0:
		sts &^= stsShutMask
	}
	switch {
	case v&ccEnable != 0 && old&ccEnable == 0:
		sts = stsFailed
		if c.start(v) {
			sts = stsReady
		}
	case v&ccEnable == 0 && old&ccEnable != 0:
		c.reset()
		return
	}
	c.put32(regCSTS, sts)
}

// start makes the admin queues; it returns false where the driver's settings are impossible.
func (c *Controller) start(cc uint32) bool {
	bits, aqa := cc>>ccPageAt&15, c.get32(regAQA)
	size := uint64(1) << (bits + pageBits)
	sets, sqSize, cqSize := cc>>ccSetsAt&7, aqa&0xfff, aqa>>16&0xfff
	asq, acq := c.get64(regASQ), c.get64(regACQ)
	switch {
	case c.cqs[0] != nil, c.sqs[0] != nil, asq%size != 0, acq%size != 0, c.get64(regCAP)>>capSetsAt>>sets&1 == 0, bits > capMaxPage:
		return false
	case cc>>ccCQEntryAt&15 != cqEntryBits, cc>>ccSQEntryAt&15 != sqEntryBits, sqSize == 0, cqSize == 0:
		return false
	}
	c.page = size
	c.addCQ(0, acq, 0, cqSize+1, true)
	c.addSQ(0, 0, asq, sqSize+1)
	c.features.setTime(0)
	return true
}

// reset is the reset of the controller: nothing is under way when it returns.
func (c *Controller) reset() {
	for i, q := range c.sqs {
		if q != nil {
			q.jobs.Drop()
			c.sqs[i] = nil
		}
	}
	for _, n := range c.namespaces {
		if n != nil {
			n.formatting = false
		}
	}
	for _, q := range c.cqs {
		if q != nil {
			c.dropCQ(q)
		}
	}
	c.events, c.created, c.shadow, c.irqs = events{}, false, shadow{}, 0
	for _, at := range []int{regCSTS, regINTMS, regINTMC, regCC} {
		c.put32(at, 0)
	}
	c.SetINTx(false)
}

// shutdown writes everything to the disks.
func (c *Controller) shutdown() {
	for _, q := range c.sqs {
		if q != nil {
			q.jobs.Drain()
		}
	}
	for _, n := range c.namespaces {
		if n != nil {
			n.flush()
		}
	}
}

// Memory buffer: location and size registers as the driver sees them when it has asked.
const (
	cmbMixedUse = 1<<4 | 1<<5 // data and lists need no special place
	cmbSupports = 1 | 1<<2 | 1<<3 | 1<<4
	cmbMiB      = 2 << 8
	cmbSizeAt   = 12
	mscShow     = 1
	mscMap      = 2
	mscAddr     = ^uint64(0xfff)
	cmbBadAddr  = 1
)

func (c *Controller) showBuffer() {
	c.put32(regCMBLOC, memoryBAR|cmbMixedUse)
	c.put32(regCMBSZ, cmbSupports|cmbMiB|c.CMBSize<<cmbSizeAt)
}

// placeBuffer takes what the driver says about the memory buffer: whether it wants to see it, and at which address the controller does.
func (c *Controller) placeBuffer(v uint32) {
	c.buffer.SetEnabled(false)
	if v&mscShow == 0 {
		c.put32(regCMBSZ, 0)
		c.put32(regCMBLOC, 0)
		return
	}
	c.showBuffer()
	if v&mscMap == 0 {
		return
	}
	addr := c.get64(regCMBMSC) & mscAddr
	if addr+uint64(len(c.cmb)) < addr {
		c.put32(regCMBSTS, c.get32(regCMBSTS)|cmbBadAddr)
		return
	}
	c.buffer.SetOffset(addr)
	c.buffer.SetEnabled(true)
}

// updatePin drives the interrupt pin.
func (c *Controller) updatePin() {
	if !c.MSIXEnabled() {
		c.SetINTx(c.irqs&^c.get32(regINTMS) != 0)
	}
}
