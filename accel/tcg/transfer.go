package tcg

import "goemu/target/x86"

// truncPC limits a program counter to an operand size.
func truncPC(v uint64, size int) uint64 {
	switch size {
	case 2:
		return v & 0xffff
	case 4:
		return v & 0xffffffff
	}
	return v
}

// setCS enters a code segment at a privilege level.
func (c *CPU) setCS(sel uint16, lo, hi uint32, cpl int) {
	c.env.Seg[x86.CS] = segment(sel&^3|uint16(cpl), lo, hi|x86.SegA)
	c.env.SetCPL(cpl)
	c.env.UpdateHFlags()
}

// checkTarget checks the program counter of a far transfer against the new code segment.
func (c *CPU) checkTarget(lo, hi uint32, pc uint64) uint64 {
	if hi&x86.SegL != 0 && c.env.EFER&x86.EFERLMA != 0 {
		if !c.canonical(pc) {
			c.gp(0)
		}
		return pc
	}
	pc &= 0xffffffff
	if pc > uint64(descLimit(lo, hi)) {
		c.gp(0)
	}
	return pc
}

// checkCode checks a code segment that is the direct target of a jump or call.
func (c *CPU) checkCode(sel uint16, hi uint32) {
	err, cpl, dpl, rpl := uint32(sel&^3), c.env.CPL(), descDPL(hi), int(sel&3)
	switch {
	case hi&x86.SegC != 0:
		if dpl > cpl {
			c.gp(err)
		}
	case rpl > cpl || dpl != cpl:
		c.gp(err)
	}
	if hi&x86.SegP == 0 {
		c.raise(x86.ExcNP, err)
	}
	if c.env.EFER&x86.EFERLMA != 0 && hi&x86.SegL != 0 && hi&x86.SegB != 0 {
		c.gp(err)
	}
}

// farJump implements JMP far.
func (c *CPU) farJump(sel uint16, off, next uint64) {
	e := c.env
	if !c.protectedMode() {
		c.realSegment(x86.CS, sel)
		e.PC = off & 0xffffffff
		e.UpdateHFlags()
		return
	}
	if sel&^3 == 0 {
		c.gp(0)
	}
	lo, hi, at := c.descriptor(sel, x86.ExcGP)
	if hi&x86.SegS != 0 {
		if hi&x86.SegCode == 0 {
			c.gp(uint32(sel &^ 3))
		}
		c.checkCode(sel, hi)
		off = c.checkTarget(lo, hi, off)
		c.markAccessed(sel, hi)
		c.setCS(sel, lo, hi, e.CPL())
		e.PC = off
		return
	}
	g := c.systemTarget(sel, lo, hi, at)
	switch g.kind {
	case gateTask:
		c.switchTask(taskSwitch{sel: g.sel, lo: g.lo, hi: g.hi, at: g.at, source: taskJump, next: next})
	case gateCall:
		if g.hi&x86.SegC == 0 && descDPL(g.hi) != e.CPL() || g.hi&x86.SegC != 0 && descDPL(g.hi) > e.CPL() {
			c.gp(uint32(g.sel &^ 3))
		}
		off = c.checkTarget(g.lo, g.hi, g.off)
		c.markAccessed(g.sel, g.hi)
		c.setCS(g.sel, g.lo, g.hi, e.CPL())
		e.PC = off
	}
}

// systemKind is what a system descriptor as a target is.
type systemKind uint8

const (
	gateCall systemKind = iota
	gateTask
)

// systemTarget is a call gate, or a task, that a far transfer goes to.
type systemTarget struct {
	kind   systemKind
	sel    uint16
	lo, hi uint32 // of the code segment or TSS
	at     uint64
	off    uint64
	params int
	size   int // of the gate: 2, 4 or 8
}

// systemTarget resolves a system descriptor as target of a far jump or call.
func (c *CPU) systemTarget(sel uint16, lo, hi uint32, at uint64) systemTarget {
	err := uint32(sel &^ 3)
	long := c.env.EFER&x86.EFERLMA != 0
	typ := descType(hi)
	if dpl := descDPL(hi); dpl < c.env.CPL() || dpl < int(sel&3) {
		c.gp(err)
	}
	switch {
	case typ == typeCall32 || typ == typeCall16 && !long:
		return c.callGate(sel, lo, hi, at)
	case long:
		c.gp(err)
	case typ == typeTSS16 || typ == typeTSS32:
		if hi&x86.SegP == 0 {
			c.raise(x86.ExcNP, err)
		}
		return systemTarget{kind: gateTask, sel: sel, lo: lo, hi: hi, at: at}
	case typ == typeTaskGate:
		if hi&x86.SegP == 0 {
			c.raise(x86.ExcNP, err)
		}
		tsel := uint16(lo >> 16)
		if tsel&4 != 0 {
			c.gp(uint32(tsel &^ 3))
		}
		tlo, thi, tat := c.descriptor(tsel, x86.ExcGP)
		return systemTarget{kind: gateTask, sel: tsel, lo: tlo, hi: thi, at: tat}
	}
	c.gp(err)
	return systemTarget{}
}

// callGate reads a call gate and the code segment it names.
func (c *CPU) callGate(sel uint16, lo, hi uint32, at uint64) systemTarget {
	if hi&x86.SegP == 0 {
		c.raise(x86.ExcNP, uint32(sel&^3))
	}
	g := systemTarget{kind: gateCall, sel: uint16(lo >> 16), off: uint64(lo&0xffff | hi&0xffff0000), params: int(hi & 31), size: 2}
	if descType(hi) == typeCall32 {
		g.size = 4
	} else {
		g.off &= 0xffff
	}
	long := c.env.EFER&x86.EFERLMA != 0
	if long {
		g.size, g.params = 8, 0
		up := c.rdSys(at+8, 8)
		if up>>40&31 != 0 {
			c.gp(uint32(sel &^ 3))
		}
		g.off |= up << 32
	}
	if g.sel&^3 == 0 {
		c.gp(0)
	}
	g.lo, g.hi, _ = c.descriptor(g.sel, x86.ExcGP)
	err := uint32(g.sel &^ 3)
	if g.hi&x86.SegS == 0 || g.hi&x86.SegCode == 0 || descDPL(g.hi) > c.env.CPL() {
		c.gp(err)
	}
	if long && (g.hi&x86.SegL == 0 || g.hi&x86.SegB != 0) {
		c.gp(err)
	}
	if g.hi&x86.SegP == 0 {
		c.raise(x86.ExcNP, err)
	}
	return g
}

// farCall implements CALL far with an operand size in bytes.
func (c *CPU) farCall(sel uint16, off, next uint64, size int) {
	e := c.env
	if !c.protectedMode() {
		s := c.stack(&e.Seg[x86.SS], e.Regs[x86.RSP], e.CPL())
		s.push(size, uint64(e.Seg[x86.CS].Selector))
		s.push(size, next)
		s.commit()
		c.realSegment(x86.CS, sel)
		e.PC = truncPC(off, size)
		e.UpdateHFlags()
		return
	}
	if sel&^3 == 0 {
		c.gp(0)
	}
	lo, hi, at := c.descriptor(sel, x86.ExcGP)
	if hi&x86.SegS != 0 {
		if hi&x86.SegCode == 0 {
			c.gp(uint32(sel &^ 3))
		}
		c.checkCode(sel, hi)
		off = c.checkTarget(lo, hi, off)
		s := c.stack(&e.Seg[x86.SS], e.Regs[x86.RSP], e.CPL())
		s.push(size, uint64(e.Seg[x86.CS].Selector))
		s.push(size, next)
		c.markAccessed(sel, hi)
		s.commit()
		c.setCS(sel, lo, hi, e.CPL())
		e.PC = off
		return
	}
	g := c.systemTarget(sel, lo, hi, at)
	if g.kind == gateTask {
		c.switchTask(taskSwitch{sel: g.sel, lo: g.lo, hi: g.hi, at: g.at, source: taskCall, next: next})
		return
	}
	c.callThroughGate(g, next)
}

// callThroughGate calls the code that a gate names, on the stack of an inner level if need be.
func (c *CPU) callThroughGate(g systemTarget, next uint64) {
	e := c.env
	cpl := e.CPL()
	newSS, sp := e.Seg[x86.SS], e.Regs[x86.RSP]
	inner := g.hi&x86.SegC == 0 && descDPL(g.hi) < cpl
	if inner {
		cpl = descDPL(g.hi)
		if g.size == 8 {
			sp = c.longStack(4 + 8*uint64(cpl))
			newSS = x86.Segment{Selector: uint16(cpl), Flags: uint32(cpl)<<x86.SegDPLShift | x86.SegP | x86.SegS | x86.SegW | x86.SegA}
		} else {
			newSS, sp = c.innerStack(cpl)
		}
	}
	off := c.checkTarget(g.lo, g.hi, g.off)
	s := c.stack(&newSS, sp, cpl)
	if g.size == 8 {
		s.base, s.mask = 0, ^uint64(0)
	}
	if inner {
		s.err = uint32(newSS.Selector &^ 3)
		old := c.stack(&e.Seg[x86.SS], e.Regs[x86.RSP], e.CPL())
		s.push(g.size, uint64(e.Seg[x86.SS].Selector))
		s.push(g.size, e.Regs[x86.RSP])
		for i := g.params - 1; i >= 0; i-- {
			p := old
			p.sp += uint64(i * g.size)
			s.push(g.size, c.rd(p.addr(), g.size, p.mmu))
		}
	}
	s.push(g.size, uint64(e.Seg[x86.CS].Selector))
	s.push(g.size, next)
	c.markAccessed(g.sel, g.hi)
	if inner {
		newSS.Selector = newSS.Selector&^3 | uint16(cpl)
		e.Seg[x86.SS] = newSS
	}
	s.commit()
	c.setCS(g.sel, g.lo, g.hi, cpl)
	e.PC = off
}

// farRet implements RET far and, with iret, IRET in protected mode without a task switch.
func (c *CPU) farRet(size int, release uint64, iret bool) {
	e := c.env
	s := c.stack(&e.Seg[x86.SS], e.Regs[x86.RSP], e.CPL())
	pc := s.pop(size)
	cs := uint16(s.pop(size))
	var flags uint64
	if iret {
		flags = s.pop(size)
		if size == 4 && flags&x86.FlagVM != 0 && e.CPL() == 0 && e.EFER&x86.EFERLMA == 0 {
			c.iretToVM(&s, pc, cs, flags)
			return
		}
	}
	cpl, rpl := e.CPL(), int(cs&3)
	if cs&^3 == 0 {
		c.gp(0)
	}
	err := uint32(cs &^ 3)
	lo, hi, _ := c.descriptor(cs, x86.ExcGP)
	if hi&x86.SegS == 0 || hi&x86.SegCode == 0 || rpl < cpl {
		c.gp(err)
	}
	if dpl := descDPL(hi); hi&x86.SegC != 0 && dpl > rpl || hi&x86.SegC == 0 && dpl != rpl {
		c.gp(err)
	}
	if hi&x86.SegP == 0 {
		c.raise(x86.ExcNP, err)
	}
	s.sp += release
	long64 := e.HFlags&x86.HFCS64 != 0
	outer := rpl != cpl
	var ss x86.Segment
	var sp uint64
	if outer || iret && long64 {
		sp = s.pop(size)
		ss = c.returnStack(uint16(s.pop(size)), rpl, hi)
	}
	pc = c.checkTarget(lo, hi, pc)
	if iret {
		c.iretFlags(flags, size, cpl)
	}
	if !outer && !(iret && long64) {
		s.commit()
		c.setCS(cs, lo, hi, cpl)
		e.PC = pc
		return
	}
	e.Seg[x86.SS] = ss
	e.SetCPL(rpl)
	c.markAccessed(cs, hi)
	c.setCS(cs, lo, hi, rpl)
	mask := uint64(0xffff)
	switch {
	case e.HFlags&x86.HFCS64 != 0:
		mask = ^uint64(0)
	case ss.Flags&x86.SegB != 0:
		mask = 0xffffffff
	}
	if outer {
		sp += release
	}
	c.setSP(sp, mask)
	e.PC = pc
	if outer {
		c.dropInner(rpl)
	}
	e.UpdateHFlags()
}

// returnStack checks the stack segment of a return to privilege level rpl with code segment csHi.
func (c *CPU) returnStack(sel uint16, rpl int, csHi uint32) x86.Segment {
	if sel&^3 == 0 {
		if c.env.EFER&x86.EFERLMA != 0 && csHi&x86.SegL != 0 && rpl != 3 {
			return x86.Segment{Selector: sel, Flags: uint32(rpl)<<x86.SegDPLShift | x86.SegP | x86.SegS | x86.SegW | x86.SegA | x86.SegB}
		}
		c.gp(0)
	}
	err := uint32(sel &^ 3)
	if int(sel&3) != rpl {
		c.gp(err)
	}
	lo, hi, _ := c.descriptor(sel, x86.ExcGP)
	if hi&x86.SegS == 0 || hi&x86.SegCode != 0 || hi&x86.SegW == 0 || descDPL(hi) != rpl {
		c.gp(err)
	}
	if hi&x86.SegP == 0 {
		c.raise(x86.ExcSS, err)
	}
	c.markAccessed(sel, hi)
	return segment(sel, lo, hi|x86.SegA)
}

// dropInner makes data segments unusable that the outer level may not use. In long mode FS and GS keep their bases.
//
//go:nosplit
func (c *CPU) dropInner(cpl int) {
	for _, n := range [4]int{x86.ES, x86.DS, x86.FS, x86.GS} {
		s := &c.env.Seg[n]
		if (n == x86.FS || n == x86.GS) && s.Selector&^3 == 0 {
			continue // keeps its base in 64-bit mode
		}
		if s.Flags&x86.SegCode == 0 || s.Flags&x86.SegC == 0 {
			if s.DPL() < cpl {
				var base uint64
				if (n == x86.FS || n == x86.GS) && c.env.EFER&x86.EFERLMA != 0 {
					base = s.Base
				}
				*s = x86.Segment{Base: base}
			}
		}
	}
}

// iretFlags loads the flags of IRET executed at privilege level cpl.
func (c *CPU) iretFlags(v uint64, size, cpl int) {
	e := c.env
	mask := uint64(x86.FlagTF | x86.FlagDF | x86.FlagNT | x86.FlagRF | x86.FlagAC | x86.FlagID)
	if cpl == 0 {
		mask |= x86.FlagIOPL | x86.FlagVIF | x86.FlagVIP
	}
	if cpl <= int(e.EFlags&x86.FlagIOPL>>12) {
		mask |= x86.FlagIF
	}
	c.writeFlags(v, mask, size)
}

// writeFlags replaces the flags in mask, and the arithmetic ones.
func (c *CPU) writeFlags(v, mask uint64, size int) {
	if size == 2 {
		mask &= 0xffff
	}
	if !c.keepsRF() {
		v &^= x86.FlagRF
	}
	e := c.env
	old := e.Flags()
	mask |= arithFlags
	e.SetFlags(old&^mask | v&mask)
	e.UpdateHFlags()
}

// iretToVM returns to virtual-8086 mode.
func (c *CPU) iretToVM(s *frame, pc uint64, cs uint16, flags uint64) {
	e := c.env
	sp := s.pop(4)
	var sel [6]uint16
	for _, n := range [5]int{x86.SS, x86.ES, x86.DS, x86.FS, x86.GS} {
		sel[n] = uint16(s.pop(4))
	}
	sel[x86.CS] = cs
	c.writeFlags(flags, x86.FlagTF|x86.FlagIF|x86.FlagDF|x86.FlagIOPL|x86.FlagNT|x86.FlagRF|x86.FlagVM|x86.FlagAC|x86.FlagVIF|x86.FlagVIP|x86.FlagID, 4)
	for n, v := range sel {
		c.realSegment(n, v)
	}
	e.SetCPL(3)
	e.PC = pc & 0xffff
	e.Regs[x86.RSP] = sp
	e.UpdateHFlags()
}

// iret implements IRET.
func (c *CPU) iret(size int, next uint64) {
	e := c.env
	switch {
	case e.CR[0]&x86.CR0PE == 0:
		c.iretReal(size, 0)
	case e.EFlags&x86.FlagVM != 0:
		if e.EFlags&x86.FlagIOPL != x86.FlagIOPL {
			c.needVME(size)
		}
		c.iretReal(size, x86.FlagIOPL)
	case e.EFlags&x86.FlagNT != 0:
		if e.EFER&x86.EFERLMA != 0 {
			c.gp(0)
		}
		link := uint16(c.rdSys(e.Seg[x86.TR].Base, 2))
		if link&4 != 0 {
			c.raise(x86.ExcTS, uint32(link&^3))
		}
		lo, hi, at := c.descriptor(link, x86.ExcTS)
		if t := descType(hi); hi&x86.SegS != 0 || t != typeTSS16Busy && t != typeTSS32Busy {
			c.raise(x86.ExcTS, uint32(link&^3))
		}
		c.switchTask(taskSwitch{sel: link, lo: lo, hi: hi, at: at, source: taskIret, next: next})
	default:
		c.farRet(size, 0, true)
	}
	c.allowNMI()
}

func (c *CPU) iretReal(size int, keep uint64) {
	e := c.env
	s := c.stack(&e.Seg[x86.SS], e.Regs[x86.RSP], e.CPL())
	pc, cs, flags := s.pop(size), uint16(s.pop(size)), s.pop(size)
	if e.EFlags&x86.FlagVM != 0 && e.EFlags&x86.FlagIOPL != x86.FlagIOPL {
		c.popVirtual(flags, x86.FlagTF|x86.FlagDF|x86.FlagNT)
		s.commit()
		c.realSegment(x86.CS, cs)
		e.PC = truncPC(pc, size)
		e.UpdateHFlags()
		return
	}
	s.commit()
	mask := uint64(x86.FlagTF|x86.FlagIF|x86.FlagDF|x86.FlagIOPL|x86.FlagNT|x86.FlagRF|x86.FlagAC|x86.FlagID) &^ keep
	c.writeFlags(flags, mask, size)
	c.realSegment(x86.CS, cs)
	e.PC = truncPC(pc, size)
	e.UpdateHFlags()
}

// retFarReal implements RET far in real and virtual-8086 mode.
func (c *CPU) retFarReal(size int, release uint64) {
	e := c.env
	s := c.stack(&e.Seg[x86.SS], e.Regs[x86.RSP], e.CPL())
	pc, cs := s.pop(size), uint16(s.pop(size))
	s.sp += release
	s.commit()
	c.realSegment(x86.CS, cs)
	e.PC = truncPC(pc, size)
	e.UpdateHFlags()
}

// flat makes the fixed segments of SYSCALL, SYSRET, SYSENTER and SYSEXIT.
func flat(sel uint16, dpl int, more uint32) x86.Segment {
	return x86.Segment{Selector: sel, Limit: 0xffffffff, Flags: uint32(dpl)<<x86.SegDPLShift | x86.SegG | x86.SegP | x86.SegS | x86.SegA | x86.SegW | more}
}

const (
	code32 = x86.SegCode | x86.SegB
	code64 = x86.SegCode | x86.SegL
)

// syscall implements SYSCALL.
func (c *CPU) syscall(next uint64) {
	e := c.env
	if e.EFER&x86.EFERSCE == 0 {
		c.ud()
	}
	sel := uint16(e.Star>>32) &^ 3
	if e.EFER&x86.EFERLMA != 0 {
		flags := e.Flags() &^ x86.FlagRF
		e.Regs[x86.RCX], e.Regs[x86.R11] = next, flags
		pc := e.LStar
		if e.HFlags&x86.HFCS64 == 0 {
			pc = e.CStar
		}
		e.SetFlags(flags &^ e.FMask)
		e.Seg[x86.CS] = flat(sel, 0, code64)
		e.Seg[x86.SS] = flat(sel+8, 0, x86.SegB)
		e.PC = pc
	} else {
		e.Regs[x86.RCX] = next & 0xffffffff
		e.SetFlags(e.Flags() &^ (x86.FlagIF | x86.FlagRF | x86.FlagVM))
		e.Seg[x86.CS] = flat(sel, 0, code32)
		e.Seg[x86.SS] = flat(sel+8, 0, x86.SegB)
		e.PC = e.Star & 0xffffffff
	}
	e.SetCPL(0)
	e.UpdateHFlags()
}

// sysret implements SYSRET.
func (c *CPU) sysret(size int) {
	e := c.env
	if e.EFER&x86.EFERSCE == 0 {
		c.ud()
	}
	if e.CR[0]&x86.CR0PE == 0 || e.CPL() != 0 {
		c.gp(0)
	}
	sel := uint16(e.Star >> 48)
	if e.EFER&x86.EFERLMA != 0 {
		if size == 8 {
			e.Seg[x86.CS] = flat(sel+16|3, 3, code64)
			e.PC = e.Regs[x86.RCX]
		} else {
			e.Seg[x86.CS] = flat(sel|3, 3, code32)
			e.PC = e.Regs[x86.RCX] & 0xffffffff
		}
		c.writeFlags(e.Regs[x86.R11], x86.FlagTF|x86.FlagAC|x86.FlagID|x86.FlagIF|x86.FlagIOPL|x86.FlagVM|x86.FlagRF|x86.FlagNT|x86.FlagDF, 8)
		e.EFlags &^= x86.FlagVM | x86.FlagRF
		if e.EFlags&x86.FlagTF != 0 { // SYSRET traps after itself when it sets TF, unlike POPF and IRET
			c.watchDR6 |= x86.DR6BS
		}
	} else {
		e.Seg[x86.CS] = flat(sel|3, 3, code32)
		e.PC = e.Regs[x86.RCX] & 0xffffffff
		e.EFlags |= x86.FlagIF
	}
	e.Seg[x86.SS] = flat((sel+8)|3, 3, x86.SegB)
	e.SetCPL(3)
	e.UpdateHFlags()
}

// sysenter implements SYSENTER.
func (c *CPU) sysenter() {
	e := c.env
	if e.CR[0]&x86.CR0PE == 0 || e.SysenterCS&^3 == 0 {
		c.gp(0)
	}
	sel := uint16(e.SysenterCS) &^ 3
	e.EFlags &^= x86.FlagVM | x86.FlagIF | x86.FlagRF
	kind := uint32(code32)
	pcMask := uint64(0xffffffff)
	if e.EFER&x86.EFERLMA != 0 {
		kind, pcMask = code64, ^uint64(0)
	}
	e.Seg[x86.CS] = flat(sel, 0, kind)
	e.Seg[x86.SS] = flat(sel+8, 0, x86.SegB)
	e.SetCPL(0)
	e.Regs[x86.RSP] = e.SysenterESP & pcMask
	e.PC = e.SysenterEIP & pcMask
	e.UpdateHFlags()
}

// sysexit implements SYSEXIT.
func (c *CPU) sysexit(size int) {
	e := c.env
	if e.SysenterCS&^3 == 0 || e.CPL() != 0 || e.CR[0]&x86.CR0PE == 0 {
		c.gp(0)
	}
	sel := uint16(e.SysenterCS) | 3
	if size == 8 {
		e.Seg[x86.CS] = flat(sel+32, 3, code64)
		e.Seg[x86.SS] = flat(sel+40, 3, x86.SegB)
		e.Regs[x86.RSP], e.PC = e.Regs[x86.RCX], e.Regs[x86.RDX]
	} else {
		e.Seg[x86.CS] = flat(sel+16, 3, code32)
		e.Seg[x86.SS] = flat(sel+24, 3, x86.SegB)
		e.Regs[x86.RSP], e.PC = e.Regs[x86.RCX]&0xffffffff, e.Regs[x86.RDX]&0xffffffff
	}
	e.SetCPL(3)
	e.UpdateHFlags()
}
