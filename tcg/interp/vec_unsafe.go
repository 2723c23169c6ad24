package interp

import (
	"sync"
	"unsafe"

	"goemu/target/x86"
	"goemu/tcg/ir"
)

// registers is the vector and floating-point state of a CPU.
type registers struct{ env unsafe.Pointer }

// bytes is a register: 32 bytes, or the low 8 of an x87 register. Numbers out of range give the last temporary.
func (r registers) bytes(v ir.VReg) []byte {
	n := 32
	switch {
	case v >= ir.VF0 && v <= ir.VF7:
		n = 8
	case v >= ir.NumVRegs:
		v = ir.VT2
	}
	return unsafe.Slice((*byte)(unsafe.Add(r.env, x86.VecLayout.Offset(v))), n)
}

func (r registers) mxcsr() *uint32 { return (*uint32)(unsafe.Add(r.env, x86.VecLayout.MXCSR)) }
func (r registers) fpcw() *uint16  { return (*uint16)(unsafe.Add(r.env, x86.VecLayout.FPCW)) }
func (r registers) fpsw() *uint16  { return (*uint16)(unsafe.Add(r.env, x86.VecLayout.FPSW)) }

// extended is the 80-bit register v: its significand and its sign with exponent.
func (r registers) extended(v ir.VReg) (sig *uint64, se *uint16) {
	if v >= ir.NumVRegs && (v < ir.VF0 || v > ir.VF7) {
		v = ir.VT2
	}
	p := unsafe.Add(r.env, x86.VecLayout.Offset(v))
	return (*uint64)(p), (*uint16)(unsafe.Add(p, 8))
}

// Exec executes an OpVec or OpX87 instruction on the environment that begins with h. It returns false if there is no such operation.
func (u *VecUnit) Exec(h *ir.Header, in *ir.Inst, io *VecIO) bool {
	u.io = *io
	ok := u.run(registers{unsafe.Pointer(h)}, in)
	*io = u.io
	return ok
}

var units = sync.Pool{New: func() any { return new(VecUnit) }}

// ExecVec is VecUnit.Exec for callers without a VecUnit of their own.
func ExecVec(h *ir.Header, in *ir.Inst, io *VecIO) bool {
	u := units.Get().(*VecUnit)
	defer units.Put(u)
	return u.Exec(h, in, io)
}

// vector executes an OpVec or OpX87 instruction.
func vector(x *exec, in *inst) bool {
	io := &x.vec.io
	*io = VecIO{A: x.v[in.a], B: x.v[in.b]}
	if in.fin != slotZero {
		io.FIn = x.f[in.fin].image()
	}
	x.vec.run(registers{x.env()}, in.src)
	x.v[in.dst], x.v[in.dst2] = io.Dst, io.Dst2
	x.setImage(in.fout, io.FOut)
	return false
}
