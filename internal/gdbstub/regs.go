package gdbstub

import (
	"encoding/binary"
	"fmt"
	"strings"

	"goemu/target/x86"
)

var le = binary.LittleEndian

// reg is a register as gdb knows it.
type reg struct {
	name, typ, group string
	size             int // bytes
	get              func(c *cpuState, p []byte)
	set              func(c *cpuState, p []byte)
}

// cpuState is a CPU's state with what else registers show.
type cpuState struct {
	*x86.State
	cr8 uint64
}

// feature is a group of registers under the name by which gdb looks for it.
type feature struct {
	name  string
	types string
	regs  []reg
}

const wideMode = x86.ModeCS64

// word is a register of up to eight bytes.
func word(name, typ string, size int, at func(c *cpuState) *uint64) reg {
	return reg{name: name, typ: typ, size: size,
		get: func(c *cpuState, p []byte) { put(p, *at(c)) },
		set: func(c *cpuState, p []byte) { *at(c) = number(p) }}
}

func put(p []byte, v uint64) {
	for i := range p {
		p[i] = byte(v >> (8 * i))
	}
}

func number(p []byte) (v uint64) {
	for i, b := range p {
		v |= uint64(b) << (8 * i)
	}
	return v
}

// general is a general register: outside 64-bit code its upper half does not show, and the upper eight not at all.
func general(name, typ string, n int) reg {
	return reg{name: name, typ: typ, size: 8,
		get: func(c *cpuState, p []byte) {
			switch {
			case c.Mode&wideMode != 0:
				put(p, c.Regs[n])
			case n < 8:
				put(p, c.Regs[n]&0xffffffff)
			}
		},
		set: func(c *cpuState, p []byte) {
			switch {
			case c.Mode&wideMode != 0:
				c.Regs[n] = number(p)
			case n < 8:
				c.Regs[n] = c.Regs[n]&^0xffffffff | number(p)&0xffffffff
			}
		}}
}

// selector is a segment register. Loading it takes the descriptor's meaning in real mode only: elsewhere the hidden part stays.
func selector(name string, n int) reg {
	return reg{name: name, typ: "int32", size: 4,
		get: func(c *cpuState, p []byte) { put(p, uint64(c.Seg[n].Selector)) },
		set: func(c *cpuState, p []byte) {
			v := uint32(number(p)) & 0xffff
			if v == c.Seg[n].Selector {
				return
			}
			c.Seg[n].Selector = v
			if c.CR0&x86.CR0PE == 0 || c.RFLAGS&x86.FlagVM != 0 {
				c.Seg[n].Base = uint64(v) << 4
			}
		}}
}

// fpReg is an x87 register counted from the top of the stack.
func fpReg(n int) reg {
	at := func(c *cpuState) *x86.FPReg { return &c.FP[(int(c.FSW>>11)+n)&7] }
	return reg{name: fmt.Sprintf("st%d", n), typ: "i387_ext", size: 10,
		get: func(c *cpuState, p []byte) {
			le.PutUint64(p, at(c).Mantissa)
			le.PutUint16(p[8:], at(c).Exponent)
		},
		set: func(c *cpuState, p []byte) {
			*at(c) = x86.FPReg{Mantissa: le.Uint64(p), Exponent: le.Uint16(p[8:])}
		}}
}

// fpWord is a register of the x87 environment.
func fpWord(name string, get func(c *cpuState) uint64, set func(c *cpuState, v uint64)) reg {
	r := reg{name: name, typ: "int", group: "float", size: 4, get: func(c *cpuState, p []byte) { put(p, get(c)) }}
	r.set = func(c *cpuState, p []byte) {
		if set != nil {
			set(c, number(p))
		}
	}
	return r
}

// Kinds of x87 registers in the tag word.
const tagValid, tagZero, tagSpecial, tagEmpty = 0, 1, 2, 3

// tagWord is the full x87 tag word.
func tagWord(c *cpuState) (w uint64) {
	for i, r := range c.FP {
		tag := uint64(tagValid)
		switch exp := r.Exponent & 0x7fff; {
		case c.FTags>>i&1 == 0:
			tag = tagEmpty
		case exp == 0 && r.Mantissa == 0:
			tag = tagZero
		case exp == 0 || exp == 0x7fff || r.Mantissa>>63 == 0:
			tag = tagSpecial
		}
		w |= tag << (2 * i)
	}
	return w
}

func setTagWord(c *cpuState, w uint64) {
	c.FTags = 0
	for i := range c.FP {
		if w>>(2*i)&3 != tagEmpty {
			c.FTags |= 1 << i
		}
	}
}

// vector is half of a vector register: part 0 the lower, part 2 the upper one.
func vector(name, typ string, n, part int) reg {
	return reg{name: name, typ: typ, size: 16,
		get: func(c *cpuState, p []byte) {
			le.PutUint64(p, c.Vec[n][part])
			le.PutUint64(p[8:], c.Vec[n][part+1])
		},
		set: func(c *cpuState, p []byte) { c.Vec[n][part], c.Vec[n][part+1] = le.Uint64(p), le.Uint64(p[8:]) }}
}

const coreTypes = `<flags id="x64_eflags" size="4">
<field name="" start="22" end="31"/><field name="CF" start="0" end="0"/><field name="" start="1" end="1"/><field name="PF" start="2" end="2"/>
<field name="AF" start="4" end="4"/><field name="ZF" start="6" end="6"/><field name="SF" start="7" end="7"/><field name="TF" start="8" end="8"/>
<field name="IF" start="9" end="9"/><field name="DF" start="10" end="10"/><field name="OF" start="11" end="11"/><field name="NT" start="14" end="14"/>
<field name="RF" start="16" end="16"/><field name="VM" start="17" end="17"/><field name="AC" start="18" end="18"/><field name="VIF" start="19" end="19"/>
<field name="VIP" start="20" end="20"/><field name="ID" start="21" end="21"/></flags>`

const sseTypes = `<vector id="v4f" type="ieee_single" count="4"/><vector id="v2d" type="ieee_double" count="2"/><vector id="v16i8" type="int8" count="16"/>
<vector id="v8i16" type="int16" count="8"/><vector id="v4i32" type="int32" count="4"/><vector id="v2i64" type="int64" count="2"/>
<union id="vec128"><field name="v4_float" type="v4f"/><field name="v2_double" type="v2d"/><field name="v16_int8" type="v16i8"/>
<field name="v8_int16" type="v8i16"/><field name="v4_int32" type="v4i32"/><field name="v2_int64" type="v2i64"/><field name="uint128" type="uint128"/></union>
<flags id="x64_mxcsr" size="4"><field name="IE" start="0" end="0"/><field name="DE" start="1" end="1"/><field name="ZE" start="2" end="2"/>
<field name="OE" start="3" end="3"/><field name="UE" start="4" end="4"/><field name="PE" start="5" end="5"/><field name="DAZ" start="6" end="6"/>
<field name="IM" start="7" end="7"/><field name="DM" start="8" end="8"/><field name="ZM" start="9" end="9"/><field name="OM" start="10" end="10"/>
<field name="UM" start="11" end="11"/><field name="PM" start="12" end="12"/><field name="FZ" start="15" end="15"/></flags>`

// features are all registers in the order of their numbers.
func features(avx bool) []feature {
	core := feature{name: "org.gnu.gdb.i386.core", types: coreTypes}
	for i, name := range strings.Fields("rax rbx rcx rdx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15") {
		typ := "int64"
		if name == "rbp" || name == "rsp" {
			typ = "data_ptr"
		}
		core.regs = append(core.regs, general(name, typ, [16]int{x86.RAX, x86.RBX, x86.RCX, x86.RDX, x86.RSI, x86.RDI, x86.RBP, x86.RSP, 8, 9, 10, 11, 12, 13, 14, 15}[i]))
	}
	core.regs = append(core.regs, reg{name: "rip", typ: "code_ptr", size: 8,
		get: func(c *cpuState, p []byte) {
			if put(p, c.RIP); c.Mode&wideMode == 0 {
				clear(p[4:])
			}
		},
		set: func(c *cpuState, p []byte) {
			if c.RIP = number(p); c.Mode&wideMode == 0 {
				c.RIP &= 0xffffffff
			}
		}})
	core.regs = append(core.regs, reg{name: "eflags", typ: "x64_eflags", size: 4,
		get: func(c *cpuState, p []byte) { put(p, c.RFLAGS) },
		set: func(c *cpuState, p []byte) { c.RFLAGS = number(p) | 2 }})
	for i, name := range strings.Fields("cs ss ds es fs gs") {
		core.regs = append(core.regs, selector(name, [6]int{x86.CS, x86.SS, x86.DS, x86.ES, x86.FS, x86.GS}[i]))
	}
	for i := range 8 {
		core.regs = append(core.regs, fpReg(i))
	}
	core.regs = append(core.regs,
		fpWord("fctrl", func(c *cpuState) uint64 { return uint64(c.FCW) }, func(c *cpuState, v uint64) { c.FCW = uint16(v) }),
		fpWord("fstat", func(c *cpuState) uint64 { return uint64(c.FSW) }, func(c *cpuState, v uint64) { c.FSW = uint16(v) }),
		fpWord("ftag", tagWord, setTagWord),
		fpWord("fiseg", func(c *cpuState) uint64 { return c.FIP >> 32 & 0xffff }, nil),
		fpWord("fioff", func(c *cpuState) uint64 { return c.FIP & 0xffffffff }, func(c *cpuState, v uint64) { c.FIP = c.FIP&^0xffffffff | v }),
		fpWord("foseg", func(c *cpuState) uint64 { return c.FDP >> 32 & 0xffff }, nil),
		fpWord("fooff", func(c *cpuState) uint64 { return c.FDP & 0xffffffff }, func(c *cpuState, v uint64) { c.FDP = c.FDP&^0xffffffff | v }),
		fpWord("fop", func(c *cpuState) uint64 { return uint64(c.FOp) }, func(c *cpuState, v uint64) { c.FOp = uint16(v) & 0x7ff }))
	sse := feature{name: "org.gnu.gdb.i386.sse", types: sseTypes}
	for i := range 16 {
		sse.regs = append(sse.regs, vector(fmt.Sprintf("xmm%d", i), "vec128", i, 0))
	}
	sse.regs = append(sse.regs, reg{name: "mxcsr", typ: "x64_mxcsr", group: "vector", size: 4,
		get: func(c *cpuState, p []byte) { put(p, uint64(c.MXCSR)) },
		set: func(c *cpuState, p []byte) { c.MXCSR = uint32(number(p)) & x86.MXCSRMask }})
	out := []feature{core, sse}
	if avx {
		f := feature{name: "org.gnu.gdb.i386.avx"}
		for i := range 16 {
			f.regs = append(f.regs, vector(fmt.Sprintf("ymm%dh", i), "uint128", i, 2))
		}
		out = append(out, f)
	}
	segments := feature{name: "org.gnu.gdb.i386.segments", regs: []reg{
		word("fs_base", "int", 8, func(c *cpuState) *uint64 { return &c.Seg[x86.FS].Base }),
		word("gs_base", "int", 8, func(c *cpuState) *uint64 { return &c.Seg[x86.GS].Base }),
	}}
	system := feature{name: "org.goemu.gdb.x86.system", regs: []reg{
		word("k_gs_base", "int64", 8, func(c *cpuState) *uint64 { return &c.KernelGSBase }),
		word("cr0", "int64", 8, func(c *cpuState) *uint64 { return &c.CR0 }),
		word("cr2", "int64", 8, func(c *cpuState) *uint64 { return &c.CR2 }),
		word("cr3", "int64", 8, func(c *cpuState) *uint64 { return &c.CR3 }),
		word("cr4", "int64", 8, func(c *cpuState) *uint64 { return &c.CR4 }),
		word("cr8", "int64", 8, func(c *cpuState) *uint64 { return &c.cr8 }),
		word("efer", "int64", 8, func(c *cpuState) *uint64 { return &c.EFER }),
	}}
	for i := range system.regs {
		system.regs[i].group = "system"
	}
	return append(out, segments, system)
}

// targetXML describes the registers to gdb.
func targetXML(list []feature) string {
	var b strings.Builder
	b.WriteString("<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n<target>\n<architecture>i386:x86-64</architecture>\n")
	n := 0
	for _, f := range list {
		fmt.Fprintf(&b, "<feature name=%q>\n%s\n", f.name, f.types)
		for _, r := range f.regs {
			fmt.Fprintf(&b, "<reg name=%q bitsize=\"%d\" type=%q regnum=\"%d\"", r.name, 8*r.size, r.typ, n)
			if r.group != "" {
				fmt.Fprintf(&b, " group=%q", r.group)
			}
			b.WriteString("/>\n")
			n++
		}
		b.WriteString("</feature>\n")
	}
	b.WriteString("</target>\n")
	return b.String()
}

// numbered are the registers by number.
func numbered(list []feature) (out []reg) {
	for _, f := range list {
		out = append(out, f.regs...)
	}
	return out
}
