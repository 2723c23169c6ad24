package x86

import (
	"fmt"
	"strings"
)

// Disassemble gives the text, in NASM's syntax, and the length of the instruction at pc in 16-, 32- or 64-bit code (mode 2, 4, 8).
// What is no instruction is shown as a byte.
func Disassemble(code []byte, pc uint64, mode uint8) (text string, length int) {
	d := inst{pc: pc, mode: mode}
	if len(code) == 0 {
		return "", 0
	}
	if d.decode(code, everything{}) != decOK {
		return fmt.Sprintf("db 0x%02x", code[0]), 1
	}
	p := printer{d: &d, t: Translator{d: d}}
	return p.text(), int(d.length)
}

// printer makes the text of one instruction.
type printer struct {
	d *inst
	t Translator // for operand sizes
	b strings.Builder
}

// strNames are the string instructions.
var strNames = map[string]bool{"movs": true, "cmps": true, "stos": true, "lods": true, "scas": true, "ins": true, "outs": true}

func (p *printer) text() string {
	d := p.d
	if d.lock {
		p.b.WriteString("lock ")
	}
	if strNames[d.name] {
		p.str()
		return p.b.String()
	}
	switch {
	case d.m == map1B && d.op >= 0xd8 && d.op <= 0xdf:
		p.x87()
		return p.b.String()
	case d.attr&vector != 0:
		p.vector()
		return p.b.String()
	}
	p.b.WriteString(p.name())
	if d.name == "movsxd" && d.mode != 8 { // ARPL
		d.entry, p.t.d.entry = &arplRow, &arplRow
	}
	sep := " "
	for i, o := range d.ops {
		if o == opNone {
			break
		}
		p.b.WriteString(sep)
		p.operand(i)
		sep = ", "
	}
	return p.b.String()
}

// bySize are mnemonics that depend on the operand size: 16, 32, 64 bits.
var bySize = map[string][3]string{
	"cbw": {"cbw", "cwde", "cdqe"}, "cwd": {"cwd", "cdq", "cqo"}, "pusha": {"pushaw", "pushad", ""}, "popa": {"popaw", "popad", ""},
	"pushf": {"pushfw", "pushfd", "pushfq"}, "popf": {"popfw", "popfd", "popfq"}, "iret": {"iretw", "iretd", "iretq"},
	"retf": {"o16 retf", "o32 retf", "o64 retf"}, "cmpxchg8b": {"cmpxchg8b", "cmpxchg8b", "cmpxchg16b"}, "sysret": {"sysret", "sysret", "o64 sysret"},
	"sysexit": {"sysexit", "sysexit", "o64 sysexit"},
	"xlat":    {"xlatb", "xlatb", "xlatb"}, "movsxd": {"arpl", "arpl", "movsxd"}, "wbinvd": {"wbinvd", "wbinvd", "wbinvd"},
}

var arplRow = entry{insn: insn{"arpl", ops{opEw, opGw}, nil, 0}}

// unsized are instructions whose memory operand has no size.
var unsized = map[string]bool{"prefetch": true, "prefetchw": true, "clflush": true, "clflushopt": true, "clwb": true, "cmpxchg8b": true}

func sizeIndex(n uint8) int { return int(n >> 2) } // 2, 4, 8 → 0, 1, 2

func (p *printer) name() string {
	d := p.d
	switch d.name {
	case "callf", "jmpf":
		if d.mod != 3 && d.scale&modrmSeen != 0 {
			return strings.TrimSuffix(d.name, "f") + strings.TrimRight(" "+sizeWords[d.opsize], " ") + " far"
		}
		return strings.TrimSuffix(d.name, "f") + strings.TrimRight(" "+sizeWords[d.opsize], " ")
	case "prefetch":
		if d.mod == 3 || d.reg3 > 3 {
			return "nop"
		}
		return [4]string{"prefetchnta", "prefetcht0", "prefetcht1", "prefetcht2"}[d.reg3]
	case "jcxz":
		return [3]string{"jcxz", "jecxz", "jrcxz"}[sizeIndex(d.addrsize)]
	case "movsxd":
		if d.mode == 8 {
			return "movsxd"
		}
		return "arpl"
	}
	if n, ok := bySize[d.name]; ok {
		return n[sizeIndex(d.opsize)]
	}
	return d.name
}

// str is a string instruction.
func (p *printer) str() {
	d := p.d
	switch compares := d.name == "cmps" || d.name == "scas"; {
	case d.rep == 0xf2:
		p.b.WriteString("repne ")
	case d.rep == 0xf3 && compares:
		p.b.WriteString("repe ")
	case d.rep == 0xf3:
		p.b.WriteString("rep ")
	}
	if d.addrsize != d.mode {
		fmt.Fprintf(&p.b, "a%d ", 8*int(d.addrsize))
	}
	if d.seg != none {
		p.b.WriteString(segNames[d.seg] + " ")
	}
	size := p.t.strSize()
	p.b.WriteString(d.name + [...]string{1: "b", 2: "w", 4: "d", 8: "q"}[size])
}

var (
	segNames  = [8]string{"es", "cs", "ss", "ds", "fs", "gs", "segr6", "segr7"}
	byteNames = [8]string{"al", "cl", "dl", "bl", "ah", "ch", "dh", "bh"}
	wordNames = [8]string{"ax", "cx", "dx", "bx", "sp", "bp", "si", "di"}
)

// regName is a general register of size bytes.
func (p *printer) regName(size, n uint8) string {
	if n >= 8 {
		return fmt.Sprintf("r%d%s", n, [...]string{1: "b", 2: "w", 4: "d", 8: ""}[size])
	}
	switch {
	case size == 1 && n >= 4 && !p.t.highByte(n):
		return wordNames[n] + "l"
	case size == 1:
		return byteNames[n]
	case size == 4:
		return "e" + wordNames[n]
	case size == 8:
		return "r" + wordNames[n]
	}
	return wordNames[n]
}

var sizeWords = [...]string{0: "", 1: "byte ", 2: "word ", 4: "dword ", 8: "qword ", 10: "tword ", 16: "oword ", 32: "yword "}

// operand writes operand i.
func (p *printer) operand(i int) {
	d := p.d
	o := d.ops[i]
	info := &operands[o]
	size := p.t.opSize(i)
	switch info.place {
	case plRM, plMem:
		if d.mod == 3 {
			p.b.WriteString(p.regName(size, d.rm))
			return
		}
		if info.width == wNone || o == opMp || o == opMa || unsized[d.name] {
			size = 0
		}
		p.memory(size)
	case plReg, plVVVV, plOpReg, plFixed:
		if d.name == "crc32" && d.rex&rexW != 0 {
			size = 8
		}
		p.b.WriteString(p.regName(size, p.t.regOf(i)))
	case plRMReg:
		p.b.WriteString(p.regName(max(min(d.mode, 8), 4), d.rm))
	case plVecRM, plVecReg:
		p.vectorOperand(o, info.place == plVecRM)
	case plSeg:
		p.b.WriteString(segNames[d.reg3])
	case plFixedSeg:
		p.b.WriteString(segNames[info.reg])
	case plCR:
		fmt.Fprintf(&p.b, "cr%d", d.reg)
	case plDR:
		fmt.Fprintf(&p.b, "dr%d", d.reg)
	case plOne:
		p.b.WriteString("1")
	case plImm:
		p.imm(i, size)
	case plRel:
		fmt.Fprintf(&p.b, "0x%x", p.t.target(d))
	case plFar:
		fmt.Fprintf(&p.b, "0x%x:0x%x", d.imm2, d.imm)
	case plMoffs:
		p.b.WriteString(strings.TrimSuffix(sizeWords[size], " ") + " [")
		if d.seg != none {
			p.b.WriteString(segNames[d.seg] + ":")
		}
		fmt.Fprintf(&p.b, "0x%x]", d.imm)
	}
}

// vectorOperand writes an MMX or vector register, or the memory operand in its place.
func (p *printer) vectorOperand(o operand, rm bool) {
	d := p.d
	n := d.reg
	if rm {
		if n = d.rm; d.mod != 3 {
			p.memory(0)
			return
		}
	}
	if o == opPq || o == opQq {
		fmt.Fprintf(&p.b, "mm%d", n&7)
		return
	}
	fmt.Fprintf(&p.b, "xmm%d", n)
}

func (p *printer) imm(i int, size uint8) {
	v := p.t.immediate(i) & (1<<(8*uint(size)-1)<<1 - 1)
	if p.d.name == "push" {
		p.b.WriteString(sizeWords[size])
	}
	fmt.Fprintf(&p.b, "0x%x", v)
}

// memory writes the memory operand.
func (p *printer) memory(size uint8) {
	d := p.d
	p.b.WriteString(sizeWords[size] + "[")
	if d.seg != none {
		p.b.WriteString(segNames[d.seg] + ":")
	}
	plus := ""
	if d.base != none {
		p.b.WriteString(p.regName(d.addrsize, d.base))
		plus = "+"
	}
	if d.index != none {
		p.b.WriteString(plus + p.regName(d.addrsize, d.index))
		if d.addrsize != 2 {
			fmt.Fprintf(&p.b, "*%d", 1<<(d.scale&3))
		}
		plus = "+"
	}
	switch {
	case plus == "":
		if d.ripRel {
			p.b.WriteString("rel ")
		} else if d.mode == 8 {
			p.b.WriteString("abs ")
		}
		fmt.Fprintf(&p.b, "0x%x", uint64(d.disp)&(1<<(8*uint(d.addrsize)-1)<<1-1))
	case d.disp < 0:
		fmt.Fprintf(&p.b, "-0x%x", -d.disp)
	case d.disp > 0:
		fmt.Fprintf(&p.b, "+0x%x", d.disp)
	}
	p.b.WriteString("]")
}

// x87 is an x87 instruction.
func (p *printer) x87() {
	d := p.d
	row := x87Lookup(d.op&7, d.mod, d.reg3, d.rm3)
	name := row.name
	if name == "" {
		name = "(bad)"
	}
	p.b.WriteString(name + " ")
	if d.mod != 3 {
		p.memory(x87Size(row.attr))
		return
	}
	fmt.Fprintf(&p.b, "st%d", d.rm3)
}

// x87Size is the size of the memory operand, 0 if it has no simple one.
func x87Size(a x87Attr) uint8 {
	switch {
	case a&(xF32|xI32) != 0:
		return 4
	case a&xF64 != 0:
		return 8
	case a&xI16 != 0:
		return 2
	}
	return 0
}

// vector is a SIMD instruction: destination or register operand, second source of VEX encodings, rm, immediate.
func (p *printer) vector() {
	d := p.d
	p.b.WriteString(d.name)
	file := "xmm"
	switch {
	case d.ops[0] == opPq:
		file = "mm"
	case d.vex && d.l != 0:
		file = "ymm"
	}
	if d.ops[0] != opVx && d.ops[0] != opPq {
		if d.ops[0] != opNone && d.mod != 3 {
			p.b.WriteString(" ")
			p.memory(p.t.opSize(0))
		}
		return
	}
	fmt.Fprintf(&p.b, " %s%d", file, d.reg)
	row, _ := vecLookup(vecMapOf(d.m), d.pp, d.op, d.vex, d.rex&rexW != 0, d.reg3)
	if row != nil && d.vex && row.attr&nods == 0 {
		fmt.Fprintf(&p.b, ", %s%d", file, d.vvvv)
	}
	p.b.WriteString(", ")
	if d.mod == 3 {
		fmt.Fprintf(&p.b, "%s%d", file, d.rm)
	} else {
		p.memory(0)
	}
	if d.imm1 != imNone {
		fmt.Fprintf(&p.b, ", 0x%x", d.imm)
	}
}
