package fdc

import "bytes"

// stop ends a command that moves data: the guest gets status bytes and where the head is.
func (c *Controller) stop(st0, st1, st2 uint8) {
	d := c.current()
	c.st0 = c.st0&^(st0Drive|st0Head) | c.selected | st0
	if d.head != 0 {
		c.st0 |= st0Head
	}
	copy(c.fifo[:], []uint8{c.st0, st1, st2, d.track, d.head, d.sector, sectorCode})
	if c.dma != nil && c.status&msrNonDMA == 0 {
		c.dma.Request(false)
	}
	c.status &^= msrNonDMA
	c.toResult(7)
	c.raiseIRQ()
}

// startTransfer moves the head to where the command says and begins to move data.
func (c *Controller) startTransfer(dir direction) {
	d := c.choose()
	track, head, sector := c.fifo[2], c.fifo[3], c.fifo[4]
	refuse := func(st1 uint8) {
		c.stop(st0Abnormal, st1, 0)
		c.fifo[3], c.fifo[4], c.fifo[5] = track, head, sector
	}
	switch d.seek(head, track, sector) {
	case seekNoTrack:
		refuse(0)
		return
	case seekNoSector:
		refuse(st1EndOfCylinder)
		return
	case seekMoved:
		c.st0 |= st0Seek
	}
	length, ok := c.dataLength(sector)
	if !ok || c.rate&dsrRate != d.rate {
		refuse(st1NoAddressMark)
		return
	}
	c.dir, c.pos, c.length, c.endSector = dir, 0, length, c.fifo[6]
	c.setMultiTrack()
	switch {
	case c.output&dorDMA == 0 || c.dma == nil:
		c.status |= msrNonDMA | msrReady
		if dir != dirWrite {
			c.status |= msrToHost
		}
		c.raiseIRQ()
	case dir == dirVerify: // nothing goes to memory
		c.status &^= msrReady
		c.transfer(0, int(length))
	default: // nothing can be read or written until the DMA controller has moved all
		c.status &^= msrReady
		c.dma.Request(true)
	}
}

// dataLength is how many bytes a command wants, from a sector to the last one it names and, if it goes on to the other side, as many
// sectors more. It is false if the last sector comes before the first.
func (c *Controller) dataLength(sector uint8) (n uint32, ok bool) {
	size, end := c.fifo[5], c.fifo[6]
	if size == 0 {
		return uint32(c.fifo[8]), true
	}
	sectors := int(end) - int(sector) + 1
	if sectors < 0 {
		return 0, false
	}
	if c.fifo[0]&multiTrack != 0 {
		sectors += int(end)
	}
	return 128 << min(size, 7) * uint32(sectors), true
}

// transfer implements isa.DMAHandler.
func (c *Controller) transfer(moved, total int) int {
	if c.status&msrReady != 0 || c.phase != phaseExecution { // the guest asked the DMA controller, not us
		return moved
	}
	d := c.current()
	total = min(total, int(c.length))
	start := int(c.pos)
	for at := start % sectorSize; int(c.pos) < total; {
		n := min(total-int(c.pos), sectorSize-at)
		hit, ok := c.sector(d, at, n)
		if !ok {
			return n
		}
		if hit {
			break
		}
		c.pos += uint32(n)
		if at = int(c.pos) % sectorSize; at == 0 && !c.nextSector(d) {
			break
		}
	}
	moved = int(c.pos) - start
	st2 := uint8(0)
	if c.dir.scans() {
		st2 = st2ScanHit
	}
	c.length -= uint32(moved)
	c.stop(0, 0, st2)
	return moved
}

// sector moves n bytes between the sector under the head, from byte at on, and memory. hit is true if a scan has found what it looks for;
// ok is false if the transfer has been stopped.
func (c *Controller) sector(d *drive, at, n int) (hit, ok bool) {
	data, pos := c.fifo[at:at+n], int(c.pos)
	if c.dir != dirWrite || n < sectorSize {
		d.read(c.fifo[:])
	}
	switch c.dir {
	case dirRead:
		c.dma.ToMemory(data, pos)
	case dirWrite:
		if d.readOnly {
			c.stop(st0Abnormal|st0Seek, st1NotWritable, 0)
			return false, false
		}
		c.dma.FromMemory(data, pos)
		if !d.write(c.fifo[:]) {
			c.stop(st0Abnormal|st0Seek, 0, 0)
			return false, false
		}
	case dirScanEqual, dirScanLow, dirScanHigh:
		want := make([]byte, n)
		c.dma.FromMemory(want, pos)
		order := bytes.Compare(want, data)
		return order == 0 || order < 0 && c.dir == dirScanLow || order > 0 && c.dir == dirScanHigh, true
	}
	return false, true
}

// nextSector moves the head on. It is false at the end of the track, or of the second side of a command for both.
func (c *Controller) nextSector(d *drive) bool {
	if d.sector < d.lastSector && d.sector != c.endSector {
		d.seek(d.head, d.track, d.sector+1)
		return true
	}
	more := c.dataState&stateMulti != 0
	if more && d.head == 0 && d.twoSided {
		d.seek(1, d.track, 1)
		return true
	}
	head := d.head
	if more {
		head = 0
	}
	c.st0 |= st0Seek
	d.seek(head, d.track+1, 1)
	return more && d.twoSided
}

// readFIFO gives the guest a byte of data or of a result.
func (c *Controller) readFIFO() uint8 {
	c.rate &^= dsrPowerDown
	if c.status&msrReady == 0 || c.status&msrToHost == 0 {
		return 0
	}
	at := c.pos % sectorSize
	switch c.phase {
	case phaseExecution:
		d := c.current()
		if at == 0 {
			if c.pos != 0 && !c.nextSector(d) {
				return 0
			}
			d.read(c.fifo[:])
		}
		v := c.fifo[at]
		if c.pos++; c.pos == c.length {
			c.status &^= msrReady
			c.stop(0, 0, 0)
			if at < 7 { // the status has taken the byte's place, as in QEMU
				v = c.fifo[at]
			}
		}
		return v
	case phaseResult:
		v := c.fifo[at]
		if c.pos++; c.pos == c.length {
			c.toCommand()
			c.clearIRQ()
		}
		return v
	}
	return 0
}

// writeFIFO takes a byte of a command or of data.
func (c *Controller) writeFIFO(v uint8) {
	if c.status&msrReady == 0 || c.status&msrToHost != 0 {
		return
	}
	c.rate &^= dsrPowerDown
	at := c.pos % sectorSize
	c.fifo[at] = v
	c.pos++
	last := c.pos == c.length
	if last {
		c.status &^= msrReady
	}
	switch c.phase {
	case phaseExecution:
		if at == sectorSize-1 || last {
			c.storeSector(last)
		}
	case phaseCommand:
		if at == 0 {
			c.length = lookup(v).parameters + 1
			if c.length > 1 {
				c.status |= msrReady
			}
			c.status |= msrBusy
			last = c.length == 1
		}
		if last {
			c.phase = phaseExecution
			lookup(c.fifo[0]).do(c)
		}
	}
}

// storeSector writes what the guest has put into the FIFO, and ends the command with the last byte of its data.
func (c *Controller) storeSector(last bool) {
	d := c.current()
	switch {
	case d.readOnly:
		c.stop(st0Abnormal|st0Seek, st1NotWritable, 0)
	case !d.write(c.fifo[:]):
		c.stop(st0Abnormal|st0Seek, 0, 0)
	default:
		c.nextSector(d)
		if last {
			c.stop(0, 0, 0)
		}
	}
}
