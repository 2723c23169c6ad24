package interp

import (
	"math/bits"

	"goemu/tcg/ir"
)

// Fields of the immediate of PCMPxSTRx (SDM volume 2, section 4.1).
const (
	strWords    = 1 << 0 // elements are words, else bytes
	strSigned   = 1 << 1
	strAggShift = 2 // two bits: aggregation
	strNegate   = 1 << 4
	strMasked   = 1 << 5 // negate valid elements only
	strLast     = 1 << 6 // index of the last one; mask of whole elements
)

// Aggregations.
const (
	strAny = iota
	strRanges
	strEach
	strOrdered
)

// strElem is log2 of the element size.
func (o *vecOp) strElem() uint { return uint(o.imm() & strWords) }

// implicitLengths counts the elements before the first zero.
func (o *vecOp) implicitLengths() (la, lb int) {
	length := func(v *vec) int {
		n := 16 >> o.strElem()
		for i := range n {
			if v.u(o.strElem(), i) == 0 {
				return i
			}
		}
		return n
	}
	return length(&o.a), length(&o.b)
}

// explicitLengths are the magnitudes of A and B, no more than there is room for.
func (o *vecOp) explicitLengths() (la, lb int) {
	length := func(v uint64) int {
		if int64(v) < 0 {
			v = -v
		}
		return int(min(v, 16>>o.strElem()))
	}
	return length(o.io.A), length(o.io.B)
}

// strElement is an element as it is compared.
func (o *vecOp) strElement(v *vec, i int) int64 {
	if o.imm()&strSigned != 0 {
		return v.s(o.strElem(), i)
	}
	return int64(v.u(o.strElem(), i))
}

// strMatch is what the aggregation says about element i of VB.
func (o *vecOp) strMatch(i, la, lb int) bool {
	n := 16 >> o.strElem()
	switch o.imm() >> strAggShift & 3 {
	case strAny:
		for j := range la {
			if i < lb && o.strElement(&o.a, j) == o.strElement(&o.b, i) {
				return true
			}
		}
		return false
	case strRanges:
		for j := 0; j+1 < la; j += 2 {
			x := o.strElement(&o.b, i)
			if i < lb && o.strElement(&o.a, j) <= x && x <= o.strElement(&o.a, j+1) {
				return true
			}
		}
		return false
	case strEach:
		if i >= la || i >= lb {
			return i >= la && i >= lb
		}
		return o.strElement(&o.a, i) == o.strElement(&o.b, i)
	}
	for j := 0; j < la && i+j < n; j++ {
		if i+j >= lb || o.strElement(&o.a, j) != o.strElement(&o.b, i+j) {
			return false
		}
	}
	return true
}

// strCompare is the bit mask of matching elements; it sets the flags.
func (o *vecOp) strCompare(la, lb int) uint64 {
	n := 16 >> o.strElem()
	var m uint64
	for i := range n {
		m |= b2u(o.strMatch(i, la, lb)) << i
	}
	if o.imm()&strNegate != 0 {
		valid := uint64(1)<<n - 1
		if o.imm()&strMasked != 0 {
			valid = 1<<lb - 1
		}
		m ^= valid
	}
	o.io.FOut = flag(m != 0, ir.FlagC) | flag(lb < n, ir.FlagZ) | flag(la < n, ir.FlagS) | flag(m&1 != 0, ir.FlagV)
	return m
}

func (o *vecOp) strIndex(la, lb int) {
	m := o.strCompare(la, lb)
	switch {
	case m == 0:
		o.io.Dst = 16 >> o.strElem()
	case o.imm()&strLast != 0:
		o.io.Dst = uint64(bits.Len64(m) - 1)
	default:
		o.io.Dst = uint64(bits.TrailingZeros64(m))
	}
}

func (o *vecOp) strMask(la, lb int) {
	m := o.strCompare(la, lb)
	if o.imm()&strLast == 0 {
		o.r[0] = m
		return
	}
	for i := range 16 >> o.strElem() {
		o.r.put(o.strElem(), i, ones(m>>i&1 != 0))
	}
}
