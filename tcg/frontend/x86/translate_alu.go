package x86

import (
	"goemu/target/x86"
	"goemu/tcg/ir"
)

func genNop(*Translator, *inst) {}

// genNop90 is NOP, which is XCHG with RAX when REX.B selects another register.
func genNop90(t *Translator, d *inst) {
	if d.rex&rexB != 0 {
		d.entry = &xchgR8
		genXchg(t, d)
	}
}

var xchgR8 = entry{insn: insn{"xchg", ops{opZv, opAXv}, nil, 0}}

// atomicKinds are the operations that have an indivisible form.
func atomicKind(op ir.Op) (ir.AtomicKind, bool) {
	switch op {
	case ir.OpAdd, ir.OpSub:
		return ir.AtomicAdd, true
	case ir.OpAnd:
		return ir.AtomicAnd, true
	case ir.OpOr:
		return ir.AtomicOr, true
	case ir.OpXor:
		return ir.AtomicXor, true
	}
	return 0, false
}

// genALU is ADD, OR, AND, SUB, XOR.
func genALU(op ir.Op) genFunc {
	kind, _ := atomicKind(op)
	return func(t *Translator, d *inst) {
		b, size := t.b, t.opSize(0)
		if d.lock {
			y := t.read(1)
			z := y
			if op == ir.OpSub {
				z = b.Neg(size, y)
			}
			a, disp := t.memAddr(0)
			old := b.Atomic(kind, t.memOp(size), t.lockAttr(), a, disp, z)
			_, f := b.Op2F(op, size, old, y, ir.None)
			b.SetFlags(f)
			return
		}
		if (op == ir.OpXor || op == ir.OpSub) && d.mod == 3 && d.reg == d.rm && operands[d.ops[1]].imm == imNone && (size > 1 || d.hasREX) {
			zero := b.Const(0)
			_, f := b.Op2F(op, size, zero, zero, ir.None)
			t.write(0, zero)
			b.SetFlags(f)
			return
		}
		y := t.read(1)
		x := t.readRMW(0)
		v, f := b.Op2F(op, size, x, y, ir.None)
		t.write(0, v)
		b.SetFlags(f)
	}
}

// genALUCarry is ADC and SBB.
func genALUCarry(op ir.Op) genFunc {
	return func(t *Translator, _ *inst) {
		y, fin := t.read(1), t.b.Flags()
		t.updateF(func(x ir.Val) (ir.Val, ir.Val) { return t.b.Op2F(op, t.opSize(0), x, y, fin) })
	}
}

// updateF is update with new flags.
func (t *Translator) updateF(op func(x ir.Val) (v, f ir.Val)) {
	var f ir.Val
	t.update(func(x ir.Val) (v ir.Val) { v, f = op(x); return v })
	t.b.SetFlags(f)
}

// genCmp is CMP and TEST.
func genCmp(op ir.Op) genFunc {
	return func(t *Translator, _ *inst) {
		x := t.read(0)
		y := t.read(1)
		t.b.SetFlags(t.b.FlagsOf(op, t.opSize(0), x, y, ir.None))
	}
}

func genIncDec(op ir.Op) genFunc {
	return func(t *Translator, _ *inst) {
		fin := t.b.Flags()
		t.updateF(func(x ir.Val) (ir.Val, ir.Val) { return t.b.Op2F(op, t.opSize(0), x, ir.None, fin) })
	}
}

func genNot(t *Translator, _ *inst) {
	t.update(func(x ir.Val) ir.Val { return t.b.Not(t.opSize(0), x) })
}

func genNeg(t *Translator, _ *inst) {
	t.updateF(func(x ir.Val) (ir.Val, ir.Val) { return t.b.NegF(t.opSize(0), x) })
}

// genShift is group 2.
func genShift(op ir.Op) genFunc {
	return func(t *Translator, d *inst) {
		b, size := t.b, t.opSize(0)
		count := t.read(1)
		c, known := b.IsConst(count)
		if known && c&ir.CountMask(size) == 0 {
			t.write(0, t.readRMW(0))
			return
		}
		fin := ir.None
		if !known || op != ir.OpShl && op != ir.OpShr && op != ir.OpSar {
			fin = b.Flags()
		}
		x := t.readRMW(0)
		v, f := b.Op2F(op, size, x, count, fin)
		t.write(0, v)
		b.SetFlags(f)
	}
}

// genDoubleShift is SHLD and SHRD.
func genDoubleShift(op ir.Op) genFunc {
	return func(t *Translator, d *inst) {
		b, size := t.b, t.opSize(0)
		count, y := t.read(2), t.read(1)
		if c, known := b.IsConst(count); known && c&ir.CountMask(size) == 0 {
			t.write(0, t.readRMW(0))
			return
		}
		fin := b.Flags()
		x := t.readRMW(0)
		v, f := b.Op3F(op, size, x, y, count, fin)
		t.write(0, v)
		b.SetFlags(f)
	}
}

// genMul is the one-operand MUL and IMUL.
func genMul(op ir.Op) genFunc {
	return func(t *Translator, _ *inst) {
		b, size := t.b, t.opSize(0)
		lo, hi, f := b.Mul(op, size, t.gpr(x86.RAX), t.read(0))
		if size == 1 {
			t.setGPR(2, x86.RAX, b.Deposit(b.Ext(1, lo), hi, 8, 8))
		} else {
			t.setGPR(size, x86.RAX, lo)
			t.setGPR(size, x86.RDX, hi)
		}
		b.SetFlags(f)
	}
}

func genIMul2(t *Translator, _ *inst) { t.imul(t.read(0), t.read(1)) }
func genIMul3(t *Translator, _ *inst) { t.imul(t.read(1), t.read(2)) }

func (t *Translator) imul(x, y ir.Val) {
	v, f := t.b.Op2F(ir.OpMul, t.opSize(0), x, y, ir.None)
	t.write(0, v)
	t.b.SetFlags(f)
}

func genDiv(op ir.Op) genFunc {
	return func(t *Translator, _ *inst) {
		b, size := t.b, t.opSize(0)
		ax := t.gpr(x86.RAX)
		if size == 1 {
			quo, rem := b.Div(op, 1, ax, b.Extract(ax, 8, 8), t.read(0))
			t.setGPR(2, x86.RAX, b.Deposit(b.Ext(1, quo), rem, 8, 8))
			return
		}
		quo, rem := b.Div(op, size, ax, t.gpr(x86.RDX), t.read(0))
		t.setGPR(size, x86.RAX, quo)
		t.setGPR(size, x86.RDX, rem)
	}
}

// Moves.

func genMov(t *Translator, _ *inst) { t.write(0, t.read(1)) }

func genLea(t *Translator, d *inst) {
	a, disp := t.offset(ir.None)
	t.write(0, t.b.Lea(8, a, ir.None, 0, disp))
}

func genMovzx(t *Translator, _ *inst) { t.write(0, t.b.Ext(t.opSize(1), t.read(1))) }

func genMovsx(t *Translator, _ *inst) { t.write(0, t.readSigned(1)) }

// readSigned is operand i sign-extended to 64 bits.
func (t *Translator) readSigned(i int) ir.Val {
	size := t.opSize(i)
	if !t.isMem(i) {
		return t.b.Sext(size, t.read(i))
	}
	m := t.memOp(size)
	m.Signed = true
	a, disp := t.memAddr(i)
	return t.b.Ld(m, a, disp)
}

// genMovsxd is MOVSXD, or ARPL outside 64-bit mode.
func genMovsxd(t *Translator, d *inst) {
	if !t.code64() {
		genARPL(t, d)
		return
	}
	if d.opsize == 8 {
		t.write(0, t.readSigned(1))
		return
	}
	if d.opsize == 2 { // reads 16 bits
		d.entry = &movW
	}
	t.write(0, t.read(1))
}

var movW = entry{insn: insn{"movsxd", ops{opGw, opEw}, nil, 0}}

func genCMov(t *Translator, d *inst) {
	size := t.opSize(0)
	y := t.read(1)
	t.write(0, t.b.Select(size, ir.Cond(d.op&15), t.b.Flags(), y, t.read(0)))
}

func genSetcc(t *Translator, d *inst) { t.write(0, t.b.SetCond(ir.Cond(d.op&15), t.b.Flags())) }

func genXchg(t *Translator, d *inst) {
	if t.isMem(0) {
		a, disp := t.memAddr(0)
		y := t.read(1)
		t.write(1, t.b.Atomic(ir.AtomicXchg, t.memOp(t.opSize(0)), t.lockAttr(), a, disp, y))
		return
	}
	x, y := t.read(0), t.read(1)
	t.write(0, y)
	t.write(1, x)
}

func genXadd(t *Translator, d *inst) {
	b, size := t.b, t.opSize(0)
	y := t.read(1)
	var x ir.Val
	if d.lock {
		a, disp := t.memAddr(0)
		x = b.Atomic(ir.AtomicAdd, t.memOp(size), t.lockAttr(), a, disp, y)
	} else {
		x = t.readRMW(0)
	}
	v, f := b.AddF(size, x, y)
	if t.isMem(0) {
		if !d.lock {
			t.write(0, v)
		}
		t.write(1, x)
	} else {
		t.write(1, x)
		t.write(0, v)
	}
	b.SetFlags(f)
}

func genCmpXchg(t *Translator, d *inst) {
	b, size := t.b, t.opSize(0)
	acc, y := t.gpr(x86.RAX), t.read(1)
	var x, f ir.Val
	if d.lock {
		a, disp := t.memAddr(0)
		x = b.CmpXchg(t.memOp(size), t.lockAttr(), a, disp, b.Ext(size, acc), y)
		f = b.CmpF(size, acc, x)
	} else {
		x = t.readRMW(0)
		f = b.CmpF(size, acc, x)
		if size == 4 && !t.isMem(0) { // the upper half is cleared only by a successful exchange
			b.Set(ir.Global(d.rm), b.Select(8, ir.CondE, f, b.Ext(4, y), x))
		} else {
			t.write(0, b.Select(size, ir.CondE, f, y, x))
		}
	}
	// The accumulator is written only if the comparison fails; a 32-bit destination then clears its upper half.
	v := b.Ext(4, x)
	if size == 8 {
		v = x
	} else if size < 4 {
		v = b.Deposit(t.gpr(x86.RAX), x, 0, uint(size)*8)
	}
	b.Set(x86.RAX, b.Select(8, ir.CondE, f, t.gpr(x86.RAX), v))
	b.SetFlags(f)
}

func genCmpXchg8B(t *Translator, d *inst) {
	if d.opsize != 8 {
		t.call(x86.HelperCmpXchg8B, t.linearEA())
		return
	}
	if !t.cfg.Features.Has(featCX16) {
		t.raiseUD()
		return
	}
	t.call(x86.HelperCmpXchg16B, t.linearEA())
}

func genBswap(t *Translator, d *inst) {
	if d.opsize == 2 {
		t.write(0, t.b.Const(0)) // undefined; what CPUs do
		return
	}
	t.write(0, t.b.Op2(ir.OpBswap, d.opsize, t.read(0), ir.None))
}

func genMovbe(t *Translator, d *inst) {
	x := t.read(1)
	if d.opsize == 2 {
		x = t.b.Shr(4, t.b.Op2(ir.OpBswap, 4, x, ir.None), t.b.Const(16))
	} else {
		x = t.b.Op2(ir.OpBswap, d.opsize, x, ir.None)
	}
	t.write(0, x)
}

// genCBW is CBW, CWDE, CDQE.
func genCBW(t *Translator, d *inst) {
	t.setGPR(d.opsize, x86.RAX, t.b.Sext(d.opsize/2, t.gpr(x86.RAX)))
}

// genCWD is CWD, CDQ, CQO.
func genCWD(t *Translator, d *inst) {
	b := t.b
	x := b.Sext(d.opsize, t.gpr(x86.RAX))
	t.setGPR(d.opsize, x86.RDX, b.Sar(8, x, b.Const(63)))
}

func genXlat(t *Translator, d *inst) {
	b := t.b
	al := b.Ext(1, t.gpr(x86.RAX))
	a := b.Add(8, t.gpr(x86.RBX), al)
	seg := uint8(x86.DS)
	if d.seg != none {
		seg = d.seg
	}
	v := b.Ld(t.memOp(1), t.addBase(b.Ext(d.addrsize, a), seg), 0)
	t.setGPR(1, x86.RAX, v)
}

// Flags.

func genLAHF(t *Translator, _ *inst) {
	if !t.lahf64() {
		t.raiseUD()
		return
	}
	b := t.b
	img := b.Or(8, b.And(8, b.Image(b.Flags()), b.Const(0xd5)), b.Const(2))
	b.Set(x86.RAX, b.Deposit(t.gpr(x86.RAX), img, 8, 8))
}

func genSAHF(t *Translator, _ *inst) {
	if !t.lahf64() {
		t.raiseUD()
		return
	}
	b := t.b
	keep := b.And(8, b.Image(b.Flags()), b.Const(ir.FlagV))
	img := b.And(8, b.Extract(t.gpr(x86.RAX), 8, 8), b.Const(ir.FlagAll&^ir.FlagV))
	b.SetFlags(b.FromImage(b.Or(8, img, keep)))
}

// lahf64 tells whether LAHF and SAHF exist in the current mode.
func (t *Translator) lahf64() bool {
	return !t.code64() || t.cfg.Features.Has(x86.Feature(x86.F80000001ECX)<<5)
}

// genCarryFlag is CMC, CLC, STC.
func genCarryFlag(t *Translator, d *inst) {
	b := t.b
	img := b.Image(b.Flags())
	switch d.op {
	case 0xf5:
		img = b.Xor(8, img, b.Const(ir.FlagC))
	case 0xf8:
		img = b.And(8, img, b.Const(ir.FlagAll&^ir.FlagC))
	default:
		img = b.Or(8, img, b.Const(ir.FlagC))
	}
	b.SetFlags(b.FromImage(img))
}

func genSALC(t *Translator, _ *inst) {
	b := t.b
	t.setGPR(1, x86.RAX, b.Neg(8, b.SetCond(ir.CondB, b.Flags())))
}

// genDirFlag is CLD and STD.
func genDirFlag(t *Translator, d *inst) { t.eflag(x86.FlagDF, d.op&1 != 0) }

// eflag sets or clears a bit of EFlags.
func (t *Translator) eflag(bit uint64, on bool) {
	b := t.b
	v := b.LdEnv(8, offEFlags)
	if on {
		v = b.Or(8, v, b.Const(bit))
	} else {
		v = b.And(8, v, b.Const(^bit))
	}
	b.StEnv(8, offEFlags, v)
}

// Decimal adjustment of multiplication and division.

func genAAM(t *Translator, d *inst) {
	if d.imm == 0 {
		t.raise(x86.ExcDE, x86.NoErrorCode)
		return
	}
	t.call(x86.HelperAAM, t.b.Const(d.imm))
}

func genAAD(t *Translator, d *inst) { t.call(x86.HelperAAD, t.b.Const(d.imm)) }

// genHelperOnly leaves everything to a helper.
func genHelperOnly(h x86.Helper) genFunc {
	return func(t *Translator, _ *inst) { t.call(h) }
}
