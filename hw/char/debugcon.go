package char

import (
	"errors"

	"goemu/hw/isa"
	"goemu/hw/qdev"
	"goemu/internal/chardev"
)

// Debugcon is the device type isa-debugcon: every byte written to its port is printed; reading tells that it is there.
type Debugcon struct {
	isa.Device
	IOBase   uint32           `prop:"iobase,default=233"`
	Chardev  *chardev.Backend `prop:"chardev" help:"ID of a chardev to use as a backend"`
	Readback uint32           `prop:"readback,default=233"`
	port     *chardev.Port
}

// DebugconClass is the type isa-debugcon.
var DebugconClass = qdev.Class{Name: "isa-debugcon", Bus: isa.BusType, Category: qdev.Misc, New: func() qdev.Device { return new(Debugcon) }}

// Realize implements qdev.Device.
func (d *Debugcon) Realize() (err error) {
	if d.Chardev == nil {
		return errors.New("Can't create debugcon device, empty char device")
	}
	if d.port, err = d.Chardev.Attach(outputOnly{}); err != nil {
		return err
	}
	r := d.MapPorts("isa-debugcon", uint16(d.IOBase), 1, d)
	r.Valid.Max = 1
	return nil
}

// Unrealize implements qdev.Device.
func (d *Debugcon) Unrealize() {
	d.port.Detach()
	d.UnmapPorts()
}

// Read implements memory.Ops.
func (d *Debugcon) Read(uint64, int) uint64 { return uint64(d.Readback) }

// Write implements memory.Ops. The port has no status: the guest waits here while the endpoint takes nothing.
func (d *Debugcon) Write(_ uint64, _ int, v uint64) { d.port.WriteAll([]byte{byte(v)}) }

// outputOnly is a frontend that takes no input.
type outputOnly struct{}

func (outputOnly) CanRead() int        { return 0 }
func (outputOnly) Read([]byte)         {}
func (outputOnly) Event(chardev.Event) {}

// Classes are the device types of this package.
var Classes = []*qdev.Class{&SerialClass, &PCISerialClass, &PCISerial2Class, &PCISerial4Class, &ParallelClass, &DebugconClass}
