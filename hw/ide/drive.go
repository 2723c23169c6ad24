package ide

import (
	"context"
	"fmt"

	"goemu/block"
	"goemu/hw/disk"
)

// Kind is what a drive is.
type Kind uint8

// The kinds, in QEMU's order. A position without a device counts as a disk that is not there.
const (
	Disk Kind = iota
	CDROM
)

// taskFile is the part of the command block that a command reads. Its previous contents make the upper halves of 48-bit commands.
type taskFile struct {
	feature         uint8
	count           uint32
	sector          uint8
	cylLow, cylHigh uint8
}

// transferEnd says what follows when the guest has moved the buffer through the data register, in the order in which it is migrated.
type transferEnd uint8

const (
	endReadSectors transferEnd = iota
	endWriteSectors
	endStop
	endPacketReply
	endPacket
	endDummy
)

// toHost tells the direction of the transfer.
func (e transferEnd) toHost() bool { return e != endWriteSectors && e != endPacket }

// Drive is a position on a channel: the state that a drive there has.
type Drive struct {
	bus  *Bus
	dev  *Device // nil if there is none
	unit uint8

	Kind    Kind
	backend *block.Backend
	policy  disk.Policy
	geo     disk.Geometry
	// What the guest may set a logical geometry to, and what a reset returns to.
	heads, sectors uint32
	trans          disk.Translation
	sectorsTotal   uint64
	serial         string
	model, version string
	wwn            uint64
	ncq            int // queue depth that the adapter offers

	regs, hob   taskFile
	sel         uint8
	status, err uint8
	lba48       uint8
	multiple    int32 // sectors of multiple commands
	identified  int32 // identify holds what the drive says
	identify    [SectorSize]byte
	revert      bool // a reset restores the geometry
	smart       smart
	packetState
	mediaChanged bool

	// The transfer through the data register: buf[at:limit] is still to be moved.
	buf       []byte
	at, limit int
	end       transferEnd
	perStep   int32 // sectors moved at a time
	// Where the adapter moves the buffer at once: what follows is being done, and has moved the buffer again.
	finishing, moved bool

	dma        dmaKind
	described  int64 // bytes that the adapter's table named for the present step
	prepared   int64
	pio        *disk.Job
	dmaJob     *disk.Job
	serialAuto string
	saved      savedDrive
}

func newDrive(b *Bus, unit uint8, number int) *Drive {
	return &Drive{bus: b, unit: unit, serialAuto: fmt.Sprintf("QM%05d", number), buf: make([]byte, bufferBytes), smart: smart{enabled: true, autosave: true}}
}

// there tells whether a device is attached.
func (d *Drive) there() bool { return d.backend != nil }

// Present tells whether a device is attached.
func (d *Drive) Present() bool { return d.there() }

// Backend is the drive's disk.
func (d *Drive) Backend() *block.Backend { return d.backend }

// Policy is what to do about failed requests.
func (d *Drive) Policy() disk.Policy { return d.policy }

// Sectors is the size of the medium in sectors of 512 bytes.
func (d *Drive) Sectors() uint64 { return d.sectorsTotal }

// Geometry is the physical geometry and the translation for a BIOS; ok is false for drives without one.
func (d *Drive) Geometry() (g disk.Geometry, t disk.Translation, ok bool) {
	return d.geo, d.trans, d.there() && d.Kind == Disk
}

// StatusByte and ErrorByte are the registers.
func (d *Drive) StatusByte() uint8 { return d.status }

// ErrorByte is described with StatusByte.
func (d *Drive) ErrorByte() uint8 { return d.err }

// SetStatus sets status and error, as an adapter does for commands that it makes itself.
func (d *Drive) SetStatus(status, err uint8) { d.status, d.err = status, err }

// measure looks at the size of the medium.
func (d *Drive) measure() {
	d.sectorsTotal = 0
	if d.backend == nil {
		return
	}
	if n, err := d.backend.Length(context.Background()); err == nil {
		d.sectorsTotal = uint64(n) / SectorSize
	}
}

// reset puts the drive into its power-on state.
func (d *Drive) reset() {
	if d.pio != nil {
		d.pio.Drop()
		d.pio = nil
	}
	if d.revert {
		d.revert = false
		d.heads, d.sectors = d.geo.Heads, d.geo.Secs
	}
	d.multiple = maxMultiple
	d.regs, d.hob = taskFile{}, taskFile{}
	d.err, d.sel, d.status, d.lba48 = 0, devAlwaysOn, StatusReady|StatusSeek, 0
	d.packetState = packetState{newMedia: d.newMedia, ejectRequest: d.ejectRequest}
	d.described, d.perStep = 0, 0
	d.setSignature()
	d.dummyStop()
	d.mediaChanged = false
}

// setSignature puts into the registers what tells disks and packet devices apart.
func (d *Drive) setSignature() {
	d.sel &^= devHead
	d.regs.count, d.regs.sector = 1, 1
	switch {
	case d.Kind == CDROM:
		d.regs.cylLow, d.regs.cylHigh = 0x14, 0xeb
	case d.there():
		d.regs.cylLow, d.regs.cylHigh = 0, 0
	default:
		d.regs.cylLow, d.regs.cylHigh = 0xff, 0xff
	}
}

// LBA is the address in the registers.
func (d *Drive) LBA() int64 {
	r, h := &d.regs, &d.hob
	switch {
	case d.sel&devLBA == 0:
		cyl := int64(r.cylHigh)<<8 | int64(r.cylLow)
		return cyl*int64(d.heads)*int64(d.sectors) + int64(d.sel&devHead)*int64(d.sectors) + int64(r.sector) - 1
	case d.lba48 != 0:
		return int64(h.cylHigh)<<40 | int64(h.cylLow)<<32 | int64(h.sector)<<24 | int64(r.cylHigh)<<16 | int64(r.cylLow)<<8 | int64(r.sector)
	}
	return int64(d.sel&devHead)<<24 | int64(r.cylHigh)<<16 | int64(r.cylLow)<<8 | int64(r.sector)
}

// setLBA puts an address into the registers in the form that the command used.
func (d *Drive) setLBA(n int64) {
	r, h := &d.regs, &d.hob
	switch {
	case d.sel&devLBA == 0:
		perCyl := int64(d.heads) * int64(d.sectors)
		if perCyl == 0 {
			return
		}
		cyl, rest := n/perCyl, n%perCyl
		r.cylHigh, r.cylLow = uint8(cyl>>8), uint8(cyl)
		d.sel = d.sel&^devHead | uint8(rest/int64(d.sectors))&devHead
		r.sector = uint8(rest%int64(d.sectors)) + 1
		return
	case d.lba48 != 0:
		h.sector, h.cylLow, h.cylHigh = uint8(n>>24), uint8(n>>32), uint8(n>>40)
	default:
		d.sel = d.sel&^devHead | uint8(n>>24)&devHead
	}
	r.sector, r.cylLow, r.cylHigh = uint8(n), uint8(n>>8), uint8(n>>16)
}

// setCount turns the sector count register into a number of sectors.
func (d *Drive) setCount(ext bool) {
	d.lba48 = 0
	if !ext {
		if d.regs.count == 0 {
			d.regs.count = 256
		}
		return
	}
	d.lba48 = 1
	d.regs.count = d.hob.count<<8 | d.regs.count&0xff
	if d.regs.count == 0 {
		d.regs.count = 65536
	}
}

// inRange checks n sectors from lba on against the size of the medium.
func (d *Drive) inRange(lba, n int64) bool {
	return lba >= 0 && n >= 0 && uint64(lba) <= d.sectorsTotal && uint64(n) <= d.sectorsTotal-uint64(lba)
}

// abort ends the command with the abort bit.
func (d *Drive) abort() {
	d.status, d.err = StatusReady|StatusERR, errAbort
	d.stopTransfer()
}

// begin lets the guest, or the adapter at once, move p, which is part of buf; then end follows.
func (d *Drive) begin(from, n int, end transferEnd) {
	d.at, d.limit = from, from+n
	d.keepForRetry()
	if d.status&StatusERR == 0 {
		d.status |= StatusDRQ
	}
	d.end = end
	if !d.bus.DMA.PIO(d.buf[from:from+n], end.toHost()) {
		return
	}
	d.at = d.limit
	if d.finishing { // the next transfer of a command follows below
		d.moved = true
		return
	}
	d.finishing = true
	for d.moved = true; d.moved; {
		d.moved = false
		d.finish()
	}
	d.finishing = false
}

// advance moves on in the buffer after an access of the data register.
func (d *Drive) advance(n int) {
	if d.at += n; d.at >= d.limit {
		d.finish()
	}
}

// finish does what follows the end of a transfer.
func (d *Drive) finish() {
	d.status &^= StatusDRQ
	switch d.end {
	case endReadSectors:
		d.readSectors()
	case endWriteSectors:
		d.writeSectors()
	case endPacket:
		d.packet()
	case endPacketReply:
		d.packetReply()
	case endStop:
		d.stopTransfer()
	case endDummy:
		d.dummyStop()
	}
}

// halt ends the transfer without telling anybody.
func (d *Drive) halt() {
	d.end, d.at, d.limit = endStop, 0, 0
	d.status &^= StatusDRQ
}

func (d *Drive) stopTransfer() {
	d.halt()
	d.bus.DMA.Done()
}

// dummyStop makes the data register read as all ones.
func (d *Drive) dummyStop() {
	d.end, d.at, d.limit = endDummy, 0, 4
	for i := range 4 {
		d.buf[i] = 0xff
	}
}

// cancel ends what DMA is under way, as if it had ended in time.
func (d *Drive) cancel() {
	if d.dmaJob != nil {
		j := d.dmaJob
		d.dmaJob = nil
		j.Finish()
	}
}

// Cancel is what an adapter asks for when the guest stops its engine.
func (d *Drive) Cancel() { d.cancel() }

// keepForRetry notes what an error would have to start again.
func (d *Drive) keepForRetry() {
	d.bus.retry.unit, d.bus.retry.sector, d.bus.retry.count = d.unit, d.LBA(), d.regs.count
}

// failed decides about a failed request. what is its kind in retry bits. It returns false if the error is to be ignored.
func (d *Drive) failed(err error, what int32, write bool) bool {
	switch d.policy.Action(write, err) {
	case disk.ErrorIgnore:
		return false
	case disk.ErrorStop:
		d.bus.retry.status = what
		disk.StopMachine()
		return true
	}
	switch {
	case what&retryATAPI != 0:
		d.packetError(err)
	case what&(retryDMA|retryTrim) != 0:
		d.dmaFailed()
	default:
		d.abort()
		d.bus.raise()
	}
	return true
}
