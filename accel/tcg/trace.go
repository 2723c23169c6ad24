package tcg

import (
	"fmt"

	"goemu/accel"
	"goemu/internal/trace"
	"goemu/target/x86"
)

const shutdownTriple = accel.ShutdownTripleFault

// traceExec logs a block that is about to run.
func (c *CPU) traceExec(b *block) {
	if !trace.On(trace.Exec | trace.CPU) {
		return
	}
	trace.Printf(trace.Exec, "Trace %d: %d [%016x/%016x/%08x]\n", c.index, b.id, b.key.csBase, b.key.pc, b.key.flags)
	trace.Printf(trace.CPU, "%s", c.Dump())
}

// traceInt logs an exception or interrupt.
func (c *CPU) traceInt(ev *event) {
	if !trace.On(trace.Int) {
		return
	}
	e := c.env
	extra := fmt.Sprintf("env->regs[R_EAX]=%016x", e.Regs[x86.RAX])
	if ev.vector == x86.ExcPF && ev.kind == evFault {
		extra = fmt.Sprintf("CR2=%016x", ev.cr2)
	}
	trace.Printf(trace.Int, "%d: v=%02x e=%04x i=%d cpl=%d IP=%04x:%016x pc=%016x SP=%04x:%016x %s\n%s", c.index, ev.vector, ev.err,
		b2i(ev.software()), e.CPL(), e.Seg[x86.CS].Selector, e.PC, c.codeAddr(e.PC), e.Seg[x86.SS].Selector, e.Regs[x86.RSP], extra, c.Dump())
}

func (c *CPU) traceTriple() {
	trace.Printf(trace.Int|trace.Reset, "Triple fault\n%s", c.Dump())
}
