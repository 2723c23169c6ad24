package tcg

import "goemu/target/x86"

// Virtual-8086 mode extensions (SDM volume 3, 21.3 and 21.4): with CR4.VME, programs below the needed IOPL get VIF in place of IF, and
// INT n goes to the program's own handler unless the task's redirection bitmap sends it to the monitor.

// needVME raises #GP unless an instruction of this operand size on the flags can be virtualised.
func (c *CPU) needVME(size int) {
	if c.env.CR[4]&x86.CR4VME == 0 || size != 2 {
		c.gp(0)
	}
}

// pushFlags is the image that PUSHF stores in virtual-8086 mode.
func (c *CPU) pushFlags(size uint64) uint64 {
	f := c.env.Flags() &^ (x86.FlagVM | x86.FlagRF)
	if f&x86.FlagIOPL == x86.FlagIOPL {
		return f
	}
	c.needVME(int(size))
	return virtualImage(f)
}

// virtualImage shows VIF as IF, and IOPL 3.
func virtualImage(f uint64) uint64 {
	v := f&^x86.FlagIF | x86.FlagIOPL
	if f&x86.FlagVIF != 0 {
		v |= x86.FlagIF
	}
	return v
}

// popVirtual loads the low 16 flags, of them those in mask and IF as VIF. What the monitor must know of raises #GP.
func (c *CPU) popVirtual(v, mask uint64) {
	e := c.env
	if v&x86.FlagTF != 0 || v&x86.FlagIF != 0 && e.EFlags&x86.FlagVIP != 0 {
		c.gp(0)
	}
	c.writeFlags(v, mask, 2)
	e.EFlags &^= x86.FlagVIF
	if v&x86.FlagIF != 0 {
		e.EFlags |= x86.FlagVIF
	}
}

// Layout of the 32-bit task state: the redirection bitmap lies below the I/O permission bitmap.
const (
	tssIOBase     = 0x66
	redirectBytes = 32
)

// redirected tells whether INT n in virtual-8086 mode goes through the interrupt table at address 0.
func (c *CPU) redirected(vector uint8) bool {
	e := c.env
	tr := &e.Seg[x86.TR]
	if e.CR[4]&x86.CR4VME == 0 || tr.Flags>>x86.SegTypeShift&8 == 0 || tr.Limit < tss32Min {
		return false
	}
	at := uint32(c.rdSys(tr.Base+tssIOBase, 2)) - redirectBytes + uint32(vector)/8
	if at > tr.Limit {
		c.gp(0)
	}
	return c.rdSys(tr.Base+uint64(at), 1)>>(vector&7)&1 == 0
}

// interruptVM enters the program's own handler.
func (c *CPU) interruptVM(vector uint8, next uint64) {
	e := c.env
	to := c.rd(uint64(vector)*4, 4, c.mmuIndex())
	f, off := e.Flags()&^(x86.FlagVM|x86.FlagRF), uint64(x86.FlagIF)
	if f&x86.FlagIOPL != x86.FlagIOPL {
		f, off = virtualImage(f), x86.FlagVIF
	}
	s := c.stack(&e.Seg[x86.SS], e.Regs[x86.RSP], e.CPL())
	s.push(2, f)
	s.push(2, uint64(e.Seg[x86.CS].Selector))
	s.push(2, next)
	s.commit()
	e.EFlags &^= off | x86.FlagTF
	c.realSegment(x86.CS, uint16(to>>16))
	e.PC = to & 0xffff
	e.UpdateHFlags()
}
