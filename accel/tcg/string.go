package tcg

import (
	"bytes"
	"encoding/binary"
	"sync/atomic"

	"goemu/target/x86"
	eng "goemu/tcg"
	"goemu/tcg/ir"
)

// Kinds of repetition.
const (
	repNone = iota
	repE
	repNE
)

// stringOp is a string instruction being executed. One chunk never leaves the pages that source and destination are in.
type stringOp struct {
	c       *CPU
	size    int
	writes  bool
	limited bool   // segment limits or alignment must be checked: element by element
	addr    uint64 // mask of the index registers and the counter
	seg     int
	rep     int
	step    uint64 // what an element adds to the index registers
	mmu     uint8
	useSrc  bool
	useDst  bool
	srcBase uint64
	dstBase uint64
}

func (c *CPU) stringOp(a uint64, useSrc, useDst bool) stringOp {
	e := c.env
	s := stringOp{c: c, size: int(a & 0xff), seg: int(a >> 16 & 0xff), rep: int(a >> 24 & 3), mmu: c.mmuIndex(), useSrc: useSrc, useDst: useDst}
	s.limited = c.env.HFlags&(x86.HFLimits|x86.HFAlign) != 0
	s.addr = ^uint64(0) >> (64 - 8*(a>>8&0xf))
	s.step = uint64(s.size)
	if e.EFlags&x86.FlagDF != 0 {
		s.step = -s.step
	}
	if s.seg < x86.NumSegs && (e.HFlags&x86.HFCS64 == 0 || s.seg == x86.FS || s.seg == x86.GS) {
		s.srcBase = e.Seg[s.seg].Base
	}
	if e.HFlags&x86.HFCS64 == 0 {
		s.dstBase = e.Seg[x86.ES].Base
	}
	return s
}

// linearize is the linear address of an index register's value.
func (s *stringOp) linearize(base, index uint64) uint64 {
	a := base + index&s.addr
	if s.c.env.HFlags&x86.HFCS64 == 0 {
		a &= 0xffffffff
	}
	return a
}

func (s *stringOp) src() uint64 { return s.linearize(s.srcBase, s.c.env.Regs[x86.RSI]) }
func (s *stringOp) dst() uint64 { return s.linearize(s.dstBase, s.c.env.Regs[x86.RDI]) }

// count is how many elements are to be done.
func (s *stringOp) count() uint64 {
	if s.rep == repNone {
		return 1
	}
	return s.c.env.Regs[x86.RCX] & s.addr
}

// room is the number of elements from an address (index register's value idx) to the end of its page or the index's range.
func (s *stringOp) room(addr, idx uint64) uint64 {
	off, n := addr&^pageMask, uint64(s.size)
	if s.step == n {
		k := (1<<ir.PageBits - off) / n
		if s.addr == 0xffff {
			k = min(k, (0x10000-idx&0xffff)/n)
		}
		return k
	}
	if off+n > 1<<ir.PageBits {
		return 0
	}
	k := off/n + 1
	if s.addr == 0xffff {
		k = min(k, idx&0xffff/n+1)
	}
	return k
}

// chunk is the number of elements that can be done in place: 0 means one element by the general path.
func (s *stringOp) chunk(count uint64) uint64 {
	r := &s.c.env.Regs
	if s.useSrc {
		count = min(count, s.room(s.src(), r[x86.RSI]))
	}
	if s.useDst {
		count = min(count, s.room(s.dst(), r[x86.RDI]))
	}
	return count
}

// advance moves the registers by n elements.
func (s *stringOp) advance(n uint64) {
	r := &s.c.env.Regs
	if s.useSrc {
		s.setReg(x86.RSI, r[x86.RSI]+n*s.step)
	}
	if s.useDst {
		s.setReg(x86.RDI, r[x86.RDI]+n*s.step)
	}
	if s.rep != repNone {
		s.setReg(x86.RCX, r[x86.RCX]-n)
	}
}

func (s *stringOp) setReg(n int, v uint64) {
	r := &s.c.env.Regs[n]
	if s.addr == 0xffff {
		*r = *r&^0xffff | v&0xffff
		return
	}
	*r = v & s.addr
}

// region finds the host memory of n elements around addr; nil if they must go the general way.
func (s *stringOp) region(addr, n uint64, write bool) []byte {
	acc, c := accRead, s.c
	if write {
		acc = accWrite
	}
	e, _, ok := c.resolve(addr, acc, s.mmu)
	if !ok {
		panic(unwind)
	}
	start := addr
	if s.step != uint64(s.size) {
		start = addr - (n-1)*uint64(s.size)
	}
	length := int(n) * s.size
	tag := tagOf(e, acc)
	if tag&(ir.TLBMMIO|ir.TLBWatch) != 0 {
		return nil
	}
	if write && tag&ir.TLBNotDirty != 0 && !c.notDirty(e, start, length) {
		c.again = true
		panic(unwind)
	}
	return hostBytes(uintptr(start+e.Addend), length)
}

// more tells whether the helper is to be called again to go on.
func (s *stringOp) more() uint64 {
	if s.rep != repNone && s.count() != 0 {
		return 1
	}
	return 0
}

// run executes f for chunk after chunk; f returns how many elements it has done and whether the instruction ends.
func (s *stringOp) run(f func(n uint64) (done uint64, end bool)) (uint64, eng.Action) {
	stepped := s.c.env.EFlags&x86.FlagTF != 0 // traps after each element
	for {
		n := s.count()
		if n == 0 {
			return 0, eng.Continue
		}
		k := s.chunk(n)
		if stepped {
			k = min(k, 1)
		}
		if s.limited {
			s.checkStrings(s.writes)
			k = min(k, 1)
		}
		done, end := f(k)
		s.advance(done)
		if end || s.rep == repNone {
			return 0, eng.Continue
		}
		if stepped || atomic.LoadUint32(&s.c.env.ExitReq) != 0 || s.c.once {
			return s.more(), eng.Continue
		}
	}
}

func helpMovs(c *CPU, a, _, _ uint64) (uint64, eng.Action) {
	s := c.stringOp(a, true, true)
	s.writes = true
	return s.run(func(n uint64) (uint64, bool) {
		src, dst := s.src(), s.dst()
		if n > 0 {
			if d := s.region(dst, n, true); d != nil {
				if b := s.region(src, n, false); b != nil {
					s.copy(d, b)
					return n, false
				}
			}
		}
		c.wr(dst, s.size, c.rd(src, s.size, s.mmu), s.mmu)
		return 1, false
	})
}

// copy copies as the instruction does: element by element in its direction, which shows when the regions overlap.
func (s *stringOp) copy(dst, src []byte) {
	if !overlap(dst, src) || len(dst) == s.size {
		copy(dst, src)
		return
	}
	n := s.size
	if s.step == uint64(n) {
		for i := 0; i < len(dst); i += n {
			s.copyOne(dst[i:i+n], src[i:i+n])
		}
		return
	}
	for i := len(dst) - n; i >= 0; i -= n {
		s.copyOne(dst[i:i+n], src[i:i+n])
	}
}

func (s *stringOp) copyOne(dst, src []byte) {
	switch s.size {
	case 1:
		dst[0] = src[0]
	case 8:
		binary.LittleEndian.PutUint64(dst, binary.LittleEndian.Uint64(src))
	default:
		copy(dst, src)
	}
}

func helpStos(c *CPU, a, _, _ uint64) (uint64, eng.Action) {
	s := c.stringOp(a, false, true)
	s.writes = true
	v := c.env.Regs[x86.RAX]
	return s.run(func(n uint64) (uint64, bool) {
		if n > 0 {
			if d := s.region(s.dst(), n, true); d != nil {
				fill(d, v, s.size)
				return n, false
			}
		}
		c.wr(s.dst(), s.size, v, s.mmu)
		return 1, false
	})
}

// fill repeats the low size bytes of v.
func fill(d []byte, v uint64, size int) {
	if v<<(64-8*size) == 0 {
		clear(d)
		return
	}
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], v)
	n := copy(d, b[:size])
	for n < len(d) {
		n += copy(d[n:], d[:n])
	}
}

func helpLods(c *CPU, a, _, _ uint64) (uint64, eng.Action) {
	s := c.stringOp(a, true, false)
	return s.run(func(uint64) (uint64, bool) {
		c.setRegSize(x86.RAX, s.size, c.rd(s.src(), s.size, s.mmu))
		return 1, false
	})
}

// setRegSize writes a register as an instruction of that operand size does.
func (c *CPU) setRegSize(n, size int, v uint64) {
	r := &c.env.Regs[n]
	switch size {
	case 1, 2:
		m := uint64(1)<<(8*size) - 1
		*r = *r&^m | v&m
	case 4:
		*r = v & 0xffffffff
	default:
		*r = v
	}
}

// compared sets the flags of comparing x with y and tells whether a repetition ends.
func (s *stringOp) compared(x, y uint64) bool {
	e := s.c.env
	m := ^uint64(0) >> (64 - 8*s.size)
	e.CCOp, e.CCDst, e.CCSrc = ir.PackCC(ir.CCCmp, uint8(s.size)), x&m, y&m
	equal := x&m == y&m
	return s.rep == repE && !equal || s.rep == repNE && equal
}

func leN(b []byte) (v uint64) {
	for i := len(b) - 1; i >= 0; i-- {
		v = v<<8 | uint64(b[i])
	}
	return v
}

// element is the i-th element of a region in the direction of the instruction.
func (s *stringOp) element(b []byte, i uint64) uint64 {
	at := int(i) * s.size
	if s.step != uint64(s.size) {
		at = len(b) - s.size - at
	}
	if s.size == 1 {
		return uint64(b[at])
	}
	return leN(b[at : at+s.size])
}

func helpScas(c *CPU, a, _, _ uint64) (uint64, eng.Action) {
	s := c.stringOp(a, false, true)
	v := c.env.Regs[x86.RAX]
	return s.run(func(n uint64) (uint64, bool) {
		if n > 0 {
			if d := s.region(s.dst(), n, false); d != nil {
				return s.scan(d, v, n)
			}
		}
		return 1, s.compared(v, c.rd(s.dst(), s.size, s.mmu))
	})
}

// scan compares v with the elements of a region.
func (s *stringOp) scan(d []byte, v, n uint64) (uint64, bool) {
	if s.size == 1 && s.rep == repNE && s.step == 1 {
		if i := bytes.IndexByte(d, byte(v)); i >= 0 {
			return uint64(i) + 1, s.compared(v, v)
		}
		return n, s.compared(v, uint64(d[n-1]))
	}
	for i := range n {
		if s.compared(v, s.element(d, i)) {
			return i + 1, true
		}
	}
	return n, false
}

func helpCmps(c *CPU, a, _, _ uint64) (uint64, eng.Action) {
	s := c.stringOp(a, true, true)
	return s.run(func(n uint64) (uint64, bool) {
		if n > 0 {
			if x := s.region(s.src(), n, false); x != nil {
				if y := s.region(s.dst(), n, false); y != nil {
					for i := range n {
						if s.compared(s.element(x, i), s.element(y, i)) {
							return i + 1, true
						}
					}
					return n, false
				}
			}
		}
		x := c.rd(s.src(), s.size, s.mmu)
		return 1, s.compared(x, c.rd(s.dst(), s.size, s.mmu))
	})
}

func helpIns(c *CPU, a, _, _ uint64) (uint64, eng.Action) {
	s := c.stringOp(a, false, true)
	s.writes = true
	port := uint16(c.env.Regs[x86.RDX])
	c.checkPort(port, s.size)
	return s.run(func(uint64) (uint64, bool) {
		c.probeWrite(s.dst(), s.size, s.mmu)
		c.wr(s.dst(), s.size, uint64(c.readIO(port, s.size)), s.mmu)
		return 1, false
	})
}

func helpOuts(c *CPU, a, _, _ uint64) (uint64, eng.Action) {
	s := c.stringOp(a, true, false)
	port := uint16(c.env.Regs[x86.RDX])
	c.checkPort(port, s.size)
	return s.run(func(uint64) (uint64, bool) {
		c.writeIO(port, s.size, uint32(c.rd(s.src(), s.size, s.mmu)))
		return 1, false
	})
}
