// Package inflate decodes DEFLATE data (RFC 1951) that lies in memory into memory. Compressed clusters are such data: their length is known
// and they are needed as a whole, so nothing has to be buffered or kept between calls. It knows nothing of images.
package inflate

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"sync"
)

// ErrCorrupt says that the data is not what a compressor makes, or that it ends too early.
var ErrCorrupt = errors.New("inflate: corrupt data")

// Decode fills dst from the DEFLATE data at the beginning of src. What follows, of the data or behind it, is not looked at.
func Decode(dst, src []byte) error {
	d := decoders.Get().(*decoder)
	defer decoders.Put(d)
	d.src, d.pos, d.bits, d.n = src, 0, 0, 0
	err := d.decode(dst)
	d.src = nil
	return err
}

var decoders = sync.Pool{New: func() any { return new(decoder) }}

// Sizes of the format (RFC 1951, section 3.2.7) and of the tables.
const (
	maxLitLen, maxDist, maxCodeLen = 288, 32, 19

	litBits, distBits, clenBits = 11, 8, 7 // bits that the first lookup takes

	// Enough for each set of code lengths of at most 15 bits: what the first lookup takes, and the largest second tables.
	litTable, distTable, clenTable = 1<<litBits + 1024, 1<<distBits + 512, 1 << clenBits

	longest = 15  // bits of a code
	maxCopy = 258 // bytes of a match
)

// decoder is the state of one Decode.
type decoder struct {
	src  []byte
	pos  int    // in src
	bits uint64 // not yet used, the next one lowest
	n    uint   // number of bits that count

	lit   [litTable]entry
	dist  [distTable]entry
	clen  [clenTable]entry
	fixed bool // the tables are those of fixed codes
}

// entry tells what a code means: in bits 0 to 4 its length; in bits 5 to 8 the number of extra bits; the kind in bits 9 to 11; from bit 16
// on the literal, the base of a length or distance, or where the second table begins, of which bits 5 to 8 are the index's length.
type entry uint32

// The kinds of entries. No kind means that no code is like that.
const (
	isLiteral entry = 1 << 9
	isEnd     entry = 1 << 10
	isSecond  entry = 1 << 11
	isCopy          = isEnd | isSecond // a length or a distance
	kinds           = isLiteral | isCopy
)

func (e entry) length() uint  { return uint(e & 31) }
func (e entry) extra() uint   { return uint(e >> 5 & 15) }
func (e entry) value() uint32 { return uint32(e >> 16) }

// refill makes at least 56 bits available, of which those behind the end of the data are zero.
func (d *decoder) refill() {
	if d.pos+8 <= len(d.src) {
		d.bits |= binary.LittleEndian.Uint64(d.src[d.pos:]) << d.n
		d.pos += int((63 - d.n) >> 3)
		d.n |= 56
		return
	}
	for d.n <= 56 {
		if d.pos < len(d.src) {
			d.bits |= uint64(d.src[d.pos]) << d.n
		}
		d.pos++
		d.n += 8
	}
}

// overrun tells whether bits were used that are not in the data.
func (d *decoder) overrun() bool { return d.pos-int(d.n>>3) > len(d.src) }

// take takes k bits, at most 16. Preconditions: they are available.
func (d *decoder) take(k uint) uint32 {
	v := uint32(d.bits & (1<<k - 1))
	d.bits >>= k
	d.n -= k
	return v
}

func (d *decoder) decode(dst []byte) error {
	at := 0
	for {
		d.refill()
		last := d.take(1)
		var err error
		switch kind := d.take(2); kind {
		case 0:
			at, err = d.stored(dst, at)
		case 1:
			d.fixedTables()
			at, err = d.block(dst, at)
		case 2:
			if err = d.dynamicTables(); err == nil {
				at, err = d.block(dst, at)
			}
		default:
			err = ErrCorrupt
		}
		switch {
		case err != nil:
			return err
		case at == len(dst):
			return nil
		case last == 1:
			return ErrCorrupt
		}
	}
}

// stored copies a block that is not compressed.
func (d *decoder) stored(dst []byte, at int) (int, error) {
	d.take(d.n & 7)
	d.refill()
	n, check := d.take(16), d.take(16)
	d.pos -= int(d.n >> 3)
	d.bits, d.n = 0, 0
	if n != ^check&0xffff || d.pos > len(d.src) {
		return at, ErrCorrupt
	}
	want := min(int(n), len(dst)-at)
	if len(d.src)-d.pos < want {
		return at, ErrCorrupt
	}
	copy(dst[at:at+want], d.src[d.pos:])
	d.pos += int(n)
	return at + want, nil
}

// block decodes the codes of a block up to its end or that of dst.
func (d *decoder) block(dst []byte, at int) (int, error) {
	for at < len(dst) {
		d.refill()
		e := d.lit[d.bits&(1<<litBits-1)]
		if e&kinds == isLiteral {
			// Literals come in rows: a second one is tried with the bits at hand.
			d.bits >>= e.length()
			d.n -= e.length()
			dst[at] = byte(e.value())
			if at++; at == len(dst) {
				break
			}
			if e = d.lit[d.bits&(1<<litBits-1)]; e&kinds == isLiteral {
				d.bits >>= e.length()
				d.n -= e.length()
				dst[at] = byte(e.value())
				if at++; at == len(dst) {
					break
				}
			}
			d.refill()
			e = d.lit[d.bits&(1<<litBits-1)]
		}
		if e&kinds == isSecond {
			e = d.lit[uint64(e.value())+d.bits>>litBits&(1<<e.extra()-1)]
		}
		d.bits >>= e.length()
		d.n -= e.length()
		switch e & kinds {
		case isLiteral:
			dst[at] = byte(e.value())
			at++
			continue
		case isCopy:
		case isEnd:
			if d.overrun() {
				return at, ErrCorrupt
			}
			return at, nil
		default:
			return at, ErrCorrupt
		}
		n := int(e.value() + d.take(e.extra()))
		if e = d.dist[d.bits&(1<<distBits-1)]; e&kinds == isSecond {
			e = d.dist[uint64(e.value())+d.bits>>distBits&(1<<e.extra()-1)]
		}
		if e&kinds != isCopy {
			return at, ErrCorrupt
		}
		d.bits >>= e.length()
		d.n -= e.length()
		back := int(e.value() + d.take(e.extra()))
		if back > at {
			return at, ErrCorrupt
		}
		at = repeat(dst, at, back, min(n, len(dst)-at))
	}
	if d.overrun() {
		return at, ErrCorrupt
	}
	return at, nil
}

// repeat copies n bytes from back bytes before at, of which some may be those that it writes, and returns the end.
func repeat(dst []byte, at, back, n int) int {
	end := at + n
	if back >= 8 && len(dst)-end >= 8 { // what is written too much is written again
		for ; at < end; at += 8 {
			binary.LittleEndian.PutUint64(dst[at:], binary.LittleEndian.Uint64(dst[at-back:]))
		}
		return end
	}
	for start := at - back; at < end; { // each time twice as much
		at += copy(dst[at:end], dst[start:at])
	}
	return end
}

// build makes a table for codes of the given lengths; symbol gives the entry of each but its length. first is the number of bits that the
// first lookup takes. A set of codes that leaves bits unused is only allowed if it has at most one code.
func build(table []entry, first uint, lengths []uint8, symbol func(int) entry) error {
	var count [longest + 1]int
	for _, l := range lengths {
		count[l]++
	}
	count[0] = 0
	clear(table[:1<<first])
	var next [longest + 2]int // where the symbols of a length begin in the order of the codes
	left, used := 1, 0
	for l := 1; l <= longest; l++ {
		if left = left<<1 - count[l]; left < 0 {
			return ErrCorrupt
		}
		used += count[l]
		next[l+1] = used
	}
	if left > 0 && (used > 1 || used == 1 && count[1] == 0) {
		return ErrCorrupt
	}
	var order [maxLitLen + maxDist]uint16
	for s, l := range lengths {
		if l > 0 {
			order[next[l]] = uint16(s)
			next[l]++
		}
	}
	free := 1 << first // where the next second table begins
	code, last := uint32(0), uint8(0)
	for _, s := range order[:used] {
		l := uint(lengths[s])
		code <<= l - uint(last)
		last = lengths[s]
		rev := bits.Reverse32(code) >> (32 - l)
		code++
		e := symbol(int(s)) | entry(l)
		if l <= first {
			for i := rev; i < 1<<first; i += 1 << l {
				table[i] = e
			}
			continue
		}
		head := &table[rev&(1<<first-1)]
		if *head == 0 {
			// The codes that begin like this one are the next ones, and none is shorter: as many bits as they all need.
			width, room := l-first, 1<<(l-first)
			for {
				if room -= count[first+width]; room <= 0 || first+width == longest {
					break
				}
				width++
				room <<= 1
			}
			if free+1<<width > len(table) {
				return ErrCorrupt
			}
			clear(table[free : free+1<<width])
			*head = isSecond | entry(width)<<5 | entry(free)<<16
			free += 1 << width
		}
		count[l]--
		second := table[head.value():][:1<<head.extra()]
		for i := rev >> first; i < 1<<head.extra(); i += 1 << (l - first) {
			second[i] = e
		}
	}
	return nil
}

// base and extra bits of lengths (symbols from 257 on) and distances.
var lengthEntries, distEntries = func() (l [maxLitLen - 257]entry, d [maxDist]entry) {
	at := 3
	for i := range 28 {
		extra := max(i/4-1, 0)
		l[i] = isCopy | entry(extra)<<5 | entry(at)<<16
		at += 1 << extra
	}
	l[28] = isCopy | maxCopy<<16
	at = 1
	for i := range 30 {
		extra := max(i/2-1, 0)
		d[i] = isCopy | entry(extra)<<5 | entry(at)<<16
		at += 1 << extra
	}
	return l, d
}()

func litSymbol(s int) entry {
	switch {
	case s < 256:
		return isLiteral | entry(s)<<16
	case s == 256:
		return isEnd
	}
	return lengthEntries[s-257]
}

func distSymbol(s int) entry { return distEntries[s] }

// fixedTables makes the tables of blocks with fixed codes.
func (d *decoder) fixedTables() {
	if d.fixed {
		return
	}
	var l [maxLitLen]uint8
	for i := range l {
		switch {
		case i < 144, i >= 280:
			l[i] = 8
		case i < 256:
			l[i] = 9
		default:
			l[i] = 7
		}
	}
	var dl [maxDist]uint8
	for i := range dl {
		dl[i] = 5
	}
	_ = build(d.lit[:], litBits, l[:], litSymbol) // complete sets
	_ = build(d.dist[:], distBits, dl[:], distSymbol)
	d.fixed = true
}

// codeOrder is the order in which the lengths of the code length codes are stored.
var codeOrder = [maxCodeLen]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// dynamicTables reads the code lengths of a block and makes its tables.
func (d *decoder) dynamicTables() error {
	d.fixed = false
	lit, dist, n := int(d.take(5))+257, int(d.take(5))+1, int(d.take(4))+4
	if lit > 286 || dist > 30 {
		return ErrCorrupt
	}
	var cl [maxCodeLen]uint8
	for i := range n {
		d.refill()
		cl[codeOrder[i]] = uint8(d.take(3))
	}
	if err := build(d.clen[:], clenBits, cl[:], func(s int) entry { return isLiteral | entry(s)<<16 }); err != nil {
		return err
	}
	var l [maxLitLen + maxDist]uint8
	for i := 0; i < lit+dist; {
		d.refill()
		e := d.clen[d.bits&(1<<clenBits-1)]
		if e == 0 || d.overrun() {
			return ErrCorrupt
		}
		d.take(e.length())
		s := uint8(e.value())
		times := 1
		switch {
		case s < 16:
		case s == 16 && i == 0:
			return ErrCorrupt
		case s == 16:
			s, times = l[i-1], 3+int(d.take(2))
		case s == 17:
			s, times = 0, 3+int(d.take(3))
		default:
			s, times = 0, 11+int(d.take(7))
		}
		if i+times > lit+dist {
			return ErrCorrupt
		}
		for range times {
			l[i] = s
			i++
		}
	}
	if l[256] == 0 {
		return ErrCorrupt
	}
	if err := build(d.lit[:], litBits, l[:lit], litSymbol); err != nil {
		return err
	}
	return build(d.dist[:], distBits, l[lit:lit+dist], distSymbol)
}
