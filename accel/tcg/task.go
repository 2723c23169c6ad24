package tcg

import "goemu/target/x86"

// taskSource tells what switches tasks.
type taskSource uint8

const (
	taskJump taskSource = iota
	taskIret
	taskCall // CALL and interrupts: the new task links back
)

type taskSwitch struct {
	sel    uint16
	lo, hi uint32
	at     uint64 // of the descriptor
	source taskSource
	next   uint64 // program counter to save
}

// Offsets in a 32-bit and a 16-bit task state segment.
const (
	tss32CR3, tss32EIP, tss32Flags, tss32Regs, tss32Segs, tss32LDT, tss32Trap, tss32Min = 0x1c, 0x20, 0x24, 0x28, 0x48, 0x60, 0x64, 103
	tss16IP, tss16Flags, tss16Regs, tss16Segs, tss16LDT, tss16Min                       = 0x0e, 0x10, 0x12, 0x22, 0x2a, 43
)

// taskState is the contents of a task state segment.
type taskState struct {
	cr3, pc, flags uint64
	regs           [8]uint64
	segs           [6]uint16
	ldt            uint16
	trap           bool
	wide           bool
}

func (c *CPU) readTask(base uint64, wide bool) (t taskState) {
	t.wide = wide
	if wide {
		t.cr3, t.pc, t.flags = c.rdSys(base+tss32CR3, 4), c.rdSys(base+tss32EIP, 4), c.rdSys(base+tss32Flags, 4)
		for i := range t.regs {
			t.regs[i] = c.rdSys(base+tss32Regs+uint64(i)*4, 4)
		}
		for i := range t.segs {
			t.segs[i] = uint16(c.rdSys(base+tss32Segs+uint64(i)*4, 2))
		}
		t.ldt = uint16(c.rdSys(base+tss32LDT, 2))
		t.trap = c.rdSys(base+tss32Trap, 2)&1 != 0
		return t
	}
	t.pc, t.flags = c.rdSys(base+tss16IP, 2), c.rdSys(base+tss16Flags, 2)
	for i := range t.regs {
		t.regs[i] = c.rdSys(base+tss16Regs+uint64(i)*2, 2) | 0xffff0000
	}
	for i := range 4 {
		t.segs[i] = uint16(c.rdSys(base+tss16Segs+uint64(i)*2, 2))
	}
	t.ldt = uint16(c.rdSys(base+tss16LDT, 2))
	return t
}

// saveTask writes the dynamic fields of the present task.
func (c *CPU) saveTask(base uint64, wide bool, pc, flags uint64) {
	e := c.env
	if wide {
		c.wrSys(base+tss32EIP, 4, pc)
		c.wrSys(base+tss32Flags, 4, flags)
		for i := range 8 {
			c.wrSys(base+tss32Regs+uint64(i)*4, 4, e.Regs[i])
		}
		for i := range 6 {
			c.wrSys(base+tss32Segs+uint64(i)*4, 2, uint64(e.Seg[i].Selector))
		}
		return
	}
	c.wrSys(base+tss16IP, 2, pc)
	c.wrSys(base+tss16Flags, 2, flags)
	for i := range 8 {
		c.wrSys(base+tss16Regs+uint64(i)*2, 2, e.Regs[i])
	}
	for i := range 4 {
		c.wrSys(base+tss16Segs+uint64(i)*2, 2, uint64(e.Seg[i].Selector))
	}
}

// setBusy changes the busy bit of a TSS descriptor in memory.
func (c *CPU) setBusy(sel uint16, on bool) {
	at, ok := c.descriptorAt(sel &^ 4)
	if !ok {
		return
	}
	v := c.rdSys(at+5, 1) &^ 2
	if on {
		v |= 2
	}
	c.wrSys(at+5, 1, v)
}

// switchTask switches to another task.
func (c *CPU) switchTask(t taskSwitch) {
	e := c.env
	err := uint32(t.sel &^ 3)
	typ := descType(t.hi)
	busy := typ == typeTSS16Busy || typ == typeTSS32Busy
	if t.hi&x86.SegS != 0 || typ&5 != 1 || (t.source == taskIret) != busy {
		if t.source == taskIret {
			c.raise(x86.ExcTS, err)
		}
		c.gp(err)
	}
	if t.hi&x86.SegP == 0 {
		c.raise(x86.ExcNP, err)
	}
	wide := typ&8 != 0
	limit := uint32(tss16Min)
	if wide {
		limit = tss32Min
	}
	if descLimit(t.lo, t.hi) < limit {
		c.raise(x86.ExcTS, err)
	}
	base := descBase(t.lo, t.hi)
	old := e.Seg[x86.TR]
	n := c.readTask(base, wide)
	c.probeWrite(c.linear(old.Base), int(limit)+1, c.systemMMU())

	flags := e.Flags()
	if t.source != taskCall {
		c.setBusy(old.Selector, false)
	}
	if t.source == taskIret {
		flags &^= x86.FlagNT
	}
	c.saveTask(old.Base, old.Flags>>8&8 != 0, t.next, flags)
	if t.source == taskCall {
		c.wrSys(base, 2, uint64(old.Selector))
		n.flags |= x86.FlagNT
	}
	if t.source != taskIret {
		c.setBusy(t.sel, true)
	}
	c.enterNewTask(t, n, base)
}

// enterNewTask loads the new task's state; faults from here on happen in the new task.
func (c *CPU) enterNewTask(t taskSwitch, n taskState, base uint64) {
	e := c.env
	e.CR[0] |= x86.CR0TS
	e.Seg[x86.TR] = segment(t.sel, t.lo, t.hi|x86.SegTSSBusy)
	e.Seg[x86.TR].Base = base
	if n.wide && e.CR[0]&x86.CR0PG != 0 {
		c.setCR3(n.cr3, false)
	}
	e.PC = n.pc
	mask := uint64(x86.FlagTF | x86.FlagIF | x86.FlagDF | x86.FlagIOPL | x86.FlagNT | x86.FlagRF | x86.FlagAC | x86.FlagID)
	size := 2
	if n.wide {
		mask |= x86.FlagVM
		size = 4
	}
	c.writeFlags(n.flags, mask, size)
	copy(e.Regs[:], n.regs[:])
	vm := e.EFlags&x86.FlagVM != 0
	for i := range n.segs {
		if vm {
			c.realSegment(i, n.segs[i])
			continue
		}
		e.Seg[i] = x86.Segment{Selector: n.segs[i]}
	}
	e.DR[7] &^= 0x155
	cpl := int(n.segs[x86.CS] & 3)
	if vm {
		cpl = 3
	}
	e.SetCPL(cpl)
	e.UpdateHFlags()
	c.loadTaskLDT(n.ldt)
	if !vm {
		c.loadTaskSegments(n.segs, cpl)
	}
	e.UpdateHFlags()
	if n.trap {
		e.DR[6] |= x86.DR6BT
		c.raise(x86.ExcDB, 0)
	}
}

func (c *CPU) loadTaskLDT(sel uint16) {
	e := c.env
	e.Seg[x86.LDTR] = x86.Segment{Selector: sel}
	if sel&^3 == 0 {
		return
	}
	err := uint32(sel &^ 3)
	if sel&4 != 0 {
		c.raise(x86.ExcTS, err)
	}
	lo, hi, _ := c.descriptor(sel, x86.ExcTS)
	if hi&x86.SegS != 0 || descType(hi) != typeLDT || hi&x86.SegP == 0 {
		c.raise(x86.ExcTS, err)
	}
	e.Seg[x86.LDTR] = segment(sel, lo, hi)
}

// loadTaskSegments loads the segment registers of the new task with its privilege level.
func (c *CPU) loadTaskSegments(segs [6]uint16, cpl int) {
	e := c.env
	cs := segs[x86.CS]
	if cs&^3 == 0 {
		c.raise(x86.ExcTS, 0)
	}
	lo, hi, _ := c.descriptor(cs, x86.ExcTS)
	err := uint32(cs &^ 3)
	conforming := hi&x86.SegC != 0
	if hi&x86.SegS == 0 || hi&x86.SegCode == 0 || conforming && descDPL(hi) > cpl || !conforming && descDPL(hi) != cpl {
		c.raise(x86.ExcTS, err)
	}
	if hi&x86.SegP == 0 {
		c.raise(x86.ExcNP, err)
	}
	c.markAccessed(cs, hi)
	e.Seg[x86.CS] = segment(cs, lo, hi|x86.SegA)
	e.Seg[x86.SS] = c.checkStackSegment(segs[x86.SS], cpl, x86.ExcTS)
	for _, n := range [4]int{x86.ES, x86.DS, x86.FS, x86.GS} {
		sel := segs[n]
		if sel&^3 == 0 {
			continue
		}
		lo, hi, _ := c.descriptor(sel, x86.ExcTS)
		err := uint32(sel &^ 3)
		if hi&x86.SegS == 0 || hi&(x86.SegCode|x86.SegR) == x86.SegCode {
			c.raise(x86.ExcTS, err)
		}
		if (hi&x86.SegCode == 0 || hi&x86.SegC == 0) && descDPL(hi) < max(cpl, int(sel&3)) {
			c.raise(x86.ExcTS, err)
		}
		if hi&x86.SegP == 0 {
			c.raise(x86.ExcNP, err)
		}
		c.markAccessed(sel, hi)
		e.Seg[n] = segment(sel, lo, hi|x86.SegA)
	}
}
