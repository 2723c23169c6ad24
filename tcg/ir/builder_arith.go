package ir

// Op2 is a two-operand operation without flags; y may be None for one-operand operations.
func (b *Builder) Op2(op Op, size uint8, x, y Val) Val {
	if v, ok := b.fold2(op, size, x, y); ok {
		return v
	}
	v := b.NewVal(resultBytes(size))
	in := b.Emit(op, size)
	in.Dst, in.A, in.B = v, x, y
	return v
}

// fold2 folds constants and neutral elements.
func (b *Builder) fold2(op Op, size uint8, x, y Val) (Val, bool) {
	xi, yi := &b.blk.Vals[x], &b.blk.Vals[y]
	if xi.IsConst && (y == None || yi.IsConst) {
		if r, ok := Fold(op, size, xi.Const, yi.Const); ok {
			return b.Const(r), true
		}
		return None, false
	}
	if !yi.IsConst || yi.Const != 0 {
		return None, false
	}
	switch op { // x op 0
	case OpAdd, OpSub, OpOr, OpXor, OpShl, OpShr, OpSar, OpShlx, OpShrx, OpSarx, OpRorx:
		if size != 4 {
			return x, true
		}
		return b.Ext(4, x), true
	}
	return None, false
}

// Op2F is a two-operand operation with flags; fin may be None where the operation allows it.
func (b *Builder) Op2F(op Op, size uint8, x, y, fin Val) (v, f Val) {
	zext := resultBytes(size)
	if op == OpBsf || op == OpBsr { // y passes through unextended
		zext = 8
	}
	v, f = b.NewVal(zext), b.NewFlags()
	in := b.Emit(op, size)
	in.Dst, in.A, in.B, in.FIn, in.FOut = v, x, y, fin, f
	return v, f
}

// Op3F is a three-operand operation (OpShld, OpShrd) with flags.
func (b *Builder) Op3F(op Op, size uint8, x, y, z, fin Val) (v, f Val) {
	v, f = b.NewVal(resultBytes(size)), b.NewFlags()
	in := b.Emit(op, size)
	in.Dst, in.A, in.B, in.C, in.FIn, in.FOut = v, x, y, z, fin, f
	return v, f
}

// FlagsOf is an operation of which only the flags are wanted (OpSub: compare, OpAnd: test, OpBt).
func (b *Builder) FlagsOf(op Op, size uint8, x, y, fin Val) Val {
	f := b.NewFlags()
	in := b.Emit(op, size)
	in.A, in.B, in.FIn, in.FOut = x, y, fin, f
	return f
}

// Add is x + y.
func (b *Builder) Add(size uint8, x, y Val) Val { return b.Op2(OpAdd, size, x, y) }

// Sub is x - y.
func (b *Builder) Sub(size uint8, x, y Val) Val { return b.Op2(OpSub, size, x, y) }

// And is x & y.
func (b *Builder) And(size uint8, x, y Val) Val { return b.Op2(OpAnd, size, x, y) }

// Or is x | y.
func (b *Builder) Or(size uint8, x, y Val) Val { return b.Op2(OpOr, size, x, y) }

// Xor is x ^ y.
func (b *Builder) Xor(size uint8, x, y Val) Val { return b.Op2(OpXor, size, x, y) }

// AndN is ^x & y.
func (b *Builder) AndN(size uint8, x, y Val) Val { return b.Op2(OpAndN, size, x, y) }

// Not is ^x.
func (b *Builder) Not(size uint8, x Val) Val { return b.Op2(OpNot, size, x, None) }

// Neg is -x.
func (b *Builder) Neg(size uint8, x Val) Val { return b.Op2(OpNeg, size, x, None) }

// Shl is x << y without flags (the count is masked as on x86).
func (b *Builder) Shl(size uint8, x, y Val) Val { return b.Op2(OpShlx, size, x, y) }

// Shr is x >> y without flags.
func (b *Builder) Shr(size uint8, x, y Val) Val { return b.Op2(OpShrx, size, x, y) }

// Sar is the arithmetic x >> y without flags.
func (b *Builder) Sar(size uint8, x, y Val) Val { return b.Op2(OpSarx, size, x, y) }

// AddF is x + y with flags.
func (b *Builder) AddF(size uint8, x, y Val) (v, f Val) { return b.Op2F(OpAdd, size, x, y, None) }

// SubF is x - y with flags.
func (b *Builder) SubF(size uint8, x, y Val) (v, f Val) { return b.Op2F(OpSub, size, x, y, None) }

// AndF is x & y with flags.
func (b *Builder) AndF(size uint8, x, y Val) (v, f Val) { return b.Op2F(OpAnd, size, x, y, None) }

// OrF is x | y with flags.
func (b *Builder) OrF(size uint8, x, y Val) (v, f Val) { return b.Op2F(OpOr, size, x, y, None) }

// XorF is x ^ y with flags.
func (b *Builder) XorF(size uint8, x, y Val) (v, f Val) { return b.Op2F(OpXor, size, x, y, None) }

// NegF is -x with flags.
func (b *Builder) NegF(size uint8, x Val) (v, f Val) { return b.Op2F(OpNeg, size, x, None, None) }

// CmpF is the flags of x - y.
func (b *Builder) CmpF(size uint8, x, y Val) Val { return b.FlagsOf(OpSub, size, x, y, None) }

// TestF is the flags of x & y.
func (b *Builder) TestF(size uint8, x, y Val) Val { return b.FlagsOf(OpAnd, size, x, y, None) }

// AdcF is x + y + carry(fin) with flags.
func (b *Builder) AdcF(size uint8, x, y, fin Val) (v, f Val) {
	return b.Op2F(OpAdc, size, x, y, fin)
}

// SbbF is x - y - carry(fin) with flags.
func (b *Builder) SbbF(size uint8, x, y, fin Val) (v, f Val) {
	return b.Op2F(OpSbb, size, x, y, fin)
}

// IncF is x + 1 with flags; the carry is that of fin.
func (b *Builder) IncF(size uint8, x, fin Val) (v, f Val) { return b.Op2F(OpInc, size, x, None, fin) }

// DecF is x - 1 with flags; the carry is that of fin.
func (b *Builder) DecF(size uint8, x, fin Val) (v, f Val) { return b.Op2F(OpDec, size, x, None, fin) }

// ShiftF is OpShl, OpShr, OpSar, OpRol, OpRor, OpRcl or OpRcr with flags.
func (b *Builder) ShiftF(op Op, size uint8, x, count, fin Val) (v, f Val) {
	if op == OpShl || op == OpShr || op == OpSar {
		if c := b.blk.Vals[count]; c.IsConst && c.Const&CountMask(size) != 0 {
			fin = None
		}
	}
	return b.Op2F(op, size, x, count, fin)
}

// Mul is OpMulU or OpMulS: low and high half of the product and the flags.
func (b *Builder) Mul(op Op, size uint8, x, y Val) (lo, hi, f Val) {
	lo, hi, f = b.NewVal(resultBytes(size)), b.NewVal(resultBytes(size)), b.NewFlags()
	in := b.Emit(op, size)
	in.Dst, in.Dst2, in.FOut, in.A, in.B = lo, hi, f, x, y
	return lo, hi, f
}

// Div is OpDivU or OpDivS of hi:lo by d: quotient and remainder.
func (b *Builder) Div(op Op, size uint8, lo, hi, d Val) (quo, rem Val) {
	quo, rem = b.NewVal(resultBytes(size)), b.NewVal(resultBytes(size))
	in := b.Emit(op, size)
	in.Dst, in.Dst2, in.A, in.B, in.C = quo, rem, lo, hi, d
	return quo, rem
}

// Ext is x zero-extended from size bytes.
func (b *Builder) Ext(size uint8, x Val) Val {
	if size == 8 || b.zext[x] <= size {
		return x
	}
	if c, ok := b.IsConst(x); ok {
		return b.Const(c & SizeMask(size))
	}
	v := b.NewVal(size)
	in := b.Emit(OpExt, size)
	in.Dst, in.A = v, x
	return v
}

// Sext is x sign-extended from size bytes to 64 bits.
func (b *Builder) Sext(size uint8, x Val) Val {
	if size == 8 || b.zext[x] < size {
		return x
	}
	if c, ok := b.IsConst(x); ok {
		return b.Const(SignExtend(size, c))
	}
	v := b.NewVal(8)
	in := b.Emit(OpSext, size)
	in.Dst, in.A = v, x
	return v
}

// Extract is the zero-extended field of length bits of x at pos.
func (b *Builder) Extract(x Val, pos, length uint) Val {
	if c, ok := b.IsConst(x); ok {
		return b.Const(c >> pos & (1<<length - 1))
	}
	if pos == 0 && (length == 8 || length == 16 || length == 32) {
		return b.Ext(uint8(length/8), x)
	}
	v := b.NewVal(uint8(fieldBytes(length)))
	in := b.Emit(OpExtract, 8)
	in.Dst, in.A, in.Imm = v, x, uint64(pos|length<<8)
	return v
}

func fieldBytes(length uint) uint {
	switch {
	case length <= 8:
		return 1
	case length <= 16:
		return 2
	case length <= 32:
		return 4
	}
	return 8
}

// Deposit is x with the field of length bits at pos replaced by the low bits of y.
func (b *Builder) Deposit(x, y Val, pos, length uint) Val {
	m := uint64(1)<<length - 1
	if cx, ok := b.IsConst(x); ok {
		if cy, ok := b.IsConst(y); ok {
			return b.Const(cx&^(m<<pos) | cy&m<<pos)
		}
	}
	v := b.NewVal(8)
	in := b.Emit(OpDeposit, 8)
	in.Dst, in.A, in.B, in.Imm = v, x, y, uint64(pos|length<<8)
	return v
}

// Lea is base + index<<shift + disp; base or index may be None. Size 4 truncates and zero-extends the sum.
func (b *Builder) Lea(size uint8, base, index Val, shift uint8, disp int64) Val {
	if c, ok := b.IsConst(index); ok {
		disp += int64(c << shift)
		index = None
	}
	if c, ok := b.IsConst(base); ok {
		disp += int64(c)
		base = None
	}
	switch {
	case base == None && index == None:
		return b.Const(uint64(disp) & SizeMask(size))
	case base == None && shift == 0:
		base, index = index, None
	case base == None:
		base = b.Const(0)
	}
	if disp != int64(int32(disp)) { // the displacement of OpLea is that of an instruction
		base, disp = b.Add(8, base, b.Const(uint64(disp))), 0
	}
	if index == None && disp == 0 {
		return b.Ext(size, base)
	}
	v := b.NewVal(resultBytes(size))
	in := b.Emit(OpLea, size)
	in.Dst, in.A, in.B, in.Imm2, in.Imm = v, base, index, shift, uint64(disp)
	return v
}

// Ld loads from x + disp.
func (b *Builder) Ld(m MemOp, x Val, disp int64) Val { return b.load(OpLd, m, x, disp) }

// LdRMW loads from x + disp and faults as a store would; the store to the same address follows.
func (b *Builder) LdRMW(m MemOp, x Val, disp int64) Val { return b.load(OpLdRMW, m, x, disp) }

func (b *Builder) load(op Op, m MemOp, x Val, disp int64) Val {
	z := m.Size
	if m.Signed {
		z = 8
	}
	v := b.NewVal(z)
	b.mem(op, m, x, disp).Dst = v
	return v
}

// mem emits a memory instruction.
func (b *Builder) mem(op Op, m MemOp, x Val, disp int64) *Inst {
	in := b.Emit(op, m.Size)
	in.Mem, in.A, in.Imm = m, x, uint64(disp)
	return in
}

// St stores the low bytes of v to x + disp.
func (b *Builder) St(m MemOp, x Val, disp int64, v Val) { b.mem(OpSt, m, x, disp).B = v }

// Probe faults as a load or store of x + disp would.
func (b *Builder) Probe(m MemOp, x Val, disp int64, write bool) {
	in := b.mem(OpProbe, m, x, disp)
	if write {
		in.Imm2 = 1
	}
}

// Atomic changes memory at x + disp indivisibly and gives the old value. attr may be AttrNoLock.
func (b *Builder) Atomic(k AtomicKind, m MemOp, attr Attr, x Val, disp int64, v Val) Val {
	old := b.NewVal(m.Size)
	in := b.mem(OpAtomic, m, x, disp)
	in.Dst, in.B, in.Imm2, in.Attr = old, v, uint8(k), attr
	return old
}

// CmpXchg stores repl to x + disp if memory equals expected, indivisibly, and gives the old value.
func (b *Builder) CmpXchg(m MemOp, attr Attr, x Val, disp int64, expected, repl Val) Val {
	old := b.NewVal(m.Size)
	in := b.mem(OpCmpXchg, m, x, disp)
	in.Dst, in.B, in.C, in.Attr = old, expected, repl, attr
	return old
}

// Fence is a full memory barrier.
func (b *Builder) Fence() { b.Emit(OpFence, 0) }

// LdV loads m.Size bytes into a vector register, zero-extended to size bytes (size ≥ m.Size); attr may be AttrMerge.
func (b *Builder) LdV(m MemOp, size uint8, attr Attr, vd VReg, x Val, disp int64) {
	in := b.mem(OpLdV, m, x, disp)
	in.Size = size
	in.VD, in.Attr = vd, attr
	b.blk.UsesVec = true
}

// StV stores the low m.Size bytes of a vector register.
func (b *Builder) StV(m MemOp, va VReg, x Val, disp int64) {
	b.mem(OpStV, m, x, disp).VA = va
	b.blk.UsesVec = true
}

// Vec is the vector operation op on size bytes; the caller may fill in more of the instruction (Dst through NewVal, A, FOut through NewFlags).
func (b *Builder) Vec(op uint16, size uint8, attr Attr, vd, va, vb, vc VReg, imm uint64) *Inst {
	in := b.Emit(OpVec, size)
	in.Vec, in.Attr, in.VD, in.VA, in.VB, in.VC, in.Imm = op, attr, vd, va, vb, vc, imm
	b.blk.UsesVec = true
	return in
}

// X87 is the x87 operation op; the caller may fill in more of the instruction.
func (b *Builder) X87(op uint16, attr Attr, imm uint64) *Inst {
	in := b.Emit(OpX87, 10)
	in.Vec, in.Attr, in.Imm = op, attr, imm
	b.blk.UsesVec = true
	return in
}
