package tcg

import (
	"fmt"
	"strings"

	"goemu/target/x86"
	"goemu/tcg/ir"
)

// Kinds of hardware breakpoints in DR7.
const (
	brkExec = iota
	brkWrite
	brkIO
	brkAccess
)

// dr6Hits are the bits of DR6 that tell which breakpoints were met.
const dr6Hits = 15

// hwBreak is one of the four hardware breakpoints.
func (c *CPU) hwBreak(i int) (addr uint64, kind, length int, on bool) {
	d := c.env.DR[7]
	length = [4]int{1, 2, 8, 4}[d>>(18+4*i)&3]
	return c.env.DR[i], int(d >> (16 + 4*i) & 3), length, d>>(2*i)&3 != 0
}

// updateWatch finds the pages that data breakpoints watch.
func (c *CPU) updateWatch() {
	had := c.watchPages != nil
	c.watchPages = nil
	for i := range 4 {
		addr, kind, n, on := c.hwBreak(i)
		if !on || kind != brkWrite && kind != brkAccess {
			continue
		}
		if c.watchPages == nil {
			c.watchPages = map[uint64]bool{}
		}
		c.watchPages[addr&pageMask] = true
		c.watchPages[(addr+uint64(n)-1)&pageMask] = true
	}
	if list := c.accel.breaks.Load().watch; len(list) > 0 {
		if c.watchPages == nil {
			c.watchPages = map[uint64]bool{}
		}
		c.watchPagesOf(list)
	}
	if had || c.watchPages != nil {
		c.flushTLB(true)
	}
}

func (c *CPU) watched(page uint64) bool { return c.watchPages[page] }

// watchHit looks whether an access meets a data breakpoint. It reports false if the instruction must be executed again by itself, so
// that the trap comes right after it.
func (c *CPU) watchHit(addr uint64, n int, acc access) bool {
	var hit uint64
	for i := range 4 {
		at, kind, length, on := c.hwBreak(i)
		at &^= uint64(length - 1)
		if on && (kind == brkAccess || kind == brkWrite && acc == accWrite) && addr < at+uint64(length) && at < addr+uint64(n) {
			hit |= 1 << i
		}
	}
	if !c.debugWatch(addr, n, acc) {
		c.again = true
		return false
	}
	if hit == 0 {
		return true
	}
	if !c.once {
		c.again = true
		return false
	}
	c.watchDR6 |= hit
	return true
}

// ioBreak looks whether a port access meets an I/O breakpoint; the trap follows the instruction.
func (c *CPU) ioBreak(port uint16, size int) {
	if c.env.CR[4]&x86.CR4DE == 0 || c.env.DR[7]&0xff == 0 {
		return
	}
	for i := range 4 {
		at, kind, length, on := c.hwBreak(i)
		if on && kind == brkIO && uint64(port) < at+uint64(length) && at < uint64(port)+uint64(size) {
			c.watchDR6 |= 1 << i
		}
	}
}

// breakpoint looks for an instruction breakpoint at the program counter; true if it has raised #DB. While any is enabled, code is
// executed one instruction at a time.
func (c *CPU) breakpoint() bool {
	var hit, any uint64
	pc := c.codeAddr(c.env.PC)
	for i := range 4 {
		addr, kind, _, on := c.hwBreak(i)
		if on && kind == brkExec {
			any = 1
			if addr == pc {
				hit |= 1 << i
			}
		}
	}
	if any != 0 {
		c.once = true
	}
	if hit == 0 {
		return false
	}
	if c.env.EFlags&x86.FlagRF != 0 {
		c.env.EFlags &^= x86.FlagRF
		c.env.UpdateHFlags()
		return false
	}
	c.once = false
	c.env.DR[6] = c.env.DR[6]&^dr6Hits | hit
	c.deliver(event{kind: evFault, vector: x86.ExcDB})
	return true
}

// setHits reports the data and I/O breakpoints that an instruction met; those of earlier traps are forgotten then.
func (c *CPU) setHits() {
	if c.watchDR6&dr6Hits != 0 {
		c.env.DR[6] &^= dr6Hits
	}
	c.env.DR[6] |= c.watchDR6
	c.watchDR6 = 0
}

// deliverFault delivers what ended the instruction. Data breakpoints that a MOV SS before it met, and that waited for its end, are
// reported together with INT1, come right after the entry to the handler of INT n, and are lost with a fault.
func (c *CPU) deliverFault() {
	hits := c.watchDR6
	c.watchDR6 = 0
	switch c.ev.kind {
	case evICEBP:
		c.watchDR6 = hits
		c.setHits()
	case evSoft:
		if hits != 0 {
			c.deliverRecorded()
			c.watchDR6 |= hits
			c.setHits()
			c.deliver(event{kind: evTrap, vector: x86.ExcDB})
			return
		}
	}
	c.deliverRecorded()
}

// singleStep raises the trap of EFLAGS.TF after an instruction.
func (c *CPU) singleStep() {
	c.setHits()
	c.env.DR[6] |= x86.DR6BS
	c.deliver(event{kind: evTrap, vector: x86.ExcDB})
}

// Dump formats the registers in the way of QEMU's "info registers".
func (c *CPU) Dump() string {
	e := c.env
	var b strings.Builder
	fmt.Fprintf(&b, "CPU#%d\n", c.index)
	n := [16]string{"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI", "R8 ", "R9 ", "R10", "R11", "R12", "R13", "R14", "R15"}
	for i, r := range [16]int{0, 3, 1, 2, 6, 7, 5, 4, 8, 9, 10, 11, 12, 13, 14, 15} {
		sep := " "
		if i%4 == 3 {
			sep = "\n"
		}
		fmt.Fprintf(&b, "%s=%016x%s", n[r], e.Regs[r], sep)
	}
	f := e.Flags()
	fmt.Fprintf(&b, "RIP=%016x RFL=%08x [%s] CPL=%d II=%d A20=%d SMM=%d HLT=%d\n", e.PC, f, flagLetters(f), e.CPL(), e.Shadow,
		e.A20Mask>>20&1, e.HFlags/x86.HFSMM&1, b2i(c.halted.Load()))
	for i, s := range [8]string{"ES ", "CS ", "SS ", "DS ", "FS ", "GS ", "LDT", "TR "} {
		r := &e.Seg[i]
		fmt.Fprintf(&b, "%s=%04x %016x %08x %08x\n", s, r.Selector, r.Base, r.Limit, r.Flags)
	}
	fmt.Fprintf(&b, "GDT=     %016x %08x\nIDT=     %016x %08x\n", e.GDT.Base, e.GDT.Limit, e.IDT.Base, e.IDT.Limit)
	fmt.Fprintf(&b, "CR0=%08x CR2=%016x CR3=%016x CR4=%08x\n", e.CR[0], e.CR[2], e.CR[3], e.CR[4])
	fmt.Fprintf(&b, "DR6=%016x DR7=%016x\nCCS=%016x CCD=%016x CCO=%d\nEFER=%016x\n", e.DR[6], e.DR[7], e.CCSrc, e.CCDst, e.CCOp, e.EFER)
	return b.String()
}

func flagLetters(f uint64) string {
	out := []byte("-------")
	for i, l := range []struct {
		bit uint64
		c   byte
	}{{x86.FlagDF, 'D'}, {ir.FlagV, 'O'}, {ir.FlagS, 'S'}, {ir.FlagZ, 'Z'}, {ir.FlagA, 'A'}, {ir.FlagP, 'P'}, {ir.FlagC, 'C'}} {
		if f&l.bit != 0 {
			out[i] = l.c
		}
	}
	return string(out)
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func b2u(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

// tripleFault asks for a reset and stops the CPU until it comes.
func (c *CPU) tripleFault() {
	if c.intercepts(x86.SVMExitShutdown) {
		c.leaveGuest(vmexit{code: x86.SVMExitShutdown})
		return
	}
	c.traceTriple()
	c.halted.Store(true)
	c.env.EFlags &^= x86.FlagIF
	c.accel.machine.Request(shutdownTriple, "")
}
