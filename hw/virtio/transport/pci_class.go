package transport

import (
	"goemu/hw/pci"
	"goemu/hw/qdev"
	"goemu/hw/virtio"
	"goemu/internal/qom"
	"goemu/migration/vmstate"
)

// extras are the options of the PCI device whose presence or default depends on the device type.
type extras interface {
	values() (class, vectors uint32)
	// doorbells tells whether notifications may come as posted writes.
	doorbells() bool
	// resolve stores what was decided where the user left the choice.
	resolve(class, vectors uint32)
}

// IOEventFD is the option of most device types that chooses how the host hears of notifications: the guest need not wait until it has.
type IOEventFD struct {
	IOEventFD bool `prop:"ioeventfd,default=on" help:"on/off"`
}

func (x *IOEventFD) doorbells() bool { return x.IOEventFD }

// NoExtra are the extra options of most device types.
type NoExtra struct {
	IOEventFD
	Vectors uint32 `prop:"vectors,default=4294967295"`
}

func (x *NoExtra) values() (class, vectors uint32) { return 0, x.Vectors }
func (x *NoExtra) resolve(_, vectors uint32)       { x.Vectors = vectors }

// NoVectors are those of device types without messages, which have no choice of how the host hears of notifications either.
type NoVectors struct{}

func (*NoVectors) values() (class, vectors uint32) { return 0, 0 }
func (*NoVectors) resolve(_, _ uint32)             {}
func (*NoVectors) doorbells() bool                 { return false }

// WithClass are those of device types whose PCI class can be chosen.
type WithClass struct {
	IOEventFD
	Class   uint32 `prop:"class,default=0"`
	Vectors uint32 `prop:"vectors,default=4294967295"`
}

func (x *WithClass) values() (class, vectors uint32) { return x.Class, x.Vectors }
func (x *WithClass) resolve(class, vectors uint32)   { x.Class, x.Vectors = class, vectors }

// TwoVectors are those of device types with a single queue that say how many vectors they have.
type TwoVectors struct {
	IOEventFD
	Vectors uint32 `prop:"vectors,default=2"`
}

func (x *TwoVectors) values() (class, vectors uint32) { return 0, x.Vectors }
func (x *TwoVectors) resolve(_, vectors uint32)       { x.Vectors = vectors }

// ThreeVectors are those of device types that are heard on the main loop and have three vectors.
type ThreeVectors struct {
	IOEventFD bool   `prop:"ioeventfd,default=off" help:"on/off"`
	Vectors   uint32 `prop:"vectors,default=3"`
}

func (x *ThreeVectors) values() (class, vectors uint32) { return 0, x.Vectors }
func (x *ThreeVectors) resolve(_, vectors uint32)       { x.Vectors = vectors }
func (x *ThreeVectors) doorbells() bool                 { return x.IOEventFD }

// WithTwoVectors are those of device types that share two vectors among all queues.
type WithTwoVectors struct {
	IOEventFD
	Class   uint32 `prop:"class,default=0"`
	Vectors uint32 `prop:"vectors,default=2"`
}

func (x *WithTwoVectors) values() (class, vectors uint32) { return x.Class, x.Vectors }
func (x *WithTwoVectors) resolve(class, vectors uint32)   { x.Class, x.Vectors = class, vectors }

// PlainVectors are those of device types with two vectors and no choice of how the host hears of notifications.
type PlainVectors struct {
	Vectors uint32 `prop:"vectors,default=2"`
}

func (x *PlainVectors) values() (class, vectors uint32) { return 0, x.Vectors }
func (x *PlainVectors) resolve(_, vectors uint32)       { x.Vectors = vectors }
func (x *PlainVectors) doorbells() bool                 { return false }

// Doorbells are those of device types for which the host always hears of notifications without the guest's waiting.
type Doorbells struct {
	Vectors uint32 `prop:"vectors,default=4294967295"`
}

func (x *Doorbells) values() (class, vectors uint32) { return 0, x.Vectors }
func (x *Doorbells) resolve(_, vectors uint32)       { x.Vectors = vectors }
func (x *Doorbells) doorbells() bool                 { return true }

// Function is a complete virtio-…-pci device that leaves the choice of interfaces to options; pciFixed has made it.
type Function[T any, P pointer[T], X any] struct {
	PCIBase
	ModeProps
	Type  T
	Extra X
}

type pciFixed[T any, P pointer[T], X any] struct {
	PCIBase
	disableLegacy qdev.OnOffAuto
	Type          T
	Extra         X
}

func (f *pciFixed[T, P, X]) mode() ModeProps { return ModeProps{DisableLegacy: f.disableLegacy} }

// pointer says that *T is a device type.
type pointer[T any] interface {
	*T
	virtio.Type
}

// PCIInfo implements pci.Function.
func (f *Function[T, P, X]) PCIInfo() pci.Info {
	return describe(&f.PCIBase, f.ModeProps, P(&f.Type), &f.Extra)
}

// PCIInfo implements pci.Function.
func (f *pciFixed[T, P, X]) PCIInfo() pci.Info {
	return describe(&f.PCIBase, f.mode(), P(&f.Type), &f.Extra)
}

func describe(p *PCIBase, mode ModeProps, t virtio.Type, extra any) pci.Info {
	_ = p.setMode(mode.of(t)) // Realize reports the error
	i := p.info(t.TypeInfo())
	var class uint32
	x := extra.(extras)
	class, p.vectors = x.values()
	p.doorbells = x.doorbells()
	if class != 0 {
		i.Class = uint16(class)
	}
	return i
}

// VirtioDevice is the device type behind the function.
func (f *Function[T, P, X]) VirtioDevice() P { return &f.Type }

// VirtioDevice is the device type behind the function.
func (f *pciFixed[T, P, X]) VirtioDevice() P { return &f.Type }

// BootPlace implements qdev.Bootable.
func (f *Function[T, P, X]) BootPlace() (index int32, suffix string, ok bool) {
	return bootPlace(P(&f.Type))
}

// BootPlace implements qdev.Bootable.
func (f *pciFixed[T, P, X]) BootPlace() (index int32, suffix string, ok bool) {
	return bootPlace(P(&f.Type))
}

// BIOSGeometry implements qdev.Shaped.
func (f *Function[T, P, X]) BIOSGeometry() (cyls, heads, secs uint32, ok bool) {
	if s, is := any(P(&f.Type)).(qdev.Shaped); is {
		return s.BIOSGeometry()
	}
	return 0, 0, 0, false
}

func bootPlace(t virtio.Type) (index int32, suffix string, ok bool) {
	if b, has := t.(qdev.Bootable); has {
		return b.BootPlace()
	}
	return 0, "", false
}

// Realize implements qdev.Device.
func (f *Function[T, P, X]) Realize() error {
	return f.RealizeFor(f)
}

// RealizeFor is Realize for a device that the function is a part of.
func (f *Function[T, P, X]) RealizeFor(owner qdev.Device) error {
	err := realizePCI(&f.PCIBase, f.ModeProps, owner, P(&f.Type), &f.Extra)
	switch {
	case err != nil:
	case P(&f.Type).TypeInfo().Modern:
		f.DisableLegacy, f.DisableModern = qdev.On, false
	case f.DisableLegacy == qdev.Auto:
		f.DisableLegacy = qdev.Off // on conventional PCI
	}
	return err
}

// Realize implements qdev.Device.
func (f *pciFixed[T, P, X]) Realize() error {
	return realizePCI(&f.PCIBase, f.mode(), f, P(&f.Type), &f.Extra)
}

// of is the choice of interfaces that a device type leaves.
func (m ModeProps) of(t virtio.Type) ModeProps {
	if t.TypeInfo().Modern {
		return ModeProps{DisableLegacy: qdev.On}
	}
	return m
}

func realizePCI(p *PCIBase, mode ModeProps, owner qdev.Device, t virtio.Type, extra any) error {
	if err := p.setMode(mode.of(t)); err != nil {
		return err
	}
	if err := t.Setup(owner, max(CPUs, 1)); err != nil {
		return err
	}
	if err := p.realize(t); err != nil {
		return err
	}
	class, _ := extra.(extras).values()
	if class == 0 {
		class = uint32(t.TypeInfo().PCIClass)
	}
	extra.(extras).resolve(class, uint32(p.nvectors))
	showBackend(owner, t.TypeInfo().TypeName())
	return nil
}

// backendPart is the name of the device type behind a function.
const backendPart = "virtio-backend"

// Part implements qdev.Composed.
func (f *Function[T, P, X]) Part() (name, typ string) {
	return backendPart, P(&f.Type).TypeInfo().TypeName() + "-device"
}

// Part implements qdev.Composed.
func (f *pciFixed[T, P, X]) Part() (name, typ string) {
	return backendPart, P(&f.Type).TypeInfo().TypeName() + "-device"
}

// showBackend shows the device type behind the function as QEMU does: as an object of its own, which has the buses.
func showBackend(owner qdev.Device, name string) {
	node := owner.Dev().QOM()
	if node == nil {
		return
	}
	n := owner.Dev().AddPart(backendPart, qom.New(name+"-device", owner))
	for _, b := range owner.Dev().Buses() {
		b.QOM().Remove()
		n.MustAdd(b.Name(), b.QOM())
	}
}

// CPUs is the number of virtual CPUs, for devices that use a queue for each; it is set by the machine.
var CPUs int

// VirtioCommon is the common part of the device behind the function, nil until it is realized.
func (p *PCIBase) VirtioCommon() *virtio.Device { return p.dev }

// Unrealize implements qdev.Device.
func (p *PCIBase) Unrealize() {
	p.typ.Teardown()
}

// PCIClasses returns the three classes of a device type T on PCI: virtio-X-pci, virtio-X-pci-transitional and
// virtio-X-pci-non-transitional. X holds options of the PCI device that not all types have.
func PCIClasses[T any, P pointer[T], X any]() []*qdev.Class {
	info := P(new(T)).TypeInfo()
	name := info.TypeName() + "-pci"
	state := StateOf[T, P](info)
	class := func(suffix string, fresh func() qdev.Device) *qdev.Class {
		c := &qdev.Class{
			Name: name + suffix, Bus: pci.BusType, Category: info.Category, New: fresh,
			Parents:   []string{name + "-base", "virtio-pci", info.TypeName() + "-device", "virtio-device", "pci-device", "device"},
			State:     state,
			NoHotplug: info.NoHotplug,
		}
		if suffix == "" && info.Family == "" {
			c.Alias = info.TypeName()
		}
		return c
	}
	return []*qdev.Class{
		class("", func() qdev.Device { return romOf(new(Function[T, P, X]), info) }),
		class("-transitional", func() qdev.Device {
			return romOf(&pciFixed[T, P, X]{disableLegacy: qdev.Off}, info)
		}),
		class("-non-transitional", func() qdev.Device {
			return romOf(&pciFixed[T, P, X]{disableLegacy: qdev.On}, info)
		}),
	}
}

// PCIModern returns the only class on PCI, virtio-X-pci, of a device type without legacy interface.
func PCIModern[T any, P pointer[T], X any]() *qdev.Class { return PCIClasses[T, P, X]()[0] }

// PCIFixedModern is PCIModern for a type whose class has no options about the interface either.
func PCIFixedModern[T any, P pointer[T], X any]() *qdev.Class {
	c := PCIClasses[T, P, X]()[2]
	c.Name = P(new(T)).TypeInfo().TypeName() + "-pci"
	return c
}

// romOf gives a new function the type's expansion ROM.
func romOf(f pci.Function, info virtio.TypeInfo) qdev.Device {
	f.PCI().DefaultROM(info.ROM)
	return f
}

// StateOf makes the state of devices that carry the type.
func StateOf[T any, P pointer[T]](info virtio.TypeInfo) func(qdev.Device) vmstate.State {
	return func(d qdev.Device) vmstate.State {
		m := d.(interface{ VirtioDevice() P }).VirtioDevice()
		return virtio.State(info.StateName, info.StateVersion, m.Virtio(), m)
	}
}
