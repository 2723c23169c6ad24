package tcg

import "goemu/target/x86"

// BootState is the state in which a machine without firmware starts its first CPU: flat segments, interrupts off, registers that are
// not named zero.
type BootState struct {
	Long               bool // 64-bit mode with paging by CR3; else 32-bit protected mode without paging
	RIP, RSP           uint64
	RAX, RBX, RSI      uint64
	CR3                uint64
	GDTBase            uint64
	GDTLimit           uint16
	CS, DS, TR         uint16 // TR 0: none
	DescriptorsFromGDT bool   // CS and DS are loaded from the table, which is in memory already
}

// SetBootState puts a CPU that has been reset and does not execute into a boot state.
func (c *CPU) SetBootState(b *BootState) {
	e := c.env
	e.Regs = [16]uint64{x86.RAX: b.RAX, x86.RBX: b.RBX, x86.RSI: b.RSI, x86.RSP: b.RSP}
	e.PC = b.RIP
	e.CR[0] = x86.CR0ET | x86.CR0PE
	if b.Long {
		e.CR[0] |= x86.CR0PG
		e.CR[3] = b.CR3
		e.CR[4] = x86.CR4PAE
		e.EFER = x86.EFERLME | x86.EFERLMA
	}
	e.GDT = x86.Table{Base: b.GDTBase, Limit: uint32(b.GDTLimit)}
	code := uint32(code32)
	if b.Long {
		code = code64
	}
	e.Seg[x86.CS] = flat(b.CS, 0, code)
	for _, n := range [5]int{x86.DS, x86.ES, x86.FS, x86.GS, x86.SS} {
		e.Seg[n] = flat(b.DS, 0, x86.SegB)
	}
	if b.TR != 0 {
		e.Seg[x86.TR].Selector = b.TR
	}
	c.waitSIPI = false
	e.SetCPL(0)
	e.UpdateHFlags()
	if b.DescriptorsFromGDT {
		c.catch(func() { c.loadFlat(b.CS, b.DS) })
	}
	c.flushTLB(true)
}

// loadFlat loads CS and the data segments from the GDT.
func (c *CPU) loadFlat(cs, ds uint16) {
	lo, hi, _ := c.descriptor(cs, x86.ExcGP)
	c.setCS(cs, lo, hi, 0)
	for _, n := range [5]int{x86.DS, x86.ES, x86.FS, x86.GS, x86.SS} {
		c.loadSeg(n, ds)
	}
}
