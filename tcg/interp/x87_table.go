package interp

import (
	"goemu/internal/softfloat"
	"goemu/tcg/ir"
)

// x87Funcs has every X87Op.
var x87Funcs = [ir.NumX87Ops]x87Func{
	ir.X87Mov:     x87Mov,
	ir.X87Xchg:    x87Xchg,
	ir.X87Select:  x87Select,
	ir.X87Const:   x87Const,
	ir.X87Add:     x87Bin(false, (*softfloat.Env).Add),
	ir.X87Sub:     x87Bin(false, (*softfloat.Env).Sub),
	ir.X87Mul:     x87Bin(false, (*softfloat.Env).Mul),
	ir.X87Div:     x87Bin(false, (*softfloat.Env).Div),
	ir.X87Sqrt:    x87Un(false, (*softfloat.Env).Sqrt),
	ir.X87Abs:     x87Sign(0, 0),
	ir.X87Chs:     x87Sign(0x8000, 0x8000),
	ir.X87Round:   x87Un(true, func(e *softfloat.Env, x softfloat.Real) softfloat.Real { return e.Integral(x, e.Round, true) }),
	ir.X87Scale:   x87Bin(true, x87Scale),
	ir.X87Extract: x87Extract,
	ir.X87Rem:     x87Rem(false),
	ir.X87Rem1:    x87Rem(true),
	ir.X87F2XM1:   x87Un(true, f2xm1),
	ir.X87FYL2X:   x87Bin(true, fyl2x),
	ir.X87FYL2XP1: x87Bin(true, fyl2xp1),
	ir.X87FPAtan:  x87Bin(true, fpatan),
	ir.X87FSin:    x87Trig(true, false, false),
	ir.X87FCos:    x87Trig(false, true, false),
	ir.X87FSinCos: x87Trig(true, true, false),
	ir.X87FPTan:   x87Trig(false, false, true),
	ir.X87Com:     x87Com,
	ir.X87ComF:    x87ComF,
	ir.X87Tst:     x87Tst,
	ir.X87Xam:     x87Xam,
	ir.X87FromF32: x87From(softfloat.F32),
	ir.X87FromF64: x87From(softfloat.F64),
	ir.X87FromInt: x87FromInt,
	ir.X87FromBCD: x87FromBCD,
	ir.X87ToF32:   x87To(softfloat.F32),
	ir.X87ToF64:   x87To(softfloat.F64),
	ir.X87ToI16:   x87ToInt(16, false),
	ir.X87ToI32:   x87ToInt(32, false),
	ir.X87ToI64:   x87ToInt(64, false),
	ir.X87ToI16T:  x87ToInt(16, true),
	ir.X87ToI32T:  x87ToInt(32, true),
	ir.X87ToI64T:  x87ToInt(64, true),
	ir.X87ToBCD:   x87ToBCD,
	ir.X87GetSW:   func(o *x87Op) { o.io.Dst = uint64(*o.regs.fpsw()) },
	ir.X87ClearSW: func(o *x87Op) { *o.regs.fpsw() &^= swFlags | swSF | swES | swB },
	ir.X87SetCW:   func(o *x87Op) { *o.regs.fpcw() = uint16(o.io.A) },
}
