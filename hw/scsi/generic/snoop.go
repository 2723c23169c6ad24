package generic

import (
	"os"

	"goemu/hw/scsi"
)

// Inquiry and its page of block limits (SBC-3, §6.5.3).
const (
	inquiryLength = 36
	pageList      = 0x00
	pageLimits    = 0xb0
	limitsLength  = 0x3c
	limitsMaximum = 8
	limitsOptimum = 12
	withPage      = 1
)

// lacksLimits tells whether the device says that it lacks the page of block limits.
func (d *Device) lacksLimits() bool {
	const length = 250
	p, ok := d.ask([]byte{scsi.OpInquiry, withPage, pageList, 0, length, 0}, length)
	if !ok {
		return false
	}
	for _, page := range p[4:min(4+int(p[3]), len(p))] {
		if page == pageLimits {
			return false
		}
	}
	return true
}

func (d *Device) limitsAsked(cdb []byte) bool {
	return d.addLimits && cdb[0] == scsi.OpInquiry && cdb[1]&withPage != 0 && cdb[2] == pageLimits
}

// maxBlocks is the most that a command can move, as the host's adapter has limits of its own.
func (d *Device) maxBlocks() uint32 {
	bytes, parts := d.Backend.SCSI().HardwareLimits()
	if n := parts * int64(os.Getpagesize()); n > 0 && (bytes == 0 || n < bytes) {
		bytes = n
	}
	if bytes == 0 || bytes > maxData {
		bytes = maxData
	}
	return uint32(bytes / max(int64(d.blockSize.Load()), 1))
}

// limitsPage is the page of block limits of a device that has none.
func (d *Device) limitsPage() []byte {
	p := make([]byte, 4+limitsLength)
	p[0], p[1], p[3] = d.kind, pageLimits, limitsLength
	p[4] = 1 // WRITE SAME without a length is not supported
	be.PutUint32(p[limitsMaximum:], d.maxBlocks())
	return p
}

// learn reads what the device has returned, n bytes of p, and changes what the driver must see otherwise; it returns the new length.
func (d *Device) learn(cdb, p []byte, n int) int {
	switch op := cdb[0]; {
	case op == opReadCapacity && n >= 8:
		d.blockSize.Store(be.Uint32(p[4:]))
	case op == opServiceActionIn && cdb[1]&31 == readCapacity16 && n >= 12:
		d.blockSize.Store(be.Uint32(p[8:]))
	case op == opModeSense || op == opModeSense10:
		d.protect(cdb, p[:n])
	case op == scsi.OpInquiry && cdb[1]&withPage != 0 && d.isDisk():
		return d.patchPage(cdb[2], p, n)
	}
	return n
}

// protect sets the bit of write protection if the drive is for reading only.
func (d *Device) protect(cdb, p []byte) {
	const noDescriptors, writeProtected = 8, 0x80
	at := 2
	if cdb[0] == opModeSense10 {
		at = 3
	}
	if (d.isDisk() || d.kind == typeTape) && d.Backend.ReadOnly() && cdb[1]&noDescriptors == 0 && at < len(p) {
		p[at] |= writeProtected
	}
}

// patchPage lowers the limits in the page of block limits, and puts it into the list of pages if the device lacks it.
func (d *Device) patchPage(page uint8, p []byte, n int) int {
	switch {
	case page == pageLimits && n >= limitsOptimum+4:
		most := d.maxBlocks()
		be.PutUint32(p[limitsMaximum:], most)
		if best := be.Uint32(p[limitsOptimum:]); best == 0 || best > most {
			be.PutUint32(p[limitsOptimum:], most)
		}
	case page == pageList && d.addLimits && n >= 4:
		end := min(4+int(be.Uint16(p[2:])), n)
		at := end
		for at > 4 && p[at-1] > pageLimits {
			at--
		}
		if end < len(p) {
			copy(p[at+1:end+1], p[at:end])
			p[at] = pageLimits
			n = max(n, end+1)
		}
		be.PutUint16(p[2:], be.Uint16(p[2:])+1)
	}
	return n
}

// sent reads what the driver has sent: the block size of a tape.
func (d *Device) sent(cdb, p []byte) {
	const length = 12 // of a header with one descriptor
	if d.kind == typeTape && cdb[0] == opModeSelect && cdb[4] == length && len(p) >= length {
		d.blockSize.Store(be.Uint32(p[8:]) & 0xffffff)
	}
}
