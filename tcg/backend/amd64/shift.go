package amd64

import "goemu/tcg/ir"

// shiftOps maps operations to the digit of the host's shift group.
var shiftOps = [ir.OpEnd]Reg{
	ir.OpShl: shShl, ir.OpShr: shShr, ir.OpSar: shSar, ir.OpRol: shRol, ir.OpRor: shRor, ir.OpRcl: shRcl, ir.OpRcr: shRcr,
}

// shift is Shl, Shr, Sar, Rol, Ror, Rcl, Rcr.
func (c *compiler) shift(in *ir.Inst) {
	flags := c.needsFlags(in.FOut)
	if !flags && !c.alive(in.Dst) {
		return
	}
	carry := in.Op == ir.OpRcl || in.Op == ir.OpRcr
	size := in.Size // the value of narrow right shifts and rotations depends on the width
	if in.Op == ir.OpShl && !flags {
		size = max(size, 4)
	}
	if n := &c.v[in.B]; n.con {
		c.shiftConst(in, size, uint8(n.value)&countMask(in.Size), flags, carry)
		return
	}
	if !flags && !carry && size >= 4 && in.Op != ir.OpRol && in.Op != ir.OpRor {
		c.shiftX(in)
		return
	}
	t := c.plan(in.Dst)
	c.carryIn(in, flags, carry) // while RCX is still the guest's: pending flags may be made from it
	d, back := c.countToCL(in.B, in.A)
	c.digit(opShiftCL, size, shiftOps[in.Op], R(d))
	c.afterShift(in, &t, d, back, size)
}

// countMask is what the host applies to a shift count.
func countMask(size uint8) uint8 {
	if size == 8 {
		return 63
	}
	return 31
}

// carryIn brings the flags that a shift needs into EFLAGS: all of FIn if the result's flags depend on them, else the carry.
func (c *compiler) carryIn(in *ir.Inst, flags, carry bool) {
	switch {
	case in.FIn != ir.None && flags:
		c.ensure(in.FIn, ir.FlagAll)
	case in.FIn != ir.None && carry:
		c.ensure(in.FIn, ir.FlagC)
	}
	c.clobber()
}

func (c *compiler) shiftConst(in *ir.Inst, size, n uint8, flags, carry bool) {
	t := c.plan(in.Dst)
	sa := c.src(in.A, size)
	t = c.dest(t, in.A)
	c.movSrc(t.reg, sa, size)
	switch {
	case n == 0:
		if size == 4 && !sa.isImm && sa.op.Reg == t.reg {
			c.mov(4, t.reg, t.reg)
		}
		if flags {
			c.ensure(in.FIn, ir.FlagAll)
			c.clobber()
			c.defined(in.FOut)
		}
	case !flags && !carry && size >= 4 && (in.Op == ir.OpRol || in.Op == ir.OpRor):
		k := n
		if in.Op == ir.OpRol {
			k = size*8 - n
		}
		c.rorx(size, t.reg, R(t.reg), k&(size*8-1))
	default:
		c.carryIn(in, flags, carry)
		c.shiftImm(shiftOps[in.Op], size, R(t.reg), n)
		c.defined(in.FOut)
	}
	c.define(in.Dst, t)
}

// shiftxPrefix maps operations to the prefix of SHLX, SHRX, SARX.
var shiftxPrefix = [ir.OpEnd]byte{
	ir.OpShl: 0x66, ir.OpShlx: 0x66, ir.OpShr: 0xf2, ir.OpShrx: 0xf2, ir.OpSar: 0xf3, ir.OpSarx: 0xf3,
}

// shiftX is a shift without flags, by a variable count or where EFLAGS must stay.
func (c *compiler) shiftX(in *ir.Inst) {
	if n := &c.v[in.B]; n.con && c.flagsFree() && (in.Size >= 4 || shiftxPrefix[in.Op] == 0x66) {
		c.shiftXConst(in, uint8(n.value)&countMask(in.Size))
		return
	}
	t := c.plan(in.Dst)
	n := c.use(in.B)
	o := c.operand(in.A)
	size := max(in.Size, 4)
	if in.Size < 4 && shiftxPrefix[in.Op] != 0x66 {
		u := c.temp()
		c.extend(u, o, in.Size, shiftxPrefix[in.Op] == 0xf3)
		o = R(u)
	}
	t = c.dest(t, in.A)
	c.vex(shiftxPrefix[in.Op], map0F38, size == 8, false, 0xf7, t.reg, n, o)
	c.define(in.Dst, t)
}

// shiftXConst is shiftX by a constant where nobody needs EFLAGS.
func (c *compiler) shiftXConst(in *ir.Inst, n uint8) {
	size := max(in.Size, 4)
	t := c.plan(in.Dst)
	a := c.src(in.A, size)
	t = c.dest(t, in.A)
	c.clobber()
	c.movSrc(t.reg, a, size)
	switch {
	case n != 0:
		c.shiftImm(shiftxDigit[shiftxPrefix[in.Op]], size, R(t.reg), n)
	case size == 4:
		c.mov(4, t.reg, t.reg)
	}
	c.define(in.Dst, t)
}

// shiftxDigit maps prefixes of SHLX, SHRX, SARX to the plain shifts.
var shiftxDigit = [256]Reg{0x66: shShl, 0xf2: shShr, 0xf3: shSar}

// rorxOp is OpRorx.
func (c *compiler) rorxOp(in *ir.Inst) {
	if n := &c.v[in.B]; n.con {
		t := c.plan(in.Dst)
		o := c.operand(in.A)
		t = c.dest(t, in.A)
		c.rorx(in.Size, t.reg, o, uint8(n.value)&countMask(in.Size))
		c.define(in.Dst, t)
		return
	}
	t := c.plan(in.Dst)
	d, back := c.countToCL(in.B, in.A)
	c.clobber()
	c.digit(opShiftCL, in.Size, shRor, R(d))
	c.afterShift(in, &t, d, back, in.Size)
}

// countToCL brings a count into CL and the value to be shifted into a register d other than RCX. back tells that RCX's own content is
// saved in Header and must be put back.
func (c *compiler) countToCL(count, a ir.Val) (d Reg, back bool) {
	oa := c.src(a, 8)
	oc := c.operand(count)
	d = c.temp()
	c.movSrc(d, oa, 8)
	if oc.Reg == RCX {
		return d, false
	}
	c.store(8, spillMem(saveRCX), RCX)
	c.rm(opMovLoad, 4, RCX, oc)
	return d, true
}

// afterShift puts RCX back, notes flags and the result in d.
func (c *compiler) afterShift(in *ir.Inst, t *target, d Reg, back bool, size uint8) {
	if back {
		c.load(8, RCX, spillMem(saveRCX))
	}
	c.defined(in.FOut)
	if size == 4 {
		c.mov(4, d, d) // a zero count does not zero-extend
	}
	if t.pinned {
		c.mov(8, t.reg, d)
	} else {
		t.reg = d
	}
	c.define(in.Dst, *t)
}

// doubleShift is Shld and Shrd.
func (c *compiler) doubleShift(in *ir.Inst) {
	flags := c.needsFlags(in.FOut)
	if !flags && !c.alive(in.Dst) {
		return
	}
	e := opShld
	if in.Op == ir.OpShrd {
		e = opShrd
	}
	t := c.plan(in.Dst)
	if n := &c.v[in.C]; n.con {
		b := c.use(in.B)
		oa := c.src(in.A, 8)
		d := c.temp()
		c.movSrc(d, oa, 8)
		c.carryIn(in, flags, false)
		e.code--
		c.rm(e, in.Size, b, R(d))
		c.b1(uint8(n.value) & countMask(in.Size))
		c.afterShift(in, &t, d, false, in.Size)
		return
	}
	c.carryIn(in, flags, false)
	b := c.use(in.B)
	if b == RCX {
		b = c.temp()
		c.mov(8, b, RCX)
	}
	d, back := c.countToCL(in.C, in.A)
	c.rm(e, in.Size, b, R(d))
	c.afterShift(in, &t, d, back, in.Size)
}
