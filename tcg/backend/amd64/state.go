package amd64

import (
	"math/bits"

	"goemu/tcg/ir"
)

// scratchRegs hold temporaries; the other registers but RSP and RBP hold pinned globals.
const scratchRegs = uint16(1<<R10 | 1<<R11 | 1<<R14 | 1<<R15)

// tempVal marks a register held by an emitter within one instruction.
const tempVal ir.Val = -1

// valState is where a temporary is during emission. It may be in several places at once.
type valState struct {
	last  int32  // last instruction that uses it
	setAt int32  // first OpSet or OpSetFlags of it, or -1
	next  ir.Val // next in the list of temporaries equal to the same global
	reg   Reg    // scratch register, or NoReg
	alias uint8  // 1 + global that it equals, 0: none
	slot  int8   // spill slot (for Flags: of the image), or -1
	con   bool
	value uint64 // of a constant
	root  ir.Val // the temporary equals root + off; None: itself
	off   int64
}

// compiler is the state of one Compile.
type compiler struct {
	Asm
	e  *Engine
	b  *ir.Block
	id uint64

	i      int32 // current instruction
	insnPC uint64

	v      []valState
	reg    [16]ir.Val // contents of the scratch registers
	locked uint16     // registers that the current instruction uses
	heads  [maxGlobals]ir.Val
	slots  uint64 // free spill slots

	hostFlags ir.Val // the Flags value in EFLAGS
	cc        ir.Val // the Flags value stored in Header.CC*
	ccOp      uint32 // Header.CCOp if ccKnown
	ccKnown   bool
	pending   pending
	instCC    ccSnap // pending flags at the check of the current memory instruction
	haveCC    bool   // instCC is set
	frugal    bool   // temporaries do not stay in scratch registers between instructions
	always    bool   // be frugal with every block (a test aid)
	late      bool   // out-of-line code is being emitted

	share  []uint16 // by instruction: 1 + group of a memory access, 0: none
	groups []group
	closed int // groups before this index take no more accesses
	ool    []outOfLine

	rmwAt   int32 // the OpSt that completes the open OpLdRMW, or -1
	slow    []slowPath
	exits   []exitState
	entry   int // position of the entry point
	failure error

	x87Src ir.X87Op // the conversion that filled x87Temp
	x87c   x87Cache

	vecNeed byte // the vector state that the block needs (live…)
}

// maxGlobals bounds the frontend's list of globals.
const maxGlobals = 64

// numSlots is the number of spill slots for temporaries; slotBase is the first one's index in Header.Spill, behind saved registers.
const (
	numSlots = 64
	slotBase = 32
)

// maxDistance is how far ahead an OpSet may be for its value to be computed right into the pinned register.
const maxDistance = 8

// prepare resets the state for a block and finds the last uses.
func (c *compiler) prepare(b *ir.Block, id uint64) {
	c.b, c.id = b, id
	n := len(b.Vals) + 1 + len(b.Insts) // more for the host address of an open OpLdRMW and for addends of groups
	if cap(c.v) < n {
		c.v = make([]valState, n+64)
	}
	c.v = c.v[:n]
	if cap(c.share) < len(b.Insts) {
		c.share = make([]uint16, len(b.Insts)+64)
	}
	c.share = c.share[:len(b.Insts)]
	clear(c.share)
	c.groups, c.closed, c.ool = c.groups[:0], 0, c.ool[:0]
	for i := range c.v[:len(b.Vals)+1] { // those of groups are made by leadGroup
		c.v[i] = valState{last: -1, setAt: -1, reg: NoReg, slot: -1}
	}
	for i := range b.Vals {
		if b.Vals[i].IsConst {
			c.v[i].con, c.v[i].value = true, b.Vals[i].Const
		}
	}
	c.reg = [16]ir.Val{}
	c.heads = [maxGlobals]ir.Val{}
	c.slots = 1<<numSlots - 1
	c.hostFlags, c.cc, c.ccKnown = ir.None, ir.None, false
	c.rmwAt = -1
	c.x87c = x87Cache{}
	c.pending = pending{}
	c.slow = c.slow[:0]
	c.exits = c.exits[:0]
	for i := range b.Exits {
		if i < cap(c.exits) {
			c.exits = c.exits[:i+1]
			c.exits[i] = exitState{jumps: c.exits[i].jumps[:0]}
		} else {
			c.exits = append(c.exits, exitState{})
		}
	}
	for i := range b.Insts {
		in := &b.Insts[i]
		n := int32(i)
		c.v[in.A].last, c.v[in.B].last, c.v[in.C].last, c.v[in.FIn].last = n, n, n, n
		switch in.Op {
		case ir.OpAdd, ir.OpSub, ir.OpLea:
			c.noteRoot(in)
		case ir.OpLd, ir.OpSt, ir.OpLdRMW, ir.OpLdV, ir.OpStV:
			c.groupAccess(n, in)
		case ir.OpCall:
			c.closed = len(c.groups)
		case ir.OpStEnv:
			if uint32(in.Imm)-offTLB < sizeTLB { // another soft TLB
				c.closed = len(c.groups)
			}
		case ir.OpSet:
			if c.v[in.A].setAt < 0 {
				c.v[in.A].setAt = n
			}
		case ir.OpSetFlags:
			if c.v[in.FIn].setAt < 0 {
				c.v[in.FIn].setAt = n
			}
		case ir.OpExitIf, ir.OpExitNZ, ir.OpExitZ, ir.OpGoto:
			c.exits[in.Imm].refs++
			c.closed = len(c.groups) // what follows may not be executed, its span may not be accessible
		}
	}
	c.v[ir.None].last = -1
}

// barrier tells whether guest state must be exact at an instruction.
func barrier(o ir.Op) bool {
	return ir.Ops[o].Attr&(ir.OpFaults|ir.OpLeaves|ir.OpHelper) != 0
}

// setsAhead finds the global whose pinned register v can be computed into, if any: its OpSet is near and nothing in between sees the old value.
func (c *compiler) setsAhead(v ir.Val) (g ir.Global, ok bool) {
	s := c.v[v].setAt
	if v == ir.None || s <= c.i || s-c.i > maxDistance {
		return 0, false
	}
	g = c.b.Insts[s].Global
	if c.e.pin[g] == NoReg {
		return 0, false
	}
	for k := c.i + 1; k < s; k++ {
		in := &c.b.Insts[k]
		if barrier(in.Op) || (in.Op == ir.OpGet || in.Op == ir.OpSet) && in.Global == g {
			return 0, false
		}
	}
	return g, true
}

// flagsSetAhead tells whether f becomes the guest's flags with nothing in between that sees the old ones.
func (c *compiler) flagsSetAhead(f ir.Val) bool {
	s := c.v[f].setAt
	if f == ir.None || s <= c.i || s-c.i > maxDistance {
		return false
	}
	for k := c.i + 1; k < s; k++ {
		in := &c.b.Insts[k]
		if barrier(in.Op) && k != c.rmwAt || in.Op == ir.OpGetFlags || in.Op == ir.OpSetFlags {
			return false
		}
	}
	return true
}

// bug records an inconsistency; Compile fails.
func (c *compiler) bug(err error) {
	if c.failure == nil {
		c.failure = err
	}
}

// alive tells whether v is used after the current instruction.
func (c *compiler) alive(v ir.Val) bool { return c.v[v].last > c.i }

// regOf is the register that holds v, or NoReg.
func (c *compiler) regOf(v ir.Val) Reg {
	s := &c.v[v]
	if s.reg != NoReg {
		return s.reg
	}
	if s.alias != 0 {
		return c.e.pin[s.alias-1]
	}
	return NoReg
}

// home is the memory operand of v; ok is false if v is nowhere in memory.
func (c *compiler) home(v ir.Val) (o Operand, ok bool) {
	s := &c.v[v]
	if s.alias != 0 && c.e.pin[s.alias-1] == NoReg {
		return c.e.globalMem(ir.Global(s.alias - 1)), true
	}
	if s.slot >= 0 {
		return spillMem(slotBase + int(s.slot)), true
	}
	return Operand{}, false
}

// alloc gives a free scratch register, spilling the temporary with the furthest last use if there is none, and locks it.
func (c *compiler) alloc() Reg {
	best, bestLast := NoReg, int32(-2)
	for m := scratchRegs &^ c.locked; m != 0; m &= m - 1 {
		r := Reg(bits.TrailingZeros16(m))
		v := c.reg[r]
		if v == ir.None {
			c.locked |= 1 << r
			return r
		}
		if l := c.v[v].last; l > bestLast {
			best, bestLast = r, l
		}
	}
	if best == NoReg {
		c.bug(errRegisters)
		return R10
	}
	c.evict(best)
	c.locked |= 1 << best
	return best
}

// temp gives a register for use within the current instruction.
func (c *compiler) temp() Reg {
	r := c.alloc()
	c.reg[r] = tempVal
	return r
}

// free gives a temp back early.
func (c *compiler) free(r Reg) {
	if c.reg[r] == tempVal {
		c.reg[r] = ir.None
	}
	c.locked &^= 1 << r
}

// evict makes a scratch register free, keeping its temporary elsewhere.
func (c *compiler) evict(r Reg) {
	v := c.reg[r]
	if c.outlives(v) {
		c.locked |= 1 << r
		c.flush()
		c.locked &^= 1 << r
	}
	c.reg[r] = ir.None
	s := &c.v[v]
	s.reg = NoReg
	if s.con || s.alias != 0 || s.slot >= 0 || s.last < c.i { // an operand of this instruction may still be needed
		return
	}
	s.slot = c.newSlot()
	c.store(8, spillMem(slotBase+int(s.slot)), r)
}

func (c *compiler) newSlot() int8 {
	if c.slots == 0 {
		c.bug(errSpill)
		return 0
	}
	n := bits.TrailingZeros64(c.slots)
	c.slots &= c.slots - 1
	return int8(n)
}

// hold gives v a scratch register (locked) without loading it.
func (c *compiler) hold(v ir.Val) Reg {
	r := c.alloc()
	c.reg[r] = v
	c.v[v].reg = r
	return r
}

// use gives the register that holds v, loading it if need be, and locks it.
func (c *compiler) use(v ir.Val) Reg {
	if r := c.regOf(v); r != NoReg {
		c.locked |= 1 << r
		return r
	}
	s := &c.v[v]
	m, inMem := c.home(v)
	r := c.hold(v)
	switch {
	case s.con:
		c.movImm(r, s.value)
	case inMem:
		c.rm(opMovLoad, 8, r, m)
	default:
		c.bug(errUndefined)
	}
	return r
}

// operand gives v as a register or memory operand; constants go to a register.
func (c *compiler) operand(v ir.Val) Operand {
	if r := c.regOf(v); r != NoReg {
		c.locked |= 1 << r
		return R(r)
	}
	if m, ok := c.home(v); ok && !c.v[v].con {
		return m
	}
	return R(c.use(v))
}

// imm gives the value of a constant that fits a sign-extended 32-bit immediate of an operation of size bytes.
func (c *compiler) imm(v ir.Val, size uint8) (int32, bool) {
	s := &c.v[v]
	if !s.con {
		return 0, false
	}
	if size <= 4 {
		return int32(s.value), true
	}
	return int32(s.value), s.value == uint64(int64(int32(s.value)))
}

// loadInto copies v to register r.
func (c *compiler) loadInto(r Reg, v ir.Val, size uint8) {
	s := &c.v[v]
	if q := c.regOf(v); q != NoReg {
		if q != r {
			c.mov(size, r, q)
		}
		return
	}
	if s.con {
		if size <= 4 {
			c.movImm(r, s.value&0xffffffff)
		} else {
			c.movImm(r, s.value)
		}
		return
	}
	if m, ok := c.home(v); ok {
		c.rm(opMovLoad, max(size, 4), r, m)
		return
	}
	c.bug(errUndefined)
}

// evictGlobal makes temporaries that equal g and live on independent of it, before g changes.
func (c *compiler) evictGlobal(g ir.Global) {
	for v := c.heads[g]; v != ir.None; v = c.v[v].next {
		s := &c.v[v]
		if s.alias != uint8(g)+1 {
			continue
		}
		if c.outlives(v) {
			c.flush()
		}
		if s.last > c.i && s.reg == NoReg && s.slot < 0 && !s.con {
			c.saveAlias(v, g)
		}
		s.alias = 0
	}
	c.heads[g] = ir.None
}

// saveAlias copies a temporary that is only in global g to a scratch register or a slot.
func (c *compiler) saveAlias(v ir.Val, g ir.Global) {
	s := &c.v[v]
	p := c.e.pin[g]
	if p == NoReg || c.anyFree() {
		keep := c.locked
		r := c.hold(v)
		c.locked = keep
		if p == NoReg {
			c.rm(opMovLoad, 8, r, c.e.globalMem(g))
		} else {
			c.mov(8, r, p)
		}
		return
	}
	s.slot = c.newSlot()
	c.store(8, spillMem(slotBase+int(s.slot)), p)
}

func (c *compiler) anyFree() bool {
	for m := scratchRegs &^ c.locked; m != 0; m &= m - 1 {
		if c.reg[bits.TrailingZeros16(m)] == ir.None {
			return true
		}
	}
	return false
}

// addAlias notes that v equals g.
func (c *compiler) addAlias(v ir.Val, g ir.Global) {
	c.v[v].alias = uint8(g) + 1
	c.v[v].next = c.heads[g]
	c.heads[g] = v
}

// target is where the result of the current instruction goes.
type target struct {
	reg    Reg
	pinned bool
	g      ir.Global
}

// plan decides about the result's register before operands are fetched: a pinned one if the value is for a global, else chosen by dest.
func (c *compiler) plan(dst ir.Val) target {
	if g, ok := c.setsAhead(dst); ok {
		c.evictGlobal2(g)
		return target{reg: c.e.pin[g], pinned: true, g: g}
	}
	return target{reg: NoReg}
}

// evictGlobal2 is evictGlobal for a global that changes in the current instruction: temporaries used by it for the last time
// still read the pinned register.
func (c *compiler) evictGlobal2(g ir.Global) {
	for v := c.heads[g]; v != ir.None; v = c.v[v].next {
		s := &c.v[v]
		if s.alias == uint8(g)+1 && c.outlives(v) {
			c.flush()
		}
		if s.alias == uint8(g)+1 && s.last > c.i {
			if s.reg == NoReg && s.slot < 0 && !s.con {
				c.saveAlias(v, g)
			}
			s.alias = 0
		}
	}
}

// dest completes a target: without a pinned register it takes that of a (if a dies here) or a new one.
func (c *compiler) dest(t target, a ir.Val) target {
	if t.reg != NoReg {
		return t
	}
	if a != ir.None {
		if s := &c.v[a]; s.reg != NoReg && s.last <= c.i {
			t.reg = s.reg
			s.reg = NoReg // the caller has it; operands were fetched
			c.reg[t.reg] = tempVal
			c.locked |= 1 << t.reg
			return t
		}
	}
	t.reg = c.temp()
	return t
}

// define records that dst is in the target.
func (c *compiler) define(dst ir.Val, t target) {
	if t.pinned {
		// Every alias of g that is left dies here.
		for v := c.heads[t.g]; v != ir.None; v = c.v[v].next {
			if c.v[v].alias == uint8(t.g)+1 {
				c.v[v].alias = 0
			}
		}
		c.heads[t.g] = ir.None
		c.addAlias(dst, t.g)
		return
	}
	if dst == ir.None || c.v[dst].last <= c.i {
		c.free(t.reg)
		return
	}
	c.reg[t.reg] = dst
	c.v[dst].reg = t.reg
}

// finish ends an instruction: registers of temporaries that died are free again.
func (c *compiler) finish(in *ir.Inst) {
	c.locked = 0
	for m := scratchRegs; m != 0; m &= m - 1 {
		r := Reg(bits.TrailingZeros16(m))
		if v := c.reg[r]; v == tempVal {
			c.reg[r] = ir.None
		} else if v != ir.None && c.v[v].last <= c.i {
			c.reg[r] = ir.None
			c.v[v].reg = NoReg
		}
	}
	for _, v := range [...]ir.Val{in.A, in.B, in.C, in.FIn} {
		if s := &c.v[v]; s.slot >= 0 && s.last <= c.i {
			c.slots |= 1 << s.slot
			s.slot = -1
		}
	}
}

// canAlloc tells whether alloc can succeed.
func (c *compiler) canAlloc() bool { return scratchRegs&^c.locked != 0 }

// toMem gives up the scratch register of v, so that an instruction with many temporaries has enough of them.
func (c *compiler) toMem(v ir.Val) {
	if s := &c.v[v]; v != ir.None && s.reg != NoReg && !s.con {
		r := s.reg
		if s.last <= c.i && s.alias == 0 && s.slot < 0 {
			s.slot = c.newSlot()
			c.store(8, spillMem(slotBase+int(s.slot)), r)
		}
		c.evict(r)
	}
}

// evictAll empties the scratch registers.
func (c *compiler) evictAll() {
	for m := scratchRegs; m != 0; m &= m - 1 {
		if r := Reg(bits.TrailingZeros16(m)); c.reg[r] != ir.None {
			c.evict(r)
		}
	}
}
