package e1000

import "goemu/hw/nic"

// offload is a context descriptor (section 3.3.6): what hardware does to packets.
type offload struct {
	ipStart, ipAt   uint8 // of the IP checksum: where it begins, and where it goes
	ipEnd           uint16
	tcpStart, tcpAt uint8 // of the checksum of TCP or UDP
	tcpEnd          uint16
	payload         uint32
	header          uint8
	mss             uint16
	ip, tcp         int8 // IPv4, TCP
}

// transmitter is the packet that is being put together.
type transmitter struct {
	header    [headerMax]byte
	vlan      [4]byte
	data      [maxPacket]byte
	size      uint16 // as it migrates
	n         int    // bytes in data
	hasVLAN   bool
	sums      uint8
	segmented bool // by tso
	plain     offload
	tso       offload
	frames    uint16 // segments of the packet so far
}

// transmit sends what the driver has put into the ring.
func (d *Device) transmit() {
	if d.mac[regTCTL]&tctlEN == 0 || d.transmitting {
		return
	}
	d.transmitting = true
	start, causes := d.mac[regTDH], uint32(irqTXQE)
	size := d.mac[regTDLEN]
	base := uint64(d.mac[regTDBAH])<<32 + uint64(d.mac[regTDBAL]&^0xf)
	for d.mac[regTDH] != d.mac[regTDT] {
		var desc [descSize]byte
		at := base + descSize*uint64(d.mac[regTDH])
		d.DMA().Read(at, desc[:])
		d.descriptor(&desc)
		causes |= d.writeBack(at, &desc)
		if d.mac[regTDH]++; d.mac[regTDH]*descSize >= size {
			d.mac[regTDH] = 0
		}
		if d.mac[regTDH] == start || start >= size/descSize { // impossible values of the driver
			break
		}
	}
	d.transmitting = false
	d.raise(causes)
}

// writeBack tells the driver that a descriptor is done, if it wants to know.
func (d *Device) writeBack(at uint64, desc *[descSize]byte) uint32 {
	if le.Uint32(desc[8:])&(txRS|txRPS) == 0 {
		return 0
	}
	le.PutUint32(desc[12:], (le.Uint32(desc[12:])|txDone)&^txFailures)
	d.DMA().Write(at+12, desc[12:])
	return irqTXDW
}

// descriptor takes a descriptor: a context, or part of a packet.
func (d *Device) descriptor(desc *[descSize]byte) {
	lower, upper := le.Uint32(desc[8:]), le.Uint32(desc[12:])
	t := &d.tx
	d.delayTX |= lower & txIDE
	switch lower & (txDEXT | txData) {
	case txDEXT:
		o := contextOf(desc)
		d.lastWasTSO = lower&txTSE != 0
		if d.lastWasTSO {
			t.tso, t.frames = o, 0
		} else {
			t.plain = o
		}
		return
	case txDEXT | txData:
		if t.n == 0 {
			t.sums = uint8(upper >> 8)
		}
		t.segmented = lower&txTSE != 0
	default:
		t.segmented = false
	}
	if d.mac[regCTRL]&ctrlVLAN != 0 && lower&txVLE != 0 && (t.segmented || lower&txEOP != 0) {
		t.hasVLAN = true
		be.PutUint16(t.vlan[:], uint16(d.mac[regVET]))
		be.PutUint16(t.vlan[2:], uint16(upper>>16))
	}
	addr, n := le.Uint64(desc[:]), int(lower&0xffff)
	if t.segmented {
		d.gatherSegments(addr, n)
	} else {
		n = min(n, len(t.data)-t.n)
		d.DMA().Read(addr, t.data[t.n:t.n+n])
		t.n += n
	}
	if lower&txEOP == 0 {
		return
	}
	if !t.segmented || t.n >= int(t.tso.header) {
		d.sendSegment()
	}
	t.frames, t.sums, t.hasVLAN, t.n, t.segmented = 0, 0, false, 0, false
}

// contextOf reads a context descriptor.
func contextOf(b *[descSize]byte) (o offload) {
	op := le.Uint32(b[8:])
	o = offload{ipStart: b[0], ipAt: b[1], ipEnd: le.Uint16(b[2:]), tcpStart: b[4], tcpAt: b[5], tcpEnd: le.Uint16(b[6:]),
		payload: op & 0xfffff, header: b[13], mss: le.Uint16(b[14:])}
	if op&txIP != 0 {
		o.ip = 1
	}
	if op&txTCP != 0 {
		o.tcp = 1
	}
	return o
}

// gatherSegments adds to a packet that is cut into segments, and sends those that are full.
func (d *Device) gatherSegments(addr uint64, left int) {
	t := &d.tx
	full := int(t.tso.header) + int(t.tso.mss)
	for {
		if t.n >= full {
			return
		}
		n := min(left, full-t.n, len(t.data)-t.n)
		d.DMA().Read(addr, t.data[t.n:t.n+n])
		end := t.n + n
		if h := int(t.tso.header); end >= h && t.n < h {
			copy(t.header[:h], t.data[:h])
		}
		t.n = end
		addr += uint64(n)
		if end == full {
			d.sendSegment()
			t.n = copy(t.data[:], t.header[:t.tso.header])
		}
		if left -= n; n == 0 || left == 0 {
			return
		}
	}
}

// sendSegment finishes a packet, or a segment of one, and sends it.
func (d *Device) sendSegment() {
	t := &d.tx
	o := &t.plain
	if t.segmented {
		o = &t.tso
		d.fixHeaders(o)
	}
	if t.sums&popTXSM != 0 {
		nic.PutSum(t.data[:t.n], int(o.tcpAt), int(o.tcpStart), int(o.tcpEnd))
	}
	if t.sums&popIXSM != 0 {
		nic.PutSum(t.data[:t.n], int(o.ipAt), int(o.ipStart), int(o.ipEnd))
	}
	frame := t.data[:t.n]
	if t.hasVLAN {
		tagged := make([]byte, t.n+4)
		copy(tagged, frame[:min(12, t.n)])
		copy(tagged[12:], t.vlan[:])
		if t.n > 12 {
			copy(tagged[16:], frame[12:])
		}
		frame = tagged
	}
	d.send(frame)
	d.count(regTPT)
	d.count(regGPTC)
	d.countBytes(regTOTL, t.n+checksumLen)
	d.countBytes(regGOTCL, t.n+checksumLen)
}

// fixHeaders makes the headers of a segment from those of the packet (section 3.5).
func (d *Device) fixHeaders(o *offload) {
	t := &d.tx
	put16 := func(at, v int) {
		if at+2 <= len(t.data) {
			be.PutUint16(t.data[at:], uint16(v))
		}
	}
	ip, tcp := int(o.ipStart), int(o.tcpStart)
	if o.ip != 0 {
		put16(ip+2, t.n-ip)
		put16(ip+4, int(be.Uint16(t.data[ip+4:]))+int(t.frames))
	} else {
		put16(ip+4, t.n-ip)
	}
	n := t.n - tcp
	if o.tcp != 0 {
		sofar := uint32(t.frames) * uint32(o.mss)
		be.PutUint32(t.data[tcp+4:], be.Uint32(t.data[tcp+4:])+sofar)
		if o.payload-sofar > uint32(o.mss) {
			t.data[tcp+13] &^= 0x09 // PSH, FIN
		} else if t.frames != 0 {
			d.count(regTSCTC)
		}
	} else {
		put16(tcp+4, n)
	}
	if t.sums&popTXSM != 0 { // the pseudo header's length
		sum := uint32(be.Uint16(t.data[o.tcpAt:])) + uint32(n)
		put16(int(o.tcpAt), int(sum>>16+sum&0xffff))
	}
	t.frames++
}

// send sends a frame to the network, or back to the receiver.
func (d *Device) send(frame []byte) {
	if d.phy[phyCtrl]&crLoopback != 0 {
		d.TakeFrame(frame)
	} else {
		d.wire.Send(frame)
	}
	if len(frame) >= 6 {
		switch {
		case nic.IsBroadcast(frame):
			d.count(regBPTC)
		case frame[0]&1 != 0:
			d.count(regMPTC)
		}
	}
	nic.CountSize(d.mac[regPTC64:], len(frame)+checksumLen)
}

// count adds one to a statistic, which stays at its largest value.
func (d *Device) count(reg int) { nic.Count(&d.mac[reg]) }

// countBytes adds to a statistic of 64 bits.
func (d *Device) countBytes(reg, n int) { nic.CountBytes(&d.mac[reg], &d.mac[reg+1], n) }
