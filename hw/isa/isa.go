// Package isa is the ISA bus: port and memory ranges and the sixteen interrupt lines of a PC.
package isa

import (
	"fmt"

	"goemu/hw/qdev"
	"goemu/internal/memory"
)

// BusType is the type name of the bus, Lines the number of its interrupt lines.
const (
	BusType = "ISA"
	Lines   = 16
)

// Bus is an ISA bus.
type Bus struct {
	qdev.Bus
	mem, io *memory.Region
	lines   [Lines]*qdev.IRQ
	dma     [dmaChannels]DMAChannel
}

// NewBus returns an ISA bus that parent provides, over the machine's memory and port space.
func NewBus(parent qdev.Device, name string, mem, io *memory.Region) *Bus {
	b := &Bus{mem: mem, io: io}
	qdev.InitBus(b, parent, BusType, name, 0)
	return b
}

// Find returns a machine's ISA bus, nil if it has none.
func Find(t *qdev.Tree) *Bus {
	b, _ := t.FirstBus(&qdev.Class{Bus: BusType}).(*Bus)
	return b
}

// BridgeClass is what provides the bus in a machine without a bridge chip.
var BridgeClass = qdev.Class{Name: "isabus-bridge", Internal: true, Category: qdev.Bridge, New: func() qdev.Device { return new(qdev.Base) }}

// SetIRQs connects the bus's interrupt lines.
func (b *Bus) SetIRQs(lines []*qdev.IRQ) { copy(b.lines[:], lines) }

// IRQ returns the interrupt line n.
func (b *Bus) IRQ(n uint32) (*qdev.IRQ, error) {
	if n >= Lines {
		return nil, fmt.Errorf("Maximum value for \"irq\" is: %d", Lines-1)
	}
	return b.Line(int(n)), nil
}

// Line returns a line that drives line n, whether or not the bus is connected already.
func (b *Bus) Line(n int) *qdev.IRQ {
	return qdev.NewIRQ(func(n int, level bool) { b.lines[n].Set(level) }, n)
}

// Named is a device with a name for firmware.
type Named interface{ FirmwareName() string }

// FirmwareName implements qdev.FirmwareBus.
func (b *Bus) FirmwareName(d qdev.Device) string {
	if n, ok := d.(Named); ok {
		return n.FirmwareName()
	}
	return d.Dev().Class().Name
}

// Ports returns the port space, Memory the memory space.
func (b *Bus) Ports() *memory.Region { return b.io }

// Memory returns the memory space.
func (b *Bus) Memory() *memory.Region { return b.mem }

// Device is the part common to all ISA devices; embed it.
type Device struct {
	qdev.Base
	regions []*memory.Region
}

// Bus returns the ISA bus the device sits on.
func (d *Device) Bus() *Bus {
	b, ok := d.Parent().(*Bus)
	if !ok {
		panic("BUG: ISA device " + d.Class().Name + " is not on an ISA bus")
	}
	return b
}

// MapPorts answers n ports from base on with ops and returns the region, for its access limits.
func (d *Device) MapPorts(name string, base uint16, n int, ops memory.Ops) *memory.Region {
	r := memory.NewIO(name, uint64(n), ops)
	d.MapRegion(r, base)
	return r
}

// MapRegion puts a region into the port space until the device is unrealized.
func (d *Device) MapRegion(r *memory.Region, base uint16) {
	d.Bus().io.Add(r, uint64(base), 0)
	d.regions = append(d.regions, r)
}

// UnmapPorts takes the device's ports away. Devices that override Unrealize call it there.
func (d *Device) UnmapPorts() {
	for _, r := range d.regions {
		d.Bus().io.Remove(r)
	}
	d.regions = nil
}

// Unrealize implements qdev.Device.
func (d *Device) Unrealize() { d.UnmapPorts() }
