// Package bitmap holds dirty bitmaps: which parts of a disk were written since some moment. It knows nothing of nodes and images.
package bitmap

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// wordBits is the number of bits in a word of a Map.
const wordBits = 64

// Map is a set of equally large chunks of a disk, with levels of summary above the bits: bit i of a level tells whether word i of the
// level below has any bit set. The zero Map is not usable; see NewMap. A Map has no lock.
type Map struct {
	size   int64 // bytes of the disk
	shift  uint  // log2 of the chunk's size
	count  int64 // chunks in the set
	levels [][]uint64
}

// NewMap makes an empty set for a disk of size bytes in chunks of 1<<shift bytes.
func NewMap(size int64, shift uint) *Map {
	m := &Map{size: size, shift: shift}
	m.levels = makeLevels(m.chunks())
	return m
}

func makeLevels(n int64) (levels [][]uint64) {
	for {
		n = max(1, (n+wordBits-1)/wordBits)
		levels = append(levels, make([]uint64, n))
		if n == 1 {
			return levels
		}
	}
}

// chunks is the number of chunks of the disk; the last one may be cut off.
func (m *Map) chunks() int64 {
	n := m.size >> m.shift
	if n<<m.shift < m.size {
		n++
	}
	return n
}

// Size is the size of the disk in bytes.
func (m *Map) Size() int64 { return m.size }

// Granularity is the size of a chunk in bytes.
func (m *Map) Granularity() int64 { return 1 << m.shift }

// Count is the number of bytes in the set, counting the last chunk whole.
func (m *Map) Count() int64 { return m.count << m.shift }

// Clone copies the set.
func (m *Map) Clone() *Map {
	c := *m
	c.levels = make([][]uint64, len(m.levels))
	for i, l := range m.levels {
		c.levels[i] = append([]uint64(nil), l...)
	}
	return &c
}

// clip turns a byte range into a range of chunks that touch it.
func (m *Map) clip(off, n int64) (first, last int64) {
	if off < 0 || n <= 0 || off >= m.size {
		return 0, 0
	}
	end := m.size
	if n < m.size-off {
		end = off + n
	}
	return off >> m.shift, (end-1)>>m.shift + 1
}

// mask has the bits of first..last-1 that lie in word w.
func mask(w, first, last int64) uint64 {
	lo, hi := max(first-w*wordBits, 0), min(last-w*wordBits, wordBits)
	return ^uint64(0) << lo & (^uint64(0) >> (wordBits - hi))
}

// Set adds the chunks that touch the range.
func (m *Map) Set(off, n int64) {
	first, last := m.clip(off, n)
	if first < last {
		m.setBits(first, last)
	}
}

func (m *Map) setBits(first, last int64) {
	words := m.levels[0]
	for w := first / wordBits; w <= (last-1)/wordBits; w++ {
		add := mask(w, first, last) &^ words[w]
		m.count += int64(bits.OnesCount64(add))
		words[w] |= add
	}
	for _, l := range m.levels[1:] {
		first, last = first/wordBits, (last-1)/wordBits+1
		for w := first / wordBits; w <= (last-1)/wordBits; w++ {
			l[w] |= mask(w, first, last)
		}
	}
}

// Reset removes the chunks that touch the range.
func (m *Map) Reset(off, n int64) {
	first, last := m.clip(off, n)
	if first >= last {
		return
	}
	words := m.levels[0]
	for w := first / wordBits; w <= (last-1)/wordBits; w++ {
		del := mask(w, first, last) & words[w]
		m.count -= int64(bits.OnesCount64(del))
		words[w] &^= del
	}
	m.summarise(first, last)
}

// summarise recomputes the upper levels above the bits first..last-1.
func (m *Map) summarise(first, last int64) {
	for i, l := range m.levels[1:] {
		below := m.levels[i]
		first, last = first/wordBits, (last-1)/wordBits+1
		for b := first; b < last; b++ {
			if below[b] != 0 {
				l[b/wordBits] |= 1 << (b % wordBits)
			} else {
				l[b/wordBits] &^= 1 << (b % wordBits)
			}
		}
	}
}

// Clear empties the set.
func (m *Map) Clear() {
	for _, l := range m.levels {
		clear(l)
	}
	m.count = 0
}

// Get tells whether the chunk with the byte is in the set.
func (m *Map) Get(off int64) bool {
	if off < 0 || off >= m.size {
		return false
	}
	b := off >> m.shift
	return m.levels[0][b/wordBits]&(1<<(b%wordBits)) != 0
}

// nextSet finds the first set bit from b on.
func (m *Map) nextSet(b int64) (int64, bool) {
	level := 0
	for {
		if w := b / wordBits; w < int64(len(m.levels[level])) {
			if rest := m.levels[level][w] >> (b % wordBits); rest != 0 {
				b += int64(bits.TrailingZeros64(rest))
				break
			}
		}
		if level++; level == len(m.levels) {
			return 0, false
		}
		b = b/wordBits + 1
	}
	for ; level > 0; level-- {
		b = b*wordBits + int64(bits.TrailingZeros64(m.levels[level-1][b]))
	}
	return b, true
}

// nextClear finds the first clear bit in b..end-1.
func (m *Map) nextClear(b, end int64) (int64, bool) {
	for b < end {
		rest := ^m.levels[0][b/wordBits] >> (b % wordBits)
		if rest != 0 {
			b += int64(bits.TrailingZeros64(rest))
			return b, b < end
		}
		b = (b/wordBits + 1) * wordBits
	}
	return 0, false
}

// NextDirty finds the first byte in off..off+n-1 whose chunk is in the set.
func (m *Map) NextDirty(off, n int64) (int64, bool) {
	first, last := m.clip(off, n)
	if first >= last {
		return 0, false
	}
	b, ok := m.nextSet(first)
	if !ok || b >= last {
		return 0, false
	}
	return max(off, b<<m.shift), true
}

// NextZero finds the first byte in off..off+n-1 whose chunk is not in the set.
func (m *Map) NextZero(off, n int64) (int64, bool) {
	first, last := m.clip(off, n)
	b, ok := m.nextClear(first, last)
	if !ok {
		return 0, false
	}
	return max(off, b<<m.shift), true
}

// NextDirtyArea finds the first run of bytes in start..end-1 whose chunks are in the set, at most limit bytes of it.
func (m *Map) NextDirtyArea(start, end, limit int64) (off, n int64, ok bool) {
	end = min(end, m.size)
	if off, ok = m.NextDirty(start, end-start); !ok {
		return 0, 0, false
	}
	n = min(end-off, limit)
	if z, found := m.NextZero(off, n); found {
		n = z - off
	}
	return off, n, true
}

// Status tells whether the chunk at off is in the set and how many bytes, at most n, from there are alike.
func (m *Map) Status(off, n int64) (dirty bool, length int64) {
	next := m.NextDirty
	if dirty = m.Get(off); dirty {
		next = m.NextZero
	}
	if b, ok := next(off, n); ok {
		return dirty, b - off
	}
	return dirty, n
}

// Merge adds what is in src, a set for a disk of the same size.
func (m *Map) Merge(src *Map) {
	if m.shift != src.shift {
		for off, n, ok := src.NextDirtyArea(0, src.size, math.MaxInt64); ok; off, n, ok = src.NextDirtyArea(off+n, src.size, math.MaxInt64) {
			m.Set(off, n)
		}
		return
	}
	for i, l := range m.levels {
		for w := range l {
			l[w] |= src.levels[i][w]
		}
	}
	m.recount()
}

// recount counts the bits again.
func (m *Map) recount() {
	m.count = 0
	for _, w := range m.levels[0] {
		m.count += int64(bits.OnesCount64(w))
	}
}

// Truncate changes the size of the disk. New chunks are not in the set.
func (m *Map) Truncate(size int64) {
	old := m.levels[0]
	m.size = size
	m.levels = makeLevels(m.chunks())
	copy(m.levels[0], old)
	m.trim()
	m.summarise(0, max(1, m.chunks()))
	m.recount()
}

// trim clears the bits behind the last chunk.
func (m *Map) trim() {
	words := m.levels[0]
	for w, n := m.chunks()/wordBits, m.chunks(); w < int64(len(words)); w++ {
		words[w] &= 1<<uint(max(0, n-w*wordBits)) - 1
	}
}

// SerialAlign is the number of bytes of the disk that one word of the serial form covers: parts start at its multiples.
func (m *Map) SerialAlign() int64 { return wordBits << m.shift }

// serialWords is the range of words of a part.
func (m *Map) serialWords(off, n int64) []uint64 {
	first, last := m.clip(off, n)
	if first >= last {
		return nil
	}
	return m.levels[0][first/wordBits : (last-1)/wordBits+1]
}

// SerialSize is the size in bytes of the serial form of a part that starts at a multiple of SerialAlign.
func (m *Map) SerialSize(off, n int64) int64 { return 8 * int64(len(m.serialWords(off, n))) }

// Serialize writes the bits of a part as little-endian 64-bit words into dst, which has room for SerialSize bytes.
func (m *Map) Serialize(dst []byte, off, n int64) {
	for i, w := range m.serialWords(off, n) {
		binary.LittleEndian.PutUint64(dst[8*i:], w)
	}
}

// Deserialize reads the bits of a part; call Finish after the last part. A short src leaves the rest alone.
func (m *Map) Deserialize(src []byte, off, n int64) {
	words := m.serialWords(off, n)
	for i := range min(len(words), len(src)/8) {
		words[i] = binary.LittleEndian.Uint64(src[8*i:])
	}
}

// Fill makes all bits of a part equal; call Finish after the last part.
func (m *Map) Fill(off, n int64, dirty bool) {
	w := uint64(0)
	if dirty {
		w = ^w
	}
	words := m.serialWords(off, n)
	for i := range words {
		words[i] = w
	}
}

// Finish makes the set whole after its parts were read.
func (m *Map) Finish() {
	m.trim()
	m.summarise(0, max(1, m.chunks()))
	m.recount()
}
