package ide

import (
	"goemu/hw/disk"
)

// pad returns s filled with blanks to n bytes.
func pad(s string, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = ' '
		if i < len(s) {
			p[i] = s[i]
		}
	}
	return p
}

func (d *Drive) inquiry(cdb []byte) {
	limit := int(cdb[4])
	if cdb[1]&1 != 0 {
		d.vitalProductData(cdb[2], limit)
		return
	}
	p := []byte{5, 0x80, 0, 0x21, 31, 0, 0, 0}
	p = append(p, pad("QEMU", 8)...)
	p = append(p, pad("QEMU DVD-ROM", 16)...)
	d.send(append(p, pad(d.version, 4)...), limit)
}

// vitalProductData answers INQUIRY with a page (SPC-3, §7.6).
func (d *Drive) vitalProductData(page uint8, limit int) {
	p := []byte{5, page, 0, 0}
	switch page {
	case 0x00:
		p = append(p, 0x00, 0x83)
	case 0x83:
		if limit < len(p)+24 {
			d.packetFail(senseIllegal, ascDataPhase)
			return
		}
		p = append(append(p, 2, 0, 0, 20), pad(d.serial, 20)...)
		if limit >= len(p)+72 {
			p = append(append(p, 2, 1, 0, 68), pad("ATA", 8)...)
			p = append(append(p, pad(d.model, 40)...), pad(d.serial, 20)...)
			if d.wwn != 0 && limit >= len(p)+12 {
				p = be.AppendUint64(append(p, 1, 3, 0, 8), d.wwn)
			}
		}
	default:
		d.packetFail(senseIllegal, ascInvalidField)
		return
	}
	p[3] = uint8(len(p) - 4)
	d.send(p, limit)
}

func (d *Drive) readCapacity([]byte) {
	d.send(be.AppendUint32(be.AppendUint32(nil, uint32(d.blocks()-1)), cdSector), 8)
}

func (d *Drive) readTOC(cdb []byte) {
	limit, msf := int(be.Uint16(cdb[7:])), cdb[1]&2 != 0
	switch cdb[9] >> 6 {
	case 0:
		if toc, ok := disk.TOC(uint32(d.blocks()), msf, cdb[6]); ok {
			d.send(toc, limit)
			return
		}
	case 1: // one session
		d.send([]byte{1: 0x0a, 2: 1, 3: 1, 11: 0}, limit)
		return
	case 2:
		d.send(disk.RawTOC(uint32(d.blocks()), msf), limit)
		return
	}
	d.packetFail(senseIllegal, ascInvalidField)
}

// Profiles of GET CONFIGURATION.
const (
	profileCD  = 0x0008
	profileDVD = 0x0010
)

func (d *Drive) getConfiguration(cdb []byte) {
	if cdb[2] != 0 || cdb[3] != 0 { // only the list of profiles is there
		d.packetFail(senseIllegal, ascInvalidField)
		return
	}
	current := uint16(0)
	switch {
	case !d.mediaPresent():
	case d.sectorsTotal > maxCDSector:
		current = profileDVD
	default:
		current = profileCD
	}
	p := []byte{3: 16, 10: 3, 11: 8}
	be.PutUint16(p[6:], current)
	for _, profile := range []uint16{profileDVD, profileCD} {
		on := uint8(0)
		if profile == current {
			on = 1
		}
		p = append(be.AppendUint16(p, profile), on, 0)
	}
	d.send(p, min(int(be.Uint16(cdb[7:])), SectorSize))
}

// Media events (MMC-5, §6.7).
const (
	eventClassMedia              = 4
	eventNewMedia, eventEjectReq = 2, 1
	mediaOpen, mediaPresentBit   = 1, 2
)

func (d *Drive) eventStatus(cdb []byte) {
	if cdb[1]&1 == 0 { // only polling
		d.packetFail(senseIllegal, ascInvalidField)
		return
	}
	p := []byte{0, 0, 0x80, 1 << eventClassMedia}
	if cdb[4]&(1<<eventClassMedia) != 0 {
		p[2] = eventClassMedia
		p = append(p, d.mediaEvent()...)
	}
	be.PutUint16(p, uint16(len(p)-4))
	d.send(p, int(be.Uint16(cdb[7:])))
}

func (d *Drive) mediaEvent() []byte {
	p := make([]byte, 4)
	switch {
	case d.trayOpen:
		p[1] = mediaOpen
		return p
	case d.inserted():
		p[1] = mediaPresentBit
	}
	switch {
	case d.newMedia:
		p[0], d.newMedia = eventNewMedia, false
	case d.ejectRequest:
		p[0], d.ejectRequest = eventEjectReq, false
	}
	return p
}

func (d *Drive) discInformation(cdb []byte) {
	if cdb[1]&7 != 0 {
		d.packetFail(senseIllegal, ascInvalidField)
		return
	}
	d.send([]byte{1: 32, 2: 0x0e, 3: 1, 4: 1, 5: 1, 6: 1, 7: 0x20, 33: 0}, int(be.Uint16(cdb[7:])))
}

// Mode pages (MMC-5, §7).
const (
	pageErrors       = 0x01
	pageAudio        = 0x0e
	pageCapabilities = 0x2a
)

func (d *Drive) modeSense(cdb []byte) {
	limit := int(be.Uint16(cdb[7:]))
	if cdb[2]>>6 == 3 {
		d.packetFail(senseIllegal, ascNoSaving)
		return
	}
	page := []byte(nil)
	if cdb[2]>>6 == 0 {
		switch cdb[2] & 0x3f {
		case pageErrors:
			page = []byte{pageErrors, 6, 0, 5, 0, 0, 0, 0}
		case pageAudio:
			page = []byte{0: pageAudio, 1: 14, 15: 0}
		case pageCapabilities:
			page = []byte{pageCapabilities, 20, 0x3b, 0, 0x71, 3 << 5, 1 | 1<<3 | 1<<5, 0, 704 >> 8, 704 & 0xff, 0, 2, 512 >> 8, 0, 704 >> 8, 704 & 0xff, 21: 0}
			if d.trayLocked {
				page[6] |= 1 << 1
			}
		}
	}
	if page == nil {
		d.packetFail(senseIllegal, ascInvalidField)
		return
	}
	p := append([]byte{2: 0x70, 7: 0}, page...)
	be.PutUint16(p, uint16(len(p)-2))
	d.send(p, limit)
}

func (d *Drive) mechanismStatus(cdb []byte) {
	d.send([]byte{5: 1, 7: 0}, int(be.Uint16(cdb[8:])))
}

// Structures of a DVD (MMC-5, §6.22).
const (
	dvdPhysical      = 0x00
	dvdCopyright     = 0x01
	dvdManufacturing = 0x04
	dvdList          = 0xff
)

func (d *Drive) dvdStructure(cdb []byte) {
	format := cdb[7]
	switch {
	case format != dvdList && d.mediaPresent() && d.sectorsTotal <= maxCDSector:
		d.packetFail(senseIllegal, ascIncompatible)
		return
	case format != dvdList && !d.mediaPresent():
		d.packetFail(senseIllegal, ascInvalidField)
		return
	}
	var p []byte
	if cdb[1] == 0 {
		switch format {
		case dvdPhysical:
			if cdb[6] == 0 {
				last := uint32(d.blocks() - 1)
				p = make([]byte, 4+cdSector)
				copy(p[4:], []byte{1, 0x0f, 1, 0})
				be.PutUint32(p[12:], last)
				be.PutUint32(p[16:], last)
			}
		case dvdCopyright:
			p = make([]byte, 8)
		case dvdManufacturing:
			p = make([]byte, 4+cdSector)
		case dvdList:
			p = make([]byte, 4)
			for _, s := range []struct {
				format uint8
				size   uint16
			}{{dvdPhysical, 4 + cdSector}, {dvdCopyright, 8}, {3, 192}, {dvdManufacturing, 4 + cdSector}} {
				p = be.AppendUint16(append(p, s.format, 0x40), s.size)
			}
		}
	}
	if p == nil {
		d.packetFail(senseIllegal, ascInvalidField)
		return
	}
	be.PutUint16(p, uint16(len(p)-2))
	d.send(p, int(be.Uint16(cdb[8:])))
}
