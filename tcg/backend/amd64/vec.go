package amd64

import "goemu/tcg/ir"

// enterVec is emitted at a block's entry, leaveVec in the leave stub. The vector state lives in the environment here.
func (c *compiler) enterVec(*ir.Block) {}
func (c *compiler) leaveVec()          {}

// ldV is OpLdV: loads of up to 8 bytes go through a scratch register and the inline check, larger ones through an XMM register.
func (c *compiler) ldV(in *ir.Inst) {
	off := c.e.opt.Vec.Offset(in.VD)
	a := c.addr(in)
	h, u := c.temp(), c.temp()
	c.clobber()
	o, jcc := c.tlb(a, in.Mem, false, h, u)
	post := func(*compiler) {}
	_ = post
	c.copyVec(envMem(off), o, in.Mem.Size, u)
	resume := c.pos()
	c.slow = append(c.slow, slowPath{jcc: jcc, d: c.slowAccess(leaveLoadV, a, NoReg), mem: in.Mem, resume: resume,
		post: func(c *compiler) { c.copyVec(envMem(off), envMem(offVec), in.Mem.Size, u) }})
	size := in.Size
	for k := uint32(in.Mem.Size); k < uint32(size); k += 8 { // zero-extension
		c.storeImm(min(8, size-uint8(k)), envMem(off+k), 0)
	}
	if in.Attr&ir.AttrMerge == 0 && in.VD < ir.VF0 {
		for k := uint32(max(size, 8)); k < 32; k += 8 {
			c.storeImm(8, envMem(off+k), 0)
		}
		if size == 4 {
			c.storeImm(4, envMem(off+4), 0)
		}
	}
}

// stV is OpStV.
func (c *compiler) stV(in *ir.Inst) {
	off := c.e.opt.Vec.Offset(in.VA)
	a := c.addr(in)
	h, u := c.temp(), c.temp()
	c.clobber()
	o, jcc := c.tlb(a, in.Mem, true, h, u)
	c.copyVec(o, envMem(off), in.Mem.Size, u)
	c.slow = append(c.slow, slowPath{jcc: jcc, d: c.slowAccess(leaveStoreV, a, NoReg), mem: in.Mem, resume: c.pos(),
		pre: func(c *compiler) { c.copyVec(envMem(offVec), envMem(off), in.Mem.Size, u) }})
}

// copyVec copies 4 to 32 bytes; u is a scratch register, XMM0 is clobbered.
func (c *compiler) copyVec(dst, src Operand, size uint8, u Reg) {
	for n := uint8(0); n < size; {
		k := min(size-n, 16)
		if k == 16 {
			c.rm(op{0, map0F, 0x10, false}, 4, 0, src)
			c.rm(op{0, map0F, 0x11, false}, 4, 0, dst)
		} else {
			k = min(k, 8)
			c.load(k, u, src)
			c.store(k, dst, u)
		}
		n += k
		src.Disp += int32(k)
		dst.Disp += int32(k)
	}
}

// vec and x87 run in software.
func (c *compiler) vec(in *ir.Inst) { c.soft(in) }
func (c *compiler) x87(in *ir.Inst) { c.soft(in) }

// soft leaves to have an instruction executed by Options.Soft on the environment.
func (c *compiler) soft(in *ir.Inst) {
	if c.e.opt.Soft == nil {
		c.bug(errNoSoft)
		return
	}
	c.clobberFrom(c.i)
	for k, v := range [...]ir.Val{in.A, in.B, in.C} {
		if v != ir.None {
			c.storeVal(envMem(offArgs+uint32(k)*8), v)
		}
	}
	if in.FIn != ir.None {
		c.ensure(in.FIn, ir.FlagAll)
		c.pushfq()
		c.pop(envMem(offArgs + 24))
	}
	c.clobber()
	c.locked = 0
	t, t2 := c.dest(target{reg: NoReg}, ir.None), c.dest(target{reg: NoReg}, ir.None)
	c.leave(desc{kind: leaveSoft, reg: t.reg, reg2: t2.reg, n: c.e.keep(in), pc: c.insnPC})
	if c.needsFlags(in.FOut) {
		c.loadImage(envMem(offRet))
		c.defined(in.FOut)
	}
	c.define(in.Dst, t)
	c.define(in.Dst2, t2)
}
