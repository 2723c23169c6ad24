package amd64

import (
	"math/bits"

	"goemu/tcg/ir"
)

// Opcodes of the host's string instructions for elements of more than a byte; one less for bytes.
const (
	prefixRep = 0xf3
	opMovs    = 0xa5
	opStos    = 0xab
)

// bulkUsable tells whether the guest's string registers are in the host's.
func (c *compiler) bulkUsable() bool {
	b := c.e.opt.Bulk
	return b != nil && c.e.pin[b.Dst] == RDI && c.e.pin[b.Src] == RSI && c.e.pin[b.Count] == RCX && c.e.pin[b.Value] == RAX
}

// bulk does a bulk operation on the spot if each string lies in one page that may be accessed directly. Anything
// else goes to the helper, which d describes. It reports false if the instruction is nothing for it.
func (c *compiler) bulk(in *ir.Inst, t target, d desc) bool {
	if in.Imm2 == ir.BulkNone || !c.bulkUsable() {
		return false
	}
	size := in.Mem.Size
	dst, u := c.temp(), c.temp()
	src := NoReg
	slow := make([]int, 0, 4)
	c.testImm(1, envMem(c.e.opt.Bulk.DownOffset), int32(c.e.opt.Bulk.DownMask))
	slow = append(slow, c.jccFwd(byte(ir.CondNE)))
	c.aluImm(aluCmp, 8, R(RCX), 1<<ir.PageBits/int32(size))
	slow = append(slow, c.jccFwd(byte(ir.CondA)), c.bulkCheck(RDI, in.Mem, true, dst, u))
	if in.Imm2 == ir.BulkCopy {
		src = c.temp()
		slow = append(slow, c.bulkCheck(RSI, in.Mem, false, src, u))
		c.alu(aluAdd, 8, RSI, R(src))
	}
	c.alu(aluAdd, 8, RDI, R(dst))
	c.stringOp(in.Imm2, size, u)
	c.alu(aluSub, 8, RDI, R(dst))
	if src != NoReg {
		c.alu(aluSub, 8, RSI, R(src))
	}
	if t.reg != NoReg {
		c.alu(aluXor, 4, t.reg, R(t.reg))
	}
	x := slowPath{check: check{jcc: slow[0]}, d: d, resume: c.pos(), extra: slowBulk}
	copy(x.more[:], slow[1:])
	c.slow = append(c.slow, x)
	return true
}

// bulkCheck checks that RCX elements from base on lie in a page that may be accessed directly; the addend goes to t, u is scratch. It
// returns the jump that is taken if not.
func (c *compiler) bulkCheck(base Reg, m ir.MemOp, write bool, t, u Reg) int {
	c.mov(8, t, base)
	c.lea(8, u, MX(base, RCX, uint8(bits.TrailingZeros8(m.Size)), -1))
	jcc := c.tlbCompare(m.MMU, write, t, u, 0)
	c.load(8, t, M(t, tlbAddend))
	return jcc
}

// shortString is the largest number of elements with which a loop is done before the host's instruction gets going.
const shortString = 16

// stringOp emits what REP MOVS or REP STOS does; u is scratch.
func (c *compiler) stringOp(kind, size uint8, u Reg) {
	c.aluImm(aluCmp, 8, R(RCX), shortString)
	long := c.jccFwd(byte(ir.CondA))
	c.aluImm(aluCmp, 8, R(RCX), 0)
	none := c.jccFwd(byte(ir.CondE))
	loop, value := c.pos(), RAX
	if kind == ir.BulkCopy {
		value = u
		c.load(size, u, M(RSI, 0))
		c.aluImm(aluAdd, 8, R(RSI), int32(size))
	}
	c.store(size, M(RDI, 0), value)
	c.aluImm(aluAdd, 8, R(RDI), int32(size))
	c.aluImm(aluSub, 8, R(RCX), 1)
	c.bindTo(c.jccFwd(byte(ir.CondNE)), loop)
	done := c.jmpFwd()
	c.bind(long)
	c.repString(kind, size)
	c.bind(done)
	c.bind(none)
}

// repString emits REP MOVS or REP STOS.
func (c *compiler) repString(kind, size uint8) {
	code := byte(opMovs)
	if kind == ir.BulkFill {
		code = opStos
	}
	c.b1(prefixRep)
	switch size {
	case 1:
		code--
	case 2:
		c.buf = c.buf[:len(c.buf)-1]
		c.buf = append(c.buf, 0x66, prefixRep)
	case 8:
		c.b1(0x48)
	}
	c.b1(code)
}
