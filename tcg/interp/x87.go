package interp

import (
	"goemu/internal/softfloat"
	"goemu/tcg/ir"
)

// Bits of the x87 status and control words.
const (
	swFlags = 0x3f
	swSF    = 1 << 6
	swES    = 1 << 7
	swC0    = 1 << 8
	swC1    = 1 << 9
	swC2    = 1 << 10
	swC3    = 1 << 14
	swB     = 1 << 15
	swCond  = swC0 | swC1 | swC2 | swC3

	cwPrec  = 8 // two bits
	cwRound = 10
)

// x87Op is the state of one x87 operation.
type x87Op struct {
	in   *ir.Inst
	io   *VecIO
	regs registers
	e    softfloat.Env
}

// x87Func executes an operation.
type x87Func func(o *x87Op)

func (o *x87Op) exec() bool {
	op := ir.X87Op(o.in.Vec)
	if op >= ir.NumX87Ops || x87Funcs[op] == nil {
		return false
	}
	cw := *o.regs.fpcw()
	o.e = softfloat.Env{
		Round: softfloat.Round(cw >> cwRound & 3), Prec: [4]int{24, 0, 53, 64}[cw>>cwPrec&3], X87: true,
		Unmasked: softfloat.Flags(^cw) & softfloat.AllFlags,
	}
	x87Funcs[op](o)
	return true
}

// finish makes the flags sticky. C1 is that of the last rounding.
func (o *x87Op) finish() {
	sw := o.regs.fpsw()
	*sw = *sw&^swC1 | uint16(o.e.Flags)
	if o.e.RoundedUp {
		*sw |= swC1
	}
	if o.e.Flags&o.e.Unmasked != 0 {
		*sw |= swES | swB
	}
	if o.in.Attr&ir.AttrSoft != 0 && ir.X87Op(o.in.Vec) != ir.X87ToBCD && o.blocked() {
		o.io.Dst2 = 1
	}
}

// setCond sets the condition bits.
func (o *x87Op) setCond(c uint16) {
	sw := o.regs.fpsw()
	*sw = *sw&^swCond | c
}

// blocked tells whether an unmasked exception keeps the destination as it is.
func (o *x87Op) blocked() bool {
	return o.e.Flags&o.e.Unmasked&(softfloat.Invalid|softfloat.Denormal|softfloat.DivZero) != 0
}

func (o *x87Op) reg(r ir.VReg) softfloat.Real {
	sig, se := o.regs.extended(r)
	return softfloat.UnpackExtended(*sig, *se)
}

// put rounds x into a register, with the precision of the control word unless exact.
func (o *x87Op) put(r ir.VReg, x softfloat.Real, exact bool) {
	pack := o.e.PackExtended
	if exact {
		pack = o.e.PackExact
	}
	sig, se := pack(x)
	if o.blocked() {
		return
	}
	toSig, toSE := o.regs.extended(r)
	*toSig, *toSE = sig, se
}

// x87Bin is an arithmetic operation on VA and VB.
func x87Bin(exact bool, op func(e *softfloat.Env, x, y softfloat.Real) softfloat.Real) x87Func {
	return func(o *x87Op) {
		o.put(o.in.VD, op(&o.e, o.reg(o.in.VA), o.reg(o.in.VB)), exact)
		o.finish()
	}
}

// x87Un is an operation on VA.
func x87Un(exact bool, op func(e *softfloat.Env, x softfloat.Real) softfloat.Real) x87Func {
	return func(o *x87Op) {
		o.put(o.in.VD, op(&o.e, o.reg(o.in.VA)), exact)
		o.finish()
	}
}

func x87Mov(o *x87Op) {
	sig, se := o.regs.extended(o.in.VA)
	toSig, toSE := o.regs.extended(o.in.VD)
	*toSig, *toSE = *sig, *se
}

func x87Xchg(o *x87Op) {
	aSig, aSE := o.regs.extended(o.in.VA)
	bSig, bSE := o.regs.extended(o.in.VB)
	*aSig, *bSig = *bSig, *aSig
	*aSE, *bSE = *bSE, *aSE
}

func x87Select(o *x87Op) {
	if o.in.Cond.Test(o.io.FIn) {
		x87Mov(o)
	}
}

// x87Sign is FABS and FCHS: the sign bit becomes sign & and ^ xor.
func x87Sign(and, xor uint16) x87Func {
	return func(o *x87Op) {
		x87Mov(o)
		_, se := o.regs.extended(o.in.VD)
		*se = *se&(0x7fff|and) ^ xor
		*o.regs.fpsw() &^= swC1
	}
}

// x87Consts are the constants of FLD1 and its like, with more bits than fit.
var x87Consts = [ir.NumX87Consts]softfloat.Real{
	ir.X87One: softfloat.FromInt(1),
	ir.X87L2T: softfloat.Make(false, 1, 0xd49a784bcd1b8afe, 0x492bf6ff4dafdb4d),
	ir.X87L2E: softfloat.Make(false, 0, 0xb8aa3b295c17f0bb, 0xbe87fed0691d3e89),
	ir.X87Pi:  softfloat.Make(false, 1, 0xc90fdaa22168c234, 0xc4c6628b80dc1cd1),
	ir.X87LG2: softfloat.Make(false, -2, 0x9a209a84fbcff798, 0x8f8959ac0b7c9178),
	ir.X87LN2: softfloat.Make(false, -1, 0xb17217f7d1cf79ab, 0xc9e3b39803f2f6af),
}

func x87Const(o *x87Op) {
	if o.in.Imm < uint64(len(x87Consts)) {
		sig, se := o.e.PackExact(x87Consts[o.in.Imm])
		toSig, toSE := o.regs.extended(o.in.VD)
		*toSig, *toSE = sig, se
	}
	*o.regs.fpsw() &^= swC1
}

// maxScale is beyond every distance of exponents.
const maxScale = 1 << 17

// x87Scale is FSCALE (SDM volume 2: special values).
func x87Scale(e *softfloat.Env, x, y softfloat.Real) softfloat.Real {
	switch {
	case y.Kind == softfloat.KindInf && !y.Sign:
		return e.Mul(x, y)
	case y.Kind == softfloat.KindInf:
		if x.Kind == softfloat.KindInf {
			return e.Mul(x, softfloat.Real{})
		}
		if x = e.Quieted(x); x.Kind != softfloat.KindFinite {
			return x
		}
		return softfloat.Real{Sign: x.Sign}
	}
	if y.Kind != softfloat.KindFinite && y.Kind != softfloat.KindZero || x.Kind == softfloat.KindNaN || x.Kind == softfloat.KindUnsupported {
		return e.Mul(x, y) // the rules for NaNs
	}
	e.Quieted(y)
	return softfloat.Scaled(e.Quieted(x).Normal(), truncated(y))
}

// truncated is the integer part of x within ±maxScale.
func truncated(x softfloat.Real) int {
	if x.Kind == softfloat.KindZero {
		return 0
	}
	if x.Exponent() >= 17 {
		if x.Sign {
			return -maxScale
		}
		return maxScale
	}
	quiet := softfloat.Env{}
	return int(quiet.ToInt(x, 64, softfloat.Zero))
}

// x87Extract is FXTRACT: VD = exponent, VC = significand.
func x87Extract(o *x87Op) {
	x := o.e.Quieted(o.reg(o.in.VA))
	exp, sig := x, x
	switch x.Kind {
	case softfloat.KindZero:
		o.e.Flags |= softfloat.DivZero
		exp = softfloat.Infinity(true)
	case softfloat.KindInf:
		exp = softfloat.Infinity(false)
	case softfloat.KindFinite:
		exp, sig = softfloat.FromInt(int64(x.Exponent())), x.Significand()
	}
	o.put(o.in.VD, exp, true)
	o.put(o.in.VC, sig, true)
	o.e.RoundedUp = false
	o.finish()
}

// x87Rem is FPREM and FPREM1.
func x87Rem(nearest bool) x87Func {
	return func(o *x87Op) {
		r, quo, done := o.e.Remainder(o.reg(o.in.VA), o.reg(o.in.VB), nearest)
		o.put(o.in.VD, r, true)
		o.e.RoundedUp = false
		o.finish()
		var c uint16
		if !done {
			c = swC2
		} else {
			c = uint16(quo>>2&1)*swC0 | uint16(quo>>1&1)*swC3 | uint16(quo&1)*swC1
		}
		o.setCond(c)
	}
}

// orderingBits is how FCOM shows the result of a comparison.
func orderingBits(c softfloat.Ordering) uint16 {
	return [4]uint16{swC0, swC3, 0, swC0 | swC2 | swC3}[c+1]
}

func x87Com(o *x87Op) {
	c := o.e.Compare(o.reg(o.in.VA), o.reg(o.in.VB), o.in.Imm&1 == 0)
	o.finish()
	o.setCond(orderingBits(c))
}

func x87ComF(o *x87Op) {
	c := o.e.Compare(o.reg(o.in.VA), o.reg(o.in.VB), o.in.Imm&1 == 0)
	o.finish()
	o.io.FOut = orderingFlags(c)
}

func x87Tst(o *x87Op) {
	c := o.e.Compare(o.reg(o.in.VA), softfloat.Real{}, true)
	o.finish()
	o.setCond(orderingBits(c))
}

// x87Xam classifies VA.
func x87Xam(o *x87Op) {
	x := o.reg(o.in.VA)
	var c uint16
	switch {
	case o.io.A&1 != 0:
		c = swC3 | swC0
	case x.Kind == softfloat.KindUnsupported:
	case x.Kind == softfloat.KindNaN:
		c = swC0
	case x.Kind == softfloat.KindInf:
		c = swC2 | swC0
	case x.Kind == softfloat.KindZero:
		c = swC3
	case x.IsDenormal():
		c = swC3 | swC2
	default:
		c = swC2
	}
	if _, se := o.regs.extended(o.in.VA); *se>>15 != 0 {
		c |= swC1
	}
	o.setCond(c)
}

// x87From loads a number of another format.
func x87From(f *softfloat.Format) x87Func {
	return func(o *x87Op) {
		o.put(o.in.VD, o.e.Quieted(o.e.Unpack(f, o.io.A)).Normal(), true)
		o.finish()
	}
}

func x87FromInt(o *x87Op) {
	o.put(o.in.VD, softfloat.FromInt(int64(o.io.A)), true)
	o.finish()
}

// bcdDigits is the number of digits of packed decimals.
const bcdDigits = 18

func x87FromBCD(o *x87Op) {
	var v int64
	for i := bcdDigits - 1; i >= 0; i-- {
		d := o.io.A >> (i % 16 * 4)
		if i >= 16 {
			d = o.io.B >> ((i - 16) * 4)
		}
		v = v*10 + int64(d&15)
	}
	x := softfloat.FromInt(v)
	x.Sign = o.io.B>>15&1 != 0
	o.put(o.in.VD, x, true)
	o.finish()
}

// x87To rounds VA to another format.
func x87To(f *softfloat.Format) x87Func {
	return func(o *x87Op) {
		o.io.Dst = o.e.Pack(f, o.e.Quieted(o.reg(o.in.VA).Normal()))
		o.finish()
	}
}

func x87ToInt(width uint, truncate bool) x87Func {
	return func(o *x87Op) {
		mode := o.e.Round
		if truncate {
			mode = softfloat.Zero
		}
		o.io.Dst = uint64(o.e.ToInt(o.reg(o.in.VA), width, mode)) & ir.SizeMask(uint8(width/8))
		o.finish()
	}
}

func x87ToBCD(o *x87Op) {
	const limit = 1_000_000_000_000_000_000
	x := o.reg(o.in.VA)
	v := o.e.ToInt(x, 64, o.e.Round)
	if v >= limit || v <= -limit {
		o.e.Flags, o.e.RoundedUp = softfloat.Invalid, false
		o.io.Dst, o.io.Dst2 = 0xc000000000000000, 0xffff
		o.finish()
		return
	}
	o.io.Dst, o.io.Dst2 = 0, 0
	if x.Sign {
		o.io.Dst2, v = 0x8000, -v
	}
	for i := range bcdDigits {
		if d := uint64(v % 10); i < 16 {
			o.io.Dst |= d << (i * 4)
		} else {
			o.io.Dst2 |= d << ((i - 16) * 4)
		}
		v /= 10
	}
	o.finish()
}
