package interp

import (
	"math/big"

	"goemu/internal/softfloat"
)

// The transcendental operations are computed with transPrec bits, far more than a result has, and rounded once.
const transPrec = 192

func bigFloat() *big.Float { return new(big.Float).SetPrec(transPrec) }

func bigInt(v int64) *big.Float { return bigFloat().SetInt64(v) }

// toBig is the finite number or zero x.
func toBig(x softfloat.Real) *big.Float {
	b := bigFloat()
	if x.Kind != softfloat.KindFinite {
		return b
	}
	b.SetUint64(x.Bits64())
	b.SetMantExp(b, x.Exponent()-63)
	if x.Sign {
		b.Neg(b)
	}
	return b
}

// fromBig is the number b; that it is inexact is kept.
func fromBig(b *big.Float) softfloat.Real {
	if b.Sign() == 0 {
		return softfloat.Real{Sign: b.Signbit()}
	}
	m := bigFloat()
	exp := b.MantExp(m) // 0.5 <= |m| < 1
	m.Abs(m)
	m.SetMantExp(m, 64)
	hi, _ := m.Uint64()
	m.Sub(m, bigFloat().SetUint64(hi))
	m.SetMantExp(m, 64)
	lo, _ := m.Uint64()
	return softfloat.Make(b.Signbit(), exp-1, hi, lo|1)
}

// The series below end when a term no longer matters.
func negligible(term, sum *big.Float) bool {
	return term.Sign() == 0 || sum.Sign() != 0 && term.MantExp(nil) < sum.MantExp(nil)-transPrec
}

// ln2 and pi, computed once: ln 2 = 2 atanh(1/3); pi = 16 atan(1/5) - 4 atan(1/239).
var (
	ln2 = bigFloat().Mul(bigInt(2), atanhSeries(bigFloat().Quo(bigInt(1), bigInt(3)), false))
	pi  = makePi()
)

func makePi() *big.Float {
	a := bigFloat().Mul(bigInt(16), atanhSeries(bigFloat().Quo(bigInt(1), bigInt(5)), true))
	b := bigFloat().Mul(bigInt(4), atanhSeries(bigFloat().Quo(bigInt(1), bigInt(239)), true))
	return a.Sub(a, b)
}

// atanhSeries is z + z^3/3 + z^5/5 …, with alternating signs the arc tangent.
func atanhSeries(z *big.Float, alternate bool) *big.Float {
	sum, pow, sq := bigFloat().Set(z), bigFloat().Set(z), bigFloat().Mul(z, z)
	if alternate {
		sq.Neg(sq)
	}
	for i := int64(3); ; i += 2 {
		pow.Mul(pow, sq)
		term := bigFloat().Quo(pow, bigInt(i))
		if negligible(term, sum) {
			return sum
		}
		sum.Add(sum, term)
	}
}

// log1p2 is log2(1 + x) for x not far from 0: 2 atanh(x / (2 + x)) / ln 2.
func log1p2(x *big.Float) *big.Float {
	z := bigFloat().Quo(x, bigFloat().Add(bigInt(2), x))
	l := atanhSeries(z, false)
	l.Mul(l, bigInt(2))
	return l.Quo(l, ln2)
}

// log2 is the binary logarithm of x > 0.
func log2(x *big.Float) *big.Float {
	m := bigFloat()
	exp := x.MantExp(m)
	if m.Cmp(big.NewFloat(0.7)) < 0 {
		m.SetMantExp(m, 1)
		exp--
	}
	return bigFloat().Add(bigInt(int64(exp)), log1p2(m.Sub(m, bigInt(1))))
}

// expSeries is t + t^2/2! + …: e^t - 1.
func expSeries(t *big.Float) *big.Float {
	sum, term := bigFloat().Set(t), bigFloat().Set(t)
	for i := int64(2); ; i++ {
		term.Mul(term, t)
		term.Quo(term, bigInt(i))
		if negligible(term, sum) {
			return sum
		}
		sum.Add(sum, term)
	}
}

// f2xm1 is 2^x - 1. Outside of -1 … 1 it is undefined: x is the result.
func f2xm1(e *softfloat.Env, x softfloat.Real) softfloat.Real {
	x = e.Quieted(x)
	switch {
	case x.Kind == softfloat.KindInf && x.Sign:
		return softfloat.FromInt(-1)
	case x.Kind != softfloat.KindFinite || x.Exponent() > 0:
		return x.Normal()
	}
	if x.Exponent() == 0 && x.Bits64() == 1<<63 { // 1 and -1
		if x.Sign {
			return softfloat.Make(true, -1, 1<<63, 0)
		}
		return softfloat.FromInt(1)
	}
	t := toBig(x)
	return fromBig(expSeries(t.Mul(t, ln2)))
}

// fyl2x is y * log2(x).
func fyl2x(e *softfloat.Env, y, x softfloat.Real) softfloat.Real {
	if isNaN(x) || isNaN(y) {
		return e.Mul(y, x)
	}
	one := softfloat.FromInt(1)
	switch {
	case x.Kind == softfloat.KindZero:
		if y.Kind == softfloat.KindZero {
			return invalid(e)
		}
		if y.Kind == softfloat.KindFinite {
			e.Flags |= softfloat.DivZero
		}
		return softfloat.Infinity(!y.Sign)
	case x.Sign:
		return invalid(e)
	case x.Kind == softfloat.KindInf:
		return e.Mul(y, x)
	}
	e.Quieted(x)
	quiet := softfloat.Env{}
	switch c := quiet.Compare(x, one, false); {
	case c == softfloat.Equal:
		return e.Mul(y, softfloat.Real{})
	case y.Kind != softfloat.KindFinite:
		y.Sign = y.Sign != (c == softfloat.Less)
		return y
	}
	e.Quieted(y)
	l := log2(toBig(x))
	return fromBig(l.Mul(l, toBig(y)))
}

// fyl2xp1 is y * log2(x + 1) for |x| < 1 - √½.
func fyl2xp1(e *softfloat.Env, y, x softfloat.Real) softfloat.Real {
	if isNaN(x) || isNaN(y) {
		return e.Mul(y, x)
	}
	if x.Kind != softfloat.KindFinite || y.Kind != softfloat.KindFinite {
		return e.Mul(y, x)
	}
	e.Quieted(x)
	e.Quieted(y)
	if x.Sign && x.Exponent() >= 0 { // undefined: x <= -1
		return x.Normal()
	}
	var l *big.Float
	if x.Exponent() < 0 {
		l = log1p2(toBig(x))
	} else {
		l = log2(bigFloat().Add(toBig(x), bigInt(1)))
	}
	return fromBig(l.Mul(l, toBig(y)))
}

func isNaN(x softfloat.Real) bool {
	return x.Kind == softfloat.KindNaN || x.Kind == softfloat.KindUnsupported
}

func invalid(e *softfloat.Env) softfloat.Real {
	e.Flags |= softfloat.Invalid
	return softfloat.Indefinite()
}

// atan is the arc tangent of a number that is not negative.
func atan(x *big.Float) *big.Float {
	if x.Cmp(bigInt(1)) > 0 { // pi/2 - atan(1/x)
		half := bigFloat().Quo(pi, bigInt(2))
		return half.Sub(half, atan(bigFloat().Quo(bigInt(1), x)))
	}
	halvings := 0
	for ; x.Cmp(big.NewFloat(0.1)) > 0; halvings++ { // atan x = 2 atan(x / (1 + √(1 + x²)))
		d := bigFloat().Mul(x, x)
		d.Sqrt(d.Add(d, bigInt(1)))
		x = bigFloat().Quo(x, d.Add(d, bigInt(1)))
	}
	r := atanhSeries(x, true)
	return r.SetMantExp(r, halvings)
}

// fpatan is the angle of the point (x, y).
func fpatan(e *softfloat.Env, y, x softfloat.Real) softfloat.Real {
	if isNaN(x) || isNaN(y) {
		return e.Mul(y, x)
	}
	e.Quieted(x)
	e.Quieted(y)
	var angle *big.Float
	switch {
	case y.Kind == softfloat.KindInf && x.Kind == softfloat.KindInf:
		angle = bigFloat().Quo(pi, bigInt(4))
	case y.Kind == softfloat.KindInf || x.Kind == softfloat.KindZero && y.Kind == softfloat.KindFinite:
		angle = bigFloat().Quo(pi, bigInt(2))
		x.Sign = false
	case x.Kind == softfloat.KindInf || y.Kind == softfloat.KindZero:
		angle = bigFloat()
	default:
		q := bigFloat().Quo(toBig(y), toBig(x))
		angle = atan(q.Abs(q))
	}
	if x.Sign {
		angle.Sub(pi, angle)
	}
	r := fromBig(angle)
	r.Sign = y.Sign
	return r
}

// trigPi is the π of the range reduction: 66 bits, as documented for x87.
var trigPi = func() *big.Float {
	p := bigFloat().SetUint64(0xc90fdaa22168c234)
	p.SetMantExp(p, 2)
	p.Add(p, bigInt(3))
	return p.SetMantExp(p, -64)
}()

// sinCos is sine and cosine of x.
func sinCos(x *big.Float) (sin, cos *big.Float) {
	half := bigFloat().Quo(trigPi, bigInt(2))
	q := bigFloat().Quo(x, half)
	q.Add(q, bigFloat().SetFloat64(0.5))
	n, _ := q.Int(nil)
	if q.Sign() < 0 && !q.IsInt() {
		n.Sub(n, big.NewInt(1)) // round down
	}
	r := bigFloat().SetPrec(transPrec + 64).SetInt(n)
	r.Mul(r, half)
	r.Sub(x, r)
	sin, cos = bigFloat().Set(r), bigInt(1)
	sq := bigFloat().Mul(r, r)
	for i, term := int64(2), bigFloat().Set(r); ; i += 2 {
		term.Mul(term, sq)
		term.Quo(term.Neg(term), bigInt(i*(i+1)))
		if negligible(term, sin) {
			break
		}
		sin.Add(sin, term)
	}
	for i, term := int64(1), bigInt(1); ; i += 2 {
		term.Mul(term, sq)
		term.Quo(term.Neg(term), bigInt(i*(i+1)))
		if negligible(term, cos) {
			break
		}
		cos.Add(cos, term)
	}
	switch new(big.Int).And(n, big.NewInt(3)).Int64() {
	case 1:
		sin, cos = cos, sin.Neg(sin)
	case 2:
		sin, cos = sin.Neg(sin), cos.Neg(cos)
	case 3:
		sin, cos = cos.Neg(cos), sin
	}
	return sin, cos
}

// trigLimit is the exponent from which on an angle is out of range.
const trigLimit = 63

// x87Trig is FSIN, FCOS, FSINCOS (VD = sine, VC = cosine) and FPTAN.
func x87Trig(sin, cos, tan bool) x87Func {
	return func(o *x87Op) {
		x := o.reg(o.in.VA)
		if x.Kind == softfloat.KindFinite && x.Exponent() >= trigLimit {
			o.io.Dst = 1
			o.setCond(swC2)
			return
		}
		o.io.Dst = 0
		s, c, t := o.trig(x)
		if x.Kind == softfloat.KindFinite && o.blocked() {
			o.finish()
			return
		}
		to := o.in.VD
		switch {
		case tan:
			one := softfloat.FromInt(1)
			if x.Kind != softfloat.KindZero && x.Kind != softfloat.KindFinite {
				one = t // both results are the NaN
			}
			o.put(to, t, true)
			o.put(o.in.VC, one, true)
		case sin && cos:
			o.put(to, s, true)
			o.put(o.in.VC, c, true)
		case sin:
			o.put(to, s, true)
		default:
			o.put(to, c, true)
		}
		o.finish()
		*o.regs.fpsw() &^= swC2
	}
}

// trig is sine, cosine and tangent.
func (o *x87Op) trig(x softfloat.Real) (sin, cos, tan softfloat.Real) {
	switch x.Kind {
	case softfloat.KindZero:
		return x, softfloat.FromInt(1), x
	case softfloat.KindInf:
		r := invalid(&o.e)
		return r, r, r
	case softfloat.KindFinite:
		o.e.Quieted(x)
		s, c := sinCos(toBig(x))
		return fromBig(s), fromBig(c), fromBig(bigFloat().Quo(s, c))
	}
	r := o.e.Quieted(x)
	return r, r, r
}
