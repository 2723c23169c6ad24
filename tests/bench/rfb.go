package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// Encodings of the RFB protocol (RFC 6143 and its registry) that the client asks for.
const (
	rfbTight = 7
	rfbZRLE  = 16
)

// Bits of the first byte of a tight rectangle: what it holds in the upper half, with a filter named in the bits below.
const (
	tightFill   = 0x80
	tightJPEG   = 0x90
	tightFilter = 0x40

	filterPalette = 1
	// tightPlain is how many bytes are sent as they are.
	tightPlain = 12
)

// viewer is a VNC client that looks at pictures no further than it must to find their ends.
type viewer struct {
	c             net.Conn
	in            *bufio.Reader
	width, height int
	bytes         int64 // of all messages so far
}

// view connects to a server without authentication and asks for an encoding, with pixels of 32 bits.
func view(socket string, encoding int32) (v *viewer, err error) {
	v = &viewer{}
	if v.c, err = net.Dial("unix", socket); err != nil {
		return nil, err
	}
	v.in = bufio.NewReaderSize(v.c, 1<<16)
	if err := v.greet(encoding); err != nil {
		v.c.Close()
		return nil, err
	}
	return v, nil
}

func (v *viewer) greet(encoding int32) error {
	b := make([]byte, 24)
	if err := v.read(b[:12]); err != nil {
		return err
	}
	if _, err := v.c.Write([]byte("RFB 003.008\n")); err != nil {
		return err
	}
	if err := v.read(b[:1]); err != nil {
		return err
	}
	if err := v.read(b[:b[0]]); err != nil {
		return err
	}
	if _, err := v.c.Write([]byte{1}); err != nil { // no authentication
		return err
	}
	if err := v.read(b[:4]); err != nil {
		return err
	}
	if _, err := v.c.Write([]byte{1}); err != nil { // shared
		return err
	}
	if err := v.read(b[:24]); err != nil {
		return err
	}
	v.width, v.height = int(binary.BigEndian.Uint16(b)), int(binary.BigEndian.Uint16(b[2:]))
	if _, err := io.CopyN(io.Discard, v.in, int64(binary.BigEndian.Uint32(b[20:]))); err != nil {
		return err
	}
	// 32 bits, depth 24, little endian, true colour, 8 bits each at 16, 8, 0; then one encoding.
	set := []byte{0, 0, 0, 0, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0, 2, 0, 0, 1}
	_, err := v.c.Write(binary.BigEndian.AppendUint32(set, uint32(encoding)))
	return err
}

func (v *viewer) read(b []byte) error {
	n, err := io.ReadFull(v.in, b)
	v.bytes += int64(n)
	return err
}

func (v *viewer) skip(n int) error {
	k, err := io.CopyN(io.Discard, v.in, int64(n))
	v.bytes += k
	return err
}

// frame asks for what has changed, or for all, and waits for it.
func (v *viewer) frame(all bool) error {
	ask := []byte{3, 1, 0, 0, 0, 0}
	if all {
		ask[1] = 0
	}
	ask = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(ask, uint16(v.width)), uint16(v.height))
	if _, err := v.c.Write(ask); err != nil {
		return err
	}
	b := make([]byte, 12)
	for {
		if err := v.read(b[:1]); err != nil {
			return err
		}
		switch b[0] {
		case 0:
			if err := v.read(b[:3]); err != nil {
				return err
			}
			for range binary.BigEndian.Uint16(b[1:]) {
				if err := v.rectangle(b); err != nil {
					return err
				}
			}
			return nil
		case 2: // bell
		default:
			return fmt.Errorf("unexpected message %d of the VNC server", b[0])
		}
	}
}

func (v *viewer) rectangle(b []byte) error {
	if err := v.read(b[:12]); err != nil {
		return err
	}
	w, h := int(binary.BigEndian.Uint16(b[4:])), int(binary.BigEndian.Uint16(b[6:]))
	switch e := int32(binary.BigEndian.Uint32(b[8:])); e {
	case 0:
		return v.skip(w * h * 4)
	case rfbZRLE:
		if err := v.read(b[:4]); err != nil {
			return err
		}
		return v.skip(int(binary.BigEndian.Uint32(b)))
	case rfbTight:
		return v.tight(w, h, b)
	default:
		return fmt.Errorf("unexpected encoding %d", e)
	}
}

// tight reads a rectangle of w×h pixels of three bytes in tight encoding.
func (v *viewer) tight(w, h int, b []byte) error {
	if err := v.read(b[:1]); err != nil {
		return err
	}
	row := 3 * w
	switch kind := b[0] & 0xf0; {
	case kind == tightFill:
		return v.skip(3)
	case kind == tightJPEG:
		return v.compact(b)
	case kind > tightJPEG:
		return fmt.Errorf("unexpected tight rectangle %#x", b[0])
	case kind&tightFilter != 0:
		if err := v.read(b[:1]); err != nil {
			return err
		}
		if b[0] != filterPalette {
			break
		}
		if err := v.read(b[:1]); err != nil {
			return err
		}
		colours := int(b[0]) + 1
		if err := v.skip(3 * colours); err != nil {
			return err
		}
		if row = w; colours <= 2 {
			row = (w + 7) / 8
		}
	}
	if row*h < tightPlain {
		return v.skip(row * h)
	}
	return v.compact(b)
}

// compact skips data behind its length, which has 7 bits in each of up to three bytes.
func (v *viewer) compact(b []byte) error {
	n := 0
	for shift := 0; shift <= 14; shift += 7 {
		if err := v.read(b[:1]); err != nil {
			return err
		}
		if n |= int(b[0]&0x7f) << shift; b[0] < 0x80 || shift == 14 {
			n |= int(b[0]&0x80) << shift
			break
		}
	}
	return v.skip(n)
}

// watch counts pictures and their bytes for a while.
func (v *viewer) watch(d time.Duration) (frames int, bytes int64, err error) {
	if err := v.frame(true); err != nil {
		return 0, 0, err
	}
	before := v.bytes
	_ = v.c.SetDeadline(time.Now().Add(d))
	for err == nil {
		if err = v.frame(false); err == nil {
			frames++
		}
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() && frames > 0 {
		err = nil
	}
	return frames, v.bytes - before, err
}
