package ir

import (
	"fmt"
	"strconv"
	"strings"
)

// The text form has one instruction on a line:
//
//	results = name.size operands
//
// Results and operands stand in the order of the Slot constants; an absent result or Val operand is "_" (trailing ones are left out on
// the right of the name). Vals are v1, flags f1, globals their names, immediates #0x…, Imm2 %n, memory m[MMU|s|aALIGN], exits ->n.

// Text is the text form of a block.
func Text(b *Block, globals []GlobalInfo) string {
	var s []byte
	s = fmt.Appendf(s, "block %#x\n", b.PC)
	for i := range b.Insts {
		s = AppendInst(s, &b.Insts[i], globals)
		s = append(s, '\n')
	}
	for i, e := range b.Exits {
		if e.Kind == ExitDirect {
			s = fmt.Appendf(s, "exit %d direct %#x\n", i, e.PC)
		} else {
			s = fmt.Appendf(s, "exit %d reason %d %#x\n", i, e.Reason, e.PC)
		}
	}
	return string(s)
}

// AppendInst appends the text form of one instruction.
func AppendInst(s []byte, in *Inst, globals []GlobalInfo) []byte {
	info := in.Op.Info()
	slots := info.Need | info.May
	if in.Dst|in.Dst2|in.FOut != None {
		var parts []string
		for _, r := range [...]struct {
			slot Slot
			name string
		}{{SlotDst, valName('v', in.Dst)}, {SlotDst2, valName('v', in.Dst2)}, {SlotFOut, valName('f', in.FOut)}} {
			if slots&r.slot != 0 {
				parts = append(parts, r.name)
			}
		}
		s = append(s, strings.Join(parts, ", ")...)
		s = append(s, " = "...)
	}
	s = append(s, info.Name...)
	if info.Sizes != 0 {
		s = append(append(s, '.'), strconv.Itoa(int(in.Size))...)
	}
	if in.Attr != 0 {
		s = append(append(s, '!'), strconv.Itoa(int(in.Attr))...)
	}
	ops := operandTexts(in, slots, globals)
	for len(ops) > 0 && ops[len(ops)-1] == "_" {
		ops = ops[:len(ops)-1]
	}
	if len(ops) > 0 {
		s = append(append(s, ' '), strings.Join(ops, ", ")...)
	}
	return s
}

func valName(kind byte, v Val) string {
	if v == None {
		return "_"
	}
	return string(kind) + strconv.Itoa(int(v))
}

// operandTexts lists the operands right of the name.
func operandTexts(in *Inst, slots Slot, globals []GlobalInfo) []string {
	var ops []string
	add := func(slot Slot, text func() string) {
		if slots&slot != 0 {
			ops = append(ops, text())
		}
	}
	add(SlotCond, func() string { return in.Cond.String() })
	add(SlotGlobal, func() string {
		if int(in.Global) < len(globals) {
			return globals[in.Global].Name
		}
		return "g" + strconv.Itoa(int(in.Global))
	})
	add(SlotVec, func() string { return vecText(in) })
	add(SlotImm, func() string { return fmt.Sprintf("#%#x", in.Imm) })
	add(SlotImm2, func() string { return fmt.Sprintf("%%%d", in.Imm2) })
	add(SlotMem, func() string { return memText(in) })
	add(SlotExit, func() string { return fmt.Sprintf("->%d", in.Imm) })
	add(SlotA, func() string { return valName('v', in.A) })
	add(SlotB, func() string { return valName('v', in.B) })
	add(SlotC, func() string { return valName('v', in.C) })
	add(SlotFIn, func() string { return valName('f', in.FIn) })
	return ops
}

func memText(in *Inst) string {
	s := "m" + strconv.Itoa(int(in.Mem.MMU))
	if in.Mem.Signed {
		s += "s"
	}
	if in.Mem.Align != 0 {
		s += "a" + strconv.Itoa(int(in.Mem.Align))
	}
	return s
}

// vecText is "op(VD VA VB VC)" with the registers' numbers or "_"; loads and stores have no operation.
func vecText(in *Inst) string {
	s := vecName(in.Op, in.Vec) + "("
	for i, r := range [...]VReg{in.VD, in.VA, in.VB, in.VC} {
		if i > 0 {
			s += " "
		}
		if r == VNone {
			s += "_"
		} else {
			s += strconv.Itoa(int(r))
		}
	}
	return s + ")"
}

// vecName is the name of the vector or x87 operation number n.
func vecName(op Op, n uint16) string {
	switch op {
	case OpVec:
		return VecOp(n).String()
	case OpX87:
		return X87Op(n).String()
	}
	return ""
}
