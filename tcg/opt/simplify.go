package opt

import (
	"math/bits"

	"goemu/tcg/ir"
)

// simplify walks forwards: it forwards globals and flags, folds constants, drops redundant extensions and moves, folds additions into
// addresses and replaces operations by cheaper ones.
func (o *Optimizer) simplify(b *ir.Block) {
	n := len(b.Vals)
	o.repl, o.def, o.zext = resized(o.repl, n), resized(o.def, n), resized(o.zext, n)
	clear(o.known)
	s := simplifier{Optimizer: o, b: b}
	j := 0
	for i := range b.Insts {
		in := &b.Insts[i]
		s.operands(in)
		if !s.visit(in) {
			continue
		}
		if j != i {
			b.Insts[j] = *in
			in = &b.Insts[j]
		}
		j++
		s.note(in, int32(j))
		if in.Op.Info().Attr&ir.OpEnds != 0 {
			break
		}
	}
	b.Insts = b.Insts[:j]
}

// simplifier is the state of one walk.
type simplifier struct {
	*Optimizer
	b     *ir.Block
	flags ir.Val // what the guest's flags are known to hold
}

// operands replaces operands by the values they were found equal to.
func (s *simplifier) operands(in *ir.Inst) {
	for _, p := range [...]*ir.Val{&in.A, &in.B, &in.C, &in.FIn} {
		if r := s.repl[*p]; r != ir.None {
			*p = r
		}
	}
	if lowOperands[in.Op] && in.Size < 8 {
		in.A = s.low(in.A, in.Size)
		if in.Op != ir.OpSext && in.Op != ir.OpExt {
			in.B = s.low(in.B, in.Size)
		}
	} else if in.Op == ir.OpSt && in.Size < 8 {
		in.B = s.low(in.B, in.Size)
	}
}

// lowOperands are the operations of which A and B matter in the low Size bytes only.
var lowOperands = [ir.OpEnd]bool{
	ir.OpAdd: true, ir.OpSub: true, ir.OpAnd: true, ir.OpOr: true, ir.OpXor: true, ir.OpAndN: true, ir.OpNot: true, ir.OpNeg: true,
	ir.OpAdc: true, ir.OpSbb: true, ir.OpInc: true, ir.OpDec: true, ir.OpMul: true, ir.OpMulU: true, ir.OpMulS: true,
	ir.OpExt: true, ir.OpSext: true, ir.OpStEnv: true, ir.OpExitNZ: true, ir.OpExitZ: true, ir.OpSelect: true, ir.OpBswap: true,
}

// low finds an older value with the same low size bytes as v.
func (s *simplifier) low(v ir.Val, size uint8) ir.Val {
	for s.def[v] != 0 {
		d := &s.b.Insts[s.def[v]-1]
		switch {
		case (d.Op == ir.OpExt || d.Op == ir.OpSext) && d.Size >= size:
			v = d.A
		case d.Op == ir.OpDeposit && d.Imm&0xff == 0 && d.Imm>>8 >= uint64(size)*8:
			v = d.B
		case d.Op == ir.OpDeposit && d.Imm&0xff >= uint64(size)*8:
			v = d.A
		default:
			return v
		}
	}
	return v
}

// note records what an instruction that is kept says about its results.
func (s *simplifier) note(in *ir.Inst, index int32) {
	if in.Dst != ir.None {
		s.def[in.Dst] = index
		s.zext[in.Dst] = resultBytes(in)
	}
	if in.Dst2 != ir.None {
		s.zext[in.Dst2] = 8
		if in.Size == 4 {
			s.zext[in.Dst2] = 4
		}
	}
}

// resultBytes is how many low bytes of Dst may be non-zero.
func resultBytes(in *ir.Inst) uint8 {
	switch in.Op {
	case ir.OpConst:
		return uint8(max(1, (bits.Len64(in.Imm)+7)/8))
	case ir.OpSetCond:
		return 1
	case ir.OpImage:
		return 2
	case ir.OpExt, ir.OpAtomic, ir.OpCmpXchg:
		return in.Size
	case ir.OpLd, ir.OpLdEnv:
		if !in.Mem.Signed {
			return in.Size
		}
	case ir.OpLdRMW:
		return in.Size
	case ir.OpExtract:
		return uint8((in.Imm>>8 + 7) / 8)
	case ir.OpCrc32:
		return 4
	case ir.OpSext, ir.OpSelectZ, ir.OpVec, ir.OpX87, ir.OpCall, ir.OpGet, ir.OpBsf, ir.OpBsr:
		return 8
	default:
		if in.Size == 4 {
			return 4
		}
	}
	return 8
}

// visit simplifies one instruction and tells whether it is kept.
func (s *simplifier) visit(in *ir.Inst) bool {
	switch in.Op {
	case ir.OpGet:
		if v := s.known[in.Global]; v != ir.None {
			return s.replace(in, v)
		}
		s.known[in.Global] = in.Dst
	case ir.OpSet:
		if s.known[in.Global] == in.A {
			return false
		}
		s.known[in.Global] = in.A
	case ir.OpGetFlags:
		if s.flags != ir.None {
			s.repl[in.FOut] = s.flags
			return false
		}
		s.flags = in.FOut
	case ir.OpSetFlags:
		if s.flags == in.FIn {
			return false
		}
		s.flags = in.FIn
	case ir.OpCall:
		clear(s.known)
		s.flags = ir.None
	case ir.OpExitNZ, ir.OpExitZ:
		return s.exitOn(in)
	default:
		if in.Op.Info().Need&ir.SlotMem != 0 {
			s.address(in)
			return true
		}
		if in.FOut == ir.None && in.Dst != ir.None && in.Dst2 == ir.None {
			return s.value(in)
		}
	}
	return true
}

// replace makes every use of the result one of v, and drops the instruction.
func (s *simplifier) replace(in *ir.Inst, v ir.Val) bool {
	s.repl[in.Dst] = v
	return false
}

// constant turns the instruction into a constant.
func (s *simplifier) constant(in *ir.Inst, c uint64) bool {
	*in = ir.Inst{Op: ir.OpConst, Size: 8, Dst: in.Dst, Imm: c, VD: ir.VNone, VA: ir.VNone, VB: ir.VNone, VC: ir.VNone}
	s.b.Vals[in.Dst].IsConst, s.b.Vals[in.Dst].Const = true, c
	return true
}

// exitOn decides an exit on a constant.
func (s *simplifier) exitOn(in *ir.Inst) bool {
	a := s.b.Vals[in.A]
	if !a.IsConst {
		return true
	}
	if (a.Const&ir.SizeMask(in.Size) != 0) != (in.Op == ir.OpExitNZ) {
		return false
	}
	*in = ir.Inst{Op: ir.OpGoto, Imm: in.Imm, VD: ir.VNone, VA: ir.VNone, VB: ir.VNone, VC: ir.VNone}
	return true
}

// address folds constant additions into the displacement of a memory access.
func (s *simplifier) address(in *ir.Inst) {
	for s.def[in.A] != 0 {
		d := &s.b.Insts[s.def[in.A]-1]
		var disp uint64
		switch {
		case d.Size != 8:
			return
		case d.Op == ir.OpLea && d.B == ir.None:
			disp = d.Imm
		case d.Op == ir.OpAdd && s.b.Vals[d.B].IsConst:
			disp = s.b.Vals[d.B].Const
		case d.Op == ir.OpSub && d.B != ir.None && s.b.Vals[d.B].IsConst:
			disp = -s.b.Vals[d.B].Const
		default:
			return
		}
		if disp += in.Imm; int64(disp) != int64(int32(disp)) {
			return
		}
		in.A, in.Imm = d.A, disp
	}
}
