package ide

import (
	"context"
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"

	"goemu/hw/disk"
)

var be = binary.BigEndian

// packetState is what a CD-ROM drive knows beyond the task file.
type packetState struct {
	senseKey, asc uint8
	changed       uint8 // a disc was changed: 1 not yet reported, 2 reported as absent
	left          int32 // of the reply, in bytes
	leftStep      int32 // of the part that the guest was told of
	index         int   // in the buffer
	lba           int64 // next sector to be read, -1 if the reply has none
	sector        int   // bytes of each sector
	useDMA        bool

	trayOpen, trayLocked   bool
	newMedia, ejectRequest bool
}

// Sense keys and additional sense codes (SPC-3, §4.5).
const (
	senseNone          = 0
	senseNotReady      = 2
	senseIllegal       = 5
	senseUnitAttention = 6

	ascIllegalOpcode    = 0x20
	ascOutOfRange       = 0x21
	ascInvalidField     = 0x24
	ascMediumChanged    = 0x28
	ascIncompatible     = 0x30
	ascNoSaving         = 0x39
	ascNoMedium         = 0x3a
	ascDataPhase        = 0x4b
	ascRemovalPrevented = 0x53
)

// Flags of packet commands.
const (
	allowAttention = 1 << iota // runs while a unit attention is pending
	needsMedium
	noData      // never returns data
	maybeNoData // checks the byte count itself
)

type packetCommandRow struct {
	run   func(d *Drive, cdb []byte)
	flags uint8
}

// packetRow is what a CD-ROM drive does for an operation code (MMC-5, §6); ok is false if it does not know it.
func packetRow(op uint8) (c packetCommandRow, ok bool) {
	switch op {
	case 0x00: // TEST UNIT READY
		c = packetCommandRow{(*Drive).packetDone, needsMedium | noData}
	case 0x03:
		c = packetCommandRow{(*Drive).requestSense, allowAttention}
	case 0x12:
		c = packetCommandRow{(*Drive).inquiry, allowAttention}
	case 0x1b:
		c = packetCommandRow{(*Drive).startStop, noData}
	case 0x1e:
		c = packetCommandRow{(*Drive).preventRemoval, noData}
	case 0x25:
		c = packetCommandRow{(*Drive).readCapacity, needsMedium}
	case 0x28, 0xa8:
		c = packetCommandRow{(*Drive).readBlocks, needsMedium}
	case 0x2b:
		c = packetCommandRow{(*Drive).seek, needsMedium | noData}
	case 0x43:
		c = packetCommandRow{(*Drive).readTOC, needsMedium}
	case 0x46:
		c = packetCommandRow{(*Drive).getConfiguration, allowAttention}
	case 0x4a:
		c = packetCommandRow{(*Drive).eventStatus, allowAttention}
	case 0x51:
		c = packetCommandRow{(*Drive).discInformation, needsMedium}
	case 0x5a:
		c = packetCommandRow{(*Drive).modeSense, 0}
	case 0xad:
		c = packetCommandRow{(*Drive).dvdStructure, needsMedium}
	case 0xbb: // SET CD SPEED
		c = packetCommandRow{(*Drive).packetDone, noData}
	case 0xbd:
		c = packetCommandRow{(*Drive).mechanismStatus, 0}
	case 0xbe:
		c = packetCommandRow{(*Drive).readCD, needsMedium | maybeNoData}
	}
	return c, c.run != nil
}

// packetCommand is PACKET: the guest is to write the command block.
func (d *Drive) packetCommand(uint8) bool {
	if d.regs.feature&0x02 != 0 { // overlapped
		return d.refuse()
	}
	d.status = StatusReady | StatusSeek
	d.useDMA = d.regs.feature&1 != 0
	if d.useDMA {
		d.dma = dmaATAPI
	}
	d.regs.count = 1
	d.begin(0, packetSize, endPacket)
	return false
}

func (d *Drive) inserted() bool { return d.backend != nil && d.backend.Node() != nil }

func (d *Drive) mediaPresent() bool { return !d.trayOpen && d.sectorsTotal > 0 }

// blocks is the number of 2048-byte sectors.
func (d *Drive) blocks() uint64 { return d.sectorsTotal / (cdSector / SectorSize) }

// packet does the command block in the buffer.
func (d *Drive) packet() {
	var cdb [packetSize]byte
	copy(cdb[:], d.buf)
	c, known := packetRow(cdb[0])
	switch {
	case d.senseKey == senseUnitAttention && c.flags&allowAttention == 0:
		d.err, d.status, d.regs.count = senseUnitAttention<<4|0x20, StatusERR, 0
		d.bus.raise()
	case c.flags&allowAttention == 0 && !d.trayOpen && d.inserted() && d.changed == 1:
		d.packetFail(senseNotReady, ascNoMedium)
		d.changed = 2
	case c.flags&allowAttention == 0 && !d.trayOpen && d.inserted() && d.changed != 0:
		d.packetFail(senseUnitAttention, ascMediumChanged)
		d.changed = 0
	case c.flags&needsMedium != 0 && (!d.mediaPresent() || !d.inserted()):
		d.packetFail(senseNotReady, ascNoMedium)
	case !known:
		d.packetFail(senseIllegal, ascIllegalOpcode)
	case c.flags&(noData|maybeNoData) == 0 && !d.limitGiven():
		// the command has been aborted
	default:
		c.run(d, cdb[:])
	}
}

// limit is how many bytes the guest wants at a time.
func (d *Drive) byteLimit() int32 {
	n := int32(d.regs.cylLow) | int32(d.regs.cylHigh)<<8
	return min(n, 0xfffe)
}

// limitGiven tells whether the guest can take data; if not, it aborts the command.
func (d *Drive) limitGiven() bool {
	if d.useDMA || d.byteLimit() != 0 {
		return true
	}
	d.abort()
	d.bus.raise()
	return false
}

func (d *Drive) packetDone([]byte) { d.packetOK() }

func (d *Drive) setReason(r uint32) { d.regs.count = d.regs.count&^reasonMask | r }

func (d *Drive) packetOK() {
	d.err, d.status = 0, StatusReady|StatusSeek
	d.setReason(reasonToHost | reasonCommand)
	d.stopTransfer()
	d.bus.raise()
}

func (d *Drive) packetFail(key, asc uint8) {
	d.err, d.status = key<<4, StatusReady|StatusERR
	d.setReason(reasonToHost | reasonCommand)
	d.senseKey, d.asc = key, asc
	d.stopTransfer()
	d.bus.raise()
}

// packetError ends a command that the host could not do.
func (d *Drive) packetError(err error) {
	if errors.Is(err, unix.ENOMEDIUM) {
		d.packetFail(senseNotReady, ascNoMedium)
		return
	}
	d.packetFail(senseIllegal, ascOutOfRange)
}

// send sends a reply of which the guest wants at most limit bytes.
func (d *Drive) send(p []byte, limit int) {
	n := min(copy(d.buf, p), limit)
	d.lba, d.left, d.leftStep, d.index = -1, int32(n), 0, 0
	if !d.useDMA {
		d.status = StatusReady | StatusSeek
		d.packetReply()
		return
	}
	d.status = StatusReady | StatusSeek | StatusDRQ
	d.keepForRetry()
	d.bus.DMA.Start(func() { d.sendDMA(n) })
}

// sendDMA moves n bytes of the buffer to memory and goes on.
func (d *Drive) sendDMA(n int) {
	d.left -= int32(n)
	if n > 0 && !d.bus.DMA.Copy(d.buf[:n]) {
		d.endDMA(false)
		return
	}
	if d.left > 0 && d.lba >= 0 {
		d.readForDMA()
		return
	}
	d.status = StatusReady | StatusSeek
	d.setReason(reasonToHost | reasonCommand)
	d.bus.raise()
	d.endDMA(false)
}

// packetReply lets the guest read the next part of a reply through the data register.
func (d *Drive) packetReply() {
	if d.left <= 0 {
		d.packetOK()
		return
	}
	if d.lba >= 0 && d.index >= d.sector {
		d.readForPIO()
		return
	}
	if d.leftStep == 0 {
		d.setReason(reasonToHost)
		d.bus.raise()
		n, limit := d.left, d.byteLimit()
		if n > limit {
			n = limit &^ 1
		}
		d.regs.cylLow, d.regs.cylHigh = uint8(n), uint8(n>>8)
		d.leftStep = n
	}
	n := d.leftStep
	if d.lba >= 0 { // one sector at a time
		n = min(n, int32(d.sector-d.index))
	}
	d.left, d.leftStep = d.left-n, d.leftStep-n
	from := d.index
	d.index += int(n)
	if d.index > len(d.buf) { // the state came from outside
		d.packetFail(senseIllegal, ascOutOfRange)
		return
	}
	d.begin(from, int(n), endPacketReply)
}

// readForPIO reads one sector into the buffer and goes on with the reply.
func (d *Drive) readForPIO() {
	lba := d.lba
	d.status |= StatusBusy
	d.readSector(1, func(err error) {
		d.status &^= StatusBusy
		if err != nil && d.failed(err, retryATAPI, false) {
			return
		}
		if d.sector == rawSector {
			d.frame(lba)
		}
		d.lba++
		d.index = 0
		d.packetReply()
	})
}

// readForDMA reads as many sectors as the buffer holds and moves them.
func (d *Drive) readForDMA() {
	lba, n := d.lba, 1
	if d.sector == cdSector {
		n = min(int(d.left)/cdSector, len(d.buf)/cdSector)
	}
	d.readSector(n, func(err error) {
		if err != nil && d.failed(err, retryATAPI, false) {
			if d.bus.retry.status == 0 {
				d.endDMA(false)
			}
			return
		}
		if d.sector == rawSector {
			d.frame(lba)
		}
		d.lba += int64(n)
		d.sendDMA(n * d.sector)
	})
}

// rawHeader is what stands before the data of a raw sector.
const rawHeader = 16

// readSector reads n sectors into the buffer at the place where they are sent from.
func (d *Drive) readSector(n int, done func(error)) {
	at := 0
	if d.sector == rawSector {
		at = rawHeader
	}
	p, off := d.buf[at:at+n*cdSector], d.lba*cdSector
	if d.backend.TryReadV(off, [][]byte{p}) {
		done(nil)
		return
	}
	d.pio = d.bus.jobs.Go(func() error { return d.backend.Read(context.Background(), off, p) }, func(err error) {
		d.pio = nil
		done(err)
	})
}

// frame makes the sector in the buffer a raw one in mode 1, without error correction.
func (d *Drive) frame(lba int64) {
	for i := range 12 {
		d.buf[i] = 0xff
	}
	d.buf[0], d.buf[11] = 0, 0
	msf := disk.MSF(uint32(lba))
	copy(d.buf[12:], msf[:])
	d.buf[15] = 1
	clear(d.buf[rawHeader+cdSector : rawSector])
}

// read starts to send sectors.
func (d *Drive) read(lba, n uint64, size int) {
	d.lba, d.left, d.leftStep, d.sector = int64(lba), int32(n)*int32(size), 0, size
	if !d.useDMA {
		d.index = size
		d.packetReply()
		return
	}
	d.status = StatusReady | StatusSeek | StatusDRQ | StatusBusy
	d.keepForRetry()
	d.bus.DMA.Start(func() { d.sendDMA(0) })
}

// extent reads address and length; ok is false if the command has ended already.
func (d *Drive) extent(lba uint32, n uint64) bool {
	switch total := d.blocks(); {
	case n == 0:
		d.packetOK()
	case uint64(lba) >= total || n > total-uint64(lba) || n > 1<<31/rawSector:
		d.packetFail(senseIllegal, ascOutOfRange)
	default:
		return true
	}
	return false
}

func (d *Drive) readBlocks(cdb []byte) {
	lba, n := be.Uint32(cdb[2:]), uint64(be.Uint16(cdb[7:]))
	if cdb[0] != 0x28 {
		n = uint64(be.Uint32(cdb[6:]))
	}
	if d.extent(lba, n) {
		d.read(uint64(lba), n, cdSector)
	}
}

func (d *Drive) readCD(cdb []byte) {
	lba, n := be.Uint32(cdb[2:]), uint64(be.Uint32(cdb[5:])&0xffffff)
	if !d.extent(lba, n) {
		return
	}
	switch what := cdb[9] & 0xf8; {
	case what == 0:
		d.packetOK()
	case !d.limitGiven():
	case what == 0x10:
		d.read(uint64(lba), n, cdSector)
	case what == 0xf8:
		d.read(uint64(lba), n, rawSector)
	default:
		d.packetFail(senseIllegal, ascInvalidField)
	}
}

func (d *Drive) seek(cdb []byte) {
	if uint64(be.Uint32(cdb[2:])) >= d.blocks() {
		d.packetFail(senseIllegal, ascOutOfRange)
		return
	}
	d.packetOK()
}

func (d *Drive) requestSense(cdb []byte) {
	d.send([]byte{0: 0xf0, 2: d.senseKey, 7: 10, 12: d.asc, 17: 0}, int(cdb[4]))
	if d.senseKey == senseUnitAttention {
		d.senseKey = senseNone
	}
}

func (d *Drive) preventRemoval(cdb []byte) {
	d.trayLocked = cdb[4]&1 != 0
	d.packetOK()
}

func (d *Drive) startStop(cdb []byte) {
	start, move := cdb[4]&1 != 0, cdb[4]&2 != 0
	if cdb[4]&0xf0 != 0 || !move {
		d.packetOK()
		return
	}
	if !start && !d.trayOpen && d.trayLocked {
		key := uint8(senseIllegal)
		if d.inserted() {
			key = senseNotReady
		}
		d.packetFail(key, ascRemovalPrevented)
		return
	}
	d.moveTray(!start)
	d.packetOK()
}

// moveTray opens or closes the tray as the guest asks for.
func (d *Drive) moveTray(open bool) {
	if d.trayOpen == open {
		return
	}
	d.trayOpen = open
	if d.dev != nil && d.dev.TrayMoved != nil {
		d.dev.TrayMoved(open)
	}
}
