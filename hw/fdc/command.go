package fdc

import "goemu/internal/clock"

// command is a row of the table of commands: the codes whose bits under the mask are value, the number of parameters, and what to do.
type command struct {
	value, mask uint8
	parameters  uint32
	do          func(*Controller)
}

func transfer(d direction) func(*Controller) { return func(c *Controller) { c.startTransfer(d) } }

// commands are all commands; the first row that matches a code holds.
var commands = [...]command{
	{0x06, 0x1f, 8, transfer(dirRead)},      // READ DATA
	{0x05, 0x3f, 8, transfer(dirWrite)},     // WRITE DATA
	{0x0f, 0xff, 2, (*Controller).seek},     // SEEK
	{0x08, 0xff, 0, (*Controller).senseInt}, // SENSE INTERRUPT STATUS
	{0x07, 0xff, 1, (*Controller).recalibrate},
	{0x0d, 0xbf, 5, (*Controller).formatTrack},
	{0x02, 0xbf, 8, transfer(dirRead)}, // READ TRACK
	{0x4e, 0xff, 17, (*Controller).restore},
	{0x2e, 0xff, 0, (*Controller).save},
	{0x0c, 0x1f, 8, (*Controller).deletedData}, // READ DELETED DATA
	{0x11, 0x1f, 8, transfer(dirScanEqual)},
	{0x16, 0x1f, 8, transfer(dirVerify)},
	{0x19, 0x1f, 8, transfer(dirScanLow)},
	{0x1d, 0x1f, 8, transfer(dirScanHigh)},
	{0x09, 0x3f, 8, (*Controller).deletedData}, // WRITE DELETED DATA
	{0x0a, 0xbf, 1, (*Controller).readID},
	{0x03, 0xff, 2, (*Controller).specify},
	{0x04, 0xff, 1, (*Controller).senseDrive},
	{0x12, 0xff, 1, (*Controller).perpendicularMode},
	{0x13, 0xff, 3, (*Controller).configure},
	{0x17, 0xff, 2, (*Controller).powerDownMode},
	{0x33, 0xff, 1, (*Controller).toCommand}, // OPTION
	{0x8e, 0xff, 5, (*Controller).driveSpecification},
	{0x8f, 0xff, 2, (*Controller).seekOut},
	{0xcd, 0xff, 10, (*Controller).invalid}, // FORMAT AND WRITE
	{0xcf, 0xff, 2, (*Controller).seekIn},
	{0x14, 0x7f, 0, (*Controller).setLock},
	{0x0e, 0xff, 0, (*Controller).dumpRegisters},
	{0x10, 0xff, 0, func(c *Controller) { c.reply(version82078) }}, // VERSION
	{0x18, 0xff, 0, func(c *Controller) { c.reply(partID) }},       // PART ID
	{0x05, 0x1f, 8, transfer(dirWrite)},                            // WRITE DATA with a bit that BeOS sets
	{0x00, 0x00, 0, (*Controller).invalid},
}

// lookup finds a command by its code.
func lookup(code uint8) *command {
	for i := range commands {
		if c := &commands[i]; code&c.mask == c.value {
			return c
		}
	}
	panic("BUG: the last command matches all codes")
}

// toCommand makes the controller wait for a command.
func (c *Controller) toCommand() {
	c.phase, c.dir, c.pos, c.length = phaseCommand, dirWrite, 0, 1
	c.status = c.status&^(msrBusy|msrToHost) | msrReady
}

// toResult lets the guest read n bytes from the FIFO.
func (c *Controller) toResult(n uint32) {
	c.phase, c.dir, c.pos, c.length = phaseResult, dirRead, 0, n
	c.status |= msrBusy | msrReady | msrToHost
}

// reply answers with bytes.
func (c *Controller) reply(b ...uint8) { c.toResult(uint32(copy(c.fifo[:], b))) }

func (c *Controller) invalid() { c.reply(st0Invalid) }

func (c *Controller) setLock() {
	c.lock = c.fifo[0] >> 7
	c.reply(c.lock << 4)
}

// modes is the byte in which the lock and the drive's perpendicular mode are told.
func (c *Controller) modes() uint8 { return c.lock<<7 | c.current().perpendicular<<2 }

func (c *Controller) dumpRegisters() {
	dma := c.output & dorDMA / dorDMA
	c.reply(c.drive(0).track, c.drive(1).track, 0, 0, c.timer0, c.timer1<<1|dma, c.current().lastSector, c.modes(), c.config, c.precompensation)
}

func (c *Controller) save() {
	c.reply(0, 0, c.drive(0).track, c.drive(1).track, 0, 0, c.timer0, c.timer1, c.current().lastSector, c.modes(), c.config, c.precompensation, c.powerDown, 0, 0)
}

func (c *Controller) restore() {
	d, p := c.current(), c.fifo[3:]
	c.drive(0).track, c.drive(1).track = p[0], p[1]
	c.timer0, c.timer1, d.lastSector = p[4], p[5], p[6]
	c.lock, d.perpendicular = p[7]>>7, p[7]>>2&0xf
	c.config, c.precompensation, c.powerDown = p[8], p[9], p[10]
	c.toCommand()
}

// readID waits until a sector comes by.
func (c *Controller) readID() {
	c.current().head = c.fifo[1] >> 2 & 1
	c.result.Mod(clock.Virtual.Now() + readIDNS)
}

// sectorFound ends readID. The disk turns: it is another sector each time.
func (c *Controller) sectorFound() {
	d := c.current()
	if d.lastSector != 0 {
		d.sector = d.sector%d.lastSector + 1
	}
	if c.rate&dsrRate != d.rate {
		c.stop(st0Abnormal, st1NoAddressMark, 0)
		return
	}
	c.stop(0, 0, 0)
}

// formatTrack succeeds and leaves the medium as it is.
func (c *Controller) formatTrack() {
	d := c.choose()
	c.setMultiTrack()
	d.lastSector = c.fifo[3]
	c.stop(0, 0, 0)
}

func (c *Controller) setMultiTrack() {
	c.dataState &^= stateMulti
	if c.fifo[0]&multiTrack != 0 {
		c.dataState |= stateMulti
	}
}

// deletedData is refused: no sector is marked as deleted.
func (c *Controller) deletedData() { c.stop(st0Abnormal|st0Seek, 0, 0) }

func (c *Controller) specify() {
	c.timer0, c.timer1 = c.fifo[1]>>4, c.fifo[2]>>1
	c.output |= dorDMA
	if c.fifo[2]&1 != 0 {
		c.output &^= dorDMA
	}
	c.toCommand()
}

func (c *Controller) senseDrive() {
	d := c.choose()
	d.head = c.fifo[1] >> 2 & 1
	v := st3Ones | d.head<<2 | c.selected
	if d.readOnly {
		v |= st3Protected
	}
	if d.track == 0 {
		v |= st3Track0
	}
	c.reply(v)
}

// moved ends a command that moves the head.
func (c *Controller) moved() {
	c.toCommand()
	c.st0 |= st0Seek
	c.raiseIRQ()
}

func (c *Controller) recalibrate() {
	c.choose().recalibrate()
	c.moved()
}

// seek moves the head, whether or not there is a medium.
func (c *Controller) seek() {
	d := c.choose()
	d.seek(d.head, c.fifo[2], d.sector)
	c.moved()
}

func (c *Controller) seekIn() {
	d := c.choose()
	to := int(d.track) + int(c.fifo[2])
	if to >= int(d.lastTrack) {
		to = int(d.lastTrack) - 1
	}
	d.seek(d.head, uint8(to), d.sector)
	c.moved()
}

func (c *Controller) seekOut() {
	d := c.choose()
	d.seek(d.head, d.track-min(d.track, c.fifo[2]), d.sector)
	c.moved()
}

func (c *Controller) senseInt() {
	var v uint8
	switch {
	case c.senses > 0:
		v = st0Ready + uint8(resetSenses-c.senses)
		c.senses--
	case c.statusA&sraIntPending == 0:
		c.invalid()
		return
	default:
		v = c.st0&^(st0Head|st0Drive) | c.selected
	}
	c.reply(v, c.current().track)
	c.clearIRQ()
	c.st0 = st0Ready
}

func (c *Controller) perpendicularMode() {
	if c.fifo[1]&0x80 != 0 {
		c.current().perpendicular = c.fifo[1] & 7
	}
	c.toCommand()
}

func (c *Controller) configure() {
	c.config, c.precompensation = c.fifo[2], c.fifo[3]
	c.toCommand()
}

func (c *Controller) powerDownMode() {
	c.powerDown = c.fifo[1]
	c.reply(c.powerDown)
}

// driveSpecification takes bytes for drives until one with the highest bit, which may ask for a reply.
func (c *Controller) driveSpecification() {
	switch last := c.fifo[(c.pos-1)%sectorSize]; {
	case last&0x80 == 0:
	case last&0x40 != 0:
		c.fifo[0], c.fifo[2], c.fifo[3] = c.fifo[1], 0, 0
		c.toResult(4)
	default:
		c.toCommand()
	}
}
