package amd64

import "goemu/tcg/ir"

const prefixLock = 0xf0

func (c *compiler) lock(in *ir.Inst) {
	if in.Attr&ir.AttrNoLock == 0 {
		c.b1(prefixLock)
	}
}

// atomicALU maps the atomic operations that have a memory form without a result.
var atomicALU = [...]byte{ir.AtomicAdd: aluAdd, ir.AtomicAnd: aluAnd, ir.AtomicOr: aluOr, ir.AtomicXor: aluXor}

// atomic is OpAtomic.
func (c *compiler) atomic(in *ir.Inst) {
	k := ir.AtomicKind(in.Imm2)
	size := in.Mem.Size
	c.toMem(in.B)
	a := c.addr(in)
	h, u := c.temp(), c.temp()
	w := c.temp() // the operand
	c.clobber()
	c.loadInto(w, in.B, 8)
	_, chk := c.tlb(a, in.Mem, true, h, u)
	s := slowPath{check: chk, d: c.slowAccess(leaveAtomic, a, u), mem: in.Mem, kind: in.Imm2}
	s.args[0] = argLoc{used: true, op: R(w)}
	m := MX(h, a.base, 0, a.disp)
	switch {
	case k == ir.AtomicXchg:
		c.mov(8, u, w)
		c.rm(opXchg, size, u, m)
	case !c.alive(in.Dst):
		c.lock(in)
		c.aluStore(atomicALU[k], size, m, w)
	case k == ir.AtomicAdd:
		c.mov(8, u, w)
		c.lock(in)
		c.rm(opXadd, size, u, m)
	default:
		c.lea(8, h, m)
		c.store(8, spillMem(saveRAX), RAX)
		c.load(size, RAX, M(h, 0))
		again := c.pos()
		c.mov(8, u, RAX)
		c.alu(atomicALU[k], max(size, 4), u, R(w))
		c.lock(in)
		c.rm(opCmpxchg, size, u, M(h, 0))
		back := c.jccFwd(byte(ir.CondNE))
		c.bindTo(back, again)
		c.mov(8, u, RAX)
		c.load(8, RAX, spillMem(saveRAX))
	}
	c.fitLoad(u, in.Mem)
	s.resume = c.pos()
	c.slow = append(c.slow, s)
	c.define(in.Dst, target{reg: u})
}

// fitLoad extends a register as a load would.
func (c *compiler) fitLoad(r Reg, m ir.MemOp) {
	if m.Size < 8 && (m.Size < 4 || m.Signed) {
		c.extend(r, R(r), m.Size, m.Signed)
	}
}

// cmpXchg is OpCmpXchg. RAX is the host's comparand.
func (c *compiler) cmpXchg(in *ir.Inst) {
	c.toMem(in.B)
	c.toMem(in.C)
	a := c.addr(in)
	h, u, w := c.temp(), c.temp(), c.temp()
	c.clobber()
	c.loadInto(w, in.C, 8)
	c.loadInto(u, in.B, 8)
	c.store(8, envMem(offArgs), u) // the slow path finds both there
	_, chk := c.tlb(a, in.Mem, true, h, u)
	s := slowPath{check: chk, d: c.slowAccess(leaveCmpXchg, a, u), mem: in.Mem}
	s.args[1] = argLoc{used: true, op: R(w)}
	c.lea(8, h, MX(h, a.base, 0, a.disp))
	c.mov(8, u, RAX)
	c.load(8, RAX, envMem(offArgs))
	c.lock(in)
	c.rm(opCmpxchg, in.Mem.Size, w, M(h, 0))
	c.rm(opXchg, 8, RAX, R(u))
	if in.Mem.Size == 4 {
		c.mov(4, u, u) // a match leaves the upper half of RAX
	}
	c.fitLoad(u, in.Mem)
	s.resume = c.pos()
	c.slow = append(c.slow, s)
	c.define(in.Dst, target{reg: u})
}

// fence is OpFence.
func (c *compiler) fence(*ir.Inst) { c.buf = append(c.buf, 0x0f, 0xae, 0xf0) }
