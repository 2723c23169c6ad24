package kvm

import "goemu/target/x86"

// msr is a model-specific register that is part of the state.
type msr struct {
	index     uint32
	get       func(*x86.State) uint64
	set       func(*x86.State, uint64)
	wholeOnly bool // goes on by itself, or belongs to the guest's time: written only with the whole state
}

func at(index uint32, p func(*x86.State) *uint64) msr {
	return msr{index: index, get: func(s *x86.State) uint64 { return *p(s) }, set: func(s *x86.State, v uint64) { *p(s) = v }}
}

func at32(index uint32, p func(*x86.State) *uint32) msr {
	return msr{index: index, get: func(s *x86.State) uint64 { return uint64(*p(s)) }, set: func(s *x86.State, v uint64) { *p(s) = uint32(v) }}
}

// whole marks a register that is written only with the whole state.
func whole(m msr) msr {
	m.wholeOnly = true
	return m
}

const (
	msrTSC       = 0x10
	mtrrPhys     = 0x200
	mtrrFix64K   = 0x250
	mtrrFix16K   = 0x258
	mtrrFix4K    = 0x268
	mtrrDefType  = 0x2ff
	mcStatus     = 0x17a
	mcCtl        = 0x17b
	mcBank0      = 0x400
	mcBankRegs   = 4
	msrAPICBase  = 0x1b
	msrDeadline  = 0x6e0
	mtrrFixed16K = 2
	mtrrFixed4K  = 8
)

// msrTable lists the registers: those of the architecture, then those of KVM's interface for guests (Documentation/virt/kvm/x86/msr.rst).
var msrTable = buildMSRs()

func buildMSRs() []msr {
	list := []msr{
		at32(0x174, func(s *x86.State) *uint32 { return &s.SysenterCS }),
		at(0x175, func(s *x86.State) *uint64 { return &s.SysenterESP }),
		at(0x176, func(s *x86.State) *uint64 { return &s.SysenterEIP }),
		at(0x277, func(s *x86.State) *uint64 { return &s.PAT }),
		at(0xc0000081, func(s *x86.State) *uint64 { return &s.Star }),
		at(0xc0000082, func(s *x86.State) *uint64 { return &s.LStar }),
		at(0xc0000083, func(s *x86.State) *uint64 { return &s.CStar }),
		at(0xc0000084, func(s *x86.State) *uint64 { return &s.FMask }),
		at(0xc0000102, func(s *x86.State) *uint64 { return &s.KernelGSBase }),
		at(0xc0000103, func(s *x86.State) *uint64 { return &s.TSCAux }),
		at(0x3a, func(s *x86.State) *uint64 { return &s.FeatureControl }),
		at(0x1a0, func(s *x86.State) *uint64 { return &s.MiscEnable }),
		at32(0x9e, func(s *x86.State) *uint32 { return &s.SMBase }),
		at(0x34, func(s *x86.State) *uint64 { return &s.SMICount }),
		at(0xda0, func(s *x86.State) *uint64 { return &s.XSS }),
		at32(0xe1, func(s *x86.State) *uint32 { return &s.Umwait }),
		at32(0x6e1, func(s *x86.State) *uint32 { return &s.PKRS }),
		at(0x48, func(s *x86.State) *uint64 { return &s.SpecCtrl }),
		at(0x1c4, func(s *x86.State) *uint64 { return &s.XFD }),
		at(0x1c5, func(s *x86.State) *uint64 { return &s.XFDErr }),
		at(0xd90, func(s *x86.State) *uint64 { return &s.Bounds.Kernel }),
		at(0xc001011f, func(s *x86.State) *uint64 { return &s.VirtSSBD }),
		whole(at(msrTSC, func(s *x86.State) *uint64 { return &s.TSC })),
		whole(at(0x3b, func(s *x86.State) *uint64 { return &s.TSCAdjust })),
		whole(at(msrDeadline, func(s *x86.State) *uint64 { return &s.TSCDeadline })),
		at(mtrrDefType, func(s *x86.State) *uint64 { return &s.MTRRDefType }),
		at(mtrrFix64K, func(s *x86.State) *uint64 { return &s.MTRRFixed[0] }),
		at(mcStatus, func(s *x86.State) *uint64 { return &s.MCGStatus }),
		at(mcCtl, func(s *x86.State) *uint64 { return &s.MCGCtl }),

		whole(at(0x4b564d00, func(s *x86.State) *uint64 { return &s.WallClock })),
		whole(at(0x4b564d01, func(s *x86.State) *uint64 { return &s.SystemTime })),
		whole(at(0x4b564d02, func(s *x86.State) *uint64 { return &s.AsyncPF })),
		whole(at(0x4b564d03, func(s *x86.State) *uint64 { return &s.StealTime })),
		whole(at(0x4b564d04, func(s *x86.State) *uint64 { return &s.PVEOI })),
		whole(at(0x4b564d05, func(s *x86.State) *uint64 { return &s.PollControl })),
		whole(at(0x4b564d06, func(s *x86.State) *uint64 { return &s.AsyncPFInt })),
	}
	for i := range mtrrFixed16K {
		list = append(list, at(mtrrFix16K+uint32(i), func(s *x86.State) *uint64 { return &s.MTRRFixed[1+i] }))
	}
	for i := range mtrrFixed4K {
		list = append(list, at(mtrrFix4K+uint32(i), func(s *x86.State) *uint64 { return &s.MTRRFixed[1+mtrrFixed16K+i] }))
	}
	for i := range len(x86.State{}.MTRRVar) {
		list = append(list, at(mtrrPhys+2*uint32(i), func(s *x86.State) *uint64 { return &s.MTRRVar[i].Base }),
			at(mtrrPhys+2*uint32(i)+1, func(s *x86.State) *uint64 { return &s.MTRRVar[i].Mask }))
	}
	for i := range len(x86.State{}.MCBanks) {
		list = append(list, at(mcBank0+uint32(i), func(s *x86.State) *uint64 { return &s.MCBanks[i] }))
	}
	return append(append(list, counterRegisters()...), hvRegisters()...)
}

// unlisted are registers that every kernel has although its list leaves them out.
func unlisted(index uint32) bool {
	return index >= mtrrPhys && index < 0x280 || index == mtrrDefType
}

// hasMSR tells whether the kernel keeps a register for this CPU.
func (c *CPU) hasMSR(index uint32) bool {
	switch {
	case isCounter(index):
		return c.accel.pmu.has(index)
	case index >= hvFirst && index <= hvLast:
		return c.hasHyperV(index)
	case index == msrDeadline:
		return c.accel.localInKernel() && c.accel.opt.Config.Features.Has(x86.FeatDeadline)
	case index == mcStatus, index == mcCtl:
		return c.rest.MCGCap != 0
	case index >= mcBank0 && index < mcBank0+x86.MCBankRegs*x86.MCBanks:
		return c.rest.MCGCap&0xff > uint64(index-mcBank0)/x86.MCBankRegs
	case unlisted(index):
		return c.accel.opt.Config.Features.Has(x86.FeatMTRR)
	}
	return c.accel.h.msrs[index]
}

func (c *CPU) pullMSRs() error {
	list := new(msrList)
	var which []*msr
	for i := range msrTable {
		if m := &msrTable[i]; c.hasMSR(m.index) && !c.noMSR[m.index] {
			list.Entries[list.N].Index = m.index
			list.N++
			which = append(which, m)
		}
	}
	return c.eachMSR(reqGetMSRs, list, func(i int, v uint64) { which[i].set(&c.rest, v) })
}

func (c *CPU) pushMSRs() error {
	list := new(msrList)
	if c.whole {
		for _, e := range append(c.accel.pmu.stop(), c.hvConstants()...) {
			if !c.noMSR[e.Index] {
				list.Entries[list.N] = e
				list.N++
			}
		}
	}
	for i := range msrTable {
		if m := &msrTable[i]; c.hasMSR(m.index) && !c.noMSR[m.index] && (c.whole || !m.wholeOnly) {
			list.Entries[list.N] = msrEntry{Index: m.index, Value: m.get(&c.rest)}
			list.N++
		}
	}
	return c.eachMSR(reqSetMSRs, list, nil)
}

// eachMSR makes a request with a list of registers. The kernel stops at one that it does not have for a CPU of this kind; that one is
// left out from now on. got, if any, gets the value of each.
func (c *CPU) eachMSR(r request, list *msrList, got func(i int, v uint64)) error {
	entries := list.Entries[:list.N]
	for done := 0; done < len(entries); {
		part := new(msrList)
		part.N = uint32(copy(part.Entries[:], entries[done:]))
		n, err := c.k.ioctlData(c.fd, r, bytesOf(part))
		if err != nil {
			return requestError(r, err)
		}
		n = min(n, int(part.N))
		for i := range n {
			if got != nil {
				got(done+i, part.Entries[i].Value)
			}
		}
		if done += n; done < len(entries) {
			if c.noMSR == nil {
				c.noMSR = map[uint32]bool{}
			}
			c.noMSR[entries[done].Index] = true
			done++
		}
	}
	return nil
}

// setUpMCE gives the CPU machine check banks if its model and the host have them.
func (c *CPU) setUpMCE() error {
	c.rest.MCGCap = 0
	wanted := c.accel.opt.Config.MCGCap()
	if wanted == 0 || !c.accel.h.has(capMCE) {
		return nil
	}
	var can uint64
	if _, err := c.k.ioctlData(c.accel.h.fd, reqMCECapSupported, bytesOf(&can)); err != nil {
		return requestError(reqMCECapSupported, err)
	}
	v := wanted & (can | x86.MCGBanks)
	if banks := uint64(c.accel.h.caps[capMCE]); banks < x86.MCBanks {
		v = v&^x86.MCGBanks | banks
	}
	if _, err := c.k.ioctlData(c.fd, reqSetupMCE, bytesOf(&v)); err != nil {
		return requestError(reqSetupMCE, err)
	}
	c.rest.MCGCap = v
	return nil
}
