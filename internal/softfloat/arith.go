package softfloat

import "math/bits"

// Add is x + y.
func (e *Env) Add(x, y Real) Real {
	if r, done := e.operands(&x, &y); done {
		return r
	}
	return e.sum(x, y)
}

// Sub is x - y.
func (e *Env) Sub(x, y Real) Real {
	if r, done := e.operands(&x, &y); done {
		return r
	}
	return e.sum(x, y.Neg())
}

// sum adds numbers that are no NaNs.
func (e *Env) sum(x, y Real) Real {
	switch {
	case x.Kind == KindInf && y.Kind == KindInf && x.Sign != y.Sign:
		return e.invalid()
	case x.Kind == KindInf || y.Kind == KindZero && x.Kind != KindZero:
		return x
	case y.Kind == KindInf || x.Kind == KindZero && y.Kind != KindZero:
		return y
	case x.Kind == KindZero:
		if x.Sign != y.Sign {
			x.Sign = e.Round == Down
		}
		return x
	}
	if x.exp < y.exp || x.exp == y.exp && (x.hi < y.hi || x.hi == y.hi && x.lo < y.lo) {
		x, y = y, x // now |x| >= |y|
	}
	hi, lo := shiftRight(y.hi, y.lo, x.exp-y.exp)
	x.denorm = false
	if x.Sign == y.Sign {
		var c uint64
		x.lo, c = bits.Add64(x.lo, lo, 0)
		if x.hi, c = bits.Add64(x.hi, hi, c); c != 0 {
			x.hi, x.lo = shiftRight(x.hi, x.lo, 1)
			x.hi |= topBit
			x.exp++
		}
		return x
	}
	var b uint64
	x.lo, b = bits.Sub64(x.lo, lo, 0)
	x.hi, _ = bits.Sub64(x.hi, hi, b)
	if x.hi|x.lo == 0 {
		return Real{Sign: e.Round == Down}
	}
	return normalized(x)
}

// normalized shifts the top bit of a non-zero significand to the top.
func normalized(x Real) Real {
	if x.hi == 0 {
		x.hi, x.lo, x.exp = x.lo, 0, x.exp-64
	}
	if n := bits.LeadingZeros64(x.hi); n != 0 {
		x.hi, x.lo, x.exp = x.hi<<n|x.lo>>(64-n), x.lo<<n, x.exp-n
	}
	return x
}

// Mul is x * y.
func (e *Env) Mul(x, y Real) Real {
	if r, done := e.operands(&x, &y); done {
		return r
	}
	if product, ok := mul(x, y); ok {
		return product
	}
	return e.invalid()
}

// mul multiplies numbers that are no NaNs; false for infinity times zero.
func mul(x, y Real) (Real, bool) {
	r := Real{Sign: x.Sign != y.Sign}
	switch {
	case x.Kind == KindInf || y.Kind == KindInf:
		r.Kind = KindInf
		return r, x.Kind != KindZero && y.Kind != KindZero
	case x.Kind == KindZero || y.Kind == KindZero:
		return r, true
	}
	r.Kind, r.exp = KindFinite, x.exp+y.exp+1
	r.hi, r.lo = bits.Mul64(x.hi, y.hi)
	return normalized(r), true
}

// FMA is x * y + z with one rounding. With a double rounding the result may differ; operands are of at most 53 bits.
func (e *Env) FMA(x, y, z Real) Real {
	product, ok := Real{}, true
	if x.Kind != KindNaN && y.Kind != KindNaN {
		product, ok = mul(x, y)
	}
	if r, done := e.operands(&x, &y, &z); done {
		return r
	}
	if !ok {
		return e.invalid()
	}
	return e.sum(product, z)
}

// Div is x / y.
func (e *Env) Div(x, y Real) Real {
	if x.Kind == KindFinite && y.Kind == KindZero { // takes precedence over the denormal operand
		x.denorm = false
	}
	if r, done := e.operands(&x, &y); done {
		return r
	}
	r := Real{Sign: x.Sign != y.Sign}
	switch {
	case x.Kind == y.Kind && x.Kind != KindFinite:
		return e.invalid()
	case x.Kind == KindZero || y.Kind == KindInf:
		return r
	case x.Kind == KindInf:
		r.Kind = KindInf
		return r
	case y.Kind == KindZero:
		e.raise(DivZero)
		r.Kind = KindInf
		return r
	}
	r.Kind, r.exp = KindFinite, x.exp-y.exp
	hi, lo := x.hi>>1, x.hi<<63
	if x.hi < y.hi {
		hi, lo = x.hi, 0
		r.exp--
	}
	var rem uint64
	r.hi, rem = bits.Div64(hi, lo, y.hi)
	if r.lo, rem = bits.Div64(rem, 0, y.hi); rem != 0 {
		r.lo |= 1
	}
	return r
}

// Sqrt is the square root of x.
func (e *Env) Sqrt(x Real) Real {
	if r, done := e.operands(&x); done {
		return r
	}
	switch {
	case x.Kind == KindZero:
		return x
	case x.Sign:
		return e.invalid()
	case x.Kind == KindInf:
		return x
	}
	// The root of hi:lo has 64 bits: the significand.
	hi, lo := x.hi>>1, x.hi<<63
	if x.exp&1 != 0 {
		hi, lo = x.hi, 0
	}
	var root uint64
	for bit := uint64(topBit); bit != 0; bit >>= 1 {
		t := root | bit
		if h, l := bits.Mul64(t, t); h < hi || h == hi && l <= lo {
			root = t
		}
	}
	h, l := bits.Mul64(root, root)
	rl, b := bits.Sub64(lo, l, 0)
	rh, _ := bits.Sub64(hi, h, b)
	r := Real{Kind: KindFinite, exp: x.exp >> 1, hi: root}
	if rh != 0 || rl > root { // the rest is above half a unit
		r.lo = topBit
	}
	if rh|rl != 0 {
		r.lo |= 1
	}
	return r
}

// Ordering is the result of a comparison.
type Ordering int8

// The results.
const (
	Less      Ordering = -1
	Equal     Ordering = 0
	Greater   Ordering = 1
	Unordered Ordering = 2
)

// Compare compares x with y. A quiet NaN is invalid if signal is set.
func (e *Env) Compare(x, y Real, signal bool) Ordering {
	if x.Kind == KindUnsupported || y.Kind == KindUnsupported {
		e.raise(Invalid)
		return Unordered
	}
	if _, nan := e.operands(&x, &y); nan {
		if signal {
			e.raise(Invalid)
		}
		return Unordered
	}
	c := magnitude(x, y)
	switch {
	case x.Kind == KindZero && y.Kind == KindZero:
		return Equal
	case x.Sign != y.Sign:
		c = Greater
		if x.Sign {
			c = Less
		}
	case x.Sign:
		c = -c
	}
	return c
}

// magnitude compares |x| with |y|.
func magnitude(x, y Real) Ordering {
	switch {
	case x.Kind != y.Kind: // zero < finite < infinite
		return order(x.Kind < y.Kind)
	case x.Kind != KindFinite || x.exp == y.exp && x.hi == y.hi && x.lo == y.lo:
		return Equal
	case x.exp != y.exp:
		return order(x.exp < y.exp)
	case x.hi != y.hi:
		return order(x.hi < y.hi)
	}
	return order(x.lo < y.lo)
}

func order(less bool) Ordering {
	if less {
		return Less
	}
	return Greater
}
