package tcg

import (
	"goemu/target/x86"
	"goemu/tcg/ir"
)

// The plain cases of what a 32-bit kernel with flat segments does around its system calls.

// flat32 are the mode bits of 32-bit code with flat segments in protected mode, among those of flatMask.
const (
	flat32   = x86.HFPE | x86.HFCS32 | x86.HFSS32
	flatMask = flat32 | x86.HFCS64 | x86.HFLMA | x86.HFVM | x86.HFAddSeg | x86.HFLimits
)

// fastLoadSeg loads DS, ES, FS or GS if that leaves the mode bits as they are.
//
//go:nosplit
//go:norace
func fastLoadSeg(e *x86.Env, n uint64, sel uint16) bool {
	if e.CR[0]&x86.CR0PE == 0 || e.EFlags&x86.FlagVM != 0 || n != x86.DS && n != x86.ES && n != x86.FS && n != x86.GS {
		return false
	}
	s := &e.Seg[n&7]
	old := *s
	if sel&^3 == 0 {
		*s = x86.Segment{Selector: sel}
	} else {
		lo, hi, ok := fastDescriptor(e, sel)
		if !ok || !mayLoad(e, sel, hi) {
			return false
		}
		setDescriptor(s, sel, lo, hi)
	}
	if e.HFlags&x86.HFCS64 == 0 && e.CompatBits() != e.HFlags&(x86.HFAddSeg|x86.HFLimits) {
		*s = old
		return false
	}
	return true
}

// mayLoad tells whether a descriptor that has been accessed before may be loaded into a data segment register.
//
//go:nosplit
//go:norace
func mayLoad(e *x86.Env, sel uint16, hi uint32) bool {
	const is = x86.SegP | x86.SegS | x86.SegA
	if hi&is != is || hi&(x86.SegCode|x86.SegR) == x86.SegCode {
		return false
	}
	dpl := hi >> x86.SegDPLShift & 3
	return hi&(x86.SegCode|x86.SegC) == x86.SegCode|x86.SegC || dpl >= e.HFlags&x86.HFCPLMask && dpl >= uint32(sel&3)
}

// fastPopF is POPF of 32 or 64 bits that changes no mode bits and lets no interrupt in that waits.
//
//go:nosplit
//go:norace
func (c *CPU) fastPopF(v, size uint64) bool {
	e := c.env
	if size < 4 || e.HFlags&(x86.HFPE|x86.HFVM) != x86.HFPE || e.IRQWait != 0 || c.lines.Load() != 0 {
		return false
	}
	mask := uint64(arithFlags | x86.FlagTF | x86.FlagDF | x86.FlagNT | x86.FlagAC | x86.FlagID)
	cpl := e.HFlags & x86.HFCPLMask
	if cpl == 0 {
		mask |= x86.FlagIOPL
	}
	if cpl <= uint32(e.EFlags&x86.FlagIOPL)>>12 {
		mask |= x86.FlagIF
	}
	flags := e.EFlags&^mask | v&mask
	if (e.EFlags|flags)&rare != 0 || (e.EFlags^flags)&(x86.FlagAC|x86.FlagIOPL) != 0 {
		return false
	}
	e.EFlags = flags&^arithFlags | 2
	e.CCOp, e.CCDst, e.CCSrc = 0, 0, flags&arithFlags
	return true
}

// enterFlat makes flags, a privilege level and the segments that are loaded already the current ones, for 32-bit code.
//
//go:nosplit
//go:norace
func (c *CPU) enterFlat(flags uint64, cpl uint32) bool {
	hf := longMode(c.env, flags, cpl)&^x86.HFLimits | flat32 | c.env.CompatBits()
	return hf&flatMask == flat32 && c.mayTransfer(hf) && c.enterMode(flags, hf)
}

// fastSys goes to a privilege level with the flat segments that selectors from sel on name, outside long mode, without the flags in off.
//
//go:nosplit
//go:norace
func (c *CPU) fastSys(cpl uint32, sel uint16, off uint64) bool {
	e := c.env
	flags := e.EFlags | ir.Image(e.CCOp, e.CCDst, e.CCSrc) | 2
	if e.HFlags&flatMask != flat32 || e.SysenterCS&^3 == 0 || flags&rare != 0 {
		return false
	}
	cs, ss := e.Seg[x86.CS], e.Seg[x86.SS]
	setFlat(&e.Seg[x86.CS], sel, flatCode32|cpl<<x86.SegDPLShift)
	setFlat(&e.Seg[x86.SS], sel+8, flatData|cpl<<x86.SegDPLShift)
	if !c.enterFlat(flags&^off, cpl) {
		e.Seg[x86.CS], e.Seg[x86.SS] = cs, ss
		return false
	}
	return true
}

// fastSysenter is SYSENTER.
//
//go:nosplit
//go:norace
func (c *CPU) fastSysenter() (pc uint64, ok bool) {
	e := c.env
	if !c.fastSys(0, uint16(e.SysenterCS)&^3, x86.FlagIF) {
		return 0, false
	}
	e.Regs[x86.RSP] = e.SysenterESP & 0xffffffff
	return e.SysenterEIP & 0xffffffff, true
}

// fastSysexit is SYSEXIT.
//
//go:nosplit
//go:norace
func (c *CPU) fastSysexit() (pc uint64, ok bool) {
	e := c.env
	if e.HFlags&x86.HFCPLMask != 0 || !c.fastSys(3, (uint16(e.SysenterCS)|3)+16, 0) {
		return 0, false
	}
	e.Regs[x86.RSP] = e.Regs[x86.RCX] & 0xffffffff
	return e.Regs[x86.RDX] & 0xffffffff, true
}

// fastIretFlat is IRETD in 32-bit code of privilege level 0 to level 0 or 3, where no segment register is to be emptied.
//
//go:nosplit
//go:norace
func (c *CPU) fastIretFlat() (pc uint64, ok bool) {
	e := c.env
	if e.HFlags&(flatMask|x86.HFCPLMask) != flat32 || e.EFlags&(x86.FlagNT|rare) != 0 || c.nmiBlocked {
		return 0, false
	}
	sp := e.Regs[x86.RSP] & 0xffffffff
	at := fastHost(e, sp, 12, x86.MMUKernel, accRead)
	if at == 0 {
		return 0, false
	}
	f := (*[3]uint32)(ptr(uintptr(at)))
	pc = uint64(f[0])
	sel, flags := uint16(f[1]), uint64(f[2])
	cpl := uint32(sel & 3)
	const (
		codeIs   = x86.SegP | x86.SegS | x86.SegCode | x86.SegB | x86.SegA
		codeBits = codeIs | x86.SegC | x86.SegDPLMask
		dataIs   = x86.SegP | x86.SegS | x86.SegW | x86.SegB | x86.SegA
		dataBits = dataIs | x86.SegCode | x86.SegDPLMask
		mask     = x86.FlagDF | x86.FlagNT | x86.FlagAC | x86.FlagID | x86.FlagIOPL | x86.FlagVIF | x86.FlagVIP | x86.FlagIF | arithFlags
	)
	lo, hi, ok := fastDescriptor(e, sel)
	if !ok || flags&(rare&^x86.FlagRF) != 0 || cpl != 0 && cpl != 3 || hi&codeBits != codeIs|cpl<<x86.SegDPLShift || descBase(lo, hi) != 0 {
		return 0, false
	}
	cs, ss := e.Seg[x86.CS], e.Seg[x86.SS]
	if sp += 12; cpl == 3 {
		at = fastHost(e, sp, 8, x86.MMUKernel, accRead)
		if at == 0 || c.anyInner() {
			return 0, false
		}
		g := (*[2]uint32)(ptr(uintptr(at)))
		sel := uint16(g[1])
		lo, hi, ok := fastDescriptor(e, sel)
		if !ok || sel&3 != 3 || hi&dataBits != dataIs|3<<x86.SegDPLShift {
			return 0, false
		}
		setDescriptor(&e.Seg[x86.SS], sel, lo, hi)
		sp = uint64(g[0])
	}
	setDescriptor(&e.Seg[x86.CS], sel, lo, hi)
	if !c.enterFlat(e.EFlags&^mask|flags&mask, cpl) {
		e.Seg[x86.CS], e.Seg[x86.SS] = cs, ss
		return 0, false
	}
	e.Regs[x86.RSP] = sp & 0xffffffff
	return pc, true
}

// anyInner tells whether dropInner would empty a segment register for privilege level 3.
//
//go:nosplit
//go:norace
func (c *CPU) anyInner() bool {
	for n := x86.ES; n <= x86.GS; n++ {
		s := &c.env.Seg[n&7]
		null := s.Selector&^3 == 0 && (n == x86.FS || n == x86.GS)
		if n != x86.CS && n != x86.SS && !null && s.Flags&(x86.SegCode|x86.SegC) != x86.SegCode|x86.SegC && s.DPL() < 3 {
			return true
		}
	}
	return false
}
