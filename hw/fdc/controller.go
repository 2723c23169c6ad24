package fdc

import (
	"errors"
	"fmt"

	"goemu/hw/isa"
	"goemu/hw/qdev"
	"goemu/internal/clock"
	"goemu/internal/mainloop"
)

// StandardBase is where the first controller of a PC is.
const StandardBase = 0x3f0

// noDMA is the channel of a controller that the guest moves all data for.
const noDMA = 1<<32 - 1

// controllerRegs is the state that a reset does not touch in part; see reset.
type controllerRegs struct {
	statusA, statusB, output, tape, rate, status uint8 // SRA, SRB, DOR without the drive, TDR, DSR, MSR
	selected                                     uint8 // drive
	st0, st1, st2                                uint8
	fifo                                         [sectorSize]uint8
	pos, length                                  uint32 // of the command, the data or the result
	dataState                                    uint8
	dir                                          direction
	endSector                                    uint8
	phase                                        phase
	senses                                       int32 // interrupts still to be sensed after a reset
	// Settings that the guest can read back.
	timer0, timer1, precompensation, config, lock, powerDown uint8
}

// Controller is the device type isa-fdc.
type Controller struct {
	isa.Device
	IOBase     uint32         `prop:"iobase,default=1008"`
	IRQ        uint32         `prop:"irq,default=6"`
	DMA        uint32         `prop:"dma,default=2"`
	KindA      DriveType      `prop:"fdtypeA,default=auto" help:"FDC drive type, 144/288/120/none/auto"`
	KindB      DriveType      `prop:"fdtypeB,default=auto" help:"FDC drive type, 144/288/120/none/auto"`
	Fallback   DriveType      `prop:"fallback,default=288" help:"FDC drive type, 144/288/120/none/auto"`
	BootIndexA qdev.BootIndex `prop:"bootindexA"`
	BootIndexB qdev.BootIndex `prop:"bootindexB"`

	controllerRegs
	drives [MaxDrives]drive
	bus    bus
	irq    *qdev.IRQ
	dma    isa.DMAChannel // nil for none
	result *clock.Timer   // ends READ ID
	saved  uint8          // output with the drive, of the stream
}

// Class is the device type of the controller.
var Class = qdev.Class{Name: "isa-fdc", Bus: isa.BusType, Desc: "virtual floppy controller", Category: qdev.Storage,
	New: func() qdev.Device { return new(Controller) }, State: qdev.State(&isaState)}

// Classes are the controller and its drives.
func Classes() []*qdev.Class { return []*qdev.Class{&Class, &FloppyClass} }

// Realize implements qdev.Device.
func (c *Controller) Realize() (err error) {
	if c.irq, err = c.Bus().IRQ(c.IRQ); err != nil {
		return err
	}
	if c.DMA != noDMA {
		if c.dma, err = c.Bus().DMA(c.DMA); err != nil {
			return err
		}
	}
	if c.Fallback == DriveAuto {
		return errors.New("Cannot choose a fallback FDrive type of 'auto'")
	}
	if c.dma != nil {
		c.dma.Connect(c.transfer)
	}
	c.config = configDefault
	c.result = mainloop.NewTimer(clock.Virtual, c.sectorFound)
	c.bus.ctl = c
	qdev.InitBus(&c.bus, c, BusType, "", 0)
	for i := range c.drives {
		d := &c.drives[i]
		d.ctl = c
		d.clear()
		d.revalidate()
	}
	c.MapPorts("fdc", uint16(c.IOBase)+1, 5, ports{c, 1}).Impl.Max = 1
	c.MapPorts("fdc", uint16(c.IOBase)+regInput, 1, ports{c, regInput}).Impl.Max = 1
	return nil
}

// Unrealize implements qdev.Device.
func (c *Controller) Unrealize() {
	c.result.Del()
	if c.dma != nil {
		c.dma.Request(false)
		c.dma.Connect(nil)
	}
	c.irq.Set(false)
	c.UnmapPorts()
}

// Reset implements qdev.Device.
func (c *Controller) Reset() { c.reset(false) }

// reset restarts the controller; interrupt says whether the guest is told.
func (c *Controller) reset(interrupt bool) {
	c.clearIRQ()
	c.statusA, c.statusB = 0, srbReset
	if !c.drives[1].there() {
		c.statusA |= sraNoDrive2
	}
	c.selected, c.output = 0, dorRunning
	if c.dma != nil {
		c.output |= dorDMA
		c.dma.Request(false)
	}
	c.status = msrReady
	c.senses = 0
	c.result.Del()
	c.dataState = 0
	for i := range c.drives {
		c.drives[i].recalibrate()
	}
	c.toCommand()
	if interrupt {
		c.st0 |= st0Ready
		c.raiseIRQ()
		c.senses = resetSenses
	}
}

func (c *Controller) clearIRQ() {
	c.st0 = 0
	if c.statusA&sraIntPending != 0 {
		c.irq.Set(false)
		c.statusA &^= sraIntPending
	}
}

func (c *Controller) raiseIRQ() {
	if c.statusA&sraIntPending == 0 {
		c.irq.Set(true)
		c.statusA |= sraIntPending
	}
	c.senses = 0
}

// drive is the drive that answers to a number; the guest may have the two change places.
func (c *Controller) drive(n uint32) *drive {
	if c.tape&tdrBootSelect != 0 {
		n ^= 1
	}
	return &c.drives[n&dorSelect]
}

// current is the drive that is selected.
func (c *Controller) current() *drive { return c.drive(uint32(c.selected)) }

// choose selects the drive that a command names.
func (c *Controller) choose() *drive {
	c.selected = c.fifo[1] & dorSelect
	return c.current()
}

// KindOf is the kind of a drive, for firmware.
func (c *Controller) KindOf(n int) DriveType { return c.drives[n].kind }

// BootPlaces implements qdev.MultiBootable.
func (c *Controller) BootPlaces() (list []qdev.BootPlace) {
	for i, b := range [MaxDrives]qdev.BootIndex{c.BootIndexA, c.BootIndexB} {
		if b.Set {
			list = append(list, qdev.BootPlace{Index: b.N, Suffix: fmt.Sprintf("/floppy@%d", i)})
		}
	}
	return list
}

// FirmwareName implements isa.Named.
func (c *Controller) FirmwareName() string { return fmt.Sprintf("fdc@%04x", c.IOBase) }
