package opt

import "goemu/tcg/ir"

// liveness walks backwards. It drops what nobody needs: instructions without effect, flags and parts of flags, results of compares,
// stores to globals and to the guest's flags that are overwritten before anybody can see them.
//
// A memory access that may fault does not count as a reader of the guest's flags: flags that are dead on the normal path may be stale
// at a fault. But flags that a later instruction of the block uses must be there, since execution resumes at the access.
func (o *Optimizer) liveness(b *ir.Block) {
	o.need = resized(o.need, len(b.Vals))
	l := live{vals: b.Vals, need: o.need, flags: ir.FlagAll}
	j := len(b.Insts)
	for i := len(b.Insts) - 1; i >= 0; i-- {
		in := &b.Insts[i]
		if !l.visit(in) {
			continue
		}
		if j--; j != i {
			b.Insts[j] = *in
		}
	}
	b.Insts = b.Insts[:copy(b.Insts, b.Insts[j:])]
}

// live is what is needed behind the current instruction.
type live struct {
	vals  []ir.ValInfo
	need  []uint64
	flags uint64 // bits of the guest's flags
	later uint64 // bits of the guest's flags that are used further on, if execution should resume in between
	dead  uint64 // globals that are overwritten before anybody can see them, as far as they are numbered below 64
}

// visit passes one instruction backwards and tells whether it is kept.
func (l *live) visit(in *ir.Inst) bool {
	switch in.Op {
	case ir.OpSet:
		return l.set(in)
	case ir.OpSetFlags:
		l.later = 0
		if l.flags == 0 {
			return false
		}
		l.need[in.FIn] |= l.flags
		l.flags = 0
		return true
	}
	attr := in.Op.Info().Attr
	l.results(in)
	if attr&(ir.OpEffect|ir.OpFaults) == 0 && in.Dst|in.Dst2|in.FOut == ir.None {
		return false
	}
	switch {
	case attr&(ir.OpLeaves|ir.OpHelper) != 0:
		l.flags, l.dead = ir.FlagAll, 0
	case attr&ir.OpFaults != 0:
		l.dead = 0
		l.flags |= l.later
	case in.Op == ir.OpGet && in.Global < 64:
		l.dead &^= 1 << in.Global
	case in.Op == ir.OpLdEnv, in.Op == ir.OpStEnv:
		l.dead = 0
	case in.Op == ir.OpGetFlags:
		l.flags |= l.need[in.FOut]
	}
	l.flagsInput(in)
	for _, v := range [...]ir.Val{in.A, in.B, in.C} {
		l.need[v] = 1
	}
	return true
}

func (l *live) set(in *ir.Inst) bool {
	if in.Global < 64 {
		bit := uint64(1) << in.Global
		if l.dead&bit != 0 {
			return false
		}
		l.dead |= bit
	}
	l.need[in.A] = 1
	return true
}

// results drops the results that nobody needs.
func (l *live) results(in *ir.Inst) {
	if in.FOut != ir.None && l.need[in.FOut] == 0 {
		in.FOut = ir.None
	}
	may := in.Op.Info().May
	if in.Dst != ir.None && l.need[in.Dst] == 0 && (may&ir.SlotDst != 0 || in.Op.Info().Attr&(ir.OpEffect|ir.OpFaults) == 0) {
		in.Dst = ir.None
	}
	if in.Dst2 != ir.None && l.need[in.Dst2] == 0 {
		in.Dst2 = ir.None
	}
}

// flagsInput says which bits of FIn are needed, and drops it if none is.
func (l *live) flagsInput(in *ir.Inst) {
	if in.FIn == ir.None {
		return
	}
	out := uint64(0)
	if in.FOut != ir.None {
		out = l.need[in.FOut]
	}
	var n uint64
	optional := true
	switch in.Op {
	case ir.OpSetCond, ir.OpSelect, ir.OpExitIf:
		n = in.Cond.Mask()
	case ir.OpAdc, ir.OpSbb:
		n = ir.FlagC
	case ir.OpInc, ir.OpDec:
		n = out & ir.FlagC
	case ir.OpAdcx:
		n, optional = ir.FlagC|out, false
	case ir.OpAdox:
		n, optional = ir.FlagV|out, false
	case ir.OpRcl, ir.OpRcr:
		n, optional = ir.FlagC|out, false
		if l.shifts(in.B, in.Size) {
			n = ir.FlagC | out&^(ir.FlagC|ir.FlagV)
		}
	case ir.OpBt, ir.OpBts, ir.OpBtr, ir.OpBtc:
		n = out &^ ir.FlagC
	case ir.OpShl, ir.OpShr, ir.OpSar:
		if n = out; l.shifts(in.B, in.Size) {
			n = 0
		}
	case ir.OpShld, ir.OpShrd:
		if n = out; l.shifts(in.C, in.Size) {
			n = 0
		}
	case ir.OpRol, ir.OpRor:
		if n = out; l.shifts(in.B, in.Size) {
			n = out &^ (ir.FlagC | ir.FlagV)
		}
	default:
		n, optional = ir.FlagAll, false
	}
	if n == 0 && optional {
		in.FIn = ir.None
		return
	}
	l.need[in.FIn] |= n
	l.later |= n
}

// shifts tells whether a count is known not to be zero. A zero count passes all flags on.
func (l *live) shifts(count ir.Val, size uint8) bool {
	c := &l.vals[count]
	return c.IsConst && c.Const&ir.CountMask(size) != 0
}
