package ir

import "math/bits"

// SizeMask has the low size bytes set.
func SizeMask(size uint8) uint64 { return ^uint64(0) >> (64 - 8*uint(size)) }

// CountMask is the mask of shift counts.
func CountMask(size uint8) uint64 {
	if size == 8 {
		return 63
	}
	return 31
}

// SignExtend extends the low size bytes of v.
func SignExtend(size uint8, v uint64) uint64 {
	sh := 64 - 8*uint(size)
	return uint64(int64(v<<sh) >> sh)
}

// Fold computes an operation without flags on constants. Results of sizes 1 and 2 are zero-extended. It does not know every
// operation: ok tells.
func Fold(op Op, size uint8, a, b uint64) (r uint64, ok bool) {
	switch op {
	case OpAdd:
		r = a + b
	case OpSub:
		r = a - b
	case OpAnd:
		r = a & b
	case OpOr:
		r = a | b
	case OpXor:
		r = a ^ b
	case OpAndN:
		r = ^a & b
	case OpNot:
		r = ^a
	case OpNeg:
		r = -a
	case OpInc:
		r = a + 1
	case OpDec:
		r = a - 1
	case OpMul:
		r = a * b
	case OpShl, OpShlx:
		r = a << (b & CountMask(size))
	case OpShr, OpShrx:
		r = a & SizeMask(size) >> (b & CountMask(size))
	case OpSar, OpSarx:
		r = uint64(int64(SignExtend(size, a)) >> (b & CountMask(size)))
	case OpRorx:
		if size == 8 {
			r = bits.RotateLeft64(a, -int(b&63))
		} else if size == 4 {
			r = uint64(bits.RotateLeft32(uint32(a), -int(b&31)))
		} else {
			return 0, false
		}
	case OpBswap:
		r = bits.ReverseBytes64(a) >> (64 - 8*uint(size))
	default:
		return 0, false
	}
	return r & SizeMask(size), true
}
