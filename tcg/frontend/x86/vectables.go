package x86

import (
	"slices"

	"goemu/target/x86"
)

// vecMaps are all SIMD rows by opcode map (0F, 0F 38, 0F 3A), sorted by prefix and opcode.
var vecMaps = [3][]vecRow{
	sortRows(sse0F, mmx0F),
	sortRows(sse0F38, vex0F38),
	sortRows(sse0F3A),
}

// vecIndex is 1 + the index of the first row of a map, prefix and opcode in vecMaps, 0 if there is none.
var vecIndex = makeVecIndex()

func sortRows(lists ...[]vecRow) []vecRow {
	all := slices.Concat(lists...)
	slices.SortStableFunc(all, func(a, b vecRow) int { return (int(a.pfx)<<8 | int(a.op)) - (int(b.pfx)<<8 | int(b.op)) })
	return all
}

func makeVecIndex() (ix [3][4][256]uint16) {
	for m, rows := range vecMaps {
		for i := len(rows) - 1; i >= 0; i-- {
			ix[m][rows[i].pfx][rows[i].op] = uint16(i + 1)
		}
	}
	return ix
}

// vecLookup finds the row of a SIMD instruction: map 0 … 2, mandatory prefix, opcode, ModRM.reg. mmx tells that its operands are MMX
// registers. nil: there is no such instruction.
func vecLookup(m int, pfx, op uint8, vex, w bool, reg uint8) (row *vecRow, isMMX bool) {
	if row = vecFind(m, pfx, op, vex, w, reg); row != nil {
		return row, pfx == pNone && row.attr&mmx != 0
	}
	if pfx == pNone && !vex {
		if row = vecFind(m, p66, op, false, w, reg); row != nil && row.attr&mmx != 0 {
			return row, true
		}
	}
	return nil, false
}

func vecFind(m int, pfx, op uint8, vex, w bool, reg uint8) *vecRow {
	i := int(vecIndex[m][pfx][op])
	if i == 0 {
		return nil
	}
	rows := vecMaps[m]
	for i--; i < len(rows) && rows[i].op == op && rows[i].pfx == pfx; i++ {
		if r := &rows[i]; r.fits(vex, w, reg) {
			return r
		}
	}
	return nil
}

// fits tells whether a row is the one for an encoding with these fields.
func (r *vecRow) fits(vex, w bool, reg uint8) bool {
	switch {
	case r.reg != 0 && r.reg != reg+1:
		return false
	case !vex:
		return r.attr&vexOnly == 0
	case r.attr&legOnly != 0:
		return false
	}
	return r.attr&(vw0|vw1) == 0 || w == (r.attr&vw1 != 0)
}

// vecFeats gives the CPUID feature of each vecFeat.
var vecFeats = [numVecFeats]x86.Feature{
	ftMMX: x86.Feature(x86.F1EDX)<<5 | 23, ftSSE: x86.Feature(x86.F1EDX)<<5 | 25, ftSSE2: x86.Feature(x86.F1EDX)<<5 | 26,
	ftSSE3: x86.Feature(x86.F1ECX) << 5, ftSSSE3: x86.Feature(x86.F1ECX)<<5 | 9, ftSSE41: x86.Feature(x86.F1ECX)<<5 | 19,
	ftSSE42: x86.Feature(x86.F1ECX)<<5 | 20, ftAES: x86.Feature(x86.F1ECX)<<5 | 25, ftPCLMUL: x86.Feature(x86.F1ECX)<<5 | 1,
	ftSHA: x86.Feature(x86.F7EBX)<<5 | 29, ftGFNI: x86.Feature(x86.F7ECX)<<5 | 8, ftAVX: x86.Feature(x86.F1ECX)<<5 | 28,
	ftAVX2: x86.Feature(x86.F7EBX)<<5 | 5, ftFMA: x86.Feature(x86.F1ECX)<<5 | 12, ftF16C: x86.Feature(x86.F1ECX)<<5 | 29,
}

const (
	featVAES       = x86.Feature(x86.F7ECX)<<5 | 9
	featVPCLMULQDQ = x86.Feature(x86.F7ECX)<<5 | 10
)

// available tells whether the guest CPU has the instruction of a row in the given form.
func (r *vecRow) available(f *x86.Features, vex, isMMX, l256 bool) bool {
	ft := r.feat
	if isMMX && ft == ftSSE2 { // the MMX form came first, or with SSE or SSE2
		ft = ftMMX
	}
	if !f.Has(vecFeats[ft]) {
		return false
	}
	if !vex {
		return true
	}
	switch {
	case !f.Has(vecFeats[ftAVX]):
		return false
	case l256 && r.attr&avx2 != 0:
		return f.Has(vecFeats[ftAVX2])
	case l256 && r.feat == ftAES:
		return f.Has(featVAES)
	case l256 && r.feat == ftPCLMUL:
		return f.Has(featVPCLMULQDQ)
	}
	return true
}
