package x86

import "goemu/target/x86"

// setVectors enters the SIMD rows and the x87 escapes in the decoder's tables. The rows of one opcode that VEX.W tells apart share an
// entry; the translation looks the right one up.
func (m *opMaps) setVectors() {
	for i, rows := range vecMaps {
		for k := range rows {
			m.setVector(mapID(i), &rows[k])
		}
	}
	for op := range uint8(8) {
		m.set(map1B, ppNone, 0xd8+op, insn{name: x87Names[op], gen: genX87, attr: modrm | vector})
	}
	m.set(map1B, ppNone, 0x9b, insn{name: "fwait", gen: func(t *Translator, _ *inst) { t.fwait() }, attr: vector})
	for _, v := range [...]mapID{0, mapVEX0F - map0F} {
		m.set(map0F+v, ppNone, 0x77, insn{name: "emms", gen: genEMMS, attr: strict | vector})
		m.setGroup(groupRow{map0F + v, ppNone, 0xae, 2, formMem, insn{name: "ldmxcsr", ops: ops{opMd}, gen: genCSR(true), attr: need(x86.FeatSSE) | vexL0 | vexNoV | strict | vector}})
		m.setGroup(groupRow{map0F + v, ppNone, 0xae, 3, formMem, insn{name: "stmxcsr", ops: ops{opMd}, gen: genCSR(false), attr: need(x86.FeatSSE) | vexL0 | vexNoV | strict | vector}})
	}
	for _, r := range fpStateRows {
		m.setGroup(r)
	}
}

// x87Names stand for the escapes in listings of the tables; the instruction's name is that of its x87Row.
var x87Names = [8]string{"fpu d8", "fpu d9", "fpu da", "fpu db", "fpu dc", "fpu dd", "fpu de", "fpu df"}

// fpStateRows are FXSAVE, XSAVE and their relatives.
var fpStateRows = []groupRow{
	{map0F, ppNone, 0xae, 0, formMem, insn{"fxsave", ops{opM}, genFPState(x86.HelperFXSAVE, false), need(x86.FeatFXSR) | system | strict}},
	{map0F, ppNone, 0xae, 1, formMem, insn{"fxrstor", ops{opM}, genFPState(x86.HelperFXRSTOR, true), need(x86.FeatFXSR) | system | strict}},
	{map0F, ppNone, 0xae, 4, formMem, insn{"xsave", ops{opM}, genXState(x86.HelperXSAVE, false), need(x86.FeatXSAVE) | system | strict}},
	{map0F, ppNone, 0xae, 5, formMem, insn{"xrstor", ops{opM}, genXState(x86.HelperXRSTOR, true), need(x86.FeatXSAVE) | system | strict}},
	{map0F, ppNone, 0xae, 6, formMem, insn{"xsaveopt", ops{opM}, genXState(x86.HelperXSAVEOPT, false), need(featXSAVEOPT) | system}},
	{map0F, ppNone, 0xc7, 4, formMem, insn{"xsavec", ops{opM}, genXState(x86.HelperXSAVEC, false), need(featXSAVEC) | system}},
	{map0F, ppNone, 0xc7, 5, formMem, insn{"xsaves", ops{opM}, genXState(x86.HelperXSAVES, false), need(featXSAVES) | system | cpl0}},
	{map0F, ppNone, 0xc7, 3, formMem, insn{"xrstors", ops{opM}, genXState(x86.HelperXRSTORS, true), need(featXSAVES) | system | cpl0}},
}

const (
	featXSAVEOPT = x86.Feature(x86.FXSAVE) << 5
	featXSAVEC   = x86.Feature(x86.FXSAVE)<<5 | 1
	featXSAVES   = x86.Feature(x86.FXSAVE)<<5 | 3
)

// setVector enters one SIMD row under its legacy and VEX encodings.
func (m *opMaps) setVector(at mapID, r *vecRow) {
	if r.attr&vexOnly == 0 {
		m.setForm(map0F+at, r.pfx, r, r.name, r.attr&mmx != 0 && r.pfx == pNone)
		if _, own := vecLookup(int(at), pNone, r.op, false, false, r.reg-1); own && r.pfx == p66 && r.attr&mmx != 0 {
			m.setForm(map0F+at, pNone, r, r.name, true)
		}
	}
	if r.attr&legOnly == 0 {
		name := r.name
		if r.attr&vexOnly == 0 {
			name = "v" + name
		}
		m.setForm(mapVEX0F+at, r.pfx, r, name, false)
	}
}

func (m *opMaps) setForm(id mapID, pp uint8, r *vecRow, name string, isMMX bool) {
	e := insn{name: name, ops: ops{opVx, opWx}, gen: genVector, attr: strict | vector}
	if isMMX {
		e.ops = ops{opPq, opQq}
	}
	if r.attr&vImm != 0 {
		e.ops[2] = opIb
	}
	if r.reg != 0 {
		m.setGroup(groupRow{id, pp, r.op, r.reg - 1, formReg, e})
		return
	}
	m.set(id, pp, r.op, e)
}

// vecMapOf is the index in vecMaps of an opcode map.
func vecMapOf(m mapID) int {
	if m >= mapVEX0F {
		return int(m - mapVEX0F)
	}
	return int(m - map0F)
}

func genVector(t *Translator, d *inst) {
	w := d.rex&rexW != 0
	row, isMMX := vecLookup(vecMapOf(d.m), d.pp, d.op, d.vex, w, d.reg3)
	if row == nil {
		t.raiseUD()
		return
	}
	e := vecFields{vex: d.vex, w: w, l256: d.l != 0, mod: d.mod, reg: d.reg, rm: d.rm, vvvv: d.vvvv, imm: d.imm}
	if d.mode != 8 {
		e.vvvv &= 7
	}
	t.vector(row, isMMX, &e)
}

func genX87(t *Translator, d *inst) { t.x87Insn(d.op&7, d.mod, d.reg3, d.rm3, d.opsize) }
func genEMMS(t *Translator, d *inst) {
	t.emms(d.vex, d.l != 0, d.vvvv)
}

func genCSR(load bool) genFunc {
	return func(t *Translator, d *inst) { t.csrInsn(d.vex, load) }
}

func genFPState(h x86.Helper, loads bool) genFunc {
	return func(t *Translator, d *inst) { t.fpStateInsn(h, d.rex&rexW != 0, loads) }
}

// genXState is genFPState for instructions that CR4.OSXSAVE enables.
func genXState(h x86.Helper, loads bool) genFunc {
	f := genFPState(h, loads)
	return func(t *Translator, d *inst) {
		if t.hflags&x86.HFOSXSAVE == 0 {
			t.raiseUD()
			return
		}
		f(t, d)
	}
}
