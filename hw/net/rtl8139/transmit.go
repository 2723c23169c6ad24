package rtl8139

import "goemu/internal/netdev"

// writeTxStatus gives a transmit buffer to the chip. In C+ mode it is part of the command that writes the statistics to memory.
func (d *Device) writeTxStatus(i int, v uint32) {
	if d.cpEnabled != 0 {
		d.txStatus[i] = v
		if i == 0 && v&dumpTally != 0 {
			d.busy = true
			d.dump(uint64(d.txStatus[1])<<32 + uint64(d.txStatus[0]&^0x3f))
			d.busy = false
			d.txStatus[0] &^= dumpTally
		}
		return
	}
	d.txStatus[i] = v&^0xffc0c000 | d.txStatus[i]&0x00c00000
	d.transmitBuffer()
}

// transmitBuffer sends the next of the four buffers, if it is the chip's.
func (d *Device) transmitBuffer() {
	i := d.txNext
	if d.cmd&cmdTx == 0 || d.txStatus[i]&txOwn != 0 {
		return
	}
	d.busy = true
	data := make([]byte, d.txStatus[i]&txSize)
	d.DMA().Read(uint64(d.txAddr[i]), data)
	d.txStatus[i] |= txOwn | txOK
	d.send(data)
	d.busy = false
	d.raise(irqTxOK)
	d.txNext = (i + 1) % uint32(len(d.txStatus))
}

// send sends a frame to the network, or back to the receiver.
func (d *Device) send(frame []byte) {
	switch {
	case len(frame) == 0:
	case d.txConfig&loopback == loopback:
		d.TakeFrame(frame)
	default:
		d.wire.Send(frame)
	}
}

// transmitRing sends what the driver has put into the ring of the C+ mode.
func (d *Device) transmitRing() {
	d.busy = true
	n := 0
	for n < maxTxDescs && d.transmitDesc() {
		n++
	}
	d.busy = false
	if n > 0 {
		d.raise(irqTxOK)
	}
}

// transmitDesc takes the next descriptor; false if it is the driver's.
func (d *Device) transmitDesc() bool {
	if d.cmd&cmdTx == 0 || d.cpCmd&cpTx == 0 {
		return false
	}
	at := uint64(d.txAddr[1])<<32 + uint64(d.txAddr[0]) + descSize*uint64(d.cpTxNext)
	var desc [descSize]byte
	d.DMA().Read(at, desc[:])
	w0, w1, addr := le.Uint32(desc[:]), le.Uint32(desc[4:]), le.Uint64(desc[8:])
	if w0&descOwn == 0 {
		return false
	}
	if w0&descFirst != 0 {
		d.tx = d.tx[:0]
	}
	old := len(d.tx)
	d.tx = append(d.tx, make([]byte, min(int(w0&txDescSize), maxTxBuffer-old))...)
	d.DMA().Read(addr, d.tx[old:])
	if d.cpTxNext++; w0&descEnd != 0 || d.cpTxNext >= maxTxDescs {
		d.cpTxNext = 0
	}
	d.DMA().Write(at, le.AppendUint32(nil, w0&^(descOwn|txDescErrors)))
	if w0&descLast != 0 {
		d.finish(w0, w1)
		d.tx = d.tx[:0]
		d.tally.TxOK++
	}
	return true
}

// finish does to the packet what the last descriptor asks for, and sends it.
func (d *Device) finish(w0, w1 uint32) {
	if p, ok := parseIPv4(d.tx); ok {
		switch {
		case w0&txDescLarge == 0:
			p.sums(w0)
		case p.proto == protoTCP:
			if mss := int(w0 >> txDescMSSShift & txDescMSS); mss != 0 && p.segments(mss, func(frame []byte) { d.sendTagged(frame, w1) }) {
				return
			}
		}
	}
	d.sendTagged(d.tx, w1)
}

// sendTagged sends a frame with the VLAN tag of a descriptor, if it has one.
func (d *Device) sendTagged(frame []byte, w1 uint32) {
	if w1&txTagged != 0 && len(frame) >= macsLen {
		tagged := append(make([]byte, 0, len(frame)+vlanLen), frame[:macsLen]...)
		tagged = le.AppendUint16(be.AppendUint16(tagged, etherVLAN), uint16(w1)) // the descriptor has the tag in network order
		frame = append(tagged, frame[macsLen:]...)
	}
	d.send(frame)
}

// packet is an IPv4 packet in a frame.
type packet struct {
	frame   []byte
	ip      []byte // header
	payload []byte // as long as the header says
	proto   uint8
}

// Fields of the headers.
const (
	ipHeaderMin, tcpHeaderMin                              = 20, 20
	ipLength, ipIdent, ipProto, ipSum, ipAddrs, ipAddrsEnd = 2, 4, 9, 10, 12, 20
	tcpSeq, tcpOffset, tcpFlags, tcpSum                    = 4, 12, 13, 16
	udpHeader, udpSum                                      = 8, 6
	protoTCP, protoUDP                                     = 6, 17
	flagFIN, flagPSH                                       = 0x01, 0x08
)

// parseIPv4 takes a frame apart; ok is false if it is no IPv4 packet, or not all of one.
func parseIPv4(frame []byte) (p packet, ok bool) {
	if len(frame) < etherLen+ipHeaderMin || be.Uint16(frame[macsLen:]) != etherIPv4 {
		return p, false
	}
	b := frame[etherLen:]
	n, total := int(b[0]&0xf)*4, int(be.Uint16(b[ipLength:]))
	if b[0]>>4 != 4 || n < ipHeaderMin || total < n || total > len(b) {
		return p, false
	}
	return packet{frame: frame, ip: b[:n], payload: b[n:total], proto: b[ipProto]}, true
}

// sums fills in the checksums that a descriptor asks for.
func (p packet) sums(w0 uint32) {
	if w0&txDescIP != 0 {
		putSum(p.ip, ipSum, 0)
	}
	switch {
	case w0&txDescTCP != 0 && p.proto == protoTCP && len(p.payload) >= tcpHeaderMin:
		putSum(p.payload, tcpSum, p.pseudo(len(p.payload)))
	case w0&txDescUDP != 0 && p.proto == protoUDP && len(p.payload) >= udpHeader:
		putSum(p.payload, udpSum, p.pseudo(len(p.payload)))
	}
}

// pseudo is the sum of the pseudo header for n bytes.
func (p packet) pseudo(n int) uint32 {
	return netdev.Sum(netdev.Sum(0, p.ip[ipAddrs:ipAddrsEnd]), []byte{0, p.proto, byte(n >> 8), byte(n)})
}

// putSum writes the checksum of b, begun with initial, to its place in b.
func putSum(b []byte, at int, initial uint32) {
	be.PutUint16(b[at:], 0)
	be.PutUint16(b[at:], netdev.Fold(netdev.Sum(initial, b)))
}

// segments cuts a TCP packet into segments of at most mss bytes of data; false if its header makes no sense.
func (p packet) segments(mss int, send func(frame []byte)) bool {
	if len(p.payload) < tcpHeaderMin {
		return false
	}
	head := int(p.payload[tcpOffset]>>4) * 4
	if head < tcpHeaderMin || head > len(p.payload) {
		return false
	}
	data := p.payload[head:]
	ident, seq := be.Uint16(p.ip[ipIdent:]), be.Uint32(p.payload[tcpSeq:])
	headers := etherLen + len(p.ip) + head
	for i := 0; i*mss < len(data); i++ {
		part := data[i*mss : min((i+1)*mss, len(data))]
		frame := append(append(make([]byte, 0, headers+len(part)), p.frame[:headers]...), part...)
		q := packet{frame: frame, ip: frame[etherLen : etherLen+len(p.ip)], proto: protoTCP}
		tcp := frame[etherLen+len(p.ip):]
		be.PutUint16(q.ip[ipLength:], uint16(len(q.ip)+len(tcp)))
		be.PutUint16(q.ip[ipIdent:], ident+uint16(i))
		putSum(q.ip, ipSum, 0)
		be.PutUint32(tcp[tcpSeq:], seq+uint32(i*mss))
		if (i+1)*mss < len(data) {
			tcp[tcpFlags] &^= flagFIN | flagPSH
		}
		putSum(tcp, tcpSum, q.pseudo(len(tcp)))
		send(q.frame)
	}
	return true
}
