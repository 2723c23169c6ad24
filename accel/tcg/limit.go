package tcg

import "goemu/target/x86"

// access of HelperCheckSeg: the segment, the size, whether it writes.
const (
	checkSizeShift  = 8
	checkWriteShift = 24
)

// checkSegment raises #GP or, for SS, #SS if an access to a segment violates its limit or rights. Preconditions: protected mode, no
// 64-bit code.
func (c *CPU) checkSegment(what, off uint64) {
	n := int(what & 7)
	if n < x86.NumSegs && !allows(&c.env.Seg[n], n, off, what>>checkSizeShift&0xffff, what>>checkWriteShift&1 != 0) {
		if n == x86.SS {
			c.raise(x86.ExcSS, 0)
		}
		c.gp(0)
	}
}

// allows tells whether segment register n with these contents lets size bytes at off be accessed (SDM volume 3, 5.3 and 5.5).
func allows(s *x86.Segment, n int, off, size uint64, write bool) bool {
	f := s.Flags
	last := off + size - 1
	switch {
	case f&x86.SegP == 0:
		return false
	case f&x86.SegCode != 0:
		return !write && f&x86.SegR != 0 && last <= uint64(s.Limit)
	case write && f&x86.SegW == 0:
		return false
	case f&x86.SegE != 0:
		top := uint64(0xffff)
		if f&x86.SegB != 0 {
			top = 0xffffffff
		}
		return off > uint64(s.Limit) && last <= top
	}
	return last <= uint64(s.Limit)
}

// limits tells whether segments must be checked now.
func (c *CPU) limits() bool { return c.env.HFlags&x86.HFLimits != 0 }

// checkStrings checks the next element of a string instruction.
func (s *stringOp) checkStrings(writes bool) {
	c, r := s.c, &s.c.env.Regs
	if s.useSrc {
		c.checkAlign(s.src(), s.size)
	}
	if s.useDst {
		c.checkAlign(s.dst(), s.size)
	}
	if !c.limits() {
		return
	}
	if s.useSrc {
		c.checkSegment(uint64(s.seg)|uint64(s.size)<<checkSizeShift, r[x86.RSI]&s.addr)
	}
	if s.useDst {
		w := uint64(0)
		if writes {
			w = 1 << checkWriteShift
		}
		c.checkSegment(x86.ES|uint64(s.size)<<checkSizeShift|w, r[x86.RDI]&s.addr)
	}
}
