package tcg

import (
	"goemu/target/x86"
	front "goemu/tcg/frontend/x86"
	"goemu/tcg/ir"
)

// noFrom is CPU.from if the last run did not end with an indirect branch.
const noFrom = ^uint64(0)

// nonCanonical records the exception of an access to a non-canonical address.
func (c *CPU) nonCanonical(addr uint64, acc access) {
	vector := uint8(x86.ExcGP)
	if acc != accExec && !c.delivering && c.env.HFlags&x86.HFCS64 != 0 {
		if code := c.codeAt(c.env.PC); front.ThroughStack(code, c.env, addr) {
			vector = x86.ExcSS
		}
	}
	c.setException(vector, 0)
}

// codeAt is the code at a program counter as far as it can be read, up to the longest instruction.
func (c *CPU) codeAt(pc uint64) []byte {
	b := make([]byte, maxCode)
	ev, addr := c.ev, c.codeAddr(pc)
	for n := maxCode; n > 0; {
		if p, ok := c.place(addr); ok && p.host != 0 {
			k := min(n, int(1<<ir.PageBits-addr&^pageMask))
			copy(b[maxCode-n:], hostBytes(p.host, k))
			n, addr = n-k, c.next(addr, k)
			continue
		}
		b = b[:maxCode-n]
		break
	}
	c.ev = ev
	return b
}

// branchFault is called when the code at the program counter could not be fetched: if a near indirect branch led to a non-canonical
// address, it is the branch that faults.
func (c *CPU) branchFault() {
	from := c.from
	c.from = noFrom
	if from == noFrom || from == c.env.PC || c.ev.vector != x86.ExcGP || c.env.HFlags&x86.HFCS64 == 0 || c.canonical(c.env.PC) {
		return
	}
	if delta, ok := front.UndoBranch(c.codeAt(from), from, codeSize(c.env.HFlags)); ok {
		c.env.PC = from
		c.env.Regs[x86.RSP] += uint64(delta)
	}
}

// canonicalBase tells whether a value may be the base of a segment or descriptor table or the entry point in an MSR: what counts is the
// width of linear addresses that the CPU could have, not the one in use.
func (c *CPU) canonicalBase(v uint64) bool {
	sh := uint(16)
	if c.cfg.Features.Has(x86.FeatLA57) {
		sh = 7
	}
	return uint64(int64(v<<sh)>>sh) == v
}
