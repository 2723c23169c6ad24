package tcg

import (
	"goemu/internal/trace"
	front "goemu/tcg/frontend/x86"
	"goemu/tcg/ir"
)

// maxCode is the length of the longest instruction.
const maxCode = 15

// fetcher supplies the frontend with code bytes of one block.
type fetcher struct {
	c      *CPU
	first  codePlace
	second codePlace
	asked  bool // the first page was given out
	buf    [2 * maxCode]byte
}

// Fetch implements the frontend's Fetcher.
func (f *fetcher) Fetch(linear uint64) []byte {
	p := &f.first
	if f.asked {
		next, ok := f.c.place(linear)
		if !ok {
			return nil
		}
		f.second = next
		p = &f.second
	}
	f.asked = true
	n := int(1<<ir.PageBits - linear&^pageMask)
	if p.host != 0 {
		return hostBytes(p.host, n)
	}
	b := f.buf[:min(n, maxCode)]
	f.c.readMMIOBytes(p.phys|linear&^pageMask, b)
	return b
}

// traceCode logs the guest code of a block that was translated.
func (c *CPU) traceCode(b *ir.Block, p *codePlace) {
	if trace.On(trace.InAsm) && p.host != 0 {
		n := min(b.Bytes, int(1<<ir.PageBits-p.addr&^pageMask))
		trace.Printf(trace.InAsm, "----------------\nIN: \n0x%08x:  % x\n\n", p.addr, hostBytes(p.host, n))
	}
	if trace.On(trace.Op) {
		trace.Printf(trace.Op, "OP:\n%s\n", ir.Text(b, front.Globals))
	}
}

// optimise runs the optimiser. Called under mu.
func (a *Accel) optimise(b *ir.Block) {
	if a.opt.NoOptimise {
		return
	}
	a.optimizer.Run(b)
	if trace.On(trace.OpOpt) {
		trace.Printf(trace.OpOpt, "OP after optimization and liveness analysis:\n%s\n", ir.Text(b, front.Globals))
	}
}
