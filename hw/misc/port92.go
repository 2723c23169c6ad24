// Package misc holds small devices of a PC that fit nowhere else.
package misc

import (
	"goemu/hw/isa"
	"goemu/hw/qdev"
	"goemu/internal/mainloop"
	"goemu/migration/vmstate"
)

// System control port A and its bits.
const (
	port92Base  = 0x92
	port92Reset = 0x01
	port92A20   = 0x02
)

// Port92 is the device type port92: fast A20 gate and reset.
type Port92 struct {
	isa.Device
	a20     *qdev.IRQ
	vm      *mainloop.VM
	outport uint8
}

// Port92Class is the device type.
var Port92Class = qdev.Class{Name: "port92", Bus: isa.BusType, Internal: true, Category: qdev.Misc,
	New: func() qdev.Device { return new(Port92) },
	State: qdev.State(&vmstate.Description[Port92]{Name: "port92", Version: 1, MinVersion: 1, Fields: []vmstate.Field[Port92]{
		vmstate.Of("outport", func(p *Port92) *uint8 { return &p.outport }),
	}})}

// NewPort92 puts the port on the bus; a20 is driven with the state of the address line.
func NewPort92(tree *qdev.Tree, bus *isa.Bus, a20 *qdev.IRQ, vm *mainloop.VM) (*Port92, error) {
	d, err := tree.New(&Port92Class)
	if err != nil {
		return nil, err
	}
	p := d.(*Port92)
	p.a20, p.vm = a20, vm
	return p, qdev.Realize(p, bus)
}

// Realize implements qdev.Device.
func (p *Port92) Realize() error {
	r := p.MapPorts("port92", port92Base, 1, p)
	r.Impl.Min, r.Impl.Max = 1, 1
	return nil
}

// Reset implements qdev.Device.
func (p *Port92) Reset() { p.outport &^= port92Reset }

// Read implements memory.Ops.
func (p *Port92) Read(uint64, int) uint64 { return uint64(p.outport) }

// Write implements memory.Ops.
func (p *Port92) Write(_ uint64, _ int, v uint64) {
	old := p.outport
	p.outport = uint8(v)
	p.a20.Set(p.outport&port92A20 != 0)
	if p.outport&^old&port92Reset != 0 {
		p.vm.RequestReset(mainloop.CauseGuestReset)
	}
}
