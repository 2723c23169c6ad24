package x86

import "goemu/target/x86"

// genFunc translates one decoded instruction.
type genFunc func(t *Translator, d *inst)

// ops are the operands of a row, destination first.
type ops = [4]operand

// insn is a row of the opcode tables.
type insn struct {
	name string
	ops  ops
	gen  genFunc
	attr attr
}

// attr are attributes of a row; need(feature) adds a CPUID feature.
type attr uint64

const (
	lockable  attr = 1 << iota // LOCK is allowed with a memory destination
	invalid64                  // #UD in 64-bit mode
	only64                     // #UD outside 64-bit mode
	default64                  // the operand size is 64 bits in 64-bit mode, or 16 with 66
	force64                    // the operand size is 64 bits in 64-bit mode
	cpl0                       // #GP unless the privilege level is 0
	noReal                     // #UD in real and virtual-8086 mode
	strict                     // other mandatory prefixes make another (undefined) instruction
	noRep                      // likewise, but 66 is an operand-size prefix
	fallback                   // without the CPUID feature the row without prefix applies
	memOnly                    // #UD with a register as ModRM.rm
	regOnly                    // #UD with memory as ModRM.rm
	modrm                      // has ModRM although no operand says so
	vexL0                      // VEX.L must be 0
	vexNoV                     // VEX.vvvv must be 1111
	system                     // needs privilege or changes more than general state: not for native tests
	undefC                     // flags left undefined
	undefP
	undefA
	undefZ
	undefS
	undefV
	vector // SIMD, MMX or x87
)

// undefSZAP and others are frequent groups of undefined flags.
const (
	undefSZAP = undefS | undefZ | undefA | undefP
	undefAll  = undefSZAP | undefC | undefV
)

const featShift = 48

// need asks for a CPUID feature.
func need(f x86.Feature) attr { return attr(f+1) << featShift }

// feature is the CPUID feature of a row, if it needs one.
func (a attr) feature() (f x86.Feature, ok bool) {
	return x86.Feature(a>>featShift) - 1, a>>featShift != 0
}

// undefined is the mask of the flags that a row leaves undefined.
func (a attr) undefined() (m uint64) {
	for i, f := range [...]uint64{1 << 0, 1 << 2, 1 << 4, 1 << 6, 1 << 7, 1 << 11} {
		if a&(undefC<<i) != 0 {
			m |= f
		}
	}
	return m
}

// mapID is an opcode map.
type mapID uint8

// The opcode maps; VEX maps follow in the order of VEX.mmmmm.
const (
	map1B mapID = iota
	map0F
	map0F38
	map0F3A
	mapVEX0F
	mapVEX0F38
	mapVEX0F3A
	numMaps
)

// Mandatory prefixes as VEX.pp encodes them.
const (
	ppNone = iota
	pp66
	ppF3
	ppF2
)

// entry is a row prepared for the decoder.
type entry struct {
	insn
	modrm      bool
	imm1, imm2 immediate
	nops       uint8
	intercept  uint8 // the exit code that a nested guest may end with before the instruction, or 0
}

// group is a set of rows selected by ModRM.
type group struct {
	mem, reg [8]*entry
	rm       [8]*[8]*entry // by reg and rm, for ModRM.mod = 3
}

// slot is a place in an opcode map.
type slot struct {
	*entry
	group *group
}

// opMaps are all opcode maps, by map, mandatory prefix and opcode.
type opMaps [numMaps][4][256]slot

// Forms of group rows.
const (
	formBoth = iota
	formMem
	formReg
)

// groupRow is a row in a group: ModRM.reg selects it, and rm if it is not anyRM.
type groupRow struct {
	m    mapID
	pp   uint8
	op   uint8
	reg  uint8
	form uint8
	insn
}

func newEntry(r insn) *entry {
	e := &entry{insn: r, modrm: r.attr&modrm != 0, intercept: intercepts[r.name]}
	for _, o := range r.ops {
		if o == opNone {
			continue
		}
		e.nops++
		i := &operands[o]
		e.modrm = e.modrm || i.modrm()
		if i.imm == imNone {
			continue
		}
		if e.imm1 == imNone {
			e.imm1 = i.imm
		} else {
			e.imm2 = i.imm
		}
	}
	return e
}

// set enters a row without group.
func (m *opMaps) set(id mapID, pp, op uint8, r insn) { m[id][pp][op].entry = newEntry(r) }

func (m *opMaps) groupAt(id mapID, pp, op uint8) *group {
	s := &m[id][pp][op]
	if s.group == nil {
		s.group = new(group)
	}
	return s.group
}

// setGroup enters a row of a group.
func (m *opMaps) setGroup(r groupRow) {
	g, e := m.groupAt(r.m, r.pp, r.op), newEntry(r.insn)
	e.modrm = true
	if r.form != formReg {
		g.mem[r.reg] = e
	}
	if r.form != formMem {
		g.reg[r.reg] = e
	}
}

// setRM enters a row selected by all of ModRM.
func (m *opMaps) setRM(id mapID, pp, op, reg, rm uint8, r insn) {
	g, e := m.groupAt(id, pp, op), newEntry(r)
	e.modrm = true
	if g.rm[reg] == nil {
		g.rm[reg] = new([8]*entry)
	}
	g.rm[reg][rm] = e
}

// buildMaps prepares the decoder's tables from the rows.
func buildMaps() *opMaps {
	m := new(opMaps)
	for i, r := range oneByte {
		m.setRow(map1B, uint8(i), r)
	}
	for i, r := range twoByte {
		m.setRow(map0F, uint8(i), r)
	}
	for _, r := range prefixed {
		m.set(r.m, r.pp, r.op, r.insn)
	}
	for _, r := range groupRows {
		m.setGroup(r)
	}
	for _, r := range rmRows {
		m.setRM(map0F, r.pp, r.op, r.reg, r.rm, r.insn)
	}
	m.setVectors()
	m.setAMD()
	return m
}

func (m *opMaps) setRow(id mapID, op uint8, r insn) {
	if r.gen != nil {
		m.set(id, ppNone, op, r)
	}
}

var maps = buildMaps()
