// Package piix is the IDE function of Intel's PIIX3 and PIIX4: two channels at the legacy ports, with bus mastering.
package piix

import (
	"fmt"

	"goemu/hw/ide"
	"goemu/hw/isa"
	"goemu/hw/pci"
	"goemu/hw/qdev"
	"goemu/internal/memory"
)

// Configuration space.
const (
	piix3Device, piix4Device = 0x7010, 0x7111
	classIDE                 = 0x0101
	legacyMode               = 0x80 // the channels are where they have always been
	statusReset              = 0x0280
	barMaster                = 4
)

// Channels of the function.
const channels = 2

// legacy are the ports and interrupts of the channels.
var legacy = [channels]struct {
	command, control uint64
	irq              int
}{{0x1f0, 0x3f6, 14}, {0x170, 0x376, 15}}

// IDE is the function.
type IDE struct {
	pci.Device
	Buses   [channels]*ide.Bus
	masters [channels]busMaster

	device uint16
}

func class(name string, device uint16) *qdev.Class {
	return &qdev.Class{Name: name, Parents: []string{"pci-ide"}, Bus: pci.BusType, Category: qdev.Storage, NoHotplug: true,
		New: func() qdev.Device { return &IDE{device: device} }, State: qdev.State(&ideState)}
}

// PIIX3Class is the function of the PIIX3.
var PIIX3Class = class("piix3-ide", piix3Device)

// Classes returns the device types.
func Classes() []*qdev.Class { return []*qdev.Class{PIIX3Class, class("piix4-ide", piix4Device)} }

// New puts the function on the bus at devfn.
func New(tree *qdev.Tree, c *qdev.Class, bus *pci.Bus, devfn uint8) (*IDE, error) {
	dev, err := tree.New(c)
	if err != nil {
		return nil, err
	}
	d := dev.(*IDE)
	d.Addr = qdev.DevFn(devfn)
	return d, qdev.Realize(d, bus)
}

// PCIInfo implements pci.Function.
func (d *IDE) PCIInfo() pci.Info {
	return pci.Info{Vendor: pci.VendorIntel, Device: d.device, Class: classIDE, ProgIf: legacyMode}
}

// Realize implements qdev.Device.
func (d *IDE) Realize() error {
	legacyBus := isa.Find(d.Tree())
	if legacyBus == nil {
		return fmt.Errorf("Failed to realize %s: No such device", d.Class().Name)
	}
	bar := memory.NewContainer("piix-bmdma-container", channels*channelBytes)
	others := ide.Count(d)
	for i, l := range legacy {
		d.Buses[i] = ide.NewBus(d, others, i, 2, legacyBus.Line(l.irq))
		command, control := d.Buses[i].Regions()
		legacyBus.Ports().Add(command, l.command, 0)
		legacyBus.Ports().Add(control, l.control, 0)
		d.masters[i].init(d, d.Buses[i])
		d.masters[i].region(bar, uint64(i*channelBytes))
	}
	d.SetBAR(barMaster, pci.BARIO, bar)
	return nil
}

// Reset implements qdev.Device.
func (d *IDE) Reset() {
	for _, b := range d.Buses {
		b.Reset()
	}
	d.Set16(pci.RegCommand, 0)
	d.Set16(pci.RegStatus, statusReset)
	d.Set32(pci.RegBAR0+4*barMaster, uint32(pci.BARIO))
}

// Decoding of a channel, in the timing registers.
const regTiming, decodeChannel = 0x40, 0x8000

// SetupChannels makes the channels answer to drivers that look, as firmware does.
func (d *IDE) SetupChannels() {
	for i := range d.Buses {
		d.Set16(regTiming+2*i, decodeChannel)
	}
}

// Started tries again what an error has stopped.
func (d *IDE) Started() {
	for _, b := range d.Buses {
		b.Started()
	}
}
