package tcg

import "goemu/target/x86"

// Model-specific registers.
const (
	msrTSC          = 0x10
	msrAPICBase     = 0x1b
	msrThreadCount  = 0x35
	msrFeatCtl      = 0x3a
	msrTSCAdjust    = 0x3b
	msrUcodeRev     = 0x8b
	msrSMBase       = 0x9e
	msrMTRRCap      = 0xfe
	msrSysenterCS   = 0x174
	msrSysenterESP  = 0x175
	msrSysenterEIP  = 0x176
	msrMCGCap       = 0x179
	msrMCGStatus    = 0x17a
	msrMCGCtl       = 0x17b
	msrPerfStatus   = 0x198
	msrMiscEnable   = 0x1a0
	msrMTRRPhys     = 0x200 // 8 pairs
	msrMTRRFix64K   = 0x250
	msrMTRRFix16K   = 0x258 // 2
	msrMTRRFix4K    = 0x268 // 8
	msrPAT          = 0x277
	msrMTRRDef      = 0x2ff
	msrMC0          = 0x400 // 10 banks of 4
	msrMCEnd        = 0x480 // of the room for banks
	msrSpecCtl      = 0x48
	msrPredCmd      = 0x49
	msrFlushCmd     = 0x10b
	msrPKRS         = 0x6e1
	msrTSCDeadline  = 0x6e0
	msrX2APIC       = 0x800
	msrXSS          = 0xda0
	msrEFER         = 0xc0000080
	msrSTAR         = 0xc0000081
	msrLSTAR        = 0xc0000082
	msrCSTAR        = 0xc0000083
	msrFMASK        = 0xc0000084
	msrFSBase       = 0xc0000100
	msrGSBase       = 0xc0000101
	msrKernelGSBase = 0xc0000102
	msrTSCAux       = 0xc0000103
	msrVMHSave      = 0xc0010117

	mtrrCap    = 8 | 1<<8 | 1<<10 // 8 variable ranges, fixed ranges, write combining
	patReset   = 0x0007040600070406
	miscMWAIT  = 1 << 18 // IA32_MISC_ENABLE: MONITOR and MWAIT are on
	perfStatus = 1000 | 4<<40
	ucodeAMD   = 0x01000065
	ucodeIntel = 0x1_0000_0000
)

// msrs are the model-specific registers that only store a value.
type msrs struct {
	pat, miscEnable, featCtl, tscAdjust uint64
	mtrrDef, mtrrFix64K                 uint64
	mtrrFix16K                          [2]uint64
	mtrrFix4K                           [8]uint64
	mtrrPhys                            [16]uint64
	mcgStatus, mcgCtl                   uint64
	mc                                  [x86.MCBankRegs * x86.MCBanks]uint64
}

// reset keeps what the machine check banks tell: firmware reads it.
func (m *msrs) reset() { *m = msrs{pat: patReset, miscEnable: 1, mcgCtl: m.mcgCtl, mc: m.mc} }

// place is the storage of a register that only stores a value, nil for others.
func (m *msrs) place(i uint32) *uint64 {
	switch i {
	case msrPAT:
		return &m.pat
	case msrMiscEnable:
		return &m.miscEnable
	case msrFeatCtl:
		return &m.featCtl
	case msrTSCAdjust:
		return &m.tscAdjust
	case msrMTRRDef:
		return &m.mtrrDef
	case msrMTRRFix64K:
		return &m.mtrrFix64K
	case msrMCGStatus:
		return &m.mcgStatus
	case msrMCGCtl:
		return &m.mcgCtl
	}
	for _, r := range [...]struct {
		base uint32
		s    []uint64
	}{{msrMTRRFix16K, m.mtrrFix16K[:]}, {msrMTRRFix4K, m.mtrrFix4K[:]}, {msrMTRRPhys, m.mtrrPhys[:]}, {msrMC0, m.mc[:]}} {
		if d := i - r.base; d < uint32(len(r.s)) {
			return &r.s[d]
		}
	}
	return nil
}

// envMSR is the field of the environment that holds a register, nil for others.
func (c *CPU) envMSR(i uint32) *uint64 {
	e := c.env
	switch i {
	case msrSysenterCS:
		return &e.SysenterCS
	case msrSysenterESP:
		return &e.SysenterESP
	case msrSysenterEIP:
		return &e.SysenterEIP
	case msrSTAR:
		return &e.Star
	case msrLSTAR:
		return &e.LStar
	case msrCSTAR:
		return &e.CStar
	case msrFMASK:
		return &e.FMask
	case msrFSBase:
		return &e.Seg[x86.FS].Base
	case msrGSBase:
		return &e.Seg[x86.GS].Base
	case msrKernelGSBase:
		return &e.KernelGSBase
	case msrTSCAux:
		return &e.TSCAux
	case msrVMHSave:
		return &c.svm.HSave
	}
	return nil
}

// checkMSR raises #GP for registers that this CPU certainly does not have: machine check banks beyond the last one, and the controls of
// speculation, which come with CPUID bits that no model here has.
func (c *CPU) checkMSR(i uint32) {
	switch {
	case i >= msrMC0+x86.MCBankRegs*x86.MCBanks && i < msrMCEnd, i == msrSpecCtl, i == msrPredCmd, i == msrFlushCmd:
		c.gp(0)
	}
}

// Bits of machine check controls that systems clear on AMD's CPUs: bank 4 reports too much otherwise.
const mcQuirks = 1<<10 | 1

// checkMC raises #GP for what cannot be written to a register of a machine check bank: a control is all ones or zero, a status only
// clears.
func (c *CPU) checkMC(n uint32, v uint64) {
	if n >= x86.MCBankRegs*x86.MCBanks {
		return
	}
	if n&3 == 0 && v != 0 && v|mcQuirks != ^uint64(0) || n&3 == 1 && v != 0 {
		c.gp(0)
	}
}

// readMSR returns a model-specific register. Unknown ones read as 0, as under QEMU's translator.
func (c *CPU) readMSR(i uint32) uint64 {
	c.checkMSR(i)
	if p := c.envMSR(i); p != nil {
		if i == msrSysenterCS {
			return *p & 0xffff
		}
		return *p
	}
	if p := c.msr.place(i); p != nil {
		return *p
	}
	if i>>8 == msrX2APIC>>8 && c.ic != nil {
		v, ok := c.ic.ReadMSR(i)
		if !ok {
			c.gp(0)
		}
		return v
	}
	switch i {
	case msrTSC:
		return c.readTSC()
	case msrAPICBase:
		if c.ic != nil {
			return c.ic.Base()
		}
	case msrEFER:
		return c.env.EFER
	case msrThreadCount:
		t := c.cfg.Topology
		return uint64(t.PerSocket()) | uint64(t.PerSocket()/max(t.Threads, 1))<<16
	case msrUcodeRev:
		if c.cfg.Model.Vendor == x86.VendorAMD {
			return ucodeAMD
		}
		return ucodeIntel
	case msrSMBase:
		if c.env.HFlags&x86.HFSMM == 0 {
			c.gp(0)
		}
		return uint64(c.env.SMBase)
	case msrMTRRCap:
		if c.cfg.Features.Has(x86.FeatMTRR) {
			return mtrrCap
		}
	case msrMCGCap:
		return c.cfg.MCGCap()
	case msrPerfStatus:
		return perfStatus
	case msrXSS:
		return c.env.XSS
	case msrPKRS:
		c.needPKS()
		return uint64(c.env.PKRS)
	case msrTSCDeadline:
		if c.ic != nil && c.cfg.Features.Has(x86.FeatDeadline) {
			return c.ic.Deadline()
		}
	}
	return 0
}

// writeMSR sets a model-specific register; unknown ones ignore it.
func (c *CPU) writeMSR(i uint32, v uint64) {
	e := c.env
	c.checkMSR(i)
	if p := c.envMSR(i); p != nil {
		switch i {
		case msrFSBase, msrGSBase, msrKernelGSBase, msrLSTAR, msrCSTAR, msrSysenterESP, msrSysenterEIP:
			if !c.canonicalBase(v) {
				c.gp(0)
			}
		case msrSysenterCS:
			v &= 0xffff
		case msrVMHSave:
			if v&^pageMask != 0 || v>>c.cfg.PhysBits != 0 {
				c.gp(0)
			}
		}
		*p = v
		return
	}
	if p := c.msr.place(i); p != nil {
		if i == msrPAT && !validPAT(v) {
			c.gp(0)
		}
		if i == msrTSCAdjust {
			e.TSCOffset += v - *p
		}
		c.checkMC(i-msrMC0, v)
		*p = v
		return
	}
	if i>>8 == msrX2APIC>>8 && c.ic != nil {
		if !c.ic.WriteMSR(i, v) {
			c.gp(0)
		}
		return
	}
	switch i {
	case msrTSC:
		old := e.TSCOffset
		e.TSCOffset += v - c.readTSC()
		c.msr.tscAdjust += e.TSCOffset - old
	case msrAPICBase:
		if c.ic != nil && (v>>c.cfg.PhysBits != 0 || !c.ic.SetBase(v)) {
			c.gp(0)
		}
		c.flushTLB(true) // the APIC's page may have moved
	case msrEFER:
		c.writeEFER(v)
	case msrSMBase:
		if e.HFlags&x86.HFSMM == 0 {
			c.gp(0)
		}
		e.SMBase = uint32(v)
	case msrPKRS:
		c.needPKS()
		if v>>32 != 0 {
			c.gp(0)
		}
		c.setPKRS(uint32(v))
	case msrXSS:
		if v != 0 {
			c.gp(0)
		}
		e.XSS = v
	case msrTSCDeadline:
		if c.ic != nil && c.cfg.Features.Has(x86.FeatDeadline) {
			c.ic.SetDeadline(v)
		}
	}
}

// needPKS raises #GP without protection keys for supervisor pages.
func (c *CPU) needPKS() {
	if !c.cfg.Features.Has(x86.FeatPKS) {
		c.gp(0)
	}
}

// setPKRS changes the rights of the protection keys of supervisor pages.
func (c *CPU) setPKRS(v uint32) {
	if c.env.PKRS != v {
		c.env.PKRS = v
		c.flushTLB(true)
	}
}

// validPAT tells whether every field is a memory type.
func validPAT(v uint64) bool {
	for i := range 8 {
		switch v >> (8 * i) & 0xff {
		case 0, 1, 4, 5, 6, 7:
		default:
			return false
		}
	}
	return true
}

// writeEFER changes the bits of EFER that the CPU's features allow; LMA is not writable.
func (c *CPU) writeEFER(v uint64) {
	e, mask := c.env, c.eferValid()
	if e.CR[0]&x86.CR0PG != 0 && (v^e.EFER)&x86.EFERLME != 0 {
		c.gp(0)
	}
	old := e.EFER
	e.EFER = old&^mask | v&mask
	c.needGIF()
	if (old^e.EFER)&x86.EFERNXE != 0 {
		c.flushTLB(true)
	}
	e.UpdateHFlags()
}

// eferValid are the bits of EFER that the CPU's features allow to be written.
func (c *CPU) eferValid() (mask uint64) {
	for _, b := range [...]struct {
		bit  uint64
		feat x86.Feature
	}{
		{x86.EFERSCE, x86.FeatSYSCALL}, {x86.EFERLME, x86.FeatLM}, {x86.EFERFFXSR, x86.FeatFFXSR}, {x86.EFERNXE, x86.FeatNX}, {x86.EFERSVME, x86.FeatSVM},
	} {
		if c.cfg.Features.Has(b.feat) {
			mask |= b.bit
		}
	}
	return mask
}

// SetMSR sets a register as WRMSR does; a value that would fault is ignored. The CPU is paused or not started.
func (c *CPU) SetMSR(index uint32, v uint64) { c.catch(func() { c.writeMSR(index, v) }) }
