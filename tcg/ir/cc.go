package ir

import "math/bits"

// CC is a kind of lazily kept flags: which operation produced them. Header.CCOp = uint32(kind)<<2 | log2(size in bytes).
type CC uint8

// The kinds; d is CCDst, s is CCSrc.
const (
	CCImage CC = iota // s is the image
	CCAdd             // d = result, s = second operand
	CCSub             // d = result, s = second operand (first = d + s)
	CCCmp             // d = first operand, s = second
	CCLogic           // d = result; carry and overflow 0
	CCInc             // d = result, s bit 0 = carry
	CCDec             // d = result, s bit 0 = carry
	NumCC
)

// PackCC builds Header.CCOp.
func PackCC(k CC, size uint8) uint32 { return uint32(k)<<2 | uint32(bits.TrailingZeros8(size)) }

// Image computes the flags image of lazily kept flags. An unknown kind is a bug of the writer and gives the image s.
//
//go:nosplit
func Image(ccop uint32, d, s uint64) uint64 {
	k, lg := CC(ccop>>2), ccop&3
	sh := 64 - 8<<lg // operands are looked at in the top bits
	switch k {
	case CCAdd:
		r, b := d<<sh, s<<sh
		a := r - b
		return szp(r, d) | carry(r < b) | aux(a>>sh, b>>sh, d) | overflow((r^a)&(r^b))
	case CCSub:
		r, b := d<<sh, s<<sh
		a := r + b
		return szp(r, d) | carry(a < b) | aux(a>>sh, b>>sh, d) | overflow((a^b)&(a^r))
	case CCCmp:
		a, b := d<<sh, s<<sh
		r := a - b
		return szp(r, r>>sh) | carry(a < b) | aux(d, s, r>>sh) | overflow((a^b)&(a^r))
	case CCLogic:
		return szp(d<<sh, d)
	case CCInc:
		r := d << sh
		return szp(r, d) | s&1 | aux(d-1, 1, d) | overflow(r&^(r-1<<sh))
	case CCDec:
		r := d << sh
		return szp(r, d) | s&1 | aux(d+1, 1, d) | overflow(^r&(r+1<<sh))
	}
	return s & FlagAll
}

// szp gives sign, zero and parity of a result: top has it in the top bits, low in the low ones.
func szp(top, low uint64) uint64 {
	f := top >> 63 << 7
	if top == 0 {
		f |= FlagZ
	}
	if bits.OnesCount8(uint8(low))&1 == 0 {
		f |= FlagP
	}
	return f
}

func carry(c bool) uint64 {
	if c {
		return FlagC
	}
	return 0
}

func aux(a, b, r uint64) uint64      { return (a ^ b ^ r) & FlagA }
func overflow(signBit uint64) uint64 { return signBit >> 63 << 11 }

// Test evaluates a condition on a flags image.
func (c Cond) Test(image uint64) bool {
	var r bool
	s, v := image&FlagS != 0, image&FlagV != 0
	switch c &^ 1 {
	case CondO:
		r = v
	case CondB:
		r = image&FlagC != 0
	case CondE:
		r = image&FlagZ != 0
	case CondBE:
		r = image&(FlagC|FlagZ) != 0
	case CondS:
		r = s
	case CondP:
		r = image&FlagP != 0
	case CondL:
		r = s != v
	case CondLE:
		r = s != v || image&FlagZ != 0
	}
	return r != (c&1 != 0)
}

// Mask is the set of flag bits that the condition looks at.
func (c Cond) Mask() uint64 {
	return [8]uint64{FlagV, FlagC, FlagZ, FlagC | FlagZ, FlagS, FlagP, FlagS | FlagV, FlagS | FlagV | FlagZ}[c>>1]
}
