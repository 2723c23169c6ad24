package x86

import (
	"goemu/target/x86"
	"goemu/tcg/ir"
)

// Registers.

// gpr is the whole of a general register.
func (t *Translator) gpr(n uint8) ir.Val { return t.b.Get(ir.Global(n)) }

// highByte tells whether byte register n of the current instruction is AH, CH, DH or BH.
func (t *Translator) highByte(n uint8) bool { return n >= 4 && n < 8 && !t.d.hasREX && !t.d.vex }

// getReg is a register operand; bits above size are unspecified.
func (t *Translator) getReg(size, n uint8) ir.Val {
	if size == 1 && t.highByte(n) {
		return t.b.Extract(t.gpr(n-4), 8, 8)
	}
	return t.gpr(n)
}

// setGPR sets the low size bytes of a register with the rules for upper bits; it does not know high-byte registers.
func (t *Translator) setGPR(size, n uint8, v ir.Val) {
	b := t.b
	switch size {
	case 8:
	case 4:
		v = b.Ext(4, v)
	default:
		v = b.Deposit(t.gpr(n), v, 0, uint(size)*8)
	}
	b.Set(ir.Global(n), v)
}

// setReg sets a register operand.
func (t *Translator) setReg(size, n uint8, v ir.Val) {
	if size == 1 && t.highByte(n) {
		t.b.Set(ir.Global(n-4), t.b.Deposit(t.gpr(n-4), v, 8, 8))
		return
	}
	t.setGPR(size, n, v)
}

// Addresses.

// memOp describes an access of n bytes at the current privilege.
func (t *Translator) memOp(n uint8) ir.MemOp {
	m := ir.MemOp{Size: n, MMU: t.mmu}
	if t.hflags&x86.HFAlign != 0 && n <= maxChecked {
		m.Align = n
	}
	return m
}

// maxChecked is the size of the largest access that alignment checking concerns.
const maxChecked = 8

// stackSize is the width of the stack pointer in bytes.
func (t *Translator) stackSize() uint8 {
	switch {
	case t.code64():
		return 8
	case t.hflags&x86.HFSS32 != 0:
		return 4
	}
	return 2
}

// segment is the segment of the memory operand.
func (t *Translator) segment() uint8 {
	d := &t.d
	if d.seg != none {
		return d.seg
	}
	if d.base == x86.RSP || d.base == x86.RBP {
		return x86.SS
	}
	return x86.DS
}

// segOffset is where a field of a segment register is in the environment.
func segOffset(seg uint8, field uintptr) uintptr { return offSeg + uintptr(seg)*segSize + field }

// addBase adds the base of a segment to an address where it may not be 0. In 64-bit code only FS and GS have one.
func (t *Translator) addBase(a ir.Val, seg uint8) ir.Val {
	if t.code64() {
		if seg == x86.FS || seg == x86.GS {
			return t.b.Lea(8, a, t.b.LdEnv(8, segOffset(seg, segBase)), 0, 0)
		}
		return a
	}
	if seg == x86.FS || seg == x86.GS || seg == x86.CS || t.hflags&x86.HFAddSeg != 0 {
		return t.b.Lea(4, a, t.b.LdEnv(8, segOffset(seg, segBase)), 0, 0)
	}
	return a
}

// offset is the offset of the memory operand within its segment; extra is added. The result is (value, displacement to be added).
func (t *Translator) offset(extra ir.Val) (ir.Val, int64) {
	d, b := &t.d, t.b
	var base, index ir.Val
	if d.base != none {
		base = t.gpr(d.base)
	}
	if d.index != none {
		index = t.gpr(d.index)
	}
	if extra != ir.None {
		if base == ir.None {
			base = extra
		} else {
			base = b.Add(8, base, extra)
		}
	}
	scale := d.scale & 3
	switch d.addrsize {
	case 8:
		if index == ir.None && base != ir.None {
			return base, d.disp
		}
		if index == ir.None {
			return b.Const(uint64(d.disp)), 0
		}
		return b.Lea(8, base, index, scale, 0), d.disp
	case 4:
		return b.Lea(4, base, index, scale, d.disp), 0
	}
	return b.Ext(2, b.Lea(4, base, index, scale, d.disp)), 0
}

// ea is the linear address of the memory operand.
func (t *Translator) ea() (ir.Val, int64) { return t.eaPlus(ir.None) }

// eaPlus is ea with something added to the offset.
func (t *Translator) eaPlus(extra ir.Val) (ir.Val, int64) {
	a, disp := t.offset(extra)
	return t.addBase(a, t.segment()), disp
}

// linearEA is ea as one value.
func (t *Translator) linearEA() ir.Val {
	a, disp := t.ea()
	return t.b.Lea(8, a, ir.None, 0, disp)
}

// at is the memory operand plus n bytes, wrapping with the address size.
func (t *Translator) at(n int64) (ir.Val, int64) {
	if n == 0 {
		return t.ea()
	}
	t.d.disp += n
	a, disp := t.ea()
	t.d.disp -= n
	return a, disp
}

// Operands.

// opSize is the size in bytes of operand i.
func (t *Translator) opSize(i int) uint8 {
	d := &t.d
	switch operands[d.ops[i]].width {
	case w8:
		return 1
	case w16:
		return 2
	case w32:
		return 4
	case w64:
		return 8
	case wY:
		return max(d.opsize, 4)
	case wZ:
		return min(d.opsize, 4)
	case wWV:
		if d.mod != 3 {
			return 2
		}
	}
	return d.opsize
}

// isMem tells whether operand i is in memory.
func (t *Translator) isMem(i int) bool {
	switch operands[t.d.ops[i]].place {
	case plRM:
		return t.d.mod != 3
	case plMem, plMoffs:
		return true
	}
	return false
}

// regOf is the number of the general register that is operand i.
func (t *Translator) regOf(i int) uint8 {
	d := &t.d
	info := &operands[d.ops[i]]
	switch info.place {
	case plReg:
		return d.reg
	case plVVVV:
		if d.mode != 8 {
			return d.vvvv & 7
		}
		return d.vvvv
	case plOpReg:
		return d.op&7 | d.rex&rexB<<3
	case plFixed:
		return info.reg
	}
	return d.rm
}

// memAddr is the address of memory operand i.
func (t *Translator) memAddr(i int) (ir.Val, int64) {
	d := &t.d
	if operands[d.ops[i]].place != plMoffs {
		return t.ea()
	}
	seg := uint8(x86.DS)
	if d.seg != none {
		seg = d.seg
	}
	return t.addBase(t.b.Const(d.imm), seg), 0
}

// immediate is the value of an immediate operand, extended to 64 bits as its code says.
func (t *Translator) immediate(i int) uint64 {
	d := &t.d
	for j := 0; j < i; j++ {
		if operands[d.ops[j]].imm != imNone {
			return d.imm2
		}
	}
	return d.imm
}

// read is the value of operand i; bits above its size are unspecified.
func (t *Translator) read(i int) ir.Val {
	size := t.opSize(i)
	switch operands[t.d.ops[i]].place {
	case plImm:
		return t.b.Const(t.immediate(i) & ir.SizeMask(size))
	case plOne:
		return t.b.Const(1)
	}
	if t.isMem(i) {
		a, disp := t.memAddr(i)
		return t.b.Ld(t.memOp(size), a, disp)
	}
	return t.getReg(size, t.regOf(i))
}

// readRMW is read for an operand that is written afterwards.
func (t *Translator) readRMW(i int) ir.Val {
	if !t.isMem(i) {
		return t.read(i)
	}
	a, disp := t.memAddr(i)
	return t.b.LdRMW(t.memOp(t.opSize(i)), a, disp)
}

// write sets operand i.
func (t *Translator) write(i int, v ir.Val) {
	size := t.opSize(i)
	if t.isMem(i) {
		a, disp := t.memAddr(i)
		t.b.St(t.memOp(size), a, disp, v)
		return
	}
	t.setReg(size, t.regOf(i), v)
}

// lockAttr is the attribute of indivisible operations.
func (t *Translator) lockAttr() ir.Attr {
	if t.cfg.Single {
		return ir.AttrNoLock
	}
	return 0
}

// update replaces operand 0 by f of its value. With LOCK and a memory operand the replacement is indivisible: if another CPU was
// faster the instruction is executed again. The flags must be set after it.
func (t *Translator) update(f func(x ir.Val) ir.Val) {
	if !t.d.lock || t.cfg.Single {
		t.write(0, f(t.readRMW(0)))
		return
	}
	b, size := t.b, t.opSize(0)
	a, disp := t.memAddr(0)
	m := t.memOp(size)
	x := b.LdRMW(m, a, disp)
	v := f(x)
	old := b.CmpXchg(m, 0, a, disp, x, v)
	b.ExitNZ(size, b.Xor(size, old, x), b.DirectExit(t.pc))
}

// The stack.

// stackAt is the linear address of the stack pointer plus n.
func (t *Translator) stackAt(n int64) (ir.Val, int64) {
	b, sp := t.b, t.gpr(x86.RSP)
	return t.stackAddr(b, sp, n)
}

// stackAddr is the linear address of a stack pointer value plus n.
func (t *Translator) stackAddr(b *ir.Builder, sp ir.Val, n int64) (ir.Val, int64) {
	switch t.stackSize() {
	case 8:
		return sp, n
	case 4:
		return t.addBase(b.Lea(4, sp, ir.None, 0, n), x86.SS), 0
	}
	return t.addBase(b.Ext(2, b.Lea(4, sp, ir.None, 0, n)), x86.SS), 0
}

// addSP adds n to the stack pointer.
func (t *Translator) addSP(n int64) { t.setSP(t.gpr(x86.RSP), n) }

// setSP sets the stack pointer to sp plus n.
func (t *Translator) setSP(sp ir.Val, n int64) {
	s := t.stackSize()
	t.setGPR(s, x86.RSP, t.b.Lea(max(s, 4), sp, ir.None, 0, n))
}

// push pushes the low size bytes of v.
func (t *Translator) push(size uint8, v ir.Val) {
	a, disp := t.stackAt(-int64(size))
	t.b.St(t.memOp(size), a, disp, v)
	t.addSP(-int64(size))
}

// top is the value on the top of the stack.
func (t *Translator) top(size uint8) ir.Val {
	a, disp := t.stackAt(0)
	return t.b.Ld(t.memOp(size), a, disp)
}
