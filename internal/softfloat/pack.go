package softfloat

import "math/bits"

// Unpack takes a number of format f (not Extended) apart.
func (e *Env) Unpack(f *Format, v uint64) Real {
	fracBits := f.Prec - 1
	width := fracBits + expBits(f)
	frac := v & (1<<fracBits - 1)
	x := Real{Sign: v>>width&1 != 0}
	switch exp := int(v >> fracBits & (1<<expBits(f) - 1)); {
	case exp == 2*f.EMax+1 && frac == 0:
		x.Kind = KindInf
	case exp == 2*f.EMax+1:
		x.Kind, x.hi = KindNaN, topBit|frac<<(63-fracBits)
	case exp != 0:
		x.Kind, x.exp, x.hi = KindFinite, exp-f.EMax, topBit|frac<<(63-fracBits)
	case frac != 0 && !e.DAZ:
		n := bits.LeadingZeros64(frac)
		x.Kind, x.denorm, x.exp, x.hi = KindFinite, true, 1-f.EMax-(n-(63-fracBits)), frac<<n
	}
	return x
}

// expBits is the width of the exponent field.
func expBits(f *Format) int { return bits.Len(uint(f.EMax)) + 1 }

// UnpackExtended takes an x87 number apart: significand, and sign with exponent.
func UnpackExtended(sig uint64, se uint16) Real {
	x := Real{Sign: se&0x8000 != 0}
	switch exp := int(se & 0x7fff); {
	case exp != 0 && sig&topBit == 0:
		x.Kind = KindUnsupported
	case exp == 0x7fff && sig == topBit:
		x.Kind = KindInf
	case exp == 0x7fff:
		x.Kind, x.hi = KindNaN, sig
	case exp != 0:
		x.Kind, x.exp, x.hi = KindFinite, exp-Extended.EMax, sig
	case sig != 0:
		n := bits.LeadingZeros64(sig)
		x.Kind, x.denorm, x.exp, x.hi = KindFinite, true, 1-Extended.EMax-n, sig<<n
	}
	return x
}

// FromInt is the integer v.
func FromInt(v int64) Real {
	x := Real{Sign: v < 0}
	if v == 0 {
		return x
	}
	if v < 0 {
		v = -v
	}
	n := bits.LeadingZeros64(uint64(v))
	x.Kind, x.exp, x.hi = KindFinite, 63-n, uint64(v)<<n
	return x
}

// Pack rounds x to format f (not Extended).
func (e *Env) Pack(f *Format, x Real) uint64 {
	x = e.supported(x)
	fracBits := f.Prec - 1
	exp, sig := e.round(f, f.Prec, x)
	v := sig & (topBit - 1) >> (63 - fracBits)
	v |= uint64(exp) << fracBits
	if x.Sign {
		v |= 1 << (fracBits + expBits(f))
	}
	return v
}

// PackExtended rounds x to the precision of e in extended format.
func (e *Env) PackExtended(x Real) (sig uint64, se uint16) {
	p := e.Prec
	if p == 0 {
		p = Extended.Prec
	}
	return e.packExtended(x, p)
}

// PackExact is PackExtended with all 64 bits of precision.
func (e *Env) PackExact(x Real) (sig uint64, se uint16) { return e.packExtended(x, Extended.Prec) }

func (e *Env) packExtended(x Real, p int) (sig uint64, se uint16) {
	x = e.supported(x)
	exp, sig := e.round(Extended, p, x)
	if x.Sign {
		exp |= 0x8000
	}
	return sig, uint16(exp)
}

// supported is x, or the default NaN for an encoding without meaning.
func (e *Env) supported(x Real) Real {
	if x.Kind == KindUnsupported {
		e.raise(Invalid)
		return indefinite
	}
	return x
}

// round rounds x to p significant bits in the exponent range of f: the biased exponent field and the significand with its leading bit at the top.
func (e *Env) round(f *Format, p int, x Real) (exp int, sig uint64) {
	e.RoundedUp = false
	special := 2*f.EMax + 1
	switch x.Kind {
	case KindZero:
		return 0, 0
	case KindInf:
		return special, topBit
	case KindNaN:
		return special, x.hi | topBit
	}
	emin := 1 - f.EMax
	if x.exp < emin {
		return e.roundTiny(f, p, x)
	}
	sig, up, carry, inexact := e.roundBits(x.hi, x.lo, p, x.Sign)
	exp = x.exp
	if carry {
		exp++
	}
	if exp > f.EMax {
		return e.overflow(f, p, x.Sign)
	}
	e.note(up, inexact)
	return exp + f.EMax, sig
}

func (e *Env) note(up, inexact bool) {
	if inexact {
		e.raise(Inexact)
	}
	e.RoundedUp = up
}

// overflow is the result of a rounding beyond the largest number.
func (e *Env) overflow(f *Format, p int, sign bool) (exp int, sig uint64) {
	e.raise(Overflow | Inexact)
	if e.Round == Zero || e.Round == Down && !sign || e.Round == Up && sign {
		return 2 * f.EMax, ^uint64(0) << (64 - p)
	}
	e.RoundedUp = true
	return 2*f.EMax + 1, topBit
}

// roundTiny rounds a number below the smallest normal one.
func (e *Env) roundTiny(f *Format, p int, x Real) (exp int, sig uint64) {
	emin := 1 - f.EMax
	_, _, carry, _ := e.roundBits(x.hi, x.lo, p, x.Sign)
	tiny := !carry || x.exp < emin-1
	if tiny && e.FTZ && e.Unmasked&Underflow == 0 {
		e.raise(Underflow | Inexact)
		return 0, 0
	}
	hi, lo := shiftRight(x.hi, x.lo, emin-x.exp)
	sig, up, carry, inexact := e.roundBits(hi, lo, p, x.Sign)
	if tiny && (inexact || e.Unmasked&Underflow != 0) {
		e.raise(Underflow)
	}
	e.note(up, inexact)
	if carry || sig&topBit != 0 {
		return 1, sig
	}
	return 0, sig
}

// shiftRight shifts hi:lo right; what is shifted out makes the lowest bit 1.
func shiftRight(hi, lo uint64, n int) (uint64, uint64) {
	var lost uint64
	switch {
	case n == 0:
		return hi, lo
	case n < 64:
		lost = lo << (64 - n)
		hi, lo = hi>>n, lo>>n|hi<<(64-n)
	case n < 128:
		lost = lo | hi<<(128-n)
		if n == 64 {
			lost = lo
		}
		hi, lo = 0, hi>>(n-64)
	default:
		lost = hi | lo
		hi, lo = 0, 0
	}
	if lost != 0 {
		lo |= 1
	}
	return hi, lo
}

// roundBits rounds hi:lo to the top p bits of hi. carry tells that it became 2^64: sig is then the top bit.
func (e *Env) roundBits(hi, lo uint64, p int, sign bool) (sig uint64, up, carry, inexact bool) {
	unit := uint64(1) << (64 - p)
	half, rest := uint64(topBit), lo // of the bits below the unit
	if p < 64 {
		half, rest = unit>>1, hi&(unit-1)
	}
	sticky := p < 64 && lo != 0
	if inexact = rest != 0 || sticky; !inexact {
		return hi, false, false, false
	}
	sig = hi &^ (unit - 1)
	switch e.Round {
	case Nearest:
		up = rest > half || rest == half && (sticky || sig&unit != 0)
	case Down:
		up = sign
	case Up:
		up = !sign
	}
	if up {
		if sig += unit; sig == 0 {
			return topBit, true, true, true
		}
	}
	return sig, up, false, true
}
