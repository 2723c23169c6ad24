package x86

import (
	"math/bits"

	"goemu/target/x86"
	"goemu/tcg/ir"
)

// genBT is BT, BTS, BTR, BTC. A bit number in a register addresses memory beyond the operand.
func genBT(op ir.Op) genFunc {
	return func(t *Translator, d *inst) {
		b, size := t.b, t.opSize(0)
		n, fin := t.read(1), b.Flags()
		if !t.isMem(0) {
			t.bit(op, size, t.read(0), n, fin)
			return
		}
		var extra ir.Val
		if operands[d.ops[1]].place != plImm {
			lg := uint64(bits.TrailingZeros8(size))
			words := b.Sar(8, b.Sext(size, n), b.Const(3+lg))
			extra = b.Shl(8, words, b.Const(lg))
		}
		a, disp := t.eaPlus(extra)
		m := t.memOp(size)
		if op == ir.OpBt {
			t.bit(op, size, b.Ld(m, a, disp), n, fin)
			return
		}
		x := b.LdRMW(m, a, disp)
		v, f := b.Op2F(op, size, x, n, fin)
		if d.lock && !t.cfg.Single {
			old := b.CmpXchg(m, 0, a, disp, x, v)
			b.ExitNZ(size, b.Xor(size, old, x), b.DirectExit(t.pc))
		} else {
			b.St(m, a, disp, v)
		}
		b.SetFlags(f)
	}
}

// bit tests or changes a bit of a register operand or a loaded value.
func (t *Translator) bit(op ir.Op, size uint8, x, n, fin ir.Val) {
	if op == ir.OpBt {
		t.b.SetFlags(t.b.FlagsOf(op, size, x, n, fin))
		return
	}
	v, f := t.b.Op2F(op, size, x, n, fin)
	t.write(0, v)
	t.b.SetFlags(f)
}

// genBitScan is BSF and BSR: with a zero source the destination keeps its value.
func genBitScan(op ir.Op) genFunc {
	return func(t *Translator, d *inst) {
		b, size := t.b, t.opSize(0)
		x, old := t.read(1), t.read(0)
		v, f := b.Op2F(op, size, x, old, ir.None)
		if size == 4 { // not even its upper half changes
			b.Set(ir.Global(d.reg), b.Select(8, ir.CondE, f, old, b.Ext(4, v)))
		} else {
			t.write(0, v)
		}
		b.SetFlags(f)
	}
}

// genCount is TZCNT and LZCNT.
func genCount(op ir.Op) genFunc { return func(t *Translator, _ *inst) { t.unaryF(op, t.read(1)) } }

func genPopcnt(t *Translator, _ *inst) { t.unaryF(ir.OpPopcnt, t.read(1)) }

// unaryF sets operand 0 and the flags to op of x.
func (t *Translator) unaryF(op ir.Op, x ir.Val) {
	v, f := t.b.Op2F(op, t.opSize(0), x, ir.None, ir.None)
	t.write(0, v)
	t.b.SetFlags(f)
}

func genVexUnary(op ir.Op) genFunc { return func(t *Translator, _ *inst) { t.unaryF(op, t.read(1)) } }

// genVexBits is BZHI and BEXTR.
func genVexBits(op ir.Op) genFunc {
	return func(t *Translator, _ *inst) {
		x, y := t.read(1), t.read(2)
		v, f := t.b.Op2F(op, t.opSize(0), x, y, ir.None)
		t.write(0, v)
		t.b.SetFlags(f)
	}
}

// genVex3 is a three-operand operation without flags.
func genVex3(op ir.Op) genFunc {
	return func(t *Translator, _ *inst) {
		x, y := t.read(1), t.read(2)
		t.write(0, t.b.Op2(op, t.opSize(0), x, y))
	}
}

func genAndn(t *Translator, _ *inst) {
	x, y := t.read(1), t.read(2)
	v, f := t.b.Op2F(ir.OpAndN, t.opSize(0), x, y, ir.None)
	t.write(0, v)
	t.b.SetFlags(f)
}

func genMulx(t *Translator, _ *inst) {
	lo, hi, _ := t.b.Mul(ir.OpMulU, t.opSize(0), t.gpr(x86.RDX), t.read(2))
	t.write(1, lo)
	t.write(0, hi) // wins if both are the same register
}

func genADX(op ir.Op) genFunc {
	return func(t *Translator, _ *inst) {
		fin := t.b.Flags()
		y := t.read(1)
		v, f := t.b.Op2F(op, t.opSize(0), t.read(0), y, fin)
		t.write(0, v)
		t.b.SetFlags(f)
	}
}

// genCRC32: the destination is 32 bits wide, zero-extended also with a 64-bit source.
func genCRC32(t *Translator, d *inst) {
	x := t.read(1)
	t.setGPR(4, d.reg, t.b.Op2(ir.OpCrc32, t.opSize(1), t.gpr(d.reg), x))
}
