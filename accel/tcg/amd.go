package tcg

import (
	"math"

	"goemu/target/x86"
)

// help3DNow does an operation of 3DNow!: what is its last byte, the destination and the source register.
func (c *CPU) help3DNow(what, src uint64) {
	e := c.env
	dst := e.FP[what>>8&7][:8]
	if what&x86.AMDMem == 0 {
		src = le.Uint64(e.FP[what>>16&7][:])
	}
	le.PutUint64(dst, op3DNow(uint8(what), le.Uint64(dst), src))
}

// halves applies f to both halves.
func halves(d, s uint64, f func(d, s uint32) uint32) uint64 {
	return uint64(f(uint32(d), uint32(s))) | uint64(f(uint32(d>>32), uint32(s>>32)))<<32
}

func floats(d, s uint64, f func(d, s float32) float32) uint64 {
	return halves(d, s, func(d, s uint32) uint32 { return math.Float32bits(f(math.Float32frombits(d), math.Float32frombits(s))) })
}

func compares(d, s uint64, f func(d, s float32) bool) uint64 {
	return halves(d, s, func(d, s uint32) uint32 {
		if f(math.Float32frombits(d), math.Float32frombits(s)) {
			return ^uint32(0)
		}
		return 0
	})
}

// pair makes the result of two numbers.
func pair(lo, hi float32) uint64 {
	return uint64(math.Float32bits(lo)) | uint64(math.Float32bits(hi))<<32
}

// op3DNow is the result of an operation. Reciprocals and square roots are exact at once; the steps that refine them only hand on.
func op3DNow(op uint8, d, s uint64) uint64 {
	d0, d1 := math.Float32frombits(uint32(d)), math.Float32frombits(uint32(d>>32))
	s0, s1 := math.Float32frombits(uint32(s)), math.Float32frombits(uint32(s>>32))
	switch op {
	case x86.PI2FD:
		return pair(float32(int32(s)), float32(int32(s>>32)))
	case x86.PI2FW:
		return pair(float32(int16(s)), float32(int16(s>>32)))
	case x86.PF2ID:
		return halves(d, s, func(_, s uint32) uint32 { return uint32(saturate(s, math.MinInt32, math.MaxInt32)) })
	case x86.PF2IW:
		return halves(d, s, func(_, s uint32) uint32 { return uint32(saturate(s, math.MinInt16, math.MaxInt16)) })
	case x86.PFADD:
		return floats(d, s, func(d, s float32) float32 { return d + s })
	case x86.PFSUB:
		return floats(d, s, func(d, s float32) float32 { return d - s })
	case x86.PFSUBR:
		return floats(d, s, func(d, s float32) float32 { return s - d })
	case x86.PFMUL:
		return floats(d, s, func(d, s float32) float32 { return d * s })
	case x86.PFMIN:
		return floats(d, s, func(d, s float32) float32 { return choose(s < d, s, d) })
	case x86.PFMAX:
		return floats(d, s, func(d, s float32) float32 { return choose(d < s, s, d) })
	case x86.PFCMPEQ:
		return compares(d, s, func(d, s float32) bool { return d == s })
	case x86.PFCMPGE:
		return compares(d, s, func(d, s float32) bool { return d >= s })
	case x86.PFCMPGT:
		return compares(d, s, func(d, s float32) bool { return d > s })
	case x86.PFACC:
		return pair(d0+d1, s0+s1)
	case x86.PFNACC:
		return pair(d0-d1, s0-s1)
	case x86.PFPNACC:
		return pair(d0-d1, s0+s1)
	case x86.PFRCP:
		return pair(1/s0, 1/s0)
	case x86.PFRSQRT:
		r := float32(math.Sqrt(math.Abs(float64(s0))))
		v := math.Float32bits(1/r) | uint32(s)&(1<<31)
		return uint64(v) | uint64(v)<<32
	case x86.PFRCPIT1, x86.PFRSQIT1, x86.PFRCPIT2:
		return s
	case x86.PSWAPD:
		return s>>32 | s<<32
	}
	return integers3DNow(op, d, s)
}

func choose(first bool, a, b float32) float32 {
	if first {
		return a
	}
	return b
}

// saturate truncates a number to an integer within bounds.
func saturate(bits uint32, low, high int64) int64 {
	f := float64(math.Float32frombits(bits))
	switch {
	case f >= float64(high):
		return high
	case f <= float64(low):
		return low
	case f != f:
		if bits>>31 != 0 {
			return low
		}
		return high
	}
	return int64(f)
}

// integers3DNow are PMULHRW and PAVGUSB.
func integers3DNow(op uint8, d, s uint64) (r uint64) {
	if op == x86.PMULHRW {
		for i := 0; i < 64; i += 16 {
			v := int32(int16(d>>i))*int32(int16(s>>i)) + 0x8000
			r |= uint64(uint16(v>>16)) << i
		}
		return r
	}
	for i := 0; i < 64; i += 8 {
		r |= uint64(uint8((d>>i&0xff+s>>i&0xff+1)>>1)) << i
	}
	return r
}

// helpSSE4A does EXTRQ and INSERTQ: what is the kind, the destination and the source register, field the length and the index.
func (c *CPU) helpSSE4A(what, field uint64) {
	e := c.env
	dst, src := e.V[what>>8&15][:], e.V[what>>16&15][:]
	kind := what & 0xff
	switch kind {
	case x86.ExtrqReg:
		field = le.Uint64(src)
	case x86.InsertqReg:
		field = le.Uint64(src[8:])
	}
	n, at := field&63, field>>8&63
	mask := ^uint64(0)
	if n != 0 {
		mask = 1<<n - 1
	}
	d := le.Uint64(dst)
	if kind == x86.ExtrqImm || kind == x86.ExtrqReg {
		d = d >> at & mask
	} else {
		d = d&^(mask<<at) | le.Uint64(src)&mask<<at
	}
	le.PutUint64(dst, d)
}
