package tcg

import "goemu/target/x86"

// Types of system descriptors.
const (
	typeTSS16     = 1
	typeLDT       = 2
	typeTSS16Busy = 3
	typeCall16    = 4
	typeTaskGate  = 5
	typeInt16     = 6
	typeTrap16    = 7
	typeTSS32     = 9
	typeTSS32Busy = 11
	typeCall32    = 12
	typeInt32     = 14
	typeTrap32    = 15
)

// Fields of the high dword of a descriptor.
func descType(hi uint32) uint32 { return hi >> 8 & 15 }
func descDPL(hi uint32) int     { return int(hi >> x86.SegDPLShift & 3) }

//
//go:nosplit
func descBase(lo, hi uint32) uint64 {
	return uint64(lo>>16 | hi&0xff<<16 | hi&0xff000000)
}

//go:nosplit
func descLimit(lo, hi uint32) uint32 {
	l := lo&0xffff | hi&0xf0000
	if hi&x86.SegG != 0 {
		return l<<12 | 0xfff
	}
	return l
}

// segment makes the hidden part of a segment register.
func segment(sel uint16, lo, hi uint32) x86.Segment {
	return x86.Segment{Selector: sel, Base: descBase(lo, hi), Limit: descLimit(lo, hi), Flags: hi & 0xf0ff00}
}

// enterProtected goes through an IDT of 8-byte gates.
func (c *CPU) enterProtected(ev *event) {
	e := c.env
	idtErr := uint32(ev.vector)*8 + 2
	if uint32(ev.vector)*8+7 > e.IDT.Limit {
		c.gp(idtErr)
	}
	at := e.IDT.Base + uint64(ev.vector)*8
	lo, hi := uint32(c.rdSys(at, 4)), uint32(c.rdSys(at+4, 4))
	typ := descType(hi)
	if hi&x86.SegS != 0 || typ != typeTaskGate && typ&7 != typeInt16 && typ&7 != typeTrap16 {
		c.gp(idtErr)
	}
	if ev.kind == evSoft && descDPL(hi) < e.CPL() {
		c.gp(idtErr)
	}
	if hi&x86.SegP == 0 {
		c.raise(x86.ExcNP, idtErr)
	}
	if typ == typeTaskGate {
		c.enterTask(ev, uint16(lo>>16))
		return
	}
	size := 2
	offset := uint64(lo & 0xffff)
	if typ >= typeInt32 {
		size = 4
		offset |= uint64(hi & 0xffff0000)
	}
	c.enterGate32(ev, uint16(lo>>16), offset, size, typ&1 != 0)
}

// enterTask handles a task gate in the IDT.
func (c *CPU) enterTask(ev *event, sel uint16) {
	lo, hi, at := c.descriptor(sel, x86.ExcGP)
	c.switchTask(taskSwitch{sel: sel, lo: lo, hi: hi, at: at, source: taskCall, next: c.savedPC(ev)})
	if ev.hasErr {
		s := c.stack(&c.env.Seg[x86.SS], c.env.Regs[x86.RSP], c.env.CPL())
		size := 2
		if c.env.Seg[x86.TR].Flags>>8&8 != 0 {
			size = 4
		}
		s.push(size, uint64(ev.err))
		s.commit()
	}
}

// gateTarget checks the code segment of an interrupt gate.
func (c *CPU) gateTarget(sel uint16) (lo, hi uint32, dpl int) {
	if sel&^3 == 0 {
		c.gp(0)
	}
	lo, hi, _ = c.descriptor(sel, x86.ExcGP)
	err := uint32(sel &^ 3)
	if hi&x86.SegS == 0 || hi&x86.SegCode == 0 {
		c.gp(err)
	}
	dpl = descDPL(hi)
	if dpl > c.env.CPL() {
		c.gp(err)
	}
	if hi&x86.SegP == 0 {
		c.raise(x86.ExcNP, err)
	}
	if hi&x86.SegC != 0 {
		dpl = c.env.CPL()
	}
	return lo, hi, dpl
}

func (c *CPU) enterGate32(ev *event, sel uint16, offset uint64, size int, trap bool) {
	e := c.env
	lo, hi, dpl := c.gateTarget(sel)
	vm := e.EFlags&x86.FlagVM != 0
	newSS := e.Seg[x86.SS]
	sp := e.Regs[x86.RSP]
	inner := dpl < e.CPL()
	switch {
	case inner:
		if vm && dpl != 0 {
			c.gp(uint32(sel &^ 3))
		}
		newSS, sp = c.innerStack(dpl)
	case vm:
		c.gp(uint32(sel &^ 3))
	}
	s := c.stack(&newSS, sp, dpl)
	if inner {
		s.err = uint32(newSS.Selector &^ 3)
		if vm {
			for _, r := range [4]int{x86.GS, x86.FS, x86.DS, x86.ES} {
				s.push(size, uint64(e.Seg[r].Selector))
			}
		}
		s.push(size, uint64(e.Seg[x86.SS].Selector))
		s.push(size, e.Regs[x86.RSP])
	}
	s.push(size, e.Flags())
	s.push(size, uint64(e.Seg[x86.CS].Selector))
	s.push(size, c.savedPC(ev))
	if ev.hasErr {
		s.push(size, uint64(ev.err))
	}
	if !trap {
		e.EFlags &^= x86.FlagIF
	}
	e.EFlags &^= x86.FlagTF | x86.FlagVM | x86.FlagRF | x86.FlagNT
	if inner {
		if vm {
			for _, r := range [4]int{x86.ES, x86.DS, x86.FS, x86.GS} {
				e.Seg[r] = x86.Segment{}
			}
		}
		newSS.Selector = newSS.Selector&^3 | uint16(dpl)
		e.Seg[x86.SS] = newSS
	}
	s.commit()
	e.Seg[x86.CS] = segment(sel&^3|uint16(dpl), lo, hi)
	e.SetCPL(dpl)
	e.PC = offset
	c.markAccessed(sel, hi)
	e.UpdateHFlags()
}

// innerStack reads and checks the stack of an inner privilege level from the task state.
func (c *CPU) innerStack(dpl int) (ss x86.Segment, sp uint64) {
	e := c.env
	tr := &e.Seg[x86.TR]
	var sel uint16
	var end uint32
	wide := tr.Flags>>8&8 != 0
	if wide {
		end = uint32(dpl*8 + 4 + 5)
	} else {
		end = uint32(dpl*4 + 2 + 3)
	}
	if end > tr.Limit {
		c.raise(x86.ExcTS, uint32(tr.Selector&^3))
	}
	if wide {
		sp = c.rdSys(tr.Base+uint64(dpl*8+4), 4)
		sel = uint16(c.rdSys(tr.Base+uint64(dpl*8+8), 2))
	} else {
		sp = c.rdSys(tr.Base+uint64(dpl*4+2), 2)
		sel = uint16(c.rdSys(tr.Base+uint64(dpl*4+4), 2))
	}
	return c.checkStackSegment(sel, dpl, x86.ExcTS), sp
}

// checkStackSegment checks a stack segment for a privilege level; violations raise exc.
func (c *CPU) checkStackSegment(sel uint16, dpl int, exc uint8) x86.Segment {
	err := uint32(sel &^ 3)
	if sel&^3 == 0 || int(sel&3) != dpl {
		c.raise(exc, err)
	}
	lo, hi, _ := c.descriptor(sel, exc)
	if descDPL(hi) != dpl || hi&x86.SegS == 0 || hi&x86.SegCode != 0 || hi&x86.SegW == 0 {
		c.raise(exc, err)
	}
	if hi&x86.SegP == 0 {
		if exc == x86.ExcTS {
			c.raise(x86.ExcSS, err)
		}
		c.raise(x86.ExcSS, err)
	}
	c.markAccessed(sel, hi)
	return segment(sel, lo, hi|x86.SegA)
}

// enterLong goes through an IDT of 16-byte gates.
func (c *CPU) enterLong(ev *event) {
	e := c.env
	idtErr := uint32(ev.vector)*8 + 2
	if uint32(ev.vector)*16+15 > e.IDT.Limit {
		c.gp(idtErr)
	}
	at := e.IDT.Base + uint64(ev.vector)*16
	w0, w1 := c.rdSys(at, 8), c.rdSys(at+8, 8)
	lo, hi := uint32(w0), uint32(w0>>32)
	typ := descType(hi)
	if hi&x86.SegS != 0 || typ != typeInt32 && typ != typeTrap32 {
		c.gp(idtErr)
	}
	if ev.kind == evSoft && descDPL(hi) < e.CPL() {
		c.gp(idtErr)
	}
	if hi&x86.SegP == 0 {
		c.raise(x86.ExcNP, idtErr)
	}
	sel := uint16(lo >> 16)
	offset := w1<<32 | uint64(hi&0xffff0000) | uint64(lo&0xffff)
	tlo, thi, dpl := c.gateTarget(sel)
	if thi&x86.SegL == 0 || thi&x86.SegB != 0 {
		c.gp(uint32(sel &^ 3))
	}
	ist := hi & 7
	sp := e.Regs[x86.RSP]
	inner := dpl < e.CPL()
	switch {
	case ist != 0:
		sp = c.longStack(0x24 + 8*(uint64(ist)-1))
	case inner:
		sp = c.longStack(4 + 8*uint64(dpl))
	}
	c.pushLong(ev, sp, dpl)
	if typ == typeInt32 {
		e.EFlags &^= x86.FlagIF
	}
	e.EFlags &^= x86.FlagTF | x86.FlagVM | x86.FlagRF | x86.FlagNT
	if inner {
		e.Seg[x86.SS] = x86.Segment{Selector: uint16(dpl), Flags: uint32(dpl)<<x86.SegDPLShift | x86.SegP | x86.SegS | x86.SegW | x86.SegA}
	}
	e.Seg[x86.CS] = segment(sel&^3|uint16(dpl), tlo, thi)
	e.SetCPL(dpl)
	e.PC = offset
	c.markAccessed(sel, thi)
	e.UpdateHFlags()
}

// longStack reads a stack pointer from the 64-bit task state.
func (c *CPU) longStack(off uint64) uint64 {
	tr := &c.env.Seg[x86.TR]
	if off+7 > uint64(tr.Limit) {
		c.raise(x86.ExcTS, uint32(tr.Selector&^3))
	}
	return c.rdSys(tr.Base+off, 8)
}

// longFrame is the size of the frame of a 64-bit handler, with an error code.
const longFrame = 6 * 8

// pushLong writes the frame of a 64-bit handler and sets RSP.
func (c *CPU) pushLong(ev *event, sp uint64, dpl int) {
	e := c.env
	s := frame{c: c, sp: sp &^ 15, mask: ^uint64(0), mmu: x86.MMUUser}
	if dpl < 3 {
		s.mmu = c.systemMMU()
	}
	if !c.canonical(s.sp-1) || !c.canonical(s.sp-longFrame) {
		c.raise(x86.ExcSS, 0)
	}
	s.push(8, uint64(e.Seg[x86.SS].Selector))
	s.push(8, e.Regs[x86.RSP])
	s.push(8, e.Flags())
	s.push(8, uint64(e.Seg[x86.CS].Selector))
	s.push(8, c.savedPC(ev))
	if ev.hasErr {
		s.push(8, uint64(ev.err))
	}
	e.Regs[x86.RSP] = s.sp
}

// canonical tells whether an address is valid in 64-bit mode.
func (c *CPU) canonical(addr uint64) bool {
	sh := c.canonicalShift()
	return uint64(int64(addr<<sh)>>sh) == addr
}
