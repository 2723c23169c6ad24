package disk

import (
	"context"

	"goemu/hw/disk"
	"goemu/hw/scsi"
)

// Flags of commands.
const (
	forDisk = 1 << iota
	forCD
	noMedium // works without
	toDrive  // data goes to the drive
	blocks   // data is the blocks that the CDB names
	forAll   = forDisk | forCD
)

// command is a row of the command table. length is where the CDB holds the allocation or parameter list length.
type command struct {
	run    func(d *Drive, c *scsi.Command, length int)
	flags  uint8
	length func(cdb []byte) int
}

func len4(cdb []byte) int  { return int(cdb[4]) }
func len34(cdb []byte) int { return int(be.Uint16(cdb[3:])) }
func len7(cdb []byte) int  { return int(be.Uint16(cdb[7:])) }
func len8(cdb []byte) int  { return int(be.Uint16(cdb[8:])) }
func len10(cdb []byte) int { return int(min(be.Uint32(cdb[10:]), 1<<20)) }
func none([]byte) int      { return 0 }

// commandFor is what a drive does for an operation code; ok is false if it does not know it.
func commandFor(op uint8) (c command, ok bool) {
	c, ok = commands[op]
	return c, ok
}

var commands = map[uint8]command{
	0x00: {func(*Drive, *scsi.Command, int) {}, forAll, none}, // TEST UNIT READY
	0x12: {(*Drive).inquiry, forAll | noMedium, len34},
	0x15: {(*Drive).modeSelect, forAll | toDrive, len4},
	0x16: {(*Drive).reserve, forAll | noMedium, none},
	0x17: {(*Drive).reserve, forAll | noMedium, none},
	0x1a: {(*Drive).modeSense, forAll | noMedium, len4},
	0x1b: {(*Drive).startStop, forAll | noMedium, none},
	0x1e: {(*Drive).preventRemoval, forAll | noMedium, none},
	0x25: {(*Drive).readCapacity, forAll, none},
	0x2b: {(*Drive).seek, forAll, none},
	0x2f: {(*Drive).verify, forAll, none},
	0x35: {(*Drive).synchronize, forAll, none},
	0x42: {(*Drive).unmap, forDisk | toDrive, len7},
	0x43: {(*Drive).readTOC, forCD, len7},
	0x46: {(*Drive).getConfiguration, forCD | noMedium, len7},
	0x4a: {(*Drive).eventStatus, forCD | noMedium, len7},
	0x51: {(*Drive).discInformation, forCD, len7},
	0x55: {(*Drive).modeSelect, forAll | toDrive, len7},
	0x56: {(*Drive).reserve, forAll | noMedium, none},
	0x57: {(*Drive).reserve, forAll | noMedium, none},
	0x5a: {(*Drive).modeSense, forAll | noMedium, len7},
	0x8f: {(*Drive).verify, forAll, none},
	0x91: {(*Drive).synchronize, forAll, none},
	0x93: {(*Drive).writeSame, forDisk | toDrive, none},
	0x41: {(*Drive).writeSame, forDisk | toDrive, none},
	0x9e: {(*Drive).serviceIn, forAll, len10},
	0xad: {(*Drive).dvdStructure, forCD, len8},
	0xaf: {(*Drive).verify, forAll, none},
	0xbd: {(*Drive).mechanismStatus, forCD | noMedium, len8},

	0x08: {(*Drive).read, forAll | blocks, none}, 0x28: {(*Drive).read, forAll | blocks, none}, 0xa8: {(*Drive).read, forAll | blocks, none}, 0x88: {(*Drive).read, forAll | blocks, none},
	0x0a: {(*Drive).write, forAll | toDrive | blocks, none}, 0x2a: {(*Drive).write, forAll | toDrive | blocks, none}, 0xaa: {(*Drive).write, forAll | toDrive | blocks, none}, 0x8a: {(*Drive).write, forAll | toDrive | blocks, none},
	0x2e: {(*Drive).write, forAll | toDrive | blocks, none}, 0xae: {(*Drive).write, forAll | toDrive | blocks, none}, 0x8e: {(*Drive).write, forAll | toDrive | blocks, none},
}

// maxAllocation limits what a guest may ask for in commands that move no blocks.
const maxAllocation = 65536

// Execute implements scsi.Unit.
func (d *Drive) Execute(c *scsi.Command) {
	row, ok := commandFor(c.CDB[0])
	switch {
	case row.flags&noMedium == 0 && !d.available():
		c.Fail(scsi.SenseNoMedium)
	case !ok:
		c.Fail(scsi.SenseInvalidOpcode)
	case row.flags&(forDisk<<(d.kind/typeCDROM)) == 0:
		c.Fail(scsi.SenseInvalidField)
	default:
		n := row.length(c.CDB)
		if n > maxAllocation {
			c.Fail(scsi.SenseInvalidField)
			return
		}
		row.run(d, c, n)
	}
}

// Transfer implements scsi.Unit.
func (d *Drive) Transfer(cdb []byte) (n int64, out bool) {
	const readCapacity, writeSame, writeSame16, noData = 0x25, 0x41, 0x93, 1
	row, ok := commandFor(cdb[0])
	if !ok {
		return 0, false
	}
	switch op := cdb[0]; {
	case row.flags&blocks != 0:
		_, k := extent(cdb)
		n = int64(k) * int64(d.blockSize)
	case op == readCapacity:
		n = 8
	case (op == writeSame || op == writeSame16) && cdb[1]&noData == 0:
		n = int64(d.blockSize)
	default:
		n = int64(row.length(cdb))
	}
	return n, row.flags&toDrive != 0
}

// extent reads address and number of blocks of a command that moves them.
func extent(cdb []byte) (lba, n uint64) {
	switch cdb[0] >> 5 {
	case 0:
		lba, n = uint64(be.Uint32(cdb)&0x1fffff), uint64(cdb[4])
		if n == 0 {
			n = 256
		}
	case 1, 2:
		lba, n = uint64(be.Uint32(cdb[2:])), uint64(be.Uint16(cdb[7:]))
	case 4:
		lba, n = be.Uint64(cdb[2:]), uint64(be.Uint32(cdb[10:]))
	case 5:
		lba, n = uint64(be.Uint32(cdb[2:])), uint64(be.Uint32(cdb[6:]))
	}
	return lba, n
}

// inRange checks n blocks from lba on.
func (d *Drive) inRange(lba, n uint64) bool {
	total := d.blocks()
	return lba <= total && n <= total-lba
}

func (d *Drive) seek(c *scsi.Command, _ int) {
	if lba, _ := extent(c.CDB); !d.inRange(lba, 1) {
		c.Fail(scsi.SenseOutOfRange)
	}
}

func (d *Drive) verify(c *scsi.Command, _ int) {
	if c.CDB[1]&6 != 0 {
		c.Fail(scsi.SenseInvalidField)
	}
}

func (d *Drive) reserve(c *scsi.Command, _ int) {
	mask := uint8(1)
	if c.CDB[0] >= 0x40 {
		mask = 3
	}
	if c.CDB[1]&mask != 0 {
		c.Fail(scsi.SenseInvalidField)
	}
}

func (d *Drive) synchronize(c *scsi.Command, _ int) {
	if err := d.Backend.Flush(context.Background()); err != nil {
		d.failed(c, true, err)
	}
}

func (d *Drive) preventRemoval(c *scsi.Command, _ int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.trayLocked = c.CDB[4]&1 != 0
}

func (d *Drive) startStop(c *scsi.Command, _ int) {
	start, move := c.CDB[4]&1 != 0, c.CDB[4]&2 != 0
	if c.CDB[4]&0xf0 != 0 || d.kind != typeCDROM || !move {
		return
	}
	d.mu.Lock()
	switch {
	case !start && !d.trayOpen && d.trayLocked:
		d.mu.Unlock()
		if d.inserted() {
			c.Fail(scsi.SenseRemoval)
		} else {
			c.Fail(scsi.SenseRemovalNotReady)
		}
		return
	case d.trayOpen == start:
		d.trayOpen = !start
		d.mu.Unlock()
		if d.TrayMoved != nil {
			d.TrayMoved(!start)
		}
		return
	}
	d.mu.Unlock()
}

// lastBlock is the address of the last block; ok is false if the command has failed. partial says where the CDB asks for less.
func (d *Drive) lastBlock(c *scsi.Command, lba uint64, partial bool) (uint64, bool) {
	n := d.blocks()
	switch {
	case n == 0:
		c.Fail(scsi.SenseNotReady)
	case lba != 0 && !partial:
		c.Fail(scsi.SenseInvalidField)
	default:
		return n - 1, true
	}
	return 0, false
}

func (d *Drive) readCapacity(c *scsi.Command, _ int) {
	if last, ok := d.lastBlock(c, uint64(be.Uint32(c.CDB[2:])), c.CDB[8]&1 != 0); ok {
		p := be.AppendUint32(nil, uint32(min(last, 1<<32-1)))
		c.Fill(be.AppendUint32(p, uint32(d.blockSize)), 8)
	}
}

// serviceIn is SERVICE ACTION IN: of its actions there is READ CAPACITY (16).
func (d *Drive) serviceIn(c *scsi.Command, limit int) {
	if c.CDB[1]&31 != 0x10 {
		c.Fail(scsi.SenseInvalidField)
		return
	}
	last, ok := d.lastBlock(c, be.Uint64(c.CDB[2:]), c.CDB[14]&1 != 0)
	if !ok {
		return
	}
	p := be.AppendUint64(make([]byte, 0, 32), last)
	p = be.AppendUint32(p, uint32(d.blockSize))[:32]
	p[13] = d.physicalExponent()
	if d.DiscardGrain != 0 {
		p[14] = 0x80
	}
	c.Fill(p, limit)
}

func (d *Drive) physicalExponent() (n uint8) {
	for s := uint64(d.PhysicalBlock); s > uint64(d.LogicalBlock); s >>= 1 {
		n++
	}
	return n
}

func (d *Drive) readTOC(c *scsi.Command, limit int) {
	msf, blocks := c.CDB[1]&2 != 0, uint32(d.blocks())
	switch c.CDB[2] & 0xf {
	case 0:
		if toc, ok := disk.TOC(blocks, msf, c.CDB[6]); ok {
			c.Fill(toc, limit)
			return
		}
	case 1:
		c.Fill([]byte{1: 0x0a, 2: 1, 3: 1, 11: 0}, limit)
		return
	case 2:
		c.Fill(disk.RawTOC(blocks, msf), limit)
		return
	}
	c.Fail(scsi.SenseInvalidField)
}

// Profiles of GET CONFIGURATION.
const profileCD, profileDVD = 0x0008, 0x0010

func (d *Drive) getConfiguration(c *scsi.Command, limit int) {
	current := uint16(0)
	if d.available() {
		if current = profileCD; d.sectors() > maxCDSector {
			current = profileDVD
		}
	}
	p := []byte{3: 36, 10: 3, 11: 8, 12: 0, 13: profileDVD, 17: profileCD, 21: 1, 22: 0x0b, 23: 8, 27: 1, 28: 1, 33: 3, 34: 0x0b, 35: 4, 36: 0x39, 39: 0}
	be.PutUint16(p[6:], current)
	switch current {
	case profileDVD:
		p[14] = 1
	case profileCD:
		p[18] = 1
	}
	c.Fill(p, limit)
}

// Media events (MMC-5, §6.7).
const (
	eventMedia                   = 4
	eventNewMedia, eventEjectReq = 2, 1
	statusOpen, statusPresent    = 1, 2
)

func (d *Drive) eventStatus(c *scsi.Command, limit int) {
	if c.CDB[1]&1 == 0 { // only polling
		c.Fail(scsi.SenseInvalidField)
		return
	}
	p := []byte{0, 0, 0x80, 1 << eventMedia}
	if c.CDB[4]&(1<<eventMedia) != 0 {
		p = []byte{0, 4, eventMedia, 1 << eventMedia, 0, 0, 0, 0}
		d.mu.Lock()
		switch {
		case d.trayOpen:
			p[5] = statusOpen
		case d.inserted():
			p[5] = statusPresent
		}
		switch {
		case d.trayOpen:
		case d.mediaEvent:
			p[4], d.mediaEvent = eventNewMedia, false
		case d.ejectRequest:
			p[4], d.ejectRequest = eventEjectReq, false
		}
		d.mu.Unlock()
	}
	c.Fill(p, limit)
}

func (d *Drive) discInformation(c *scsi.Command, limit int) {
	if c.CDB[1]&7 != 0 {
		c.Fail(scsi.SenseInvalidField)
		return
	}
	c.Fill([]byte{1: 32, 2: 0x0e, 3: 1, 4: 1, 5: 1, 6: 1, 7: 0x20, 33: 0}, limit)
}

func (d *Drive) mechanismStatus(c *scsi.Command, limit int) { c.Fill([]byte{5: 1, 7: 0}, limit) }

func (d *Drive) dvdStructure(c *scsi.Command, limit int) {
	format := c.CDB[7]
	var p []byte
	switch {
	case c.CDB[1] != 0:
		c.Fail(scsi.SenseInvalidField)
		return
	case format == 0xff:
		p = []byte{0, 0, 0, 0, 0, 0x40, 8, 4, 1, 0x40, 0, 8, 3, 0x40, 0, 192, 4, 0x40, 8, 4}
	case d.sectors() <= maxCDSector:
		c.Fail(scsi.SenseIncompatible)
		return
	case format == 0 && c.CDB[6] == 0:
		p = make([]byte, 4+cdBlock)
		copy(p[4:], []byte{1, 0x0f, 1, 0})
		be.PutUint32(p[12:], uint32(d.blocks()-1))
		be.PutUint32(p[16:], uint32(d.blocks()-1))
	case format == 1:
		p = make([]byte, 8)
	case format == 4:
		p = make([]byte, 4+cdBlock)
	default:
		c.Fail(scsi.SenseInvalidField)
		return
	}
	be.PutUint16(p, uint16(len(p)-2))
	c.Fill(p, limit)
}
