package netdev

import "encoding/binary"

// Offload is work that the sender has left to whoever is the frame's last station, in the terms of virtio's net header.
type Offload struct {
	Flags      uint8
	GSOType    uint8
	HdrLen     uint16 // of all headers
	GSOSize    uint16 // largest payload of a segment
	CsumStart  uint16
	CsumOffset uint16
}

// Flags and segmentation types of an Offload (virtio 1.2, section 5.1.6).
const (
	NeedsCsum = 1
	DataValid = 2

	GSONone  = 0
	GSOTCPv4 = 1
	GSOUDP   = 3
	GSOTCPv6 = 4
	GSOECN   = 0x80
)

const (
	etherHeader = 14
	typeIPv4    = 0x0800
	typeIPv6    = 0x86dd
	typeVLAN    = 0x8100
	typeQinQ    = 0x88a8
	protoTCP    = 6
	protoUDP    = 17
)

var be = binary.BigEndian

// Sum adds bytes to a one's complement sum.
func Sum(sum uint32, b []byte) uint32 {
	s := uint64(sum)
	for len(b) >= 8 {
		v := be.Uint64(b)
		s += v>>32 + v&0xffffffff
		b = b[8:]
	}
	for len(b) >= 2 {
		s += uint64(be.Uint16(b))
		b = b[2:]
	}
	if len(b) == 1 {
		s += uint64(b[0]) << 8
	}
	for s>>16 != 0 {
		s = s&0xffff + s>>16
	}
	return uint32(s)
}

// Fold is the checksum of a sum.
func Fold(sum uint32) uint16 {
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// Headers says where the headers of a frame lie.
type Headers struct {
	L3, L4  int // offsets; L4 is zero if there is no whole TCP or UDP header
	Payload int
	V6      bool
	Proto   uint8
}

// Parse finds the headers of an IP frame; ok is false for others.
func Parse(data []byte) (h Headers, ok bool) {
	at := etherHeader
	if len(data) < at {
		return h, false
	}
	typ := be.Uint16(data[12:])
	for n := 0; (typ == typeVLAN || typ == typeQinQ) && n < 2 && len(data) >= at+4; n++ {
		typ = be.Uint16(data[at+2:])
		at += 4
	}
	h.L3 = at
	switch {
	case typ == typeIPv4 && len(data) >= at+20:
		n := int(data[at]&15) * 4
		if data[at]>>4 != 4 || n < 20 || len(data) < at+n {
			return h, false
		}
		h.Proto = data[at+9]
		if be.Uint16(data[at+6:])&0x3fff != 0 { // a fragment
			return h, true
		}
		at += n
	case typ == typeIPv6 && len(data) >= at+40:
		h.V6, h.Proto = true, data[at+6]
		at += 40
	default:
		return h, false
	}
	switch {
	case h.Proto == protoTCP && len(data) >= at+20 && int(data[at+12]>>4) >= 5 && len(data) >= at+int(data[at+12]>>4)*4:
		h.L4, h.Payload = at, at+int(data[at+12]>>4)*4
	case h.Proto == protoUDP && len(data) >= at+8:
		h.L4, h.Payload = at, at+8
	}
	return h, true
}

// pseudo is the sum of the pseudo header of a segment with n bytes from the transport header on.
func (h *Headers) pseudo(data []byte, n int) uint32 {
	if h.V6 {
		return Sum(Sum(uint32(h.Proto)+uint32(n), data[h.L3+8:h.L3+40]), nil)
	}
	return Sum(uint32(h.Proto)+uint32(n), data[h.L3+12:h.L3+20])
}

// CompleteChecksum does what NeedsCsum asks for, in place.
func CompleteChecksum(data []byte, start, offset int) {
	at := start + offset
	if start >= len(data) || at+2 > len(data) {
		return
	}
	sum := Fold(Sum(0, data[start:]))
	if sum == 0 && offset == 6 { // UDP has no zero
		sum = 0xffff
	}
	be.PutUint16(data[at:], sum)
}

// Finish does the work that is left of a frame and calls out with each complete frame.
func Finish(data []byte, off *Offload, out func([]byte)) {
	switch off.GSOType &^ GSOECN {
	case GSOTCPv4, GSOTCPv6, GSOUDP:
		h, ok := Parse(data)
		if ok && h.L4 != 0 && off.GSOSize != 0 && len(data)-h.Payload > int(off.GSOSize) {
			segment(data, h, int(off.GSOSize), out)
			return
		}
	}
	if off.Flags&NeedsCsum != 0 {
		b := append([]byte(nil), data...)
		CompleteChecksum(b, int(off.CsumStart), int(off.CsumOffset))
		data = b
	}
	out(data)
}

// TCP flags that only the last or the first segment has.
const (
	tcpFIN, tcpPSH, tcpCWR = 0x01, 0x08, 0x80
)

// segment cuts a frame into segments with up to size bytes of payload.
func segment(data []byte, h Headers, size int, out func([]byte)) {
	if h.Proto == protoUDP {
		fragment(data, h, out, size)
		return
	}
	b := make([]byte, h.Payload+size)
	seq := be.Uint32(data[h.L4+4:])
	flags := data[h.L4+13]
	for i, pos := 0, h.Payload; pos < len(data); i++ {
		n := min(size, len(data)-pos)
		seg := b[:h.Payload+n]
		copy(seg, data[:h.Payload])
		copy(seg[h.Payload:], data[pos:pos+n])
		be.PutUint32(seg[h.L4+4:], seq+uint32(pos-h.Payload))
		f := flags
		if pos+n < len(data) {
			f &^= tcpFIN | tcpPSH
		}
		if i > 0 {
			f &^= tcpCWR
		}
		seg[h.L4+13] = f
		if h.V6 {
			be.PutUint16(seg[h.L3+4:], uint16(len(seg)-h.L3-40))
		} else {
			be.PutUint16(seg[h.L3+2:], uint16(len(seg)-h.L3))
			be.PutUint16(seg[h.L3+4:], be.Uint16(data[h.L3+4:])+uint16(i))
			sumIPv4(seg, h)
		}
		be.PutUint16(seg[h.L4+16:], 0)
		be.PutUint16(seg[h.L4+16:], Fold(Sum(h.pseudo(seg, len(seg)-h.L4), seg[h.L4:])))
		out(seg)
		pos += n
	}
}

func sumIPv4(b []byte, h Headers) {
	end := h.L3 + int(b[h.L3]&15)*4
	be.PutUint16(b[h.L3+10:], 0)
	be.PutUint16(b[h.L3+10:], Fold(Sum(0, b[h.L3:end])))
}

// fragment cuts a UDP datagram over IPv4 into fragments of IP.
func fragment(data []byte, h Headers, out func([]byte), size int) {
	whole := append([]byte(nil), data...)
	be.PutUint16(whole[h.L4+6:], 0)
	sum := Fold(Sum(h.pseudo(whole, len(whole)-h.L4), whole[h.L4:]))
	if sum == 0 {
		sum = 0xffff
	}
	be.PutUint16(whole[h.L4+6:], sum)
	size &^= 7
	if h.V6 || size == 0 {
		out(whole)
		return
	}
	for pos := h.L4; pos < len(whole); pos += size {
		n := min(size, len(whole)-pos)
		f := append(append([]byte(nil), whole[:h.L4]...), whole[pos:pos+n]...)
		be.PutUint16(f[h.L3+2:], uint16(len(f)-h.L3))
		where := uint16((pos - h.L4) / 8)
		if pos+n < len(whole) {
			where |= 0x2000
		}
		be.PutUint16(f[h.L3+6:], where)
		sumIPv4(f, h)
		out(f)
	}
}
