package softfloat

// Integral rounds x to an integer; inexact says whether the inexact exception is wanted.
func (e *Env) Integral(x Real, mode Round, inexact bool) Real {
	if r, done := e.operands(&x); done {
		return r
	}
	return e.integral(x, mode, inexact)
}

func (e *Env) integral(x Real, mode Round, inexact bool) Real {
	e.RoundedUp = false
	if x.Kind != KindFinite || x.exp >= 63 {
		return x
	}
	saved := e.Round
	e.Round = mode
	defer func() { e.Round = saved }()
	shift := 63 - x.exp // the unit becomes bit 0 of hi
	hi, lo := shiftRight(x.hi, x.lo, min(shift, 130))
	sig, up, carry, lost := e.roundBits(hi, lo, 64, x.Sign)
	e.RoundedUp = up
	if lost && inexact {
		e.raise(Inexact)
	}
	if carry { // cannot be: hi has its top bit clear
		return x
	}
	r := Real{Sign: x.Sign}
	if sig != 0 {
		r.Kind, r.hi, r.exp = KindFinite, sig, 63
		r = normalized(r)
	}
	return r
}

// ToInt rounds x to a signed integer of the given width. What does not fit is invalid and gives the smallest integer.
func (e *Env) ToInt(x Real, width uint, mode Round) int64 {
	smallest := int64(-1) << (width - 1)
	if x.Kind == KindZero {
		e.RoundedUp = false
		return 0
	}
	if x.Kind != KindFinite || x.exp >= 64 {
		e.raise(Invalid)
		e.RoundedUp = false
		return smallest
	}
	saved := e.Flags
	r := e.integral(x, mode, true)
	if r.Kind == KindZero {
		return 0
	}
	v := r.hi >> min(63-uint(min(r.exp, 63)), 63)
	limit := uint64(1) << (width - 1)
	if r.exp > 63 || v > limit || v == limit && !r.Sign {
		e.Flags = saved | Invalid
		e.RoundedUp = false
		return smallest
	}
	if r.Sign {
		return -int64(v)
	}
	return int64(v)
}

// Scaled is x * 2^n.
func Scaled(x Real, n int) Real {
	if x.Kind == KindFinite {
		x.exp += n
	}
	return x
}

// Exponent is the exponent of a finite number: 1 <= |x| / 2^exp < 2.
func (x *Real) Exponent() int { return x.exp }

// Significand is x scaled to 1 <= |x| < 2.
func (x Real) Significand() Real {
	if x.Kind == KindFinite {
		x.exp, x.denorm = 0, false
	}
	return x
}

// IsDenormal tells whether x came from a denormal encoding.
func (x *Real) IsDenormal() bool { return x.denorm }

// Bits64 is the top 64 bits of the significand of a finite number.
func (x *Real) Bits64() uint64 { return x.hi }

// Make is ±sig / 2^63 * 2^exp.
func Make(sign bool, exp int, hi, lo uint64) Real {
	if hi|lo == 0 {
		return Real{Sign: sign}
	}
	return normalized(Real{Kind: KindFinite, Sign: sign, exp: exp, hi: hi, lo: lo})
}

// Indefinite is the default NaN.
func Indefinite() Real { return indefinite }

// Infinity is ±∞.
func Infinity(sign bool) Real { return Real{Kind: KindInf, Sign: sign} }

// Remainder makes one step of x modulo y: the truncating (or, if nearest, the rounding) remainder and the low bits of the quotient.
// done is false if the exponents are so far apart that only their distance was reduced.
func (e *Env) Remainder(x, y Real, nearest bool) (r Real, quo uint64, done bool) {
	if r, nan := e.operands(&x, &y); nan {
		return r, 0, true
	}
	switch {
	case x.Kind == KindInf || y.Kind == KindZero:
		return e.invalid(), 0, true
	case x.Kind == KindZero || y.Kind == KindInf:
		return x, 0, true
	}
	d := x.exp - y.exp
	if d < -1 || d < 0 && !nearest {
		return x, 0, true
	}
	steps, done := d, true
	if d >= 64 {
		steps, done = 32+d%32, false // as processors do: the distance shrinks by 32 … 63 and what cancels
	}
	rem, carry := x.hi, false
	for i := 0; i <= steps && d >= 0; i++ {
		if i > 0 {
			carry = rem&topBit != 0
			rem <<= 1
			quo <<= 1
		}
		if carry || rem >= y.hi {
			rem -= y.hi
			carry = false
			quo |= 1
		}
	}
	exp := x.exp - max(steps, 0)
	sign := x.Sign
	if done && nearest {
		rem, exp, sign, quo = e.nearestRest(x, y, rem, exp, sign, quo, d)
	}
	return Make(sign, exp, rem, 0), quo, done
}

// nearestRest moves the rest of a truncating division into ±y/2.
func (e *Env) nearestRest(x, y Real, rem uint64, exp int, sign bool, quo uint64, d int) (uint64, int, bool, uint64) {
	if d < 0 { // y/2 <= |x| < y: compare |x| with y/2, both at the exponent of x
		if x.hi > y.hi { // nearer to y
			return y.hi - (x.hi - y.hi), exp, !sign, 1
		}
		return x.hi, exp, sign, 0
	}
	twice := rem >= topBit || rem<<1 > y.hi
	if twice || rem<<1 == y.hi && quo&1 != 0 {
		return y.hi - rem, exp, !sign, quo + 1
	}
	return rem, exp, sign, quo
}

// Normal is x without the mark that it was a denormal operand, for operations that do not signal that.
func (x Real) Normal() Real {
	x.denorm = false
	return x
}
