package x86

import (
	"math/bits"

	"goemu/target/x86"
	"goemu/tcg/ir"
)

// Rep kinds as the string helpers have them.
const (
	repNone = iota
	repE
	repNE
)

// strSize is the element size of a string instruction.
func (t *Translator) strSize() uint8 {
	d := &t.d
	if d.op&1 == 0 {
		return 1
	}
	if d.op < 0x70 { // INS, OUTS
		return min(d.opsize, 4)
	}
	return d.opsize
}

// srcSeg is the segment of the source string.
func (t *Translator) srcSeg() uint8 {
	if t.d.seg != none {
		return t.d.seg
	}
	return x86.DS
}

// genString leaves a string instruction to its helper, which asks for more until it is finished.
func genString(h x86.Helper) genFunc {
	return func(t *Translator, d *inst) {
		rep := uint64(repNone)
		switch d.rep {
		case 0xf3:
			rep = repE
		case 0xf2:
			rep = repNE
		}
		if h == x86.HelperIns || h == x86.HelperOuts {
			t.interceptStringIO(h == x86.HelperIns)
		}
		arg := t.b.Const(uint64(t.strSize()) | uint64(d.addrsize)<<8 | uint64(t.srcSeg())<<16 | rep<<24)
		again := t.b.CallBulk(uint32(h), t.bulkKind(h), t.memOp(t.strSize()), arg)
		if rep == repNone {
			return
		}
		t.b.ExitNZ(4, again, t.exitAgain())
	}
}

// bulkKind tells what of a repeated string instruction generated code may do by itself: flat 64-bit strings that are not stepped.
func (t *Translator) bulkKind(h x86.Helper) uint8 {
	flat := t.srcSeg() != x86.FS && t.srcSeg() != x86.GS
	switch {
	case t.d.rep == 0 || t.d.addrsize != 8 || t.reason != 0 || t.hflags&x86.HFAlign != 0:
		return ir.BulkNone
	case h == x86.HelperMovs && flat:
		return ir.BulkCopy
	case h == x86.HelperStos:
		return ir.BulkFill
	}
	return ir.BulkNone
}

// Bulk says where the operands of string instructions are.
var Bulk = ir.Bulk{Dst: x86.RDI, Src: x86.RSI, Count: x86.RCX, Value: x86.RAX, DownOffset: uint32(offEFlags) + 1, DownMask: x86.FlagDF >> 8}

// exitAgain is an exit that executes the current instruction again. A stepped REP instruction traps after each part.
func (t *Translator) exitAgain() int {
	if t.reason != 0 {
		return t.b.ReasonExit(t.pc, t.reason)
	}
	return t.b.DirectExit(t.pc)
}

// step is what a string instruction of elements of size bytes adds to its pointers.
func (t *Translator) step(size uint8) ir.Val {
	b := t.b
	df := b.And(8, b.LdEnv(8, offEFlags), b.Const(x86.FlagDF))
	lg := uint64(bits.TrailingZeros8(size))
	const dfBit = 10
	return b.Sub(8, b.Const(uint64(size)), b.Shr(8, df, b.Const(dfBit-1-lg)))
}

// strAddr is the linear address of a string.
func (t *Translator) strAddr(reg, seg uint8) ir.Val {
	return t.addBase(t.b.Ext(t.d.addrsize, t.gpr(reg)), seg)
}

// advance adds step to a string pointer.
func (t *Translator) advance(reg uint8, step ir.Val) {
	n := t.d.addrsize
	t.setGPR(n, reg, t.b.Add(max(n, 4), t.gpr(reg), step))
}

func genMovs(t *Translator, d *inst) {
	if d.rep != 0 {
		genString(x86.HelperMovs)(t, d)
		return
	}
	size := t.strSize()
	v := t.b.Ld(t.memOp(size), t.strAddr(x86.RSI, t.srcSeg()), 0)
	t.b.St(t.memOp(size), t.strAddr(x86.RDI, x86.ES), 0, v)
	step := t.step(size)
	t.advance(x86.RSI, step)
	t.advance(x86.RDI, step)
}

func genStos(t *Translator, d *inst) {
	if d.rep != 0 {
		genString(x86.HelperStos)(t, d)
		return
	}
	size := t.strSize()
	t.b.St(t.memOp(size), t.strAddr(x86.RDI, x86.ES), 0, t.gpr(x86.RAX))
	t.advance(x86.RDI, t.step(size))
}

func genLods(t *Translator, d *inst) {
	if d.rep != 0 {
		genString(x86.HelperLods)(t, d)
		return
	}
	size := t.strSize()
	v := t.b.Ld(t.memOp(size), t.strAddr(x86.RSI, t.srcSeg()), 0)
	step := t.step(size)
	t.setGPR(size, x86.RAX, v)
	t.advance(x86.RSI, step)
}
