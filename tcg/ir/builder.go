package ir

// Builder makes a Block. Frontends stay naive: it forwards what is known of globals and flags within the block, shares constants and
// folds operations on them. Its buffers are reused by Reset, so a Block lives only until then.
type Builder struct {
	globals []GlobalInfo
	blk     Block
	known   []Val   // by global: the value that it is known to hold, or None
	flags   Val     // the value the guest's flags are known to hold, or None
	zext    []uint8 // by Val: number of low bytes that may be non-zero (8: all)
	consts  [constCache]Val
}

const constCache = 64 // direct-mapped by a hash of the value

// NewBuilder returns a Builder for blocks over these globals.
func NewBuilder(globals []GlobalInfo) *Builder {
	b := &Builder{globals: globals, known: make([]Val, len(globals))}
	b.Reset(0)
	return b
}

// Reset begins a new block with entry pc. The previous block's memory is reused.
func (b *Builder) Reset(pc uint64) {
	b.blk = Block{PC: pc, Insts: b.blk.Insts[:0], Vals: append(b.blk.Vals[:0], ValInfo{}), Exits: b.blk.Exits[:0]}
	b.zext = append(b.zext[:0], 0)
	b.consts = [constCache]Val{}
	b.forget()
}

// Block is what was built so far; it is valid until the next Reset.
func (b *Builder) Block() *Block { return &b.blk }

// Globals is the list of globals given to NewBuilder.
func (b *Builder) Globals() []GlobalInfo { return b.globals }

// Mark is a position to which a Builder can be rolled back.
type Mark struct{ insts, vals, exits, insns, bytes int }

// Mark remembers the current position.
func (b *Builder) Mark() Mark {
	return Mark{len(b.blk.Insts), len(b.blk.Vals), len(b.blk.Exits), b.blk.Insns, b.blk.Bytes}
}

// Rollback drops everything emitted since m. What was known about globals, flags and constants is forgotten.
func (b *Builder) Rollback(m Mark) {
	b.blk.Insts, b.blk.Vals, b.blk.Exits = b.blk.Insts[:m.insts], b.blk.Vals[:m.vals], b.blk.Exits[:m.exits]
	b.blk.Insns, b.blk.Bytes = m.insns, m.bytes
	b.zext = b.zext[:m.vals]
	b.consts = [constCache]Val{}
	b.forget()
}

func (b *Builder) forget() {
	clear(b.known)
	b.flags = None
}

// Emit appends an instruction with the given operation and size and returns it for further filling-in, valid until the next one
// is appended. The typed methods are to be preferred; Emit does not track anything.
func (b *Builder) Emit(op Op, size uint8) *Inst {
	b.blk.Insts = append(b.blk.Insts, Inst{Op: op, Size: size, VD: VNone, VA: VNone, VB: VNone, VC: VNone})
	return &b.blk.Insts[len(b.blk.Insts)-1]
}

// NewVal makes an integer temporary of which at most the low zext bytes may be non-zero (8: nothing is known).
func (b *Builder) NewVal(zext uint8) Val {
	b.blk.Vals = append(b.blk.Vals, ValInfo{Kind: KindInt})
	b.zext = append(b.zext, zext)
	return Val(len(b.blk.Vals) - 1)
}

// NewFlags makes a temporary of kind Flags.
func (b *Builder) NewFlags() Val {
	b.blk.Vals = append(b.blk.Vals, ValInfo{Kind: KindFlags})
	b.zext = append(b.zext, 8)
	return Val(len(b.blk.Vals) - 1)
}

// IsConst tells whether v is a constant, and which.
func (b *Builder) IsConst(v Val) (uint64, bool) {
	i := &b.blk.Vals[v]
	return i.Const, i.IsConst
}

// Insn begins a guest instruction at pc of length bytes.
func (b *Builder) Insn(pc uint64, length int) {
	b.Emit(OpInsn, uint8(length)).Imm = pc
	b.blk.Insns++
	b.blk.Bytes += length
}

// Const is the constant v.
func (b *Builder) Const(v uint64) Val {
	h := (v ^ v>>6) % constCache // code that is moved by pages gets the same constants
	if c := b.consts[h]; c != None && b.blk.Vals[c].Const == v {
		return c
	}
	c := b.NewVal(constBytes(v))
	b.blk.Vals[c] = ValInfo{Kind: KindInt, IsConst: true, Const: v}
	in := b.Emit(OpConst, 8)
	in.Dst, in.Imm = c, v
	b.consts[h] = c
	return c
}

func constBytes(v uint64) uint8 {
	switch {
	case v>>8 == 0:
		return 1
	case v>>16 == 0:
		return 2
	case v>>32 == 0:
		return 4
	}
	return 8
}

// Get is the value of global g.
func (b *Builder) Get(g Global) Val {
	if v := b.known[g]; v != None {
		return v
	}
	v := b.NewVal(8)
	in := b.Emit(OpGet, 8)
	in.Dst, in.Global = v, g
	b.known[g] = v
	return v
}

// Set gives global g all 64 bits of v.
func (b *Builder) Set(g Global, v Val) {
	if b.known[g] == v {
		return
	}
	in := b.Emit(OpSet, 8)
	in.A, in.Global = v, g
	b.known[g] = v
}

// LdEnv loads a field of the environment, zero-extended.
func (b *Builder) LdEnv(size uint8, offset uintptr) Val {
	v := b.NewVal(size)
	in := b.Emit(OpLdEnv, size)
	in.Dst, in.Imm = v, uint64(offset)
	return v
}

// LdEnvS loads a field of the environment, sign-extended.
func (b *Builder) LdEnvS(size uint8, offset uintptr) Val {
	v := b.NewVal(8)
	in := b.Emit(OpLdEnv, size)
	in.Dst, in.Imm, in.Mem.Signed = v, uint64(offset), true
	return v
}

// StEnv stores the low bytes of v to a field of the environment (not to a Global or the lazy flags).
func (b *Builder) StEnv(size uint8, offset uintptr, v Val) {
	in := b.Emit(OpStEnv, size)
	in.A, in.Imm = v, uint64(offset)
}

// Flags is the guest's current flags.
func (b *Builder) Flags() Val {
	if b.flags == None {
		b.flags = b.NewFlags()
		b.Emit(OpGetFlags, 0).FOut = b.flags
	}
	return b.flags
}

// SetFlags makes f the guest's current flags.
func (b *Builder) SetFlags(f Val) {
	if b.flags == f {
		return
	}
	b.Emit(OpSetFlags, 0).FIn = f
	b.flags = f
}

// Image is the image (Flag* bits) of f.
func (b *Builder) Image(f Val) Val {
	v := b.NewVal(2)
	in := b.Emit(OpImage, 8)
	in.Dst, in.FIn = v, f
	return v
}

// FromImage is the flags value of an image.
func (b *Builder) FromImage(a Val) Val {
	f := b.NewFlags()
	in := b.Emit(OpFromImg, 8)
	in.A, in.FOut = a, f
	return f
}

// SetCond is 1 if the condition holds on f, else 0.
func (b *Builder) SetCond(c Cond, f Val) Val {
	v := b.NewVal(1)
	in := b.Emit(OpSetCond, 8)
	in.Dst, in.Cond, in.FIn = v, c, f
	return v
}

// Select is x if the condition holds on f, else y.
func (b *Builder) Select(size uint8, c Cond, f, x, y Val) Val {
	v := b.NewVal(resultBytes(size))
	in := b.Emit(OpSelect, size)
	in.Dst, in.Cond, in.FIn, in.A, in.B = v, c, f, x, y
	return v
}

// SelectZ is x if the low size bytes of c are zero, else y; all 64 bits are moved.
func (b *Builder) SelectZ(size uint8, c, x, y Val) Val {
	v := b.NewVal(max(b.zext[x], b.zext[y]))
	in := b.Emit(OpSelectZ, size)
	in.Dst, in.A, in.B, in.C = v, x, y, c
	return v
}

// resultBytes is the zext of an arithmetic result: sizes 1 and 2 leave the upper bits unspecified.
func resultBytes(size uint8) uint8 {
	if size == 4 {
		return 4
	}
	return 8
}

// AddExit adds a way out and returns its index.
func (b *Builder) AddExit(e Exit) int {
	b.blk.Exits = append(b.blk.Exits, e)
	return len(b.blk.Exits) - 1
}

// DirectExit adds an exit to a known program counter.
func (b *Builder) DirectExit(pc uint64) int { return b.AddExit(Exit{Kind: ExitDirect, PC: pc}) }

// ReasonExit adds an exit to the main loop.
func (b *Builder) ReasonExit(pc uint64, reason uint32) int {
	return b.AddExit(Exit{Kind: ExitTo, PC: pc, Reason: reason})
}

// ExitIf leaves by an exit if the condition holds on f.
func (b *Builder) ExitIf(c Cond, f Val, exit int) {
	in := b.Emit(OpExitIf, 0)
	in.Cond, in.FIn, in.Imm = c, f, uint64(exit)
}

// ExitNZ leaves by an exit if the low size bytes of a are not all zero.
func (b *Builder) ExitNZ(size uint8, a Val, exit int) { b.exitOn(OpExitNZ, size, a, exit) }

// ExitZ leaves by an exit if the low size bytes of a are all zero.
func (b *Builder) ExitZ(size uint8, a Val, exit int) { b.exitOn(OpExitZ, size, a, exit) }

func (b *Builder) exitOn(op Op, size uint8, a Val, exit int) {
	in := b.Emit(op, size)
	in.A, in.Imm = a, uint64(exit)
}

// Goto leaves by an exit and ends the block.
func (b *Builder) Goto(exit int) { b.Emit(OpGoto, 0).Imm = uint64(exit) }

// GotoPC leaves for a known program counter and ends the block.
func (b *Builder) GotoPC(pc uint64) { b.Goto(b.DirectExit(pc)) }

// GotoReason leaves for the main loop and ends the block.
func (b *Builder) GotoReason(pc uint64, reason uint32) { b.Goto(b.ReasonExit(pc, reason)) }

// Jump leaves for a computed program counter (64 bits of a) and ends the block.
func (b *Builder) Jump(a Val) { b.Emit(OpJump, 8).A = a }

// Call runs a helper; absent arguments are None. Everything known about globals and flags is forgotten.
func (b *Builder) Call(helper uint32, x, y, z Val) Val {
	v := b.NewVal(8)
	in := b.Emit(OpCall, 8)
	in.Dst, in.A, in.B, in.C, in.Imm = v, x, y, z, uint64(helper)
	b.forget()
	return v
}

// CallBulk is Call of a helper that does a bulk operation on elements as m says; see Bulk.
func (b *Builder) CallBulk(helper uint32, kind uint8, m MemOp, x Val) Val {
	v := b.Call(helper, x, None, None)
	in := &b.blk.Insts[len(b.blk.Insts)-1]
	in.Imm2, in.Mem = kind, m
	return v
}

// Ended tells whether the last instruction ends the block.
func (b *Builder) Ended() bool {
	n := len(b.blk.Insts)
	return n > 0 && (b.blk.Insts[n-1].Op == OpGoto || b.blk.Insts[n-1].Op == OpJump)
}
