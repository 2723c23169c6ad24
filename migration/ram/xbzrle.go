package ram

import (
	"encoding/binary"
	"errors"
	"math"
	"sync/atomic"

	"goemu/internal/memory"
)

// XBZRLE (xor-based zero run-length encoding) sends of a page that was sent before only what has changed: runs of bytes that are as they
// were, of which the length is sent, take turns with runs of bytes that are not, which follow their length. Lengths are ULEB128 numbers of
// one or two bytes. What comes after the last changed byte is left out.

// encodingXBZRLE stands before each encoded page.
const encodingXBZRLE = 1

// noPage is the key of an empty entry.
const noPage = math.MaxUint64

// XBZRLECounters are figures about the encoding. They may be read at any time.
type XBZRLECounters struct {
	Bytes, Pages, Misses, Overflows atomic.Uint64
	MissRate, EncodingRate          atomic.Uint64 // thousandths
}

// xbzrle is what a source keeps of the pages that it has sent: exactly what the destination has.
type xbzrle struct {
	keys []uint64 // of the pages in data, by their place
	data []byte
	now  [memory.PageSize]byte // the page that is encoded, which the guest does not change
	buf  []byte

	since [4]uint64 // bytes, pages, misses and all pages at the beginning of the period
}

// SetXBZRLE makes pages be encoded that were sent before, of which size bytes, a power of two, are kept. 0 ends that.
func (s *Saver) SetXBZRLE(size uint64) {
	if size == 0 {
		s.cache = nil
		return
	}
	if s.cache != nil && uint64(len(s.cache.data)) == size {
		return
	}
	c := &xbzrle{keys: make([]uint64, size/memory.PageSize), data: make([]byte, size), buf: make([]byte, 0, memory.PageSize)}
	for i := range c.keys {
		c.keys[i] = noPage
	}
	s.cache = c
}

// find returns the place of a page, and whether the page is there.
func (c *xbzrle) find(key uint64) (data []byte, slot *uint64, hit bool) {
	i := key & uint64(len(c.keys)-1)
	return c.data[i<<memory.PageBits : (i+1)<<memory.PageBits], &c.keys[i], c.keys[i] == key
}

// zero notes that a page of zeroes was sent.
func (c *xbzrle) zero(key uint64) {
	if data, _, hit := c.find(key); hit {
		clear(data)
	}
}

var errOverflow = errors.New("the encoding is longer than the page")

// encodeXBZRLE appends to dst what makes now out of before, at most limit bytes. Nothing is appended if they are equal.
func encodeXBZRLE(dst, before, now []byte, limit int) ([]byte, error) {
	for i := 0; i < len(now); {
		same := i
		for i+8 <= len(now) && binary.NativeEndian.Uint64(before[i:]) == binary.NativeEndian.Uint64(now[i:]) {
			i += 8
		}
		for i < len(now) && before[i] == now[i] {
			i++
		}
		if i == len(now) {
			break
		}
		from := i
		for i < len(now) && before[i] != now[i] {
			i++
		}
		dst = binary.AppendUvarint(binary.AppendUvarint(dst, uint64(from-same)), uint64(i-from))
		if len(dst)+i-from > limit {
			return nil, errOverflow
		}
		dst = append(dst, now[from:i]...)
	}
	return dst, nil
}

// decodeXBZRLE changes page as an encoding says; false if it is none.
func decodeXBZRLE(page, src []byte) bool {
	number := func() (int, bool) {
		v, n := binary.Uvarint(src[:min(2, len(src))])
		if n <= 0 {
			return 0, false
		}
		src = src[n:]
		return int(v), true
	}
	for first := true; len(src) > 0; first = false {
		same, ok := number()
		if !ok || same == 0 && !first || same > len(page) {
			return false
		}
		page = page[same:]
		n, ok := number()
		if !ok || n == 0 || n > len(page) || n > len(src) {
			return false
		}
		copy(page, src[:n])
		page, src = page[n:], src[n:]
	}
	return true
}

// rates computes the figures of a period in which the saver has sent pages of any kind.
func (c *xbzrle) rates(x *XBZRLECounters, pages uint64) {
	now := [4]uint64{x.Bytes.Load(), x.Pages.Load(), x.Misses.Load(), pages}
	var d [4]uint64
	for i := range d {
		d[i] = now[i] - c.since[i]
	}
	c.since = now
	if d[3] != 0 {
		x.MissRate.Store(d[2] * 1000 / d[3])
	}
	x.EncodingRate.Store(0)
	if d[0] != 0 {
		x.EncodingRate.Store(d[1] * memory.PageSize * 1000 / d[0])
	}
}
