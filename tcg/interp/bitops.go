package interp

import (
	"math/bits"

	"goemu/tcg/ir"
)

func bsf[T word](x *exec, in *inst) bool {
	a := uint64(T(x.v[in.a]))
	return x.scanned(in, a == 0, uint64(bits.TrailingZeros64(a)))
}

func bsr[T word](x *exec, in *inst) bool {
	a := uint64(T(x.v[in.a]))
	return x.scanned(in, a == 0, uint64(bits.Len64(a)-1))
}

func (x *exec) scanned(in *inst, zero bool, index uint64) bool {
	if zero {
		index = x.v[in.b]
	}
	x.v[in.dst] = index
	x.setImage(in.fout, flag(zero, ir.FlagZ))
	return false
}

func tzcnt[T word](x *exec, in *inst) bool {
	a := T(x.v[in.a])
	return x.counted(in, a == 0, min(uint64(bits.TrailingZeros64(uint64(a))), uint64(width[T]())))
}

func lzcnt[T word](x *exec, in *inst) bool {
	a := T(x.v[in.a])
	return x.counted(in, a == 0, uint64(width[T]())-uint64(bits.Len64(uint64(a))))
}

func (x *exec) counted(in *inst, zero bool, n uint64) bool {
	x.v[in.dst] = n
	x.setImage(in.fout, flag(zero, ir.FlagC)|flag(n == 0, ir.FlagZ))
	return false
}

func popcnt[T word](x *exec, in *inst) bool {
	n := uint64(bits.OnesCount64(uint64(T(x.v[in.a]))))
	x.v[in.dst] = n
	x.setImage(in.fout, flag(n == 0, ir.FlagZ))
	return false
}

func bswap[T word](x *exec, in *inst) bool {
	x.v[in.dst] = bits.ReverseBytes64(uint64(T(x.v[in.a]))) >> (64 - width[T]())
	return false
}

func pdep[T word](x *exec, in *inst) bool {
	v, r := x.v[in.a], uint64(0)
	for m := uint64(T(x.v[in.b])); m != 0; m &= m - 1 {
		r |= m & -m & -(v & 1)
		v >>= 1
	}
	x.v[in.dst] = r
	return false
}

func pext[T word](x *exec, in *inst) bool {
	v, r := x.v[in.a], uint64(0)
	for m, i := uint64(T(x.v[in.b])), uint(0); m != 0; m &= m - 1 {
		r |= v >> bits.TrailingZeros64(m) & 1 << i
		i++
	}
	x.v[in.dst] = r
	return false
}

// masked defines a result and its flags: sign and zero, no overflow.
func masked[T word](x *exec, in *inst, r T, c bool) bool {
	x.v[in.dst] = uint64(r)
	x.setImage(in.fout, szp(r)|flag(c, ir.FlagC))
	return false
}

func bextr[T word](x *exec, in *inst) bool {
	a, ctl := T(x.v[in.a]), x.v[in.b]
	return masked(x, in, a>>(ctl&0xff)&^(^T(0)<<(ctl>>8&0xff)), false)
}

func bzhi[T word](x *exec, in *inst) bool {
	n := uint(x.v[in.b] & 0xff)
	return masked(x, in, T(x.v[in.a])&^(^T(0)<<n), n >= width[T]())
}

func blsi[T word](x *exec, in *inst) bool {
	a := T(x.v[in.a])
	return masked(x, in, a&-a, a != 0)
}

func blsr[T word](x *exec, in *inst) bool {
	a := T(x.v[in.a])
	return masked(x, in, a&(a-1), a == 0)
}

func blsmsk[T word](x *exec, in *inst) bool {
	a := T(x.v[in.a])
	return masked(x, in, a^(a-1), a == 0)
}

// bit is the mask that a bit operation selects; the carry is set from A.
func bit[T word](x *exec, in *inst) (a, m T) {
	a, m = T(x.v[in.a]), T(1)<<(uint(x.v[in.b])&(width[T]()-1))
	x.setImage(in.fout, x.f[in.fin].image()&^ir.FlagC|flag(a&m != 0, ir.FlagC))
	return a, m
}

func bt[T word](x *exec, in *inst) bool {
	bit[T](x, in)
	return false
}

func bts[T word](x *exec, in *inst) bool {
	a, m := bit[T](x, in)
	x.v[in.dst] = uint64(a | m)
	return false
}

func btr[T word](x *exec, in *inst) bool {
	a, m := bit[T](x, in)
	x.v[in.dst] = uint64(a &^ m)
	return false
}

func btc[T word](x *exec, in *inst) bool {
	a, m := bit[T](x, in)
	x.v[in.dst] = uint64(a ^ m)
	return false
}

// castagnoli is the CRC-32C polynomial, reflected.
const castagnoli = 0x82f63b78

func crc32c[T word](x *exec, in *inst) bool {
	crc, v := uint32(x.v[in.a]), uint64(T(x.v[in.b]))
	for i := uint(0); i < width[T](); i += 8 {
		crc ^= uint32(v >> i & 0xff)
		for range 8 {
			crc = crc>>1 ^ castagnoli&-(crc&1)
		}
	}
	x.v[in.dst] = uint64(crc)
	return false
}
