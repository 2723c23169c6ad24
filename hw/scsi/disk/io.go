package disk

import (
	"bytes"
	"context"

	"goemu/block"
	"goemu/hw/scsi"
)

// fuaBit asks for data on the medium before the command ends.
const fuaBit = 0x08

// blocksOf checks a command that moves blocks and returns its extent in bytes; ok is false if the command has ended.
func (d *Drive) blocksOf(c *scsi.Command) (off, n int64, ok bool) {
	lba, count := extent(c.CDB)
	switch {
	case c.CDB[0] >= 0x20 && c.CDB[1]&0xe0 != 0: // no protection information
		c.Fail(scsi.SenseInvalidField)
	case !d.inRange(lba, count):
		c.Fail(scsi.SenseOutOfRange)
	default:
		return int64(lba * d.blockSize), int64(count * d.blockSize), count > 0
	}
	return 0, 0, false
}

// clip returns the first n bytes of a vector.
func clip(iov [][]byte, n int64) [][]byte {
	out := make([][]byte, 0, len(iov))
	for _, b := range iov {
		if n == 0 {
			break
		}
		b = b[:min(int64(len(b)), n)]
		n -= int64(len(b))
		out = append(out, b)
	}
	return out
}

func (d *Drive) read(c *scsi.Command, _ int) {
	off, n, ok := d.blocksOf(c)
	if !ok {
		return
	}
	n = min(n, block.IovLen(c.In))
	if err := d.Backend.ReadV(context.Background(), off, clip(c.In, n), 0); err != nil {
		d.failed(c, false, err)
		return
	}
	c.Moved = n
}

func (d *Drive) write(c *scsi.Command, _ int) {
	if d.kind == typeCDROM || d.Backend.ReadOnly() {
		c.Fail(scsi.SenseWriteProtected)
		return
	}
	off, n, ok := d.blocksOf(c)
	if !ok {
		return
	}
	n = min(n, block.IovLen(c.Out)) / int64(d.blockSize) * int64(d.blockSize)
	var fl block.Flags
	if c.CDB[0] >= 0x20 && c.CDB[1]&fuaBit != 0 || c.CDB[0]&0x0f == 0x0e {
		fl = block.FUA
	}
	if err := d.Backend.WriteV(context.Background(), off, clip(c.Out, n), fl); err != nil {
		d.failed(c, true, err)
		return
	}
	c.Moved = n
}

// Parameters of UNMAP (SBC-3, §5.28).
const (
	unmapHeader, unmapDescriptor = 8, 16
	maxDescriptors               = 255
)

func (d *Drive) unmap(c *scsi.Command, n int) {
	if d.Backend.ReadOnly() {
		c.Fail(scsi.SenseWriteProtected)
		return
	}
	if c.CDB[1]&1 != 0 { // anchored
		c.Fail(scsi.SenseInvalidField)
		return
	}
	p, ok := c.Parameters(n)
	if !ok || len(p) < unmapHeader || len(p) < int(be.Uint16(p))+2 || len(p) < int(be.Uint16(p[2:]))+unmapHeader || be.Uint16(p[2:])%unmapDescriptor != 0 {
		c.Fail(scsi.SenseParamLength)
		return
	}
	list := p[unmapHeader : unmapHeader+int(be.Uint16(p[2:]))]
	if len(list)/unmapDescriptor > maxDescriptors {
		c.Fail(scsi.SenseInvalidParam)
		return
	}
	for ; len(list) > 0; list = list[unmapDescriptor:] {
		lba, count := be.Uint64(list), uint64(be.Uint32(list[8:]))
		if !d.inRange(lba, count) {
			c.Fail(scsi.SenseOutOfRange)
			return
		}
		if count == 0 {
			continue
		}
		if err := d.Backend.Discard(context.Background(), int64(lba*d.blockSize), int64(count*d.blockSize)); err != nil {
			d.failed(c, true, err)
			return
		}
	}
}

// sameChunk is how much of a repeated block is written at a time.
const sameChunk = 512 << 10

// writeSame writes one block many times.
func (d *Drive) writeSame(c *scsi.Command, _ int) {
	if d.Backend.ReadOnly() {
		c.Fail(scsi.SenseWriteProtected)
		return
	}
	lba, count := extent(c.CDB)
	noData := c.CDB[0] == 0x93 && c.CDB[1]&1 != 0
	switch {
	case count == 0 || c.CDB[1]&0x16 != 0:
		c.Fail(scsi.SenseInvalidField)
		return
	case !d.inRange(lba, count):
		c.Fail(scsi.SenseOutOfRange)
		return
	}
	one := make([]byte, d.blockSize)
	if !noData {
		var ok bool
		if one, ok = c.Parameters(int(d.blockSize)); !ok {
			c.Fail(scsi.SenseParamLength)
			return
		}
	}
	off, left := int64(lba*d.blockSize), int64(count*d.blockSize)
	if noData || len(bytes.Trim(one, "\x00")) == 0 {
		fl := block.Flags(0)
		if c.CDB[1]&8 != 0 {
			fl = block.MayUnmap
		}
		if err := d.Backend.WriteZeroes(context.Background(), off, left, fl); err != nil {
			d.failed(c, true, err)
		}
		return
	}
	chunk := bytes.Repeat(one, int(min(left, sameChunk)/int64(len(one))))
	for left > 0 {
		n := min(left, int64(len(chunk)))
		if err := d.Backend.Write(context.Background(), off, chunk[:n], 0); err != nil {
			d.failed(c, true, err)
			return
		}
		off, left = off+n, left-n
	}
}
