package opt

import "goemu/tcg/ir"

// commutative operations get a constant as second operand.
var commutative = [ir.OpEnd]bool{ir.OpAdd: true, ir.OpAnd: true, ir.OpOr: true, ir.OpXor: true, ir.OpMul: true}

// value simplifies an instruction of which only Dst is wanted.
func (s *simplifier) value(in *ir.Inst) bool {
	a, b := s.b.Vals[in.A], s.b.Vals[in.B]
	if commutative[in.Op] && a.IsConst && !b.IsConst {
		in.A, in.B = in.B, in.A
		a, b = b, a
	}
	if a.IsConst && (b.IsConst || in.B == ir.None) && in.C == ir.None {
		if c, ok := foldConst(in, a.Const, b.Const); ok {
			return s.constant(in, c)
		}
	}
	switch in.Op {
	case ir.OpExt:
		return s.extend(in, in.A, in.Size)
	case ir.OpSext:
		if s.zext[in.A] < in.Size && s.zext[in.A] != 0 {
			return s.replace(in, in.A)
		}
	case ir.OpSub, ir.OpXor:
		if in.A == in.B {
			return s.constant(in, 0)
		}
	case ir.OpShl, ir.OpShr, ir.OpSar:
		in.Op, in.FIn = ir.OpShlx+in.Op-ir.OpShl, ir.None
	case ir.OpRor:
		if in.Size >= 4 {
			in.Op, in.FIn = ir.OpRorx, ir.None
		}
	case ir.OpLea:
		return s.lea(in)
	case ir.OpSelectZ:
		if c := s.b.Vals[in.C]; c.IsConst {
			if c.Const&ir.SizeMask(in.Size) == 0 {
				return s.replace(in, in.A)
			}
			return s.replace(in, in.B)
		}
	}
	if b.IsConst {
		return s.withConst(in, b.Const&ir.SizeMask(in.Size))
	}
	return true
}

// foldConst computes an operation on constants.
func foldConst(in *ir.Inst, a, b uint64) (uint64, bool) {
	switch in.Op {
	case ir.OpExt:
		return a & ir.SizeMask(in.Size), true
	case ir.OpSext:
		return ir.SignExtend(in.Size, a), true
	case ir.OpExtract:
		return a >> (in.Imm & 0xff) & (1<<(in.Imm>>8) - 1), true
	case ir.OpDeposit:
		m, pos := uint64(1)<<(in.Imm>>8)-1, in.Imm&0xff
		return a&^(m<<pos) | b&m<<pos, true
	case ir.OpLea:
		return (a + b<<in.Imm2 + in.Imm) & ir.SizeMask(in.Size), true
	}
	return ir.Fold(in.Op, in.Size, a, b)
}

// extend makes the instruction the zero-extension of v from size bytes.
func (s *simplifier) extend(in *ir.Inst, v ir.Val, size uint8) bool {
	if size == 8 || s.zext[v] != 0 && s.zext[v] <= size {
		return s.replace(in, v)
	}
	*in = ir.Inst{Op: ir.OpExt, Size: size, Dst: in.Dst, A: v, VD: ir.VNone, VA: ir.VNone, VB: ir.VNone, VC: ir.VNone}
	return true
}

// same makes the result that of A, as far as the operation's size goes.
func (s *simplifier) same(in *ir.Inst) bool {
	if in.Size == 4 {
		return s.extend(in, in.A, 4)
	}
	return s.replace(in, in.A)
}

// withConst simplifies an operation whose second operand is the constant c.
func (s *simplifier) withConst(in *ir.Inst, c uint64) bool {
	switch in.Op {
	case ir.OpAdd, ir.OpSub, ir.OpOr, ir.OpXor:
		if c == 0 {
			return s.same(in)
		}
	case ir.OpShlx, ir.OpShrx, ir.OpSarx, ir.OpRorx:
		if c&ir.CountMask(in.Size) == 0 && (in.Op == ir.OpShlx || in.Size >= 4) {
			return s.same(in)
		}
	case ir.OpAnd:
		switch c {
		case 0:
			return s.constant(in, 0)
		case ir.SizeMask(in.Size):
			return s.same(in)
		case 0xff:
			return s.extend(in, in.A, 1)
		case 0xffff:
			return s.extend(in, in.A, 2)
		case 0xffffffff:
			return s.extend(in, in.A, 4)
		}
	case ir.OpMul:
		if c == 0 {
			return s.constant(in, 0)
		}
		if c == 1 {
			return s.same(in)
		}
	}
	return true
}

// lea simplifies an address computation.
func (s *simplifier) lea(in *ir.Inst) bool {
	if b := s.b.Vals[in.B]; b.IsConst {
		if disp := in.Imm + b.Const<<in.Imm2; int64(disp) == int64(int32(disp)) {
			in.Imm, in.B, in.Imm2 = disp, ir.None, 0
		}
	}
	if in.B == ir.None && in.Imm == 0 {
		if in.Size == 4 || in.Size == 8 {
			return s.same(in)
		}
	}
	if in.B != ir.None && in.Imm2 == 0 && s.b.Vals[in.A].IsConst {
		in.A, in.B = in.B, in.A
		return s.lea(in)
	}
	return true
}
