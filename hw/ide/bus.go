package ide

import (
	"fmt"

	"goemu/block"
	"goemu/hw/disk"
	"goemu/hw/qdev"
	"goemu/internal/mainloop"
	"goemu/internal/memory"
)

// BusType is the type name of the bus.
const BusType = "IDE"

// DMA is a host adapter's way between a drive and memory. A drive asks with Start; the adapter calls begin when the guest has started the
// engine, too.
type DMA interface {
	Start(begin func())
	// Prepare gathers memory for at most limit bytes. described is what the guest's table names, which may be more.
	Prepare(limit int64) (sg *disk.SG, described int64)
	// Commit hears how much of what was prepared has been moved.
	Commit(n int64)
	// Copy moves p to memory and goes on there at the next call; false says that the guest's table is too short.
	Copy(p []byte) bool
	// Stop ends the command; more says that the table named more than was needed.
	Stop(more bool)
	// PIO moves a drive's buffer at once if the adapter does that; it returns false if the guest reads and writes the data register.
	PIO(p []byte, toHost bool) bool
	// Restart hears that the last command starts again from the beginning of the table.
	Restart()
	// Done hears that a command has ended.
	Done()
	Reset()
}

// NoDMA is an adapter without DMA; embed it for what one does not need.
type NoDMA struct{}

// Start implements DMA.
func (NoDMA) Start(func()) {}

// Prepare implements DMA.
func (NoDMA) Prepare(int64) (*disk.SG, int64) { return new(disk.SG), 0 }

// Commit implements DMA.
func (NoDMA) Commit(int64) {}

// Copy implements DMA.
func (NoDMA) Copy([]byte) bool { return false }

// Stop implements DMA.
func (NoDMA) Stop(bool) {}

// PIO implements DMA.
func (NoDMA) PIO([]byte, bool) bool { return false }

// Restart implements DMA.
func (NoDMA) Restart() {}

// Done implements DMA.
func (NoDMA) Done() {}

// Reset implements DMA.
func (NoDMA) Reset() {}

// Bus is a channel with up to two drives.
type Bus struct {
	qdev.Bus
	Drives [2]*Drive // there are always two; a drive without device does not answer
	DMA    DMA

	irq      *qdev.IRQ
	number   int // of the channel on its adapter
	units    int
	unit     uint8 // the drive that is selected
	control  uint8
	jobs     disk.Queue
	retry    retry
	resetReq bool // a software reset is under way
}

// retry is what was tried when an error stopped the machine. The fields are migrated.
type retry struct {
	status int32 // the kind of request, in QEMU's bits
	sector int64
	count  uint32
	unit   uint8
}

// Kinds of requests in retry.status.
const (
	retryDMA   = 0x08
	retryPIO   = 0x10
	retryRead  = 0x20
	retryFlush = 0x40
	retryTrim  = 0x80
	retryATAPI = 0x100
	retryHBA   = 0x200
)

// Count is the number of channels that the machine has apart from those of d, an adapter on its way.
func Count(d qdev.Device) (n int) {
	root := d.Dev().Parent().QBus()
	for root.Owner() != nil {
		root = root.Owner().Dev().Parent().QBus()
	}
	root.Walk(func(x qdev.Device) bool {
		for _, b := range x.Dev().Buses() {
			if b.Type() == BusType && x != d {
				n++
			}
		}
		return true
	})
	return n
}

// NewBus returns channel number of an adapter, parent, in a machine that has others already. units is the number of drives that fit.
func NewBus(parent qdev.Device, others, number, units int, irq *qdev.IRQ) *Bus {
	b := &Bus{irq: irq, number: number, units: units, DMA: NoDMA{}}
	name := fmt.Sprintf("ide.%d", others+number)
	if parent != nil && parent.Dev().ID() != "" {
		name = fmt.Sprintf("%s.%d", parent.Dev().ID(), number)
	}
	qdev.InitBus(b, parent, BusType, name, units)
	b.jobs.Backends = b.Backends
	for i := range b.Drives {
		b.Drives[i] = newDrive(b, uint8(i), len(b.Drives)*(others+number)+i+1)
		b.Drives[i].reset()
	}
	return b
}

// Backends are those of the drives.
func (b *Bus) Backends() (list []*block.Backend) {
	for _, d := range b.Drives {
		if d.backend != nil {
			list = append(list, d.backend)
		}
	}
	return list
}

// SetIRQ replaces the channel's interrupt line.
func (b *Bus) SetIRQ(irq *qdev.IRQ) { b.irq = irq }

// IRQ returns the channel's interrupt line.
func (b *Bus) IRQ() *qdev.IRQ { return b.irq }

// FirmwareName implements qdev.FirmwareBus.
func (b *Bus) FirmwareName(qdev.Device) string { return fmt.Sprintf("drive@%x", b.number) }

// Active is the drive that is selected.
func (b *Bus) Active() *Drive { return b.Drives[b.unit] }

// present tells whether a drive answers at all.
func (b *Bus) present() bool { return b.Drives[0].there() || b.Drives[1].there() }

func (b *Bus) raise() {
	if b.control&CtlNoIRQ == 0 {
		b.irq.Raise()
	}
}

// Reset puts the channel and its drives into their power-on state.
func (b *Bus) Reset() {
	b.unit, b.control, b.retry, b.resetReq = 0, 0, retry{}, false
	b.jobs.Drop()
	for _, d := range b.Drives {
		d.reset()
		d.setSignature()
	}
	b.DMA.Reset()
}

// Read answers a byte access to the command block.
func (b *Bus) Read(reg int) uint8 {
	d := b.Active()
	switch reg {
	case regData:
		return uint8(b.ReadData(2))
	case regCommand:
		s := b.Status()
		b.irq.Lower()
		return s
	}
	if !b.present() || reg == regFeatures && b.unit != 0 && !d.there() {
		return 0
	}
	r := &d.regs
	if b.control&ctlHOB != 0 && reg != regDevice {
		r = &d.hob
	}
	switch reg {
	case regFeatures:
		if b.control&ctlHOB != 0 {
			return d.hob.feature
		}
		return d.err
	case regSectorCount:
		return uint8(r.count)
	case regSector:
		return r.sector
	case regCylLow:
		return r.cylLow
	case regCylHigh:
		return r.cylHigh
	}
	return d.sel
}

// Status is the status register, without the effect of reading it.
func (b *Bus) Status() uint8 {
	if d := b.Active(); b.present() && (b.unit == 0 || d.there()) {
		return d.status
	}
	return 0
}

// Write is a byte access to the command block. Both drives see it.
func (b *Bus) Write(reg int, v uint8) {
	if reg != regCommand && b.Active().status&(StatusBusy|StatusDRQ) != 0 {
		return
	}
	if reg == regData {
		return
	}
	b.control &^= ctlHOB
	for _, d := range b.Drives {
		switch reg {
		case regFeatures:
			d.hob.feature, d.regs.feature = d.regs.feature, v
		case regSectorCount:
			d.hob.count, d.regs.count = d.regs.count, uint32(v)
		case regSector:
			d.hob.sector, d.regs.sector = d.regs.sector, v
		case regCylLow:
			d.hob.cylLow, d.regs.cylLow = d.regs.cylLow, v
		case regCylHigh:
			d.hob.cylHigh, d.regs.cylHigh = d.regs.cylHigh, v
		case regDevice:
			d.sel = v | devAlwaysOn
		}
	}
	switch reg {
	case regDevice:
		b.unit = v >> 4 & 1
	case regCommand:
		b.irq.Lower()
		b.Execute(v)
	}
}

// WriteControl is a write to the device control register.
func (b *Bus) WriteControl(v uint8) {
	if v&CtlReset != 0 && b.control&CtlReset == 0 {
		for _, d := range b.Drives {
			d.status |= StatusBusy
		}
		if !b.resetReq {
			b.resetReq = true
			mainloop.Post(b.softReset)
		}
	}
	b.control = v
}

// softReset does what a set reset bit asks for.
func (b *Bus) softReset() {
	if !b.resetReq {
		return
	}
	b.resetReq = false
	for _, d := range b.Drives {
		d.status |= StatusBusy
		d.halt()
		d.cancel()
		d.reset()
		d.diagnose()
	}
	b.control &^= CtlReset
}

// ReadData reads the data register with 2 or 4 bytes.
func (b *Bus) ReadData(size int) uint32 {
	d := b.Active()
	if d.status&StatusDRQ == 0 || !d.end.toHost() || d.at+size > d.limit {
		return 0
	}
	v := uint32(d.buf[d.at]) | uint32(d.buf[d.at+1])<<8
	if size == 4 {
		v |= uint32(d.buf[d.at+2])<<16 | uint32(d.buf[d.at+3])<<24
	}
	d.advance(size)
	return v
}

// WriteData writes the data register with 2 or 4 bytes.
func (b *Bus) WriteData(size int, v uint32) {
	d := b.Active()
	if d.status&StatusDRQ == 0 || d.end.toHost() || d.at+size > d.limit {
		return
	}
	for i := range size {
		d.buf[d.at+i] = uint8(v >> (8 * i))
	}
	d.advance(size)
}

// Started hears that the machine runs again: what an error has stopped is tried again.
func (b *Bus) Started() {
	if b.retry.status == 0 {
		return
	}
	mainloop.Post(b.again)
}

// again repeats the request that failed.
func (b *Bus) again() {
	status := b.retry.status
	if status == 0 {
		return
	}
	b.retry.status = 0
	d := b.Active()
	read := status&retryRead != 0
	if status&(retryDMA|retryPIO|retryTrim) != 0 {
		d.setLBA(b.retry.sector)
		d.regs.count = b.retry.count
	}
	switch {
	case status&retryHBA != 0, status&retryATAPI != 0:
		b.DMA.Restart()
		if status&retryATAPI != 0 {
			d.packet()
		}
	case status&retryFlush != 0:
		d.flush()
	case status&retryTrim != 0:
		b.DMA.Restart()
		d.startDMA(dmaTrim)
	case status&retryDMA != 0 && read:
		b.DMA.Restart()
		d.startDMA(dmaRead)
	case status&retryDMA != 0:
		b.DMA.Restart()
		d.startDMA(dmaWrite)
	case read:
		d.readSectors()
	default:
		d.writeSectors()
	}
}

// place gives a device its drive; unit is -1 for the first free one.
func (b *Bus) place(unit uint32) (*Drive, error) {
	if unit == autoUnit {
		unit = 0
		if b.Drives[0].dev != nil {
			unit = 1
		}
	}
	if unit >= uint32(b.units) {
		return nil, fmt.Errorf("Can't create IDE unit %d, bus supports only %d units", int32(unit), b.units)
	}
	if b.Drives[unit].dev != nil {
		return nil, fmt.Errorf("IDE unit %d is in use", unit)
	}
	return b.Drives[unit], nil
}

// Ports answers the command block of a channel in the port space.
type Ports Bus

// Read implements memory.Ops.
func (p *Ports) Read(off uint64, size int) (v uint64) {
	b := (*Bus)(p)
	if off == regData && size > 1 {
		return uint64(b.ReadData(size))
	}
	for i := range min(size, numRegs-int(off)) {
		v |= uint64(b.Read(int(off)+i)) << (8 * i)
	}
	return v
}

// Write implements memory.Ops.
func (p *Ports) Write(off uint64, size int, v uint64) {
	b := (*Bus)(p)
	if off == regData && size > 1 {
		b.WriteData(size, uint32(v))
		return
	}
	for i := range min(size, numRegs-int(off)) {
		b.Write(int(off)+i, uint8(v>>(8*i)))
	}
}

// ControlPort answers the alternate status and device control register.
type ControlPort Bus

// Read implements memory.Ops.
func (p *ControlPort) Read(uint64, int) uint64 { return uint64((*Bus)(p).Status()) }

// Write implements memory.Ops.
func (p *ControlPort) Write(_ uint64, _ int, v uint64) { (*Bus)(p).WriteControl(uint8(v)) }

// Regions returns the channel's registers for the port space: the command block and the control register.
func (b *Bus) Regions() (command, control *memory.Region) {
	command = memory.NewIO("ide", numRegs, (*Ports)(b))
	command.Valid, command.Impl = memory.Access{Min: 1, Max: 4, Unaligned: true}, memory.Access{Min: 1, Max: 4, Unaligned: true}
	control = memory.NewIO("ide", 1, (*ControlPort)(b))
	control.Valid, control.Impl = memory.Access{Min: 1, Max: 4}, memory.Access{Min: 1, Max: 1}
	return command, control
}

// Busy tells whether requests to the host are under way.
func (b *Bus) Busy() bool { return b.jobs.Busy() || b.resetReq }
