package amd64

import "goemu/tcg/ir"

// The guest's vector registers 0…12 and VT0 have host registers 0…13; the others stay in the environment. They are loaded when a
// block that uses them is entered from one that did not, and saved when generated code leaves for Go. The word vecLive of
// Header.Spill tells which state is in the host; shifted by livePending, which is to be loaded again when Go resumes.
const (
	numPinnedV = 13
	xVT0       = Reg(13)
	xTemp0     = Reg(14)
	xTemp1     = Reg(15)

	liveVec     = 1 // vector registers and MXCSR
	liveX87     = 2 // the x87 control word
	livePending = 4

	// Words of Header.Spill.
	vecCSR  = 21 // for LDMXCSR and STMXCSR
	vecCW   = 22 // for FLDCW
	vecRAX  = 23
	vecArg  = 24 // operands that x87 instructions take from memory
	vecArg2 = 25
	vecST   = 26 // two words: the value that x87Cache has on the host's stack, while Go runs
	vecTop  = 28 // non-zero: there is one
)

// Control words while Go runs, and the exception masks that are always set in the host.
const (
	goMXCSR   = 0x1f80
	goCW      = 0x37f
	csrMasks  = 0x1f80
	csrSticky = 0x3f
	cwMasks   = 0x3f
	swSticky  = 0x7f // with the stack fault bit
	swTop     = 0x3800
)

var (
	opLdMXCSR = op{0, map0F, 0xae, false} // /2
	opStMXCSR = op{0, map0F, 0xae, false} // /3
	opFLDCW   = op{0, map1, 0xd9, false}  // /5
)

func (c *compiler) fnstsw() { c.buf = append(c.buf, 0xdf, 0xe0) }
func (c *compiler) fnclex() { c.buf = append(c.buf, 0xdb, 0xe2) }

// needVec finds the state that a block needs.
func needVec(b *ir.Block) (need byte) {
	if !b.UsesVec {
		return 0
	}
	for i := range b.Insts {
		switch b.Insts[i].Op {
		case ir.OpLdV, ir.OpStV, ir.OpVec:
			need |= liveVec
		case ir.OpX87:
			need |= liveX87
		}
	}
	return need
}

// enterVec is emitted at a block's entry.
func (c *compiler) enterVec(b *ir.Block) {
	need := needVec(b)
	c.vecNeed = need
	for _, s := range [...]struct {
		bit  byte
		stub uintptr
	}{{liveVec, c.e.vecStub}, {liveX87, c.e.x87Stub}} {
		if need&s.bit != 0 {
			c.testImm(1, spillMem(vecLive), int32(s.bit))
			skip := c.jccShort(byte(ir.CondNE))
			c.callAbs(s.stub)
			c.bindShort(skip)
		}
	}
}

// vecStubs emits the subroutines that load one part of the state. They change no general register.
func (c *compiler) vecStubs() {
	align := func() {
		for c.pc()%entryAlign != 0 {
			c.b1(0x90)
		}
	}
	align()
	c.e.vecStub = c.pc()
	c.store(8, spillMem(vecRAX), RAX)
	c.loadVecState()
	c.aluImm(aluOr, 4, spillMem(vecLive), liveVec)
	c.load(8, RAX, spillMem(vecRAX))
	c.ret()
	align()
	c.e.x87Stub = c.pc()
	c.store(8, spillMem(vecRAX), RAX)
	c.loadX87State()
	c.aluImm(aluOr, 4, spillMem(vecLive), liveX87)
	c.load(8, RAX, spillMem(vecRAX))
	c.ret()
}

// moveVecState loads or stores the pinned registers.
func (c *compiler) moveVecState(code byte) {
	for r := Reg(0); r <= xVT0; r++ {
		m := c.vmem(pinnedV(r))
		if c.e.feats[hfAVX] {
			c.vex(0, map0F, false, true, code, r, NoReg, m)
		} else {
			c.rm(op{0, map0F, code, false}, 4, r, m)
		}
	}
}

// loadVectors loads the pinned registers. If all upper halves are zero, which is so as long as the guest uses no AVX, they are left in
// their initial state, because some hosts are slow at legacy SSE instructions otherwise.
func (c *compiler) loadVectors() {
	const vpor, vptest, movups = 0xeb, 0x17, 0x10
	if !c.e.feats[hfAVX] {
		c.moveVecState(movups)
		return
	}
	c.vex(0, map0F, false, false, movups, xTemp1, NoReg, c.upper(0))
	for v := ir.VReg(1); v < numPinnedV; v++ {
		c.vex(p66, map0F, false, false, vpor, xTemp1, xTemp1, c.upper(v))
	}
	c.vex(p66, map0F, false, false, vpor, xTemp1, xTemp1, c.upper(ir.VT0))
	c.vex(p66, map0F38, false, false, vptest, xTemp1, NoReg, R(xTemp1))
	used := c.jccFwd(byte(ir.CondNE))
	c.vzeroupper()
	for r := Reg(0); r <= xVT0; r++ {
		c.rm(opMovups, 4, r, c.vmem(pinnedV(r)))
	}
	end := c.jmpFwd()
	c.bind(used)
	c.moveVecState(movups)
	c.bind(end)
}

func (c *compiler) vzeroupper() { c.buf = append(c.buf, 0xc5, 0xf8, 0x77) }

// pinnedV is the vector register that a host register holds.
func pinnedV(r Reg) ir.VReg {
	if r == xVT0 {
		return ir.VT0
	}
	return ir.VReg(r)
}

// loadVecState loads registers and MXCSR with all exceptions masked. It changes RAX.
func (c *compiler) loadVecState() {
	c.loadVectors()
	c.load(4, RAX, envMem(c.e.opt.Vec.MXCSR))
	c.aluImm(aluOr, 4, R(RAX), csrMasks)
	c.store(4, spillMem(vecCSR), RAX)
	c.digit(opLdMXCSR, 4, 2, spillMem(vecCSR))
}

func (c *compiler) saveVecState() {
	c.moveVecState(0x11)
	c.collectCSR()
	c.storeImm(4, spillMem(vecCSR), goMXCSR)
	c.digit(opLdMXCSR, 4, 2, spillMem(vecCSR))
	if c.e.feats[hfAVX] {
		c.vzeroupper()
	}
}

// collectCSR adds the host's sticky flags to the guest's MXCSR. It changes RAX and EFLAGS.
func (c *compiler) collectCSR() {
	c.digit(opStMXCSR, 4, 3, spillMem(vecCSR))
	c.load(4, RAX, spillMem(vecCSR))
	c.aluImm(aluAnd, 4, R(RAX), csrSticky)
	c.aluStore(aluOr, 4, envMem(c.e.opt.Vec.MXCSR), RAX)
}

// loadX87State loads the control word with all exceptions masked.
func (c *compiler) loadX87State() {
	c.load(2, RAX, envMem(c.e.opt.Vec.FPCW))
	c.aluImm(aluOr, 4, R(RAX), cwMasks)
	c.store(4, spillMem(vecCW), RAX)
	c.fnclex()
	c.digit(opFLDCW, 4, 5, spillMem(vecCW))
}

// saveX87State is the reverse. A value on the host's stack is kept aside: Go may resume on another thread, or not at all.
func (c *compiler) saveX87State() {
	c.collectSW()
	c.x87m(fnstsw, spillMem(vecTop))
	c.aluImm(aluAnd, 4, spillMem(vecTop), swTop)
	none := c.jccShort(byte(ir.CondE))
	c.x87m(fstp80, spillMem(vecST))
	c.bindShort(none)
	c.fnclex()
	c.storeImm(4, spillMem(vecCW), goCW)
	c.digit(opFLDCW, 4, 5, spillMem(vecCW))
}

// resumeX87State also brings the value on the stack back.
func (c *compiler) resumeX87State() {
	c.loadX87State()
	c.aluImm(aluCmp, 4, spillMem(vecTop), 0)
	none := c.jccShort(byte(ir.CondE))
	c.x87m(fld80, spillMem(vecST))
	c.bindShort(none)
}

// collectSW adds the host's exception flags to the guest's status word. It changes RAX and EFLAGS.
func (c *compiler) collectSW() {
	c.fnstsw()
	c.aluImm(aluAnd, 4, R(RAX), swSticky)
	c.aluStore(aluOr, 2, envMem(c.e.opt.Vec.FPSW), RAX)
}

// leaveVec is part of the leave stub: every general register is free. Only blocks that use the state want it back when Go resumes.
func (c *compiler) leaveVec(again bool) {
	c.load(4, RCX, spillMem(vecLive))
	c.rm(opTest, 4, RCX, R(RCX))
	none := c.jccFwd(byte(ir.CondE))
	if again {
		c.shiftImm(shShl, 4, spillMem(vecLive), livePending)
	} else {
		c.storeImm(4, spillMem(vecLive), 0)
	}
	c.eachPart(liveVec, liveX87, (*compiler).saveVecState, (*compiler).saveX87State)
	c.bind(none)
}

// resumeVec is part of the enter stub: every general register is free.
func (c *compiler) resumeVec() {
	c.load(4, RCX, spillMem(vecLive))
	c.rm(opTest, 4, RCX, R(RCX))
	none := c.jccFwd(byte(ir.CondE))
	c.shiftImm(shShr, 4, spillMem(vecLive), livePending)
	c.eachPart(liveVec<<livePending, liveX87<<livePending, (*compiler).loadVecState, (*compiler).resumeX87State)
	c.bind(none)
}

// eachPart emits code for the two parts of the state, each run if its bit is set in RCX.
func (c *compiler) eachPart(vecBit, x87Bit int32, vec, x87 func(*compiler)) {
	c.testImm(1, R(RCX), vecBit)
	skip := c.jccFwd(byte(ir.CondE))
	vec(c)
	c.bind(skip)
	c.testImm(1, R(RCX), x87Bit)
	skip = c.jccFwd(byte(ir.CondE))
	x87(c)
	c.bind(skip)
}
