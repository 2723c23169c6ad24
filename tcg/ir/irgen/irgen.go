// Package irgen makes random blocks of the intermediate representation for tests that compare engines or the results of passes.
package irgen

import (
	"math/rand/v2"

	"goemu/tcg/ir"
)

// Config says what blocks are made of.
type Config struct {
	Globals []ir.GlobalInfo
	Insns   int // guest instructions of a block
	// Base is the global that holds a guest address of which MemSize bytes on both sides may be accessed; -1: no memory accesses. It is never set.
	Base    int
	MemSize int
	// Helpers is the number of helpers that may be called (0: no calls).
	Helpers uint32
	// Defined keeps flags that x86 leaves undefined from being seen: what differs between engines.
	Defined bool
}

// Block makes a block. It depends on r and c alone. It keeps the rules of the representation: bits that an operation leaves
// unspecified are never looked at, and what may fault stands before the first change of guest state of a guest instruction.
func Block(r *rand.Rand, c Config) *ir.Block {
	g := &gen{Rand: r, Config: c, b: ir.NewBuilder(c.Globals)}
	g.b.Reset(0x1000)
	for i := range c.Insns {
		g.insn(0x1000+uint64(i)*4, i == c.Insns-1)
	}
	return g.b.Block()
}

type gen struct {
	*rand.Rand
	Config
	b    *ir.Builder
	disp int64
}

// insn makes one guest instruction: operands, perhaps memory, an operation, its results.
func (g *gen) insn(pc uint64, last bool) {
	b := g.b
	b.Insn(pc, 4)
	if g.Helpers != 0 && g.IntN(12) == 0 {
		b.Set(g.global(), b.Call(g.Uint32N(g.Helpers), g.operand(8), g.operand(8), ir.None))
	}
	size := uint8(1) << g.IntN(4)
	x := g.operand(size)
	var store ir.Val
	if g.Base >= 0 && g.IntN(3) == 0 {
		x, store = g.memory(size)
	}
	v, f, mask := g.operation(size, x, g.operand(size))
	if store != ir.None && v != ir.None {
		b.St(ir.MemOp{Size: size}, store, g.disp, v)
	}
	if v != ir.None {
		g.result(size, v)
	}
	if f != ir.None {
		g.flags(f, mask)
	}
	switch {
	case last && g.IntN(4) == 0:
		b.Jump(g.operand(8))
	case last:
		b.GotoPC(pc + 4)
	case g.IntN(8) == 0:
		g.sideExit(pc)
	}
}

func (g *gen) sideExit(pc uint64) {
	b := g.b
	exit := b.DirectExit(pc + 0x1000)
	if g.IntN(2) == 0 {
		exit = b.ReasonExit(pc+0x2000, g.Uint32N(8)+1)
	}
	size := uint8(1) << g.IntN(4)
	switch g.IntN(4) {
	case 0:
		b.ExitNZ(size, g.operand(size), exit)
	case 1:
		b.ExitZ(size, g.operand(size), exit)
	default:
		b.ExitIf(g.cond(), b.Flags(), exit)
	}
}

func (g *gen) cond() ir.Cond { return ir.Cond(g.IntN(int(ir.CondG) + 1)) }

// global is one that may be set.
func (g *gen) global() ir.Global {
	for {
		if n := g.IntN(len(g.Globals)); n != g.Base {
			return ir.Global(n)
		}
	}
}

// interesting are constants at which operations change their behaviour.
var interesting = [...]uint64{0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 33, 63, 64, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff,
	0x100000000, 1 << 63, 1<<63 - 1, ^uint64(0), ^uint64(0x7f), ^uint64(0x7fffffff)}

// operand is a value whose low size bytes are specified.
func (g *gen) operand(size uint8) ir.Val {
	b := g.b
	switch g.IntN(8) {
	case 0:
		return b.Const(interesting[g.IntN(len(interesting))])
	case 1:
		return b.Const(g.Uint64())
	case 2:
		if size < 8 {
			return b.Ext(size, b.Get(g.global()))
		}
	case 3:
		if size == 1 {
			return b.Extract(b.Get(g.global()), 8, 8)
		}
	case 4:
		return b.Lea(8, b.Get(g.global()), b.Get(g.global()), uint8(g.IntN(4)), int64(int32(g.Uint32())))
	}
	return b.Get(g.global())
}

// memory loads an operand. store is the address to store to, if the instruction is to do that.
func (g *gen) memory(size uint8) (x, store ir.Val) {
	b := g.b
	m := ir.MemOp{Size: size, Signed: g.IntN(4) == 0}
	base := b.Get(ir.Global(g.Base))
	g.disp = int64(g.IntN(2*g.MemSize-8)) - int64(g.MemSize)
	if g.IntN(3) == 0 {
		d := int64(g.IntN(16))
		base, g.disp = b.Add(8, base, b.Const(uint64(d))), g.disp-d
	}
	switch g.IntN(5) {
	case 0:
		m.Signed = false
		return b.LdRMW(m, base, g.disp), base
	case 1:
		m.Signed = false
		return b.Atomic(ir.AtomicKind(g.IntN(int(ir.AtomicXor)+1)), m, g.attr(), base, g.disp, g.operand(size)), ir.None
	case 2:
		m.Signed = false
		return b.CmpXchg(m, g.attr(), base, g.disp, g.operand(size), g.operand(size)), ir.None
	}
	return b.Ld(m, base, g.disp), ir.None
}

func (g *gen) attr() ir.Attr { return ir.AttrNoLock * ir.Attr(g.IntN(2)) }

// result puts a value into a global the ways frontends do.
func (g *gen) result(size uint8, v ir.Val) {
	b, to := g.b, g.global()
	switch {
	case size == 8 || g.IntN(4) == 0 && size == 4:
		b.Set(to, b.Ext(size, v))
	case g.IntN(3) == 0:
		b.Set(to, b.Sext(size, v))
	case size == 4:
		b.Set(to, b.Ext(4, v))
	case size == 1 && g.IntN(3) == 0:
		b.Set(to, b.Deposit(b.Get(to), v, 8, 8))
	default:
		b.Set(to, b.Deposit(b.Get(to), v, 0, uint(size)*8))
	}
}

// flags makes f the guest's flags; of them only those in mask are defined.
func (g *gen) flags(f ir.Val, mask uint64) {
	b := g.b
	if g.Defined && mask != ir.FlagAll {
		f = b.FromImage(b.And(8, b.Image(f), b.Const(mask)))
	}
	b.SetFlags(f)
	if g.IntN(4) == 0 {
		b.Set(g.global(), b.SetCond(g.cond(), f))
	}
	if g.IntN(4) == 0 {
		b.Set(g.global(), b.Select(8, g.cond(), f, g.operand(8), g.operand(8)))
	}
}
