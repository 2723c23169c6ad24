package tcg

import (
	"goemu/target/x86"
)

// eventKind tells how an exception or interrupt came about.
type eventKind uint8

const (
	evNone     eventKind = iota
	evFault              // exception; the saved program counter is the instruction's
	evTrap               // exception after an instruction; the program counter is the next one already
	evSoft               // INT n, INT3, INTO: saved program counter next, privilege of the gate is checked
	evICEBP              // INT1: like evSoft without the check
	evHardware           // interrupt from outside
	evExit               // a nested guest ends: exit
)

// event is an exception or interrupt to deliver.
type event struct {
	kind   eventKind
	vector uint8
	hasErr bool
	err    uint32
	next   uint64 // evSoft, evICEBP: address of the next instruction
	cr2    uint64
	exit   vmexit

	exception bool // evSoft: INT3 or INTO
	injected  bool // by the host of a nested guest: cannot be intercepted
}

// software tells whether an instruction asked for the event.
func (e *event) software() bool { return e.kind == evSoft || e.kind == evICEBP }

// unwind is what helpers panic with to abandon an instruction; CPU.ev or CPU.again say why.
type unwindKind struct{}

var unwind any = &unwindKind{}

// errCodes are the exceptions that push an error code.
const errCodes = 1<<x86.ExcDF | 1<<x86.ExcTS | 1<<x86.ExcNP | 1<<x86.ExcSS | 1<<x86.ExcGP | 1<<x86.ExcPF | 1<<x86.ExcAC

// setException records a fault of the instruction being executed.
func (c *CPU) setException(vector uint8, err uint32) {
	c.ev = event{kind: evFault, vector: vector, hasErr: errCodes>>vector&1 != 0, err: err}
}

func (c *CPU) setPageFault(addr uint64, code uint32) {
	c.ev = event{kind: evFault, vector: x86.ExcPF, hasErr: true, err: code, cr2: addr}
}

// raise abandons the helper with an exception.
func (c *CPU) raise(vector uint8, err uint32) {
	c.setException(vector, err)
	panic(unwind)
}

// gp raises #GP with an error code, ud raises #UD.
func (c *CPU) gp(err uint32) { c.raise(x86.ExcGP, err) }
func (c *CPU) ud()           { c.raise(x86.ExcUD, 0) }

// deliverRecorded delivers what a callback recorded.
func (c *CPU) deliverRecorded() {
	ev := c.ev
	c.ev = event{}
	c.deliver(ev)
}

// Memory access of helpers; failures unwind.

func (c *CPU) rd(addr uint64, size int, mmu uint8) uint64 {
	v, ok := c.load(addr, size, mmu)
	if !ok {
		panic(unwind)
	}
	return v
}

func (c *CPU) wr(addr uint64, size int, v uint64, mmu uint8) {
	c.check(c.store(addr, size, v, mmu))
}

func (c *CPU) check(r stored) {
	if r == storeAgain {
		c.again = true
	}
	if r != storeDone {
		panic(unwind)
	}
}

func (c *CPU) rdBytes(addr uint64, b []byte, mmu uint8) {
	if !c.loadBytes(addr, b, mmu) {
		panic(unwind)
	}
}

func (c *CPU) wrBytes(addr uint64, b []byte, mmu uint8) { c.check(c.storeBytes(addr, b, mmu)) }

// probeWrite makes sure that n bytes can be written.
func (c *CPU) probeWrite(addr uint64, n int, mmu uint8) {
	if !c.checkRange(addr, n, accWrite, mmu) {
		panic(unwind)
	}
}

// rdSys reads a system structure.
func (c *CPU) rdSys(addr uint64, size int) uint64 { return c.rd(c.linear(addr), size, c.systemMMU()) }

func (c *CPU) wrSys(addr uint64, size int, v uint64) {
	c.wr(c.linear(addr), size, v, c.systemMMU())
}

// linear truncates an address to 32 bits outside long mode.
func (c *CPU) linear(addr uint64) uint64 {
	if c.env.EFER&x86.EFERLMA == 0 {
		return addr & 0xffffffff
	}
	return addr
}

// catch runs f and tells whether it ended without unwinding.
func (c *CPU) catch(f func()) (ok bool) {
	defer func() {
		if r := recover(); r != nil {
			if r != unwind {
				panic(r)
			}
			ok = false
		}
	}()
	f()
	return true
}

// contributory are the exceptions that make a double fault of another one.
const contributory = 1<<x86.ExcDE | 1<<x86.ExcTS | 1<<x86.ExcNP | 1<<x86.ExcSS | 1<<x86.ExcGP

// deliver makes the CPU enter the handler of an event; faults on the way become double and triple faults.
func (c *CPU) deliver(ev event) {
	c.deliverMore(ev, ev.kind == evFault || ev.kind == evTrap)
}

func (c *CPU) deliverMore(ev event, exception bool) {
	if c.endsGuest(&ev) {
		return
	}
	c.endShadow()
	for ev.kind != evNone {
		c.traceInt(&ev)
		if ev.kind == evFault && ev.vector == x86.ExcPF {
			c.env.CR[2] = ev.cr2
		}
		if exception && ev.kind == evFault && ev.vector != x86.ExcDB {
			c.env.EFlags |= x86.FlagRF
		}
		wasOnce := c.once
		c.once = true // writes to the stack may hit any code
		c.delivering = true
		c.svm.begin(&ev)
		ok := c.catch(func() { c.enterHandler(&ev) })
		c.once, c.again, c.delivering = wasOnce, false, false
		c.env.UpdateHFlags()
		if ok {
			c.svm.delivering = 0
			return
		}
		second := c.ev
		c.ev = event{}
		if c.endsGuest(&second) {
			return
		}
		if second.vector == x86.ExcPF {
			c.env.CR[2] = second.cr2
		}
		if exception && ev.vector == x86.ExcDF {
			c.tripleFault()
			return
		}
		if exception && doubleFault(ev.vector, second.vector) {
			second = event{kind: evFault, vector: x86.ExcDF, hasErr: true}
			if c.endsGuest(&second) {
				return
			}
		}
		ev, exception = second, true
	}
}

// keepsRF tells whether the resume flag has a meaning now: only with instruction breakpoints, so that returns drop it otherwise.
func (c *CPU) keepsRF() bool { return c.env.DR[7]&0xff != 0 }

func doubleFault(first, second uint8) bool {
	switch {
	case contributory>>first&1 != 0:
		return contributory>>second&1 != 0
	case first == x86.ExcPF:
		return second == x86.ExcPF || contributory>>second&1 != 0
	}
	return false
}

// endShadow ends the interrupt shadow of STI or MOV SS.
func (c *CPU) endShadow() {
	if c.env.Shadow != 0 {
		c.env.Shadow = 0
		c.env.HFlags &^= x86.HFInhibit
	}
}

// enterHandler does one attempt.
func (c *CPU) enterHandler(ev *event) {
	e := c.env
	switch {
	case e.CR[0]&x86.CR0PE == 0:
		c.enterReal(ev)
	case e.EFER&x86.EFERLMA != 0:
		c.enterLong(ev)
	default:
		c.enterProtected(ev)
	}
}

// savedPC is the program counter to save.
func (c *CPU) savedPC(ev *event) uint64 {
	if ev.software() {
		return ev.next
	}
	return c.env.PC
}

// enterReal goes through the interrupt vector table.
func (c *CPU) enterReal(ev *event) {
	e := c.env
	off := uint64(ev.vector) * 4
	if off+3 > uint64(e.IDT.Limit) {
		c.gp(uint32(ev.vector)*8 + 2)
	}
	ip := c.rdSys(e.IDT.Base+off, 2)
	cs := c.rdSys(e.IDT.Base+off+2, 2)
	s := c.stack(&e.Seg[x86.SS], e.Regs[x86.RSP], 0)
	s.push(2, e.Flags())
	s.push(2, uint64(e.Seg[x86.CS].Selector))
	s.push(2, c.savedPC(ev))
	s.commit()
	e.PC = ip
	e.Seg[x86.CS].Selector = uint16(cs)
	e.Seg[x86.CS].Base = cs << 4
	e.EFlags &^= x86.FlagIF | x86.FlagTF | x86.FlagAC | x86.FlagRF
}

// frame is a stack being written or read by a helper; the stack pointer changes at commit.
type frame struct {
	c    *CPU
	seg  x86.Segment // the stack segment
	err  uint32      // error code if its limit is violated: the selector of a new stack
	base uint64
	sp   uint64
	mask uint64
	mmu  uint8
}

// stack prepares pushes and pops on the stack of segment ss for privilege level cpl.
func (c *CPU) stack(ss *x86.Segment, sp uint64, cpl int) frame {
	f := frame{c: c, seg: *ss, base: ss.Base, sp: sp, mask: 0xffff, mmu: x86.MMUUser}
	switch {
	case c.env.HFlags&x86.HFCS64 != 0:
		f.base, f.mask = 0, ^uint64(0)
	case ss.Flags&x86.SegB != 0:
		f.mask = 0xffffffff
	}
	if cpl < 3 {
		f.mmu = c.env.KernelMMU()
	}
	return f
}

func (f *frame) addr() uint64 {
	if f.mask == ^uint64(0) {
		return f.sp
	}
	return f.c.linear((f.base + f.sp&f.mask) & 0xffffffff)
}

// check makes sure that an access stays within the stack segment.
func (f *frame) check(size int, write bool) {
	if f.mask == ^uint64(0) || !f.c.protectedMode() || f.seg.Limit == ^uint32(0) && f.seg.Flags&x86.SegE == 0 {
		return
	}
	if !allows(&f.seg, x86.SS, f.sp&f.mask, uint64(size), write) {
		f.c.raise(x86.ExcSS, f.err)
	}
}

func (f *frame) push(size int, v uint64) {
	f.sp -= uint64(size)
	f.check(size, true)
	f.c.wr(f.addr(), size, v, f.mmu)
}

func (f *frame) pop(size int) uint64 {
	f.check(size, false)
	v := f.c.rd(f.addr(), size, f.mmu)
	f.sp += uint64(size)
	return v
}

// commit writes the stack pointer.
func (f *frame) commit() { f.c.setSP(f.sp, f.mask) }

// setSP changes the part of RSP that a stack size selects.
func (c *CPU) setSP(sp, mask uint64) {
	r := &c.env.Regs[x86.RSP]
	switch mask {
	case 0xffff:
		*r = *r&^0xffff | sp&0xffff
	default:
		*r = sp & mask
	}
}
