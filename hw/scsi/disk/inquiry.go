package disk

import (
	"goemu/hw/scsi"
)

// maxInquiry limits the standard reply.
const maxInquiry = 256

func pad(p []byte, s string) {
	for i := range p {
		p[i] = ' '
		if i < len(s) {
			p[i] = s[i]
		}
	}
}

func (d *Drive) inquiry(c *scsi.Command, limit int) {
	switch {
	case c.CDB[1]&1 != 0:
		d.vitalProductData(c, limit)
		return
	case c.CDB[2] != 0:
		c.Fail(scsi.SenseInvalidField)
		return
	}
	n := min(limit, maxInquiry)
	p := make([]byte, max(n, 36))
	p[0] = d.kind
	if d.removable {
		p[1] = 0x80
	}
	p[2], p[3], p[4], p[7] = uint8(d.SCSILevel), 0x12, uint8(len(p)-5), 0x12
	if b, ok := d.Parent().(*scsi.Bus); ok && b.NoQueue {
		p[7] = 0x10
	}
	pad(p[8:16], d.Vendor)
	pad(p[16:32], d.Product)
	copy(p[32:36], d.Version)
	c.Fill(p, n)
}

// Pages of vital product data (SPC-3, §7.6; SBC-3, §6.5).
const (
	pageList            = 0x00
	pageSerial          = 0x80
	pageIdentification  = 0x83
	pageLimits          = 0xb0
	pageCharacteristics = 0xb1
	pageProvisioning    = 0xb2
)

func (d *Drive) vitalProductData(c *scsi.Command, limit int) {
	p := []byte{d.kind, c.CDB[2], 0, 0}
	switch page := c.CDB[2]; {
	case page == pageList:
		p = append(p, pageList)
		if d.Serial != "" {
			p = append(p, pageSerial)
		}
		p = append(p, pageIdentification)
		if d.kind == typeDisk {
			p = append(p, pageLimits, pageCharacteristics, pageProvisioning)
		}
	case page == pageSerial && d.Serial != "":
		p = append(p, d.Serial[:min(len(d.Serial), 36)]...)
	case page == pageIdentification:
		p = append(p, d.identification()...)
	case page == pageLimits && d.kind == typeDisk:
		p = append(p, d.limits()...)
	case page == pageCharacteristics:
		p = append(p, make([]byte, 0x3c)...)
		be.PutUint16(p[4:], d.rotation)
	case page == pageProvisioning:
		p = append(p, 0, 0xe0, 1, 0)
		if d.DiscardGrain != 0 {
			p[6] = 2
		}
	default:
		c.Fail(scsi.SenseInvalidField)
		return
	}
	p[3] = uint8(len(p) - 4)
	c.Fill(p, limit)
}

// identification lists the names of the device.
func (d *Drive) identification() (p []byte) {
	if id := d.DeviceID[:min(len(d.DeviceID), 255-8)]; id != "" {
		p = append(append(p, 2, 0, 0, uint8(len(id))), id...)
	}
	if d.WWN != 0 {
		p = be.AppendUint64(append(p, 1, 3, 0, 8), d.WWN)
	}
	if d.PortWWN != 0 {
		p = be.AppendUint64(append(p, 0x61, 0x93, 0, 8), d.PortWWN)
	}
	if d.PortIndex != 0 {
		p = be.AppendUint16(append(p, 0x61, 0x94, 0, 4, 0, 0), d.PortIndex)
	}
	return p
}

// limits is the page of block limits without its header.
func (d *Drive) limits() []byte {
	p := make([]byte, 0x3c)
	per := func(n uint64) uint32 { return uint32(min(n/d.blockSize, 1<<32-1)) }
	maxIO := per(d.MaxIO)
	if t := per(uint64(d.Backend.MaxTransfer())); t != 0 && (maxIO == 0 || t < maxIO) {
		maxIO = t
	}
	p[0] = 1 // WRITE SAME of no blocks is refused
	be.PutUint16(p[2:], uint16(per(uint64(d.MinIO))))
	be.PutUint32(p[4:], maxIO)
	be.PutUint32(p[8:], per(uint64(d.OptIO)))
	be.PutUint32(p[16:], per(d.maxUnmap))
	be.PutUint32(p[20:], 255)
	be.PutUint32(p[24:], per(uint64(d.DiscardGrain)))
	be.PutUint64(p[32:], uint64(maxIO))
	return p
}
