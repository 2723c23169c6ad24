package tcg

import "goemu/target/x86"

// The state save area of system management mode, AMD64 format, relative to SMBASE + 0x8000.
const (
	smmArea     = 0x8000
	smmRevision = 0x00020064 // with relocation of SMBASE
	smmSegs     = 0x7e00     // ES CS SS DS FS GS, 16 bytes each
	smmGDT      = 0x7e60
	smmLDT      = 0x7e70
	smmIDT      = 0x7e80
	smmTR       = 0x7e90
	smmEFER     = 0x7ed0
	smmRev      = 0x7efc
	smmBase     = 0x7f00
	smmCR4      = 0x7f48
	smmCR3      = 0x7f50
	smmCR0      = 0x7f58
	smmDR7      = 0x7f60
	smmDR6      = 0x7f68
	smmFlags    = 0x7f70
	smmRIP      = 0x7f78
	smmR15      = 0x7f80 // upwards: R15 … R8, RDI, RSI, RBP, RSP, RBX, RDX, RCX, RAX
	smmEntry    = 0x8000
)

// smmOrder are the registers from smmR15 up.
var smmOrder = [16]int{x86.R15, x86.R14, x86.R13, x86.R12, x86.R11, x86.R10, x86.R9, x86.R8, x86.RDI, x86.RSI, x86.RBP, x86.RSP, x86.RBX, x86.RDX, x86.RCX, x86.RAX}

// phys access of the save area.
func (c *CPU) smmPut(off uint64, size int, v uint64) {
	_ = c.space().BusStore(uint64(c.env.SMBase)+smmArea+off, size, v)
}

func (c *CPU) smmGet(off uint64, size int) uint64 {
	v, _ := c.space().BusLoad(uint64(c.env.SMBase)+smmArea+off, size)
	return v
}

func (c *CPU) smmPutSeg(off uint64, s *x86.Segment) {
	c.smmPut(off, 2, uint64(s.Selector))
	c.smmPut(off+2, 2, uint64(s.Flags>>8&0xf0ff))
	c.smmPut(off+4, 4, uint64(s.Limit))
	c.smmPut(off+8, 8, s.Base)
}

func (c *CPU) smmGetSeg(off uint64) x86.Segment {
	return x86.Segment{Selector: uint16(c.smmGet(off, 2)), Flags: uint32(c.smmGet(off+2, 2)&0xf0ff) << 8, Limit: uint32(c.smmGet(off+4, 4)), Base: c.smmGet(off+8, 8)}
}

// enterSMM handles a system management interrupt.
func (c *CPU) enterSMM() {
	e := c.env
	c.smiBlocked = true
	e.HFlags |= x86.HFSMM
	c.svm.aside = e.HFlags & x86.HFGuest
	e.HFlags &^= x86.HFGuest
	c.flushTLB(true)
	wasBlocked := c.nmiBlocked
	c.nmiBlocked = true
	for i := range 6 {
		c.smmPutSeg(smmSegs+16*uint64(i), &e.Seg[i])
	}
	c.smmPut(smmGDT+4, 4, uint64(e.GDT.Limit))
	c.smmPut(smmGDT+8, 8, e.GDT.Base)
	c.smmPutSeg(smmLDT, &e.Seg[x86.LDTR])
	c.smmPut(smmIDT+4, 4, uint64(e.IDT.Limit))
	c.smmPut(smmIDT+8, 8, e.IDT.Base)
	c.smmPutSeg(smmTR, &e.Seg[x86.TR])
	c.smmPut(smmEFER, 8, e.EFER)
	for i, r := range smmOrder {
		c.smmPut(smmR15+8*uint64(i), 8, e.Regs[r])
	}
	for _, f := range []struct {
		off uint64
		v   uint64
	}{{smmRIP, e.PC}, {smmFlags, e.Flags()}, {smmDR6, e.DR[6]}, {smmDR7, e.DR[7]}, {smmCR4, e.CR[4]}, {smmCR3, e.CR[3]}, {smmCR0, e.CR[0]}} {
		c.smmPut(f.off, 8, f.v)
	}
	c.smmPut(smmRev, 4, smmRevision)
	c.smmPut(smmBase, 4, uint64(e.SMBase))
	c.smmNMI = wasBlocked

	e.EFER &^= x86.EFERLMA | x86.EFERLME
	e.SetFlags(2)
	e.PC = smmEntry
	e.CR[0] &^= x86.CR0PE | x86.CR0EM | x86.CR0TS | x86.CR0PG
	e.CR[4] = 0
	e.DR[7] = x86.DR7Fixed
	for i := range 6 {
		e.Seg[i] = x86.Segment{Limit: 0xffffffff, Flags: x86.SegP | x86.SegW | x86.SegS | x86.SegA | x86.SegG}
	}
	e.Seg[x86.CS].Selector, e.Seg[x86.CS].Base = uint16(e.SMBase>>4), uint64(e.SMBase)
	e.SetCPL(0)
	e.UpdateHFlags()
	c.flushTLB(true)
}

// rsm implements RSM.
func (c *CPU) rsm() {
	e := c.env
	if e.HFlags&x86.HFSMM == 0 {
		c.ud()
	}
	e.EFER = c.smmGet(smmEFER, 8)
	e.GDT = x86.Table{Limit: uint32(c.smmGet(smmGDT+4, 4)), Base: c.smmGet(smmGDT+8, 8)}
	e.IDT = x86.Table{Limit: uint32(c.smmGet(smmIDT+4, 4)), Base: c.smmGet(smmIDT+8, 8)}
	e.Seg[x86.LDTR], e.Seg[x86.TR] = c.smmGetSeg(smmLDT), c.smmGetSeg(smmTR)
	for i, r := range smmOrder {
		e.Regs[r] = c.smmGet(smmR15+8*uint64(i), 8)
	}
	e.PC = c.smmGet(smmRIP, 8)
	e.SetFlags(c.smmGet(smmFlags, 8))
	e.DR[6], e.DR[7] = c.smmGet(smmDR6, 8), c.smmGet(smmDR7, 8)
	for i := range 6 {
		e.Seg[i] = c.smmGetSeg(smmSegs + 16*uint64(i))
	}
	e.CR[4], e.CR[3], e.CR[0] = c.smmGet(smmCR4, 8), c.smmGet(smmCR3, 8), c.smmGet(smmCR0, 8)
	if c.smmGet(smmRev, 4)&0x20000 != 0 {
		e.SMBase = uint32(c.smmGet(smmBase, 4))
	}
	e.SetCPL(e.Seg[x86.SS].DPL())
	e.HFlags = e.HFlags&^x86.HFSMM | c.svm.aside
	c.nmiBlocked, c.smiBlocked = c.smmNMI, false
	e.UpdateHFlags()
	c.flushTLB(true)
	c.updateWatch()
}
