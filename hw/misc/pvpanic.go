package misc

import (
	"goemu/hw/isa"
	"goemu/hw/qdev"
)

// Events of the paravirtual panic device.
const (
	panicPanicked    = 1 << 0
	panicCrashLoaded = 1 << 1
)

// PVPanic is the device type pvpanic: the guest kernel tells here that it has crashed.
type PVPanic struct {
	isa.Device
	IOPort uint16 `prop:"ioport,default=1285"`
	Events uint8  `prop:"events,default=3"`
	hooks  *Hooks
}

func pvpanicClass(h *Hooks) *qdev.Class {
	return &qdev.Class{Name: "pvpanic", Bus: isa.BusType, Category: qdev.Misc, New: func() qdev.Device { return &PVPanic{hooks: h} }}
}

// Realize implements qdev.Device.
func (p *PVPanic) Realize() error {
	p.MapPorts("pvpanic", p.IOPort, 1, p).Impl.Max = 1
	return nil
}

// Read implements memory.Ops: the events there are.
func (p *PVPanic) Read(uint64, int) uint64 { return uint64(p.Events) }

// Write implements memory.Ops.
func (p *PVPanic) Write(_ uint64, _ int, v uint64) {
	v &= uint64(p.Events)
	switch {
	case v&panicPanicked != 0:
		call(p.hooks.Panicked)
	case v&panicCrashLoaded != 0:
		call(p.hooks.CrashLoaded)
	}
}

func call(f func()) {
	if f != nil {
		f()
	}
}
