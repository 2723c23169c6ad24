package amd64

import "goemu/tcg/ir"

// ldV is OpLdV.
func (c *compiler) ldV(in *ir.Inst) {
	a := c.addr(in)
	h, u := c.temp(), c.temp()
	c.clobber()
	s := slowPath{d: c.slowAccess(leaveLoadV, a, NoReg), mem: in.Mem, extra: slowLoadV, in: in}
	c.access(a, in.Mem, false, h, u, s, transfer{kind: transferLoadV, in: in})
}

// vecFrom loads the operand of OpLdV from host memory.
func (c *compiler) vecFrom(in *ir.Inst, o Operand) {
	n := in.Mem.Size
	if in.VD >= ir.VF0 { // MMX
		c.rm(opMovq, 4, xTemp1, o)
		c.rm(opMovqSt, 4, xTemp1, c.vmem(in.VD))
		return
	}
	merge := in.Attr&ir.AttrMerge != 0
	d := dstReg(in.VD, xTemp0)
	wide := !merge && c.e.feats[hfAVX]
	partial := merge && in.Size < 16 // keeps part of the low 16 bytes
	if partial && d == xTemp0 {
		c.vload(d, c.vmem(in.VD), false)
	}
	switch {
	case partial && in.Size == 8 && n == 8:
		c.rm(opMovlps, 4, d, o)
	case partial: // 4 bytes into the low element
		c.rm(opMovss, 4, xTemp1, o)
		c.rm(opMovss, 4, d, R(xTemp1))
	case wide:
		c.vexLoad(d, o, n)
	case n == 32: // without AVX the upper half lives in the environment
		c.rm(opMovups, 4, d, o)
		o.Disp += 16
		c.rm(opMovups, 4, xTemp1, o)
		c.rm(storeForm(opMovups), 4, xTemp1, c.upper(in.VD))
	default:
		c.rm(loadOp(n), 4, d, o)
	}
	if !merge && !wide && n != 32 {
		c.clearUpper(in.VD)
	}
	c.done(in.VD, d, wide)
}

// upper is the place of bytes 16…31 of a register in the environment.
func (c *compiler) upper(v ir.VReg) Operand {
	m := c.vmem(v)
	m.Disp += 16
	return m
}

// clearUpper clears bytes 16…31 in the environment, where they live on hosts without AVX.
func (c *compiler) clearUpper(v ir.VReg) {
	m := c.upper(v)
	c.storeImm(8, m, 0)
	m.Disp += 8
	c.storeImm(8, m, 0)
}

// loadOp loads n bytes zero-extended to 16.
func loadOp(n uint8) op {
	switch n {
	case 4:
		return opMovss
	case 8:
		return opMovq
	}
	return opMovups
}

// vexLoad loads n bytes zero-extended to 32.
func (c *compiler) vexLoad(d Reg, o Operand, n uint8) {
	e := loadOp(n)
	c.vex(e.pfx, e.mp, false, n == 32, e.code, d, NoReg, o)
}

// stV is OpStV.
func (c *compiler) stV(in *ir.Inst) {
	a := c.addr(in)
	h, u := c.temp(), c.temp()
	c.clobber()
	s := slowPath{d: c.slowAccess(leaveStoreV, a, NoReg), mem: in.Mem, extra: slowStoreV, in: in}
	c.access(a, in.Mem, true, h, u, s, transfer{kind: transferStoreV, in: in})
}

// vecTo stores the operand of OpStV to host memory.
func (c *compiler) vecTo(in *ir.Inst, o Operand) {
	n := in.Mem.Size
	wide := n == 32 && c.e.feats[hfAVX]
	var s Reg
	if in.VA >= ir.VF0 {
		s = xTemp1
		c.rm(opMovq, 4, s, c.vmem(in.VA))
	} else {
		s = c.vfetch(in.VA, xTemp1, wide)
	}
	switch {
	case n == 4:
		c.rm(storeForm(opMovss), 4, s, o)
	case n == 8:
		c.rm(opMovqSt, 4, s, o)
	case wide:
		c.vstore(o, s, true)
	default:
		c.vstore(o, s, false)
	}
	if n == 32 && !wide {
		o.Disp += 16
		c.rm(opMovups, 4, xTemp1, c.upper(in.VA))
		c.vstore(o, xTemp1, false)
	}
}
