package machinecmd

import (
	"context"

	"goemu/hw/pci"
	"goemu/internal/mainloop"
	"goemu/qapi"
)

// Numbers in the header of a function.
const (
	numBARs       = 6
	slotShift     = 3
	functionMask  = 7
	interruptNone = 0
)

// QueryPci implements qapi.PciCommands.
func (s *Service) QueryPci(context.Context) ([]*qapi.PciInfo, error) {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	bus := s.Machine().PCI
	if bus == nil {
		return nil, nil
	}
	info := &qapi.PciInfo{}
	for devfn := range 256 {
		if f := bus.Function(uint8(devfn)); f != nil {
			info.Devices = append(info.Devices, describe(f.PCI()))
		}
	}
	return []*qapi.PciInfo{info}, nil
}

func describe(d *pci.Device) *qapi.PciDeviceInfo {
	class := d.Get16(pci.RegClass)
	out := &qapi.PciDeviceInfo{Slot: int64(d.DevFn() >> slotShift), Function: int64(d.DevFn() & functionMask), QdevId: d.ID(),
		ClassInfo: &qapi.PciDeviceClass{Class: int64(class)}, IrqPin: int64(d.Config[pci.RegIntPin]),
		Id: &qapi.PciDeviceId{Vendor: int64(d.Get16(pci.RegVendorID)), Device: int64(d.Get16(pci.RegDeviceID))}, Regions: []*qapi.PciMemoryRegion{}}
	if name, ok := pci.ClassName(class); ok {
		out.ClassInfo.Desc = &name
	}
	sub, vendor := int64(d.Get16(pci.RegSubDeviceID)), int64(d.Get16(pci.RegSubVendorID))
	out.Id.Subsystem, out.Id.SubsystemVendor = &sub, &vendor
	if out.IrqPin != interruptNone {
		line := int64(d.Config[pci.RegIntLine])
		out.Irq = &line
	}
	for n := range numBARs + 1 {
		if r := window(d, n); r != nil {
			out.Regions = append(out.Regions, r)
		}
	}
	return out
}

// window describes a base address register, nil if it has no window.
func window(d *pci.Device, n int) *qapi.PciMemoryRegion {
	r, addr, mapped := d.BAR(n)
	if r == nil {
		return nil
	}
	out := &qapi.PciMemoryRegion{Bar: int64(n), Size: int64(r.Size()), Address: -1, Type: "memory"}
	if mapped {
		out.Address = int64(addr)
	}
	typ := d.BARType(n)
	if typ&pci.BARIO != 0 {
		out.Type = "io"
		return out
	}
	prefetch, wide := typ&pci.BARPrefetch != 0, typ&pci.BARMem64 != 0
	out.Prefetch, out.MemType64 = &prefetch, &wide
	return out
}
