package nvme

// Effects of commands (section 5.14.1.5).
const (
	effSupported = 1 << 0
	effContents  = 1 << 1
	effInventory = 1 << 3
)

// adminEffects and ioEffects are the commands there are.
var (
	adminEffects = map[uint8]uint32{
		admDeleteSQ: effSupported, admCreateSQ: effSupported, admGetLog: effSupported, admDeleteCQ: effSupported, admCreateCQ: effSupported,
		admIdentify: effSupported, admAbort: effSupported, admSetFeatures: effSupported, admGetFeatures: effSupported, admAsyncEvent: effSupported,
		admAttach: effSupported | effInventory, admDoorbells: effSupported, admFormat: effSupported | effContents,
	}
	ioEffects = map[uint8]uint32{
		cmdFlush: effSupported | effContents, cmdZeroes: effSupported | effContents, cmdWrite: effSupported | effContents, cmdRead: effSupported,
		cmdDSM: effSupported | effContents, cmdVerify: effSupported, cmdCopy: effSupported | effContents, cmdCompare: effSupported,
	}
)

// admin carries out a command of the admin queue.
func (c *Controller) admin(r *request) status {
	switch {
	case adminEffects[r.opcode()] == 0:
		return invalidOpcode
	case r.cmd[cmdFlags]&flagSGL != 0:
		return invalidField
	case r.cmd[cmdFlags]&flagFuse != 0:
		return invalidFieldTry
	}
	switch r.opcode() {
	case admDeleteSQ:
		return c.deleteSQ(r)
	case admCreateSQ:
		return c.createSQ(r)
	case admGetLog:
		return c.getLog(r)
	case admDeleteCQ:
		return c.deleteCQ(r)
	case admCreateCQ:
		return c.createCQ(r)
	case admIdentify:
		return c.identify(r)
	case admAbort: // whatever it names is over already, or cannot be called back
		r.result = 1
		if c.sq(r.dw(10)&0xffff) == nil {
			return invalidField
		}
		return success
	case admSetFeatures:
		return c.setFeature(r)
	case admGetFeatures:
		return c.getFeature(r)
	case admAsyncEvent:
		return c.awaitEvent(r)
	case admAttach:
		return c.attachment(r)
	case admDoorbells:
		return c.setDoorbells(r)
	}
	return c.format(r)
}

// Queue commands (sections 5.3 to 5.6).
const (
	queueContiguous = 1
	queueInterrupts = 2
)

func (c *Controller) createCQ(r *request) status {
	id, size, flags, vector := uint16(r.dw(10)), r.dw(10)>>16, r.dw(11), r.dw(11)>>16
	base := le.Uint64(r.cmd[cmdPRP1:])
	switch {
	case id == 0 || uint32(id) > c.MaxPairs || c.cqs[id] != nil:
		return invalidQueue
	case size == 0 || size > maxEntries:
		return queueTooLarge
	case base%c.page != 0:
		return badPRPOffset
	case vector != 0 && !c.MSIXEnabled(), vector >= uint32(c.MSIXSize):
		return invalidVector
	case flags&queueContiguous == 0:
		return invalidField
	}
	c.addCQ(id, base, uint16(vector), size+1, flags&queueInterrupts != 0)
	c.created = true
	return success
}

func (c *Controller) createSQ(r *request) status {
	id, size, flags, cq := uint16(r.dw(10)), r.dw(10)>>16, r.dw(11), r.dw(11)>>16
	base := le.Uint64(r.cmd[cmdPRP1:])
	switch {
	case cq == 0 || c.cq(cq) == nil:
		return invalidCQ
	case id == 0 || uint32(id) > c.MaxPairs || c.sqs[id] != nil:
		return invalidQueue
	case size == 0 || size > maxEntries:
		return queueTooLarge
	case base%c.page != 0:
		return badPRPOffset
	case flags&queueContiguous == 0:
		return invalidField
	}
	c.addSQ(id, uint16(cq), base, size+1)
	return success
}

// deleteSQ waits for the queue's commands; those without a place in the completion queue are lost with it.
func (c *Controller) deleteSQ(r *request) status {
	id := r.dw(10) & 0xffff
	q := c.sq(id)
	if id == 0 || q == nil {
		return invalidQueue
	}
	q.jobs.Drain()
	c.sqs[id] = nil
	cq := c.cqs[q.cq]
	cq.users--
	kept := cq.done[:0]
	for _, d := range cq.done {
		if d.sq != q {
			kept = append(kept, d)
		}
	}
	cq.done = kept
	return success
}

func (c *Controller) deleteCQ(r *request) status {
	id := r.dw(10) & 0xffff
	q := c.cq(id)
	switch {
	case id == 0 || q == nil:
		return invalidCQ
	case q.users != 0:
		return queueInUse
	}
	c.lower(q)
	c.dropCQ(q)
	return success
}

// setDoorbells takes the places of doorbells in memory.
func (c *Controller) setDoorbells(r *request) status {
	values, events := le.Uint64(r.cmd[cmdPRP1:]), le.Uint64(r.cmd[cmdPRP2:])
	if values%c.page != 0 || events%c.page != 0 {
		return invalidField
	}
	c.shadow = shadow{true, values, events}
	for i := range c.sqs {
		if q := c.sqs[i]; q != nil {
			c.writeShadow(values, 2*i, q.tail)
		}
		if q := c.cqs[i]; q != nil {
			c.writeShadow(values, 2*i+1, q.head)
		}
	}
	return success
}

// validNSID tells whether a namespace could have the number.
func validNSID(id uint32) bool { return id != 0 && (id <= maxNamespaces || id == allNamespaces) }
