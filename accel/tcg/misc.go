package tcg

import (
	"crypto/rand"

	"goemu/accel"
	"goemu/target/x86"
	eng "goemu/tcg"
	"goemu/tcg/ir"
)

const arithFlags = ir.FlagAll

// setFlag changes one of the arithmetic flags.
func (c *CPU) setFlag(bit uint64, on bool) {
	v := c.env.Image() &^ bit
	if on {
		v |= bit
	}
	c.setImage(v)
}

func (c *CPU) setImage(v uint64) { c.env.CCOp, c.env.CCDst, c.env.CCSrc = 0, 0, v&arithFlags }

// cpuid implements CPUID.
func (c *CPU) cpuid() {
	e := c.env
	s := x86.CPUIDState{APICID: c.apicID, CR4: e.CR[4], XCR0: e.XCR0, XSS: e.XSS, APICBase: x86.APICBaseEnable}
	if c.ic != nil {
		s.APICBase = c.ic.Base()
	}
	r := c.cfg.CPUID(uint32(e.Regs[x86.RAX]), uint32(e.Regs[x86.RCX]), &s)
	for i, n := range [4]int{x86.RAX, x86.RBX, x86.RCX, x86.RDX} {
		e.Regs[n] = uint64(r[i])
	}
}

func helpRDRAND(c *CPU, size, _, _ uint64) (uint64, eng.Action) {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	c.setImage(ir.FlagC)
	v := le.Uint64(b[:])
	if size < 8 {
		v &= 1<<(8*size) - 1
	}
	return v, eng.Continue
}

// popFlags implements POPF.
func (c *CPU) popFlags(v uint64, size int) {
	e := c.env
	mask := uint64(x86.FlagTF | x86.FlagDF | x86.FlagNT | x86.FlagAC | x86.FlagID)
	cpl, iopl := e.CPL(), int(e.EFlags&x86.FlagIOPL>>12)
	switch {
	case e.CR[0]&x86.CR0PE == 0 || cpl == 0 && e.EFlags&x86.FlagVM == 0:
		mask |= x86.FlagIF | x86.FlagIOPL
	case e.EFlags&x86.FlagVM != 0 && iopl < 3:
		c.needVME(size)
		c.popVirtual(v, x86.FlagTF|x86.FlagDF|x86.FlagNT)
		e.EFlags &^= x86.FlagRF
		e.UpdateHFlags()
		return
	case cpl <= iopl:
		mask |= x86.FlagIF
	}
	c.writeFlags(v, mask, size)
	e.EFlags &^= x86.FlagRF
	e.UpdateHFlags()
}

// virtualIF tells whether CLI and STI act on VIF, and raises #GP if they may not be executed at all.
func (c *CPU) virtualIF() bool {
	e := c.env
	if e.CR[0]&x86.CR0PE == 0 || e.CPL() <= int(e.EFlags&x86.FlagIOPL>>12) {
		return false
	}
	vm := e.EFlags&x86.FlagVM != 0
	if vm && e.CR[4]&x86.CR4VME != 0 || !vm && e.CPL() == 3 && e.CR[4]&x86.CR4PVI != 0 {
		return true
	}
	c.gp(0)
	return false
}

func (c *CPU) cli() {
	if c.virtualIF() {
		c.env.EFlags &^= x86.FlagVIF
		return
	}
	c.env.EFlags &^= x86.FlagIF
}

func (c *CPU) sti() {
	e := c.env
	if c.virtualIF() {
		if e.EFlags&x86.FlagVIP != 0 {
			c.gp(0)
		}
		e.EFlags |= x86.FlagVIF
		return
	}
	if e.EFlags&x86.FlagIF == 0 {
		e.EFlags |= x86.FlagIF
		c.beginShadow()
	}
}

// beginShadow keeps interrupts away until the next instruction has ended.
func (c *CPU) beginShadow() {
	c.env.Shadow = 1
	c.env.HFlags |= x86.HFInhibit
}

// enter implements ENTER with nesting.
func helpEnter(c *CPU, size, level, sizes uint64) (uint64, eng.Action) {
	e := c.env
	op := int(sizes & 0xff)
	s := c.stack(&e.Seg[x86.SS], e.Regs[x86.RSP], e.CPL())
	s.mmu = c.mmuIndex()
	bp := frame{c: c, base: s.base, sp: e.Regs[x86.RBP], mask: s.mask, mmu: s.mmu}
	s.push(op, e.Regs[x86.RBP])
	top := s.sp
	level &= 31
	for i := uint64(1); i < level; i++ {
		bp.sp -= uint64(op)
		s.push(op, c.rd(bp.addr(), op, bp.mmu))
	}
	if level > 0 {
		s.push(op, top)
	}
	s.sp -= size
	p := s
	c.probeWrite(p.addr(), op, s.mmu)
	c.setRegSize(x86.RBP, op, top)
	if s.mask == 0xffff {
		c.setRegSize(x86.RBP, 2, top)
	}
	s.commit()
	return 0, eng.Continue
}

// bound implements BOUND.
func helpBound(c *CPU, index, addr, size uint64) (uint64, eng.Action) {
	mmu, n := c.mmuIndex(), int(size)
	sx := func(v uint64) int64 { return int64(v<<(64-8*size)) >> (64 - 8*size) }
	lo, hi := sx(c.rd(addr, n, mmu)), sx(c.rd(c.next(addr, n), n, mmu))
	if i := sx(index); i < lo || i > hi {
		c.raise(x86.ExcBR, 0)
	}
	return 0, eng.Continue
}

// helpCmpXchg8B implements CMPXCHG8B.
func helpCmpXchg8B(c *CPU, addr, _, _ uint64) (uint64, eng.Action) {
	e := c.env
	c.checkAlign(addr, 8)
	m := ir.MemOp{Size: 8, MMU: c.mmuIndex()}
	want := c.pair()
	old, act := c.CmpXchg(addr, m, want, e.Regs[x86.RCX]<<32|e.Regs[x86.RBX]&0xffffffff)
	if act != eng.Continue {
		return 0, act
	}
	if old != want {
		c.setPair(old)
	}
	c.setFlag(ir.FlagZ, old == want)
	return 0, eng.Continue
}

// helpCmpXchg16B implements CMPXCHG16B.
func helpCmpXchg16B(c *CPU, addr, _, _ uint64) (uint64, eng.Action) {
	e := c.env
	r := &e.Regs
	host, act := c.atomicHost(addr, ir.MemOp{Size: 16, Align: 16, MMU: c.mmuIndex()})
	if act != eng.Continue {
		return 0, act
	}
	var lo, hi uint64
	if host != 0 {
		lo, hi = cas16(host, r[x86.RAX], r[x86.RDX], r[x86.RBX], r[x86.RCX])
	} else {
		mmu := c.mmuIndex()
		lo, hi = c.rd(addr, 8, mmu), c.rd(addr+8, 8, mmu)
		nlo, nhi := lo, hi
		if lo == r[x86.RAX] && hi == r[x86.RDX] {
			nlo, nhi = r[x86.RBX], r[x86.RCX]
		}
		c.wr(addr, 8, nlo, mmu)
		c.wr(addr+8, 8, nhi, mmu)
	}
	equal := lo == r[x86.RAX] && hi == r[x86.RDX]
	if !equal {
		r[x86.RAX], r[x86.RDX] = lo, hi
	}
	c.setFlag(ir.FlagZ, equal)
	return 0, eng.Continue
}

// szp are the sign, zero and parity flags of a byte.
func szp(b uint8) uint64 {
	return ir.Image(ir.PackCC(ir.CCLogic, 1), uint64(b), 0)
}

func (c *CPU) setAL(v uint8)  { c.setRegSize(x86.RAX, 1, uint64(v)) }
func (c *CPU) setAX(v uint16) { c.setRegSize(x86.RAX, 2, uint64(v)) }

// decimalAdjust implements DAA and DAS.
func (c *CPU) decimalAdjust(sub bool) {
	al := uint8(c.env.Regs[x86.RAX])
	f := c.env.Image()
	cf, af := f&ir.FlagC != 0, f&ir.FlagA != 0
	old := al
	var out uint64
	adj := func(n uint8) {
		if sub {
			n = -n
		}
		al += n
	}
	if old&15 > 9 || af {
		if sub && old < 6 {
			out |= ir.FlagC
		}
		adj(6)
		out |= ir.FlagA
	}
	if old > 0x99 || cf {
		adj(0x60)
		out |= ir.FlagC
	} else if !sub {
		out &^= ir.FlagC
	}
	c.setAL(al)
	c.setImage(out | szp(al))
}

// asciiAdjust implements AAA and AAS.
func (c *CPU) asciiAdjust(sub bool) {
	ax := uint16(c.env.Regs[x86.RAX])
	f := c.env.Image() &^ (ir.FlagA | ir.FlagC)
	if ax&15 > 9 || c.env.Image()&ir.FlagA != 0 {
		if sub {
			ax -= 0x106
		} else {
			ax += 0x106
		}
		f |= ir.FlagA | ir.FlagC
	}
	c.setAX(ax & 0xff0f)
	c.setImage(f)
}

func helpAAM(c *CPU, base, _, _ uint64) (uint64, eng.Action) {
	b := uint8(base)
	if b == 0 {
		c.raise(x86.ExcDE, 0)
	}
	al := uint8(c.env.Regs[x86.RAX])
	c.setAX(uint16(al/b)<<8 | uint16(al%b))
	c.setImage(szp(al % b))
	return 0, eng.Continue
}

func helpAAD(c *CPU, base, _, _ uint64) (uint64, eng.Action) {
	ax := uint16(c.env.Regs[x86.RAX])
	al := uint8(ax>>8)*uint8(base) + uint8(ax)
	c.setAX(uint16(al))
	c.setImage(szp(al))
	return 0, eng.Continue
}

// fwait raises a pending x87 exception.
func (c *CPU) fwait() {
	e := c.env
	if e.FPSW&0x80 == 0 {
		return
	}
	if e.CR[0]&x86.CR0NE != 0 {
		c.raise(x86.ExcMF, 0)
	}
}

// leaveAt leaves the block for the execution loop.
func (c *CPU) leaveAt(pc uint64, reason uint32) (uint64, eng.Action) {
	c.env.PC = pc
	c.env.ExitInfo = reason
	return 0, eng.Stop
}

// helpMWAIT waits like HLT if nobody else could write the monitored line, else it only lets others run.
func helpMWAIT(c *CPU, next, _, _ uint64) (uint64, eng.Action) {
	if c.env.Regs[x86.RCX]&0xffffffff > 1 {
		c.gp(0)
	}
	if c.env.CPL() != 0 {
		c.ud()
	}
	if len(c.accel.list()) > 1 {
		return c.leaveAt(next, x86.ExitPause)
	}
	return c.leaveAt(next, x86.ExitHalt)
}

var _ accel.CPU = (*CPU)(nil)
var _ eng.CPU = (*CPU)(nil)
