package xhci

import (
	"fmt"
	"math/bits"

	"goemu/hw/usb"
	"goemu/internal/memory"
)

// slot is a device slot.
type slot struct {
	enabled, addressed bool
	target             int // interrupter of errors
	ctx                uint64
	port               *usb.Port
	eps                [maxEndpoints]*endpoint
}

// device is the slot's device, nil if it has gone.
func (s *slot) device() *usb.Device {
	if s.port == nil || !s.port.Present() {
		return nil
	}
	return s.port.Device()
}

// disableSlot makes slot n free.
func (c *Controller) disableSlot(n int) {
	s := &c.slots[n]
	for _, e := range s.eps {
		if e != nil {
			e.disable()
		}
	}
	*s = slot{}
}

// dropSlot ends what goes on with the device in a port.
func (c *Controller) dropSlot(p *usb.Port) {
	for i := range c.slots {
		if s := &c.slots[i]; p != nil && s.port == p {
			for _, e := range s.eps {
				if e != nil {
					e.cancel(0)
				}
			}
			s.port = nil
		}
	}
}

// wakeupEndpoint hears of an endpoint that has something new.
func (c *Controller) wakeupEndpoint(u *usb.Endpoint, stream uint16) {
	n := int(u.Device().Address())
	if n == 0 || n > len(c.slots) || !c.slots[n-1].enabled {
		return
	}
	id := 1
	if u.Number != 0 {
		if id = int(u.Number) * 2; u.PID == usb.In {
			id++
		}
	}
	if e := c.slots[n-1].eps[id-1]; e != nil {
		e.kick(stream)
	}
}

// commands does the commands in the ring (section 4.6).
func (c *Controller) commands() {
	if !c.running() {
		return
	}
	c.ringReg[0] |= ringRunning
	slot := uint8(0)
	for range maxCommands {
		t, ok := c.fetch(&c.ring)
		if !ok || t.typ() == 0 {
			return
		}
		e := event{typ: erCommand, code: ccTRB, pointer: t.addr, slot: slot}
		c.execute(&t, &e)
		slot = e.slot
		c.event(0, e)
	}
}

// execute does a command and fills in the event that tells of it.
func (c *Controller) execute(t *trb, e *event) {
	switch typ := t.typ(); typ {
	case crEnable:
		e.code = ccNoSlots
		for i := range c.slots {
			if !c.slots[i].enabled {
				c.slots[i] = slot{enabled: true}
				e.slot, e.code = uint8(i+1), ccSuccess
				return
			}
		}
	case crNoOp:
		e.code = ccSuccess
	case crBand:
		e.code = c.bandwidth(t.parameter)
	case crNECFirmware, crNECChallenge:
		if !c.nec {
			return
		}
		e.typ, e.code, e.length = erNEC, ccSuccess, necFirmware
		if typ == crNECChallenge {
			v := challenge(uint32(t.parameter>>32), uint32(t.parameter))
			e.length, e.ep, e.slot = v&0xffff, uint8(v>>16), uint8(v>>24)
		}
	case crDisable, crAddress, crConfig, crEval, crResetEP, crStopEP, crDequeue, crReset:
		n := t.control >> trbSlotAt
		switch {
		case n < 1 || int(n) > len(c.slots):
			e.slot = 0
		case !c.slots[n-1].enabled:
			e.slot, e.code = 0, ccSlotDisabled
		default:
			e.slot = uint8(n)
			e.code = c.slotCommand(int(n), t)
		}
	}
}

// slotCommand does a command for slot n, from 1 on, and returns its completion code.
func (c *Controller) slotCommand(n int, t *trb) uint32 {
	s := &c.slots[n-1]
	switch t.typ() {
	case crDisable:
		c.disableSlot(n - 1)
		return ccSuccess
	case crAddress:
		return c.address(n, t.parameter, t.control&trbBlock != 0)
	case crConfig:
		return c.configure(n, t.parameter, t.control&trbDeconfigure != 0)
	case crEval:
		return c.evaluate(s, t.parameter)
	case crReset:
		c.dropEndpoints(s)
		c.setSlotState(s, slotDefault)
		return ccSuccess
	}
	id := int(t.control >> trbEndpointAt & 31)
	switch {
	case id == 0:
		return ccTRB
	case s.eps[id-1] == nil:
		return ccEPDisabled
	}
	e := s.eps[id-1]
	if t.typ() == crDequeue {
		return e.setDequeue(t)
	}
	switch t.typ() {
	case crStopEP:
		e.cancel(ccStopped)
	case crResetEP:
		if e.state != epHalted {
			return ccContext
		}
		e.cancel(0)
		if s.device() == nil {
			return ccTransaction
		}
	}
	e.setState(epStopped, nil)
	e.forgetStreams()
	return ccSuccess
}

// setDequeue moves a ring of a stopped endpoint (section 4.6.10).
func (e *endpoint) setDequeue(t *trb) uint32 {
	if e.state != epStopped {
		return ccContext
	}
	var s *stream
	if e.streams != nil {
		var code uint32
		if s, code = e.stream(uint16(t.status >> trbStreamAt)); s == nil {
			return code
		}
	}
	*e.ringOf(s) = ring{t.parameter &^ 15, t.parameter&1 != 0}
	e.setState(epStopped, s)
	return ccSuccess
}

// dropEndpoints disables all endpoints of a slot but the control pipe.
func (c *Controller) dropEndpoints(s *slot) {
	for _, e := range s.eps[1:] {
		if e != nil {
			e.disable()
		}
	}
}

func (c *Controller) setSlotState(s *slot, state uint32) {
	var w [4]uint32
	c.words(s.ctx, w[:])
	w[3] = w[3]&^(31<<slotStateAt) | state<<slotStateAt
	c.putWords(s.ctx, w[:]...)
}

// findPort finds the port that a slot context names, with the hubs on the way (section 8.9).
func (c *Controller) findPort(w []uint32) *usb.Port {
	n := int(w[1] >> 16 & 0xff)
	if n < 1 || n > len(c.ports) {
		return nil
	}
	path := fmt.Sprint(c.ports[n-1].con.Index + 1)
	for route := w[0] & 0xfffff; route&15 != 0; route >>= 4 {
		path += fmt.Sprintf(".%d", route&15)
	}
	return c.bus.PortAt(path)
}

// address gives a device its address: the number of its slot (section 4.6.5).
func (c *Controller) address(n int, input uint64, block bool) uint32 {
	s := &c.slots[n-1]
	var out, control [2]uint32
	c.words(join(c.contexts)+8*uint64(n), out[:])
	c.words(input, control[:])
	if control != [2]uint32{0, 3} {
		return ccTRB
	}
	var sc [4]uint32
	var ec [5]uint32
	c.words(input+contextBytes, sc[:])
	c.words(input+2*contextBytes, ec[:])
	p := c.findPort(sc[:])
	switch {
	case p == nil:
		return ccTRB
	case !p.Present():
		return ccTransaction
	}
	for i := range c.slots {
		if i != n-1 && c.slots[i].port == p {
			return ccTRB
		}
	}
	s.port, s.ctx, s.target = p, join(out), int(sc[2]>>trbTargetAt)
	d := p.Device()
	d.PortReset()
	if sc[3] = slotDefault << slotStateAt; !block {
		sc[3] = slotAddressed<<slotStateAt | uint32(n)
		d.SetAddress(uint8(n))
	}
	c.enableEndpoint(n, 1, s.ctx+contextBytes, &ec)
	c.putWords(s.ctx, sc[:]...)
	c.putWords(s.ctx+contextBytes, ec[:]...)
	s.addressed = true
	return ccSuccess
}

// configure adds and drops endpoints (section 4.6.6).
func (c *Controller) configure(n int, input uint64, deconfigure bool) uint32 {
	s := &c.slots[n-1]
	if deconfigure {
		c.dropEndpoints(s)
		c.setSlotState(s, slotAddressed)
		return ccSuccess
	}
	var control [2]uint32
	var in, sc [4]uint32
	c.words(input, control[:])
	if control[0]&3 != 0 || control[1]&3 != 1 {
		return ccTRB
	}
	c.words(input+contextBytes, in[:])
	c.words(s.ctx, sc[:])
	if sc[3]>>slotStateAt < slotAddressed {
		return ccContext
	}
	for i := 2; i <= maxEndpoints; i++ {
		if (control[0]|control[1])>>i&1 != 0 && s.eps[i-1] != nil {
			s.eps[i-1].disable()
		}
		if control[1]>>i&1 == 0 {
			continue
		}
		var ec [5]uint32
		c.words(input+contextBytes*uint64(1+i), ec[:])
		c.enableEndpoint(n, i, s.ctx+contextBytes*uint64(i), &ec)
		c.putWords(s.ctx+contextBytes*uint64(i), ec[:]...)
	}
	sc[3] = sc[3]&^(31<<slotStateAt) | slotConfigured<<slotStateAt
	sc[0] = sc[0]&^slotEntries | in[0]&slotEntries
	c.putWords(s.ctx, sc[:]...)
	return ccSuccess
}

// evaluate takes over parts of contexts (section 4.6.7).
func (c *Controller) evaluate(s *slot, input uint64) uint32 {
	var control [2]uint32
	c.words(input, control[:])
	if control[0] != 0 || control[1]&^3 != 0 {
		return ccTRB
	}
	if control[1]&1 != 0 {
		var in, sc [4]uint32
		c.words(input+contextBytes, in[:])
		c.words(s.ctx, sc[:])
		sc[1] = sc[1]&^0xffff | in[1]&0xffff // longest exit latency
		s.target = int(in[2] >> trbTargetAt)
		sc[2] = sc[2]&^(0x3ff<<trbTargetAt) | uint32(s.target)<<trbTargetAt
		c.putWords(s.ctx, sc[:]...)
	}
	if control[1]&2 != 0 {
		var in, ec [5]uint32
		c.words(input+2*contextBytes, in[:])
		c.words(s.ctx+contextBytes, ec[:])
		ec[1] = ec[1]&0xffff | in[1]&^0xffff // largest packet
		c.putWords(s.ctx+contextBytes, ec[:]...)
	}
	return ccSuccess
}

// bandwidth tells how much of each port's bandwidth is free, in percent.
func (c *Controller) bandwidth(addr uint64) uint32 {
	b := make([]byte, 1+len(c.ports))
	for i := range c.ports {
		b[1+i] = 80
	}
	c.mastering = true
	r := c.DMA().Write(addr, b)
	c.mastering = false
	if r != memory.OK {
		return ccTRB
	}
	return ccSuccess
}

// challenge is what NEC's driver asks its controller, to be sure that it is one.
func challenge(high, low uint32) uint32 {
	v := bits.RotateLeft32(low-necKey, 32-int(high>>8&31))
	v += bits.RotateLeft32(low+necKey, int(high&31))
	v -= bits.RotateLeft32(high^necKey, int(low>>16&31))
	return ^v
}
