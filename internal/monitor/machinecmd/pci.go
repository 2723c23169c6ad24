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
	return []*qapi.PciInfo{{Devices: functions(bus)}}, nil
}

// functions describes what is on a bus, and behind its bridges.
func functions(bus *pci.Bus) []*qapi.PciDeviceInfo {
	list := []*qapi.PciDeviceInfo{}
	for devfn := range 256 {
		f := bus.Function(uint8(devfn))
		if f == nil {
			continue
		}
		d := describe(f.PCI())
		d.Bus = int64(bus.Number())
		if b, ok := f.(pci.BridgeDevice); ok && b.AsBridge().Secondary() != nil {
			d.Id.Subsystem, d.Id.SubsystemVendor = nil, nil
			d.PciBridge = behind(b.AsBridge())
		}
		list = append(list, d)
	}
	return list
}

// behind describes a bridge; what is on its bus is unknown before the bus has a number.
func behind(b *pci.Bridge) *qapi.PciBridgeInfo {
	span := func(w int) *qapi.PciMemoryRange {
		base, limit := b.Window(w)
		return &qapi.PciMemoryRange{Base: int64(base), Limit: int64(limit)}
	}
	info := &qapi.PciBridgeInfo{Bus: &qapi.PciBusInfo{Number: int64(b.Config[pci.RegPrimaryBus]), Secondary: int64(b.Config[pci.RegSecondaryBus]),
		Subordinate: int64(b.Config[pci.RegSubordinateBus]), IoRange: span(pci.WindowIO), MemoryRange: span(pci.WindowMemory),
		PrefetchableRange: span(pci.WindowPrefetchable)}}
	if b.Config[pci.RegSecondaryBus] != 0 {
		info.Devices = functions(b.Secondary())
	}
	return info
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
