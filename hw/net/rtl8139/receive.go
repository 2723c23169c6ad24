package rtl8139

import (
	"hash/crc32"
	"math/bits"

	"goemu/hw/nic"
)

// takes tells whether a frame can be received, or is to be lost, now.
func (d *Device) takes() bool {
	if d.clockOn == 0 || d.cmd&cmdRx == 0 || d.cpCmd&cpRx != 0 && d.hasRing() {
		return true
	}
	room := d.ringRoom()
	return room == 0 || room >= minRoom || d.mask&irqOverflow != 0
}

// hasRing tells whether the driver has a receive ring in C+ mode: it may enable the receiver before.
func (d *Device) hasRing() bool { return d.rxRingLow|d.rxRingHi != 0 }

// ringRoom is the number of free bytes of the receive ring, 0 if it is empty.
func (d *Device) ringRoom() uint32 { return (d.rxRead - d.rxWrite) & (d.rxSize - 1) }

// TakeFrame implements nic.Receiver.
func (d *Device) TakeFrame(data []byte) bool {
	if !d.takes() {
		return false
	}
	if d.clockOn == 0 || d.cmd&cmdRx == 0 || len(data) < 6 {
		return true
	}
	status, ok := d.filter(data)
	if !ok {
		d.tally.RxErrors++
		return true
	}
	length := len(data)
	if length < len(d.frame) { // room for what a VLAN tag leaves, too
		clear(d.frame[copy(d.frame[:], data):])
		data = d.frame[:]
	}
	size := max(length, minFrame)
	sum := crc32.ChecksumIEEE(data[:size])
	busy := d.busy
	d.busy = true
	defer func() { d.busy = busy }()
	if d.cpCmd&cpRx != 0 {
		if !d.hasRing() || !d.storeInRing(data, size, status, sum) {
			return true
		}
	} else if !d.storeInBuffer(data[:size], status, sum) {
		return false
	}
	d.raise(irqRxOK)
	return true
}

// filter tells whether a frame is wanted, and how it is marked.
func (d *Device) filter(b []byte) (status uint32, ok bool) {
	switch {
	case d.rxConfig&rxAcceptAll != 0:
		return 0, true
	case nic.IsBroadcast(b):
		if d.rxConfig&rxAcceptBroad == 0 {
			return 0, false
		}
		d.tally.RxBroad++
		return headBroad, true
	case b[0]&1 != 0:
		hash := multicastHash(b)
		if d.rxConfig&rxAcceptMulti == 0 || d.multi[hash>>3]>>(hash&7)&1 == 0 {
			return 0, false
		}
		d.tally.RxMulti++
		return headMulti, true
	case [6]byte(b) != d.mac || d.rxConfig&rxAcceptMine == 0:
		return 0, false
	}
	d.tally.RxMine++
	return headMine, true
}

// multicastHash is the place of a group's address in the filter: the first six bits of its checksum as it is sent.
func multicastHash(b []byte) uint32 { return bits.Reverse32(^crc32.ChecksumIEEE(b[:6])) >> 26 }

// overflow notes a frame for which there was no room.
func (d *Device) overflow() {
	d.rxMissed++
	d.raise(irqOverflow)
}

// storeInRing writes a frame of size bytes (data may have more, for a tag that is taken out) to the next descriptor of the C+ mode,
// with the sum behind it; false if there is no room.
func (d *Device) storeInRing(data []byte, size int, status, sum uint32) bool {
	at := uint64(d.rxRingHi)<<32 + uint64(d.rxRingLow) + descSize*uint64(d.cpRxNext)
	var desc [descSize]byte
	d.DMA().Read(at, desc[:])
	w0, w1, addr := le.Uint32(desc[:]), le.Uint32(desc[4:])&^rxTagged, le.Uint64(desc[8:])
	if w0&descOwn != 0 && d.cpCmd&cpVLAN != 0 && be.Uint16(data[macsLen:]) == etherVLAN {
		w1 = w1&^0xffff | rxTagged | uint32(le.Uint16(data[macsLen+2:]))
		size = max(size-vlanLen, minFrame)
		copy(data[vlanLen:], data[:macsLen]) // the frame is ours until we return
		data = data[vlanLen:]
	}
	if w0&descOwn == 0 || size+4 > int(w0&rxDescSize) {
		d.tally.RxErrors++
		d.tally.Missed++
		d.overflow()
		return false
	}
	d.DMA().Write(addr, data[:size])
	d.DMA().Write(addr+uint64(size), le.AppendUint32(nil, sum))
	w0 = w0&^(descOwn|rxDescSize) | descFirst | descLast | uint32(size+4)
	switch status {
	case headBroad:
		w0 |= rxDescBroad
	case headMulti:
		w0 |= rxDescMulti
	case headMine:
		w0 |= rxDescMine
	}
	le.PutUint32(desc[:], w0)
	le.PutUint32(desc[4:], w1)
	d.DMA().Write(at, desc[:4])
	d.DMA().Write(at+4, desc[4:8])
	d.tally.RxOK++
	if d.cpRxNext++; w0&descEnd != 0 {
		d.cpRxNext = 0
	}
	return true
}

// storeInBuffer writes a frame to the receive ring, between its header and its checksum; false if there is no room.
func (d *Device) storeInBuffer(data []byte, status, sum uint32) bool {
	if room := d.ringRoom(); room != 0 && uint32(len(data)+8+3)&^3 >= room {
		d.overflow()
		return false
	}
	d.put(le.AppendUint32(nil, status|headOK|uint32(len(data)+4)<<16))
	d.put(data)
	d.put(le.AppendUint32(nil, sum))
	d.rxWrite = (d.rxWrite + 3) &^ 3 & (d.rxSize - 1)
	return true
}

// put writes to the receive ring: behind its end, if the driver wants that and the ring has not the largest size.
func (d *Device) put(b []byte) {
	at := uint64(d.rxBuf) + uint64(d.rxWrite)
	end := d.rxWrite + uint32(len(b))
	if over := end & (d.rxSize - 1); end > d.rxSize && over != 0 && (d.rxSize >= ringMax || d.rxConfig&rxNoWrap == 0) {
		n := len(b) - min(int(over), len(b))
		d.DMA().Write(at, b[:n])
		d.DMA().Write(uint64(d.rxBuf), b[n:])
		d.rxWrite = over
		return
	}
	d.DMA().Write(at, b)
	d.rxWrite = end
}
