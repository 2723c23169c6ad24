// Package i8259 is the Intel 8259A programmable interrupt controller, two of them cascaded as in a PC, with the edge/level control
// registers of the PIIX.
package i8259

import (
	"goemu/hw/intc/irqcount"
	"goemu/hw/isa"
	"goemu/hw/qdev"
	"goemu/migration/vmstate"
)

// Ports and wiring of the pair.
const (
	portMaster, portSlave         = 0x20, 0xa0
	portELCRMaster, portELCRSlave = 0x4d0, 0x4d1
	elcrMaskMaster, elcrMaskSlave = 0xf8, 0xde
	pins                          = 8
	cascade                       = 2 // pin of the master the slave is at
	spurious                      = 7 // pin that is reported when none is active
)

// Bits of the command words (8259A data sheet): ICW1 and OCW3 are told from OCW2 by bits 4 and 3 of the first port.
const (
	icw1Init, icw1Single, icw1Need4 = 0x10, 0x02, 0x01
	icw4Nested, icw4AutoEOI         = 0x10, 0x02
	ocw3Select                      = 0x08
	ocw3Poll, ocw3ReadReg           = 0x04, 0x02
	ocw3ISR, ocw3MaskSet, ocw3Mask  = 0x01, 0x40, 0x20

	ocw2RotateAutoClear, ocw2EOI, ocw2SpecificEOI = 0, 1, 3
	ocw2RotateAutoSet, ocw2RotateEOI              = 4, 5
	ocw2SetPriority, ocw2RotateSpecific           = 6, 7

	pollValid = 0x80
)

// States of the initialisation sequence.
const (
	ready = iota
	wantICW2
	wantICW3
	wantICW4
)

// regs is the guest-visible state.
type regs struct {
	lastIRR, irr, imr, isr uint8
	priorityAdd            uint8 // pin of highest priority
	irqBase                uint8
	readISR, poll          uint8
	specialMask            uint8
	initState              uint8
	autoEOI, rotateAutoEOI uint8
	nested                 uint8 // special fully nested mode
	init4                  uint8
	single                 uint8
	elcr                   uint8
}

// PIC is one 8259A, the device type isa-i8259.
type PIC struct {
	isa.Device
	regs
	master bool
	out    *qdev.IRQ
	count  *irqcount.Counts // of the pair's inputs
}

// Class is the device type of each half of a pair.
var Class = qdev.Class{Name: "isa-i8259", Parents: []string{"pic-common"}, Bus: isa.BusType, Internal: true, Category: qdev.Misc,
	New: func() qdev.Device { return new(PIC) }, State: qdev.State(&state)}

func u8(name string, at func(p *PIC) *uint8) vmstate.Field[PIC] { return vmstate.Of(name, at) }

var state = vmstate.Description[PIC]{Name: "i8259", Version: 1, MinVersion: 1, Fields: []vmstate.Field[PIC]{
	u8("last_irr", func(p *PIC) *uint8 { return &p.lastIRR }),
	u8("irr", func(p *PIC) *uint8 { return &p.irr }),
	u8("imr", func(p *PIC) *uint8 { return &p.imr }),
	u8("isr", func(p *PIC) *uint8 { return &p.isr }),
	u8("priority_add", func(p *PIC) *uint8 { return &p.priorityAdd }),
	u8("irq_base", func(p *PIC) *uint8 { return &p.irqBase }),
	u8("read_reg_select", func(p *PIC) *uint8 { return &p.readISR }),
	u8("poll", func(p *PIC) *uint8 { return &p.poll }),
	u8("special_mask", func(p *PIC) *uint8 { return &p.specialMask }),
	u8("init_state", func(p *PIC) *uint8 { return &p.initState }),
	u8("auto_eoi", func(p *PIC) *uint8 { return &p.autoEOI }),
	u8("rotate_on_auto_eoi", func(p *PIC) *uint8 { return &p.rotateAutoEOI }),
	u8("special_fully_nested_mode", func(p *PIC) *uint8 { return &p.nested }),
	u8("init4", func(p *PIC) *uint8 { return &p.init4 }),
	u8("single_mode", func(p *PIC) *uint8 { return &p.single }),
	u8("elcr", func(p *PIC) *uint8 { return &p.elcr }),
}}

// Realize implements qdev.Device.
func (p *PIC) Realize() error {
	base, elcr := uint16(portSlave), uint16(portELCRSlave)
	if p.master {
		base, elcr = portMaster, portELCRMaster
	}
	p.MapPorts("pic", base, 2, p).Impl.Max = 1
	p.MapPorts("elcr", elcr, 1, (*elcrOps)(p)).Impl.Max = 1
	return nil
}

// Reset implements qdev.Device.
func (p *PIC) Reset() {
	p.elcr = 0
	p.initialise()
}

// initialise is what ICW1 does.
func (p *PIC) initialise() {
	p.regs = regs{irr: p.irr & p.elcr, elcr: p.elcr}
	p.update()
}

// priority returns how far from the highest priority the most urgent bit of mask is, pins if none.
func (p *PIC) priority(mask uint8) uint8 {
	if mask == 0 {
		return pins
	}
	n := uint8(0)
	for mask>>((n+p.priorityAdd)&7)&1 == 0 {
		n++
	}
	return n
}

// pending returns the pin to be served next, -1 if there is none.
func (p *PIC) pending() int {
	n := p.priority(p.irr &^ p.imr)
	if n == pins {
		return -1
	}
	mask := p.isr
	if p.specialMask != 0 {
		mask &^= p.imr
	}
	if p.nested != 0 && p.master {
		mask &^= 1 << cascade
	}
	if n < p.priority(mask) {
		return int(n+p.priorityAdd) & 7
	}
	return -1
}

func (p *PIC) update() { p.out.Set(p.pending() >= 0) }

// line is the number of an input among the pair's.
func (p *PIC) line(pin int) int {
	if p.master {
		return pin
	}
	return pin + pins
}

// set drives an input pin.
func (p *PIC) set(pin int, level bool) {
	p.count.Note(p.line(pin), level)
	mask := uint8(1) << pin
	switch {
	case !level && p.elcr&mask != 0:
		p.irr &^= mask
		p.lastIRR &^= mask
	case !level:
		p.lastIRR &^= mask
	case p.elcr&mask != 0 || p.lastIRR&mask == 0:
		p.irr |= mask
		p.lastIRR |= mask
	}
	p.update()
}

// acknowledge moves a pin into service.
func (p *PIC) acknowledge(pin int) {
	mask := uint8(1) << pin
	if p.autoEOI == 0 {
		p.isr |= mask
	} else if p.rotateAutoEOI != 0 {
		p.priorityAdd = uint8(pin+1) & 7
	}
	if p.elcr&mask == 0 {
		p.irr &^= mask
	}
	p.update()
}

// Write implements memory.Ops.
func (p *PIC) Write(offset uint64, _ int, value uint64) {
	v := uint8(value)
	switch {
	case offset != 0:
		p.writeData(v)
	case v&icw1Init != 0:
		p.initialise()
		p.initState, p.init4, p.single = wantICW2, v&icw1Need4, v&icw1Single
	case v&ocw3Select != 0:
		p.writeOCW3(v)
	default:
		p.writeOCW2(v)
	}
}

func (p *PIC) writeOCW3(v uint8) {
	if v&ocw3Poll != 0 {
		p.poll = 1
	}
	if v&ocw3ReadReg != 0 {
		p.readISR = v & ocw3ISR
	}
	if v&ocw3MaskSet != 0 {
		p.specialMask = v & ocw3Mask >> 5
	}
}

func (p *PIC) writeOCW2(v uint8) {
	pin := v & 7
	switch cmd := v >> 5; cmd {
	case ocw2RotateAutoClear, ocw2RotateAutoSet:
		p.rotateAutoEOI = cmd >> 2
		return
	case ocw2EOI, ocw2RotateEOI:
		n := p.priority(p.isr)
		if n == pins {
			return
		}
		pin = (n + p.priorityAdd) & 7
		p.isr &^= 1 << pin
		if cmd == ocw2RotateEOI {
			p.priorityAdd = (pin + 1) & 7
		}
	case ocw2SpecificEOI:
		p.isr &^= 1 << pin
	case ocw2SetPriority:
		p.priorityAdd = (pin + 1) & 7
	case ocw2RotateSpecific:
		p.isr &^= 1 << pin
		p.priorityAdd = (pin + 1) & 7
	default:
		return
	}
	p.update()
}

func (p *PIC) writeData(v uint8) {
	switch p.initState {
	case ready:
		p.imr = v
		p.update()
	case wantICW2:
		p.irqBase = v & 0xf8
		switch {
		case p.single == 0:
			p.initState = wantICW3
		case p.init4 != 0:
			p.initState = wantICW4
		default:
			p.initState = ready
		}
	case wantICW3:
		p.initState = ready
		if p.init4 != 0 {
			p.initState = wantICW4
		}
	default:
		p.nested, p.autoEOI = v&icw4Nested>>4, v&icw4AutoEOI>>1
		p.initState = ready
	}
}

// Read implements memory.Ops.
func (p *PIC) Read(offset uint64, _ int) uint64 {
	switch {
	case p.poll != 0:
		p.poll = 0
		pin := p.pending()
		if pin < 0 {
			return 0
		}
		p.acknowledge(pin)
		return uint64(pin) | pollValid
	case offset != 0:
		return uint64(p.imr)
	case p.readISR != 0:
		return uint64(p.isr)
	}
	return uint64(p.irr)
}

type elcrOps PIC

// Read implements memory.Ops.
func (p *elcrOps) Read(uint64, int) uint64 { return uint64(p.elcr) }

// Write implements memory.Ops.
func (p *elcrOps) Write(_ uint64, _ int, v uint64) {
	p.elcr = uint8(v) & elcrMaskSlave
	if p.master {
		p.elcr = uint8(v) & elcrMaskMaster
	}
}
