package amd64

import (
	"time"

	"goemu/tcg"
	"goemu/tcg/ir"
)

// An access in a hot block first looks at the entry of the soft TLB that it used last: the entry's address comes from Header.Sites and does
// not depend on the guest's address, so that the host need not wait for a look-up. If an access keeps changing its entry, its block is
// compiled anew without that.

const (
	// missLimit is how often a site may miss until the engine looks how fast the misses came. Each time that they were slow it waits for
	// twice as many, up to missMost.
	missLimit = 64
	missMost  = 1 << 14
	// missPause is how far misses must be apart on average for a site to keep guessing.
	missPause = 400 * time.Nanosecond
)

// check is the jumps that are taken if an access may not be made directly, or if another soft TLB entry than the site's must be looked at.
type check struct {
	jcc, jcc2 int // positions of the rel32; jcc2 may be 0
	miss      miss
}

// miss is what is needed to look the entry up.
type miss struct {
	on   bool
	s    span
	site uint32
	pc   uint64
	back int // where the check goes on with the entry's address in t
}

// siteMem is a site's entry in the environment.
func siteMem(mmu uint8, n uint32) Operand {
	return envMem(offSites + (uint32(mmu)*ir.NumSites+n)*siteSize)
}

// guess checks a span against the entry that the site used last. alignMask has the low bits of addresses that must be zero, so that
// nothing crosses a page. The entry's address goes to t.
func (c *compiler) guess(s span, alignMask int32) (k check) {
	k.miss = c.beginGuess(s)
	c.leaOrMov(s.u, s.base, s.lo)
	c.aluImm(aluAnd, 8, R(s.u), -1<<ir.PageBits|alignMask)
	c.alu(aluCmp, 8, s.u, M(s.t, tagOf(s.write)))
	k.jcc = c.jccFwd(byte(ir.CondNE))
	k.miss.back = c.pos()
	return k
}

// guessSpan is guess for a span of any size.
func (c *compiler) guessSpan(s span) (k check) {
	k.miss = c.beginGuess(s)
	c.leaOrMov(s.u, s.base, s.hi)
	c.aluImm(aluAnd, 8, R(s.u), -1<<ir.PageBits)
	c.alu(aluCmp, 8, s.u, M(s.t, tagOf(s.write)))
	k.jcc = c.jccFwd(byte(ir.CondNE))
	c.leaOrMov(s.u, s.base, s.lo)
	c.alu(aluCmp, 8, s.u, M(s.t, tagOf(s.write)))
	k.jcc2 = c.jccFwd(byte(ir.CondB))
	k.miss.back = c.pos()
	return k
}

// guesses tells whether the current instruction's access may use a site.
func (c *compiler) guesses() bool {
	if !c.b.Hot || c.late {
		return false
	}
	c.e.plainMu.Lock()
	defer c.e.plainMu.Unlock()
	return !c.e.plain[c.insnPC]
}

// beginGuess takes a site and loads its entry's address to t.
func (c *compiler) beginGuess(s span) miss {
	c.noteCC()
	n := c.e.nextSite % ir.NumSites
	c.e.nextSite++
	c.load(8, s.t, siteMem(s.mmu, n))
	return miss{on: true, s: s, site: n, pc: c.insnPC}
}

// missed binds the jumps of a check. After a guess, it looks the entry up and goes on with the check. What follows is the slow path.
func (c *compiler) missed(k *check) {
	c.bind(k.jcc)
	if k.jcc2 != 0 {
		c.bind(k.jcc2)
	}
	m := &k.miss
	if !m.on {
		return
	}
	slow := c.lookupSpan(&m.s)
	site := siteMem(m.s.mmu, m.site)
	c.store(8, site, m.s.t)
	left := site
	left.Disp += int32(offLeft)
	c.digit(opGrp4, 4, g4Dec, left)
	ask := c.jccFwd(byte(ir.CondS))
	again := c.pos()
	c.b1(0xe9)
	c.u32(uint32(m.back - (c.pos() + 4)))
	c.bind(ask)
	c.leave(desc{kind: leaveSite, reg: NoReg, reg2: NoReg, aux: m.s.mmu, n: int32(m.site), pc: m.pc, x: c.id})
	c.b1(0xe9)
	c.u32(uint32(again - (c.pos() + 4)))
	c.bind(slow)
}

// resetSites makes every site name some entry of its regime's table.
func resetSites(h *ir.Header) {
	for i := range h.Sites {
		for k := range h.Sites[i] {
			h.Sites[i][k] = ir.Site{Entry: h.TLB[i].Base, Left: missLimit, Quota: missLimit}
		}
	}
}

// epoch is when the program started, as far as sites are concerned.
var epoch = time.Now()

// sinceEpoch is the time by which misses are judged.
func sinceEpoch() time.Duration { return time.Since(epoch) }

// site looks how fast the misses of a site came. If that is too fast, the access is not to guess any more.
func (r runner) site(d *desc) (tcg.Leave, bool) {
	s := &r.hdr.Sites[d.aux%ir.NumMMU][d.n%ir.NumSites]
	now := uint64(r.e.now())
	quota := min(2*s.Quota, missMost)
	if now-s.Since < uint64(s.Quota)*uint64(missPause) {
		quota = missLimit
		r.e.plainMu.Lock()
		r.e.plain[d.pc] = true
		r.e.plainMu.Unlock()
		if r.e.anew != nil {
			r.e.anew(d.x)
		}
	}
	s.Left, s.Quota, s.Since = quota, quota, now
	return r.resume(tcg.Continue, descSize)
}
