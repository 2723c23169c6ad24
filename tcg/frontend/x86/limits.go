package x86

import (
	"goemu/target/x86"
	"goemu/tcg/ir"
)

// Segment limits and rights. Blocks for flat segments have no trace of them; with HFLimits each instruction starts with a helper call for
// each of its accesses (HelperCheckSeg). FS and GS are looked at where they are used, whatever the other segments are.

// use is an access of an instruction: size bytes at an offset in a segment.
type use struct {
	seg   uint8
	size  uint16
	write bool
	off   ir.Val
}

// noAccess are the instructions whose memory operand is only an address.
var noAccess = map[string]bool{"lea": true, "invlpg": true, "nop": true, "prefetch": true, "prefetchw": true}

// onlyRead are the integer instructions that do not write their first operand when that is in memory.
var onlyRead = map[string]bool{
	"cmp": true, "test": true, "bt": true, "push": true, "call": true, "jmp": true, "callf": true, "jmpf": true, "mul": true, "imul": true,
	"div": true, "idiv": true, "lldt": true, "ltr": true, "verr": true, "verw": true, "lmsw": true, "lgdt": true, "lidt": true, "clflush": true,
	"clflushopt": true, "clwb": true,
}

// x87Bytes has the sizes of x87 memory operands by escape opcode and ModRM.reg; the bit set in x87Stores tells that they are written.
var x87Bytes = [8][8]uint16{
	{4, 4, 4, 4, 4, 4, 4, 4}, {4, 0, 4, 4, 28, 2, 28, 2}, {4, 4, 4, 4, 4, 4, 4, 4}, {4, 4, 4, 4, 0, 10, 0, 10},
	{8, 8, 8, 8, 8, 8, 8, 8}, {8, 8, 8, 8, 108, 0, 108, 2}, {2, 2, 2, 2, 2, 2, 2, 2}, {2, 2, 2, 2, 10, 8, 10, 8},
}

var x87Stores = [8]uint8{1: 1<<2 | 1<<3 | 1<<6 | 1<<7, 3: 1<<1 | 1<<2 | 1<<3 | 1<<7, 5: 1<<1 | 1<<2 | 1<<3 | 1<<6 | 1<<7, 7: 1<<1 | 1<<2 | 1<<3 | 1<<6 | 1<<7}

// vecStores are the SIMD opcodes that write their memory operand, by opcode map.
var vecStores = map[mapID]string{
	map0F: "\x11\x13\x17\x29\x2b\x7e\x7f\xd6\xe7", map0F38: "\x2e\x2f\x8e", map0F3A: "\x14\x15\x16\x17\x19\x1d\x39",
}

// vecReads are exceptions: with prefix F3 the opcode loads.
const vecReadF3 = 0x7e

// checkAccesses makes the checks of the current instruction. It reports false if the instruction raises an exception in any case.
func (t *Translator) checkAccesses() bool {
	if t.code64() || t.hflags&(x86.HFPE|x86.HFVM) != x86.HFPE {
		return true
	}
	uses := t.uses()
	for _, u := range uses {
		if u.seg == x86.CS && u.write {
			t.raiseGP()
			return false
		}
		switch {
		case t.hflags&x86.HFLimits != 0:
			w := uint64(0)
			if u.write {
				w = 1
			}
			t.call(x86.HelperCheckSeg, t.b.Const(uint64(u.seg)|uint64(u.size)<<8|w<<24), u.off)
		case u.seg >= x86.FS:
			t.checkInline(u)
		}
	}
	return true
}

// checkInline raises #GP for an access beyond the limit of a segment that expands up, or through a null selector.
func (t *Translator) checkInline(u use) {
	b := t.b
	limit := b.LdEnv(4, segOffset(u.seg, segLimit))
	last := b.Add(8, b.Ext(4, u.off), b.Const(uint64(u.size)-1))
	_, f := b.Op2F(ir.OpSub, 8, limit, last, ir.None)
	beyond := b.SetCond(ir.CondB, f)
	absent := b.Xor(4, b.Extract(b.LdEnv(4, segOffset(u.seg, segFlags)), segPresentBit, 1), b.Const(1))
	t.prepareRaise(x86.ExcGP, 0)
	b.ExitNZ(4, b.Or(4, beyond, absent), b.ReasonExit(t.pc, x86.ExitException))
}

const segPresentBit = 15

// uses lists the accesses of the current instruction. Those of far transfers, interrupts and repeated strings are checked by their helpers.
func (t *Translator) uses() (list []use) {
	d := &t.d
	if d.scale&modrmSeen != 0 && d.mod != 3 && !noAccess[d.name] {
		if size, write := t.memoryUse(); size != 0 {
			disp := d.disp
			if d.name == "pop" && d.base == x86.RSP {
				d.disp += int64(d.opsize)
			}
			off, more := t.offset(ir.None)
			d.disp = disp
			list = append(list, use{t.segment(), size, write, t.b.Ext(4, t.b.Lea(8, off, ir.None, 0, more))})
		}
	}
	for i, o := range d.ops {
		if operands[o].place == plMoffs {
			seg := uint8(x86.DS)
			if d.seg != none {
				seg = d.seg
			}
			list = append(list, use{seg, uint16(t.opSize(i)), i == 0, t.b.Const(d.imm)})
		}
	}
	return append(append(list, t.stackUses()...), t.stringUses()...)
}

// memoryUse is the size of the operand that ModRM addresses and whether it is written; size 0: checked elsewhere or not accessed.
func (t *Translator) memoryUse() (size uint16, write bool) {
	d := &t.d
	switch {
	case d.m == map1B && d.op&^7 == 0xd8:
		return x87Bytes[d.op&7][d.reg3], x87Stores[d.op&7]>>d.reg3&1 != 0
	case d.name == "3dnow":
		return 8, false
	case d.name == "movntss":
		return 4, true
	case d.name == "movntsd":
		return 8, true
	case d.attr&vector != 0 && operands[d.ops[1]].place == plVecRM:
		return t.vectorUse()
	}
	for i, o := range d.ops {
		switch operands[o].place {
		case plRM, plMem:
			size = uint16(t.opSize(i))
			switch o {
			case opMp:
				size += 2
			case opMa:
				size *= 2
			case opMs:
				size = 6
			}
			if d.name == "cmpxchg8b" {
				size = 8
			}
			return size, i == 0 && !onlyRead[d.name]
		}
	}
	return 0, false
}

func (t *Translator) vectorUse() (size uint16, write bool) {
	d := &t.d
	row, isMMX := vecLookup(vecMapOf(d.m), d.pp, d.op, d.vex, d.rex&rexW != 0, d.reg3)
	if row == nil {
		return 0, false
	}
	v := vecInsn{t: t, row: row, len: 16}
	switch {
	case isMMX:
		v.len = 8
	case d.vex && d.l != 0:
		v.len = 32
	}
	m := d.m
	if m >= mapVEX0F {
		m -= mapVEX0F - map0F
	}
	for i := 0; i < len(vecStores[m]); i++ {
		if vecStores[m][i] == d.op && !(m == map0F && d.op == vecReadF3 && d.pp == ppF3) {
			write = true
		}
	}
	return uint16(v.memSize()), write
}

// stackUses are the implicit accesses to the stack.
func (t *Translator) stackUses() []use {
	d := &t.d
	at := func(reg uint8, n int64, size uint16, write bool) []use {
		s := t.stackSize()
		return []use{{x86.SS, size, write, t.b.Ext(s, t.b.Lea(max(s, 4), t.gpr(reg), ir.None, 0, n))}}
	}
	n := uint16(d.opsize)
	switch d.name {
	case "push", "pushf", "call", "enter":
		return at(x86.RSP, -int64(n), n, true)
	case "pusha":
		return at(x86.RSP, -8*int64(n), 8*n, true)
	case "pop", "popf", "ret":
		return at(x86.RSP, 0, n, false)
	case "popa":
		return at(x86.RSP, 0, 8*n, false)
	case "leave":
		return at(x86.RBP, 0, n, false)
	}
	return nil
}

// stringUses are the accesses of string instructions without repetition.
func (t *Translator) stringUses() (list []use) {
	d := &t.d
	if d.rep != 0 {
		return nil
	}
	for i, o := range d.ops {
		switch operands[o].place {
		case plSrcStr:
			list = append(list, use{t.srcSeg(), uint16(t.strSize()), false, t.b.Ext(d.addrsize, t.gpr(x86.RSI))})
		case plDstStr:
			list = append(list, use{x86.ES, uint16(t.strSize()), i == 0, t.b.Ext(d.addrsize, t.gpr(x86.RDI))})
		}
	}
	return list
}

// checkFetch makes sure that the current instruction lies within the code segment.
func (t *Translator) checkFetch() {
	if t.hflags&x86.HFLimits == 0 || t.code64() {
		return
	}
	b := t.b
	limit := b.LdEnv(4, segOffset(x86.CS, segLimit))
	_, f := b.Op2F(ir.OpSub, 8, limit, b.Const(uint64(uint32(t.pc))+uint64(t.d.length)-1), ir.None)
	t.prepareRaise(x86.ExcGP, 0)
	b.ExitIf(ir.CondB, f, b.ReasonExit(t.pc, x86.ExitException))
}

// checkBranch makes a near branch fault if its target is beyond the limit of the code segment.
func (t *Translator) checkBranch(target ir.Val) {
	if t.hflags&x86.HFLimits == 0 || t.code64() {
		return
	}
	b := t.b
	limit := b.LdEnv(4, segOffset(x86.CS, segLimit))
	_, f := b.Op2F(ir.OpSub, 8, limit, b.Ext(4, target), ir.None)
	t.prepareRaise(x86.ExcGP, 0)
	b.ExitIf(ir.CondB, f, b.ReasonExit(t.pc, x86.ExitException))
}

// checkTaken is checkBranch for the target of a conditional branch, which counts only if the branch is taken.
func (t *Translator) checkTaken(taken func() ir.Val) {
	if t.hflags&x86.HFLimits == 0 || t.code64() {
		return
	}
	t.checkBranch(t.b.SelectZ(1, taken(), t.b.Const(0), t.b.Const(t.target(&t.d))))
}
