package interp

import (
	"math/bits"

	"goemu/tcg/ir"
)

// flags is a Flags value in the lazy form of Header.CC*.
type flags struct {
	op   uint32
	d, s uint64
}

func (f *flags) image() uint64 {
	if f.op < 4 {
		return f.s
	}
	return ir.Image(f.op, f.d, f.s)
}

// carry is the carry flag, 0 or 1.
func (f *flags) carry() uint64 {
	sh := 64 - 8<<(f.op&3)
	var c bool
	switch ir.CC(f.op >> 2) {
	case ir.CCImage, ir.CCInc, ir.CCDec:
		return f.s & 1
	case ir.CCAdd:
		c = f.d<<sh < f.s<<sh
	case ir.CCSub:
		c = (f.d+f.s)<<sh < f.s<<sh
	case ir.CCCmp:
		c = f.d<<sh < f.s<<sh
	}
	if c {
		return 1
	}
	return 0
}

// test evaluates a condition.
func (f *flags) test(c ir.Cond) bool {
	sh := 64 - 8<<(f.op&3)
	var r bool
	switch ir.CC(f.op >> 2) {
	case ir.CCCmp:
		a, b := f.d<<sh, f.s<<sh
		switch c &^ 1 {
		case ir.CondB:
			r = a < b
		case ir.CondE:
			r = a == b
		case ir.CondBE:
			r = a <= b
		case ir.CondL:
			r = int64(a) < int64(b)
		case ir.CondLE:
			r = int64(a) <= int64(b)
		default:
			return c.Test(f.image())
		}
	case ir.CCAdd, ir.CCSub, ir.CCInc, ir.CCDec:
		switch c &^ 1 {
		case ir.CondE:
			r = f.d<<sh == 0
		case ir.CondS:
			r = int64(f.d<<sh) < 0
		default:
			return c.Test(f.image())
		}
	case ir.CCLogic:
		d := f.d << sh
		switch c &^ 1 {
		case ir.CondE, ir.CondBE:
			r = d == 0
		case ir.CondS, ir.CondL:
			r = int64(d) < 0
		case ir.CondLE:
			r = int64(d) <= 0
		case ir.CondP:
			r = bits.OnesCount8(uint8(f.d))&1 == 0
		}
	default:
		return c.Test(f.image())
	}
	return r != (c&1 != 0)
}

// setImage defines a Flags value by an image.
func (x *exec) setImage(slot uint16, image uint64) { x.f[slot] = flags{s: image} }

func getFlags(x *exec, in *inst) bool {
	x.f[in.fout] = flags{x.hdr.CCOp, x.hdr.CCDst, x.hdr.CCSrc}
	return false
}

func setFlags(x *exec, in *inst) bool {
	f := &x.f[in.fin]
	x.hdr.CCOp, x.hdr.CCDst, x.hdr.CCSrc = f.op, f.d, f.s
	return false
}

func image(x *exec, in *inst) bool {
	x.v[in.dst] = x.f[in.fin].image()
	return false
}

func fromImage(x *exec, in *inst) bool {
	x.setImage(in.fout, x.v[in.a]&ir.FlagAll)
	return false
}

func setCond(x *exec, in *inst) bool {
	x.v[in.dst] = b2u(x.f[in.fin].test(in.cond))
	return false
}

func b2u(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// flag is bit if c holds.
func flag(c bool, bit uint64) uint64 {
	if c {
		return bit
	}
	return 0
}

// word is an operand of an operation of its size.
type word interface {
	uint8 | uint16 | uint32 | uint64
}

// width is the number of bits of a word.
func width[T word]() uint { return uint(bits.Len64(uint64(^T(0)))) }

// msb is the top bit of a word.
func msb[T word](v T) bool { return v>>(width[T]()-1) != 0 }

// signed is a word sign-extended.
func signed[T word](v T) int64 {
	sh := 64 - width[T]()
	return int64(uint64(v)<<sh) >> sh
}

// szp is sign, zero and parity of a result.
func szp[T word](r T) uint64 {
	return flag(msb(r), ir.FlagS) | flag(r == 0, ir.FlagZ) | flag(bits.OnesCount8(uint8(r))&1 == 0, ir.FlagP)
}
