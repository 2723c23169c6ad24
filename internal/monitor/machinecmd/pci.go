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

// classNames describes the classes of PCI devices that QEMU has words for.
var classNames = map[uint16]string{
	0x0001: "VGA controller", 0x0100: "SCSI controller", 0x0101: "IDE controller", 0x0102: "Floppy controller", 0x0103: "IPI controller",
	0x0104: "RAID controller", 0x0106: "SATA controller", 0x0107: "SAS controller", 0x0180: "Storage controller", 0x0200: "Ethernet controller",
	0x0201: "Token Ring controller", 0x0202: "FDDI controller", 0x0203: "ATM controller", 0x0280: "Network controller",
	0x0300: "VGA controller", 0x0301: "XGA controller", 0x0302: "3D controller", 0x0380: "Display controller", 0x0400: "Video controller",
	0x0401: "Audio controller", 0x0402: "Phone", 0x0403: "Audio controller", 0x0480: "Multimedia controller", 0x0500: "RAM controller",
	0x0501: "Flash controller", 0x0580: "Memory controller", 0x0600: "Host bridge", 0x0601: "ISA bridge", 0x0602: "EISA bridge",
	0x0603: "MC bridge", 0x0604: "PCI bridge", 0x0605: "PCMCIA bridge", 0x0606: "NUBUS bridge", 0x0607: "CARDBUS bridge", 0x0608: "RACEWAY bridge",
	0x0680: "Bridge", 0x0700: "Serial port", 0x0701: "Parallel port", 0x0800: "Interrupt controller", 0x0801: "DMA controller", 0x0802: "Timer",
	0x0803: "RTC", 0x0900: "Keyboard", 0x0901: "Pen", 0x0902: "Mouse", 0x0a00: "Dock station", 0x0b00: "i386 cpu", 0x0b40: "Coprocessor",
	0x0c00: "Firewire controller", 0x0c01: "Access bus controller", 0x0c02: "SSA controller", 0x0c03: "USB controller", 0x0c04: "Fibre channel controller",
	0x0c05: "SMBus",
}

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
	if name, ok := classNames[class]; ok {
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
