package x86

import (
	"goemu/target/x86"
	"goemu/tcg/ir"
)

// Segment registers.

// segLoaded ends the instruction that loaded a segment register, which tells whether the mode bits have changed; SS also shuts out
// interrupts for one instruction.
func (t *Translator) segLoaded(seg uint8, changed ir.Val) {
	b := t.b
	if seg == x86.SS && t.hflags&x86.HFInhibit == 0 {
		b.StEnv(4, offShadow, b.Const(x86.ShadowSS))
		b.StEnv(4, offHF, b.Or(4, b.LdEnv(4, offHF), b.Const(x86.HFInhibit)))
	}
	switch {
	case seg == x86.SS || !t.code64() && t.reason != 0:
		t.leave(x86.ExitMode)
	case !t.code64():
		b.ExitNZ(4, changed, b.ReasonExit(t.d.next, x86.ExitMode))
	}
}

func genMovToSeg(t *Translator, d *inst) {
	if d.reg3 == x86.CS || d.reg3 > x86.GS {
		t.raiseUD()
		return
	}
	changed := t.call(x86.HelperLoadSeg, t.b.Const(uint64(d.reg3)), t.b.Ext(2, t.read(1)))
	t.segLoaded(d.reg3, changed)
}

func genMovFromSeg(t *Translator, d *inst) {
	if d.reg3 > x86.GS {
		t.raiseUD()
		return
	}
	t.write(0, t.b.LdEnv(2, segOffset(d.reg3, segSelector)))
}

// genLoadFar is LDS, LES, LFS, LGS, LSS.
func genLoadFar(seg uint8) genFunc {
	return func(t *Translator, d *inst) {
		off, sel := t.farPointer()
		changed := t.call(x86.HelperLoadSeg, t.b.Const(uint64(seg)), sel)
		t.setReg(d.opsize, d.reg, off)
		t.segLoaded(seg, changed)
	}
}

func genStoreSel(seg uint8) genFunc {
	return func(t *Translator, _ *inst) {
		if !t.umip() {
			t.write(0, t.b.LdEnv(2, segOffset(seg, segSelector)))
		}
	}
}

// umip raises #GP if user-mode instruction prevention forbids the instruction.
func (t *Translator) umip() bool {
	if t.hflags&x86.HFUMIP == 0 || t.cpl() == 0 {
		return false
	}
	t.raiseGP()
	return true
}

// genLoadTable runs a helper on a selector.
func genLoadTable(h x86.Helper) genFunc {
	return func(t *Translator, _ *inst) { t.call(h, t.b.Ext(2, t.read(0))) }
}

func genLarLsl(h x86.Helper) genFunc {
	return func(t *Translator, _ *inst) {
		b := t.b
		v := t.call(h, b.Ext(2, t.read(1)))
		n := t.opSize(0)
		old := t.read(0)
		if n == 4 {
			v = b.Ext(4, v)
			b.Set(ir.Global(t.d.reg), b.Select(8, ir.CondE, b.Flags(), v, old))
			return
		}
		t.write(0, b.Select(n, ir.CondE, b.Flags(), v, old))
	}
}

// genARPL is the meaning of opcode 63 outside 64-bit mode.
func genARPL(t *Translator, d *inst) {
	if !t.protected() {
		t.raiseUD()
		return
	}
	b := t.b
	var x ir.Val
	m := t.memOp(2)
	if d.mod == 3 {
		v := t.call(x86.HelperARPL, b.Ext(2, t.gpr(d.rm)), b.Ext(2, t.gpr(d.reg)))
		t.setGPR(2, d.rm, v)
		return
	}
	a, disp := t.ea()
	x = b.LdRMW(m, a, disp)
	v := t.call(x86.HelperARPL, x, b.Ext(2, t.gpr(d.reg)))
	b.St(m, a, disp, v)
}

// Descriptor tables.

func genStoreTable(table uintptr) genFunc {
	return func(t *Translator, d *inst) {
		if t.umip() {
			return
		}
		b := t.b
		n := max(t.codeSize(), 4)
		limit, base := b.LdEnv(4, table+tableLimit), b.LdEnv(8, table+tableBase)
		a, disp := t.at(2)
		b.St(t.memOp(n), a, disp, base)
		a, disp = t.ea()
		b.St(t.memOp(2), a, disp, limit)
	}
}

func genLGDT(h x86.Helper) genFunc {
	return func(t *Translator, d *inst) {
		b := t.b
		a, disp := t.ea()
		limit := b.Ld(t.memOp(2), a, disp)
		a, disp = t.at(2)
		base := b.Ld(t.memOp(max(t.codeSize(), 4)), a, disp)
		if d.opsize == 2 {
			base = b.And(8, base, b.Const(0xffffff))
		}
		t.call(h, base, limit)
	}
}

func genSMSW(t *Translator, _ *inst) {
	if !t.umip() {
		t.intercept(x86.SVMExitReadCR)
		t.write(0, t.b.LdEnv(8, offCR0))
	}
}

func genLMSW(t *Translator, _ *inst) {
	v := t.b.Ext(2, t.read(0))
	t.intercept(x86.SVMExitWriteCR, t.b.Const(^uint64(0))) // whatever it changes
	t.call(x86.HelperLMSW, v)
	t.leave(x86.ExitMode)
}

func genINVLPG(t *Translator, _ *inst) {
	t.call(x86.HelperINVLPG, t.linearEA())
	t.mapped()
}

// mapped ends a block after a change of address translation, on which no mode bit depends: the code that follows is looked for anew.
func (t *Translator) mapped() { t.jump(t.b.Const(t.d.next)) }

func genINVPCID(t *Translator, d *inst) {
	n := pick(t.code64(), 8, 4)
	t.call(x86.HelperINVPCID, t.b.Ext(n, t.gpr(d.reg)), t.linearEA())
	t.leave(x86.ExitMode)
}

func genCLTS(t *Translator, _ *inst) {
	t.intercept(x86.SVMExitWriteCR, t.b.And(8, t.b.LdEnv(8, offCR0), t.b.Const(^uint64(x86.CR0TS))))
	t.call(x86.HelperCLTS)
	t.leave(x86.ExitMode)
}

// Control and debug registers.

const cr8 = 8

func validCR(n uint8) bool { return n == 0 || n == 2 || n == 3 || n == 4 || n == cr8 }

// altCR8 renames CR0 with LOCK; false if this CPU does not do so.
func (t *Translator) altCR8(d *inst) bool {
	if d.lock {
		d.reg = cr8
		return t.cfg.Features.Has(x86.FeatCR8Legacy)
	}
	return true
}

func genMovFromCR(t *Translator, d *inst) {
	if !t.altCR8(d) || !validCR(d.reg) {
		t.raiseUD()
		return
	}
	t.intercept(x86.SVMExitReadCR + uint64(d.reg))
	v := ir.None
	if d.reg == cr8 {
		v = t.call(x86.HelperReadCR, t.b.Const(uint64(d.reg)))
	} else {
		v = t.b.LdEnv(8, offCR0+uintptr(d.reg)*8)
	}
	t.setGPR(pick(t.code64(), 8, 4), d.rm, v)
}

func genMovToCR(t *Translator, d *inst) {
	if !t.altCR8(d) || !validCR(d.reg) {
		t.raiseUD()
		return
	}
	v := t.b.Ext(pick(t.code64(), 8, 4), t.gpr(d.rm))
	t.intercept(x86.SVMExitWriteCR+uint64(d.reg), v)
	t.call(x86.HelperWriteCR, t.b.Const(uint64(d.reg)), v)
	switch {
	case d.reg == cr8:
		t.leave(x86.ExitIRQ)
	case d.reg == 3 && t.reason == 0:
		t.mapped()
	default:
		t.leave(x86.ExitMode)
	}
}

func genMovFromDR(t *Translator, d *inst) {
	if d.reg > 7 {
		t.raiseUD()
		return
	}
	t.intercept(x86.SVMExitReadDR + uint64(d.reg))
	t.setGPR(pick(t.code64(), 8, 4), d.rm, t.call(x86.HelperReadDR, t.b.Const(uint64(d.reg))))
}

func genMovToDR(t *Translator, d *inst) {
	if d.reg > 7 {
		t.raiseUD()
		return
	}
	t.intercept(x86.SVMExitWriteDR + uint64(d.reg))
	t.call(x86.HelperWriteDR, t.b.Const(uint64(d.reg)), t.b.Ext(pick(t.code64(), 8, 4), t.gpr(d.rm)))
	t.leave(x86.ExitMode)
}

// genModeHelper is a helper that may change what translation depends on.
func genModeHelper(h x86.Helper) genFunc {
	return func(t *Translator, _ *inst) {
		t.call(h)
		t.leave(x86.ExitMode)
	}
}

func genXGETBV(t *Translator, _ *inst) {
	if t.hflags&x86.HFOSXSAVE == 0 {
		t.raiseUD()
		return
	}
	t.call(x86.HelperXGETBV)
}

func genXSETBV(t *Translator, _ *inst) {
	if t.hflags&x86.HFOSXSAVE == 0 {
		t.raiseUD()
		return
	}
	t.call(x86.HelperXSETBV)
	t.leave(x86.ExitMode)
}

func genRDMSR(t *Translator, _ *inst) {
	t.intercept(x86.SVMExitMSR, t.b.Const(0))
	t.call(x86.HelperRDMSR)
}

func genWRMSR(t *Translator, _ *inst) {
	t.intercept(x86.SVMExitMSR, t.b.Const(1))
	t.call(x86.HelperWRMSR)
	t.leave(x86.ExitMode)
}

// genSWAPGS exchanges two bases, which no mode bit depends on in 64-bit mode.
func genSWAPGS(t *Translator, _ *inst) {
	const base = offSeg + x86.GS*segSize + segBase
	b := t.b
	now, kernel := b.LdEnv(8, base), b.LdEnv(8, offKernGS)
	b.StEnv(8, base, kernel)
	b.StEnv(8, offKernGS, now)
}

func genRDPID(t *Translator, d *inst) {
	t.setGPR(pick(t.code64(), 8, 4), d.rm, t.b.LdEnv(8, offTSCAux))
}

func genRandom(h x86.Helper) genFunc {
	return func(t *Translator, _ *inst) {
		v := t.call(h, t.b.Const(uint64(t.opSize(0))))
		t.write(0, v)
	}
}

func genReadBase(seg uint8) genFunc {
	return func(t *Translator, _ *inst) {
		if t.hflags&x86.HFFSGSBase == 0 {
			t.raiseUD()
			return
		}
		t.write(0, t.b.LdEnv(8, segOffset(seg, segBase)))
	}
}

func genWriteBase(seg uint8) genFunc {
	return func(t *Translator, _ *inst) {
		if t.hflags&x86.HFFSGSBase == 0 {
			t.raiseUD()
			return
		}
		t.call(x86.HelperWriteFSGSBase, t.b.Const(uint64(seg)), t.b.Ext(t.opSize(0), t.read(0)))
	}
}

func genMonitor(t *Translator, d *inst) {
	t.call(x86.HelperMONITOR, t.addBase(t.b.Ext(d.addrsize, t.gpr(x86.RAX)), t.srcSeg()))
}

func genMwait(t *Translator, d *inst) { t.control(x86.HelperMWAIT, t.b.Const(d.next)) }

// Flags.

// genAC is STAC and CLAC: they select the soft TLB of supervisor accesses.
func genAC(on bool) genFunc {
	from := uintptr(x86.MMUKernelSMAP)
	if on {
		from = x86.MMUKernelAC
	}
	return func(t *Translator, _ *inst) {
		b := t.b
		t.eflag(x86.FlagAC, on)
		for _, field := range [...]uintptr{tlbBase, tlbMask} {
			b.StEnv(8, offTLB+x86.MMUKernel*tlbSize+field, b.LdEnv(8, offTLB+from*tlbSize+field))
		}
	}
}

// ioAllowed tells whether CLI and STI work without further checks.
func (t *Translator) ioAllowed() bool {
	return t.hflags&x86.HFPE == 0 || t.cpl() <= t.iopl() && (t.hflags&x86.HFVM == 0 || t.iopl() == 3)
}

func genCLI(t *Translator, _ *inst) {
	if !t.ioAllowed() {
		t.call(x86.HelperCLI)
		return
	}
	t.eflag(x86.FlagIF, false)
}

func genSTI(t *Translator, _ *inst) {
	if !t.ioAllowed() {
		t.call(x86.HelperSTI)
		t.leave(x86.ExitIRQ)
		return
	}
	if t.reason != 0 {
		t.stiStepped()
		return
	}
	// The shadow matters only if an interrupt waits now; one that comes later is taken at the next poll.
	b := t.b
	wait := b.Or(4, b.LdEnv(4, offReq), b.LdEnv(4, offWait))
	t.eflag(x86.FlagIF, true)
	_, f := b.Op2F(ir.OpSub, 4, wait, b.Const(0), ir.None)
	shadow := b.SetCond(ir.CondNE, f)
	b.StEnv(4, offShadow, shadow)
	b.StEnv(4, offHF, b.Or(4, b.LdEnv(4, offHF), b.Shl(4, shadow, b.Const(hfInhibitBit))))
	b.ExitNZ(4, wait, b.ReasonExit(t.d.next, x86.ExitIRQ))
}

const hfInhibitBit = 23

// stiStepped is STI in a block of one instruction.
func (t *Translator) stiStepped() {
	b := t.b
	if t.hflags&x86.HFInhibit == 0 {
		on := b.And(8, b.LdEnv(8, offEFlags), b.Const(x86.FlagIF))
		b.ExitNZ(4, on, t.exitTo(t.d.next)) // already set: no shadow
		b.StEnv(4, offShadow, b.Const(1))
		b.StEnv(4, offHF, b.Or(4, b.LdEnv(4, offHF), b.Const(x86.HFInhibit)))
	}
	t.eflag(x86.FlagIF, true)
	t.leave(x86.ExitIRQ)
}

// Ports.

// port is the port number of IN and OUT.
func (t *Translator) port(i int) ir.Val {
	if t.d.ops[i] == opIb {
		return t.b.Const(t.d.imm)
	}
	return t.b.Ext(2, t.gpr(x86.RDX))
}

func genIn(t *Translator, _ *inst) {
	n := t.opSize(0)
	t.interceptIO(t.port(1), n, x86.SVMIOIn)
	v := t.call(x86.HelperIn, t.port(1), t.b.Const(uint64(n)))
	t.setGPR(n, x86.RAX, v)
}

func genOut(t *Translator, _ *inst) {
	n := t.opSize(1)
	t.interceptIO(t.port(0), n, 0)
	v := t.b.Ext(n, t.gpr(x86.RAX))
	stop := t.call(x86.HelperOut, t.port(0), t.b.Const(uint64(n)), v)
	if t.reason == 0 { // else the block ends here anyhow
		t.b.ExitNZ(4, stop, t.b.ReasonExit(t.d.next, x86.ExitIRQ))
	}
}

// Memory order and caches.

func genFence(t *Translator, d *inst) {
	if d.reg3 == 6 {
		t.b.Fence()
	}
}

// genFlushLine: caches are not modelled, but the address must be readable.
func genFlushLine(t *Translator, _ *inst) {
	a, disp := t.ea()
	t.b.Probe(t.memOp(1), a, disp, false)
}
