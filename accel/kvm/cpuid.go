package kvm

import (
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

// noState are features whose registers are not part of the migrated state, which are not offered for that reason: AVX-512, AMX, MPX,
// nested virtualisation, performance counters, processor trace, last-branch records, SGX.
var noState = func() (f x86.Features) {
	for _, name := range []string{"avx512f", "avx512dq", "avx512ifma", "avx512pf", "avx512er", "avx512cd", "avx512bw", "avx512vl", "avx512vbmi", "avx512vbmi2",
		"avx512vnni", "avx512bitalg", "avx512-vpopcntdq", "avx512-4vnniw", "avx512-4fmaps", "avx512-vp2intersect", "avx512-fp16", "avx512-bf16",
		"amx-bf16", "amx-tile", "amx-int8", "xfd", "mpx", "vmx", "svm", "pdcm", "intel-pt", "arch-lbr", "sgx", "sgxlc"} {
		if b, ok := x86.FeatureByName(name); ok {
			f.Set(b, true)
		}
	}
	return f
}()

// Features are the CPU features that a guest can have. Without a local interrupt controller in the kernel those that need one are missing.
func (h *Host) Features(chips accel.Chips) x86.Features {
	var f x86.Features
	kernelIRQChip := chips != accel.ChipsNone
	for w := range x86.Words {
		i := &x86.Words[w]
		f[w] = h.leaf(i.Leaf, i.Sub)[i.Reg] &^ noState[w]
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
var indexedLeaves = map[uint32]uint32{4: 8, 7: 2, 0xb: 4, 0xd: 63, 0x14: 2, 0x1f: 4}

// guestCPUID is what CPUID says on a CPU of a kind.
func (h *Host) guestCPUID(cfg *x86.Config) *cpuidList {
	l := new(cpuidList)
	if !cfg.HideKVM {
		var r [3]uint32
		for i := range r {
			r[i] = le.Uint32([]byte(signature)[4*i:])
		}
		l.add(leafSignature, 0, 0, [4]uint32{leafFeatures, r[0], r[1], r[2]})
		l.add(leafFeatures, 0, 0, [4]uint32{cfg.Features[x86.F40000001EAX], 0, 0, cfg.Features[x86.F40000001EDX]})
	}
	st := &x86.CPUIDState{APICBase: x86.APICBaseEnable, XCR0: x86.XFeatX87}
	for _, r := range [][2]uint32{{0, cfg.Level}, {leafExtended, cfg.XLevel}, {leafCentaur, cfg.XLevel2}} {
		for leaf := r[0]; leaf <= r[1] && r[1] != 0; leaf++ {
			n, indexed := indexedLeaves[leaf]
			if !indexed {
				l.add(leaf, 0, 0, cfg.CPUID(leaf, 0, st))
				continue
			}
			for i := range n {
				v := cfg.CPUID(leaf, i, st)
				if leaf == leafXSAVE && v != (x86.Regs{}) {
					v = h.xsaveLeaf(i, v)
				}
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
	if cfg.HideKVM || cfg.HideFrequency || !cfg.Features.Has(x86.FeatInvTSC) && cfg.TSCFrequency == 0 {
		return
	}
	const busKHz = 1_000_000
	if khz, err := c.k.ioctl(c.fd, reqGetTSCKHz, 0); err == nil && khz != 0 {
		l.Entries[0].Regs[0] = leafFrequency
		l.add(leafFrequency, 0, 0, [4]uint32{uint32(khz), busKHz})
	}
}

const leafXSAVE = 0xd

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
