package amd64

import "encoding/binary"

// Reg is a host register: general purpose 0…15 or vector 0…15, by the instruction's position.
type Reg uint8

// The general purpose registers.
const (
	RAX Reg = iota
	RCX
	RDX
	RBX
	RSP
	RBP
	RSI
	RDI
	R8
	R9
	R10
	R11
	R12
	R13
	R14
	R15
	NoReg Reg = 0xff
)

// Operand is the r/m operand of an instruction: a register or a memory reference [Base + Index<<Scale + Disp].
type Operand struct {
	Reg         Reg // NoReg: memory
	Base, Index Reg // NoReg: absent
	Scale       uint8
	Disp        int32
}

// R is a register operand.
func R(r Reg) Operand { return Operand{Reg: r} }

// M is the memory operand [base + disp].
func M(base Reg, disp int32) Operand {
	return Operand{Reg: NoReg, Base: base, Index: NoReg, Disp: disp}
}

// MX is the memory operand [base + index<<scale + disp].
func MX(base, index Reg, scale uint8, disp int32) Operand {
	return Operand{Reg: NoReg, Base: base, Index: index, Scale: scale, Disp: disp}
}

// IsMem tells whether the operand is in memory.
func (o Operand) IsMem() bool { return o.Reg == NoReg }

// Opcode maps.
const (
	map1    = iota // one byte
	map0F          // 0F
	map0F38        // 0F 38
	map0F3A        // 0F 3A
)

// op is an instruction encoding: mandatory prefix, opcode map and opcode. Opcodes that have a byte form at op-1 are marked byteForm.
type op struct {
	pfx, mp, code byte
	byteForm      bool
}

// Encodings with a register (or opcode extension) and an r/m operand.
var (
	opMovLoad  = op{0, map1, 0x8b, true}
	opMovStore = op{0, map1, 0x89, true}
	opLea      = op{0, map1, 0x8d, false}
	opTest     = op{0, map1, 0x85, true}
	opXchg     = op{0, map1, 0x87, true}
	opMovzx8   = op{0, map0F, 0xb6, false}
	opMovzx16  = op{0, map0F, 0xb7, false}
	opMovsx8   = op{0, map0F, 0xbe, false}
	opMovsx16  = op{0, map0F, 0xbf, false}
	opMovsxd   = op{0, map1, 0x63, false}
	opGrp3     = op{0, map1, 0xf7, true} // test imm, -, not, neg, mul, imul, div, idiv
	opGrp4     = op{0, map1, 0xff, true} // inc, dec, call, -, jmp, -, push
	opPop      = op{0, map1, 0x8f, false}
	opShiftCL  = op{0, map1, 0xd3, true}
	opShiftImm = op{0, map1, 0xc1, true}
	opShift1   = op{0, map1, 0xd1, true}
	opImul     = op{0, map0F, 0xaf, false}
	opImulImm  = op{0, map1, 0x69, false}
	opShld     = op{0, map0F, 0xa5, false} // by CL; imm8 at code-1
	opShrd     = op{0, map0F, 0xad, false}
	opBsf      = op{0, map0F, 0xbc, false}
	opBsr      = op{0, map0F, 0xbd, false}
	opTzcnt    = op{0xf3, map0F, 0xbc, false}
	opLzcnt    = op{0xf3, map0F, 0xbd, false}
	opPopcnt   = op{0xf3, map0F, 0xb8, false}
	opBt       = op{0, map0F, 0xa3, false}
	opBts      = op{0, map0F, 0xab, false}
	opBtr      = op{0, map0F, 0xb3, false}
	opBtc      = op{0, map0F, 0xbb, false}
	opBtImm    = op{0, map0F, 0xba, false} // /4 bt … /7 btc
	opXadd     = op{0, map0F, 0xc1, true}
	opCmpxchg  = op{0, map0F, 0xb1, true}
	opCrc32    = op{0xf2, map0F38, 0xf1, true}
	opAdcx     = op{0x66, map0F38, 0xf6, false}
	opAdox     = op{0xf3, map0F38, 0xf6, false}
)

// ALU operations by their number in opcodes and in /digit.
const (
	aluAdd = iota
	aluOr
	aluAdc
	aluSbb
	aluAnd
	aluSub
	aluXor
	aluCmp
)

// Shift operations by their /digit.
const (
	shRol = iota
	shRor
	shRcl
	shRcr
	shShl
	shShr
	_
	shSar
)

// Digits of opGrp3 and opGrp4.
const (
	g3Test = 0
	g3Not  = 2
	g3Neg  = 3
	g3Mul  = 4
	g3Imul = 5
	g3Div  = 6
	g3Idiv = 7
	g4Inc  = 0
	g4Dec  = 1
	g4Call = 2
	g4Jmp  = 4
	g4Push = 6
)

// Asm is an assembler into a buffer that will execute at address base.
type Asm struct {
	buf    []byte
	base   uintptr
	relocs []reloc
}

func (a *Asm) b1(b byte)    { a.buf = append(a.buf, b) }
func (a *Asm) u32(v uint32) { a.buf = binary.LittleEndian.AppendUint32(a.buf, v) }
func (a *Asm) u64(v uint64) { a.buf = binary.LittleEndian.AppendUint64(a.buf, v) }
func (a *Asm) pos() int     { return len(a.buf) }

// pc is the address of the next byte.
func (a *Asm) pc() uintptr { return a.base + uintptr(len(a.buf)) }

// rm emits an instruction with a register (or digit) field and an r/m operand for a size of 1, 2, 4 or 8 bytes.
func (a *Asm) rm(e op, size uint8, reg Reg, o Operand) {
	a.rmSized(e, size, reg, o, size == 1 && e.byteForm, false)
}

// digit emits an instruction whose register field is an opcode extension.
func (a *Asm) digit(e op, size uint8, digit Reg, o Operand) {
	a.rmSized(e, size, digit, o, size == 1 && e.byteForm, true)
}

// mov8 emits an instruction whose r/m operand is a byte while the register is of another size (movzx, movsx, setcc).
func (a *Asm) rmByte(e op, size uint8, reg Reg, o Operand) { a.rmSized(e, size, reg, o, true, true) }

func (a *Asm) rmSized(e op, size uint8, reg Reg, o Operand, byteRegs, regIsNotByte bool) {
	if size == 2 {
		a.b1(0x66)
	}
	if e.pfx != 0 {
		a.b1(e.pfx)
	}
	rex := byte(reg>>3&1) << 2
	if size == 8 {
		rex |= 8
	}
	force := false
	if o.IsMem() {
		if o.Base != NoReg {
			rex |= byte(o.Base >> 3)
		}
		if o.Index != NoReg {
			rex |= byte(o.Index>>3) << 1
		}
	} else {
		rex |= byte(o.Reg >> 3)
		force = byteRegs && o.Reg >= 4
	}
	if byteRegs && !regIsNotByte && reg >= 4 {
		force = true
	}
	if rex != 0 || force {
		a.b1(0x40 | rex)
	}
	a.opcode(e.mp)
	code := e.code
	if size == 1 && e.byteForm {
		code--
	}
	a.b1(code)
	a.modrm(reg, o)
}

func (a *Asm) opcode(mp byte) {
	switch mp {
	case map0F:
		a.b1(0x0f)
	case map0F38:
		a.buf = append(a.buf, 0x0f, 0x38)
	case map0F3A:
		a.buf = append(a.buf, 0x0f, 0x3a)
	}
}

// modrm emits the ModRM byte, SIB and displacement.
func (a *Asm) modrm(reg Reg, o Operand) {
	rg := byte(reg&7) << 3
	if !o.IsMem() {
		a.b1(0xc0 | rg | byte(o.Reg&7))
		return
	}
	if o.Base == NoReg { // [index<<scale + disp32] or [disp32]
		idx := byte(4)
		if o.Index != NoReg {
			idx = byte(o.Index & 7)
		}
		a.buf = append(a.buf, rg|4, o.Scale<<6|idx<<3|5)
		a.u32(uint32(o.Disp))
		return
	}
	mod := byte(0x80)
	switch {
	case o.Disp == 0 && o.Base&7 != RBP:
		mod = 0
	case o.Disp == int32(int8(o.Disp)):
		mod = 0x40
	}
	if o.Index != NoReg || o.Base&7 == RSP {
		idx := byte(4)
		if o.Index != NoReg {
			idx = byte(o.Index & 7)
		}
		a.buf = append(a.buf, mod|rg|4, o.Scale<<6|idx<<3|byte(o.Base&7))
	} else {
		a.b1(mod | rg | byte(o.Base&7))
	}
	switch mod {
	case 0x40:
		a.b1(byte(o.Disp))
	case 0x80:
		a.u32(uint32(o.Disp))
	}
}

// vex emits a VEX-encoded instruction: pp is 0, 0x66, 0xf3 or 0xf2; v is the vvvv register (NoReg: none).
func (a *Asm) vex(pp, mp byte, w, l256 bool, code byte, reg, v Reg, o Operand) {
	var ppBits byte
	switch pp {
	case 0x66:
		ppBits = 1
	case 0xf3:
		ppBits = 2
	case 0xf2:
		ppBits = 3
	}
	r, x, bb := ^byte(reg>>3)&1, byte(1), byte(1)
	if o.IsMem() {
		if o.Index != NoReg {
			x = ^byte(o.Index>>3) & 1
		}
		if o.Base != NoReg {
			bb = ^byte(o.Base>>3) & 1
		}
	} else {
		bb = ^byte(o.Reg>>3) & 1
	}
	vv := byte(15)
	if v != NoReg {
		vv = ^byte(v) & 15
	}
	last := vv<<3 | ppBits
	if l256 {
		last |= 4
	}
	if x == 1 && bb == 1 && !w && mp == map0F {
		a.buf = append(a.buf, 0xc5, r<<7|last)
	} else {
		if w {
			last |= 0x80
		}
		a.buf = append(a.buf, 0xc4, r<<7|x<<6|bb<<5|mp, last)
	}
	a.b1(code)
	a.modrm(reg, o)
}

// alu emits reg = reg OP operand.
func (a *Asm) alu(k byte, size uint8, reg Reg, o Operand) {
	a.rm(op{0, map1, k<<3 | 3, true}, size, reg, o)
}

// aluStore emits operand = operand OP reg.
func (a *Asm) aluStore(k byte, size uint8, o Operand, reg Reg) {
	a.rm(op{0, map1, k<<3 | 1, true}, size, reg, o)
}

// aluImm emits operand = operand OP imm (sign-extended from 32 bits).
func (a *Asm) aluImm(k byte, size uint8, o Operand, imm int32) {
	switch {
	case size == 1:
		a.digit(op{0, map1, 0x81, true}, 1, Reg(k), o)
		a.b1(byte(imm))
	case imm == int32(int8(imm)):
		a.digit(op{0, map1, 0x83, false}, size, Reg(k), o)
		a.b1(byte(imm))
	default:
		a.digit(op{0, map1, 0x81, false}, size, Reg(k), o)
		a.immZ(size, imm)
	}
}

// immZ emits an immediate of min(size, 4) bytes.
func (a *Asm) immZ(size uint8, imm int32) {
	switch size {
	case 1:
		a.b1(byte(imm))
	case 2:
		a.buf = append(a.buf, byte(imm), byte(imm>>8))
	default:
		a.u32(uint32(imm))
	}
}

// testImm emits test operand, imm.
func (a *Asm) testImm(size uint8, o Operand, imm int32) {
	a.digit(opGrp3, size, g3Test, o)
	a.immZ(size, imm)
}

// mov emits dst = src for 64 bits, or for 32 bits zero-extended.
func (a *Asm) mov(size uint8, dst, src Reg) {
	if size < 8 {
		size = 4
	}
	a.rm(opMovLoad, size, dst, R(src))
}

// load and store move between a register and memory; size 1 and 2 loads are zero-extended.
func (a *Asm) load(size uint8, dst Reg, m Operand) {
	switch size {
	case 1:
		a.rmByte(opMovzx8, 4, dst, m)
	case 2:
		a.rm(opMovzx16, 4, dst, m)
	default:
		a.rm(opMovLoad, size, dst, m)
	}
}

// loadSigned loads sign-extended to 64 bits.
func (a *Asm) loadSigned(size uint8, dst Reg, m Operand) {
	switch size {
	case 1:
		a.rmByte(opMovsx8, 8, dst, m)
	case 2:
		a.rm(opMovsx16, 8, dst, m)
	case 4:
		a.rm(opMovsxd, 8, dst, m)
	default:
		a.rm(opMovLoad, 8, dst, m)
	}
}

func (a *Asm) store(size uint8, m Operand, src Reg) { a.rm(opMovStore, size, src, m) }

// storeImm emits a store of an immediate (sign-extended from 32 bits for size 8).
func (a *Asm) storeImm(size uint8, m Operand, imm int32) {
	a.digit(op{0, map1, 0xc7, true}, size, 0, m)
	a.immZ(size, imm)
}

// movImm emits dst = imm without changing EFLAGS.
func (a *Asm) movImm(dst Reg, imm uint64) {
	switch {
	case imm>>32 == 0:
		if dst >= 8 {
			a.b1(0x41)
		}
		a.b1(0xb8 | byte(dst&7))
		a.u32(uint32(imm))
	case imm == uint64(int64(int32(imm))):
		a.digit(op{0, map1, 0xc7, true}, 8, 0, R(dst))
		a.u32(uint32(imm))
	default:
		a.b1(0x48 | byte(dst>>3))
		a.b1(0xb8 | byte(dst&7))
		a.u64(imm)
		a.note(relocImm, 0)
	}
}

func (a *Asm) lea(size uint8, dst Reg, m Operand) { a.rm(opLea, size, dst, m) }

// shiftImm emits operand = operand SH imm.
func (a *Asm) shiftImm(k Reg, size uint8, o Operand, n uint8) {
	if n == 1 {
		a.digit(opShift1, size, k, o)
		return
	}
	a.digit(opShiftImm, size, k, o)
	a.b1(n)
}

// setcc, cmov and jcc take the condition's encoding.
func (a *Asm) setcc(cc byte, o Operand) { a.rmByte(op{0, map0F, 0x90 | cc, false}, 4, 0, o) }
func (a *Asm) cmov(cc byte, size uint8, dst Reg, o Operand) {
	a.rm(op{0, map0F, 0x40 | cc, false}, size, dst, o)
}

func (a *Asm) pushfq()        { a.b1(0x9c) }
func (a *Asm) popfq()         { a.b1(0x9d) }
func (a *Asm) push(o Operand) { a.digit(opGrp4, 4, g4Push, o) }
func (a *Asm) pop(o Operand)  { a.digit(opPop, 4, 0, o) }
func (a *Asm) ret()           { a.b1(0xc3) }
func (a *Asm) jmpRM(o Operand) {
	a.digit(opGrp4, 4, g4Jmp, o)
}

// rorx emits dst = operand rotated right by n without changing EFLAGS (BMI2).
func (a *Asm) rorx(size uint8, dst Reg, o Operand, n uint8) {
	a.vex(0xf2, map0F3A, size == 8, false, 0xf0, dst, NoReg, o)
	a.b1(n)
}

// Jumps inside the buffer: jccFwd and jmpFwd return the position of a rel32 to be filled in by bind.
func (a *Asm) jccFwd(cc byte) int {
	a.buf = append(a.buf, 0x0f, 0x80|cc)
	a.u32(0)
	return a.pos() - 4
}

func (a *Asm) jmpFwd() int {
	a.b1(0xe9)
	a.u32(0)
	return a.pos() - 4
}

// jccShort emits a two-byte conditional jump to be filled in by bindShort.
func (a *Asm) jccShort(cc byte) int {
	a.buf = append(a.buf, 0x70|cc, 0)
	return a.pos()
}

// bindShort makes a short jump come here.
func (a *Asm) bindShort(at int) { a.buf[at-1] = byte(a.pos() - at) }

// bind makes the rel32 at position at point here.
func (a *Asm) bind(at int) { a.bindTo(at, a.pos()) }

func (a *Asm) bindTo(at, to int) {
	binary.LittleEndian.PutUint32(a.buf[at:], uint32(to-(at+4)))
}

// callAbs calls an address within reach of the code cache.
func (a *Asm) callAbs(to uintptr) {
	a.b1(0xe8)
	a.u32(uint32(to - (a.pc() + 4)))
	a.note(relocCall, 0)
}

// nops are the recommended multi-byte no-operations by length.
var nops = [...][]byte{nil, {0x90}, {0x66, 0x90}, {0x0f, 0x1f, 0x00}}

// padRel32 pads so that a rel32 behind an opcode of n bytes is 4-byte aligned.
func (a *Asm) padRel32(n int) {
	a.buf = append(a.buf, nops[-(int(a.pc())+n)&3]...)
}
