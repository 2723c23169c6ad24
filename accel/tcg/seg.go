package tcg

import "goemu/target/x86"

// descriptorAt finds a descriptor in the GDT or LDT; ok is false beyond the table's limit.
func (c *CPU) descriptorAt(sel uint16) (at uint64, ok bool) {
	t := x86.Table{Base: c.env.GDT.Base, Limit: c.env.GDT.Limit}
	if sel&4 != 0 {
		l := &c.env.Seg[x86.LDTR]
		t.Base, t.Limit = l.Base, l.Limit
		if l.Flags&x86.SegP == 0 {
			return 0, false
		}
	}
	if uint32(sel|7) > t.Limit {
		return 0, false
	}
	return t.Base + uint64(sel&^7), true
}

// descriptor reads a descriptor; beyond the limit it raises exc with the selector.
func (c *CPU) descriptor(sel uint16, exc uint8) (lo, hi uint32, at uint64) {
	at, ok := c.descriptorAt(sel)
	if !ok {
		c.raise(exc, uint32(sel&^3))
	}
	v := c.rdSys(at, 8)
	return uint32(v), uint32(v >> 32), at
}

// markAccessed sets the accessed bit of a code or data descriptor in memory.
func (c *CPU) markAccessed(sel uint16, hi uint32) {
	if hi&x86.SegA != 0 || hi&x86.SegS == 0 {
		return
	}
	if at, ok := c.descriptorAt(sel); ok {
		c.wrSys(at+5, 1, uint64(hi|x86.SegA)>>8)
	}
}

// realSegment is what a segment register is in real and virtual-8086 mode.
func (c *CPU) realSegment(n int, sel uint16) {
	s := &c.env.Seg[n]
	s.Selector, s.Base = sel, uint64(sel)<<4
	if c.env.EFlags&x86.FlagVM != 0 {
		s.Limit = 0xffff
		s.Flags = x86.SegP | x86.SegS | x86.SegW | x86.SegA | 3<<x86.SegDPLShift
	}
}

// protectedMode tells that selectors name descriptors.
func (c *CPU) protectedMode() bool {
	return c.env.CR[0]&x86.CR0PE != 0 && c.env.EFlags&x86.FlagVM == 0
}

// loadSeg implements MOV to a segment register other than CS.
func (c *CPU) loadSeg(n int, sel uint16) {
	e := c.env
	if !c.protectedMode() {
		c.realSegment(n, sel)
		e.UpdateHFlags()
		return
	}
	err := uint32(sel &^ 3)
	cpl := e.CPL()
	if sel&^3 == 0 {
		if n == x86.SS && (e.HFlags&x86.HFCS64 == 0 || cpl == 3 || int(sel&3) != cpl) {
			c.gp(0)
		}
		s := x86.Segment{Selector: sel}
		if n == x86.SS { // null SS in 64-bit mode keeps its privilege level
			s.Flags = x86.SegP | x86.SegS | x86.SegW | x86.SegA | uint32(cpl)<<x86.SegDPLShift
		}
		e.Seg[n] = s
		e.UpdateHFlags()
		return
	}
	lo, hi, _ := c.descriptor(sel, x86.ExcGP)
	if hi&x86.SegS == 0 {
		c.gp(err)
	}
	rpl, dpl := int(sel&3), descDPL(hi)
	if n == x86.SS {
		if hi&x86.SegCode != 0 || hi&x86.SegW == 0 || rpl != cpl || dpl != cpl {
			c.gp(err)
		}
	} else {
		if hi&(x86.SegCode|x86.SegR) == x86.SegCode {
			c.gp(err)
		}
		if (hi&x86.SegCode == 0 || hi&x86.SegC == 0) && dpl < max(cpl, rpl) {
			c.gp(err)
		}
	}
	if hi&x86.SegP == 0 {
		if n == x86.SS {
			c.raise(x86.ExcSS, err)
		}
		c.raise(x86.ExcNP, err)
	}
	c.markAccessed(sel, hi)
	e.Seg[n] = segment(sel, lo, hi|x86.SegA)
	e.UpdateHFlags()
}

// systemSegment reads a descriptor of an LDT or TSS, 16 bytes long in long mode.
func (c *CPU) systemSegment(sel uint16) (s x86.Segment, at uint64) {
	if sel&4 != 0 {
		c.gp(uint32(sel &^ 3))
	}
	end := uint32(sel | 7)
	if c.env.EFER&x86.EFERLMA != 0 {
		end += 8
	}
	if end > c.env.GDT.Limit {
		c.gp(uint32(sel &^ 3))
	}
	lo, hi, at := c.descriptor(sel, x86.ExcGP)
	s = segment(sel, lo, hi)
	if c.env.EFER&x86.EFERLMA != 0 {
		up := c.rdSys(at+8, 8)
		if up>>40&0xf != 0 {
			c.gp(uint32(sel &^ 3))
		}
		s.Base |= up << 32
		if !c.canonicalBase(s.Base) {
			c.gp(uint32(sel &^ 3))
		}
	}
	return s, at
}

// loadTable implements LGDT and LIDT.
func (c *CPU) loadTable(t *x86.Table, base, limit uint64) {
	if c.env.HFlags&x86.HFCS64 != 0 && !c.canonicalBase(base) {
		c.gp(0)
	}
	*t = x86.Table{Base: base, Limit: uint32(limit & 0xffff)}
}

// lldt implements LLDT.
func (c *CPU) lldt(sel uint16) {
	e := c.env
	if sel&^3 == 0 {
		e.Seg[x86.LDTR] = x86.Segment{Selector: sel}
		return
	}
	s, _ := c.systemSegment(sel)
	if s.Flags&x86.SegS != 0 || descType(s.Flags) != typeLDT {
		c.gp(uint32(sel &^ 3))
	}
	if s.Flags&x86.SegP == 0 {
		c.raise(x86.ExcNP, uint32(sel&^3))
	}
	e.Seg[x86.LDTR] = s
}

// ltr implements LTR.
func (c *CPU) ltr(sel uint16) {
	if sel&^3 == 0 {
		c.gp(0)
	}
	s, at := c.systemSegment(sel)
	if t := descType(s.Flags); s.Flags&x86.SegS != 0 || t != typeTSS16 && t != typeTSS32 {
		c.gp(uint32(sel &^ 3))
	}
	if s.Flags&x86.SegP == 0 {
		c.raise(x86.ExcNP, uint32(sel&^3))
	}
	s.Flags |= x86.SegTSSBusy
	c.wrSys(at+5, 1, uint64(s.Flags>>8))
	c.env.Seg[x86.TR] = s
}

// lookup is what LAR, LSL, VERR and VERW have in common: the descriptor if it is visible.
func (c *CPU) lookup(sel uint16) (lo, hi uint32, ok bool) {
	if sel&^3 == 0 {
		return 0, 0, false
	}
	at, ok := c.descriptorAt(sel)
	if !ok {
		return 0, 0, false
	}
	v := c.rdSys(at, 8)
	lo, hi = uint32(v), uint32(v>>32)
	if hi&x86.SegS != 0 && hi&x86.SegCode != 0 && hi&x86.SegC != 0 {
		return lo, hi, true
	}
	return lo, hi, descDPL(hi) >= max(c.env.CPL(), int(sel&3))
}

// Types of system descriptors that LAR and LSL accept.
const (
	larTypes     = 1<<typeTSS16 | 1<<typeLDT | 1<<typeTSS16Busy | 1<<typeCall16 | 1<<typeTaskGate | 1<<typeTSS32 | 1<<typeTSS32Busy | 1<<typeCall32
	lslTypes     = 1<<typeTSS16 | 1<<typeLDT | 1<<typeTSS16Busy | 1<<typeTSS32 | 1<<typeTSS32Busy
	longLarTypes = 1<<typeLDT | 1<<typeTSS32 | 1<<typeTSS32Busy | 1<<typeCall32
	longLslTypes = 1<<typeLDT | 1<<typeTSS32 | 1<<typeTSS32Busy
)

func (c *CPU) systemAllowed(hi uint32, legacy, long uint32) bool {
	if hi&x86.SegS != 0 {
		return true
	}
	if c.env.EFER&x86.EFERLMA != 0 {
		legacy = long
	}
	return legacy>>descType(hi)&1 != 0
}

// lar and lsl return the value and whether ZF is to be set.
func (c *CPU) lar(sel uint16) (uint64, bool) {
	_, hi, ok := c.lookup(sel)
	if !ok || !c.systemAllowed(hi, larTypes, longLarTypes) {
		return 0, false
	}
	return uint64(hi & 0xf0ff00), true
}

func (c *CPU) lsl(sel uint16) (uint64, bool) {
	lo, hi, ok := c.lookup(sel)
	if !ok || !c.systemAllowed(hi, lslTypes, longLslTypes) {
		return 0, false
	}
	return uint64(descLimit(lo, hi)), true
}

// verify implements VERR and VERW.
func (c *CPU) verify(sel uint16, write bool) bool {
	_, hi, ok := c.lookup(sel)
	switch {
	case !ok || hi&x86.SegS == 0:
		return false
	case hi&x86.SegCode != 0:
		return !write && hi&x86.SegR != 0
	}
	return !write || hi&x86.SegW != 0
}
