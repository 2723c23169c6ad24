package pci

import (
	"errors"
	"fmt"

	"goemu/hw/qdev"
	"goemu/internal/memory"
)

// BusType is the type name of the bus, ExpressBusType that of PCI Express buses, which take the same devices.
const (
	BusType        = "PCI"
	ExpressBusType = "PCIE"
)

// functions is the number of slot and function numbers on a bus.
const functions = 256

// Bus is a PCI bus.
type Bus struct {
	qdev.Bus
	mem    *memory.Region // what bus masters reach
	pciMem *memory.Region // where memory BARs go
	io     *memory.Region
	first  uint8   // first devfn for devices without an address
	bridge *Bridge // nil for a root bus
	funcs  [functions]Function
	route  func(devfn uint8, pin int) int // INTx pin (0..3) to bus line
	lines  []*qdev.IRQ
	counts []int32 // functions that drive each line

	handler  qdev.HotplugHandler // of devices that come and go
	selector int                 // number by which the ACPI hot-plug registers know the bus, -1 for none
}

// NewBus returns a bus that parent provides: mem is what bus masters reach, pciMem and io hold the BARs.
func NewBus(parent qdev.Device, name string, mem, pciMem, io *memory.Region, firstDevFn uint8) *Bus {
	b := &Bus{mem: mem, pciMem: pciMem, io: io, first: firstDevFn, selector: -1}
	qdev.InitBus(b, parent, BusType, name, 0)
	return b
}

// NewExpressBus returns a root complex's bus, as NewBus does.
func NewExpressBus(parent qdev.Device, name string, mem, pciMem, io *memory.Region) *Bus {
	b := &Bus{mem: mem, pciMem: pciMem, io: io, selector: -1}
	qdev.InitBus(b, parent, ExpressBusType, name, 0)
	return b
}

// TakesType implements qdev.TypedBus.
func (b *Bus) TakesType(typ string) bool { return typ == BusType || typ == b.Type() }

// Express tells whether the bus is PCI Express.
func (b *Bus) Express() bool { return b.Type() == ExpressBusType }

// Root tells whether the bus is behind a host bridge.
func (b *Bus) Root() bool { return b.bridge == nil }

// extended tells whether functions on the bus can be reached with registers beyond the conventional configuration space.
func (b *Bus) extended() bool {
	for ; b.Express(); b = b.bridge.bus {
		if b.Root() {
			return true
		}
	}
	return false
}

// SetIRQs connects the interrupt lines of the bus; route maps a function's INTx pin (0..3) to one of them.
func (b *Bus) SetIRQs(lines []*qdev.IRQ, route func(devfn uint8, pin int) int) {
	b.lines, b.route, b.counts = lines, route, make([]int32, len(lines))
}

// Memory returns the space that memory BARs go to, Ports that of the I/O BARs, for functions that answer at fixed addresses, too.
func (b *Bus) Memory() *memory.Region { return b.pciMem }

// Ports is described with Memory.
func (b *Bus) Ports() *memory.Region { return b.io }

// IRQLevel tells whether an interrupt line of the bus is driven.
func (b *Bus) IRQLevel(line int) bool { return line < len(b.counts) && b.counts[line] != 0 }

// Function returns the function at devfn, nil if there is none.
func (b *Bus) Function(devfn uint8) Function { return b.funcs[devfn] }

// RealizeChild implements qdev.BusRealizer.
func (b *Bus) RealizeChild(dev qdev.Device) error {
	fn, ok := dev.(Function)
	if !ok {
		return fmt.Errorf("Device '%s' can't go on %s bus", dev.Dev().Class().Name, BusType)
	}
	d := fn.PCI()
	devfn, err := b.place(d)
	if err != nil {
		return err
	}
	d.init(fn, b, devfn)
	if err := b.checkMultifunction(d, devfn); err != nil {
		d.close()
		return err
	}
	b.funcs[devfn] = fn
	if err := fn.Realize(); err != nil {
		b.funcs[devfn] = nil
		d.close()
		return err
	}
	err = d.checkPrimary()
	if err == nil {
		err = d.loadROM()
	}
	if err != nil {
		b.UnrealizeChild(dev)
		return err
	}
	d.Addr = qdev.DevFn(devfn)
	return nil
}

// checkPrimary refuses the primary of a standby that could not be withdrawn by itself.
func (d *Device) checkPrimary() error {
	switch {
	case d.PairID == "":
		return nil
	case !d.bus.Express():
		return errors.New("failover primary device must be on PCIExpress bus")
	case d.Get16(RegClass) != ClassNetworkEthernet:
		return errors.New("failover primary device is not an Ethernet device")
	case d.Multifunction || d.devfn&7 != 0:
		return errors.New("failover: primary device must be in its own PCI slot")
	}
	d.LeaveAnyTime()
	return nil
}

// DevicePath implements qdev.PathBus.
func (b *Bus) DevicePath(d qdev.Device) string {
	devfn := d.(Function).PCI().devfn
	return fmt.Sprintf("%s:%02x.%x", b.path(), devfn>>3, devfn&7)
}

// UnrealizeChild implements qdev.BusRealizer.
func (b *Bus) UnrealizeChild(dev qdev.Device) {
	fn := dev.(Function)
	d := fn.PCI()
	for pin := range d.intx {
		d.setINTx(pin, false)
	}
	fn.Unrealize()
	d.close()
	b.funcs[d.devfn] = nil
}

// place finds the slot for a device.
func (b *Bus) place(d *Device) (uint8, error) {
	if d.Addr < 0 {
		for devfn := int(b.first); devfn < functions; devfn += 8 {
			if b.funcs[devfn] == nil {
				return uint8(devfn), nil
			}
		}
		return 0, fmt.Errorf("PCI: no slot/function available for %s, all in use or reserved", d.Class().Name)
	}
	devfn := uint8(d.Addr)
	if other := b.funcs[devfn]; other != nil {
		id := other.Dev().ID()
		if id == "" {
			id = "(null)"
		}
		return 0, fmt.Errorf("PCI: slot %d function %d not available for %s, in use by %s,id=%s", devfn>>3, devfn&7,
			d.Class().Name, other.Dev().Class().Name, id)
	}
	if f0 := b.funcs[devfn&^7]; f0 != nil && d.Hotplugged() {
		return 0, fmt.Errorf("PCI: slot %d function 0 already occupied by %s, new func %s cannot be exposed to guest.", devfn>>3,
			f0.Dev().Class().Name, d.Class().Name)
	}
	return devfn, nil
}

// checkMultifunction checks a new function against the others of its slot.
func (b *Bus) checkMultifunction(d *Device, devfn uint8) error {
	slot, multi := devfn>>3, d.Config[RegHeaderType]&headerMultifunction != 0
	if devfn&7 != 0 {
		f0 := b.funcs[slot<<3]
		if f0 != nil && f0.PCI().Config[RegHeaderType]&headerMultifunction == 0 {
			return fmt.Errorf("PCI: single function device can't be populated in function %x.%x", slot, devfn&7)
		}
		return nil
	}
	for f := uint8(1); !multi && f < 8; f++ {
		if b.funcs[slot<<3|f] != nil {
			return fmt.Errorf("PCI: %x.0 indicates single function, but %x.%x is already populated.", slot, slot, f)
		}
	}
	return nil
}

// RAMName returns the name that memory of the device has in migration streams.
func (d *Device) RAMName(name string) string { return d.bus.DevicePath(d.fn) + "/" + name }

// BusReset implements the bus's part of a reset, after the devices' own.
func (b *Bus) BusReset() {
	for _, fn := range b.funcs {
		if fn != nil {
			fn.PCI().reset()
		}
	}
}

// SetINTx drives the function's interrupt pin.
func (d *Device) SetINTx(level bool) {
	if pin := int(d.Config[RegIntPin]); pin != 0 {
		d.setINTx(pin-1, level)
	}
}

// INTx returns a line that drives the function's interrupt pin.
func (d *Device) INTx() *qdev.IRQ {
	return qdev.NewIRQ(func(_ int, level bool) { d.SetINTx(level) }, 0)
}

func (d *Device) setINTx(pin int, level bool) {
	if d.intx[pin] == level {
		return
	}
	d.intx[pin] = level
	d.showINTx()
	if !d.intxOff {
		d.drive(pin, level)
	}
}

// showINTx makes the status register tell whether the function wants an interrupt.
func (d *Device) showINTx() {
	d.Config[RegStatus] &^= statusInterrupt
	if d.intx != [4]bool{} {
		d.Config[RegStatus] |= statusInterrupt
	}
}

// updateINTx acts on a change of the interrupt disable bit.
func (d *Device) updateINTx() {
	disabled := d.Get16(RegCommand)&CommandIntxDisable != 0
	if disabled == d.intxOff {
		return
	}
	d.intxOff = disabled
	for pin, level := range d.intx {
		if level {
			d.drive(pin, !disabled)
		}
	}
}

// Swizzle is how a bridge wires the pins (0..3) of the slots behind it to its own.
func Swizzle(devfn uint8, pin int) int { return (int(devfn>>3) + pin) & 3 }

// Wire follows a function's pin to the bus that has interrupt lines: the function there, which may be a bridge, and its pin.
func (d *Device) Wire(pin int) (*Device, int) {
	for d.bus.route == nil && d.bus.bridge != nil {
		br := d.bus.bridge
		if br.wire != nil {
			pin = br.wire(d.devfn, pin)
		} else {
			pin = Swizzle(d.devfn, pin)
		}
		d = &br.Device
	}
	return d, pin
}

// line is the bus line that a pin is wired to; the bus is nil if it is wired to none.
func (d *Device) line(pin int) (*Bus, int) {
	d, pin = d.Wire(pin)
	if d.bus.route == nil {
		return nil, 0
	}
	line := d.bus.route(d.devfn, pin)
	if line < 0 || line >= len(d.bus.lines) {
		return nil, 0
	}
	return d.bus, line
}

// drive changes the bus line that a pin is wired to.
func (d *Device) drive(pin int, level bool) {
	b, line := d.line(pin)
	if b == nil {
		return
	}
	if level {
		b.counts[line]++
	} else {
		b.counts[line]--
	}
	b.lines[line].Set(b.counts[line] != 0)
}
