package transport

import (
	"goemu/hw/pci"
	"goemu/hw/qdev"
	"goemu/hw/virtio"
)

// pciFunction is a complete virtio-…-pci device that leaves the choice of interfaces to options; pciFixed has made it.
type pciFunction[T any, P pointer[T]] struct {
	PCIBase
	ModeProps
	Type T
}

type pciFixed[T any, P pointer[T]] struct {
	PCIBase
	disableLegacy qdev.OnOffAuto
	Type          T
}

func (f *pciFixed[T, P]) mode() ModeProps { return ModeProps{DisableLegacy: f.disableLegacy} }

// pointer says that *T is a device type.
type pointer[T any] interface {
	*T
	virtio.Type
}

// PCIInfo implements pci.Function.
func (f *pciFunction[T, P]) PCIInfo() pci.Info { return describe(&f.PCIBase, f.ModeProps, P(&f.Type)) }

// PCIInfo implements pci.Function.
func (f *pciFixed[T, P]) PCIInfo() pci.Info { return describe(&f.PCIBase, f.mode(), P(&f.Type)) }

func describe(p *PCIBase, mode ModeProps, t virtio.Type) pci.Info {
	_ = p.setMode(mode) // Realize reports the error
	return p.info(t.TypeInfo())
}

// VirtioDevice is the device type behind the function.
func (f *pciFunction[T, P]) VirtioDevice() P { return &f.Type }

// VirtioDevice is the device type behind the function.
func (f *pciFixed[T, P]) VirtioDevice() P { return &f.Type }

// Realize implements qdev.Device.
func (f *pciFunction[T, P]) Realize() error {
	return realizePCI(&f.PCIBase, f.ModeProps, f, P(&f.Type))
}

// Realize implements qdev.Device.
func (f *pciFixed[T, P]) Realize() error { return realizePCI(&f.PCIBase, f.mode(), f, P(&f.Type)) }

func realizePCI(p *PCIBase, mode ModeProps, owner qdev.Device, t virtio.Type) error {
	if err := p.setMode(mode); err != nil {
		return err
	}
	if err := t.Setup(owner, max(CPUs, 1)); err != nil {
		return err
	}
	return p.realize(t)
}

// CPUs is the number of virtual CPUs, for devices that use a queue for each; it is set by the machine.
var CPUs int

// Unrealize implements qdev.Device.
func (p *PCIBase) Unrealize() {
	p.typ.Teardown()
}

// PCIClasses returns the three classes of a device type on PCI: virtio-X-pci, virtio-X-pci-transitional and
// virtio-X-pci-non-transitional.
func PCIClasses[T any, P pointer[T]]() []*qdev.Class {
	info := P(new(T)).TypeInfo()
	name := "virtio-" + info.Name + "-pci"
	class := func(suffix string, fresh func() qdev.Device) *qdev.Class {
		c := &qdev.Class{
			Name: name + suffix, Bus: pci.BusType, Category: info.Category, New: fresh,
			Parents: []string{name + "-base", "virtio-pci", "virtio-" + info.Name + "-device", "virtio-device", "pci-device", "device"},
		}
		if suffix == "" {
			c.Alias = "virtio-" + info.Name
		}
		return c
	}
	return []*qdev.Class{
		class("", func() qdev.Device { return new(pciFunction[T, P]) }),
		class("-transitional", func() qdev.Device {
			return &pciFixed[T, P]{disableLegacy: qdev.Off}
		}),
		class("-non-transitional", func() qdev.Device {
			return &pciFixed[T, P]{disableLegacy: qdev.On}
		}),
	}
}
