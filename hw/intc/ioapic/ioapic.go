// Package ioapic is the I/O APIC of a PC (Intel 82093AA) with the end-of-interrupt register of later versions.
package ioapic

import (
	"sync"

	"goemu/accel"
	"goemu/hw/intc/apic"
	"goemu/hw/intc/irqcount"
	"goemu/hw/qdev"
	"goemu/internal/memory"
	"goemu/internal/qom"
	"goemu/migration/vmstate"
)

// Address is where a PC has its first I/O APIC, Pins the number of its inputs.
const (
	Address = 0xfec00000
	Pins    = 24
	size    = 0x1000
)

// Registers in memory and behind the window (82093AA data sheet, §3).
const (
	memSelect = 0x00
	memWindow = 0x10
	memEOI    = 0x40

	regID      = 0x00
	regVersion = 0x01
	regArbID   = 0x02
	regTable   = 0x10

	versionEOI = 0x20 // the first version with the end-of-interrupt register
	idShift    = 24
	idMask     = 0xf
)

// Fields of a redirection entry.
const (
	entryLogical   = 1 << 11
	entryPending   = 1 << 12
	entryRemoteIRR = 1 << 14
	entryLevel     = 1 << 15
	entryMasked    = 1 << 16
	entryDestShift = 56
	entryReadOnly  = entryPending | entryRemoteIRR
)

// IOAPIC is the device type ioapic.
type IOAPIC struct {
	qdev.Base
	props struct {
		Version uint8 `prop:"version,default=0x20"`
	}
	apics *apic.Set
	pic   apic.ExtIntController
	addr  uint64
	mem   *memory.Region
	io    *memory.Region
	count irqcount.Counts

	mu     sync.Mutex
	id     uint8
	sel    uint8
	irr    uint32 // requests not yet delivered
	table  [Pins]uint64
	levels uint32                 // of the inputs
	routes func([]accel.MSIRoute) // see Route
	routed [Pins]uint64           // what routes was told last, without the fields that the controller itself changes
}

// Class is the device type.
var Class = qdev.Class{Name: "ioapic", Parents: []string{"ioapic-common"}, Internal: true, Category: qdev.Misc,
	New: func() qdev.Device { return new(IOAPIC) }, State: qdev.State(&state)}

var state = vmstate.Description[IOAPIC]{Name: "ioapic", Version: 3, MinVersion: 1, Fields: []vmstate.Field[IOAPIC]{
	vmstate.Of("id", func(a *IOAPIC) *uint8 { return &a.id }),
	vmstate.Of("ioregsel", func(a *IOAPIC) *uint8 { return &a.sel }),
	vmstate.Unused[IOAPIC](8).Since(2),
	vmstate.Of("irr", func(a *IOAPIC) *uint32 { return &a.irr }).Since(2),
	vmstate.Array("ioredtbl", func(a *IOAPIC) []uint64 { return a.table[:] }),
}}

// New maps an I/O APIC at addr in mem. pic (nil if there is none) is asked for the vector of ExtINT entries. parent (nil: wherever
// parts without one go) is the object that it is a part of.
func New(tree *qdev.Tree, parent *qom.Node, mem *memory.Region, addr uint64, apics *apic.Set, pic apic.ExtIntController) (*IOAPIC, error) {
	d, err := tree.New(&Class)
	if err != nil {
		return nil, err
	}
	a := d.(*IOAPIC)
	a.apics, a.pic, a.addr, a.mem = apics, pic, addr, mem
	a.InitInputs(a.setLine, Pins)
	if parent != nil {
		parent.MustAdd("ioapic", a.QOM())
	}
	return a, qdev.Realize(a, tree.Root())
}

// Realize implements qdev.Device.
func (a *IOAPIC) Realize() error {
	a.io = memory.NewIO("ioapic", size, a)
	a.mem.Add(a.io, a.addr, 0)
	a.apics.Listen(a)
	return nil
}

// Unrealize implements qdev.Device.
func (a *IOAPIC) Unrealize() { a.mem.Remove(a.io) }

// Reset implements qdev.Device.
func (a *IOAPIC) Reset() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.id, a.sel, a.irr, a.levels = 0, 0, 0, 0
	for i := range a.table {
		a.table[i] = entryMasked
	}
}

// setLine drives an input. The first controller's are in the order of the ISA interrupts: number 0 is wired to pin 2.
func (a *IOAPIC) setLine(n int, level bool) {
	a.count.Note(n, level)
	if n == 0 && a.addr == Address {
		n = 2
	}
	a.set(n, level)
}

// set drives an input. Called under the machine lock.
func (a *IOAPIC) set(pin int, level bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	mask, entry := uint32(1)<<pin, a.table[pin]
	was := a.levels & mask
	a.levels &^= mask
	if level {
		a.levels |= mask
	}
	switch {
	case entry&entryLevel != 0 && level:
		a.irr |= mask
		if entry&entryRemoteIRR == 0 {
			a.service(true)
		}
	case entry&entryLevel != 0:
		a.irr &^= mask
	case level && was == 0 && entry&entryMasked == 0:
		a.irr |= mask
		a.service(true)
	}
}

// service delivers what is requested and not masked. locked tells whether the machine lock is held. Preconditions: mu is held.
func (a *IOAPIC) service(locked bool) {
	for pin := range a.table {
		mask, entry := uint32(1)<<pin, a.table[pin]
		if a.irr&mask == 0 || entry&entryMasked != 0 {
			continue
		}
		m := message(entry)
		if m.Level {
			if entry&entryRemoteIRR != 0 {
				continue
			}
			a.table[pin] |= entryRemoteIRR
		} else {
			a.irr &^= mask
		}
		if m.Mode == apic.ExtINT {
			if !locked || a.pic == nil {
				continue
			}
			m.Vector, m.Mode = a.pic.Ack(), apic.Fixed
		}
		a.apics.Deliver(m)
	}
}

// message is what a redirection entry sends.
func message(entry uint64) apic.Message {
	return apic.Message{Dest: uint32(entry >> entryDestShift), Logical: entry&entryLogical != 0,
		Mode: apic.DeliveryMode(entry >> 8 & 7), Vector: uint8(entry), Level: entry&entryLevel != 0}
}

// EndOfInterrupt implements apic.EOIListener.
func (a *IOAPIC) EndOfInterrupt(vector uint8) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.endOfInterrupt(vector, false)
}

func (a *IOAPIC) endOfInterrupt(vector uint8, locked bool) {
	again := false
	for pin := range a.table {
		entry := &a.table[pin]
		if uint8(*entry) != vector || *entry&entryLevel == 0 || *entry&entryRemoteIRR == 0 {
			continue
		}
		*entry &^= entryRemoteIRR
		again = again || *entry&entryMasked == 0 && a.irr>>pin&1 != 0
	}
	if again {
		a.service(locked)
	}
}

// Read implements memory.Ops.
func (a *IOAPIC) Read(offset uint64, size int) uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch offset & 0xff {
	case memSelect:
		return uint64(a.sel)
	case memWindow:
		if size != 4 {
			return 0
		}
		return uint64(a.register())
	}
	return 0
}

// register returns the register behind the window. Preconditions: mu is held.
func (a *IOAPIC) register() uint32 {
	switch a.sel {
	case regID, regArbID:
		return uint32(a.id) << idShift
	case regVersion:
		return uint32(a.props.Version) | (Pins-1)<<16
	}
	n := int(a.sel) - regTable
	if n < 0 || n>>1 >= Pins {
		return 0
	}
	if n&1 != 0 {
		return uint32(a.table[n>>1] >> 32)
	}
	return uint32(a.table[n>>1])
}

// Write implements memory.Ops.
func (a *IOAPIC) Write(offset uint64, size int, value uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	v := uint32(value)
	switch offset & 0xff {
	case memSelect:
		a.sel = uint8(v)
	case memWindow:
		if size == 4 {
			a.setRegister(v)
		}
	case memEOI:
		if size == 4 && a.props.Version >= versionEOI {
			a.endOfInterrupt(uint8(v), true)
		}
	}
}

// setRegister writes the register behind the window. Preconditions: mu is held.
func (a *IOAPIC) setRegister(v uint32) {
	if a.sel == regID {
		a.id = uint8(v>>idShift) & idMask
		return
	}
	n := int(a.sel) - regTable
	if n < 0 || n>>1 >= Pins {
		return
	}
	entry := &a.table[n>>1]
	if n&1 != 0 {
		*entry = *entry&0xffffffff | uint64(v)<<32
	} else {
		*entry = *entry&^0xffffffff | *entry&entryReadOnly | uint64(v)&^uint64(entryReadOnly)
	}
	if *entry&entryLevel == 0 {
		*entry &^= entryRemoteIRR // what Linux relies on to clear it by switching to edge mode
	}
	a.tellRoutes(false)
	a.service(true)
}
