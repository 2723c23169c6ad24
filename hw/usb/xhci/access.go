package xhci

import (
	"goemu/internal/clock"
	"goemu/internal/memory"
)

// The parts of the register space.
type (
	capRegs      Controller
	operRegs     Controller
	portRegs     Controller
	runtimeRegs  Controller
	doorbellRegs Controller
)

// region is the memory of the registers.
func (c *Controller) region() *memory.Region {
	r := memory.NewContainer("xhci", regBytes)
	words := memory.Access{Min: 4, Max: 8}
	add := func(name string, at, size uint64, ops memory.Ops, valid memory.Access) {
		io := memory.NewIO(name, size, ops)
		io.Valid, io.Impl = valid, memory.Access{Min: 4, Max: 4}
		r.Add(io, at, 0)
	}
	add("capabilities", 0, capBytes, (*capRegs)(c), memory.Access{Min: 1, Max: 4})
	add("operational", operAt, operBytes, (*operRegs)(c), words)
	if n := len(c.ports); n > 0 {
		add("ports", portsAt, uint64(portBytes*n), (*portRegs)(c), memory.Access{Min: 4, Max: 4})
	}
	add("runtime", runtimeAt, (maxInterrupters+1)*interrupterBytes, (*runtimeRegs)(c), words)
	add("doorbell", doorbells, (maxSlots+1)*0x20, (*doorbellRegs)(c), memory.Access{Min: 4, Max: 4})
	return r
}

// Read implements memory.Ops.
func (o *capRegs) Read(off uint64, _ int) uint64 {
	const (
		version          = 0x0100
		segments         = 15 // 2^15 segments of event rings
		contextSize64    = 1
		extendedAt       = 8 << 16 // in words
		usbName          = 0x20425355
		protocol2, next2 = 0x0200, 4 << 8
		protocol3        = 0x0300
	)
	streams := uint32(0)
	if o.Streams {
		streams = primaryStreams << 12
	}
	words := [...]uint32{version<<16 | capBytes, uint32(len(o.ports))<<24 | maxInterrupters<<8 | maxSlots, segments, 0, extendedAt | contextSize64 | streams, doorbells, runtimeAt, 0,
		protocol2<<16 | next2 | 2, usbName, o.P2<<8 | (o.P3 + 1), 0, protocol3<<16 | 2, usbName, o.P3<<8 | 1, 0}
	return uint64(words[off>>2])
}

// Write implements memory.Ops.
func (*capRegs) Write(uint64, int, uint64) {}

// Read implements memory.Ops.
func (o *operRegs) Read(off uint64, _ int) uint64 {
	switch off {
	case operCommand:
		return uint64(o.command)
	case operStatus:
		return uint64(o.status)
	case operPageSize:
		return 1
	case operNotify:
		return uint64(o.notify)
	case operRing:
		return uint64(o.ringReg[0] &^ 14)
	case operRingHigh:
		return uint64(o.ringReg[1])
	case operContexts:
		return uint64(o.contexts[0])
	case operContextsHigh:
		return uint64(o.contexts[1])
	case operConfig:
		return uint64(o.config)
	}
	return 0
}

// Write implements memory.Ops.
func (o *operRegs) Write(off uint64, _ int, value uint64) {
	if o.mastering {
		return
	}
	c, v := (*Controller)(o), uint32(value)
	switch off {
	case operCommand:
		c.setCommand(v)
	case operStatus:
		c.status &^= v & stsClearOnes
		c.updatePin()
	case operNotify:
		c.notify = v & 0xffff
	case operRing:
		c.ringReg[0] = v&^uint32(0x30) | c.ringReg[0]&ringRunning
	case operRingHigh:
		c.setRing(v)
	case operContexts:
		c.contexts[0] = v &^ 63
	case operContextsHigh:
		c.contexts[1] = v
	case operConfig:
		c.config = v & 0xff
	}
}

func (c *Controller) setCommand(v uint32) {
	switch {
	case v&cmdRun != 0 && c.command&cmdRun == 0:
		c.status &^= stsHalted
		c.start = clock.Virtual.Now()
	case v&cmdRun == 0 && c.command&cmdRun != 0:
		c.status |= stsHalted
		c.ringReg[0] &^= ringRunning
	}
	if v&cmdSave != 0 {
		c.status &^= stsRestoreError
	}
	if v&cmdRestore != 0 {
		c.status |= stsRestoreError
	}
	c.command = v & cmdKept
	c.setWrap()
	if v&cmdReset != 0 {
		c.Reset()
	}
	c.updatePin()
}

// setRing is the write of the upper half of the command ring's place, which makes it take effect.
func (c *Controller) setRing(v uint32) {
	c.ringReg[1] = v
	low := c.ringReg[0]
	if low&(ringAbort|ringStop) != 0 && low&ringRunning != 0 {
		c.ringReg[0] &^= ringRunning
		c.event(0, event{typ: erCommand, code: ccRingStopped})
	} else {
		c.ring = ring{join([2]uint32{low &^ 63, v}), true}
	}
	c.ringReg[0] &^= ringAbort | ringStop
}

// Read implements memory.Ops.
func (o *portRegs) Read(off uint64, _ int) uint64 {
	if off%portBytes != 0 {
		return 0
	}
	return uint64(o.ports[off/portBytes].status)
}

// Write implements memory.Ops.
func (o *portRegs) Write(off uint64, _ int, value uint64) {
	if o.mastering {
		return
	}
	if off%portBytes == 0 {
		o.ports[off/portBytes].write(uint32(value))
	}
}

// Read implements memory.Ops.
func (o *runtimeRegs) Read(off uint64, _ int) uint64 {
	c := (*Controller)(o)
	if off < interrupterBytes {
		if off == 0 {
			return c.frame() % wrapAt
		}
		return 0
	}
	n := off/interrupterBytes - 1
	if n >= uint64(len(c.interrupters)) {
		return 0
	}
	switch i := &c.interrupters[n]; off % interrupterBytes {
	case intManage:
		return uint64(i.manage)
	case intModerate:
		return uint64(i.moderate)
	case intTableSize:
		return uint64(i.tableSize)
	case intTable:
		return uint64(i.table[0])
	case intTableHigh:
		return uint64(i.table[1])
	case intDequeue:
		return uint64(i.dequeue[0])
	case intDequeueHigh:
		return uint64(i.dequeue[1])
	}
	return 0
}

// Write implements memory.Ops.
func (o *runtimeRegs) Write(off uint64, _ int, value uint64) {
	if o.mastering {
		return
	}
	c, v := (*Controller)(o), uint32(value)
	n := int(off/interrupterBytes) - 1
	if n < 0 || n >= len(c.interrupters) {
		return
	}
	switch i := &c.interrupters[n]; off % interrupterBytes {
	case intManage:
		i.manage &^= v & manPending
		i.manage = i.manage&^manEnabled | v&manEnabled
		c.updateInterrupter(n)
	case intModerate:
		i.moderate = v
	case intTableSize:
		i.tableSize = v & 0xffff
	case intTable:
		if i.table[0] = v &^ 63; c.nec {
			i.table[0] = v &^ 15 // NEC's driver aligns it less
		}
	case intTableHigh:
		i.table[1] = v
		c.setEventRing(i)
	case intDequeue:
		busy := i.dequeue[0] & dequeueBusy &^ v
		i.dequeue[0] = v&^dequeueBusy | busy
		if v&dequeueBusy != 0 {
			if at, ok := i.position(); ok && at != i.index {
				c.raise(n)
			}
		}
	case intDequeueHigh:
		i.dequeue[1] = v
	}
}

// Read implements memory.Ops.
func (*doorbellRegs) Read(uint64, int) uint64 { return 0 }

// Write implements memory.Ops.
func (o *doorbellRegs) Write(off uint64, _ int, value uint64) {
	if o.mastering {
		return
	}
	c, n, v := (*Controller)(o), int(off>>2), uint32(value)
	switch id := int(v & 0xff); {
	case !c.running():
	case n == 0:
		if v == 0 {
			c.commands()
		}
	case n <= len(c.slots) && id >= 1 && id <= maxEndpoints:
		if s := &c.slots[n-1]; s.enabled && s.eps[id-1] != nil {
			s.eps[id-1].kick(uint16(v >> trbStreamAt))
		}
	}
}
