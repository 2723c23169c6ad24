package x86

import (
	"goemu/target/x86"
)

// Row is a row of the opcode tables as tests and tools see it.
type Row struct {
	ID     int
	Name   string
	Prefix []byte // mandatory prefix and escape bytes; for VEX rows empty
	VEX    bool
	Map    int // VEX.mmmmm
	PP     int // VEX.pp
	Opcode byte
	Reg    int // ModRM.reg if it selects the row, else -1
	RM     int // ModRM.rm likewise
	Mem    bool
	NoMem  bool
	Only64 bool
	No64   bool
	// System tells that the row needs privilege or changes more than general registers, flags and memory.
	System bool
	Vector bool // SIMD or x87
}

// Rows are all rows of all maps.
func Rows() []Row {
	var rows []Row
	for m := range maps {
		for pp := range maps[m] {
			for op := range maps[m][pp] {
				s := &maps[m][pp][op]
				proto := rowProto(mapID(m), uint8(pp), uint8(op))
				rows = appendRow(rows, proto, s.entry)
				if s.group != nil {
					rows = appendGroup(rows, proto, s.group)
				}
			}
		}
	}
	return rows
}

func rowProto(m mapID, pp, op uint8) Row {
	r := Row{Opcode: op, Reg: -1, RM: -1, PP: int(pp)}
	if m >= mapVEX0F {
		r.VEX, r.Map = true, int(m-mapVEX0F)+1
		return r
	}
	if pp != ppNone {
		r.Prefix = append(r.Prefix, [4]byte{0, 0x66, 0xf3, 0xf2}[pp])
	}
	r.Prefix = append(r.Prefix, [][]byte{nil, {0x0f}, {0x0f, 0x38}, {0x0f, 0x3a}}[m]...)
	return r
}

func appendRow(rows []Row, r Row, e *entry) []Row {
	if e == nil {
		return rows
	}
	r.ID, r.Name = len(rows), e.name
	a := e.attr
	r.Mem = r.Mem || a&memOnly != 0
	r.NoMem = r.NoMem || a&regOnly != 0
	r.Only64, r.No64, r.System = a&only64 != 0, a&invalid64 != 0, a&system != 0
	r.Vector = a&vector != 0
	return append(rows, r)
}

func appendGroup(rows []Row, r Row, g *group) []Row {
	for reg := range 8 {
		r := r
		r.Reg = reg
		if g.mem[reg] == g.reg[reg] {
			rows = appendRow(rows, r, g.mem[reg])
		} else {
			mem, both := r, r
			mem.Mem, both.NoMem = true, true
			rows = appendRow(rows, mem, g.mem[reg])
			rows = appendRow(rows, both, g.reg[reg])
		}
		if g.rm[reg] == nil {
			continue
		}
		for rm, e := range g.rm[reg] {
			r := r
			r.RM, r.NoMem = rm, true
			rows = appendRow(rows, r, e)
		}
	}
	return rows
}

// Insn is a decoded instruction as tests and tools see it.
type Insn struct {
	Name             string
	Length           int
	Mem              bool // has a memory operand addressed by ModRM
	Base, Index      int  // register numbers or -1
	Scale            uint
	Disp             int64 // RIP-relative ones with the program counter added
	RIP              bool
	Opcode           byte
	OpSize, AddrSize int
	Reg, RM, VVVV    int
	Rep              byte
	Lock, VEX        bool
	Seg              int // override or -1
	Imm              uint64
	Undefined        uint64 // flags
	System           bool
	// Branch tells that the instruction has a relative displacement as its immediate.
	Branch bool
	attr   attr
}

// On tells whether a CPU with these features has the instruction.
func (i *Insn) On(f *x86.Features) bool {
	ft, ok := i.attr.feature()
	return !ok || f.Has(ft)
}

// Inspect decodes an instruction at pc in code of 16, 32 or 64 bits (mode 2, 4, 8) with all features. ok is false if it is not
// valid or not complete.
func Inspect(code []byte, pc uint64, mode uint8) (i Insn, ok bool) {
	d := inst{pc: pc, mode: mode}
	if d.decode(code, everything{}) != decOK {
		return i, false
	}
	i = Insn{
		Name: d.name, Length: int(d.length), Base: regOrNone(d.base), Index: regOrNone(d.index), Scale: uint(d.scale & 3), Disp: d.disp,
		RIP: d.ripRel, Opcode: d.op, OpSize: int(d.opsize), AddrSize: int(d.addrsize), Reg: int(d.reg), RM: int(d.rm), VVVV: int(d.vvvv),
		Rep: d.rep, Lock: d.lock, VEX: d.vex, Seg: regOrNone(d.seg), Imm: d.imm, Undefined: d.attr.undefined(), System: d.attr&system != 0,
		attr: d.attr,
	}
	i.Mem = d.scale&modrmSeen != 0 && d.mod != 3
	i.Branch = operands[d.ops[0]].place == plRel
	return i, true
}

func regOrNone(n uint8) int {
	if n == none {
		return -1
	}
	return int(n)
}

// everything is a CPU with all features.
type everything struct{}

func (everything) has(attr) bool { return true }

// AllFeatures is a set with every bit, for tests and tools.
func AllFeatures() (f x86.Features) {
	for i := range f {
		f[i] = ^uint32(0)
	}
	return f
}
