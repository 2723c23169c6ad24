package amd64

import "goemu/tcg/ir"

// get is OpGet: the temporary equals the global, nothing is emitted.
func (c *compiler) get(in *ir.Inst) { c.addAlias(in.Dst, in.Global) }

// set is OpSet.
func (c *compiler) set(in *ir.Inst) {
	g, v := in.Global, in.A
	s := &c.v[v]
	if s.alias == uint8(g)+1 {
		return
	}
	c.evictGlobal(g)
	if p := c.e.pin[g]; p != NoReg {
		c.loadInto(p, v, 8)
	} else {
		c.storeVal(c.e.globalMem(g), v)
	}
	if s.con || s.alias != 0 {
		return
	}
	c.addAlias(v, g)
	if c.e.pin[g] != NoReg && s.reg != NoReg {
		c.reg[s.reg] = ir.None
		s.reg = NoReg
	}
}

// ldEnv and stEnv access fields of the environment.
func (c *compiler) ldEnv(in *ir.Inst) {
	t := c.dest(c.plan(in.Dst), ir.None)
	m := envMem(uint32(in.Imm))
	if in.Mem.Signed {
		c.loadSigned(in.Size, t.reg, m)
	} else {
		c.load(in.Size, t.reg, m)
	}
	c.define(in.Dst, t)
}

func (c *compiler) stEnv(in *ir.Inst) {
	m := envMem(uint32(in.Imm))
	if n, ok := c.imm(in.A, in.Size); ok {
		c.storeImm(in.Size, m, n)
		return
	}
	c.store(in.Size, m, c.use(in.A))
}

// ext is Ext and Sext.
func (c *compiler) ext(in *ir.Inst) {
	if !c.alive(in.Dst) {
		return
	}
	t := c.plan(in.Dst)
	o := c.operand(in.A)
	t = c.dest(t, in.A)
	c.extend(t.reg, o, in.Size, in.Op == ir.OpSext)
	c.define(in.Dst, t)
}

// extend emits d = the low size bytes of o, extended to 64 bits.
func (c *compiler) extend(d Reg, o Operand, size uint8, signed bool) {
	switch {
	case size == 1 && signed:
		c.rmByte(opMovsx8, 8, d, o)
	case size == 1:
		c.rmByte(opMovzx8, 4, d, o)
	case size == 2 && signed:
		c.rm(opMovsx16, 8, d, o)
	case size == 2:
		c.rm(opMovzx16, 4, d, o)
	case size == 4 && signed:
		c.rm(opMovsxd, 8, d, o)
	default:
		c.rm(opMovLoad, size, d, o)
	}
}

// extract is OpExtract.
func (c *compiler) extract(in *ir.Inst) {
	pos, n := uint8(in.Imm), uint8(in.Imm>>8)
	t := c.plan(in.Dst)
	o := c.operand(in.A)
	t = c.dest(t, in.A)
	d := t.reg
	switch {
	case pos == 0 && (n == 8 || n == 16 || n == 32 || n >= 64):
		c.extend(d, o, min(n, 64)/8, false)
	case n == 8 || n == 16 || n == 32:
		c.rorx(8, d, o, pos)
		c.extend(d, R(d), n/8, false)
	default:
		c.clobber()
		if pos+n < 64 {
			c.movOp(d, o)
			c.shiftImm(shShl, 8, R(d), 64-pos-n)
			c.shiftImm(shShr, 8, R(d), 64-n)
		} else {
			c.movOp(d, o)
			if pos != 0 {
				c.shiftImm(shShr, 8, R(d), pos)
			}
		}
	}
	c.define(in.Dst, t)
}

// movOp loads 64 bits of an operand.
func (c *compiler) movOp(d Reg, o Operand) {
	if o.Reg != d {
		c.rm(opMovLoad, 8, d, o)
	}
}

// deposit is OpDeposit.
func (c *compiler) deposit(in *ir.Inst) {
	pos, n := uint8(in.Imm), uint8(in.Imm>>8)
	t := c.plan(in.Dst)
	switch {
	case n >= 64:
		o := c.operand(in.B)
		t = c.dest(t, ir.None)
		c.movOp(t.reg, o)
	case pos == 0 && (n == 8 || n == 16):
		c.depositLow(in, &t, n/8)
	case pos == 8 && n == 8:
		c.depositHigh(in, &t)
	default:
		c.depositAny(in, &t, pos, n)
	}
	c.define(in.Dst, t)
}

// depositLow merges the low byte or word.
func (c *compiler) depositLow(in *ir.Inst, t *target, size uint8) {
	b := c.use(in.B)
	o := c.operand(in.A)
	*t = c.dest(*t, in.A)
	d := t.reg
	if d == b && o.Reg != d {
		b = c.temp()
		c.mov(8, b, d)
	}
	c.movOp(d, o)
	if d != b {
		c.rm(opMovLoad, size, d, R(b))
	}
}

// depositHigh merges the second byte by rotations, which leave EFLAGS alone.
func (c *compiler) depositHigh(in *ir.Inst, t *target) {
	b := c.use(in.B)
	o := c.operand(in.A)
	u := c.temp()
	c.rorx(8, u, o, 8)
	c.rm(opMovLoad, 1, u, R(b))
	*t = c.dest(*t, ir.None)
	c.rorx(8, t.reg, R(u), 56)
}

// depositAny merges any other field.
func (c *compiler) depositAny(in *ir.Inst, t *target, pos, n uint8) {
	mask := (uint64(1)<<n - 1) << pos
	b := c.operand(in.B)
	o := c.operand(in.A)
	u, w := c.temp(), c.temp()
	c.clobber()
	c.movOp(u, b)
	if pos != 0 {
		c.shiftImm(shShl, 8, R(u), pos)
	}
	c.movImm(w, mask)
	c.alu(aluAnd, 8, u, R(w))
	c.digit(opGrp3, 8, g3Not, R(w))
	c.alu(aluAnd, 8, w, o)
	c.alu(aluOr, 8, u, R(w))
	if t.pinned {
		c.mov(8, t.reg, u)
	} else {
		t.reg = u
	}
}

// leaOp is OpLea.
func (c *compiler) leaOp(in *ir.Inst) {
	t := c.plan(in.Dst)
	size := uint8(4)
	if in.Size == 8 {
		size = 8
	}
	disp := int64(in.Imm)
	if in.Size <= 4 {
		disp = int64(int32(in.Imm))
	}
	m := Operand{Reg: NoReg, Base: NoReg, Index: NoReg}
	if n, ok := c.imm(in.A, in.Size); ok && in.B != ir.None && disp+int64(n) == int64(int32(disp+int64(n))) {
		disp += int64(n)
	} else {
		m.Base = c.use(in.A)
	}
	if in.B != ir.None {
		m.Index, m.Scale = c.use(in.B), in.Imm2
	}
	if disp == int64(int32(disp)) {
		m.Disp = int32(disp)
		t = c.dest(t, in.A)
		c.lea(size, t.reg, m)
	} else {
		u := c.temp()
		c.movImm(u, uint64(disp))
		c.lea(8, u, MX(u, m.Base, 0, 0))
		if m.Index != NoReg {
			c.lea(8, u, MX(u, m.Index, m.Scale, 0))
		}
		t = c.dest(t, ir.None)
		c.mov(8, t.reg, u)
	}
	c.define(in.Dst, t)
}

// setCond is OpSetCond.
func (c *compiler) setCond(in *ir.Inst) {
	t := c.plan(in.Dst)
	cc := c.condition(in.Cond, in.FIn)
	t = c.dest(t, ir.None)
	c.setcc(cc, R(t.reg))
	c.rmByte(opMovzx8, 4, t.reg, R(t.reg))
	c.define(in.Dst, t)
}

// selectOp is Select and SelectZ.
func (c *compiler) selectOp(in *ir.Inst) {
	t := c.plan(in.Dst)
	size := uint8(4)
	if in.Size == 8 || in.Op == ir.OpSelectZ {
		size = 8
	}
	oa, ob := c.operand(in.A), c.operand(in.B)
	var cc byte
	if in.Op == ir.OpSelectZ {
		r := c.use(in.C)
		c.clobber()
		c.rm(opTest, in.Size, r, R(r))
		cc = byte(ir.CondE)
	} else {
		cc = c.condition(in.Cond, in.FIn)
	}
	t = c.dest(t, ir.None)
	if t.reg == oa.Reg { // only a pinned register can coincide
		c.cmov(cc^1, size, t.reg, ob)
		if size == 4 {
			c.mov(4, t.reg, t.reg)
		}
	} else {
		if ob.Reg != t.reg || size == 4 {
			c.rm(opMovLoad, size, t.reg, ob)
		}
		c.cmov(cc, size, t.reg, oa)
	}
	c.define(in.Dst, t)
}
