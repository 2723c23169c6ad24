package tcg

import (
	"fmt"
	"strings"

	"goemu/internal/trace"
	"goemu/target/x86"
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

// listing disassembles code at a linear address and program counter.
func listing(code []byte, addr, pc uint64, mode uint8) string {
	var s strings.Builder
	for len(code) > 0 {
		text, n := front.Disassemble(code, pc, mode)
		fmt.Fprintf(&s, "0x%08x:  %-30s %s\n", addr, fmt.Sprintf("% x", code[:n]), text)
		code, addr, pc = code[n:], addr+uint64(n), pc+uint64(n)
	}
	return s.String()
}

// codeSize is the width in bytes of the code segment that mode bits tell.
func codeSize(hflags uint32) uint8 {
	switch {
	case hflags&x86.HFCS64 != 0:
		return 8
	case hflags&x86.HFCS32 != 0:
		return 4
	}
	return 2
}

// traceCode logs the guest code of a block that was translated.
func (c *CPU) traceCode(b *ir.Block, p *codePlace) {
	if trace.On(trace.InAsm) && p.host != 0 {
		n := min(b.Bytes, int(1<<ir.PageBits-p.addr&^pageMask))
		trace.Printf(trace.InAsm, "----------------\nIN: \n%s\n", listing(hostBytes(p.host, n), p.addr, b.PC, codeSize(c.env.HFlags)))
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
