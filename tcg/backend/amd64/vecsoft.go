package amd64

import "goemu/tcg/ir"

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
