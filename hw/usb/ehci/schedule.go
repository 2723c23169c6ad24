package ehci

import (
	"slices"

	"goemu/hw/disk"
	"goemu/hw/usb"
	"goemu/internal/clock"
)

// advance chooses the next transfer descriptor of a queue; ok is false if it has none (section 4.10.2).
func (q *queue) advance() (ok bool) {
	switch {
	case q.qh[qhToken]&tokenBytes != 0 && q.qh[qhAlternate]&linkEnd == 0:
		q.tdAddr = q.qh[qhAlternate]
	case q.qh[qhNext]&linkEnd == 0:
		q.tdAddr = q.qh[qhNext]
	default:
		return false
	}
	return true
}

// visit reads a queue head; it returns false where going on is no use: the schedule goes in circles.
func (q *queue) visit() bool {
	c := q.c
	if q.seen++; q.seen > 1 {
		return false
	}
	var qh [qhWords]uint32
	c.read(q.addr&linkMask, qh[:])
	if !q.same(&qh) {
		q.forget()
	}
	q.qh = qh
	if q.mult = qh[qhCaps] >> capsMultAt; q.mult == 0 {
		q.mult = 4 // Windows leaves it zero
	}
	if q.dev == nil {
		q.dev = c.find(uint8(qh[qhEndpoint] & epAddress))
	}
	if q.s == async && qh[qhEndpoint]&epHead != 0 { // sections 4.8.3 and 4.10.1
		if c.status&stsReclamation == 0 {
			return false
		}
		c.status &^= stsReclamation
	}
	return true
}

// process does the transfer descriptors of a queue until it has to wait; ok is false if the schedule is broken.
func (q *queue) process() (ok bool) {
	token := q.qh[qhToken]
	switch {
	case token&tokenHalted != 0:
		return true
	case token&tokenActive != 0 && q.qh[qhCurrent]&linkEnd == 0 && q.qh[qhCurrent] != 0:
		q.tdAddr = q.qh[qhCurrent]
	case !q.advance():
		return true
	}
	for range maxQueued {
		more, ok := q.step()
		if !ok || !more {
			return ok
		}
	}
	return true
}

// step does the transfer descriptor at tdAddr; more says that the queue goes on with the next one.
func (q *queue) step() (more, ok bool) {
	c := q.c
	var td [tdWords]uint32
	at := q.tdAddr & linkMask
	c.read(at+4*tdToken, td[tdToken:tdToken+1]) // first: the driver writes it last
	c.read(at, td[:tdToken])
	c.read(at+4*tdBuffers, td[tdBuffers:])
	var p *packet
	if len(q.packets) > 0 {
		if p = q.packets[0]; p.same(&td) {
			p.td = td
			q.overlay(p)
		} else {
			q.cancel()
			p = nil
		}
	}
	if td[tdToken]&tokenActive == 0 {
		return false, true
	}
	if p == nil {
		if q.dev == nil {
			return false, true
		}
		p = &packet{q: q, td: td, addr: q.tdAddr}
		q.packets = append(q.packets, p)
	}
	switch p.phase {
	case phaseInFlight:
		return false, q.fill(q.packets[len(q.packets)-1])
	case phaseFinished:
		if q.s == async {
			c.stepdown = 0
		}
	default:
		if done, ok := q.start(p); done || !ok {
			return false, ok
		}
	}
	return q.finish(p), true
}

// start executes a packet; waiting says that it is not done.
func (q *queue) start(p *packet) (waiting, ok bool) {
	c := q.c
	if q.s == async {
		c.stepdown = 0
	}
	q.overlay(p)
	if q.s == periodic && q.mult == 0 {
		return true, true
	}
	if q.s == async {
		c.status |= stsReclamation
	}
	if !q.execute(p) {
		return true, false
	}
	if p.Status != usb.Async {
		return false, true
	}
	q.flush()
	p.phase = phaseInFlight
	if q.s == async {
		return true, q.fill(p)
	}
	return true, true
}

// finish reports a packet that is done; it returns true if the queue goes on.
func (q *queue) finish(p *packet) bool {
	done := q.complete(p)
	if q.s == periodic && q.mult > 0 {
		q.mult--
	}
	q.flush()
	if !done {
		return false
	}
	q.writeBack(p)
	if q.s == periodic {
		q.c.activity = periodicActivity
	}
	return q.qh[qhToken]&tokenHalted == 0 && q.advance()
}

// fill gives the device the transfer descriptors behind a packet that it has not answered.
func (q *queue) fill(p *packet) (ok bool) {
	td := p.td
	for td[tdNext]&linkEnd == 0 && len(q.packets) < maxQueued {
		addr := td[tdNext]
		if slices.ContainsFunc(q.packets, func(x *packet) bool { return x.addr == addr }) { // Windows makes circles
			return true
		}
		q.c.read(addr&linkMask, td[:])
		if td[tdToken]&tokenActive == 0 || q.number() != 0 && pidOf(td[tdToken]) != q.lastPID {
			return true
		}
		n := &packet{q: q, td: td, addr: addr}
		q.packets = append(q.packets, n)
		if !q.execute(n) {
			return false
		}
		n.phase = phaseInFlight
	}
	return true
}

// walk goes through a schedule from an entry on; ok is false if it is broken.
func (c *Controller) walk(s schedule, entry uint32) (ok bool) {
	isoch := 0
	for range maxSteps {
		if entry&linkEnd != 0 {
			return true
		}
		c.fetch[s] = entry
		switch t := linkType(entry); {
		case t == typeQueue:
			q := c.queue(s, entry)
			if !q.visit() {
				return true
			}
			if !q.process() {
				return false
			}
			if q.qh[qhLink] == entry {
				return true
			}
			entry = q.qh[qhLink]
		case s == async || t > typeSplitIso || isoch == maxIsoch:
			return false
		case t == typeIsoch:
			var itd [itdWords]uint32
			c.read(entry&linkMask, itd[:])
			if !c.isochronous(&itd) {
				return false
			}
			c.write(entry&linkMask, itd[:])
			entry, isoch = itd[itdNext], isoch+1
		default: // split transactions are for hubs that translate speeds, of which there are none
			var next [1]uint32
			c.read(entry&linkMask, next[:])
			entry, isoch = next[0], isoch+1
		}
	}
	return true
}

// runAsync goes through the asynchronous schedule.
func (c *Controller) runAsync() {
	if c.states[async] == stateInactive {
		if !c.enabled(async) {
			return
		}
		c.setState(async, stateActive)
	}
	if !c.enabled(async) {
		c.dropAll(async)
		c.setState(async, stateInactive)
		return
	}
	if c.status&stsAdvance != 0 || c.asyncBase == 0 {
		return
	}
	c.status |= stsReclamation
	c.dropOld(async)
	if head, ok := c.listHead(); ok && !c.walk(async, head) {
		c.Reset()
		return
	}
	if c.command&cmdDoorbell != 0 { // section 4.8.2
		c.dropUnseen(async)
		c.command &^= cmdDoorbell
		c.raise(stsAdvance)
	}
}

// listHead finds the head of the asynchronous list (section 4.9.1.1).
func (c *Controller) listHead() (entry uint32, ok bool) {
	entry = c.asyncBase
	for range maxHeads {
		var qh [2]uint32
		c.read(entry&linkMask, qh[:])
		if qh[qhEndpoint]&epHead != 0 {
			return entry | typeQueue<<1, entry&linkEnd == 0
		}
		if entry = qh[qhLink]; entry == c.asyncBase {
			break
		}
	}
	return 0, false
}

// runPeriodic goes through the periodic schedule of the frame (section 4.6).
func (c *Controller) runPeriodic() {
	whole := c.frame&7 == 0
	if c.states[periodic] == stateInactive {
		if !whole || !c.enabled(periodic) {
			return
		}
		c.setState(periodic, stateActive)
	}
	if whole && !c.enabled(periodic) {
		c.dropAll(periodic)
		c.setState(periodic, stateInactive)
		return
	}
	list := c.periodicBase & pageMask
	if list == 0 {
		return
	}
	var entry [1]uint32
	c.read(list|c.frame&(rollover-8)>>1, entry[:])
	if !c.walk(periodic, entry[0]) {
		c.Reset()
		return
	}
	c.dropOld(periodic)
}

// isochronous does the transactions of an isochronous descriptor (section 4.7.2).
func (c *Controller) isochronous(itd *[itdWords]uint32) (ok bool) {
	c.activity = periodicActivity
	b := itd[itdBuffers:]
	in, limit := b[1]&isoIn != 0, (b[1]&isoMaxPacket)*(b[2]&isoMult)
	dev := c.find(uint8(b[0] & epAddress))
	for i := range 8 {
		t := &itd[itdTransactions+i]
		if *t&isoActive == 0 {
			continue
		}
		page, off, n := *t>>isoPageAt&7, *t&^pageMask, min(*t>>isoLengthAt&0xfff, limit)
		sg := disk.SG{Space: c.DMA()}
		first := min(n, pageBytes-off)
		if page >= isoPages || n > first && page+1 >= isoPages {
			return false
		}
		sg.Add(uint64(b[page]&pageMask)+uint64(off), uint64(first))
		if n > first {
			sg.Add(uint64(b[page+1]&pageMask), uint64(n-first))
		}
		p := usb.Packet{PID: usb.Out, Status: usb.NoDevice, ID: uint64(i), Done: func(*usb.Packet) {}}
		if in {
			p.PID = usb.In
		}
		if dev != nil {
			p.Status = usb.NAK
			if p.EP = dev.Endpoint(p.PID, uint8(b[0]>>epNumberAt&15)); p.EP.Number != 0 && p.EP.Type == usb.TransferIsoch {
				c.mastering = true
				iov, done, ok := sg.Map(in)
				c.mastering = false
				if !ok {
					return false
				}
				p.Data, p.Size = iov, int(sg.Size)
				dev.Handle(&p)
				p.Cancel()
				c.mastering = true
				done()
				c.mastering = false
			}
		}
		c.isochronousDone(t, &p, in, n)
	}
	return true
}

func (c *Controller) isochronousDone(t *uint32, p *usb.Packet, in bool, n uint32) {
	switch p.Status {
	case usb.OK:
	case usb.NAK:
		p.Actual = 0
	case usb.Babble:
		*t |= isoBabble
		c.raise(stsError)
	default:
		if in { // section 3.3.2
			*t |= isoError
			c.raise(stsError)
		}
	}
	left := n - uint32(p.Actual)
	if in {
		left = uint32(p.Actual)
	}
	*t = *t&^(isoLength|isoActive) | left<<isoLengthAt&isoLength
	if *t&isoInterrupt != 0 {
		c.raise(stsInterrupt)
	}
}

// passFrames lets microframes pass in which nothing else happens.
func (c *Controller) passFrames(n uint64) {
	if !c.running() && c.states[periodic] == stateInactive {
		return
	}
	if uint64(c.frame%rollover)+n >= rollover {
		c.raise(stsRollover)
	}
	if turns := (uint64(c.frame) + n) / frameLimit; turns > 0 {
		c.pendingFrame -= uint32(min(uint64(c.pendingFrame), turns*frameLimit))
	}
	c.frame = uint32((uint64(c.frame) + n) % frameLimit)
}

// work does what is due in both schedules.
func (c *Controller) work() {
	c.posted = false
	if c.working {
		return
	}
	c.working = true
	defer func() { c.working = false }()
	now := clock.Virtual.Now()
	again := c.workPeriodic(uint64(now))
	if c.activity > 0 {
		c.stepdown = 0
	} else if c.stepdown < c.MaxFrames/2 {
		c.stepdown++
	}
	if c.enabled(async) || c.states[async] != stateInactive {
		again = true
		c.runAsync()
	}
	c.commit()
	if c.pending != 0 {
		again = true
		c.stepdown = 0
	}
	if !again && (!c.running() || c.enable&stsRollover == 0) {
		return
	}
	wait := int64(c.stepdown+1) * frameNS
	if c.intByAsync && c.status&stsInterrupt != 0 { // the driver will have more
		c.intByAsync = false
		wait = frameNS / 4
	}
	c.timer.Mod(now + wait)
}

// workPeriodic does the microframes that have passed; it returns true if the periodic schedule goes on.
func (c *Controller) workPeriodic(now uint64) bool {
	frames := (now - min(now, c.lastRun)) / microframeNS
	if !c.enabled(periodic) && c.states[periodic] == stateInactive {
		c.activity = 0
		c.passFrames(frames)
		c.lastRun += frames * microframeNS
		return false
	}
	if late := frames - min(frames, uint64(c.MaxFrames)*8); late > 0 {
		c.passFrames(late)
		c.lastRun += late * microframeNS
		frames -= late
	}
	for i := range frames {
		if i >= minPerTick {
			if c.commit(); c.status&stsCauses&c.enable != 0 {
				break
			}
		}
		if c.activity > 0 {
			c.activity--
		}
		c.passFrames(1)
		if c.frame&7 == 0 {
			c.runPeriodic()
		}
		c.lastRun += microframeNS
	}
	return true
}
