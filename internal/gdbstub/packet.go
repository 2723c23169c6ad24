// Package gdbstub lets gdb control a machine over its remote protocol: registers and memory of every virtual CPU, breakpoints,
// watchpoints, single steps and the monitor's commands. It knows no device and no translator.
package gdbstub

import (
	"encoding/hex"
	"fmt"
)

// Bytes with a meaning in the stream.
const (
	byteStart, byteEnd, byteEscape, byteRepeat = '$', '#', '}', '*'
	byteAck, byteNak, byteBreak                = '+', '-', 3
	escapeXOR                                  = 0x20
)

// packetLimit is the longest packet that gdb may send.
const packetLimit = 16 << 10

// decoder takes packets out of a stream.
type decoder struct {
	state   decState
	buf     []byte
	sum     byte
	want    [2]byte
	escaped bool
}

type decState uint8

const (
	decIdle decState = iota
	decBody
	decSum1
	decSum2
)

// event is what a byte of the stream completes.
type event uint8

const (
	evNone event = iota
	evPacket
	evBadPacket // its sum is wrong or it is too long
	evAck
	evNak
	evBreak
)

// feed takes the next byte. After evPacket the packet is in buf.
func (d *decoder) feed(c byte) event {
	switch d.state {
	case decIdle:
		switch c {
		case byteStart:
			d.state, d.buf, d.sum, d.escaped = decBody, d.buf[:0], 0, false
		case byteAck:
			return evAck
		case byteNak:
			return evNak
		case byteBreak:
			return evBreak
		}
	case decBody:
		d.body(c)
	case decSum1:
		d.want[0], d.state = c, decSum2
	case decSum2:
		d.want[1], d.state = c, decIdle
		sum, err := hex.DecodeString(string(d.want[:]))
		if err != nil || sum[0] != d.sum || len(d.buf) > packetLimit {
			return evBadPacket
		}
		return evPacket
	}
	return evNone
}

func (d *decoder) body(c byte) {
	switch {
	case c == byteEnd && !d.escaped:
		d.state = decSum1
		return
	case c == byteStart && !d.escaped: // the one before was cut off
		d.buf, d.sum = d.buf[:0], 0
		return
	}
	d.sum += c
	switch {
	case d.escaped:
		c, d.escaped = c^escapeXOR, false
	case c == byteEscape:
		d.escaped = true
		return
	}
	if len(d.buf) <= packetLimit {
		d.buf = append(d.buf, c)
	}
}

// encode makes a packet of a text, escaping what has a meaning in the stream.
func encode(text string) []byte {
	out := make([]byte, 0, len(text)+4)
	out = append(out, byteStart)
	sum := byte(0)
	for i := range len(text) {
		c := text[i]
		if c == byteStart || c == byteEnd || c == byteEscape || c == byteRepeat {
			out = append(out, byteEscape)
			sum += byteEscape
			c ^= escapeXOR
		}
		out = append(out, c)
		sum += c
	}
	return fmt.Appendf(out, "#%02x", sum)
}
