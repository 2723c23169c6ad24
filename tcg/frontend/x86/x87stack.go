package x86

import (
	"strings"

	"goemu/target/x86"
	"goemu/tcg/ir"
)

// Stack faults and the instruction pointers of x87 (SDM volume 1, 8.5.1.1 and 8.1.8). What is empty and what is not is looked at once per
// register and block; an instruction that would fault leaves for the accelerator.

// x87Needs lists the ST(i) that an instruction reads, as bits, and tells whether it pushes.
func x87Needs(name string, mem bool, rm uint8) (src uint8, push bool) {
	const st0, st01 = 1, 3
	switch {
	case strings.HasPrefix(name, "fn"), name == "":
		return 0, false
	case mem:
		switch name {
		case "fld", "fild", "fbld":
			return 0, true
		case "fldenv", "frstor", "fldcw":
			return 0, false
		}
		return st0, false
	}
	switch name {
	case "fld":
		return 1 << rm, true
	case "fld1", "fldl2t", "fldl2e", "fldpi", "fldlg2", "fldln2", "fldz":
		return 0, true
	case "ffree", "ffreep", "fxam", "fdecstp", "fincstp":
		return 0, false
	case "fst", "fstp", "fstp8", "fstp9", "fchs", "fabs", "ftst", "f2xm1", "fsqrt", "frndint", "fsin", "fcos":
		return st0, false
	case "fptan", "fxtract", "fsincos":
		return st0, true
	case "fyl2x", "fpatan", "fprem1", "fprem", "fyl2xp1", "fscale", "fucompp", "fcompp":
		return st01, false
	}
	return st0 | 1<<rm, false
}

// x87Control are the instructions without prefix FN that leave the pointers alone.
var x87Control = map[string]bool{"fldcw": true, "fldenv": true, "frstor": true}

// checkStack leaves the block if the instruction would read an empty register or push onto a full one.
func (f *x87Insn) checkStack() {
	t, b := f.t, f.b
	src, push := x87Needs(f.row.name, t.d.mod != 3, f.rm)
	bad := ir.None
	look := func(r ir.VReg, flip uint64) {
		v := b.LdEnv(1, offFPTag+uintptr(r-ir.VF0))
		if flip != 0 {
			v = b.Xor(4, v, b.Const(flip))
		}
		if bad != ir.None {
			v = b.Or(4, bad, v)
		}
		bad = v
	}
	for i := uint8(0); i < 8; i++ {
		if r := f.st(i); src>>i&1 != 0 && t.fp.valid>>(r-ir.VF0)&1 == 0 {
			look(r, 0)
			t.fp.know(r, false)
		}
	}
	if r := f.next(); push && t.fp.empty>>(r-ir.VF0)&1 == 0 {
		look(r, 1)
		t.fp.know(r, true)
	}
	if bad != ir.None {
		b.ExitNZ(1, bad, b.ReasonExit(t.pc, x86.ExitX87Stack))
	}
}

// know notes whether a register is empty.
func (s *fpState) know(r ir.VReg, empty bool) {
	bit := uint8(1) << (r - ir.VF0)
	s.valid, s.empty = s.valid|bit, s.empty&^bit
	if empty {
		s.valid, s.empty = s.valid&^bit, s.empty|bit
	}
}

// savePointers notes where the instruction and its operand are. The selectors matter outside 64-bit code only, the opcode only while an
// exception may be raised.
func (f *x87Insn) savePointers() {
	t, b, d := f.t, f.b, &f.t.d
	if x87Control[f.row.name] || strings.HasPrefix(f.row.name, "fn") {
		return
	}
	b.StEnv(8, offFPIP, b.Const(t.pc))
	if !t.code64() {
		b.StEnv(2, offFPCS, b.LdEnv(2, segOffset(x86.CS, segSelector)))
	}
	if t.hflags&x86.HFFPSoft != 0 {
		b.StEnv(2, offFPOp, b.Const(uint64(f.esc)<<8|uint64(d.mod)<<6|uint64(d.reg3)<<3|uint64(d.rm3)))
	}
	if d.mod == 3 {
		return
	}
	off, disp := t.offset(ir.None)
	b.StEnv(8, offFPDP, b.Lea(8, off, ir.None, 0, disp))
	if !t.code64() {
		b.StEnv(2, offFPDS, b.LdEnv(2, segOffset(t.segment(), segSelector)))
	}
}

// X87Use is what an x87 instruction does to the stack. Registers are bits, by their numbers before the instruction.
type X87Use struct {
	Src, Dst uint8
	Push     bool
	Next     uint64 // where the instruction ends
}

// X87Stack tells that of the x87 instruction at the start of code.
func X87Stack(code []byte, pc uint64, mode uint8) (u X87Use, ok bool) {
	d := inst{pc: pc, mode: mode}
	if d.decode(code, everything{}) != decOK || d.m != map1B || d.op&^7 != 0xd8 {
		return u, false
	}
	row := x87Lookup(d.op&7, d.mod, d.reg3, d.rm3)
	u.Src, u.Push = x87Needs(row.name, d.mod != 3, d.rm3)
	u.Dst, u.Next = x87Dst(row, d.mod != 3, d.rm3), d.next
	return u, true
}

// x87Dst are the ST(i) that an instruction writes, beside one that it pushes.
func x87Dst(row *x87Row, mem bool, rm uint8) uint8 {
	const st0, st1 = 1, 2
	switch {
	case strings.HasPrefix(row.name, "fxch"):
		return st0 | 1<<rm
	case strings.HasPrefix(row.name, "fst"), strings.HasPrefix(row.name, "fld"), strings.HasPrefix(row.name, "fist"), row.name == "fbstp", row.name == "fild",
		row.op == ir.X87Com, row.op == ir.X87ComF, row.op == ir.X87Tst:
		return 0
	case row.name == "fyl2x", row.name == "fyl2xp1", row.name == "fpatan":
		return st1
	case row.attr&xToSTi != 0 && !mem:
		return 1 << rm
	}
	return st0
}
