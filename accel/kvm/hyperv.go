package kvm

import (
	"fmt"

	"goemu/internal/strerror"
	"goemu/target/x86"
)

// Registers of Hyper-V's interface for guests (Hypervisor Top Level Functional Specification, appendix "MSRs").
const (
	hvGuestOS, hvHypercall, hvVPIndex, hvReset = 0x40000000, 0x40000001, 0x40000002, 0x40000003
	hvRuntime, hvReferenceTSC, hvTSCFrequency  = 0x40000010, 0x40000021, 0x40000022
	hvAssistPage                               = 0x40000073
	hvSControl, hvSVersion, hvSIEFP, hvSIMP    = 0x40000080, 0x40000081, 0x40000082, 0x40000083
	hvSINT0, hvSTimer0Config, hvSTimer0Count   = 0x40000090, 0x400000b0, 0x400000b1
	hvCrash0, hvCrashControl                   = 0x40000100, 0x40000105
	hvReenlightenment                          = 0x40000106
	hvTSCEmulation, hvTSCEmulationStatus       = 0x40000107, 0x40000108

	hvFirst, hvLast = hvGuestOS, 0x400001ff
	hvCrashNotify   = 1 << 63 // in hvCrashControl: tell the emulator
	hvSynICVersion  = 1
)

// hvLegacy are the bits of leaves that stand for a capability or a register, for kernels that do not list what they support.
var hvLegacy = []struct {
	cap  capability
	msr  uint32 // 0: the capability decides
	leaf uint32
	reg  int
	bits uint32
}{
	{capHyperV, 0, x86.HVLeafFeatures, 0, x86.HVHypercalls | 1<<4},
	{capHyperV, 0, x86.HVLeafAdvice, 0, 1<<5 | x86.HVUseVAPIC},
	{capHyperVTime, 0, x86.HVLeafFeatures, 0, 1<<1 | 1<<9},
	{0, hvTSCFrequency, x86.HVLeafFeatures, 0, 1 << 11},
	{0, hvTSCFrequency, x86.HVLeafFeatures, 3, 1 << 8},
	{0, hvCrashControl, x86.HVLeafFeatures, 3, 1 << 10},
	{0, hvReenlightenment, x86.HVLeafFeatures, 0, 1 << 13},
	{0, hvReset, x86.HVLeafFeatures, 0, 1 << 7},
	{0, hvVPIndex, x86.HVLeafFeatures, 0, 1 << 6},
	{0, hvRuntime, x86.HVLeafFeatures, 0, 1 << 0},
	{capHyperVSynIC, 0, x86.HVLeafFeatures, 0, 1 << 2},
	{0, hvSTimer0Config, x86.HVLeafFeatures, 0, 1 << 3},
	{capHyperVTLBFlush, 0, x86.HVLeafAdvice, 0, 1<<2 | 1<<11},
	{capHyperVIPI, 0, x86.HVLeafAdvice, 0, 1<<10 | 1<<11},
}

// HyperV are the leaves of Hyper-V's interface that guests can have; nil if there is none.
func (h *Host) HyperV() (map[uint32]x86.Regs, error) {
	if !h.has(capHyperV) {
		return nil, nil
	}
	leaves := map[uint32]x86.Regs{}
	if !h.has(capSysHyperVCPUID) {
		for _, b := range hvLegacy {
			if b.msr != 0 && h.msrs[b.msr] || b.msr == 0 && h.has(b.cap) {
				r := leaves[b.leaf]
				r[b.reg] |= b.bits
				leaves[b.leaf] = r
			}
		}
		return leaves, nil
	}
	list := &cpuidList{N: maxCPUID}
	if _, err := h.k.ioctlData(h.fd, reqGetHyperVCPUID, bytesOf(list)); err != nil {
		return nil, fmt.Errorf("%s failed: %s", requestNames[reqGetHyperVCPUID], strerror.Of(err))
	}
	for _, e := range list.Entries[:min(list.N, maxCPUID)] {
		leaves[e.Function] = e.Regs
	}
	return leaves, nil
}

// setUpHyperV switches on what a guest of this kind sees of the interface. It precedes the CPU's leaves.
func (c *CPU) setUpHyperV() error {
	v := &c.accel.opt.Config.HyperV
	if v.Has(x86.HVSynIC) {
		if err := c.enable(capHyperVSynIC); err != nil {
			return fmt.Errorf("failed to turn on HyperV SynIC in KVM: %s", strerror.Of(err))
		}
	}
	if v.Enforce {
		if err := c.enable(capHyperVEnforce, 1); err != nil {
			return fmt.Errorf("failed to enable KVM_CAP_HYPERV_ENFORCE_CPUID: %s", strerror.Of(err))
		}
	}
	return nil
}

// enable switches a capability of the CPU on.
func (c *CPU) enable(what capability, args ...uint64) error {
	e := enableCap{Cap: uint32(what)}
	copy(e.Args[:], args)
	_, err := c.k.ioctlData(c.fd, reqEnableCap, bytesOf(&e))
	return err
}

// hvRegisters are those that are part of the state.
func hvRegisters() (list []msr) {
	add := func(index uint32, p func(*x86.State) *uint64) { list = append(list, whole(at(index, p))) }
	add(hvGuestOS, func(s *x86.State) *uint64 { return &s.HyperV.GuestOS })
	add(hvHypercall, func(s *x86.State) *uint64 { return &s.HyperV.Hypercall })
	add(hvReferenceTSC, func(s *x86.State) *uint64 { return &s.HyperV.TSC })
	add(hvReenlightenment, func(s *x86.State) *uint64 { return &s.HyperV.Reenlightenment })
	add(hvTSCEmulation, func(s *x86.State) *uint64 { return &s.HyperV.TSCEmulation })
	add(hvTSCEmulationStatus, func(s *x86.State) *uint64 { return &s.HyperV.TSCEmulationStatus })
	add(hvAssistPage, func(s *x86.State) *uint64 { return &s.HyperV.VAPIC })
	for i := range uint32(x86.HVCrashParams) {
		add(hvCrash0+i, func(s *x86.State) *uint64 { return &s.HyperV.Crash[i] })
	}
	add(hvRuntime, func(s *x86.State) *uint64 { return &s.HyperV.Runtime })
	add(hvSControl, func(s *x86.State) *uint64 { return &s.HyperV.SynIC.Control })
	add(hvSIEFP, func(s *x86.State) *uint64 { return &s.HyperV.SynIC.EventPage })
	add(hvSIMP, func(s *x86.State) *uint64 { return &s.HyperV.SynIC.MessagePage })
	for i := range uint32(x86.HVSINTs) {
		add(hvSINT0+i, func(s *x86.State) *uint64 { return &s.HyperV.SynIC.SINT[i] })
	}
	for i := range uint32(x86.HVTimers) {
		add(hvSTimer0Config+2*i, func(s *x86.State) *uint64 { return &s.HyperV.TimerConfig[i] })
		add(hvSTimer0Count+2*i, func(s *x86.State) *uint64 { return &s.HyperV.TimerCount[i] })
	}
	return list
}

// hvParts say which part of the interface a register belongs to; those that are not here come with any.
var hvParts = map[uint32]x86.HVFeature{
	hvReferenceTSC: x86.HVTime, hvReenlightenment: x86.HVReenlightenment, hvTSCEmulation: x86.HVReenlightenment, hvTSCEmulationStatus: x86.HVReenlightenment,
	hvAssistPage: x86.HVVAPIC, hvRuntime: x86.HVRuntime, hvSControl: x86.HVSynIC, hvSIEFP: x86.HVSynIC, hvSIMP: x86.HVSynIC,
}

// hvPart is hvParts with the registers of which there are several.
func hvPart(index uint32) (f x86.HVFeature, ok bool) {
	switch {
	case index >= hvCrash0 && index < hvCrash0+x86.HVCrashParams:
		return x86.HVCrash, true
	case index >= hvSINT0 && index < hvSINT0+x86.HVSINTs:
		return x86.HVSynIC, true
	case index >= hvSTimer0Config && index < hvSTimer0Config+2*x86.HVTimers:
		return x86.HVSTimer, true
	}
	f, ok = hvParts[index]
	return f, ok
}

// hasHyperV tells whether the kernel keeps a register of the interface for this CPU. Those of the whole machine are the first CPU's.
func (c *CPU) hasHyperV(index uint32) bool {
	v := &c.accel.opt.Config.HyperV
	f, part := hvPart(index)
	switch {
	case !v.On() || part && !v.Has(f):
		return false
	case index == hvGuestOS, index == hvHypercall:
		return c.index == 0
	case f == x86.HVTime, f == x86.HVReenlightenment:
		return c.index == 0 && c.accel.h.msrs[index]
	}
	return c.accel.h.msrs[index] || f == x86.HVSynIC || f == x86.HVSTimer
}

// hvConstants are registers that are set to what they always have.
func (c *CPU) hvConstants() (list []msrEntry) {
	v := &c.accel.opt.Config.HyperV
	for _, x := range []struct {
		part  x86.HVFeature
		index uint32
		value uint64
	}{{x86.HVVPIndex, hvVPIndex, uint64(c.index)}, {x86.HVCrash, hvCrashControl, hvCrashNotify}, {x86.HVSynIC, hvSVersion, hvSynICVersion}} {
		if v.Has(x.part) && c.accel.h.msrs[x.index] {
			list = append(list, msrEntry{Index: x.index, Value: x.value})
		}
	}
	return list
}

// Fields of an exitHyperV, and its kinds.
const (
	hvType, hvInput, hvResult = runExit, runExit + 8, runExit + 16
	hvExitSynIC               = 1
	hvExitCall                = 2

	// Hypercalls and answers.
	hvPostMessage, hvSignalEvent                     = 0x5c, 0x5d
	hvInvalidCode, hvInvalidConnection, hvCallNumber = 2, 18, 0xffff
)

// hyperV acts on an exit of Hyper-V's interface. There is nobody to whom messages and events could go; what the synthetic interrupt controller
// has changed, the kernel knows.
func (c *CPU) hyperV() {
	c.unfinished = true
	switch le.Uint32(c.run[hvType:]) {
	case hvExitSynIC:
	case hvExitCall:
		result := uint64(hvInvalidCode)
		if n := le.Uint64(c.run[hvInput:]) & hvCallNumber; n == hvPostMessage || n == hvSignalEvent {
			result = hvInvalidConnection
		}
		le.PutUint64(c.run[hvResult:], result)
	default:
		c.internalError(fmt.Sprintf("KVM: Hyper-V exit %d", le.Uint32(c.run[hvType:])))
	}
}
