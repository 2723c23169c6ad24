package x86

import (
	"goemu/target/x86"
	"goemu/tcg/ir"
)

func genPush(t *Translator, d *inst) { t.push(d.opsize, t.read(0)) }

// genPop: a memory destination is addressed with the stack pointer already incremented.
func genPop(t *Translator, d *inst) {
	v := t.top(d.opsize)
	n := int64(d.opsize)
	if !t.isMem(0) {
		t.addSP(n)
		t.write(0, v)
		return
	}
	if d.base == x86.RSP {
		d.disp += n
	}
	t.write(0, v)
	t.addSP(n)
}

func genPushSeg(t *Translator, d *inst) {
	seg := operands[d.ops[0]].reg
	t.push(d.opsize, t.b.LdEnv(2, segOffset(seg, segSelector)))
}

func pick(c bool, x, y uint8) uint8 {
	if c {
		return x
	}
	return y
}

func genPopSeg(t *Translator, d *inst) {
	seg := operands[d.ops[0]].reg
	sel := t.top(2)
	sp := t.gpr(x86.RSP)
	changed := t.call(x86.HelperLoadSeg, t.b.Const(uint64(seg)), sel)
	t.setSP(sp, int64(d.opsize))
	t.segLoaded(seg, changed)
}

func genPushA(t *Translator, d *inst) {
	b, n := t.b, int64(d.opsize)
	sp := t.gpr(x86.RSP)
	a, disp := t.stackAddr(b, sp, -8*n)
	b.Probe(t.memOp(d.opsize), a, disp, true)
	for i := int64(0); i < 8; i++ {
		a, disp := t.stackAddr(b, sp, -(i+1)*n)
		b.St(t.memOp(d.opsize), a, disp, t.gpr(uint8(i)))
	}
	t.setSP(sp, -8*n)
}

func genPopA(t *Translator, d *inst) {
	b, n := t.b, int64(d.opsize)
	sp := t.gpr(x86.RSP)
	var v [8]ir.Val
	for i := range v {
		if i == x86.RSP {
			continue
		}
		a, disp := t.stackAddr(b, sp, int64(7-i)*n)
		v[i] = b.Ld(t.memOp(d.opsize), a, disp)
	}
	for i := range v {
		if i != x86.RSP {
			t.setGPR(d.opsize, uint8(i), v[i])
		}
	}
	t.setSP(sp, 8*n)
}

func genEnter(t *Translator, d *inst) {
	b, n := t.b, int64(d.opsize)
	if level := d.imm2 & 31; level != 0 {
		t.call(x86.HelperEnter, b.Const(d.imm), b.Const(level), b.Const(uint64(d.opsize)|uint64(t.stackSize())<<8))
		return
	}
	sp := t.gpr(x86.RSP)
	a, disp := t.stackAddr(b, sp, -n)
	last, lastDisp := t.stackAddr(b, sp, -n-int64(d.imm)) // must be writable as well
	b.Probe(t.memOp(1), last, lastDisp, true)
	b.St(t.memOp(d.opsize), a, disp, t.gpr(x86.RBP))
	t.setGPR(d.opsize, x86.RBP, b.Lea(8, sp, ir.None, 0, -n))
	t.setSP(sp, -n-int64(d.imm))
}

func genLeave(t *Translator, d *inst) {
	bp := t.gpr(x86.RBP)
	a, disp := t.stackAddr(t.b, bp, 0)
	v := t.b.Ld(t.memOp(d.opsize), a, disp)
	t.setSP(bp, int64(d.opsize))
	t.setGPR(d.opsize, x86.RBP, v)
}

// genPushF: without virtual-8086 mode the image is made inline; VM and RF are pushed as 0.
func genPushF(t *Translator, d *inst) {
	b := t.b
	if t.hflags&x86.HFVM != 0 {
		v := t.call(x86.HelperPushF, b.Const(uint64(d.opsize)))
		t.push(d.opsize, v)
		return
	}
	img := b.Image(b.Flags())
	rest := b.And(8, b.LdEnv(8, offEFlags), b.Const(^uint64(ir.FlagAll|x86.FlagVM|x86.FlagRF)))
	t.push(d.opsize, b.Or(8, b.Or(8, img, rest), b.Const(2)))
}

func genPopF(t *Translator, d *inst) {
	v := t.top(d.opsize)
	sp := t.gpr(x86.RSP)
	look := t.call(x86.HelperPopF, v, t.b.Const(uint64(d.opsize)))
	t.setSP(sp, int64(d.opsize))
	if t.reason != 0 {
		t.leave(x86.ExitIRQ)
		return
	}
	t.b.ExitNZ(4, look, t.b.ReasonExit(d.next, x86.ExitIRQ))
}
