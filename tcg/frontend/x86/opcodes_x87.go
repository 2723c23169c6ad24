package x86

import "goemu/tcg/ir"

// x87Row describes one x87 instruction. Rows are selected by the escape opcode D8…DF, ModRM.reg and, where needed, ModRM.rm.
type x87Row struct {
	name string
	gen  func(f *x87Insn)
	op   ir.X87Op
	attr x87Attr
}

// x87Attr are properties of an x87 row; the source kinds are those of its memory operand.
type x87Attr uint16

const (
	xF32 x87Attr = 1 << iota
	xF64
	xI16
	xI32
	xI64
	xPop    // pops afterwards
	xPop2   // pops twice
	xRev    // operands exchanged
	xToSTi  // the result goes to ST(i)
	xQuiet  // unordered compare
	xNoWait // does not check for pending exceptions
)

// x87Arith are the eight operations of D8, DA, DC, DE by ModRM.reg.
func x87Arith(suffix string, src x87Attr, i bool) [8]x87Row {
	n := "f"
	if i {
		n = "fi"
	}
	return [8]x87Row{
		{n + "add" + suffix, xArithMem, ir.X87Add, src},
		{n + "mul" + suffix, xArithMem, ir.X87Mul, src},
		{n + "com" + suffix, xComMem, ir.X87Com, src},
		{n + "comp" + suffix, xComMem, ir.X87Com, src | xPop},
		{n + "sub" + suffix, xArithMem, ir.X87Sub, src},
		{n + "subr" + suffix, xArithMem, ir.X87Sub, src | xRev},
		{n + "div" + suffix, xArithMem, ir.X87Div, src},
		{n + "divr" + suffix, xArithMem, ir.X87Div, src | xRev},
	}
}

// x87Mem has the memory forms by escape opcode and ModRM.reg.
var x87Mem = [8][8]x87Row{
	x87Arith("", xF32, false),
	{
		{"fld", xLoadMem, ir.X87FromF32, xF32},
		{},
		{"fst", xStoreMem, ir.X87ToF32, xF32},
		{"fstp", xStoreMem, ir.X87ToF32, xF32 | xPop},
		{"fldenv", xEnv, 0, xNoWait},
		{"fldcw", xLoadCW, 0, 0},
		{"fnstenv", xEnv, 0, xNoWait},
		{"fnstcw", xStoreCW, 0, xNoWait},
	},
	x87Arith("", xI32, true),
	{
		{"fild", xLoadMem, ir.X87FromInt, xI32},
		{"fisttp", xStoreMem, ir.X87ToI32T, xI32 | xPop},
		{"fist", xStoreMem, ir.X87ToI32, xI32},
		{"fistp", xStoreMem, ir.X87ToI32, xI32 | xPop},
		{},
		{"fld", xLoad80, 0, 0},
		{},
		{"fstp", xStore80, 0, xPop},
	},
	x87Arith("", xF64, false),
	{
		{"fld", xLoadMem, ir.X87FromF64, xF64},
		{"fisttp", xStoreMem, ir.X87ToI64T, xI64 | xPop},
		{"fst", xStoreMem, ir.X87ToF64, xF64},
		{"fstp", xStoreMem, ir.X87ToF64, xF64 | xPop},
		{"frstor", xEnv, 0, xNoWait},
		{},
		{"fnsave", xEnv, 0, xNoWait},
		{"fnstsw", xStoreSW, 0, xNoWait},
	},
	x87Arith("", xI16, true),
	{
		{"fild", xLoadMem, ir.X87FromInt, xI16},
		{"fisttp", xStoreMem, ir.X87ToI16T, xI16 | xPop},
		{"fist", xStoreMem, ir.X87ToI16, xI16},
		{"fistp", xStoreMem, ir.X87ToI16, xI16 | xPop},
		{"fbld", xLoadBCD, ir.X87FromBCD, 0},
		{"fild", xLoadMem, ir.X87FromInt, xI64},
		{"fbstp", xStoreBCD, ir.X87ToBCD, xPop},
		{"fistp", xStoreMem, ir.X87ToI64, xI64 | xPop},
	},
}

// x87Reg has the register forms by escape opcode and ModRM.reg; empty rows with a subtable in x87Sub are selected by ModRM.rm as well.
var x87Reg = [8][8]x87Row{
	{
		{"fadd", xArith, ir.X87Add, 0},
		{"fmul", xArith, ir.X87Mul, 0},
		{"fcom", xCom, ir.X87Com, 0},
		{"fcomp", xCom, ir.X87Com, xPop},
		{"fsub", xArith, ir.X87Sub, 0},
		{"fsubr", xArith, ir.X87Sub, xRev},
		{"fdiv", xArith, ir.X87Div, 0},
		{"fdivr", xArith, ir.X87Div, xRev},
	},
	{0: {"fld", xLoadReg, ir.X87Mov, 0}, 1: {"fxch", xExchange, ir.X87Xchg, 0}, 3: {"fstp", xStoreReg, ir.X87Mov, xPop}},
	{
		{"fcmovb", xCMov, ir.X87Select, 0},
		{"fcmove", xCMov, ir.X87Select, 0},
		{"fcmovbe", xCMov, ir.X87Select, 0},
		{"fcmovu", xCMov, ir.X87Select, 0},
		{}, {}, {}, {},
	},
	{
		{"fcmovnb", xCMov, ir.X87Select, xRev},
		{"fcmovne", xCMov, ir.X87Select, xRev},
		{"fcmovnbe", xCMov, ir.X87Select, xRev},
		{"fcmovnu", xCMov, ir.X87Select, xRev},
		{},
		{"fucomi", xComI, ir.X87ComF, xQuiet},
		{"fcomi", xComI, ir.X87ComF, 0},
		{},
	},
	{
		{"fadd", xArith, ir.X87Add, xToSTi},
		{"fmul", xArith, ir.X87Mul, xToSTi},
		{"fcom2", xCom, ir.X87Com, 0},
		{"fcomp3", xCom, ir.X87Com, xPop},
		{"fsubr", xArith, ir.X87Sub, xToSTi | xRev},
		{"fsub", xArith, ir.X87Sub, xToSTi},
		{"fdivr", xArith, ir.X87Div, xToSTi | xRev},
		{"fdiv", xArith, ir.X87Div, xToSTi},
	},
	{
		{"ffree", xFree, 0, 0},
		{"fxch4", xExchange, ir.X87Xchg, 0},
		{"fst", xStoreReg, ir.X87Mov, 0},
		{"fstp", xStoreReg, ir.X87Mov, xPop},
		{"fucom", xCom, ir.X87Com, xQuiet},
		{"fucomp", xCom, ir.X87Com, xQuiet | xPop},
		{}, {},
	},
	{
		{"faddp", xArith, ir.X87Add, xToSTi | xPop},
		{"fmulp", xArith, ir.X87Mul, xToSTi | xPop},
		{"fcomp5", xCom, ir.X87Com, xPop},
		{},
		{"fsubrp", xArith, ir.X87Sub, xToSTi | xRev | xPop},
		{"fsubp", xArith, ir.X87Sub, xToSTi | xPop},
		{"fdivrp", xArith, ir.X87Div, xToSTi | xRev | xPop},
		{"fdivp", xArith, ir.X87Div, xToSTi | xPop},
	},
	{
		{"ffreep", xFree, 0, xPop},
		{"fxch7", xExchange, ir.X87Xchg, 0},
		{"fstp8", xStoreReg, ir.X87Mov, xPop},
		{"fstp9", xStoreReg, ir.X87Mov, xPop},
		{},
		{"fucomip", xComI, ir.X87ComF, xQuiet | xPop},
		{"fcomip", xComI, ir.X87ComF, xPop},
		{},
	},
}

// x87SubRow gives the register forms of one escape opcode and ModRM.reg by ModRM.rm.
type x87SubRow struct {
	esc, reg uint8
	rows     [8]x87Row
}

var x87Sub = []x87SubRow{
	{1, 2, [8]x87Row{0: {"fnop", xNop, 0, 0}}},
	{1, 4, [8]x87Row{
		0: {"fchs", xUnary, ir.X87Chs, 0}, 1: {"fabs", xUnary, ir.X87Abs, 0},
		4: {"ftst", xTest, ir.X87Tst, 0}, 5: {"fxam", xExamine, ir.X87Xam, 0},
	}},
	{1, 5, [8]x87Row{
		{"fld1", xConst, ir.X87One, 0}, {"fldl2t", xConst, ir.X87L2T, 0}, {"fldl2e", xConst, ir.X87L2E, 0},
		{"fldpi", xConst, ir.X87Pi, 0}, {"fldlg2", xConst, ir.X87LG2, 0}, {"fldln2", xConst, ir.X87LN2, 0},
		{"fldz", xConst, ir.X87Zero, 0}, {},
	}},
	{1, 6, [8]x87Row{
		{"f2xm1", xUnary, ir.X87F2XM1, 0}, {"fyl2x", xToST1, ir.X87FYL2X, xPop}, {"fptan", xSinCos, ir.X87FPTan, 0},
		{"fpatan", xToST1, ir.X87FPAtan, xPop}, {"fxtract", xXtract, ir.X87Extract, 0}, {"fprem1", xBinary, ir.X87Rem1, 0},
		{"fdecstp", xRotate, 0, 0}, {"fincstp", xRotate, 0, xRev},
	}},
	{1, 7, [8]x87Row{
		{"fprem", xBinary, ir.X87Rem, 0}, {"fyl2xp1", xToST1, ir.X87FYL2XP1, xPop}, {"fsqrt", xUnary, ir.X87Sqrt, 0},
		{"fsincos", xSinCos, ir.X87FSinCos, 0}, {"frndint", xUnary, ir.X87Round, 0}, {"fscale", xBinary, ir.X87Scale, 0},
		{"fsin", xUnaryC2, ir.X87FSin, 0}, {"fcos", xUnaryC2, ir.X87FCos, 0},
	}},
	{2, 5, [8]x87Row{1: {"fucompp", xCom, ir.X87Com, xQuiet | xPop2}}},
	{3, 4, [8]x87Row{
		0: {"fneni", xNop, 0, xNoWait}, 1: {"fndisi", xNop, 0, xNoWait}, 2: {"fnclex", xClear, ir.X87ClearSW, xNoWait},
		3: {"fninit", xInit, 0, xNoWait}, 4: {"fnsetpm", xNop, 0, xNoWait},
	}},
	{6, 3, [8]x87Row{1: {"fcompp", xCom, ir.X87Com, xPop2}}},
	{7, 4, [8]x87Row{0: {"fnstsw", xStoreAX, 0, xNoWait}}},
}

// x87Lookup finds the row of an escape opcode (0…7 for D8…DF); a row without name is #UD.
func x87Lookup(esc, mod, reg, rm uint8) *x87Row {
	if mod != 3 {
		return &x87Mem[esc][reg]
	}
	for i := range x87Sub {
		if s := &x87Sub[i]; s.esc == esc && s.reg == reg {
			return &s.rows[rm]
		}
	}
	return &x87Reg[esc][reg]
}
