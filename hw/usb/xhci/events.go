package xhci

// ring is a ring of transfer request blocks as the controller reads it.
type ring struct {
	dequeue uint64
	cycle   bool
}

// words is the ring's place and cycle bit as contexts have them.
func (r *ring) words() (low, high uint32) {
	if low = uint32(r.dequeue); r.cycle {
		low |= 1
	}
	return low, uint32(r.dequeue >> 32)
}

// trb is a transfer request block.
type trb struct {
	parameter       uint64
	status, control uint32
	addr            uint64
	cycle           bool
}

func (t *trb) typ() uint32    { return t.control >> trbTypeAt & 63 }
func (t *trb) length() uint32 { return t.status & trbLength }

// fetch reads the next block; ok is false if the driver has not written it yet.
func (c *Controller) fetch(r *ring) (t trb, ok bool) {
	for range maxLinks + 1 {
		var w [4]uint32
		c.words(r.dequeue, w[:])
		t = trb{join([2]uint32{w[0], w[1]}), w[2], w[3], r.dequeue, r.cycle}
		switch {
		case t.control&trbCycle != 0 != r.cycle:
			return t, false
		case t.typ() != trLink:
			r.dequeue += trbBytes
			return t, true
		}
		r.dequeue = t.parameter &^ 15
		if t.control&trbToggle != 0 {
			r.cycle = !r.cycle
		}
	}
	return t, false
}

// fetchTransfer reads the blocks of the next transfer, those of a control transfer together; none if it is not complete.
func (c *Controller) fetchTransfer(r *ring) []trb {
	at, control := *r, false
	var list []trb
	for len(list) < maxChain {
		t, ok := c.fetch(&at)
		if !ok || c.status&stsError != 0 {
			return nil
		}
		list = append(list, t)
		switch t.typ() {
		case trSetup:
			control = true
		case trStatus:
			control = false
		}
		if !control && t.control&trbChain == 0 {
			*r = at
			return list
		}
	}
	c.die()
	return nil
}

// event is what the controller tells the driver (section 6.4.2).
type event struct {
	typ, code     uint32
	pointer       uint64
	length, flags uint32
	slot, ep      uint8
}

// setEventRing takes the place of an event ring from its table, of one segment.
func (c *Controller) setEventRing(i *interrupter) {
	table := join(i.table)
	if i.tableSize == 0 || table == 0 {
		i.start, i.size = 0, 0
		return
	}
	if i.tableSize != 1 {
		c.die()
		return
	}
	var w [4]uint32
	c.words(table, w[:])
	if size := int(w[2]); c.status&stsError != 0 || size < minSegment || size > maxSegment {
		c.die()
		return
	}
	i.start, i.size, i.index, i.cycle = join([2]uint32{w[0], w[1]}), w[2], 0, true
}

// position is where the driver reads an event ring; ok is false if that is outside.
func (i *interrupter) position() (n uint32, ok bool) {
	at := join(i.dequeue)
	if at < i.start || at >= i.start+trbBytes*uint64(i.size) {
		return 0, false
	}
	return uint32((at - i.start) / trbBytes), true
}

// event puts an event into the ring of interrupter n. The last free place but one tells of a full ring.
func (c *Controller) event(n int, e event) {
	if n >= len(c.interrupters) {
		return
	}
	i := &c.interrupters[n]
	at, ok := i.position()
	if !ok {
		c.die()
		return
	}
	switch {
	case (i.index+2)%i.size == at:
		c.writeEvent(i, event{typ: erHost, code: ccRingFull})
	case (i.index+1)%i.size == at:
	default:
		c.writeEvent(i, e)
	}
	c.raise(n)
}

func (c *Controller) writeEvent(i *interrupter, e event) {
	control := uint32(e.slot)<<trbSlotAt | uint32(e.ep)<<trbEndpointAt | e.flags | e.typ<<trbTypeAt
	if i.cycle {
		control |= trbCycle
	}
	c.putWords(i.start+trbBytes*uint64(i.index), uint32(e.pointer), uint32(e.pointer>>32), e.length|e.code<<24, control)
	if i.index++; i.index >= i.size {
		i.index, i.cycle = 0, !i.cycle
	}
}

// raise interrupts the driver for an interrupter.
func (c *Controller) raise(n int) {
	i := &c.interrupters[n]
	busy := i.dequeue[0]&dequeueBusy != 0
	i.dequeue[0] |= dequeueBusy
	i.manage |= manPending
	c.status |= stsEvent
	if !busy && i.manage&manEnabled != 0 && c.command&cmdInterrupt != 0 && c.send(n, true) {
		i.manage &^= manPending
	}
}

// send sends a message, or drives the pin; it returns true for a message.
func (c *Controller) send(n int, level bool) bool {
	msix, msi := c.MSIXEnabled(), c.MSIEnabled()
	switch {
	case msix && level:
		c.NotifyMSIX(n)
		return true
	case msi && level:
		c.NotifyMSI(n)
		return true
	case n == 0 && !msix && !msi:
		c.SetINTx(level)
	}
	return false
}

func (c *Controller) updatePin() { c.updateInterrupter(0) }

// updateInterrupter does what follows from a change of an interrupter's registers.
func (c *Controller) updateInterrupter(n int) {
	i := &c.interrupters[n]
	if n == 0 {
		level := i.manage&(manPending|manEnabled) == manPending|manEnabled && c.command&cmdInterrupt != 0
		if c.send(0, level) {
			i.manage &^= manPending
		}
	}
	enable := i.manage&manEnabled != 0
	if !c.MSIXEnabled() || enable == i.used {
		return
	}
	if i.used = enable; enable {
		c.UseVector(n)
	} else {
		c.UnuseVector(n)
	}
}
