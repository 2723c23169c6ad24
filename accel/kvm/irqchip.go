package kvm

import (
	"goemu/accel"
)

// irqchip is struct kvm_irqchip: the state of one controller.
type irqchip struct {
	ID, _ uint32
	Data  [512]byte
}

// Numbers of the controllers.
const (
	chipMaster, chipSlave, chipIOAPIC = 0, 1, 2
	ioapicPins                        = 24
	picPins                           = 8
)

// route is struct kvm_irq_routing_entry: what a global interrupt does.
type route struct {
	GSI, Type, Flags, _ uint32
	To                  [8]uint32 // of routeChip: controller and pin; of routeMSI: low and high half of the address, data, device
}

// Types of routes.
const routeChip, routeMSI = 1, 2

// isaRoutes are the routes of a PC: the ISA interrupts go to the 8259 pair and the I/O APIC, whose pin 2 is wired to interrupt 0.
func isaRoutes() (list []route) {
	add := func(gsi, chip, pin uint32) {
		list = append(list, route{GSI: gsi, Type: routeChip, To: [8]uint32{chip, pin}})
	}
	const cascade = 2
	for i := range uint32(2 * picPins) {
		if i != cascade {
			add(i, i/picPins, i%picPins)
		}
	}
	for i := range uint32(ioapicPins) {
		switch i {
		case 0:
			add(i, chipIOAPIC, 2)
		case cascade:
		default:
			add(i, chipIOAPIC, i)
		}
	}
	return list
}

func messageRoute(gsi uint32, m accel.MSIRoute) route {
	return route{GSI: gsi, Type: routeMSI, To: [8]uint32{uint32(m.Addr), uint32(m.Addr >> 32), m.Data}}
}

// createChips puts the interrupt controllers into the kernel.
func (a *Accel) createChips() error {
	switch a.opt.Chips {
	case accel.ChipsNone:
		return nil
	case accel.ChipsLocal:
		if err := a.h.enable(capSplitIRQChip, ioapicPins); err != nil {
			return requestError(reqEnableCap, err)
		}
		return nil
	}
	if _, err := a.k.ioctl(a.h.vm, reqCreateIRQChip, 0); err != nil {
		return requestError(reqCreateIRQChip, err)
	}
	return a.setPins(isaRoutes())
}

// vmData makes a request of the machine that only a bug can make fail.
func (a *Accel) vmData(r request, data []byte) {
	if _, err := a.k.ioctlData(a.h.vm, r, data); err != nil {
		a.machine.Request(accel.ShutdownInternal, requestError(r, err).Error())
	}
}

// Chips implements accel.KernelChips.
func (a *Accel) Chips() accel.Chips { return a.opt.Chips }

// localInKernel tells whether the kernel has the local interrupt controllers.
func (a *Accel) localInKernel() bool { return a.opt.Chips != accel.ChipsNone }

// OnEOI implements accel.KernelChips.
func (a *Accel) OnEOI(f func(vector uint8)) { a.eoi = f }

// RoutePins implements accel.KernelChips.
func (a *Accel) RoutePins(list []accel.MSIRoute) {
	var pins []route
	for i, m := range list[:min(len(list), ioapicPins)] {
		pins = append(pins, messageRoute(uint32(i), m))
	}
	if err := a.setPins(pins); err != nil {
		a.machine.Request(accel.ShutdownInternal, err.Error())
	}
}

// irqLevel is struct kvm_irq_level.
type irqLevel struct{ GSI, Level uint32 }

// SetLine implements accel.KernelChips.
func (a *Accel) SetLine(gsi int, level bool) {
	l := irqLevel{GSI: uint32(gsi), Level: uint32(bit(level))}
	a.vmData(reqIRQLine, bytesOf(&l))
}

// msi is struct kvm_msi.
type msi struct {
	Low, High, Data, Flags, DevID uint32
	_                             [12]uint8
}

// SignalMSI implements accel.KernelChips. A message that no CPU takes is lost, as on a bus.
func (a *Accel) SignalMSI(addr uint64, data uint32) {
	m := msi{Low: uint32(addr), High: uint32(addr >> 32), Data: data}
	_, _ = a.k.ioctlData(a.h.vm, reqSignalMSI, bytesOf(&m))
}

// PullLocal implements accel.KernelChips.
func (a *Accel) PullLocal() {
	a.send(false)
	for _, c := range a.list() {
		c.mustPull()
		c.dirty = true // the local controller's state may change from now on
	}
}

// PushLocal implements accel.KernelChips.
func (a *Accel) PushLocal() {
	for _, c := range a.list() {
		if err := c.push(); err != nil {
			a.machine.Request(accel.ShutdownInternal, err.Error())
		}
	}
	a.send(true)
}

func (a *Accel) getChip(number uint32) *irqchip {
	c := &irqchip{ID: number}
	a.vmData(reqGetIRQChip, bytesOf(c))
	return c
}

// PIC implements accel.KernelChips.
func (a *Accel) PIC(number int) (s accel.PICState) {
	copy(bytesOf(&s), a.getChip(uint32(number)).Data[:])
	return s
}

// SetPIC implements accel.KernelChips.
func (a *Accel) SetPIC(number int, s accel.PICState) {
	c := &irqchip{ID: uint32(number)}
	copy(c.Data[:], bytesOf(&s))
	a.vmData(reqSetIRQChip, bytesOf(c))
}

// IOAPIC implements accel.KernelChips.
func (a *Accel) IOAPIC() (s accel.IOAPICState) {
	copy(bytesOf(&s), a.getChip(chipIOAPIC).Data[:])
	return s
}

// SetIOAPIC implements accel.KernelChips.
func (a *Accel) SetIOAPIC(s accel.IOAPICState) {
	c := &irqchip{ID: chipIOAPIC}
	copy(c.Data[:], bytesOf(&s))
	a.vmData(reqSetIRQChip, bytesOf(c))
}

var _ accel.KernelChips = (*Accel)(nil)

// pullLocal and pushLocal exchange the state of the CPU's local controller, if the kernel has one.
func (c *CPU) pullLocal() error {
	if c.keeper == nil {
		return nil
	}
	var p accel.LocalPage
	if err := get(c, reqGetLAPIC, &p); err != nil {
		return err
	}
	c.keeper.SetRegisters(c.base, &p, c.rest.MPState == mpUninitialized || c.rest.MPState == mpInitReceived)
	return nil
}

func (c *CPU) pushLocal() error {
	if c.keeper == nil {
		return nil
	}
	var p accel.LocalPage
	c.keeper.Registers(&p)
	return get(c, reqSetLAPIC, &p)
}
