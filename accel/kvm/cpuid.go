package kvm

import (
	"math/bits"

	"goemu/accel"
	"goemu/target/x86"
)

// Leaves of the hypervisor's own: what kernels look for to find KVM's interface for guests.
const (
	leafSignature = 0x40000000
	leafFeatures  = 0x40000001
	leafFrequency = 0x40000010
	leafExtended  = 0x80000000
	leafCentaur   = 0xc0000000
	signature     = "KVMKVMKVM\x00\x00\x00"
)

// noState are features whose registers are not part of the migrated state, which are not offered for that reason: nested virtualisation,
// processor trace, last-branch records, SGX.
var noState = featureSet("vmx", "svm", "intel-pt", "arch-lbr", "sgx", "sgxlc")

// tileFeatures are those of registers for which memory must have been asked.
var tileFeatures = featureSet("amx-bf16", "amx-tile", "amx-int8", "xfd")

func featureSet(names ...string) (f x86.Features) {
	for _, name := range names {
		if b, ok := x86.FeatureByName(name); ok {
			f.Set(b, true)
		}
	}
	return f
}

// Features are the CPU features that a guest can have. Without a local interrupt controller in the kernel those that need one are missing.
func (h *Host) Features(chips accel.Chips) x86.Features {
	var f x86.Features
	kernelIRQChip := chips != accel.ChipsNone
	for w := range x86.Words {
		i := &x86.Words[w]
		f[w] = h.leaf(i.Leaf, i.Sub)[i.Reg] &^ noState[w]
		if !h.tiles {
			f[w] &^= tileFeatures[w]
		}
	}
	f[x86.F40000001EDX] |= x86.KVMDedicated
	switch chips {
	case accel.ChipsNone:
		f[x86.F40000001EAX] &^= x86.KVMPVUnhalt
	case accel.ChipsLocal:
		f[x86.F40000001EAX] |= x86.KVMExtDestID
	}
	f.Set(x86.FeatHypervisor, true)
	f.Set(x86.FeatHT, true) // the topology decides
	// The shared bits of the extended leaf are AMD's alone.
	f[x86.F80000001EDX] |= f[x86.F1EDX] & amdShared
	f.Set(x86.FeatDeadline, kernelIRQChip && h.has(capTSCDeadline))
	if !kernelIRQChip {
		f.Set(x86.FeatX2APIC, false)
	}
	if len(h.cpuid) > 0 {
		f.Set(x86.FeatARAT, true)
	}
	return f
}

// amdShared are the bits of leaf 1 EDX that AMD repeats in leaf 0x80000001 EDX.
const amdShared = 0x0183f3ff

// Vendor is that of the host's processor.
func (h *Host) Vendor() string {
	r := h.leaf(0, 0)
	var b []byte
	for _, v := range [3]uint32{r[1], r[3], r[2]} {
		b = le.AppendUint32(b, v)
	}
	return string(b)
}

// indexedLeaves are those whose answer depends on ECX, with the number of indices to ask for at most.
var indexedLeaves = map[uint32]uint32{leafCache: 8, 7: 2, 0xb: 4, leafXSAVE: 63, 0x14: 2, leafTiles: 2, 0x1f: 4, leafCacheAMD: 8}

// guestCPUID is what CPUID says on a CPU of a kind.
func (h *Host) guestCPUID(cfg *x86.Config) *cpuidList {
	l := new(cpuidList)
	base := uint32(leafSignature)
	if cfg.HyperV.On() {
		for i, r := range cfg.HyperV.Leaves() {
			l.add(x86.HVLeafVendor+uint32(i), 0, 0, r)
		}
		base += nextSignature
	}
	if !cfg.HideKVM {
		var r [3]uint32
		for i := range r {
			r[i] = le.Uint32([]byte(signature)[4*i:])
		}
		l.add(base, 0, 0, [4]uint32{base + 1, r[0], r[1], r[2]})
		l.add(base+1, 0, 0, [4]uint32{cfg.Features[x86.F40000001EAX], 0, 0, cfg.Features[x86.F40000001EDX]})
	}
	st := &x86.CPUIDState{APICBase: x86.APICBaseEnable, XCR0: x86.XFeatX87}
	for _, r := range [][2]uint32{{0, cfg.Level}, {leafExtended, cfg.XLevel}, {leafCentaur, cfg.XLevel2}} {
		for leaf := r[0]; leaf <= r[1] && r[1] != 0; leaf++ {
			n, indexed := indexedLeaves[leaf]
			if !indexed {
				l.add(leaf, 0, 0, h.special(cfg, leaf, 0, cfg.CPUID(leaf, 0, st)))
				continue
			}
			for i := range n {
				v := h.special(cfg, leaf, i, cfg.CPUID(leaf, i, st))
				if i == 0 || v != (x86.Regs{}) {
					l.add(leaf, i, cpuidIndexed, v)
				}
			}
		}
	}
	return l
}

// addFrequency adds the leaf with the rates of the time stamp counter and of the local interrupt controller's timer in kHz, if the first is
// known and stays.
func (c *CPU) addFrequency(l *cpuidList) {
	cfg := c.accel.opt.Config
	if cfg.HideKVM || cfg.HideFrequency || cfg.HyperV.On() || !cfg.Features.Has(x86.FeatInvTSC) && cfg.TSCFrequency == 0 {
		return
	}
	if tsc, bus := c.Rates(); tsc != 0 {
		l.Entries[0].Regs[0] = leafFrequency
		l.add(leafFrequency, 0, 0, [4]uint32{uint32(tsc / 1000), uint32(bus / 1000)})
	}
}

// Leaves of which the host knows more, and how far KVM's own leaves move if Hyper-V's are in their place.
const (
	leafCacheOld, leafCache, leafXSAVE = 2, 4, 0xd
	leafTiles, leafTileMultiply        = 0x1d, 0x1e
	leafL1, leafL2, leafCacheAMD       = 0x80000005, 0x80000006, 0x8000001d
	nextSignature                      = 0x100
)

// special is a leaf under hardware virtualisation; v is what it is elsewhere.
func (h *Host) special(cfg *x86.Config, leaf, sub uint32, v x86.Regs) x86.Regs {
	switch leaf {
	case 1:
		if !cfg.PMU {
			v[2] &^= 1 << (x86.FeatPDCM & 31)
		}
	case leafPMU:
		if cfg.PMU {
			return h.leaf(leafPMU, 0)
		}
	case leafXSAVE:
		if v != (x86.Regs{}) {
			return h.xsaveLeaf(sub, v)
		}
	case leafTiles, leafTileMultiply:
		if cfg.Features.Has(x86.FeatAMXTile) {
			return h.leaf(leaf, sub)
		}
	case leafCacheOld, leafL1, leafL2, leafCacheAMD:
		if cfg.HostCaches {
			return h.leaf(leaf, sub)
		}
	case leafCache:
		if cfg.HostCaches {
			return cacheLeaf(cfg, h.leaf(leaf, sub))
		}
	}
	return v
}

// cacheLeaf is a cache of the host (Intel SDM volume 2, CPUID leaf 4) as a guest of other topology shares it.
func cacheLeaf(cfg *x86.Config, v x86.Regs) x86.Regs {
	const typeMask, coresShift, sharingShift, sharingMask = 0x1f, 26, 14, 0xfff
	if v[0]&typeMask == 0 {
		return v
	}
	power := func(n int) uint32 { return 1<<bits.Len(uint(max(n, 1)-1)) - 1 }
	sharing := v[0] >> sharingShift & sharingMask
	if n := cfg.Topology.PerSocket(); int(sharing)+1 > n {
		sharing = power(n)
	}
	v[0] = v[0]&(1<<sharingShift-1) | sharing<<sharingShift | power(cfg.Topology.Cores)<<coresShift
	return v
}

// xsaveLeaf is a sub-leaf of leafXSAVE with the places of the components that the processor itself uses. v is what it is elsewhere.
func (h *Host) xsaveLeaf(sub uint32, v x86.Regs) x86.Regs {
	switch {
	case sub >= 2:
		return h.leaf(leafXSAVE, sub)
	case sub == 0:
		for i := uint32(2); i < 32; i++ {
			if c := h.leaf(leafXSAVE, i); v[0]>>i&1 != 0 {
				v[2] = max(v[2], c[0]+c[1])
			}
		}
	}
	return v
}

func (l *cpuidList) add(leaf, index, flags uint32, r [4]uint32) {
	if l.N < maxCPUID {
		l.Entries[l.N] = cpuidEntry{Function: leaf, Index: index, Flags: flags, Regs: r}
		l.N++
	}
}

// forCPU is the list of all CPUs with the identifier of one.
func forCPU(all *cpuidList, apicID uint32) *cpuidList {
	l := *all
	for i := range l.Entries[:l.N] {
		e := &l.Entries[i]
		switch e.Function {
		case 1:
			e.Regs[1] = e.Regs[1]&0x00ffffff | apicID<<24
		case 0xb, 0x1f:
			e.Regs[3] = apicID
		}
	}
	return &l
}

// Levels are the last leaves that a guest can be shown and the number of bits of a physical address.
func (h *Host) Levels() (basic, extended uint32, physBits int) {
	return h.leaf(0, 0)[0], h.leaf(leafExtended, 0)[0], int(h.leaf(leafExtended+8, 0)[0] & 0xff)
}
