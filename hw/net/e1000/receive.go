package e1000

import "goemu/hw/nic"

// hasBuffers tells whether the ring has room for n bytes.
func (d *Device) hasBuffers(n uint32) bool {
	head, tail := d.mac[regRDH], d.mac[regRDT]
	if n <= d.rxSize {
		return head != tail
	}
	bufs := uint32(0)
	switch {
	case head < tail:
		bufs = tail - head
	case head > tail:
		bufs = d.mac[regRDLEN]/descSize + tail - head
	}
	return bufs != 0 && uint64(n) <= uint64(bufs)*uint64(d.rxSize)
}

// TakeFrame implements nic.Receiver.
func (d *Device) TakeFrame(data []byte) bool {
	switch {
	case d.mac[regSTATUS]&statusLU == 0 || d.mac[regRCTL]&rctlEN == 0 || !d.Mastering():
		return false // as long as the receiver is off
	case d.settle.Pending() || !d.hasBuffers(1):
		return false
	}
	if len(data) < minFrame {
		clear(d.frame[copy(d.frame[:], data):])
		data = d.frame[:]
	}
	rctl := d.mac[regRCTL]
	if (len(data) > maxLong || len(data) > maxFrame && rctl&rctlLPE == 0) && rctl&rctlSBP == 0 {
		d.count(regROC)
		return true
	}
	if !d.wants(data) {
		return true
	}
	var tag uint16
	var status uint8
	if d.mac[regCTRL]&ctrlVLAN != 0 && d.isVLAN(data) {
		tag, status = be.Uint16(data[14:]), rxVLAN
		copy(data[4:16], data[:12]) // the frame is ours until we return
		data = data[4:]
	}
	total := len(data)
	if rctl&rctlSECRC == 0 {
		total += checksumLen
	}
	if !d.hasBuffers(uint32(total)) {
		d.overrun()
		return true
	}
	if !d.store(data, total, tag, status) {
		d.overrun()
		return true
	}
	nic.CountSize(d.mac[regPRC64:], total)
	d.count(regTPR)
	d.count(regGPRC)
	d.countBytes(regTORL, len(data)+checksumLen)
	d.countBytes(regGORCL, len(data)+checksumLen)
	causes, tail := uint32(irqRXT0), d.mac[regRDT]
	if tail < d.mac[regRDH] {
		tail += d.mac[regRDLEN] / descSize
	}
	if (tail-d.mac[regRDH])*descSize <= d.mac[regRDLEN]>>d.rxShift {
		causes |= irqRXDMT0
	}
	d.raise(causes)
	return true
}

func (d *Device) overrun() {
	d.count(regRNBC)
	d.count(regMPC)
	d.raise(irqRXO)
}

func (d *Device) isVLAN(b []byte) bool { return be.Uint16(b[12:]) == uint16(d.mac[regVET]) }

// wants tells whether the filters let a frame pass (section 3.2.1).
func (d *Device) wants(b []byte) bool {
	rctl := d.mac[regRCTL]
	if rctl&rctlVFE != 0 && d.isVLAN(b) {
		vid := be.Uint16(b[14:])
		if d.mac[regVFTA+int(vid>>5&0x7f)]>>(vid&31)&1 == 0 {
			return false
		}
	}
	group, all := b[0]&1 != 0, nic.IsBroadcast(b)
	switch {
	case !group && rctl&rctlUPE != 0:
		return true
	case group && rctl&rctlMPE != 0:
		d.count(regMPRC)
		return true
	case all && rctl&rctlBAM != 0:
		d.count(regBPRC)
		return true
	}
	low, high := le.Uint32(b), uint32(le.Uint16(b[4:]))
	for i := regRA; i < regRA+32; i += 2 {
		if d.mac[i+1]&addrValid != 0 && d.mac[i] == low && d.mac[i+1]&0xffff == high {
			return true
		}
	}
	shift := [4]uint{4, 3, 2, 0}[rctl>>rctlMO&3]
	hash := high >> shift & 0xfff
	if d.mac[regMTA+int(hash>>5)]>>(hash&31)&1 == 0 {
		return false
	}
	d.count(regMPRC)
	return true
}

// store writes a frame, of which data is what is there of total bytes, to the driver's buffers; false if the ring's registers make no
// sense.
func (d *Device) store(data []byte, total int, tag uint16, status uint8) bool {
	start, size := d.mac[regRDH], d.mac[regRDLEN]
	base := uint64(d.mac[regRDBAH])<<32 + uint64(d.mac[regRDBAL]&^0xf)
	for pos := 0; pos < total; {
		var desc [descSize]byte
		at := base + descSize*uint64(d.mac[regRDH])
		d.DMA().Read(at, desc[:])
		le.PutUint16(desc[14:], tag)
		desc[12] &^= rxDone
		if addr := le.Uint64(desc[:]); addr != 0 { // others are skipped
			n := min(total-pos, int(d.rxSize))
			if pos < len(data) {
				d.DMA().Write(addr, data[pos:min(pos+n, len(data))])
			}
			pos += n
			le.PutUint16(desc[8:], uint16(n))
			if pos >= total {
				desc[12] |= rxEOP | rxIXSM
			} else {
				desc[12] &^= rxEOP
			}
		}
		d.DMA().Write(at, desc[:])
		desc[12] |= status | rxDone
		d.DMA().Write(at+12, desc[12:13])
		if d.mac[regRDH]++; d.mac[regRDH]*descSize >= size {
			d.mac[regRDH] = 0
		}
		if d.mac[regRDH] == start || start >= size/descSize {
			return false
		}
	}
	return true
}
