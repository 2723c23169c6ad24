package x86

import (
	"errors"

	"goemu/target/x86"
	"goemu/tcg/ir"
)

// Config says what the translated CPU has.
type Config struct {
	Features x86.Features
	// Single tells that there is only one CPU: locked operations need not be indivisible on the host.
	Single bool
}

// Fetcher supplies code bytes.
type Fetcher interface {
	// Fetch returns the bytes of code from a linear address to the end of its page, at least one; none if they cannot be fetched
	// (the Fetcher knows why). It is asked for a second page only by a block's first instruction when that crosses into it.
	Fetch(linear uint64) []byte
}

// ErrFetch is returned when the first instruction's bytes cannot be fetched.
var ErrFetch = errors.New("code cannot be fetched")

// Globals are the guest registers that translated code names: RAX … R15, in encoding order.
var Globals = []ir.GlobalInfo{
	global("rax", x86.RAX, 16), global("rcx", x86.RCX, 15), global("rdx", x86.RDX, 14), global("rbx", x86.RBX, 12),
	global("rsp", x86.RSP, 13), global("rbp", x86.RBP, 9), global("rsi", x86.RSI, 11), global("rdi", x86.RDI, 10),
	global("r8", x86.R8, 8), global("r9", x86.R9, 7), global("r10", x86.R10, 5), global("r11", x86.R11, 2),
	global("r12", x86.R12, 6), global("r13", x86.R13, 4), global("r14", x86.R14, 3), global("r15", x86.R15, 1),
}

func global(name string, n uint32, hot int) ir.GlobalInfo {
	return ir.GlobalInfo{Name: name, Offset: uint32(offRegs) + n*8, Hot: hot}
}

// Translator translates blocks for CPUs of one configuration. It is not safe for concurrent use.
type Translator struct {
	cfg    Config
	b      *ir.Builder
	hflags uint32
	csBase uint64
	mmu    uint8
	reason uint32 // of the exit after the one instruction of a stepped block, or 0
	pc     uint64 // of the current instruction
	d      inst   // the current instruction
	fp     fpState
	vecI   vecInsn // the current SIMD instruction
	cross  [maxLength]byte

	// Through is how many forward conditional jumps a block may go on behind.
	Through int
	through int // what is left of it
	// Stop, if set, tells of linear addresses at which a block may begin but that it does not go past.
	Stop func(linear uint64) bool
}

// New returns a translator.
func New(cfg Config) *Translator { return &Translator{cfg: cfg, b: ir.NewBuilder(Globals)} }

// has tells whether the CPU has what a row needs.
func (t *Translator) has(a attr) bool {
	f, ok := a.feature()
	return !ok || t.cfg.Features.Has(f)
}

// Translate makes a block of at most limit instructions at pc, for a CPU with these mode bits (Env.BlockFlags). The block is valid
// until the next call. Bytes are fetched within pc's page; an instruction that crosses into the next one makes a block by itself.
func (t *Translator) Translate(pc, csBase uint64, hflags uint32, f Fetcher, limit int) (*ir.Block, error) {
	t.begin(pc, csBase, hflags)
	if t.reason != 0 {
		limit = 1
	}
	code := f.Fetch(t.linear(pc))
	if len(code) == 0 {
		return nil, ErrFetch
	}
	for n := 0; ; n++ {
		if n >= limit || len(code) == 0 || n > 0 && t.Stop != nil && t.Stop(t.linear(pc)) {
			t.gotoPC(pc)
			break
		}
		d := &t.d
		d.pc, d.mode, t.pc = pc, t.codeSize(), pc
		st := d.decode(code, t)
		if st == decShort {
			if n > 0 {
				t.gotoPC(pc)
				break
			}
			rest := f.Fetch(t.linear(pc + uint64(len(code))))
			if len(rest) == 0 {
				return nil, ErrFetch
			}
			k := copy(t.cross[:], code)
			k += copy(t.cross[k:], rest)
			code = t.cross[:k]
			st = d.decode(code, t)
			limit = 1
		}
		if t.one(st); t.b.Ended() {
			break
		}
		code = code[d.length:]
		pc = d.next
	}
	return t.b.Block(), nil
}

// begin prepares for a new block.
func (t *Translator) begin(pc, csBase uint64, hflags uint32) {
	t.b.Reset(pc)
	t.hflags, t.csBase = hflags, csBase
	t.reason, t.through = 0, t.Through
	t.fp = fpState{}
	switch {
	case hflags&(x86.HFTF|x86.HFOneInsn) != 0:
		t.reason = x86.ExitDebug
	case hflags&(x86.HFInhibit|x86.HFRF) != 0:
		t.reason = x86.ExitIRQ
	}
	t.mmu = x86.MMUKernel
	if t.cpl() == 3 {
		t.mmu = x86.MMUUser
	}
}

// linear is the linear address of a program counter.
func (t *Translator) linear(pc uint64) uint64 {
	if t.code64() {
		return pc
	}
	return uint64(uint32(pc + t.csBase))
}

func (t *Translator) code64() bool { return t.hflags&x86.HFCS64 != 0 }
func (t *Translator) cpl() uint32  { return t.hflags & x86.HFCPLMask }
func (t *Translator) iopl() uint32 { return t.hflags & x86.HFIOPLMask >> x86.HFIOPLShift }

// protected tells whether the CPU is in protected mode and not in virtual-8086 mode.
func (t *Translator) protected() bool { return t.hflags&(x86.HFPE|x86.HFVM) == x86.HFPE }

func (t *Translator) codeSize() uint8 {
	switch {
	case t.code64():
		return 8
	case t.hflags&x86.HFCS32 != 0:
		return 4
	}
	return 2
}

// one translates the decoded instruction.
func (t *Translator) one(st status) {
	d := &t.d
	t.b.Insn(d.pc, int(d.length))
	t.endShadow()
	switch {
	case st == decLong:
		t.raiseGP()
		return
	case st != decOK:
		t.raiseUD()
		return
	case d.attr&noReal != 0 && !t.protected(), d.vex && !t.protected():
		t.raiseUD()
		return
	case d.attr&cpl0 != 0 && t.cpl() != 0:
		t.raiseGP()
		return
	}
	if d.intercept != 0 {
		t.intercept(uint64(d.intercept))
	}
	if t.checkFetch(); !t.checkAccesses() {
		return
	}
	d.gen(t, d)
	if t.reason != 0 && !t.b.Ended() {
		t.gotoPC(d.next)
	}
}

// endShadow ends the interrupt shadow and the effect of RF at the start of the one instruction that they cover.
func (t *Translator) endShadow() {
	const one = x86.HFInhibit | x86.HFRF
	if t.hflags&one == 0 {
		return
	}
	b := t.b
	if t.hflags&x86.HFInhibit != 0 {
		b.StEnv(4, offShadow, b.Const(0))
	}
	if t.hflags&x86.HFRF != 0 {
		b.StEnv(8, offEFlags, b.And(8, b.LdEnv(8, offEFlags), b.Const(^uint64(x86.FlagRF))))
	}
	b.StEnv(4, offHF, b.Const(uint64(t.hflags&^(one|x86.HFTopMask))))
}

// Leaving.

// gotoPC ends the block and continues at a known program counter.
func (t *Translator) gotoPC(pc uint64) { t.b.Goto(t.exitTo(pc)) }

// exitTo is an exit to a known program counter.
func (t *Translator) exitTo(pc uint64) int {
	if t.reason != 0 {
		return t.b.ReasonExit(pc, t.reason)
	}
	return t.b.DirectExit(pc)
}

// jump ends the block and continues at a computed program counter.
func (t *Translator) jump(v ir.Val) {
	if t.reason != 0 {
		t.b.Call(uint32(x86.HelperStepJump), v, t.b.Const(uint64(t.reason)), ir.None)
		t.gotoPC(t.d.next)
		return
	}
	t.b.Jump(v)
}

// leave ends the block behind the current instruction with a reason; a step's own reason wins.
func (t *Translator) leave(reason uint32) {
	if t.reason == x86.ExitDebug {
		reason = x86.ExitDebug
	}
	t.b.GotoReason(t.d.next, reason)
}

// raise ends the block with an exception at the current instruction.
func (t *Translator) raise(vector, code uint64) {
	t.prepareRaise(vector, code)
	t.b.GotoReason(t.pc, x86.ExitException)
}

// prepareRaise stores the vector and error code for exits with ExitException.
func (t *Translator) prepareRaise(vector, code uint64) {
	t.b.StEnv(8, offArg0, t.b.Const(vector))
	t.b.StEnv(8, offArg1, t.b.Const(code))
}

func (t *Translator) raiseUD() { t.raise(x86.ExcUD, x86.NoErrorCode) }
func (t *Translator) raiseGP() { t.raise(x86.ExcGP, 0) }

// call runs a helper with constant and other arguments.
func (t *Translator) call(h x86.Helper, args ...ir.Val) ir.Val {
	var a [3]ir.Val
	copy(a[:], args)
	return t.b.Call(uint32(h), a[0], a[1], a[2])
}
