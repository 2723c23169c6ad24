package memory

import "math/bits"

// Sizes that apply where a region gives none.
const (
	defaultValidMax = 4
	defaultImplMin  = 1
	defaultImplMax  = 4
)

// valid tells whether the guest may make the access.
func (r *Region) valid(off uint64, size int, write bool) bool {
	if r.Accepts != nil && !r.Accepts(off, size, write) {
		return false
	}
	if !r.Valid.Unaligned && off&uint64(size-1) != 0 {
		return false
	}
	return r.Valid.Max == 0 || size >= r.Valid.Min && size <= r.Valid.Max
}

// accessSize returns the size of the next access to the region when n bytes are to be moved from off on.
func (r *Region) accessSize(off uint64, n int) int {
	limit := r.Valid.Max
	if limit == 0 {
		limit = defaultValidMax
	}
	if !r.Impl.Unaligned && off != 0 {
		limit = int(min(uint64(limit), off&-off))
	}
	n = min(n, limit)
	return 1 << (bits.Len(uint(n)) - 1)
}

// implSize returns the size of the accesses that Ops gets for one of size.
func (r *Region) implSize(size int) int {
	lo, hi := r.Impl.Min, r.Impl.Max
	if lo == 0 {
		lo = defaultImplMin
	}
	if hi == 0 {
		hi = defaultImplMax
	}
	return max(min(size, hi), lo)
}

func (r *Region) dispatchRead(off uint64, size int) (uint64, Result) {
	if !r.valid(off, size, false) {
		return 0, DecodeError
	}
	n := r.implSize(size)
	m := mask(size)
	if n >= size {
		return r.ops.Read(off, n) & m, OK
	}
	var v uint64
	for i := 0; i < size; i += n {
		v |= r.ops.Read(off+uint64(i), n) & mask(n) << (8 * i)
	}
	return v & m, OK
}

func (r *Region) dispatchWrite(off uint64, size int, value uint64) Result {
	if !r.valid(off, size, true) {
		return DecodeError
	}
	n := r.implSize(size)
	for i := 0; i < size; i += n {
		r.ops.Write(off+uint64(i), n, value>>(8*i)&mask(min(n, size)))
	}
	return OK
}

func mask(size int) uint64 {
	if size >= 8 {
		return ^uint64(0)
	}
	return 1<<(8*size) - 1
}

// le reads a little endian number of up to 8 bytes, putLE writes one.
func le(p []byte) (v uint64) {
	for i, b := range p {
		v |= uint64(b) << (8 * i)
	}
	return v
}

func putLE(p []byte, v uint64) {
	for i := range p {
		p[i] = uint8(v >> (8 * i))
	}
}
