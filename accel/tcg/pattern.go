package tcg

import (
	"goemu/internal/trace"
	"goemu/target/x86"
	eng "goemu/tcg"
	"goemu/tcg/ir"
)

// User code in position-independent programs and libraries is at another address in each process. A block of such code that is met at a
// second address gives a pattern, from which those for further addresses are made without translating.

// place0 identifies code within a page whatever its address is.
type place0 struct {
	host  uintptr
	flags uint32
}

// seen is what is known of the code at a place.
type seen struct {
	pc      uint64 // where it was translated first
	pattern *pattern
}

// pattern makes blocks from compiled code; none tells that it cannot.
type pattern struct {
	none  bool
	code  eng.Pattern
	pc    uint64
	exits []ir.Exit
	bytes int
}

// Program counters that patterns are for: those of user code, but not so low that they fit shorter encodings.
const (
	patternMin  = 1 << 32
	patternMax  = 1<<47 - 1
	patternFlip = patternMax &^ (1<<ir.PageBits - 1) // gives one that differs in everything but the place in the page
)

// movable tells whether the code of a block may be found at other addresses.
func (a *Accel) movable(k *key) bool {
	return a.patterner != nil && k.flags&(x86.HFCS64|x86.HFCPLMask) == x86.HFCS64|3 && k.csBase == 0 && k.cond == 0 && k.pc >= patternMin && k.pc <= patternMax &&
		!a.table.hot[*k] && a.breaks.Load() == &noBreaks && !trace.On(trace.InAsm|trace.Op|trace.OpOpt)
}

// moved makes a block from a pattern; ok is false if there is none.
func (a *Accel) moved(k *key, page *codePage) (b *block, ok bool, err error) {
	p := page.seen[place0{k.host, k.flags}].pattern
	if p == nil || p.none {
		return nil, false, nil
	}
	id := uint64(len(a.table.byID))
	code, err := p.code.Compile(k.pc, id)
	if err != nil {
		return nil, true, err
	}
	b = a.table.pool.block(p.exits)
	for i := range b.out {
		b.out[i].pc += k.pc - p.pc
	}
	b.bytes, b.code = p.bytes, code
	a.enter(b, k, id, page)
	return b, true, nil
}

// note remembers that code was translated. At its second address a pattern is made, for which it is translated once more.
func (c *CPU) note(b *block, irb *ir.Block, p codePlace, limit int) {
	a, k := c.accel, &b.key
	at := place0{k.host, k.flags}
	s, ok := b.page.seen[at]
	switch {
	case !ok:
		if b.page.seen == nil {
			b.page.seen = map[place0]seen{}
		}
		b.page.seen[at] = seen{pc: k.pc}
		return
	case s.pc == k.pc || s.pattern != nil:
		return
	}
	n := &pattern{none: true, pc: k.pc, exits: append([]ir.Exit(nil), irb.Exits...), bytes: irb.Bytes}
	b.page.seen[at] = seen{pc: s.pc, pattern: n}
	pc := k.pc ^ patternFlip
	if pc < patternMin {
		return
	}
	p.addr = pc
	f := &c.fetch
	*f = fetcher{c: c, first: p}
	other, err := a.front.Translate(pc, 0, k.flags, f, limit)
	if err != nil || other.Bytes != n.bytes || len(other.Exits) != len(n.exits) {
		return
	}
	for i, x := range other.Exits {
		if y := n.exits[i]; x.Kind != y.Kind || x.Reason != y.Reason || x.PC-y.PC != pc-k.pc {
			return
		}
	}
	a.optimise(other)
	if n.code = a.patterner.Pattern(b.code, k.pc, other); n.code != nil {
		n.none = false
	}
}
