package amd64

import (
	"encoding/binary"

	"goemu/tcg/ir"
)

// exitState is what a block knows about one of its exits during emission.
type exitState struct {
	refs   int
	jumps  []int  // rel32 positions that go to the exit's stub
	snap   ccSnap // pending flags
	patch  int    // position of the rel32 that goes to the stub, or past it to a target that overwrites the flags; 0: none
	stub   int    // where pending flags are stored
	patch2 int    // position of the rel32 behind the stub, 0 if the stub stores nothing
	leave  int    // where generated code is left
	look   int    // where the jump cache is asked, 0 if the target cannot cross a page
}

// In front of a block's entry is a table: infoSize bytes of which the first tells that the block overwrites the flags before it reads them,
// before that a row per exit: patch, stub, patch2, leave, look relative to the entry.
const (
	exitInfoSize = 24
	infoSize     = 8
)

// linkable tells whether an exit can be patched to go straight to its target: that is in the page where the block starts.
func (c *compiler) linkable(x *ir.Exit) bool {
	return x.Kind == ir.ExitDirect && (x.PC^c.b.PC)>>ir.PageBits == 0
}

// backward tells whether an exit may close a loop, so that it must look at ExitReq.
func (c *compiler) backward(x *ir.Exit) bool { return x.Kind == ir.ExitDirect && x.PC <= c.b.PC }

// exitOn emits a conditional exit.
func (c *compiler) exitOn(cc byte, n int) {
	x := &c.b.Exits[n]
	e := &c.exits[n]
	if e.refs > 1 {
		c.flush()
	}
	e.snap = c.snap()
	if c.backward(x) && e.refs == 1 {
		skip := c.jccFwd(cc ^ 1)
		c.exitBody(n)
		c.bind(skip)
		return
	}
	if c.linkable(x) && e.refs == 1 {
		c.padRel32(2)
		e.patch = c.jccFwd(cc)
		e.jumps = append(e.jumps, e.patch)
		return
	}
	e.jumps = append(e.jumps, c.jccFwd(cc))
}

// exitBody emits the code of an exit where it stands.
func (c *compiler) exitBody(n int) {
	x := &c.b.Exits[n]
	e := &c.exits[n]
	if c.backward(x) {
		c.poll(desc{kind: leavePoll, reg: NoReg, reg2: NoReg, pc: x.PC}, e.snap)
	}
	switch {
	case x.Kind != ir.ExitDirect:
		c.emitSnap(&e.snap)
		c.leave(desc{kind: leaveReason, reg: NoReg, reg2: NoReg, n: int32(x.Reason), pc: x.PC})
	case c.linkable(x):
		c.padRel32(1)
		e.patch = c.jmpFwd()
		c.bind(e.patch)
		c.exitStub(n)
	default:
		c.emitSnap(&e.snap)
		c.lookup(x.PC)
	}
}

// exitStub emits what an exit's first jump leads to: pending flags are stored, then generated code is left unless the second jump leads on.
func (c *compiler) exitStub(n int) {
	e := &c.exits[n]
	e.stub = c.pos()
	if e.snap.on {
		c.emitSnap(&e.snap)
		c.padRel32(1)
		e.patch2 = c.jmpFwd()
		c.bind(e.patch2)
	}
	e.leave = c.pos()
	pc := c.b.Exits[n].PC
	c.leave(desc{kind: leaveDirect, reg: NoReg, reg2: NoReg, n: int32(n), pc: pc, x: c.id})
	if pc&(1<<ir.PageBits-1) > 1<<ir.PageBits-maxInsnBytes {
		e.look = c.pos()
		c.lookup(pc)
	}
}

// maxInsnBytes is the length of the longest guest instruction known: a target nearer to the end of its page may reach into the next.
const maxInsnBytes = 16

// poll leaves with d if ExitReq is set.
func (c *compiler) poll(d desc, cc ccSnap) {
	c.aluImm(aluCmp, 4, envMem(offExitReq), 0)
	c.slow = append(c.slow, slowPath{check: check{jcc: c.jccFwd(byte(ir.CondNE))}, d: d, cc: cc})
}

// lookup goes to a block in another page through the jump cache, which is right for the current address space.
func (c *compiler) lookup(pc uint64) {
	t := R10
	c.load(8, t, envMem(offJumps))
	disp := int32(jumpIndex(pc)) * jumpEntrySize
	if pc == uint64(int64(int32(pc))) {
		c.aluImm(aluCmp, 8, M(t, disp), int32(pc))
	} else {
		c.movImm(R11, pc)
		c.alu(aluCmp, 8, R11, M(t, disp))
		c.noteDisp(relocJump, disp, pc)
	}
	c.slow = append(c.slow, slowPath{check: check{jcc: c.jccFwd(byte(ir.CondNE))}, d: desc{kind: leaveLookup, reg: NoReg, reg2: NoReg, pc: pc}})
	c.jmpRM(M(t, disp+8))
	c.noteDisp(relocJump8, disp+8, pc)
}

// jumpEntrySize is the size of an ir.JumpEntry.
const jumpEntrySize = 16

func jumpIndex(pc uint64) uint64 { return (pc ^ pc>>ir.JumpBits) & (1<<ir.JumpBits - 1) }

// exitIf, exitNZ and gotoExit are the exits of the representation.
func (c *compiler) exitIf(in *ir.Inst) {
	cc := c.condition(in.Cond, in.FIn)
	// The host's flags survive a conditional jump that is not taken; an exit's own code does not come back.
	c.exitOn(cc, int(in.Imm))
	c.dropFlags()
}

// dropFlags forgets pending flags behind an exit if the block overwrites the guest's flags before anybody can see them.
func (c *compiler) dropFlags() {
	if c.pending.on && !c.alive(c.cc) && flagsDead(c.b.Insts[c.i+1:]) {
		c.unpend()
		c.cc, c.hostFlags = ir.None, ir.None
	}
}

func (c *compiler) exitNZ(in *ir.Inst) {
	c.clobber()
	if o := c.operand(in.A); o.IsMem() {
		c.aluImm(aluCmp, in.Size, o, 0)
	} else {
		c.rm(opTest, in.Size, o.Reg, o)
	}
	cc := byte(ir.CondNE)
	if in.Op == ir.OpExitZ {
		cc = byte(ir.CondE)
	}
	c.exitOn(cc, int(in.Imm))
}

func (c *compiler) gotoExit(in *ir.Inst) {
	n := int(in.Imm)
	if c.exits[n].refs > 1 {
		c.flushFree()
		c.exits[n].jumps = append(c.exits[n].jumps, c.jmpFwd())
		return
	}
	c.exits[n].snap = c.snap()
	c.exitBody(n)
}

// jump is OpJump: through the jump cache.
func (c *compiler) jump(in *ir.Inst) {
	c.clobber()
	c.flushFree()
	r := c.use(in.A)
	t := c.temp()
	none := desc{kind: leavePollReg, reg: r, reg2: NoReg, pc: c.insnPC}
	c.poll(none, ccSnap{})
	c.mov(8, t, r)
	c.shiftImm(shShr, 8, R(t), ir.JumpBits)
	c.alu(aluXor, 8, t, R(r))
	c.aluImm(aluAnd, 4, R(t), 1<<ir.JumpBits-1)
	c.shiftImm(shShl, 4, R(t), 4)
	c.alu(aluAdd, 8, t, envMem(offJumps))
	c.alu(aluCmp, 8, r, M(t, 0))
	none.kind = leaveLookupReg
	c.slow = append(c.slow, slowPath{check: check{jcc: c.jccFwd(byte(ir.CondNE))}, d: none})
	c.jmpRM(M(t, 8))
}

// emitExits emits the out-of-line parts of exits.
func (c *compiler) emitExits() {
	for n := range c.exits {
		e := &c.exits[n]
		if len(e.jumps) == 0 {
			continue
		}
		for _, at := range e.jumps {
			c.bind(at)
		}
		if e.patch != 0 {
			c.exitStub(n)
		} else {
			c.exitBody(n)
		}
	}
}

// putExitTable fills in the table in front of the entry.
func (c *compiler) putExitTable() {
	for n := range c.exits {
		row := c.buf[c.entry-infoSize-(n+1)*exitInfoSize:]
		e := &c.exits[n]
		if e.patch == 0 {
			continue
		}
		for k, at := range [...]int{e.patch, e.stub, e.patch2, e.leave, e.look} {
			if at != 0 {
				binary.LittleEndian.PutUint32(row[k*4:], uint32(at-c.entry))
			}
		}
	}
}
