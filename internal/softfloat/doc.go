// Package softfloat is IEEE 754 arithmetic in integers, with the choices that the standard leaves to implementations made as on x86:
// NaN rules of SSE and x87, tininess after rounding, denormal-operand exception, flush to zero, precision control.
//
// An operation takes unpacked numbers (Real) and gives the exact result, as far as rounding can see; Pack rounds it to a format.
package softfloat

// Round is a rounding mode, numbered as in the RC fields of x86.
type Round uint8

// The rounding modes.
const (
	Nearest Round = iota // ties to even
	Down
	Up
	Zero
)

// Flags is a set of exceptions, with bits as in MXCSR and the x87 status word.
type Flags uint8

// The exceptions.
const (
	Invalid Flags = 1 << iota
	Denormal
	DivZero
	Overflow
	Underflow
	Inexact
	AllFlags Flags = 1<<iota - 1
)

// Env is the state of a floating-point unit.
type Env struct {
	Round    Round
	FTZ, DAZ bool  // flush tiny results, denormal operands to zero
	Unmasked Flags // exceptions that trap: an unmasked underflow is signalled for exact tiny results too and not flushed
	X87      bool  // NaN rules of x87
	Prec     int   // significant bits of results in extended precision (24, 53, 64); 0 is 64

	Flags     Flags // exceptions so far
	RoundedUp bool  // the last rounding increased the magnitude

	fresh Flags // raised by operands for the current operation: an invalid operation takes them back
}

func (e *Env) raise(f Flags) { e.Flags |= f }

// Format is a binary interchange format.
type Format struct {
	Prec int // significant bits, the leading one included
	EMax int // largest exponent; the bias
}

// The formats. Extended has its leading bit explicit: see UnpackExtended.
var (
	F16      = &Format{11, 15}
	F32      = &Format{24, 127}
	F64      = &Format{53, 1023}
	Extended = &Format{64, 16383}
)

// Kind classifies numbers.
type Kind uint8

// The kinds.
const (
	KindZero Kind = iota
	KindFinite
	KindInf
	KindNaN
	KindUnsupported // x87 encodings without meaning: any operation on them is invalid
)

// Real is an unpacked number. A finite one is ±(hi:lo / 2^127) * 2^exp with the top bit of hi set. The payload of a NaN lies in hi,
// its quiet bit is bit 62.
type Real struct {
	Kind   Kind
	Sign   bool
	denorm bool // was a denormal operand
	exp    int
	hi, lo uint64
}

const (
	topBit   = 1 << 63
	quietBit = 1 << 62
)

// IsNaN tells whether x is a NaN, and whether a signalling one.
func (x *Real) IsNaN() (nan, signalling bool) {
	return x.Kind == KindNaN, x.Kind == KindNaN && x.hi&quietBit == 0
}

// Neg is -x (of a NaN too).
func (x Real) Neg() Real {
	x.Sign = !x.Sign
	return x
}

// indefinite is the default NaN of x86.
var indefinite = Real{Kind: KindNaN, Sign: true, hi: topBit | quietBit}

// invalid is the result of an invalid operation.
func (e *Env) invalid() Real {
	e.Flags &^= e.fresh
	e.raise(Invalid)
	return indefinite
}

// quiet is the NaN x made quiet.
func quiet(x Real) Real {
	x.hi |= quietBit | topBit
	return x
}

// Quieted makes a signalling NaN quiet with the invalid exception; anything else is unchanged, but a denormal number is signalled.
func (e *Env) Quieted(x Real) Real {
	if r, done := e.operands(&x); done {
		return r
	}
	return x
}

// operands looks for what settles the result of an operation before it is computed (NaN) and signals denormal operands.
func (e *Env) operands(xs ...*Real) (Real, bool) {
	var flags Flags
	nan := false
	e.fresh = 0
	for _, x := range xs {
		switch x.Kind {
		case KindUnsupported:
			return e.invalid(), true
		case KindNaN:
			nan = true
			if x.hi&quietBit == 0 {
				e.raise(Invalid)
			}
		}
		if x.denorm {
			flags = Denormal
		}
	}
	if nan {
		return e.propagate(xs), true
	}
	e.fresh = flags &^ e.Flags
	e.raise(flags)
	return Real{}, false
}

// propagate chooses among operands of which some are NaNs: the first one, or on x87 a quiet one, then the one with the largest significand.
func (e *Env) propagate(xs []*Real) Real {
	var best *Real
	for _, x := range xs {
		if x.Kind == KindNaN && (best == nil || e.X87 && preferred(x, best)) {
			best = x
		}
	}
	return quiet(*best)
}

// preferred tells whether x87 prefers the NaN x to y.
func preferred(x, y *Real) bool {
	xq, yq := x.hi&quietBit != 0, y.hi&quietBit != 0
	if xq != yq {
		return xq
	}
	if x.hi != y.hi {
		return x.hi > y.hi
	}
	return !x.Sign && y.Sign
}
