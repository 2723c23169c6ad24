package interp

import (
	"encoding/binary"

	"goemu/tcg/ir"
)

// vec is the value of a vector register: little-endian elements in 64-bit words.
type vec [4]uint64

// u is element i of 1<<lg bytes, zero-extended.
func (v *vec) u(lg uint, i int) uint64 {
	off := uint(i) << lg
	return v[off>>3&3] >> (off & 7 * 8) & (1<<(8<<lg) - 1)
}

// s is element i, sign-extended.
func (v *vec) s(lg uint, i int) int64 { return sx(lg, v.u(lg, i)) }

func sx(lg uint, x uint64) int64 {
	sh := 64 - 8<<lg
	return int64(x<<sh) >> sh
}

// put sets element i to the low bits of x.
func (v *vec) put(lg uint, i int, x uint64) {
	off := uint(i) << lg
	m := uint64(1<<(8<<lg) - 1)
	sh := off & 7 * 8
	p := &v[off>>3&3]
	*p = *p&^(m<<sh) | x&m<<sh
}

func (v *vec) load(b []byte) {
	for i := range v {
		if len(b) < i*8+8 {
			return
		}
		v[i] = binary.LittleEndian.Uint64(b[i*8:])
	}
}

func (v *vec) store(b []byte) {
	for i := range v {
		if len(b) < i*8+8 {
			return
		}
		binary.LittleEndian.PutUint64(b[i*8:], v[i])
	}
}

// VecIO has the operands and results of a vector or x87 instruction that are no vector registers.
type VecIO struct {
	A, B uint64 // values of Inst.A and Inst.B
	FIn  uint64 // image of Inst.FIn

	Dst, Dst2 uint64 // results
	FOut      uint64 // flags image
}

// vecOp is the state of one vector operation.
type vecOp struct {
	in      *ir.Inst
	io      *VecIO
	regs    registers
	n       int // bytes of the operation
	a, b, c vec // operands
	d       vec // old VD
	r       vec // result
	fp      fpState
}

// VecUnit executes vector and x87 instructions. It is scratch memory: one goroutine uses it at a time.
type VecUnit struct {
	vec vecOp
	x87 x87Op
	io  VecIO
}

// run executes an instruction on registers.
func (u *VecUnit) run(regs registers, in *ir.Inst) bool {
	if in.Op == ir.OpX87 {
		u.x87.in, u.x87.io, u.x87.regs = in, &u.io, regs
		return u.x87.exec()
	}
	u.vec.in, u.vec.io, u.vec.regs = in, &u.io, regs
	return u.vec.exec()
}

// vecFunc computes the result of an operation.
type vecFunc func(o *vecOp)

// imm is the immediate byte.
func (o *vecOp) imm() uint64 { return o.in.Imm & 0xff }

// lane is the size of the units in which shuffles work.
func (o *vecOp) lane() int { return min(o.n, 16) }

// exec runs the operation in o.in on the registers.
func (o *vecOp) exec() bool {
	op := ir.VecOp(o.in.Vec)
	if op >= ir.NumVecOps || vecFuncs[op] == nil {
		return false
	}
	info := op.Info()
	o.n = int(o.in.Size)
	o.r = vec{}
	o.operand(&o.a, o.in.VA)
	o.operand(&o.b, o.in.VB)
	o.operand(&o.d, o.in.VD)
	if info.Use&ir.UseVC != 0 {
		o.operand(&o.c, o.in.VC)
	}
	if info.FP {
		o.fp.load(o.regs)
	}
	vecFuncs[op](o)
	if info.FP && o.fp.store(o) {
		return true
	}
	if info.Use&ir.UseVD != 0 && o.in.VD != ir.VNone {
		o.write(op.IsScalar(o.in.Size), info)
	}
	return true
}

func (o *vecOp) operand(v *vec, r ir.VReg) {
	*v = vec{}
	if r != ir.VNone {
		v.load(o.regs.bytes(r))
	}
}

// write stores the result by the rules for the bytes above it.
func (o *vecOp) write(scalar bool, info *ir.VecInfo) {
	to := o.regs.bytes(o.in.VD)
	merge := o.in.Attr&ir.AttrMerge != 0
	switch {
	case len(to) == 8: // an x87 register
		o.r.store(to)
		return
	case scalar:
		size := 8
		if o.in.Size == 4 {
			size = 4
		}
		base := o.a
		if merge || info.Use&ir.UseVC != 0 {
			base = o.d
		}
		if !merge {
			base[2], base[3] = 0, 0
		}
		if size == 4 {
			base.put(2, 0, o.r[0])
		} else {
			base[0] = o.r[0]
		}
		o.r = base
	case merge:
		for i := o.n / 8; i < 4; i++ {
			o.r[i] = o.d[i]
		}
	default:
		for i := o.n / 8; i < 4; i++ {
			o.r[i] = 0
		}
	}
	o.r.store(to)
}

// lanes applies f to all elements of 1<<lg bytes.
func lanes(lg uint, f func(x, y uint64) uint64) vecFunc {
	return func(o *vecOp) {
		for i := range o.n >> lg {
			o.r.put(lg, i, f(o.a.u(lg, i), o.b.u(lg, i)))
		}
	}
}

// slanes is lanes on sign-extended elements.
func slanes(lg uint, f func(x, y int64) int64) vecFunc {
	return func(o *vecOp) {
		for i := range o.n >> lg {
			o.r.put(lg, i, uint64(f(o.a.s(lg, i), o.b.s(lg, i))))
		}
	}
}

// words applies f to 64-bit words.
func words(f func(x, y uint64) uint64) vecFunc {
	return func(o *vecOp) {
		for i := range (o.n + 7) / 8 {
			o.r[i] = f(o.a[i], o.b[i])
		}
	}
}

// moved permutes elements: element i of the result is element sel(o, i) of VA (0…) or VB (fromB + 0…); negative gives zero.
func moved(lg uint, sel func(o *vecOp, i int) int) vecFunc {
	return func(o *vecOp) {
		for i := range o.n >> lg {
			switch s := sel(o, i); {
			case s >= fromB:
				o.r.put(lg, i, o.b.u(lg, s-fromB))
			case s >= 0:
				o.r.put(lg, i, o.a.u(lg, s))
			default:
				o.r.put(lg, i, 0)
			}
		}
	}
}

const fromB = 64

// satS and satU saturate to 8<<lg bits.
func satS(lg uint, x int64) int64 {
	limit := int64(1) << (8<<lg - 1)
	return min(max(x, -limit), limit-1)
}

func satU(lg uint, x int64) int64 { return min(max(x, 0), 1<<(8<<lg)-1) }

// all is all ones if c.
func ones(c bool) uint64 { return -b2u(c) }
