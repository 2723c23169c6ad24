// Package piix is the Intel 82371SB (PIIX3) ISA bridge and the power management function of the 82371AB (PIIX4), as QEMU's pc machine
// combines them.
package piix

import (
	"goemu/hw/isa"
	"goemu/hw/pci"
	"goemu/hw/qdev"
	"goemu/internal/mainloop"
	"goemu/internal/memory"
	"goemu/migration/vmstate"
)

// Registers of the ISA bridge (82371SB data sheet, §2.2) and its reset control port.
const (
	piix3Device = 0x7000
	regPIRQ     = 0x60
	numPIRQ     = 4
	pirqOff     = 16 // routes of this value and above are disconnected

	portReset           = 0xcf9
	resetCPU, resetHard = 0x04, 0x02
	portPriority        = 1 // over the configuration address register
)

// piix3Reset are the registers that are not zero after reset.
var piix3Reset = map[int]uint8{
	pci.RegCommand: 0x07, pci.RegStatus + 1: 0x02,
	0x4c: 0x4d, 0x4e: 0x03, 0x60: 0x80, 0x61: 0x80, 0x62: 0x80, 0x63: 0x80, 0x69: 0x02, 0x70: 0x80,
	0x76: 0x0c, 0x77: 0x0c, 0x78: 0x02, 0xa0: 0x08, 0xa8: 0x0f,
}

// PIIX3 is the ISA bridge, the device type PIIX3.
type PIIX3 struct {
	pci.Device
	ISA *isa.Bus

	mem, io *memory.Region
	irqs    []*qdev.IRQ
	vm      *mainloop.VM
	levels  uint64 // bit 4*irq+pirq: the PIRQ drives the ISA interrupt
	rcr     uint8
	reset   *memory.Region
	saved   [numPIRQ]int32
}

// PIIX3Class is the device type.
var PIIX3Class = qdev.Class{Name: "PIIX3", Parents: []string{"pci-piix3"}, Bus: pci.BusType, Desc: "ISA bridge", Internal: true, NoHotplug: true,
	Category: qdev.Bridge, New: func() qdev.Device { return new(PIIX3) }, State: qdev.State(&piix3State)}

var piix3State = vmstate.Description[PIIX3]{Name: "PIIX3", Version: 3, MinVersion: 2,
	PreSave: func(p *PIIX3) {
		for i := range p.saved {
			p.saved[i] = 0
			if p.PCI().Bus().IRQLevel(i) {
				p.saved[i] = 1
			}
		}
	},
	Fields: []vmstate.Field[PIIX3]{
		vmstate.Struct("dev", &pci.State, func(p *PIIX3) *pci.Device { return &p.Device }),
		vmstate.Array("pci_irq_levels_vmstate", func(p *PIIX3) []int32 { return p.saved[:] }).Since(3),
	},
	Subsections: []*vmstate.Description[PIIX3]{{Name: "PIIX3/rcr", Version: 1, MinVersion: 1,
		Needed: func(p *PIIX3) bool { return p.rcr != 0 },
		Fields: []vmstate.Field[PIIX3]{vmstate.Of("rcr", func(p *PIIX3) *uint8 { return &p.rcr })}}},
	PostLoad: func(p *PIIX3, _ int) error {
		p.levels = 0
		for pirq := range numPIRQ {
			p.note(pirq, p.Bus().IRQLevel(pirq))
		}
		return nil
	}}

// NewPIIX3 puts the bridge on the bus at devfn; irqs are the machine's ISA interrupts.
func NewPIIX3(tree *qdev.Tree, bus *pci.Bus, devfn uint8, mem, io *memory.Region, irqs []*qdev.IRQ, vm *mainloop.VM) (*PIIX3, error) {
	d, err := tree.New(&PIIX3Class)
	if err != nil {
		return nil, err
	}
	p := d.(*PIIX3)
	p.Addr, p.mem, p.io, p.irqs, p.vm = qdev.DevFn(devfn), mem, io, irqs, vm
	if err := qdev.Realize(p, bus); err != nil {
		return nil, err
	}
	bus.SetIRQs(qdev.NewIRQs(p.setPIRQ, numPIRQ), Route)
	return p, nil
}

// Route tells which PIRQ a function's interrupt pin (0..3) is wired to.
func Route(devfn uint8, pin int) int { return (pin + int(devfn>>3) - 1) & (numPIRQ - 1) }

// PCIInfo implements pci.Function.
func (p *PIIX3) PCIInfo() pci.Info {
	return pci.Info{Vendor: pci.VendorIntel, Device: piix3Device, Class: pci.ClassBridgeISA, MultiFunction: true}
}

// Realize implements qdev.Device.
func (p *PIIX3) Realize() error {
	p.ISA = isa.NewBus(p, "isa.0", p.mem, p.io)
	p.ISA.SetIRQs(p.irqs)
	p.reset = memory.NewIO("piix3-reset-control", 1, (*resetPort)(p))
	p.reset.Impl = memory.Access{Min: 1, Max: 1}
	p.io.Add(p.reset, portReset, portPriority)
	return nil
}

// Reset implements qdev.Device.
func (p *PIIX3) Reset() {
	for at := 0x04; at < 0x08; at++ {
		p.Config[at] = 0
	}
	for at := 0x40; at < 0x100; at++ {
		p.Config[at] = 0
	}
	for at, v := range piix3Reset {
		p.Config[at] = v
	}
	p.levels, p.rcr = 0, 0
}

// note records that a PIRQ has a level and returns the ISA interrupt concerned, -1 for none.
func (p *PIIX3) note(pirq int, level bool) int {
	irq := int(p.Config[regPIRQ+pirq])
	if irq >= pirqOff {
		return -1
	}
	bit := uint64(1) << (irq*numPIRQ + pirq)
	p.levels &^= bit
	if level {
		p.levels |= bit
	}
	return irq
}

func (p *PIIX3) setPIRQ(pirq int, level bool) {
	if irq := p.note(pirq, level); irq >= 0 {
		p.drive(irq)
	}
}

func (p *PIIX3) drive(irq int) {
	p.irqs[irq].Set(p.levels>>(irq*numPIRQ)&(1<<numPIRQ-1) != 0)
}

// SetRoute connects a PIRQ to an ISA interrupt, as firmware does.
func (p *PIIX3) SetRoute(pirq int, irq uint8) { p.WriteConfig(regPIRQ+pirq, 1, uint32(irq)) }

// WriteConfig implements pci.ConfigWriter.
func (p *PIIX3) WriteConfig(addr, size int, v uint32) {
	p.DefaultWriteConfig(addr, size, v)
	if addr >= regPIRQ+numPIRQ || addr+size <= regPIRQ {
		return
	}
	p.levels = 0
	for pirq := range numPIRQ {
		p.note(pirq, p.Bus().IRQLevel(pirq))
	}
	for irq := range pirqOff {
		p.drive(irq)
	}
}

type resetPort PIIX3

// Read implements memory.Ops.
func (p *resetPort) Read(uint64, int) uint64 { return uint64(p.rcr) }

// Write implements memory.Ops.
func (p *resetPort) Write(_ uint64, _ int, v uint64) {
	if v&resetCPU != 0 {
		p.vm.RequestReset(mainloop.CauseGuestReset)
		return
	}
	p.rcr = uint8(v) & resetHard
}
