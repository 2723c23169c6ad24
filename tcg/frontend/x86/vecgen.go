package x86

import (
	"math/rand/v2"

	"goemu/target/x86"
	"goemu/tcg/ir"
)

const vexL = 4 // in the last byte of a VEX prefix

// VectorCase is a random encoding of a SIMD or x87 row for 64-bit mode, as tests want it.
type VectorCase struct {
	Name   string
	Code   []byte
	Mem    bool // has the memory operand [RBX + disp8]
	FP     bool // follows MXCSR
	Approx bool // the result, or which NaN it is, may differ between hosts
	Helper bool // needs a helper of the accelerator
	X87    bool // uses x87 or MMX registers
	GPR    bool // writes a general register
	row    *vecRow
	vex    bool
	l256   bool
	mmx    bool
}

// On tells whether a CPU with these features has the instruction.
func (c *VectorCase) On(f *x86.Features) bool {
	return c.row == nil || c.row.available(f, c.vex, c.mmx, c.l256)
}

// NumVectorRows is the number of SIMD rows.
func NumVectorRows() (n int) {
	for _, rows := range vecMaps {
		n += len(rows)
	}
	return n
}

// RandomVector makes a random encoding of SIMD row i.
func RandomVector(rnd *rand.Rand, i int) VectorCase {
	m := 0
	for i >= len(vecMaps[m]) {
		i -= len(vecMaps[m])
		m++
	}
	r := &vecMaps[m][i]
	vex := r.attr&vexOnly != 0 || r.attr&legOnly == 0 && rnd.IntN(2) == 0
	isMMX := !vex && r.attr&mmx != 0 && (r.pfx == pNone || rnd.IntN(2) == 0)
	mem := r.attr&vReg == 0 && (r.attr&vMem != 0 || rnd.IntN(2) == 0)
	c := VectorCase{Name: r.name, Mem: mem, FP: r.vop.Info().FP, X87: isMMX || r.usesMMX(), row: r, vex: vex, mmx: isMMX}
	c.GPR = r.vop.Info().Use&ir.UseDst != 0
	c.Approx = r.vop == ir.VRcpF32 || r.vop == ir.VRsqrtF32 || r.vop == ir.VDpF32 || r.vop == ir.VDpF64
	switch r.op {
	case 0x2c, 0x2d, 0x2e, 0x2f, 0x8c, 0x8e, 0x90, 0x91, 0x92, 0x93:
		c.Helper = m == 1
	case 0xf7:
		c.Helper = m == 0
	}
	reg, rm := byte(rnd.IntN(16)), byte(rnd.IntN(16))
	if c.GPR { // neither the stack pointer nor the base of memory operands
		reg, rm = reg&^7|(reg|5)&7, rm&^7|(rm|5)&7
	}
	if r.reg != 0 {
		reg = r.reg - 1
	}
	if mem {
		rm = 3
	}
	if vex {
		c.Code = r.vexHead(rnd, m, reg, rm, mem)
		c.l256 = c.Code[len(c.Code)-1]&vexL != 0
	} else {
		c.Code = r.legacyHead(rnd, m, reg, rm, isMMX)
	}
	c.Code = append(c.Code, r.op)
	if mem {
		c.Code = append(c.Code, 0x40|reg&7<<3|3, byte(rnd.IntN(4)*32))
	} else {
		c.Code = append(c.Code, 0xc0|reg&7<<3|rm&7)
	}
	if r.attr&vImm != 0 {
		c.Code = append(c.Code, byte(rnd.Uint32()))
	}
	return c
}

// usesMMX tells whether a row of SSE has an MMX operand.
func (r *vecRow) usesMMX() bool {
	return r.attr&legOnly != 0 && (r.op == 0x2a || r.op == 0x2c || r.op == 0x2d || r.op == 0xd6)
}

func (r *vecRow) vexHead(rnd *rand.Rand, m int, reg, rm byte, mem bool) []byte {
	v, l, w := byte(rnd.IntN(16)), byte(rnd.IntN(2)), byte(rnd.IntN(2))
	if r.vexNoSource(&vecFields{mod: map[bool]uint8{true: 0, false: 3}[mem]}) {
		v = 0
	}
	switch {
	case r.attr&vl0 != 0:
		l = 0
	case r.attr&vl1 != 0:
		l = 1
	}
	switch {
	case r.attr&vw0 != 0:
		w = 0
	case r.attr&vw1 != 0:
		w = 1
	}
	if m == 0 && w == 0 && rm < 8 && rnd.IntN(2) == 0 {
		return []byte{0xc5, (^reg>>3&1)<<7 | (^v&15)<<3 | l<<2 | r.pfx}
	}
	return []byte{0xc4, (^reg>>3&1)<<7 | 1<<6 | (^rm>>3&1)<<5 | byte(m+1), w<<7 | (^v&15)<<3 | l<<2 | r.pfx}
}

func (r *vecRow) legacyHead(rnd *rand.Rand, m int, reg, rm byte, isMMX bool) (c []byte) {
	if !isMMX {
		c = append(c, [][]byte{nil, {0x66}, {0xf3}, {0xf2}}[r.pfx]...)
	}
	if rex := 0x40 | reg>>3<<2 | rm>>3 | byte(rnd.IntN(2))<<3; rex != 0x40 {
		c = append(c, rex)
	}
	return append(c, [][]byte{{0x0f}, {0x0f, 0x38}, {0x0f, 0x3a}}[m]...)
}

// X87Cases are all x87 encodings that do not depend on helpers of the accelerator, with memory operands at [RBX].
func X87Cases() (cases []VectorCase) {
	for esc := range byte(8) {
		for reg := range byte(8) {
			if row := x87Lookup(esc, 0, reg, 3); row.gen != nil && x87Envs[[2]uint8{esc, reg}] == 0 {
				cases = append(cases, VectorCase{Name: row.name, Code: []byte{0xd8 + esc, reg<<3 | 3}, Mem: true, X87: true})
			}
			for rm := range byte(8) {
				row := x87Lookup(esc, 3, reg, rm)
				if row.gen != nil && row.name != "fninit" {
					cases = append(cases, VectorCase{Name: row.name, Code: []byte{0xd8 + esc, 0xc0 | reg<<3 | rm}, X87: true})
				}
			}
		}
	}
	return cases
}
