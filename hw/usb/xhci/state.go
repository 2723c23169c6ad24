package xhci

import (
	"goemu/hw/pci"
	"goemu/internal/clock"
	"goemu/migration/vmstate"
)

type vmState = vmstate.State

var ringState = vmstate.Description[ring]{Name: "xhci-ring", Version: 1,
	Fields: []vmstate.Field[ring]{
		vmstate.Of("dequeue", func(r *ring) *uint64 { return &r.dequeue }),
		vmstate.Of("ccs", func(r *ring) *bool { return &r.cycle }),
	}}

var portState = vmstate.Description[port]{Name: "xhci-port", Version: 1,
	Fields: []vmstate.Field[port]{vmstate.Of("portsc", func(p *port) *uint32 { return &p.status })}}

var slotState = vmstate.Description[slot]{Name: "xhci-slot", Version: 1,
	Fields: []vmstate.Field[slot]{
		vmstate.Of("enabled", func(s *slot) *bool { return &s.enabled }),
		vmstate.Of("addressed", func(s *slot) *bool { return &s.addressed }),
	}}

// oldEvent is an event that waits for room in its ring; only old versions had such.
type oldEvent struct {
	typ, code     uint32
	pointer       uint64
	length, flags uint32
	slot, ep      uint8
}

const oldEvents = (3*24 + 16) * maxSlots

var oldEventState = vmstate.Description[oldEvent]{Name: "xhci-event", Version: 1,
	Fields: []vmstate.Field[oldEvent]{
		vmstate.Of("type", func(e *oldEvent) *uint32 { return &e.typ }),
		vmstate.Of("ccode", func(e *oldEvent) *uint32 { return &e.code }),
		vmstate.Of("ptr", func(e *oldEvent) *uint64 { return &e.pointer }),
		vmstate.Of("length", func(e *oldEvent) *uint32 { return &e.length }),
		vmstate.Of("flags", func(e *oldEvent) *uint32 { return &e.flags }),
		vmstate.Of("slotid", func(e *oldEvent) *uint8 { return &e.slot }),
		vmstate.Of("epid", func(e *oldEvent) *uint8 { return &e.ep }),
	}}

func never(*interrupter) bool { return false }

func nothing(*interrupter) *uint32 { return new(uint32) }

var interrupterState = vmstate.Description[interrupter]{Name: "xhci-intr", Version: 1,
	Fields: []vmstate.Field[interrupter]{
		vmstate.Of("iman", func(i *interrupter) *uint32 { return &i.manage }),
		vmstate.Of("imod", func(i *interrupter) *uint32 { return &i.moderate }),
		vmstate.Of("erstsz", func(i *interrupter) *uint32 { return &i.tableSize }),
		vmstate.Of("erstba_low", func(i *interrupter) *uint32 { return &i.table[0] }),
		vmstate.Of("erstba_high", func(i *interrupter) *uint32 { return &i.table[1] }),
		vmstate.Of("erdp_low", func(i *interrupter) *uint32 { return &i.dequeue[0] }),
		vmstate.Of("erdp_high", func(i *interrupter) *uint32 { return &i.dequeue[1] }),
		vmstate.Of("msix_used", func(i *interrupter) *bool { return &i.used }),
		vmstate.Of("er_pcs", func(i *interrupter) *bool { return &i.cycle }),
		vmstate.Of("er_start", func(i *interrupter) *uint64 { return &i.start }),
		vmstate.Of("er_size", func(i *interrupter) *uint32 { return &i.size }),
		vmstate.Of("er_ep_idx", func(i *interrupter) *uint32 { return &i.index }),
		vmstate.Of("er_full_unused", func(i *interrupter) *bool { return &i.full }),
		vmstate.Of("ev_buffer_put", nothing).When(never),
		vmstate.Of("ev_buffer_get", nothing).When(never),
		vmstate.Structs("ev_buffer", &oldEventState, func(*interrupter) []oldEvent { return make([]oldEvent, oldEvents) }).When(never).Since(1),
	}}

var coreState = vmstate.Description[Controller]{Name: "xhci-core", Version: 1,
	Fields: []vmstate.Field[Controller]{
		vmstate.Structs("ports", &portState, func(c *Controller) []port { return c.ports }).Since(1),
		vmstate.Structs("slots", &slotState, func(c *Controller) []slot { return c.slots }).Since(1),
		vmstate.Structs("intr", &interrupterState, func(c *Controller) []interrupter { return c.interrupters }).Since(1),
		vmstate.Of("usbcmd", func(c *Controller) *uint32 { return &c.command }),
		vmstate.Of("usbsts", func(c *Controller) *uint32 { return &c.status }),
		vmstate.Of("dnctrl", func(c *Controller) *uint32 { return &c.notify }),
		vmstate.Of("crcr_low", func(c *Controller) *uint32 { return &c.ringReg[0] }),
		vmstate.Of("crcr_high", func(c *Controller) *uint32 { return &c.ringReg[1] }),
		vmstate.Of("dcbaap_low", func(c *Controller) *uint32 { return &c.contexts[0] }),
		vmstate.Of("dcbaap_high", func(c *Controller) *uint32 { return &c.contexts[1] }),
		vmstate.Of("config", func(c *Controller) *uint32 { return &c.config }),
		vmstate.Of("mfindex_start", func(c *Controller) *int64 { return &c.start }),
		vmstate.Timer("mfwrap_timer", func(c *Controller) vmstate.TimerState { return c.wrap }),
		vmstate.Struct("cmd_ring", &ringState, func(c *Controller) *ring { return &c.ring }).Since(1),
	},
}

var pciState = vmstate.Description[Controller]{Name: "xhci", Version: 1,
	Fields: []vmstate.Field[Controller]{
		vmstate.Struct("parent_obj", &pci.State, func(c *Controller) *pci.Device { return &c.Device }),
		vmstate.Struct("parent_obj", &pci.MSIXState, func(c *Controller) *pci.Device { return &c.Device }),
		vmstate.Struct("xhci", &coreState, func(c *Controller) *Controller { return c }).Since(1),
	},
	PostLoad: func(c *Controller, _ int) error {
		for n := range c.interrupters {
			i := &c.interrupters[n]
			if i.size != 0 && (int(i.size) < minSegment || int(i.size) > maxSegment) || i.index >= max(i.size, 1) {
				i.start, i.size, i.index = 0, 0, 0
			}
			if i.used {
				c.UseVector(n)
			}
		}
		c.restore()
		return nil
	}}

// restore makes the endpoints of the contexts in memory, which begin to work when the machine runs.
func (c *Controller) restore() {
	for i := range c.slots {
		s := &c.slots[i]
		if !s.addressed || s.port != nil {
			continue
		}
		var ctx [2]uint32
		var w [4]uint32
		c.words(join(c.contexts)+8*uint64(i+1), ctx[:])
		s.ctx = join(ctx)
		c.words(s.ctx, w[:])
		if s.port = c.findPort(w[:]); s.port == nil { // a mistake of the driver's
			s.enabled, s.addressed = false, false
			continue
		}
		for id := 1; id <= maxEndpoints; id++ {
			var ec [5]uint32
			at := s.ctx + contextBytes*uint64(id)
			c.words(at, ec[:])
			if state := ec[0] & epStateMask; state != epDisabled {
				e := c.newEndpoint(i+1, id, at, &ec)
				if e.state = state; state == epRunning {
					e.timer.Mod(clock.Virtual.Now())
				}
			}
		}
	}
}
