package misc

import (
	"goemu/hw/isa"
	"goemu/hw/pci"
	"goemu/hw/qdev"
	"goemu/internal/memory"
	"goemu/migration/vmstate"
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
func (p *PVPanic) Write(_ uint64, _ int, v uint64) { p.hooks.panicEvents(v & uint64(p.Events)) }

// PVPanicPCI is the device type pvpanic-pci, which does the same on the PCI bus.
type PVPanicPCI struct {
	pci.Device
	Events uint8 `prop:"events,default=3"`
	hooks  *Hooks
}

// Identity of the function, and the size of its registers.
const (
	pvpanicDevice  = 0x0011
	pvpanicMemSize = 2
)

func pvpanicPCIClass(h *Hooks) *qdev.Class {
	return &qdev.Class{Name: "pvpanic-pci", Bus: pci.BusType, Category: qdev.Misc, Parents: []string{"pci-device", "device"},
		New: func() qdev.Device { return &PVPanicPCI{hooks: h} }, State: qdev.State(&pvpanicPCIState)}
}

var pvpanicPCIState = vmstate.Description[PVPanicPCI]{Name: "pvpanic-pci", Version: 1, MinVersion: 1, Fields: []vmstate.Field[PVPanicPCI]{
	vmstate.Struct("dev", &pci.State, func(p *PVPanicPCI) *pci.Device { return &p.Device }),
}}

// PCIInfo implements pci.Function.
func (p *PVPanicPCI) PCIInfo() pci.Info {
	return pci.Info{Vendor: pci.VendorRedHat, Device: pvpanicDevice, Class: pci.ClassSystemOther, Revision: 1}
}

// Realize implements qdev.Device.
func (p *PVPanicPCI) Realize() error {
	r := memory.NewIO("pvpanic", pvpanicMemSize, p)
	r.Impl = memory.Access{Min: 1, Max: 1}
	p.SetBAR(0, pci.BARMem32, r)
	return nil
}

// Read implements memory.Ops: the events there are.
func (p *PVPanicPCI) Read(uint64, int) uint64 { return uint64(p.Events) }

// Write implements memory.Ops.
func (p *PVPanicPCI) Write(_ uint64, _ int, v uint64) { p.hooks.panicEvents(v & uint64(p.Events)) }

// panicEvents tells of what has happened to the guest.
func (h *Hooks) panicEvents(v uint64) {
	switch {
	case v&panicPanicked != 0:
		call(h.Panicked)
	case v&panicCrashLoaded != 0:
		call(h.CrashLoaded)
	}
}

func call(f func()) {
	if f != nil {
		f()
	}
}
