package x86

import (
	"goemu/target/x86"
	"goemu/tcg/ir"
)

// target is the target of a relative branch.
func (t *Translator) target(d *inst) uint64 { return t.wrapTarget(d.next + d.imm) }

// wrapTarget truncates a branch target to the operand size.
func (t *Translator) wrapTarget(pc uint64) uint64 { return pc & ir.SizeMask(t.d.opsize) }

func genJcc(t *Translator, d *inst) {
	t.checkTaken(func() ir.Val {
		return t.b.SetCond(ir.Cond(d.op&15), t.b.Flags())
	})
	t.b.ExitIf(ir.Cond(d.op&15), t.b.Flags(), t.exitTo(t.target(d)))
	if t.through > 0 && t.target(d) > d.pc {
		t.through--
		return
	}
	t.gotoPC(d.next)
}

func genJmp(t *Translator, d *inst) {
	t.checkBranch(t.b.Const(t.target(d)))
	t.gotoPC(t.target(d))
}

func genCall(t *Translator, d *inst) {
	t.checkBranch(t.b.Const(t.target(d)))
	t.push(d.opsize, t.b.Const(d.next))
	t.gotoPC(t.target(d))
}

func genCallInd(t *Translator, d *inst) {
	v := t.b.Ext(d.opsize, t.read(0))
	t.checkBranch(v)
	t.push(d.opsize, t.b.Const(d.next))
	t.jump(v)
}

func genJmpInd(t *Translator, d *inst) {
	v := t.b.Ext(d.opsize, t.read(0))
	t.checkBranch(v)
	t.jump(v)
}

func genRet(t *Translator, d *inst) {
	v := t.top(d.opsize)
	t.checkBranch(t.b.Ext(d.opsize, v))
	t.addSP(int64(d.opsize) + int64(d.imm))
	t.jump(v)
}

// genLoop is LOOPNE, LOOPE, LOOP.
func genLoop(t *Translator, d *inst) {
	b := t.b
	n := b.Lea(max(d.addrsize, 4), t.gpr(x86.RCX), ir.None, 0, -1)
	t.setGPR(d.addrsize, x86.RCX, n)
	next := t.exitTo(d.next)
	b.ExitZ(d.addrsize, n, next)
	switch d.op {
	case 0xe0:
		b.ExitIf(ir.CondE, b.Flags(), next)
	case 0xe1:
		b.ExitIf(ir.CondNE, b.Flags(), next)
	}
	t.gotoPC(t.target(d))
}

func genJCXZ(t *Translator, d *inst) {
	t.b.ExitZ(d.addrsize, t.gpr(x86.RCX), t.exitTo(t.target(d)))
	t.gotoPC(d.next)
}

// control runs a helper that sets the program counter and never comes back.
func (t *Translator) control(h x86.Helper, args ...ir.Val) {
	t.call(h, args...)
	t.leave(x86.ExitMode)
}

// transfer runs a helper that sets the program counter and leaves, or gives it.
func (t *Translator) transfer(h x86.Helper, args ...ir.Val) { t.jump(t.call(h, args...)) }

// farSize is the operand size as HelperFarCall has it in its third argument.
func farSize(next uint64, opsize uint8) uint64 {
	code := uint64(1)
	switch opsize {
	case 4:
		code = 2
	case 8:
		code = 3
	}
	return next&(1<<62-1) | code<<62
}

// farArg is the third argument of a far transfer.
func (t *Translator) farArg(h x86.Helper, d *inst) ir.Val {
	if h == x86.HelperFarCall {
		return t.b.Const(farSize(d.next, d.opsize))
	}
	return t.b.Const(d.next)
}

func genFarDirect(h x86.Helper) genFunc {
	return func(t *Translator, d *inst) { t.control(h, t.b.Const(d.imm2), t.b.Const(d.imm), t.farArg(h, d)) }
}

func genFarIndirect(h x86.Helper) genFunc {
	return func(t *Translator, d *inst) {
		off, sel := t.farPointer()
		t.control(h, sel, off, t.farArg(h, d))
	}
}

// farPointer loads the far pointer that is the memory operand.
func (t *Translator) farPointer() (off, sel ir.Val) {
	n := t.d.opsize
	a, disp := t.ea()
	off = t.b.Ld(t.memOp(n), a, disp)
	a, disp = t.at(int64(n))
	return off, t.b.Ld(t.memOp(2), a, disp)
}

func genFarRet(t *Translator, d *inst) {
	t.control(x86.HelperFarRet, t.b.Const(uint64(d.opsize)), t.b.Const(d.imm))
}

func genIret(t *Translator, d *inst) {
	t.transfer(x86.HelperIret, t.b.Const(uint64(d.opsize)), t.b.Const(d.next))
}

func genInt3(t *Translator, d *inst) {
	t.control(x86.HelperTrap, t.b.Const(x86.ExcBP), t.b.Const(d.next))
}
func genInt1(t *Translator, d *inst) {
	t.control(x86.HelperTrap, t.b.Const(x86.ExcDB), t.b.Const(d.next))
}
func genInt(t *Translator, d *inst) {
	t.control(x86.HelperSoftInt, t.b.Const(d.imm), t.b.Const(d.next))
}

func genInto(t *Translator, d *inst) {
	t.b.ExitIf(ir.CondNO, t.b.Flags(), t.exitTo(d.next))
	t.control(x86.HelperTrap, t.b.Const(x86.ExcOF), t.b.Const(d.next))
}

func genSyscall(t *Translator, d *inst)  { t.transfer(x86.HelperSyscall, t.b.Const(d.next)) }
func genSysret(t *Translator, d *inst)   { t.transfer(x86.HelperSysret, t.b.Const(uint64(d.opsize))) }
func genSysenter(t *Translator, _ *inst) { t.transfer(x86.HelperSysenter) }
func genSysexit(t *Translator, d *inst)  { t.transfer(x86.HelperSysexit, t.b.Const(uint64(d.opsize))) }

func genRSM(t *Translator, _ *inst) {
	if t.hflags&x86.HFSMM == 0 {
		t.raiseUD()
		return
	}
	t.control(x86.HelperRSM)
}

func genHLT(t *Translator, d *inst)   { t.leave(x86.ExitHalt) }
func genPause(t *Translator, d *inst) { t.leave(x86.ExitPause) }
func genUD(t *Translator, _ *inst)    { t.raiseUD() }

func genBound(t *Translator, d *inst) {
	t.call(x86.HelperBound, t.b.Sext(d.opsize, t.gpr(d.reg)), t.linearEA(), t.b.Const(uint64(d.opsize)))
}
