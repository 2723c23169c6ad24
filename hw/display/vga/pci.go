package vga

import (
	"errors"

	"goemu/hw/display/edid"
	"goemu/hw/pci"
	"goemu/hw/qdev"
	"goemu/internal/memory"
	"goemu/internal/qom"
	"goemu/migration/vmstate"
)

// Registers behind BAR 2.
const (
	mmioSize    = 0x1000
	edidSize    = 384
	mmioPortsAt = 0x400
	mmioPorts   = 0x20 // from 0x3c0 on
	mmioVBEAt   = 0x500
	mmioVBE     = 2 * (vbeRegs + 1)
	mmioExtAt   = 0x600
	mmioExt     = 8

	extSize, extOrder           = 0, 4
	orderLittle, orderBig       = 0x1e1e1e1e, 0xbebebebe
	revisionWithExt       uint8 = 2
)

// Device is the device types VGA and secondary-vga.
type Device struct {
	pci.Device
	Core
	MemoryMiB    uint32 `prop:"vgamem_mb,default=16"`
	ExtendedRegs bool   `prop:"qemu-extended-regs,default=true" help:"on/off"`
	EDID         bool   `prop:"edid,default=true" help:"on/off"`
	edid.Info
	Order
}

// Order is the option for the byte order of the frame buffer, which drivers and people can change at any time.
type Order struct {
	BigEndian qdev.Switch `prop:"big-endian-framebuffer"`
}

// show makes the option and the property in the tree of objects speak of big.
func (o *Order) show(n *qom.Node, big *bool) {
	*big = bool(o.BigEndian)
	if n == nil {
		return
	}
	n.AddProperty(qom.Property{Name: "big-endian-framebuffer", Type: "bool", Get: func() any { return *big }, Set: func(v any) error {
		on, ok := v.(bool)
		if !ok {
			return errors.New("Invalid parameter type for 'big-endian-framebuffer', expected: boolean")
		}
		*big = on
		return nil
	}})
}

// Primary is the device type VGA.
type Primary struct {
	Device
	MMIO          bool `prop:"mmio,default=true" help:"on/off"`
	GlobalVMState bool `prop:"global-vmstate,default=false"`
}

// Classes are the device types of this package.
func Classes() []*qdev.Class {
	return []*qdev.Class{
		{Name: "VGA", Parents: []string{"pci-vga"}, Bus: pci.BusType, Category: qdev.Display, NoHotplug: true, New: newPrimary,
			State: func(d qdev.Device) vmstate.State { return state.Bind(&d.(*Primary).Device) }},
		{Name: "secondary-vga", Parents: []string{"pci-vga"}, Bus: pci.BusType, Category: qdev.Display, New: func() qdev.Device { return new(Device) }, State: qdev.State(&state)},
		{Name: "cirrus-vga", Bus: pci.BusType, Desc: "Cirrus CLGD 54xx VGA", Category: qdev.Display, NoHotplug: true, New: newCirrus,
			State: qdev.State(&cirrusPCIState)},
		{Name: "bochs-display", Bus: pci.BusType, Category: qdev.Display, New: newBochs, State: qdev.State(&bochsState)},
	}
}

func newPrimary() qdev.Device {
	p := new(Primary)
	p.ROMFile = "vgabios-stdvga.bin"
	return p
}

var state = vmstate.Description[Device]{Name: "vga", Version: 2, MinVersion: 2, Fields: []vmstate.Field[Device]{
	vmstate.Struct("dev", &pci.State, func(d *Device) *pci.Device { return &d.Device }),
	vmstate.Struct("vga", &CoreState, func(d *Device) *Core { return &d.Core }),
}}

// PCIInfo implements pci.Function.
func (d *Device) PCIInfo() pci.Info {
	return pci.Info{Vendor: pci.VendorQEMU, Device: 0x1111, Class: pci.ClassDisplayOther}
}

// PCIInfo implements pci.Function.
func (p *Primary) PCIInfo() pci.Info {
	return pci.Info{Vendor: pci.VendorQEMU, Device: 0x1111, Class: pci.ClassDisplayVGA}
}

// Realize implements qdev.Device.
func (d *Device) Realize() error {
	if err := d.Init(d.MemoryMiB, d.RAMName("vga.vram")); err != nil {
		return err
	}
	d.SetBAR(0, pci.BARPrefetch, d.vram)
	d.ShowOrder(d.QOM(), &d.Order)
	d.mapRegisters()
	d.Connect(d)
	return nil
}

// Realize implements qdev.Device.
func (p *Primary) Realize() error {
	name := p.RAMName("vga.vram")
	if p.GlobalVMState {
		name = "vga.vram"
	}
	if err := p.Init(p.MemoryMiB, name); err != nil {
		return err
	}
	p.SetBAR(0, pci.BARPrefetch, p.vram)
	p.MapLow(p.Bus().Memory(), p.Bus().Ports())
	p.ShowOrder(p.QOM(), &p.Order)
	if p.MMIO {
		p.mapRegisters()
	}
	p.Connect(p)
	return nil
}

// Unrealize implements qdev.Device.
func (d *Device) Unrealize() { d.con.Close() }

// Reset implements qdev.Device.
func (d *Device) Reset() { d.Core.Reset() }

// mapRegisters makes BAR 2.
func (d *Device) mapRegisters() {
	bar := NewRegisters("vga.mmio")
	if d.ExtendedRegs {
		d.Config[pci.RegRevision] = revisionWithExt
	}
	var id []byte
	if d.EDID {
		id = edid.Generate(d.Info, edidSize)
	}
	d.AddRegisters(bar, d.ExtendedRegs, id)
	d.SetBAR(2, pci.BARMem32, bar)
}

// ShowOrder makes the option for the byte order speak of the core's.
func (c *Core) ShowOrder(n *qom.Node, o *Order) { o.show(n, &c.bigEndian) }

// AddRegisters adds the registers in memory to a region, with those for the byte order if extended is set, and a monitor's description if
// there is one.
func (c *Core) AddRegisters(to *memory.Region, extended bool, id []byte) {
	add := func(name string, at, size uint64, ops memory.Ops, valid, impl memory.Access) {
		r := memory.NewIO(name, size, ops)
		r.Valid, r.Impl = valid, impl
		to.Add(r, at, 0)
	}
	any := memory.Access{Min: 1, Max: 4}
	add("vga ioports remapped", mmioPortsAt, mmioPorts, mmioPortRegs{c}, any, memory.Access{Min: 1, Max: 2})
	add("bochs dispi interface", mmioVBEAt, mmioVBE, mmioVBERegs{c}, any, memory.Access{Min: 2, Max: 2})
	if extended {
		add("qemu extended regs", mmioExtAt, mmioExt, ExtendedRegs{&c.bigEndian}, memory.Access{Min: 4, Max: 4}, memory.Access{})
	}
	if id != nil {
		add("edid", 0, edidSize, Blob(id), any, memory.Access{Min: 1, Max: 1})
	}
}

// NewRegisters returns a region for registers in memory: where none answers, reads give all ones.
func NewRegisters(name string) *memory.Region { return memory.NewIO(name, mmioSize, noRegister{}) }

type noRegister struct{}

// Read implements memory.Ops.
func (noRegister) Read(uint64, int) uint64 { return ^uint64(0) }

// Write implements memory.Ops.
func (noRegister) Write(uint64, int, uint64) {}

// mmioPortRegs answers the ports from 0x3c0 on in memory.
type mmioPortRegs struct{ c *Core }

// Read implements memory.Ops.
func (m mmioPortRegs) Read(off uint64, size int) uint64 {
	v := uint64(m.c.readPort(portAttr + uint16(off)))
	if size == 2 {
		v |= uint64(m.c.readPort(portAttr+uint16(off)+1)) << 8
	}
	return v
}

// Write implements memory.Ops.
func (m mmioPortRegs) Write(off uint64, size int, v uint64) {
	m.c.writePort(portAttr+uint16(off), uint8(v))
	if size == 2 {
		m.c.writePort(portAttr+uint16(off)+1, uint8(v>>8))
	}
}

// mmioVBERegs answers the registers of the extensions in memory, without their index.
type mmioVBERegs struct{ c *Core }

// Read implements memory.Ops.
func (m mmioVBERegs) Read(off uint64, _ int) uint64 {
	m.c.vbeIndex = uint16(off >> 1)
	return uint64(m.c.readVBE())
}

// Write implements memory.Ops.
func (m mmioVBERegs) Write(off uint64, _ int, v uint64) {
	m.c.vbeIndex = uint16(off >> 1)
	m.c.writeVBE(uint16(v))
}

// ExtendedRegs answers the registers with the byte order of the frame buffer.
type ExtendedRegs struct{ BigEndian *bool }

// Read implements memory.Ops.
func (e ExtendedRegs) Read(off uint64, _ int) uint64 {
	switch {
	case off == extSize:
		return mmioExt
	case off == extOrder && *e.BigEndian:
		return orderBig
	case off == extOrder:
		return orderLittle
	}
	return 0
}

// Write implements memory.Ops.
func (e ExtendedRegs) Write(off uint64, _ int, v uint64) {
	if off == extOrder && (v == orderBig || v == orderLittle) {
		*e.BigEndian = v == orderBig
	}
}

// Blob answers with bytes that do not change.
type Blob []byte

// Read implements memory.Ops.
func (b Blob) Read(off uint64, _ int) uint64 { return uint64(b[off]) }

// Write implements memory.Ops.
func (b Blob) Write(uint64, int, uint64) {}
