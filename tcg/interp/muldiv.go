package interp

import (
	"math"
	"math/bits"

	"goemu/tcg"
	"goemu/tcg/ir"
)

// product defines the results of a multiplication.
func product[T word](x *exec, in *inst, lo, hi T, over bool) bool {
	x.v[in.dst], x.v[in.dst2] = uint64(lo), uint64(hi)
	x.setImage(in.fout, szp(lo)|flag(over, ir.FlagC|ir.FlagV))
	return false
}

// mul is the signed multiplication of less than 64 bits, with and without high half.
func mul[T word](x *exec, in *inst) bool {
	p := signed(T(x.v[in.a])) * signed(T(x.v[in.b]))
	lo := T(p)
	return product(x, in, lo, T(p>>width[T]()), signed(lo) != p)
}

func mul64(x *exec, in *inst) bool {
	a, b := x.v[in.a], x.v[in.b]
	hi, lo := bits.Mul64(a, b)
	hi -= uint64(int64(a)>>63)&b + uint64(int64(b)>>63)&a
	return product(x, in, lo, hi, hi != uint64(int64(lo)>>63))
}

func mulU[T word](x *exec, in *inst) bool {
	p := uint64(T(x.v[in.a])) * uint64(T(x.v[in.b]))
	hi := T(p >> width[T]())
	return product(x, in, T(p), hi, hi != 0)
}

func mulU64(x *exec, in *inst) bool {
	hi, lo := bits.Mul64(x.v[in.a], x.v[in.b])
	return product(x, in, lo, hi, hi != 0)
}

// divideError leaves with a division error at the instruction.
func (x *exec) divideError(in *inst) bool {
	x.hdr.PC = in.pc
	x.slot, x.leave = slotLeave, tcg.LeaveDivide
	return true
}

func divU[T word](x *exec, in *inst) bool {
	n, d := uint64(T(x.v[in.b]))<<width[T]()|uint64(T(x.v[in.a])), uint64(T(x.v[in.c]))
	if d == 0 || n/d > uint64(^T(0)) {
		return x.divideError(in)
	}
	x.v[in.dst], x.v[in.dst2] = n/d, n%d
	return false
}

func divU64(x *exec, in *inst) bool {
	hi, lo, d := x.v[in.b], x.v[in.a], x.v[in.c]
	if hi >= d { // d == 0 as well
		return x.divideError(in)
	}
	x.v[in.dst], x.v[in.dst2] = bits.Div64(hi, lo, d)
	return false
}

func divS[T word](x *exec, in *inst) bool {
	w := width[T]()
	sh := 64 - 2*w
	n := int64((uint64(T(x.v[in.b]))<<w|uint64(T(x.v[in.a])))<<sh) >> sh
	d := signed(T(x.v[in.c]))
	if d == 0 || d == -1 && n == math.MinInt64 {
		return x.divideError(in)
	}
	q := n / d
	if signed(T(q)) != q {
		return x.divideError(in)
	}
	x.v[in.dst], x.v[in.dst2] = uint64(T(q)), uint64(T(n%d))
	return false
}

func divS64(x *exec, in *inst) bool {
	hi, lo, d := x.v[in.b], x.v[in.a], x.v[in.c]
	negN, negD := int64(hi) < 0, int64(d) < 0
	if negN {
		var borrow uint64
		lo, borrow = bits.Sub64(0, lo, 0)
		hi, _ = bits.Sub64(0, hi, borrow)
	}
	if negD {
		d = -d
	}
	if hi >= d {
		return x.divideError(in)
	}
	q, r := bits.Div64(hi, lo, d)
	if limit := uint64(1) << 63; negN != negD && q > limit || negN == negD && q >= limit {
		return x.divideError(in)
	}
	if negN != negD {
		q = -q
	}
	if negN {
		r = -r
	}
	x.v[in.dst], x.v[in.dst2] = q, r
	return false
}
