package x86

// operand is an operand code as in the vendor's opcode maps (SDM volume 2, A.2): where the operand is, then its size.
type operand uint8

// The operand codes of integer and system instructions.
const (
	opNone operand = iota

	// ModRM.rm: register or memory.
	opEb
	opEw
	opEd
	opEq
	opEv
	opEy
	opEwv // 16 bits in memory, the operand size as a register (MOV from segment, SLDT, STR, SMSW)
	opEn  // stack-sized default: 64 bits in 64-bit mode

	// ModRM.reg: general register.
	opGb
	opGw
	opGd
	opGv
	opGy

	// ModRM.rm, always a general register, of the mode's width.
	opRn

	// VEX.vvvv: general register.
	opBy

	// ModRM.rm, memory only.
	opM  // no access of a definite size (LEA, INVLPG, …)
	opMb // the sizes of the disassembly
	opMw
	opMd
	opMq
	opMv
	opMy
	opMp // far pointer
	opMa // pair of bounds
	opMs // descriptor table register

	// ModRM.reg: segment, control, debug register.
	opSw
	opCn
	opDn

	// Immediates.
	opIb  // 8 bits, zero-extended
	opIbs // 8 bits, sign-extended to the operand size
	opIw
	opIz // 16 or 32 bits, sign-extended to the operand size
	opIv // the operand size in full
	opI1 // the constant 1
	opJb // branch displacements
	opJz
	opAp // far pointer in the instruction

	// Memory at an immediate address.
	opOb
	opOv

	// Low three bits of the opcode: general register.
	opZb
	opZv
	opZn // the stack's width

	// Fixed registers.
	opAL
	opCL
	opDX
	opAXv // eAX of the operand size
	opAXz // AX or EAX
	opES
	opCS
	opSS
	opDS
	opFS
	opGS

	// Strings: DS:rSI and ES:rDI.
	opXb
	opXv
	opYb
	opYv
	opXz // 16 or 32 bits
	opYz

	// ModRM.rm (E), ModRM.reg (G), VEX.vvvv (H), imm8[7:4] (L) of other register files; only the decoder's view of them is here.
	opWx // vector register or memory
	opVx // vector register
	opQq // MMX register or memory
	opPq // MMX register

	numOperands
)

// place says where an operand is.
type place uint8

const (
	plNone  place = iota
	plRM          // ModRM.rm
	plReg         // ModRM.reg, general register
	plRMReg       // ModRM.rm, general register in any case
	plVVVV        // VEX.vvvv, general register
	plMem         // ModRM.rm, memory only
	plSeg         // ModRM.reg, segment register
	plCR
	plDR
	plImm
	plRel
	plFar
	plMoffs
	plOpReg // low bits of the opcode
	plFixed // register number in operandInfo.reg
	plFixedSeg
	plSrcStr
	plDstStr
	plOne
	plVecRM // ModRM.rm of the vector code's own
	plVecReg
	plVecOther
)

// width is the size of an operand.
type width uint8

const (
	wNone width = iota
	w8
	w16
	w32
	w64
	wV  // operand size
	wY  // 64 bits with W, else 32
	wZ  // operand size, at most 32 bits
	wN  // stack operand: as decoded for default64 and force64 rows
	wWV // see opEwv
)

// immediate is what follows ModRM.
type immediate uint8

const (
	imNone immediate = iota
	im8
	im8s
	im16
	imZ
	imV
	imFar
	imAddr
)

// operandInfo describes an operand code.
type operandInfo struct {
	place place
	width width
	imm   immediate
	reg   uint8
}

var operands = [numOperands]operandInfo{
	opEb: {plRM, w8, 0, 0}, opEw: {plRM, w16, 0, 0}, opEd: {plRM, w32, 0, 0}, opEq: {plRM, w64, 0, 0}, opEv: {plRM, wV, 0, 0},
	opEy: {plRM, wY, 0, 0}, opEwv: {plRM, wWV, 0, 0}, opEn: {plRM, wN, 0, 0},
	opGb: {plReg, w8, 0, 0}, opGw: {plReg, w16, 0, 0}, opGd: {plReg, w32, 0, 0}, opGv: {plReg, wV, 0, 0}, opGy: {plReg, wY, 0, 0},
	opRn: {plRMReg, wN, 0, 0}, opBy: {plVVVV, wY, 0, 0},
	opM: {plMem, wNone, 0, 0}, opMb: {plMem, w8, 0, 0}, opMw: {plMem, w16, 0, 0}, opMd: {plMem, w32, 0, 0}, opMq: {plMem, w64, 0, 0},
	opMv: {plMem, wV, 0, 0}, opMy: {plMem, wY, 0, 0}, opMp: {plMem, wV, 0, 0}, opMa: {plMem, wV, 0, 0}, opMs: {plMem, wNone, 0, 0},
	opSw: {plSeg, w16, 0, 0}, opCn: {plCR, wN, 0, 0}, opDn: {plDR, wN, 0, 0},
	opIb: {plImm, w8, im8, 0}, opIbs: {plImm, wV, im8s, 0}, opIw: {plImm, w16, im16, 0}, opIz: {plImm, wV, imZ, 0},
	opIv: {plImm, wV, imV, 0}, opI1: {plOne, w8, 0, 0}, opJb: {plRel, wNone, im8s, 0}, opJz: {plRel, wNone, imZ, 0}, opAp: {plFar, wNone, imFar, 0},
	opOb: {plMoffs, w8, imAddr, 0}, opOv: {plMoffs, wV, imAddr, 0},
	opZb: {plOpReg, w8, 0, 0}, opZv: {plOpReg, wV, 0, 0}, opZn: {plOpReg, wN, 0, 0},
	opAL: {plFixed, w8, 0, 0}, opCL: {plFixed, w8, 0, 1}, opDX: {plFixed, w16, 0, 2}, opAXv: {plFixed, wV, 0, 0}, opAXz: {plFixed, wZ, 0, 0},
	opES: {plFixedSeg, w16, 0, 0}, opCS: {plFixedSeg, w16, 0, 1}, opSS: {plFixedSeg, w16, 0, 2}, opDS: {plFixedSeg, w16, 0, 3},
	opFS: {plFixedSeg, w16, 0, 4}, opGS: {plFixedSeg, w16, 0, 5},
	opXb: {plSrcStr, w8, 0, 0}, opXv: {plSrcStr, wV, 0, 0}, opYb: {plDstStr, w8, 0, 0}, opYv: {plDstStr, wV, 0, 0},
	opXz: {plSrcStr, wZ, 0, 0}, opYz: {plDstStr, wZ, 0, 0},
	opWx: {plVecRM, wNone, 0, 0}, opVx: {plVecReg, wNone, 0, 0},
	opQq: {plVecRM, wNone, 0, 0}, opPq: {plVecReg, wNone, 0, 0},
}

// modrm tells whether the operand needs a ModRM byte.
func (i *operandInfo) modrm() bool {
	switch i.place {
	case plRM, plReg, plRMReg, plMem, plSeg, plCR, plDR, plVecRM, plVecReg:
		return true
	}
	return false
}
