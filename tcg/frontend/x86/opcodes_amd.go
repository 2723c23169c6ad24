package x86

import (
	"goemu/target/x86"
	"goemu/tcg/ir"
)

// AMD's own vector instructions (AMD64 manual, volume 5 for 3DNow!, volume 4 for SSE4a). They are rare: a helper does the work.

const (
	feat3DNow    = x86.Feature(x86.F80000001EDX)<<5 | 31
	feat3DNowExt = x86.Feature(x86.F80000001EDX)<<5 | 30
	featSSE4A    = x86.Feature(x86.F80000001ECX)<<5 | 6
)

var amdRows = []struct {
	pp, op uint8
	insn
}{
	{ppNone, 0x0e, insn{"femms", ops{}, genFEMMS, need(feat3DNow) | strict | system}},
	{ppNone, 0x0f, insn{"3dnow", ops{opPq, opQq, opIb}, gen3DNow, need(feat3DNow) | strict | system}},
	{pp66, 0x79, insn{"extrq", ops{opVx, opWx}, genSSE4A(x86.ExtrqReg), need(featSSE4A) | regOnly | system}},
	{ppF2, 0x78, insn{"insertq", ops{opVx, opWx, opIb, opIb}, genSSE4A(x86.InsertqImm), need(featSSE4A) | regOnly | system}},
	{ppF2, 0x79, insn{"insertq", ops{opVx, opWx}, genSSE4A(x86.InsertqReg), need(featSSE4A) | regOnly | system}},
	{ppF3, 0x2b, insn{"movntss", ops{opWx, opVx}, genMovnt(4), need(featSSE4A) | memOnly | system}},
	{ppF2, 0x2b, insn{"movntsd", ops{opWx, opVx}, genMovnt(8), need(featSSE4A) | memOnly | system}},
}

// setAMD enters the rows in the decoder's tables.
func (m *opMaps) setAMD() {
	for _, r := range amdRows {
		m.set(map0F, r.pp, r.op, r.insn)
	}
	m.setGroup(groupRow{map0F, pp66, 0x78, 0, formReg, insn{"extrq", ops{opWx, opIb, opIb}, genSSE4A(x86.ExtrqImm), need(featSSE4A) | system}})
}

func genFEMMS(t *Translator, _ *inst) { t.emms(false, false, 0) }

// mmxUsable raises the exceptions of MMX instructions and tells whether none was due.
func (t *Translator) mmxUsable() bool {
	switch {
	case t.hflags&x86.HFEM != 0:
		t.raiseUD()
		return false
	case t.hflags&x86.HFTS != 0:
		t.raise(x86.ExcNM, x86.NoErrorCode)
		return false
	}
	if t.hflags&x86.HFFPSoft != 0 {
		t.b.Call(uint32(x86.HelperFWAIT), ir.None, ir.None, ir.None)
	}
	return true
}

// gen3DNow is 0F 0F: the last byte of the instruction tells which.
func gen3DNow(t *Translator, d *inst) {
	op := uint8(d.imm)
	ext, ok := x86.Is3DNow(op)
	if !ok || ext && !t.cfg.Features.Has(feat3DNowExt) {
		t.raiseUD()
		return
	}
	if !t.mmxUsable() {
		return
	}
	what, src := uint64(op)|uint64(d.reg&7)<<8|uint64(d.rm&7)<<16, t.b.Const(0)
	if d.mod != 3 {
		a, disp := t.ea()
		what, src = what|x86.AMDMem, t.b.Ld(t.memOp(8), a, disp)
	}
	t.call(x86.Helper3DNow, t.b.Const(what), src)
	t.mmxWritten(d.reg & 7)
	t.enterMMX()
}

// genSSE4A is EXTRQ and INSERTQ: length and index are immediates, in this order, or in a register.
func genSSE4A(kind uint64) genFunc {
	return func(t *Translator, d *inst) {
		if !t.sseUsable(false) {
			return
		}
		dst, src := d.reg, d.rm
		if kind == x86.ExtrqImm {
			dst = d.rm
		}
		t.call(x86.HelperSSE4A, t.b.Const(kind|uint64(dst)<<8|uint64(src)<<16), t.b.Const(d.imm&63|d.imm2&63<<8))
	}
}

// genMovnt is MOVNTSS and MOVNTSD.
func genMovnt(n uint8) genFunc {
	return func(t *Translator, d *inst) {
		if t.sseUsable(false) {
			a, disp := t.ea()
			t.b.StV(t.memOp(n), ir.VReg(d.reg), a, disp)
		}
	}
}
