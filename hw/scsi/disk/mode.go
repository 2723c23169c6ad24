package disk

import (
	"context"

	"goemu/hw/scsi"
)

// Mode pages (SBC-3, §6.4; MMC-5, §7).
const (
	modeAppleDisk    = 0x00
	modeErrors       = 0x01
	modeGeometry     = 0x04
	modeFlexible     = 0x05
	modeCaching      = 0x08
	modeAudio        = 0x0e
	modeCapabilities = 0x2a
	modeAppleCD      = 0x30
	modeAll          = 0x3f

	writeCacheBit = 4
	changeable    = 1
	saved         = 3
)

// modePage is the page n with its header, nil if there is none. control says which values are wanted.
func (d *Drive) modePage(n, control uint8) []byte {
	disk := d.kind == typeDisk
	change := control == changeable
	g := d.geo
	c := []byte{uint8(g.Cyls >> 16), uint8(g.Cyls >> 8), uint8(g.Cyls)}
	var p []byte
	switch {
	case n == modeErrors:
		p = make([]byte, 10)
		if !change || !disk {
			p[0] = 0x80
		}
		if !change && !disk {
			p[1] = 0x20
		}
	case n == modeGeometry && disk:
		if p = make([]byte, 0x16); !change {
			copy(p, []byte{c[0], c[1], c[2], uint8(g.Heads), c[0], c[1], c[2], c[0], c[1], c[2], 0, 200, 0xff, 0xff, 0xff})
			be.PutUint16(p[18:], 5400)
		}
	case n == modeFlexible && disk:
		if p = make([]byte, 0x1e); !change {
			copy(p, []byte{5000 >> 8, 5000 & 0xff, uint8(g.Heads), uint8(g.Secs), uint8(d.blockSize >> 8), 0, c[1], c[2], c[1], c[2], c[1], c[2], 0, 1, 1, 0, 1, 1, 1})
			be.PutUint16(p[26:], 5400)
		}
	case n == modeCaching:
		if p = make([]byte, 0x12); change || d.Backend.WriteCache() {
			p[0] = writeCacheBit
		}
	case n == modeAudio && !disk:
		p = make([]byte, 14)
	case n == modeCapabilities && !disk:
		if p = make([]byte, 0x14); !change {
			copy(p, []byte{0x3b, 0, 0x7f, 0xff, 0x2d, 0, 50 * 176 >> 8, 50 * 176 & 0xff, 0, 2, 2048 >> 8, 0, 16 * 176 >> 8, 16 * 176 & 0xff, 0, 0,
				16 * 176 >> 8, 16 * 176 & 0xff, 16 * 176 >> 8, 16 * 176 & 0xff})
			if (tray{d}).Locked() {
				p[4] |= 2
			}
		}
	case n == modeAppleDisk && disk && d.AppleDisk:
		if p = make([]byte, 2); change {
			p[0], p[1] = 0xff, 0xff
		}
	case n == modeAppleCD && d.quirks.AppleCD:
		if p = make([]byte, 0x1e); !change {
			copy(p[8:], "APPLE COMPUTER, INC   ")
		}
	default:
		return nil
	}
	return append([]byte{n, uint8(len(p))}, p...)
}

func (d *Drive) modeSense(c *scsi.Command, limit int) {
	long := c.CDB[0] >= 0x40
	page, control := c.CDB[2]&modeAll, c.CDB[2]>>6
	specific := uint8(0)
	if d.kind == typeDisk {
		if d.fua {
			specific |= 0x10
		}
		if d.Backend.ReadOnly() {
			specific |= 0x80
		}
	}
	var desc []byte
	describes := d.kind == typeDisk || d.quirks.UseDBD && !(d.quirks.AppleCD && page == modeAppleCD)
	if n := d.blocks(); describes && c.CDB[1]&8 == 0 && n > 0 {
		if n > 0xffffff {
			n = 0
		}
		desc = []byte{0, uint8(n >> 16), uint8(n >> 8), uint8(n), 0, 0, uint8(d.blockSize >> 8), 0}
	}
	p := []byte{0, 0, specific, uint8(len(desc))}
	if long {
		p = []byte{0, 0, 0, specific, 0, 0, 0, uint8(len(desc))}
	}
	p = append(p, desc...)
	switch {
	case control == saved:
		c.Fail(scsi.SenseNoSaving)
		return
	case page == modeAll:
		for n := range uint8(modeAll) {
			p = append(p, d.modePage(n, control)...)
		}
	default:
		m := d.modePage(page, control)
		if m == nil {
			c.Fail(scsi.SenseInvalidField)
			return
		}
		p = append(p, m...)
	}
	if long {
		be.PutUint16(p, uint16(len(p)-2))
	} else {
		p[0] = uint8(len(p) - 1)
	}
	c.Fill(p, limit)
}

// modeSelect changes what can be changed: the write cache.
func (d *Drive) modeSelect(c *scsi.Command, n int) {
	long := c.CDB[0] >= 0x40
	if c.CDB[1]&0x11 != 0x10 && !d.AppleDisk {
		c.Fail(scsi.SenseInvalidField)
		return
	}
	p, ok := c.Parameters(n)
	head := 4
	if long {
		head = 8
	}
	if !ok || n > 0 && n < head {
		c.Fail(scsi.SenseParamLength)
		return
	}
	if n == 0 {
		return
	}
	skip := int(p[3])
	if long {
		skip = int(be.Uint16(p[6:]))
	}
	switch p = p[head:]; {
	case skip > len(p):
		c.Fail(scsi.SenseParamLength)
		return
	case skip != 0 && skip != 8:
		c.Fail(scsi.SenseInvalidParam)
		return
	}
	pages := p[skip:]
	for _, apply := range []bool{false, true} { // first all is checked
		if s := d.selectPages(pages, apply); s != scsi.SenseNone {
			c.Fail(s)
			return
		}
	}
	if !d.Backend.WriteCache() {
		if err := d.Backend.Flush(context.Background()); err != nil {
			d.failed(c, true, err)
		}
	}
}

// selectPages checks pages against what can be changed, or takes them over.
func (d *Drive) selectPages(p []byte, apply bool) scsi.Sense {
	for len(p) > 0 {
		if len(p) < 2 || p[0]&0x40 != 0 {
			return scsi.SenseParamLength
		}
		if n := 2 + int(p[1]) - len(p); n > 0 {
			if !d.quirks.Truncated {
				return scsi.SenseParamLength
			}
			p = append(p[:len(p):len(p)], make([]byte, n)...)
		}
		page, body := p[0]&modeAll, p[2:2+int(p[1])]
		current, mask := d.modePage(page, 0), d.modePage(page, changeable)
		if current == nil || int(current[1]) != len(body) {
			return scsi.SenseInvalidParam
		}
		for i := range body {
			if (current[2+i]^body[i])&^mask[2+i] != 0 {
				return scsi.SenseInvalidParam
			}
		}
		if apply && page == modeCaching {
			d.Backend.SetWriteCache(body[0]&writeCacheBit != 0)
		}
		p = p[2+len(body):]
	}
	return scsi.SenseNone
}
