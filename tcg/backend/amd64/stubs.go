package amd64

import "goemu/tcg/ir"

// emitStubs writes the shared code at the start of the cache.
func (e *Engine) emitStubs() {
	a := &compiler{e: e}
	a.base = e.cache.base
	align := func() {
		for a.pc()%entryAlign != 0 {
			a.b1(0x90)
		}
	}
	e.enterStub = a.pc()
	a.enterStub()
	align()
	for fast := range e.leaveStubs {
		for vec := range e.leaveStubs[fast] {
			align()
			e.leaveStubs[fast][vec] = a.pc()
			a.leaveStub(fast, vec != 0)
		}
	}
	align()
	e.flagsStub = a.pc()
	a.flagsStub()
	a.vecStubs()
	align()
	e.emptyStub = a.pc()
	a.leave(desc{kind: leaveLookup, reg: NoReg, reg2: NoReg, pc: ^uint64(0)})
	align()
	copy(e.cache.rw, a.buf)
	e.cache.floor = len(a.buf)
	e.cache.next = e.cache.floor
}

// savedReg is the place of a host register while Go runs.
func (e *Engine) savedReg(r Reg) uint32 {
	if g := e.pinnedTo[r]; g >= 0 {
		return e.globals[g].Offset
	}
	return offSpill + uint32(r)*8
}

// enterStub loads every register and goes to Header.Resume.
func (c *compiler) enterStub() {
	c.resumeVec()
	for r := RAX; r <= R15; r++ {
		if r != RSP && r != RBP {
			c.load(8, r, envMem(c.e.savedReg(r)))
		}
	}
	c.jmpRM(envMem(offResume))
}

// leaveStub saves every register, notes the address behind the call and returns to enter with fast in RAX. vec: the caller's block goes
// on with the vector state that is loaded.
func (c *compiler) leaveStub(fast int, vec bool) {
	for r := RAX; r <= R15; r++ {
		if r != RSP && r != RBP {
			c.store(8, envMem(c.e.savedReg(r)), r)
		}
	}
	c.pop(envMem(offResume))
	c.leaveVec(vec)
	c.movImm(RAX, uint64(fast))
	c.ret()
}

// flagsStub computes EFLAGS from Header.CC* of any kind. It changes no register.
func (c *compiler) flagsStub() {
	s0, s1 := spillMem(saveFlags), spillMem(saveFlags+1)
	c.store(8, s0, R10)
	c.store(8, s1, R11)
	c.load(4, R10, envMem(offCCOp))
	c.aluImm(aluAnd, 4, R(R10), 31)
	c.buf = append(c.buf, 0x4c, 0x8d, 0x1d) // lea r11, [rip+rel32]
	table := c.pos()
	c.u32(0)
	c.load(8, R10, MX(R11, R10, 3, 0))
	c.jmpRM(R(R10))
	for c.pc()%8 != 0 {
		c.b1(0xcc)
	}
	c.bindTo(table, c.pos())
	const entries = 32
	start := c.pos()
	for range entries {
		c.u64(0)
	}
	for k := range entries {
		putU64(c.buf[start+k*8:], uint64(c.pc()))
		c.load(8, R10, envMem(offCCDst))
		c.load(8, R11, envMem(offCCSrc))
		c.flagsOf(ir.CC(k>>2), uint8(1)<<(k&3))
		c.load(8, R10, s0)
		c.load(8, R11, s1)
		c.ret()
	}
}

// flagsOf computes EFLAGS from CCDst in R10 and CCSrc in R11.
func (c *compiler) flagsOf(k ir.CC, size uint8) {
	switch k {
	case ir.CCAdd:
		c.alu(aluSub, 8, R10, R(R11))
		c.alu(aluAdd, size, R10, R(R11))
	case ir.CCSub:
		c.alu(aluAdd, 8, R10, R(R11))
		c.alu(aluSub, size, R10, R(R11))
	case ir.CCCmp:
		c.alu(aluCmp, size, R10, R(R11))
	case ir.CCLogic:
		c.rm(opTest, size, R10, R(R10))
	case ir.CCInc:
		c.lea(8, R10, M(R10, -1))
		c.btImm(4, R(R11), 0)
		c.digit(opGrp4, size, g4Inc, R(R10))
	case ir.CCDec:
		c.lea(8, R10, M(R10, 1))
		c.btImm(4, R(R11), 0)
		c.digit(opGrp4, size, g4Dec, R(R10))
	default:
		c.aluImm(aluAnd, 4, R(R11), ir.FlagAll)
		c.push(R(R11))
		c.popfq()
	}
}
