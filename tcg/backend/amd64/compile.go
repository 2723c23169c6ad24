package amd64

import (
	"errors"
	"fmt"

	"goemu/tcg"
	"goemu/tcg/ir"
)

var (
	errRegisters = errors.New("amd64: out of registers")
	errSpill     = errors.New("amd64: out of spill slots")
	errUndefined = errors.New("amd64: use of an undefined temporary")
)

// makeEmitters lists the code generator of each operation.

func makeEmitters() [ir.OpEnd]func(*compiler, *ir.Inst) {
	return [ir.OpEnd]func(*compiler, *ir.Inst){
		ir.OpInsn:     func(c *compiler, in *ir.Inst) { c.insnPC = in.Imm },
		ir.OpConst:    func(*compiler, *ir.Inst) {},
		ir.OpGet:      (*compiler).get,
		ir.OpSet:      (*compiler).set,
		ir.OpLdEnv:    (*compiler).ldEnv,
		ir.OpStEnv:    (*compiler).stEnv,
		ir.OpGetFlags: (*compiler).getFlags,
		ir.OpSetFlags: (*compiler).setFlags,
		ir.OpImage:    (*compiler).image,
		ir.OpFromImg:  (*compiler).fromImage,

		ir.OpAdd:  (*compiler).binary,
		ir.OpSub:  (*compiler).binary,
		ir.OpAnd:  (*compiler).binary,
		ir.OpOr:   (*compiler).binary,
		ir.OpXor:  (*compiler).binary,
		ir.OpAdc:  (*compiler).binary,
		ir.OpSbb:  (*compiler).binary,
		ir.OpAndN: (*compiler).andN,
		ir.OpNot:  (*compiler).unary,
		ir.OpNeg:  (*compiler).unary,
		ir.OpInc:  (*compiler).incDec,
		ir.OpDec:  (*compiler).incDec,
		ir.OpAdcx: (*compiler).adcxAdox,
		ir.OpAdox: (*compiler).adcxAdox,

		ir.OpShl:  (*compiler).shift,
		ir.OpShr:  (*compiler).shift,
		ir.OpSar:  (*compiler).shift,
		ir.OpRol:  (*compiler).shift,
		ir.OpRor:  (*compiler).shift,
		ir.OpRcl:  (*compiler).shift,
		ir.OpRcr:  (*compiler).shift,
		ir.OpShld: (*compiler).doubleShift,
		ir.OpShrd: (*compiler).doubleShift,
		ir.OpShlx: (*compiler).shiftX,
		ir.OpShrx: (*compiler).shiftX,
		ir.OpSarx: (*compiler).shiftX,
		ir.OpRorx: (*compiler).rorxOp,

		ir.OpMul:  (*compiler).mul,
		ir.OpMulU: (*compiler).wideMul,
		ir.OpMulS: (*compiler).wideMul,
		ir.OpDivU: (*compiler).divide,
		ir.OpDivS: (*compiler).divide,

		ir.OpBsf:    (*compiler).scan,
		ir.OpBsr:    (*compiler).scan,
		ir.OpTzcnt:  (*compiler).count,
		ir.OpLzcnt:  (*compiler).count,
		ir.OpPopcnt: (*compiler).count,
		ir.OpBswap:  (*compiler).bswap,
		ir.OpPdep:   (*compiler).bmi,
		ir.OpPext:   (*compiler).bmi,
		ir.OpBextr:  (*compiler).bmi,
		ir.OpBzhi:   (*compiler).bmi,
		ir.OpBlsi:   (*compiler).bmi,
		ir.OpBlsr:   (*compiler).bmi,
		ir.OpBlsmsk: (*compiler).bmi,
		ir.OpBt:     (*compiler).bitTest,
		ir.OpBts:    (*compiler).bitTest,
		ir.OpBtr:    (*compiler).bitTest,
		ir.OpBtc:    (*compiler).bitTest,
		ir.OpCrc32:  (*compiler).crc32,

		ir.OpExt:     (*compiler).ext,
		ir.OpSext:    (*compiler).ext,
		ir.OpExtract: (*compiler).extract,
		ir.OpDeposit: (*compiler).deposit,
		ir.OpLea:     (*compiler).leaOp,

		ir.OpSetCond: (*compiler).setCond,
		ir.OpSelect:  (*compiler).selectOp,
		ir.OpSelectZ: (*compiler).selectOp,

		ir.OpLd:      (*compiler).ld,
		ir.OpSt:      (*compiler).st,
		ir.OpLdRMW:   (*compiler).ldRMW,
		ir.OpAtomic:  (*compiler).atomic,
		ir.OpCmpXchg: (*compiler).cmpXchg,
		ir.OpFence:   (*compiler).fence,
		ir.OpProbe:   (*compiler).probe,

		ir.OpLdV: (*compiler).ldV,
		ir.OpStV: (*compiler).stV,
		ir.OpVec: (*compiler).vec,
		ir.OpX87: (*compiler).x87,

		ir.OpCall:   (*compiler).call,
		ir.OpExitIf: (*compiler).exitIf,
		ir.OpExitNZ: (*compiler).exitNZ,
		ir.OpExitZ:  (*compiler).exitNZ,
		ir.OpGoto:   (*compiler).gotoExit,
		ir.OpJump:   (*compiler).jump,
	}
}

// entryAlign is the alignment of a block's entry.
const entryAlign = 16

// compile emits b as if at the given address of the code cache.
func (c *compiler) compile(b *ir.Block, id uint64, base uintptr) error {
	c.failure, c.late = nil, false
	c.prepare(b, id)
	c.buf, c.base, c.relocs = c.buf[:0], base, c.relocs[:0]
	for range b.Exits {
		c.buf = append(c.buf, make([]byte, exitInfoSize)...)
	}
	c.u64(0) // flagsDead
	if flagsDead(b.Insts) {
		c.buf[len(c.buf)-infoSize] = 1
	}
	c.entry = c.pos()
	c.enterVec(b)
	for i := range b.Insts {
		in := &b.Insts[i]
		c.i = int32(i)
		switch in.Op { // those without code
		case ir.OpInsn:
			c.insnPC = in.Imm
			continue
		case ir.OpConst:
			continue
		}
		emit := c.e.emitters[in.Op%ir.OpEnd]
		if emit == nil {
			return fmt.Errorf("amd64: unknown operation %d", in.Op)
		}
		if in.FOut != ir.None && c.lazy(in.FOut) {
			c.keepCC(in.FOut)
		}
		if c.frugal {
			c.evictAll()
		}
		nslow, nool := len(c.slow), len(c.ool)
		c.haveCC = false
		if c.x87c.held && !c.keepsX87(in) {
			c.flushX87()
		}
		emit(c, in)
		if c.haveCC {
			for k := nslow; k < len(c.slow); k++ {
				c.slow[k].cc = c.instCC
			}
			for k := nool; k < len(c.ool); k++ {
				c.ool[k].s.cc = c.instCC
			}
		}
		if c.failure != nil {
			return fmt.Errorf("instruction %d (%s): %w", i, in.Op, c.failure)
		}
		c.finish(in)
	}
	c.emitExits()
	c.emitOOL()
	c.emitSlow()
	c.putExitTable()
	return c.failure
}

// call is OpCall: a helper, which sees and may change every global and the flags.
func (c *compiler) call(in *ir.Inst) {
	c.clobber()
	c.flushFree()
	if f := c.cc; f != ir.None && c.alive(f) && c.v[f].slot < 0 {
		c.ensure(f, ir.FlagAll)
		c.saveImage(f)
	}
	c.hostFlags = ir.None
	for k, v := range [...]ir.Val{in.A, in.B, in.C} {
		if v != ir.None {
			c.storeVal(envMem(offArgs+uint32(k)*8), v)
		}
	}
	c.locked = 0
	for g := range c.e.globals {
		c.evictGlobal(ir.Global(g))
	}
	c.cc, c.ccKnown = ir.None, false
	t := c.dest(target{reg: NoReg}, ir.None)
	r := t.reg
	if !c.alive(in.Dst) {
		r = NoReg
	}
	d := desc{kind: leaveCall, reg: r, reg2: NoReg, n: int32(in.Imm), pc: c.insnPC}
	if !c.bulk(in, t, d) {
		c.leave(d)
	}
	c.define(in.Dst, t)
}

// blockRoom is more than the code of most blocks takes.
const blockRoom = 32 << 10

// Compile makes a block executable.
func (e *Engine) Compile(b *ir.Block, id uint64) (code tcg.Code, err error) {
	c := &e.comp
	start, err := e.emit(b, id)
	if err != nil {
		return tcg.Code{}, err
	}
	e.cache.next = (start + len(c.buf) + 7) &^ 7
	if e.Dump != nil {
		e.Dump(b, e.cache.base+uintptr(start+c.entry), c.buf[c.entry:])
	}
	return tcg.Code{ID: id, Entry: e.cache.base + uintptr(start+c.entry), Size: len(c.buf)}, nil
}
