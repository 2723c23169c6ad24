package interp

import (
	"math"

	"goemu/internal/softfloat"
	"goemu/tcg/ir"
)

// Fields of MXCSR.
const (
	csrFlags     = 0x3f
	csrDAZ       = 1 << 6
	csrMaskShift = 7
	csrRound     = 13
	csrFTZ       = 1 << 15
)

// fpState is the floating-point environment of an operation that follows MXCSR.
type fpState struct {
	softfloat.Env
}

func (s *fpState) load(r registers) {
	csr := *r.mxcsr()
	s.Env = softfloat.Env{
		Round: softfloat.Round(csr >> csrRound & 3), FTZ: csr&csrFTZ != 0, DAZ: csr&csrDAZ != 0,
		Unmasked: softfloat.Flags(^csr>>csrMaskShift) & softfloat.AllFlags,
	}
}

// store makes the flags sticky and tells whether an unmasked exception occurred: the result is not to be written then.
func (s *fpState) store(o *vecOp) bool {
	*o.regs.mxcsr() |= uint32(s.Flags)
	o.io.Dst2 = uint64(s.Flags & s.Unmasked)
	return o.io.Dst2 != 0
}

// format is the format of elements of 1<<lg bytes.
func format(lg uint) *softfloat.Format {
	if lg == 2 {
		return softfloat.F32
	}
	return softfloat.F64
}

// elems is the number of elements that the operation computes.
func (o *vecOp) elems(lg uint) int {
	if ir.VecOp(o.in.Vec).IsScalar(o.in.Size) {
		return 1
	}
	return o.n >> lg
}

func (o *vecOp) real(lg uint, v *vec, i int) softfloat.Real {
	return o.fp.Unpack(format(lg), v.u(lg, i))
}

func (o *vecOp) putReal(lg uint, i int, x softfloat.Real) { o.r.put(lg, i, o.fp.Pack(format(lg), x)) }

// rounded is x rounded to an element, for operations of several steps.
func (o *vecOp) rounded(lg uint, x softfloat.Real) softfloat.Real {
	return o.fp.Unpack(format(lg), o.fp.Pack(format(lg), x))
}

// binaryFP applies op to the elements of VA and VB.
func binaryFP(lg uint, op func(e *softfloat.Env, x, y softfloat.Real) softfloat.Real) vecFunc {
	return func(o *vecOp) {
		for i := range o.elems(lg) {
			o.putReal(lg, i, op(&o.fp.Env, o.real(lg, &o.a, i), o.real(lg, &o.b, i)))
		}
	}
}

// bitsFP applies op to the encodings of VA's and VB's elements.
func bitsFP(lg uint, op func(o *vecOp, a, b uint64) uint64) vecFunc {
	return func(o *vecOp) {
		for i := range o.elems(lg) {
			o.r.put(lg, i, op(o, o.a.u(lg, i), o.b.u(lg, i)))
		}
	}
}

func minFP(lg uint) vecFunc {
	return bitsFP(lg, func(o *vecOp, a, b uint64) uint64 { return o.fp.Min(format(lg), a, b) })
}

func maxFP(lg uint) vecFunc {
	return bitsFP(lg, func(o *vecOp, a, b uint64) uint64 { return o.fp.Max(format(lg), a, b) })
}

func sqrtFP(e *softfloat.Env, _, y softfloat.Real) softfloat.Real { return e.Sqrt(y) }

// approxFP is a reciprocal approximation: denormal numbers count as zeros, there are no exceptions.
func approxFP(f func(x float64) float64) vecFunc {
	return bitsFP(2, func(_ *vecOp, _, b uint64) uint64 {
		x := math.Float32frombits(uint32(b))
		sign := uint64(b) & (1 << 31)
		switch {
		case x != x:
			return b | 1<<22
		case b&0x7f800000 == 0:
			return sign | 0x7f800000
		}
		r := f(float64(x))
		if r != r {
			return 0xffc00000
		}
		v := uint64(math.Float32bits(float32(r)))
		if v&0x7f800000 == 0 {
			return sign
		}
		return v
	})
}

// horizontalFP combines neighbours within each lane: the low half of the results from VA, the high half from VB.
func horizontalFP(lg uint, op func(e *softfloat.Env, x, y softfloat.Real) softfloat.Real) vecFunc {
	return func(o *vecOp) {
		per := 16 >> lg
		for i := range o.n >> lg {
			src, j := &o.a, i%per*2
			if j >= per {
				src, j = &o.b, j-per
			}
			j += i / per * per
			o.putReal(lg, i, op(&o.fp.Env, o.real(lg, src, j), o.real(lg, src, j+1)))
		}
	}
}

// addSubFP subtracts even elements and adds odd ones.
func addSubFP(lg uint) vecFunc {
	return func(o *vecOp) {
		for i := range o.n >> lg {
			op := (*softfloat.Env).Sub
			if i&1 != 0 {
				op = (*softfloat.Env).Add
			}
			o.putReal(lg, i, op(&o.fp.Env, o.real(lg, &o.a, i), o.real(lg, &o.b, i)))
		}
	}
}

// fma says for even and odd elements whether the product and the addend are negated.
func fma(lg uint, negProduct, negEven, negOdd bool) vecFunc {
	return func(o *vecOp) {
		for i := range o.elems(lg) {
			x, y, z := o.real(lg, &o.a, i), o.real(lg, &o.b, i), o.real(lg, &o.c, i)
			if negProduct {
				x = negated(x)
			}
			if i&1 == 0 && negEven || i&1 != 0 && negOdd {
				z = negated(z)
			}
			o.putReal(lg, i, o.fp.FMA(x, y, z))
		}
	}
}

// negated is -x, but a NaN keeps its sign.
func negated(x softfloat.Real) softfloat.Real {
	if x.Kind == softfloat.KindNaN {
		return x
	}
	return x.Neg()
}

// Outcomes of a comparison.
const (
	outLess = 1 << iota
	outEqual
	outGreater
	outUnordered
)

// predicates are the outcomes for which the 16 basic compare predicates hold (SDM volume 2, CMPPD).
var predicates = [16]uint8{
	outEqual, outLess, outLess | outEqual, outUnordered,
	outLess | outGreater | outUnordered, outEqual | outGreater | outUnordered, outGreater | outUnordered, outLess | outEqual | outGreater,
	outEqual | outUnordered, outLess | outUnordered, outLess | outEqual | outUnordered, 0,
	outLess | outGreater, outEqual | outGreater, outGreater, outLess | outEqual | outGreater | outUnordered,
}

// predicateSignals has the basic predicates to which a quiet NaN is invalid; bit 4 of the immediate inverts that.
const predicateSignals = 1<<1 | 1<<2 | 1<<5 | 1<<6 | 1<<9 | 1<<10 | 1<<13 | 1<<14

func cmpFP(lg uint) vecFunc {
	return func(o *vecOp) {
		imm := o.imm() & 31
		signal := (predicateSignals>>(imm&15)&1 != 0) != (imm&16 != 0)
		for i := range o.elems(lg) {
			c := o.fp.Compare(o.real(lg, &o.a, i), o.real(lg, &o.b, i), signal)
			o.r.put(lg, i, ones(predicates[imm&15]>>(c+1)&1 != 0))
		}
	}
}

// orderingFlags is how COMISS and FCOMI show the result of a comparison.
func orderingFlags(c softfloat.Ordering) uint64 {
	return [4]uint64{ir.FlagC, ir.FlagZ, 0, ir.FlagZ | ir.FlagP | ir.FlagC}[c+1]
}

func comFP(lg uint) vecFunc {
	return func(o *vecOp) {
		o.io.FOut = orderingFlags(o.fp.Compare(o.real(lg, &o.a, 0), o.real(lg, &o.b, 0), o.imm()&1 != 0))
	}
}

// roundControl is the rounding mode of an immediate whose bit 2 means that of MXCSR.
func (o *vecOp) roundControl() softfloat.Round {
	if o.imm()&4 != 0 {
		return o.fp.Round
	}
	return softfloat.Round(o.imm() & 3)
}

func roundFP(lg uint) vecFunc {
	return func(o *vecOp) {
		for i := range o.elems(lg) {
			o.putReal(lg, i, o.fp.Integral(o.real(lg, &o.b, i).Normal(), o.roundControl(), o.imm()&8 == 0))
		}
	}
}

// dotFP is DPPS and DPPD: products selected by the high four bits of Imm are added in pairs; the sum goes where the low bits say. Which of
// several NaNs an element gets is the processor's choice. This is that of the Xeon it was tried on: the last addition has the element's
// own side first, an earlier one second.
func dotFP(lg uint) vecFunc {
	return func(o *vecOp) {
		per := 16 >> lg
		for base := 0; base < o.n>>lg; base += per {
			var p [4]softfloat.Real
			for i := range per {
				if o.imm()>>(4+i)&1 != 0 {
					p[i] = o.rounded(lg, o.fp.Mul(o.real(lg, &o.a, base+i), o.real(lg, &o.b, base+i)))
				}
			}
			for step := 1; step < per; step *= 2 {
				q := p
				for i := range per {
					own, other := i, i^step
					if 2*step < per {
						own, other = other, own
					}
					p[i] = o.rounded(lg, o.fp.Add(q[own], q[other]))
				}
			}
			for i := range per {
				if o.imm()>>i&1 != 0 {
					o.putReal(lg, base+i, p[i])
				}
			}
		}
	}
}

func cvtI32F32(o *vecOp) {
	for i := range o.n / 4 {
		o.putReal(2, i, softfloat.FromInt(o.b.s(2, i)))
	}
}

func cvtI32F64(o *vecOp) {
	for i := range o.n / 8 {
		o.putReal(3, i, softfloat.FromInt(o.b.s(2, i)))
	}
}

// cvtI32 converts elements to 32-bit integers.
func cvtI32(lg uint, truncate bool) vecFunc {
	return func(o *vecOp) {
		for i := range o.n >> lg {
			o.r.put(2, i, o.integer(lg, i, 32, truncate))
		}
	}
}

func (o *vecOp) integer(lg uint, i int, width uint, truncate bool) uint64 {
	mode := o.fp.Round
	if truncate {
		mode = softfloat.Zero
	}
	return uint64(o.fp.ToInt(o.real(lg, &o.b, i), width, mode))
}

// cvtInt converts one element to an integer of Imm bytes.
func cvtInt(lg uint, truncate bool) vecFunc {
	return func(o *vecOp) {
		size := uint(4)
		if o.imm() == 8 {
			size = 8
		}
		o.io.Dst = o.integer(lg, 0, size*8, truncate) & ir.SizeMask(uint8(size))
	}
}

// cvtFromInt converts the integer A of Imm bytes.
func cvtFromInt(lg uint) vecFunc {
	return func(o *vecOp) {
		v := int64(o.io.A)
		if o.imm() != 8 {
			v = int64(int32(v))
		}
		o.putReal(lg, 0, softfloat.FromInt(v))
	}
}

func cvtF32F64(o *vecOp) {
	for i := range o.elems(3) {
		o.putReal(3, i, o.fp.Quieted(o.real(2, &o.b, i)))
	}
}

func cvtF64F32(o *vecOp) {
	for i := range o.elems(3) {
		o.putReal(2, i, o.fp.Quieted(o.real(3, &o.b, i)))
	}
}

// cvtF16F32 ignores DAZ and does not signal denormal operands.
func cvtF16F32(o *vecOp) {
	o.fp.DAZ = false
	for i := range o.n / 4 {
		o.putReal(2, i, o.fp.Quieted(o.fp.Unpack(softfloat.F16, o.b.u(1, i)).Normal()))
	}
}

// cvtF32F16 ignores FTZ.
func cvtF32F16(o *vecOp) {
	o.fp.FTZ = false
	mode := o.roundControl()
	for i := range o.n / 4 {
		x := o.fp.Quieted(o.real(2, &o.b, i))
		saved := o.fp.Round
		o.fp.Round = mode
		o.r.put(1, i, o.fp.Pack(softfloat.F16, x))
		o.fp.Round = saved
	}
}
