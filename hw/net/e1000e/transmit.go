package e1000e

import "goemu/hw/nic"

// context is a context descriptor (section 7.2.10.2): what the hardware does to packets.
type context struct {
	ipStart, ipAt   uint8 // of the IP checksum: where it begins, and where it goes
	ipEnd           uint16
	tcpStart, tcpAt uint8 // of the checksum of TCP or UDP
	tcpEnd          uint16
	header          uint8
	mss             uint16
	payload         uint32
	ip, tcp         int8 // IPv4, TCP
	segment         bool
}

// transmitter is the packet of a queue that is being put together.
type transmitter struct {
	context
	sums      uint8
	segmented bool // as the descriptors say
	skip      bool // the packet is too long, or came from another machine in part
	data      []byte
	fragments int
}

// transmit sends what the driver has put into the ring of a queue.
func (d *Device) transmit(q int) {
	at := q * queueStep
	if d.mac[regTARC+at]&tarcEnable == 0 || d.mac[regTCTL]&tctlEN == 0 || d.sending {
		return
	}
	d.sending = true
	causes, put := uint32(irqTXQE), false
	size := d.mac[regTDLEN+at] / unit
	base := uint64(d.mac[regTDBAL+1+at])<<32 + uint64(d.mac[regTDBAL+at])
	head, tail := &d.mac[regTDH+at], d.mac[regTDT+at]
	for n := uint32(0); *head != tail && tail < size && n <= size; n++ {
		var desc [unit]byte
		from := base + unit*uint64(*head)
		d.DMA().Read(from, desc[:])
		d.descriptor(q, &desc)
		if c, later := d.writeBack(q, from, &desc); c != 0 {
			causes, put = causes|c, later
		}
		if *head++; *head >= size {
			*head = 0
		}
	}
	d.sending = false
	if put {
		if causes, put = d.delayTX(causes); put {
			return
		}
	}
	d.raise(causes)
}

// writeBack tells the driver that a descriptor is done, if it wants to know; later says that the interrupt can wait.
func (d *Device) writeBack(q int, at uint64, desc *[unit]byte) (cause uint32, later bool) {
	lower := le.Uint32(desc[8:])
	if lower&txRS == 0 && d.mac[regIVAR]&ivarEvery == 0 {
		return 0, false
	}
	le.PutUint32(desc[12:], le.Uint32(desc[12:])|txDone)
	d.DMA().Write(at+12, desc[12:])
	switch {
	case !d.MSIXEnabled():
		cause = irqTXDW
	case q == 0:
		cause = irqTXQ0
	default:
		cause = irqTXQ1
	}
	return cause, lower&txIDE != 0
}

// descriptor takes a descriptor: a context, or part of a packet.
func (d *Device) descriptor(q int, desc *[unit]byte) {
	t := &d.queues[q]
	lower, upper := le.Uint32(desc[8:]), le.Uint32(desc[12:])
	switch lower & (txDEXT | txData) {
	case txDEXT:
		t.context = contextOf(desc)
		return
	case txDEXT | txData:
		t.sums, t.segmented = uint8(upper>>8), lower&txTSE != 0
	default:
		t.segmented = false
	}
	d.gather(t, le.Uint64(desc[:]), int(lower&0xffff))
	if lower&txEOP == 0 {
		return
	}
	if !t.skip && len(t.data) >= nic.EtherHeader {
		if d.mac[regCTRL]&ctrlVLAN != 0 && lower&txVLE != 0 {
			d.sendPacket(t, d.mac[regVET], uint16(upper>>16), true)
		} else {
			d.sendPacket(t, 0, 0, false)
		}
	}
	t.skip, t.data, t.fragments, t.sums, t.segmented = false, t.data[:0], 0, 0, false
}

// gather adds a piece of memory to a packet.
func (d *Device) gather(t *transmitter, addr uint64, n int) {
	if t.fragments++; t.fragments > maxFragments || len(t.data)+n > maxPacket {
		t.skip = true
	}
	if t.skip {
		return
	}
	at := len(t.data)
	t.data = append(t.data, make([]byte, n)...)
	d.DMA().Read(addr, t.data[at:])
}

// contextOf reads a context descriptor.
func contextOf(b *[unit]byte) (c context) {
	op := le.Uint32(b[8:])
	c = context{ipStart: b[0], ipAt: b[1], ipEnd: le.Uint16(b[2:]), tcpStart: b[4], tcpAt: b[5], tcpEnd: le.Uint16(b[6:]),
		payload: op & 0xfffff, header: b[13], mss: le.Uint16(b[14:]), segment: op&txTSE != 0}
	if op&txIP != 0 {
		c.ip = 1
	}
	if op&txTCP != 0 {
		c.tcp = 1
	}
	return c
}

// sendPacket finishes a packet and sends it, in segments if that was asked for.
func (d *Device) sendPacket(t *transmitter, vet uint32, tag uint16, tagged bool) {
	send := func(b []byte) {
		if tagged {
			b = append(b[:12:12], append([]byte{byte(vet >> 8), byte(vet), byte(tag >> 8), byte(tag)}, b[12:]...)...)
		}
		d.send(b)
	}
	c := &t.context
	if !t.segmented || !c.segment || c.mss == 0 || int(c.header) >= len(t.data) || int(c.header) < nic.EtherHeader {
		t.putSums(t.data)
		send(t.data)
		return
	}
	header, left := t.data[:c.header], t.data[c.header:]
	for i := 0; len(left) > 0; i++ {
		n := min(len(left), int(c.mss))
		b := append(append(make([]byte, 0, len(header)+n), header...), left[:n]...)
		left = left[n:]
		t.fixHeaders(b, i, len(left) == 0)
		t.putSums(b)
		send(b)
	}
	d.count(regTSCTC)
}

// putSums fills in the checksums that the descriptors ask for.
func (t *transmitter) putSums(b []byte) {
	if t.sums&popTXSM != 0 {
		nic.PutSum(b, int(t.tcpAt), int(t.tcpStart), int(t.tcpEnd))
	}
	if t.sums&popIXSM != 0 {
		nic.PutSum(b, int(t.ipAt), int(t.ipStart), int(t.ipEnd))
	}
}

// fixHeaders makes the headers of segment number i from those of the packet (section 7.2.6).
func (t *transmitter) fixHeaders(b []byte, i int, last bool) {
	add16 := func(at, v int) {
		if at+2 <= len(b) {
			sum := uint32(be.Uint16(b[at:])) + uint32(v)
			be.PutUint16(b[at:], uint16(sum>>16+sum&0xffff))
		}
	}
	put16 := func(at, v int) {
		if at+2 <= len(b) {
			be.PutUint16(b[at:], uint16(v))
		}
	}
	ip, l4 := int(t.ipStart), int(t.tcpStart)
	if t.ip != 0 {
		put16(ip+2, len(b)-ip)
		if ip+6 <= len(b) {
			put16(ip+4, int(be.Uint16(b[ip+4:]))+i)
		}
	} else {
		put16(ip+4, len(b)-ip-40)
	}
	switch {
	case t.tcp == 0:
		put16(l4+4, len(b)-l4)
	case l4+14 <= len(b):
		be.PutUint32(b[l4+4:], be.Uint32(b[l4+4:])+uint32(i)*uint32(t.mss))
		if !last {
			b[l4+13] &^= 0x09 // PSH, FIN
		}
	}
	if t.sums&popTXSM != 0 { // the pseudo header's length
		add16(int(t.tcpAt), max(len(b)-l4, 0))
	}
}

// send sends a frame to the network, or back to the receiver.
func (d *Device) send(frame []byte) {
	if d.phy[0][phyCtrl]&crLoopback != 0 || d.mac[regRCTL]&rctlLoopback != 0 {
		if !d.looping {
			d.looping = true
			d.TakeFrame(frame)
			d.looping = false
		}
	} else {
		d.wire.Send(frame)
	}
	switch {
	case nic.IsBroadcast(frame):
		d.count(regBPTC)
	case frame[0]&1 != 0:
		d.count(regMPTC)
	}
	nic.CountSize(d.mac[regPTC64:], len(frame))
	d.count(regTPT)
	d.countBytes(regTOTL, len(frame))
	d.count(regGPTC)
	d.countBytes(regGOTCL, len(frame))
}
