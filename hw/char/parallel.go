package char

import (
	"errors"
	"fmt"

	"goemu/hw/isa"
	"goemu/hw/qdev"
	"goemu/internal/chardev"
	"goemu/migration/vmstate"
)

// MaxISAParallel is how many parallel ports have standard addresses.
const MaxISAParallel = 3

var parallelBases = [MaxISAParallel]uint32{0x378, 0x278, 0x3bc}

// Registers of the port in compatibility mode (IEEE 1284-1994). Busy, acknowledge and error are active low.
const (
	regParData, regParStatus, regParControl = 0, 1, 2
	parallelPorts                           = 8

	parBusy, parAck, parOnline, parError, parTimeout = 0x80, 0x40, 0x10, 0x08, 0x01
	parReady                                         = parBusy | parAck | parOnline | parError

	parStrobe, parInit, parSelect, parIRQ, parInput = 0x01, 0x04, 0x08, 0x10, 0x20
	parOnes                                         = 0xc0 // bits that read as ones
)

// parallelRegs is the guest-visible state.
type parallelRegs struct {
	dataOut, dataIn, status, control uint8
	irqPending, eppTimeout           int32
}

// Parallel is the device type isa-parallel: a port with a printer that sends what it gets to a character device.
type Parallel struct {
	isa.Device
	Index   uint32           `prop:"index,default=4294967295"`
	IOBase  uint32           `prop:"iobase,default=4294967295"`
	IRQ     uint32           `prop:"irq,default=7"`
	Chardev *chardev.Backend `prop:"chardev" help:"ID of a chardev to use as a backend"`

	parallelRegs
	irq  *qdev.IRQ
	port *chardev.Port
}

// ParallelClass is the type isa-parallel.
var ParallelClass = qdev.Class{Name: "isa-parallel", Bus: isa.BusType, Category: qdev.Input,
	New: func() qdev.Device { return new(Parallel) }, State: qdev.State(&parallelState)}

var parallelState = vmstate.Description[Parallel]{Name: "parallel_isa", Version: 1, MinVersion: 1,
	Fields: []vmstate.Field[Parallel]{
		vmstate.Of("state.dataw", func(p *Parallel) *uint8 { return &p.dataOut }),
		vmstate.Of("state.datar", func(p *Parallel) *uint8 { return &p.dataIn }),
		vmstate.Of("state.status", func(p *Parallel) *uint8 { return &p.status }),
		vmstate.Of("state.control", func(p *Parallel) *uint8 { return &p.control }),
		vmstate.Of("state.irq_pending", func(p *Parallel) *int32 { return &p.irqPending }),
		vmstate.Of("state.epp_timeout", func(p *Parallel) *int32 { return &p.eppTimeout }),
	}}

// next is the number of isa-parallel devices on the bus, which is the next one's index.
func (p *Parallel) next() (n uint32) {
	for _, d := range p.Bus().Devices() {
		if _, ok := d.(*Parallel); ok {
			n++
		}
	}
	return n
}

// Realize implements qdev.Device.
func (p *Parallel) Realize() (err error) {
	if p.Chardev == nil {
		return errors.New("Can't create parallel device, empty char device")
	}
	if p.Index == unset {
		p.Index = p.next()
	}
	if p.Index >= MaxISAParallel {
		return fmt.Errorf("Max. supported number of parallel ports is %d.", MaxISAParallel)
	}
	if p.IOBase == unset {
		p.IOBase = parallelBases[p.Index]
	}
	if p.irq, err = p.Bus().IRQ(p.IRQ); err != nil {
		return err
	}
	if p.port, err = p.Chardev.Attach(outputOnly{}); err != nil {
		return err
	}
	p.MapPorts("parallel", uint16(p.IOBase), parallelPorts, p).Impl.Max = 1
	return nil
}

// Unrealize implements qdev.Device.
func (p *Parallel) Unrealize() {
	p.port.Detach()
	p.UnmapPorts()
}

// Reset implements qdev.Device.
func (p *Parallel) Reset() {
	p.parallelRegs = parallelRegs{dataIn: 0xff, dataOut: 0xff, status: parReady | parTimeout, control: parSelect | parInit | parOnes}
	p.irq.Set(false)
}

// Read implements memory.Ops. Reading the status takes the interrupt back, and lets the printer finish with its byte.
func (p *Parallel) Read(off uint64, _ int) uint64 {
	switch off {
	case regParData:
		if p.control&parInput != 0 {
			return uint64(p.dataIn)
		}
		return uint64(p.dataOut)
	case regParStatus:
		v := p.status
		p.irqPending = 0
		if p.status&parBusy == 0 && p.control&parStrobe == 0 { // first it acknowledges, then it is ready again
			if p.status&parAck != 0 {
				p.status &^= parAck
			} else {
				p.status |= parAck | parBusy
			}
		}
		p.irq.Set(false)
		return uint64(v)
	case regParControl:
		return uint64(p.control)
	}
	return 0xff
}

// Write implements memory.Ops.
func (p *Parallel) Write(off uint64, _ int, value uint64) {
	switch off {
	case regParData:
		p.dataOut = uint8(value)
	case regParControl:
		p.writeControl(uint8(value) | parOnes)
	}
	p.irq.Set(p.irqPending != 0)
}

// writeControl initialises the printer, or hands it the byte at the beginning of a strobe.
func (p *Parallel) writeControl(v uint8) {
	switch {
	case v&parInit == 0:
		p.status = parReady
	case v&parSelect == 0:
	case v&parStrobe != 0:
		p.status &^= parBusy
		if p.control&parStrobe == 0 {
			p.port.WriteAll([]byte{p.dataOut})
		}
	case p.control&parIRQ != 0:
		p.irqPending = 1
	}
	p.control = v
}
