package nvme

// Asynchronous events (section 5.2): types, what they say, and the log pages that clear them.
const (
	eventError, eventSmart, eventNotice = 0, 1, 2

	eventBadDoorbell = 0
	eventBadValue    = 1

	eventNamespaces = 0

	eventReliability, eventTemperature, eventSpare = 0, 1, 2

	logErrors, logSmart, logFirmware, logChanged, logEffects = 1, 2, 3, 4, 5
)

// event is something that the driver is told of.
type event struct{ typ, info, log uint8 }

// events are those to be told, and the commands that wait for them.
type events struct {
	waiting []*request
	queue   []event
	masked  uint8 // types that were told of and not been looked at
}

// awaitEvent takes a command that ends with the next event.
func (c *Controller) awaitEvent(r *request) status {
	if len(c.events.waiting) > int(c.AERLimit) {
		return tooManyEvents
	}
	c.events.waiting = append(c.events.waiting, r)
	c.tellEvents()
	return pending
}

func (c *Controller) enqueueEvent(e event) {
	if uint32(len(c.events.queue)) >= c.MaxEvents {
		return
	}
	c.events.queue = append(c.events.queue, e)
	c.tellEvents()
}

// clearEvents says that the driver has looked at the log of a type of events.
func (c *Controller) clearEvents(typ uint8) {
	c.events.masked &^= 1 << typ
	c.tellEvents()
}

func (c *Controller) tellEvents() {
	ev := &c.events
	kept := ev.queue[:0]
	var done []*request
	for i, e := range ev.queue {
		if len(ev.waiting) == 0 {
			kept = append(kept, ev.queue[i:]...)
			break
		}
		if ev.masked>>e.typ&1 != 0 {
			kept = append(kept, e)
			continue
		}
		ev.masked |= 1 << e.typ
		last := len(ev.waiting) - 1
		r := ev.waiting[last]
		ev.waiting = ev.waiting[:last]
		r.result = uint64(e.typ) | uint64(e.info)<<8 | uint64(e.log)<<16
		done = append(done, r)
	}
	ev.queue = kept
	for _, r := range done {
		c.complete(r, success)
	}
}
