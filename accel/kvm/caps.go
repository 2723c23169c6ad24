package kvm

import (
	"cmp"
	"fmt"

	"goemu/accel"
)

// capability is the number of an extension (KVM_CAP_*).
type capability uint32

// The capabilities that the package knows.
const (
	capIRQChip        capability = 0
	capUserMemory     capability = 3
	capSetTSSAddr     capability = 4
	capExtCPUID       capability = 7
	capMaxVCPUs       capability = 66
	capNrVCPUs        capability = 9
	capMPState        capability = 14
	capDestroyWorks   capability = 21
	capSetGuestDebug  capability = 23
	capReinject       capability = 24
	capIRQRouting     capability = 25
	capMCE            capability = 31
	capIRQFD          capability = 32
	capPIT2           capability = 33
	capPITState2      capability = 35
	capIOEventFD      capability = 36
	capIdentityMap    capability = 37
	capAdjustClock    capability = 39
	capVCPUEvents     capability = 41
	capDebugRegs      capability = 50
	capXsave          capability = 55
	capXcrs           capability = 56
	capGetTSCKHz      capability = 61
	capTSCDeadline    capability = 72
	capKVMClockCtrl   capability = 76
	capSignalMSI      capability = 77
	capSetGuestDebug2 capability = 195
	capReadonlyMem    capability = 81
	capSMM            capability = 117
	capSplitIRQChip   capability = 121
	capManualProtect  capability = 168
	capDirtyRing      capability = 192
	capNotifyExit     capability = 219
	capTripleFault    capability = 218
	capXsave2         capability = 208
	capSysAttributes  capability = 209
	capSregs2         capability = 200
	capAddressSpaces  capability = 118
	capHyperV         capability = 44
	capHyperVTime     capability = 96
	capHyperVSynIC    capability = 123
	capHyperVTLBFlush capability = 155
	capHyperVIPI      capability = 161
	capHyperVVMCS     capability = 163
	capSysHyperVCPUID capability = 191
	capHyperVEnforce  capability = 199
	capCoalescedMMIO  capability = 15
	capCoalescedPIO   capability = 162
	capAnyLength      capability = 122
	capImmediateExit  capability = 136
	capNrMemslots     capability = 10
	capTSCControl     capability = 60
	capBinaryStats    capability = 203
)

// capabilities describes them: the name for messages, and whether nothing works without.
var capabilities = []struct {
	number   capability
	name     string
	required bool
}{
	{capUserMemory, "KVM_CAP_USER_MEMORY", true},
	{capDestroyWorks, "KVM_CAP_DESTROY_MEMORY_REGION_WORKS", true},
	{capSetTSSAddr, "KVM_CAP_SET_TSS_ADDR", true},
	{capExtCPUID, "KVM_CAP_EXT_CPUID", true},
	{capMPState, "KVM_CAP_MP_STATE", true},
	{capVCPUEvents, "KVM_CAP_VCPU_EVENTS", true},
	{capDebugRegs, "KVM_CAP_DEBUGREGS", true},
	{capXsave, "KVM_CAP_XSAVE", true},
	{capXcrs, "KVM_CAP_XCRS", true},
	{capImmediateExit, "KVM_CAP_IMMEDIATE_EXIT", true},
	{capReadonlyMem, "KVM_CAP_READONLY_MEM", true},
	{capIRQChip, "KVM_CAP_IRQCHIP", false},
	{capIRQFD, "KVM_CAP_IRQFD", false},
	{capIOEventFD, "KVM_CAP_IOEVENTFD", false},
	{capAnyLength, "KVM_CAP_IOEVENTFD_ANY_LENGTH", false},
	{capCoalescedMMIO, "KVM_CAP_COALESCED_MMIO", false},
	{capCoalescedPIO, "KVM_CAP_COALESCED_PIO", false},
	{capSMM, "KVM_CAP_X86_SMM", false},
	{capAddressSpaces, "KVM_CAP_MULTI_ADDRESS_SPACE", false},
	{capTripleFault, "KVM_CAP_X86_TRIPLE_FAULT_EVENT", false},
	{capBinaryStats, "KVM_CAP_BINARY_STATS_FD", false},
	{capSysAttributes, "KVM_CAP_SYS_ATTRIBUTES", false},
	{capSregs2, "KVM_CAP_SREGS2", false},
	{capHyperV, "KVM_CAP_HYPERV", false},
	{capHyperVTime, "KVM_CAP_HYPERV_TIME", false},
	{capHyperVSynIC, "KVM_CAP_HYPERV_SYNIC", false},
	{capHyperVTLBFlush, "KVM_CAP_HYPERV_TLBFLUSH", false},
	{capHyperVIPI, "KVM_CAP_HYPERV_SEND_IPI", false},
	{capHyperVVMCS, "KVM_CAP_HYPERV_ENLIGHTENED_VMCS", false},
	{capSysHyperVCPUID, "KVM_CAP_SYS_HYPERV_CPUID", false},
	{capHyperVEnforce, "KVM_CAP_HYPERV_ENFORCE_CPUID", false},
	{capIRQRouting, "KVM_CAP_IRQ_ROUTING", false},
	{capSignalMSI, "KVM_CAP_SIGNAL_MSI", false},
	{capSplitIRQChip, "KVM_CAP_SPLIT_IRQCHIP", false},
	{capPIT2, "KVM_CAP_PIT2", false},
	{capPITState2, "KVM_CAP_PIT_STATE2", false},
	{capReinject, "KVM_CAP_REINJECT_CONTROL", false},
	{capManualProtect, "KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2", false},
	{capDirtyRing, "KVM_CAP_DIRTY_LOG_RING", false},
	{capNotifyExit, "KVM_CAP_X86_NOTIFY_VMEXIT", false},
	{capIdentityMap, "KVM_CAP_SET_IDENTITY_MAP_ADDR", false},
	{capNrVCPUs, "KVM_CAP_NR_VCPUS", false},
	{capMaxVCPUs, "KVM_CAP_MAX_VCPUS", false},
	{capNrMemslots, "KVM_CAP_NR_MEMSLOTS", false},
	{capSetGuestDebug, "KVM_CAP_SET_GUEST_DEBUG", false},
	{capSetGuestDebug2, "KVM_CAP_SET_GUEST_DEBUG2", false},
	{capMCE, "KVM_CAP_MCE", false},
	{capAdjustClock, "KVM_CAP_ADJUST_CLOCK", false},
	{capGetTSCKHz, "KVM_CAP_GET_TSC_KHZ", false},
	{capTSCControl, "KVM_CAP_TSC_CONTROL", false},
	{capTSCDeadline, "KVM_CAP_TSC_DEADLINE_TIMER", false},
	{capKVMClockCtrl, "KVM_CAP_KVMCLOCK_CTRL", false},
}

// readCaps asks for all capabilities; an error names the first required one that is missing.
func (h *Host) readCaps() error {
	h.caps = map[capability]int{}
	for _, c := range capabilities {
		n, err := h.k.ioctl(h.fd, reqCheckExtension, uint64(c.number))
		if err != nil {
			n = 0
		}
		h.caps[c.number] = n
		if n == 0 && c.required {
			return &InitError{Errno: errInvalid, Detail: "kvm does not support " + c.name}
		}
	}
	return nil
}

// vmCapabilities are those whose value depends on the machine.
var vmCapabilities = []capability{capXsave2}

// readVMCaps asks for them.
func (h *Host) readVMCaps() {
	h.vmCaps = map[capability]int{}
	for _, c := range vmCapabilities {
		if n, err := h.k.ioctl(h.vm, reqCheckExtension, uint64(c)); err == nil {
			h.vmCaps[c] = n
		}
	}
}

func (h *Host) has(c capability) bool { return h.caps[c] != 0 }

// maxCPUs is how many virtual CPUs a machine may have; old kernels do not say.
func (h *Host) maxCPUs() int {
	if n := h.caps[capMaxVCPUs]; n > 0 {
		return n
	}
	return cmp.Or(h.caps[capNrVCPUs], defaultCPUs)
}

// Recommended tells, in QEMU's words, that there are to be more CPUs than the kernel recommends; what says which.
func (h *Host) Recommended(n int, what string) string {
	limit := cmp.Or(h.caps[capNrVCPUs], defaultCPUs)
	if n <= limit {
		return ""
	}
	return fmt.Sprintf("Number of %s cpus requested (%d) exceeds the recommended cpus supported by KVM (%d)", what, n, limit)
}

// defaultCPUs is how many CPUs there may be where the kernel does not say.
const defaultCPUs = 4

// CheckCPUs refuses more CPUs than the host can have, in QEMU's words.
func (h *Host) CheckCPUs(n int) error {
	if limit := h.maxCPUs(); n > limit {
		return fmt.Errorf("Number of SMP cpus requested (%d) exceeds the maximum cpus supported by KVM (%d)", n, limit)
	}
	return nil
}

// chipsNeed are the capabilities that interrupt controllers in the kernel take.
var chipsNeed = map[accel.Chips][]capability{
	accel.ChipsLocal: {capIRQChip, capSplitIRQChip, capIRQRouting, capSignalMSI},
	accel.ChipsAll:   {capIRQChip, capIRQRouting, capSignalMSI, capPIT2, capPITState2},
}

// CheckChips refuses interrupt controllers in the kernel where a capability for them is missing.
func (h *Host) CheckChips(which accel.Chips) error {
	for _, n := range chipsNeed[which] {
		if h.has(n) {
			continue
		}
		for _, c := range capabilities {
			if c.number == n {
				return fmt.Errorf("Create kernel irqchip failed: kvm does not support %s", c.name)
			}
		}
	}
	return nil
}

// HasSMM tells whether guests can have system management mode, with an address space of its own.
func (h *Host) HasSMM() bool { return h.has(capSMM) && h.caps[capAddressSpaces] > 1 }
