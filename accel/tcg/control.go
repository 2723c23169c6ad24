package tcg

import "goemu/target/x86"

// cr0Valid are the bits of CR0 that can be set; ET always is.
const cr0Valid = x86.CR0PE | x86.CR0MP | x86.CR0EM | x86.CR0TS | x86.CR0ET | x86.CR0NE | x86.CR0WP | x86.CR0AM | x86.CR0NW | x86.CR0CD | x86.CR0PG

// setCR0 implements MOV to CR0.
func (c *CPU) setCR0(v uint64) {
	e := c.env
	if v>>32 != 0 || v&x86.CR0PG != 0 && v&x86.CR0PE == 0 || v&x86.CR0NW != 0 && v&x86.CR0CD == 0 {
		c.gp(0)
	}
	v = v&cr0Valid | x86.CR0ET
	old := e.CR[0]
	efer := e.EFER
	switch {
	case old&x86.CR0PG == 0 && v&x86.CR0PG != 0:
		if efer&x86.EFERLME != 0 {
			if e.CR[4]&x86.CR4PAE == 0 || e.Seg[x86.CS].Flags&x86.SegL != 0 {
				c.gp(0)
			}
			efer |= x86.EFERLMA
		} else if e.CR[4]&x86.CR4PAE != 0 {
			c.checkPDPTEs(e.CR[3])
		}
	case old&x86.CR0PG != 0 && v&x86.CR0PG == 0:
		if e.HFlags&x86.HFCS64 != 0 || e.CR[4]&x86.CR4PCIDE != 0 {
			c.gp(0)
		}
		if efer&x86.EFERLMA != 0 {
			efer &^= x86.EFERLMA
			e.PC &= 0xffffffff
		}
	}
	e.CR[0], e.EFER = v, efer
	if (old^v)&(x86.CR0PG|x86.CR0WP|x86.CR0PE) != 0 {
		c.flushTLB(true)
	}
	e.UpdateHFlags()
}

// checkPDPTEs raises #GP for page-directory pointers with reserved bits, as loading CR3 in PAE mode does.
func (c *CPU) checkPDPTEs(cr3 uint64) {
	if !c.validPDPTEs(cr3) {
		c.gp(0)
	}
}

// validPDPTEs tells whether they have no reserved bits set.
func (c *CPU) validPDPTEs(cr3 uint64) bool {
	w := c.newWalker(0, accRead, x86.MMUKernelSMAP)
	rsvd := uint64(pteAddr)&^(1<<c.cfg.PhysBits-1) | pteHigh | pteNX | 0x1e6
	for i := range uint64(4) {
		p := w.load64(cr3&0xffffffe0 + i*8)
		if w.ended {
			panic(unwind)
		}
		if p&pteP != 0 && p&rsvd != 0 {
			return false
		}
	}
	return true
}

// setCR3 changes the page-table root. Translations that are not global are dropped, or, with process-context identifiers, those of the
// new identifier unless keep is set.
func (c *CPU) setCR3(v uint64, keep bool) {
	e := c.env
	e.CR[3] = v
	switch {
	case e.CR[0]&x86.CR0PG == 0:
	case e.CR[4]&x86.CR4PCIDE != 0:
		c.enterSpace(v&pcidMask, keep)
	default:
		c.flushTLB(e.CR[4]&x86.CR4PGE == 0)
	}
}

// writeCR3 implements MOV to CR3.
func (c *CPU) writeCR3(v uint64) {
	e, keep := c.env, false
	if e.EFER&x86.EFERLMA == 0 {
		v &= 0xffffffff
		if e.CR[0]&x86.CR0PG != 0 && e.CR[4]&x86.CR4PAE != 0 {
			c.checkPDPTEs(v)
		}
	} else {
		if e.CR[4]&x86.CR4PCIDE != 0 {
			keep = v&cr3Keep != 0
			v &^= cr3Keep
		}
		if v>>c.cfg.PhysBits != 0 {
			c.gp(0)
		}
	}
	c.setCR3(v, keep)
}

// cr4Features maps control bits to the features that they need.
var cr4Features = [...]struct {
	bits uint64
	feat x86.Feature
}{
	{x86.CR4VME | x86.CR4PVI, x86.FeatVME}, {x86.CR4TSD, x86.FeatTSC}, {x86.CR4DE, x86.FeatDE}, {x86.CR4PSE, x86.FeatPSE},
	{x86.CR4PAE, x86.FeatPAE}, {x86.CR4PGE, x86.FeatPGE}, {x86.CR4OSFXSR, x86.FeatFXSR}, {x86.CR4OSXMMEXCPT, x86.FeatSSE},
	{x86.CR4UMIP, x86.FeatUMIP}, {x86.CR4LA57, x86.FeatLA57}, {x86.CR4FSGSBASE, x86.FeatFSGSBase}, {x86.CR4PCIDE, x86.FeatPCID},
	{x86.CR4OSXSAVE, x86.FeatXSAVE}, {x86.CR4SMEP, x86.FeatSMEP}, {x86.CR4SMAP, x86.FeatSMAP}, {x86.CR4PKE, x86.FeatPKU},
	{x86.CR4PKS, x86.FeatPKS},
}

// cr4Valid are the bits of CR4 that this CPU has.
func (c *CPU) cr4Valid() uint64 {
	v := uint64(x86.CR4MCE | x86.CR4PCE)
	for _, f := range cr4Features {
		if c.cfg.Features.Has(f.feat) {
			v |= f.bits
		}
	}
	return v
}

const cr4Paging = x86.CR4PSE | x86.CR4PAE | x86.CR4PGE | x86.CR4PCIDE | x86.CR4SMEP | x86.CR4SMAP | x86.CR4LA57 | x86.CR4PKE | x86.CR4PKS

// setCR4 implements MOV to CR4.
func (c *CPU) setCR4(v uint64) {
	e := c.env
	old := e.CR[4]
	if v&^c.cr4Valid() != 0 {
		c.gp(0)
	}
	long := e.EFER&x86.EFERLMA != 0
	if long && (v&x86.CR4PAE == 0 || (v^old)&x86.CR4LA57 != 0) {
		c.gp(0)
	}
	if v&^old&x86.CR4PCIDE != 0 && (!long || e.CR[3]&0xfff != 0) {
		c.gp(0)
	}
	if !long && e.CR[0]&x86.CR0PG != 0 && v&x86.CR4PAE != 0 && (old^v)&(x86.CR4PAE|x86.CR4PGE|x86.CR4PSE|x86.CR4SMEP) != 0 {
		c.checkPDPTEs(e.CR[3])
	}
	e.CR[4] = v
	if (old^v)&cr4Paging != 0 {
		c.flushTLB(true)
	}
	e.UpdateHFlags()
}

// readCR and writeCR implement MOV from and to control registers.
func (c *CPU) readCR(n uint64) uint64 {
	switch n {
	case 0, 2, 3, 4:
		return c.env.CR[n]
	case 8:
		if c.svm.mode2&x86.Mode2VIntr != 0 {
			return uint64(c.svm.IntCtl & x86.VIntTPR)
		}
		if c.ic != nil {
			return uint64(c.ic.TPR() >> 4)
		}
		return c.env.CR8
	}
	c.ud()
	return 0
}

func (c *CPU) writeCR(n, v uint64) {
	switch n {
	case 0:
		c.setCR0(v)
	case 2:
		c.env.CR[2] = v
	case 3:
		c.writeCR3(v)
	case 4:
		c.setCR4(v)
	case 8:
		if v&^15 != 0 {
			c.gp(0)
		}
		if c.svm.mode2&x86.Mode2VIntr != 0 {
			c.svm.IntCtl = c.svm.IntCtl&^x86.VIntTPR | uint32(v)
			c.raiseVirtual()
			return
		}
		c.env.CR8 = v
		if c.ic != nil {
			c.ic.SetTPR(uint8(v) << 4)
		}
	default:
		c.ud()
	}
}

// lmsw implements LMSW: it cannot clear PE.
func (c *CPU) lmsw(v uint64) {
	c.setCR0(c.env.CR[0]&^0xe | v&0xf)
}

// debugRegister checks an access to a debug register and gives its true number.
func (c *CPU) debugRegister(n uint64) uint64 {
	e := c.env
	if n == 4 || n == 5 {
		if e.CR[4]&x86.CR4DE != 0 {
			c.ud()
		}
		n += 2
	}
	if e.DR[7]&x86.DR7GD != 0 {
		e.DR[7] &^= x86.DR7GD
		e.DR[6] |= x86.DR6BD
		c.raise(x86.ExcDB, 0)
	}
	return n
}

func (c *CPU) readDR(n uint64) uint64 { return c.env.DR[c.debugRegister(n)] }

// writeDR implements MOV to a debug register.
func (c *CPU) writeDR(n, v uint64) {
	n = c.debugRegister(n)
	e := c.env
	switch n {
	case 6:
		if v>>32 != 0 {
			c.gp(0)
		}
		v = v&0xe00f | x86.DR6Fixed
	case 7:
		if v>>32 != 0 {
			c.gp(0)
		}
		v = v&^0xdc00 | x86.DR7Fixed
	}
	e.DR[n] = v
	c.updateWatch()
}

// invpcid implements INVPCID: one address of an identifier, all of an identifier, everything, everything but what is global.
func (c *CPU) invpcid(kind, at uint64) {
	if kind > 3 {
		c.gp(0)
	}
	mmu := c.mmuIndex()
	pcid, addr := c.rd(at, 8, mmu), c.rd(at+8, 8, mmu)
	if c.env.CR[4]&x86.CR4PCIDE == 0 && kind < 2 && pcid != 0 {
		c.gp(0)
	}
	if pcid>>12 != 0 || kind == 0 && !c.canonicalBase(addr) {
		c.gp(0)
	}
	switch kind {
	case 0:
		c.flushForeign(pcid, addr)
	case 1:
		c.flushSpaces(pcid, false)
	case 2:
		c.flushTLB(true)
	default:
		c.flushSpaces(0, true)
	}
}

// xsetbv implements XSETBV.
func (c *CPU) xsetbv() {
	e := c.env
	v := e.Regs[x86.RDX]<<32 | e.Regs[x86.RAX]&0xffffffff
	if e.CR[4]&x86.CR4OSXSAVE == 0 {
		c.ud()
	}
	if e.Regs[x86.RCX]&0xffffffff != 0 || v&x86.XFeatX87 == 0 || v&^c.cfg.XCR0Mask() != 0 || v&(x86.XFeatAVX|x86.XFeatSSE) == x86.XFeatAVX {
		c.gp(0)
	}
	e.XCR0 = v
	e.UpdateHFlags()
}

// xgetbv implements XGETBV.
func (c *CPU) xgetbv() {
	e := c.env
	if e.CR[4]&x86.CR4OSXSAVE == 0 {
		c.ud()
	}
	v := e.XCR0
	switch e.Regs[x86.RCX] & 0xffffffff {
	case 0:
	case 1: // in use: everything that is enabled
		if c.cfg.Features[x86.FXSAVE]&(1<<2) == 0 {
			c.gp(0)
		}
	default:
		c.gp(0)
	}
	c.setPair(v)
}

// setPair sets EDX:EAX.
func (c *CPU) setPair(v uint64) {
	c.env.Regs[x86.RAX], c.env.Regs[x86.RDX] = v&0xffffffff, v>>32
}

// pair is EDX:EAX.
func (c *CPU) pair() uint64 {
	return c.env.Regs[x86.RDX]<<32 | c.env.Regs[x86.RAX]&0xffffffff
}
