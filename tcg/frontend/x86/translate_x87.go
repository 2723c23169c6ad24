package x86

import (
	"goemu/target/x86"
	"goemu/tcg/ir"
)

// x87Insn is an x87 instruction being translated.
type x87Insn struct {
	t    *Translator
	b    *ir.Builder
	row  *x87Row
	esc  uint8
	reg  uint8 // ModRM.reg
	rm   uint8 // ModRM.rm: ST(i)
	opsz uint8 // operand size in bytes (2 or 4) for FNSTENV and the like

	abandoned ir.Val // not 0 if an unmasked exception stopped the operation emitted last
}

// x87Insn translates D8…DF.
func (t *Translator) x87Insn(esc, mod, reg, rm, opsz uint8) {
	row := x87Lookup(esc, mod, reg, rm)
	if row.gen == nil {
		t.raiseUD()
		return
	}
	if t.hflags&(x86.HFEM|x86.HFTS) != 0 {
		t.raise(x86.ExcNM, x86.NoErrorCode)
		return
	}
	if t.hflags&x86.HFFPSoft != 0 && row.attr&xNoWait == 0 {
		t.b.Call(uint32(x86.HelperFWAIT), ir.None, ir.None, ir.None)
	}
	f := &x87Insn{t: t, b: t.b, row: row, esc: esc, reg: reg, rm: rm, opsz: opsz}
	f.checkTop()
	f.checkStack()
	f.savePointers()
	row.gen(f)
}

// fwait translates 9B.
func (t *Translator) fwait() {
	if t.hflags&(x86.HFMP|x86.HFTS) == x86.HFMP|x86.HFTS {
		t.raise(x86.ExcNM, x86.NoErrorCode)
		return
	}
	if t.hflags&x86.HFFPSoft != 0 {
		t.b.Call(uint32(x86.HelperFWAIT), ir.None, ir.None, ir.None)
	}
}

// checkTop makes sure that the guest's stack top is the one that the block is translated for.
func (f *x87Insn) checkTop() {
	t, b := f.t, f.b
	if t.fp.known {
		t.fp.mmx = false
		return
	}
	top := t.hflags >> x86.HFTopShift & 7
	x := b.Op2(ir.OpXor, 4, b.LdEnv(4, offFPTop), b.Const(uint64(top)))
	b.ExitNZ(4, x, b.ReasonExit(t.pc, x86.ExitMode))
	t.fp = fpState{known: true, top: uint8(top)}
}

// st is the physical register of ST(i).
func (f *x87Insn) st(i uint8) ir.VReg { return ir.VF0 + ir.VReg((f.t.fp.top+i)&7) }

// next is the register that a push makes ST(0).
func (f *x87Insn) next() ir.VReg { return f.st(7) }

func (f *x87Insn) setTop(top uint8) {
	f.t.fp.top = top & 7
	f.b.StEnv(4, offFPTop, f.b.Const(uint64(top&7)))
}

func (f *x87Insn) setTag(r ir.VReg, empty uint64) {
	f.b.StEnv(1, offFPTag+uintptr(r-ir.VF0), f.b.Const(empty))
	f.t.fp.know(r, empty != 0)
}

// leaveAbandoned goes on behind the instruction if an unmasked exception stopped its operation: nothing is stored, pushed or popped.
func (f *x87Insn) leaveAbandoned() {
	if f.abandoned != ir.None {
		f.b.ExitNZ(1, f.abandoned, f.t.exitTo(f.t.d.next))
		f.abandoned = ir.None
	}
}

// push completes a push whose value was already written to next.
func (f *x87Insn) push() {
	f.leaveAbandoned()
	f.setTag(f.next(), 0)
	f.setTop(f.t.fp.top - 1)
}

func (f *x87Insn) pop() {
	f.leaveAbandoned()
	f.setTag(f.st(0), 1)
	f.setTop(f.t.fp.top + 1)
}

// pops does the pops of the row.
func (f *x87Insn) pops() {
	if f.row.attr&(xPop|xPop2) != 0 {
		f.pop()
	}
	if f.row.attr&xPop2 != 0 {
		f.pop()
	}
}

// emit emits an operation.
func (f *x87Insn) emit(op ir.X87Op, d, a, b ir.VReg) *ir.Inst {
	var at ir.Attr
	if f.t.hflags&x86.HFFPSoft != 0 {
		at = ir.AttrSoft
	}
	in := f.b.X87(uint16(op), at, 0)
	in.VD, in.VA, in.VB = d, a, b
	if row := op.Info(); at != 0 && row.FP && row.Use&ir.UseDst2 == 0 {
		f.abandoned = f.b.NewVal(1)
		in.Dst2 = f.abandoned
	}
	return in
}

// x87Source gives size, conversion and signedness of a memory source.
var x87Sources = []struct {
	kind   x87Attr
	size   uint8
	signed bool
	op     ir.X87Op
}{
	{xF32, 4, false, ir.X87FromF32},
	{xF64, 8, false, ir.X87FromF64},
	{xI16, 2, true, ir.X87FromInt},
	{xI32, 4, true, ir.X87FromInt},
	{xI64, 8, true, ir.X87FromInt},
}

// fromMem loads and converts the memory operand into d.
func (f *x87Insn) fromMem(d ir.VReg) {
	for _, s := range x87Sources {
		if f.row.attr&s.kind != 0 {
			base, disp := f.t.ea()
			m := f.t.memOp(s.size)
			m.Signed = s.signed && s.size < 8
			x := f.b.Ld(m, base, disp)
			f.emit(s.op, d, ir.VNone, ir.VNone).A = x
			if d == ir.VT1 {
				f.leaveAbandoned()
			}
			return
		}
	}
}

// arith emits d = a op b, exchanged if the row says so.
func (f *x87Insn) arith(d, a, b ir.VReg) {
	if f.row.attr&xRev != 0 {
		a, b = b, a
	}
	f.emit(f.row.op, d, a, b)
}

func xArithMem(f *x87Insn) {
	f.fromMem(ir.VT1)
	f.arith(f.st(0), f.st(0), ir.VT1)
}

func xArith(f *x87Insn) {
	if f.row.attr&xToSTi == 0 {
		f.arith(f.st(0), f.st(0), f.st(f.rm))
		return
	}
	f.arith(f.st(f.rm), f.st(f.rm), f.st(0))
	f.pops()
}

func (f *x87Insn) compare(with ir.VReg) {
	in := f.emit(ir.X87Com, ir.VNone, f.st(0), with)
	if f.row.attr&xQuiet != 0 {
		in.Imm = 1
	}
	f.pops()
}

func xComMem(f *x87Insn) { f.fromMem(ir.VT1); f.compare(ir.VT1) }
func xCom(f *x87Insn)    { f.compare(f.st(f.rm)) }

func xComI(f *x87Insn) {
	fl := f.b.NewFlags()
	in := f.emit(ir.X87ComF, ir.VNone, f.st(0), f.st(f.rm))
	in.FOut = fl
	if f.row.attr&xQuiet != 0 {
		in.Imm = 1
	}
	f.leaveAbandoned()
	f.b.SetFlags(fl)
	f.pops()
}

func xLoadMem(f *x87Insn) { f.fromMem(f.next()); f.push() }

func xLoadReg(f *x87Insn) {
	f.emit(ir.X87Mov, f.next(), f.st(f.rm), ir.VNone)
	f.push()
}

func xConst(f *x87Insn) {
	f.emit(ir.X87Const, f.next(), ir.VNone, ir.VNone).Imm = uint64(f.row.op)
	f.push()
}

func xStoreReg(f *x87Insn) {
	f.emit(ir.X87Mov, f.st(f.rm), f.st(0), ir.VNone)
	f.setTag(f.st(f.rm), 0)
	f.pops()
}

// memParts are the accesses of an n-byte memory operand: x87 operands of 10 bytes are two.
func (f *x87Insn) load10() (lo, hi ir.Val) {
	base, disp := f.t.ea()
	lo = f.b.Ld(f.t.memOp(8), base, disp)
	hi = f.b.Ld(f.t.memOp(2), base, disp+8)
	return lo, hi
}

// store10 stores a 10-byte operand; probe10 came before.
func (f *x87Insn) store10(lo, hi ir.Val) {
	base, disp := f.t.ea()
	f.b.St(f.t.memOp(8), base, disp, lo)
	f.b.St(f.t.memOp(2), base, disp+8, hi)
}

func (f *x87Insn) probe10() {
	base, disp := f.t.ea()
	f.b.Probe(f.t.memOp(8), base, disp, true)
	f.b.Probe(f.t.memOp(2), base, disp+8, true)
}

func xLoad80(f *x87Insn) {
	lo, hi := f.load10()
	at := offFP + uintptr(f.next()-ir.VF0)*16
	f.b.StEnv(8, at, lo)
	f.b.StEnv(2, at+8, hi)
	f.push()
}

func xStore80(f *x87Insn) {
	f.probe10()
	at := offFP + uintptr(f.st(0)-ir.VF0)*16
	f.store10(f.b.LdEnv(8, at), f.b.LdEnv(2, at+8))
	f.pop()
}

func xLoadBCD(f *x87Insn) {
	lo, hi := f.load10()
	in := f.emit(ir.X87FromBCD, f.next(), ir.VNone, ir.VNone)
	in.A, in.B = lo, hi
	f.push()
}

func xStoreBCD(f *x87Insn) {
	f.probe10()
	lo, hi := f.b.NewVal(8), f.b.NewVal(2)
	in := f.emit(ir.X87ToBCD, ir.VNone, f.st(0), ir.VNone)
	in.Dst, in.Dst2 = lo, hi
	f.store10(lo, hi)
	f.pop()
}

// xStoreMem converts ST(0) and stores it. The store is probed first so that a fault finds no exception flag changed.
func xStoreMem(f *x87Insn) {
	for _, s := range x87Sources {
		if f.row.attr&s.kind == 0 {
			continue
		}
		base, disp := f.t.ea()
		m := f.t.memOp(s.size)
		f.b.Probe(m, base, disp, true)
		x := f.b.NewVal(s.size)
		f.emit(f.row.op, ir.VNone, f.st(0), ir.VNone).Dst = x
		f.leaveAbandoned()
		f.b.St(m, base, disp, x)
		break
	}
	f.pops()
}

func xUnary(f *x87Insn)  { f.emit(f.row.op, f.st(0), f.st(0), ir.VNone) }
func xBinary(f *x87Insn) { f.emit(f.row.op, f.st(0), f.st(0), f.st(1)) }
func xTest(f *x87Insn)   { f.emit(f.row.op, ir.VNone, f.st(0), ir.VNone) }

func xToST1(f *x87Insn) {
	f.emit(f.row.op, f.st(1), f.st(1), f.st(0))
	f.pop()
}

func xExamine(f *x87Insn) {
	tag := f.b.LdEnv(1, offFPTag+uintptr(f.st(0)-ir.VF0))
	f.emit(f.row.op, ir.VNone, f.st(0), ir.VNone).A = tag
}

// c2 emits a trigonometric operation, which does nothing but set C2 when its operand is out of range.
func (f *x87Insn) c2(d2 ir.VReg) ir.Val {
	out := f.b.NewVal(1)
	in := f.emit(f.row.op, f.st(0), f.st(0), ir.VNone)
	in.Dst, in.VC = out, d2
	return out
}

func xUnaryC2(f *x87Insn) { f.c2(ir.VNone) }

// leaveOutOfRange goes on behind the instruction without a push.
func (f *x87Insn) leaveOutOfRange(out ir.Val) {
	f.b.ExitNZ(1, out, f.t.exitTo(f.t.d.next))
}

// xSinCos is FSINCOS and FPTAN.
func xSinCos(f *x87Insn) {
	f.leaveOutOfRange(f.c2(f.next()))
	f.push()
}

func xXtract(f *x87Insn) {
	f.emit(f.row.op, f.st(0), f.st(0), ir.VNone).VC = f.next()
	f.push()
}

func xExchange(f *x87Insn) {
	if f.rm != 0 {
		f.emit(ir.X87Xchg, ir.VNone, f.st(0), f.st(f.rm))
	}
}

// x87Conds are the conditions of FCMOVcc by ModRM.reg.
var x87Conds = [4]ir.Cond{ir.CondB, ir.CondE, ir.CondBE, ir.CondP}

func xCMov(f *x87Insn) {
	c := x87Conds[f.reg&3]
	if f.row.attr&xRev != 0 {
		c = c.Not()
	}
	fl := f.b.Flags()
	in := f.emit(ir.X87Select, f.st(0), f.st(f.rm), ir.VNone)
	in.Cond, in.FIn = c, fl
}

func xFree(f *x87Insn) {
	f.setTag(f.st(f.rm), 1)
	f.pops()
}

func xRotate(f *x87Insn) {
	if f.row.attr&xRev != 0 {
		f.setTop(f.t.fp.top + 1)
	} else {
		f.setTop(f.t.fp.top - 1)
	}
}

func xNop(*x87Insn) {}

func xClear(f *x87Insn) { f.emit(ir.X87ClearSW, ir.VNone, ir.VNone, ir.VNone) }

// statusWord is the whole status word.
func (f *x87Insn) statusWord() ir.Val {
	sw := f.b.NewVal(2)
	f.emit(ir.X87GetSW, ir.VNone, ir.VNone, ir.VNone).Dst = sw
	if f.t.fp.top == 0 {
		return sw
	}
	return f.b.Or(4, sw, f.b.Const(uint64(f.t.fp.top)<<11))
}

func xStoreSW(f *x87Insn) {
	base, disp := f.t.ea()
	f.b.St(f.t.memOp(2), base, disp, f.statusWord())
}

func xStoreAX(f *x87Insn) { f.t.setGPR(2, x86.RAX, f.statusWord()) }

func xStoreCW(f *x87Insn) {
	base, disp := f.t.ea()
	f.b.St(f.t.memOp(2), base, disp, f.b.LdEnv(2, offFPCW))
}

// The x87 control word.
const (
	cwExceptions = 0x3f   // masks
	cwFixed      = 0x40   // always 1
	cwUsed       = 0x1f3f // bits that can be written
)

// xLoadCW is FLDCW. While everything stays masked there is nothing to do but loading it; a word that unmasks an exception
// switches to the software path.
func xLoadCW(f *x87Insn) {
	t, b := f.t, f.b
	base, disp := t.ea()
	cw := b.Ld(t.memOp(2), base, disp)
	if t.hflags&x86.HFFPSoft != 0 {
		b.Call(uint32(x86.HelperFLDCW), cw, ir.None, ir.None)
		t.leave(x86.ExitMode)
		return
	}
	used := b.Or(4, b.And(4, cw, b.Const(cwUsed)), b.Const(cwFixed))
	unmasked := b.And(4, b.Not(4, cw), b.Const(cwExceptions))
	slow := b.ReasonExit(t.pc, x86.ExitMode)
	// Unmasking is rare: note it in the mode bits and translate this instruction again for the software path.
	hf := b.LdEnv(4, offHF)
	soft := b.SelectZ(4, unmasked, hf, b.Or(4, hf, b.Const(x86.HFFPSoft)))
	b.StEnv(4, offHF, soft)
	b.ExitNZ(4, unmasked, slow)
	f.emit(ir.X87SetCW, ir.VNone, ir.VNone, ir.VNone).A = used
}

// x87Envs are the instructions on the whole x87 state by escape opcode and ModRM.reg.
var x87Envs = map[[2]uint8]x86.Helper{
	{1, 4}: x86.HelperFLDENV, {1, 6}: x86.HelperFSTENV, {5, 4}: x86.HelperFRSTOR, {5, 6}: x86.HelperFSAVE,
}

func xEnv(f *x87Insn) {
	base, disp := f.t.ea()
	addr := f.b.Lea(8, base, ir.None, 0, disp)
	f.b.Call(uint32(x87Envs[[2]uint8{f.esc, f.reg}]), addr, f.b.Const(uint64(f.opsz)), ir.None)
	f.t.leave(x86.ExitMode)
}

func xInit(f *x87Insn) {
	f.b.Call(uint32(x86.HelperFNINIT), ir.None, ir.None, ir.None)
	f.t.leave(x86.ExitMode)
}
