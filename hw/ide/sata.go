package ide

// The methods of this file are for adapters that talk to drives by frames (SATA 3.2, §10).

// Frame holds the registers as a frame carries them, from the status (or command) byte on: status, error, address and device, previous
// address, count.
type Frame struct {
	Status, Error uint8
	LBA           [3]uint8
	Device        uint8
	PrevLBA       [3]uint8
	Count         uint16
}

// Frame returns the registers for a frame to the host.
func (d *Drive) Frame() Frame {
	return Frame{d.status, d.err, [3]uint8{d.regs.sector, d.regs.cylLow, d.regs.cylHigh}, d.sel,
		[3]uint8{d.hob.sector, d.hob.cylLow, d.hob.cylHigh}, uint16(d.regs.count)}
}

// Load takes the registers of a frame from the host, and the packet that goes with it, if any.
func (d *Drive) Load(f Frame, feature, prevFeature uint8, packet []byte) {
	d.regs = taskFile{feature: feature, count: uint32(f.Count), sector: f.LBA[0], cylLow: f.LBA[1], cylHigh: f.LBA[2]}
	d.hob = taskFile{feature: prevFeature, count: uint32(f.Count >> 8), sector: f.PrevLBA[0], cylLow: f.PrevLBA[1], cylHigh: f.PrevLBA[2]}
	d.sel = f.Device
	d.err = 0
	copy(d.buf, packet)
}

// SetQueueDepth says how many commands the adapter queues.
func (d *Drive) SetQueueDepth(n int) { d.ncq = n }

// ResetLink is what a reset of the link leaves: the signature in the registers and the first status.
func (d *Drive) ResetLink() {
	d.regs.count, d.regs.sector, d.regs.cylLow, d.regs.cylHigh = 1, 1, 0, 0
	d.status, d.err = StatusSeek|StatusFault, 1
	if d.Kind == CDROM {
		d.regs.cylLow, d.regs.cylHigh = 0x14, 0xeb
		d.status |= StatusReady
	}
}

// InRange checks n sectors from lba on against the size of the medium.
func (d *Drive) InRange(lba, n int64) bool { return d.inRange(lba, n) }

// HoldQueue notes that queued commands wait to be tried again.
func (b *Bus) HoldQueue() { b.retry.status = retryHBA }
