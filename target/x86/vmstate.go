package x86

import (
	"encoding/binary"
	"errors"

	"goemu/migration/vmstate"
)

var le = binary.LittleEndian

// Versions of the section "cpu": 12 added the XSAVE registers.
const (
	cpuVersion    = 12
	cpuMinVersion = 11
)

// CPUState is section "cpu".
var CPUState = vmstate.Description[State]{
	Name: "cpu", Version: cpuVersion, MinVersion: cpuMinVersion,
	Fields: []vmstate.Field[State]{
		vmstate.Array("env.regs", func(s *State) []uint64 { return s.Regs[:] }),
		u64("env.eip", func(s *State) *uint64 { return &s.RIP }),
		u64("env.eflags", func(s *State) *uint64 { return &s.RFLAGS }),
		u32("env.hflags", func(s *State) *uint32 { return &s.Mode }),
		u16("env.fpuc", func(s *State) *uint16 { return &s.FCW }),
		u16("env.fpus_vmstate", func(s *State) *uint16 { return &s.FSW }),
		u16("env.fptag_vmstate", func(s *State) *uint16 { return &s.FTags }),
		u16("env.fpregs_format_vmstate", func(s *State) *uint16 { return &s.fpFormat }),
		vmstate.Structs("env.fpregs", &fpregState, func(s *State) []FPReg { return s.FP[:] }),
		vmstate.Structs("env.segs", &segmentState, func(s *State) []SegmentState { return s.Seg[:LDTR] }),
		segment("env.ldt", func(s *State) *SegmentState { return &s.Seg[LDTR] }),
		segment("env.tr", func(s *State) *SegmentState { return &s.Seg[TR] }),
		segment("env.gdt", func(s *State) *SegmentState { return &s.GDT }),
		segment("env.idt", func(s *State) *SegmentState { return &s.IDT }),
		u32("env.sysenter_cs", func(s *State) *uint32 { return &s.SysenterCS }),
		u64("env.sysenter_esp", func(s *State) *uint64 { return &s.SysenterESP }),
		u64("env.sysenter_eip", func(s *State) *uint64 { return &s.SysenterEIP }),
		u64("env.cr[0]", func(s *State) *uint64 { return &s.CR0 }),
		u64("env.cr[2]", func(s *State) *uint64 { return &s.CR2 }),
		u64("env.cr[3]", func(s *State) *uint64 { return &s.CR3 }),
		u64("env.cr[4]", func(s *State) *uint64 { return &s.CR4 }),
		vmstate.Array("env.dr", func(s *State) []uint64 { return s.DR[:] }),
		vmstate.Of("env.a20_mask", func(s *State) *int32 { return &s.A20Mask }),
		u32("env.mxcsr", func(s *State) *uint32 { return &s.MXCSR }),
		vmstate.Structs("env.xmm_regs[0]", &xmmState, func(s *State) [][4]uint64 { return s.Vec[:] }),
		u64("env.efer", func(s *State) *uint64 { return &s.EFER }),
		u64("env.star", func(s *State) *uint64 { return &s.Star }),
		u64("env.lstar", func(s *State) *uint64 { return &s.LStar }),
		u64("env.cstar", func(s *State) *uint64 { return &s.CStar }),
		u64("env.fmask", func(s *State) *uint64 { return &s.FMask }),
		u64("env.kernelgsbase", func(s *State) *uint64 { return &s.KernelGSBase }),
		u32("env.smbase", func(s *State) *uint32 { return &s.SMBase }),
		u64("env.pat", func(s *State) *uint64 { return &s.PAT }),
		u32("env.hflags2", func(s *State) *uint32 { return &s.Mode2 }),
		u64("env.vm_hsave", func(s *State) *uint64 { return &s.SVM.HSave }),
		u64("env.vm_vmcb", func(s *State) *uint64 { return &s.SVM.VMCB }),
		u64("env.tsc_offset", func(s *State) *uint64 { return &s.TSCOffset }),
		u64("env.intercept", func(s *State) *uint64 { return &s.SVM.Intercept }),
		u16("env.intercept_cr_read", func(s *State) *uint16 { return &s.SVM.CRRead }),
		u16("env.intercept_cr_write", func(s *State) *uint16 { return &s.SVM.CRWrite }),
		u16("env.intercept_dr_read", func(s *State) *uint16 { return &s.SVM.DRRead }),
		u16("env.intercept_dr_write", func(s *State) *uint16 { return &s.SVM.DRWrite }),
		u32("env.intercept_exceptions", func(s *State) *uint32 { return &s.SVM.Exceptions }),
		u8("env.v_tpr", func(s *State) *uint8 { return &s.SVM.vTPR }),
		vmstate.Array("env.mtrr_fixed", func(s *State) []uint64 { return s.MTRRFixed[:] }),
		u64("env.mtrr_deftype", func(s *State) *uint64 { return &s.MTRRDefType }),
		vmstate.Structs("env.mtrr_var", &mtrrState, func(s *State) []MTRR { return s.MTRRVar[:] }).Since(8),
		vmstate.Of("env.interrupt_injected", func(s *State) *int32 { return &s.InterruptInjected }),
		u32("env.mp_state", func(s *State) *uint32 { return &s.MPState }),
		u64("env.tsc", func(s *State) *uint64 { return &s.TSC }),
		vmstate.Of("env.exception_nr", func(s *State) *int32 { return &s.ExceptionNr }),
		u8("env.soft_interrupt", func(s *State) *uint8 { return &s.SoftInterrupt }),
		u8("env.nmi_injected", func(s *State) *uint8 { return &s.NMIInjected }),
		u8("env.nmi_pending", func(s *State) *uint8 { return &s.NMIPending }),
		u8("env.has_error_code", func(s *State) *uint8 { return &s.HasErrorCode }),
		u32("env.sipi_vector", func(s *State) *uint32 { return &s.SIPIVector }),
		u64("env.mcg_cap", func(s *State) *uint64 { return &s.MCGCap }),
		u64("env.mcg_status", func(s *State) *uint64 { return &s.MCGStatus }),
		u64("env.mcg_ctl", func(s *State) *uint64 { return &s.MCGCtl }),
		vmstate.Array("env.mce_banks", func(s *State) []uint64 { return s.MCBanks[:] }),
		u64("env.tsc_aux", func(s *State) *uint64 { return &s.TSCAux }),
		u64("env.system_time_msr", func(s *State) *uint64 { return &s.SystemTime }),
		u64("env.wall_clock_msr", func(s *State) *uint64 { return &s.WallClock }),
		u64("env.xcr0", func(s *State) *uint64 { return &s.XCR0 }).Since(12),
		u64("env.xstate_bv", func(s *State) *uint64 { return &s.XStateBV }).Since(12),
		vmstate.Structs("env.xmm_regs[1]", &ymmhState, func(s *State) [][4]uint64 { return s.Vec[:] }).Since(12),
	},
	// In the order in which QEMU sends them.
	Subsections: []*vmstate.Description[State]{
		register("cpu/async_pf_msr", "env.async_pf_en_msr", 0, func(s *State) *uint64 { return &s.AsyncPF }),
		register("cpu/async_pf_int_msr", "env.async_pf_int_msr", 0, func(s *State) *uint64 { return &s.AsyncPFInt }),
		register("cpu/async_pv_eoi_msr", "env.pv_eoi_en_msr", 0, func(s *State) *uint64 { return &s.PVEOI }),
		register("cpu/steal_time_msr", "env.steal_time_msr", 0, func(s *State) *uint64 { return &s.StealTime }),
		register("cpu/poll_control_msr", "env.poll_control_msr", pollControlDefault, func(s *State) *uint64 { return &s.PollControl }),
		&fpopState,
		register("cpu/msr_tsc_adjust", "env.tsc_adjust", 0, func(s *State) *uint64 { return &s.TSCAdjust }),
		register("cpu/msr_tscdeadline", "env.tsc_deadline", 0, func(s *State) *uint64 { return &s.TSCDeadline }),
		register("cpu/msr_ia32_misc_enable", "env.msr_ia32_misc_enable", miscEnableDefault, func(s *State) *uint64 { return &s.MiscEnable }),
		register("cpu/msr_ia32_feature_control", "env.msr_ia32_feature_control", 0, func(s *State) *uint64 { return &s.FeatureControl }),
		&pmuState, &boundState, &hvHypercallState,
		register("cpu/msr_hyperv_vapic", "env.msr_hv_vapic", 0, func(s *State) *uint64 { return &s.HyperV.VAPIC }),
		register("cpu/msr_hyperv_time", "env.msr_hv_tsc", 0, func(s *State) *uint64 { return &s.HyperV.TSC }),
		&hvCrashState,
		register("cpu/msr_hyperv_runtime", "env.msr_hv_runtime", 0, func(s *State) *uint64 { return &s.HyperV.Runtime }),
		&hvSynICState, &hvTimerState, &hvReenlightenmentState, &avx512State,
		register("cpu/xss", "env.xss", 0, func(s *State) *uint64 { return &s.XSS }),
		register("cpu/umwait", "env.umwait", 0, func(s *State) *uint32 { return &s.Umwait }),
		register("cpu/tsc_khz", "env.tsc_khz", 0, func(s *State) *int64 { return &s.TSCKHz }),
		register("cpu/msr_smi_count", "env.msr_smi_count", 0, func(s *State) *uint64 { return &s.SMICount }),
		register("cpu/pkru", "env.pkru", 0, func(s *State) *uint32 { return &s.PKRU }),
		register("cpu/pkrs", "env.pkrs", 0, func(s *State) *uint32 { return &s.PKRS }),
		register("cpu/spec_ctrl", "env.spec_ctrl", 0, func(s *State) *uint64 { return &s.SpecCtrl }),
		register("cpu/mcg_ext_ctl", "env.mcg_ext_ctl", 0, func(s *State) *uint64 { return &s.MCGExtCtl }),
		register("cpu/virt_ssbd", "env.virt_ssbd", 0, func(s *State) *uint64 { return &s.VirtSSBD }),
		&nestedPagingState,
		register("cpu/svm_guest", "env.int_ctl", 0, func(s *State) *uint32 { return &s.SVM.IntCtl }),
		&pdptrState, &xfdState, &tileState,
		register("cpu/triple_fault", "env.triple_fault_pending", 0, func(s *State) *uint8 { return &s.TripleFault }),
	},
	PreLoad: func(s *State) { // what missing subsections mean; section "cpu_common" comes first
		*s = State{PollControl: pollControlDefault, MiscEnable: miscEnableDefault, Halted: s.Halted, Requests: s.Requests, Crashed: s.Crashed}
	},
	PostLoad: checkState,
}

// Values of registers that travel only if they are others.
const (
	pollControlDefault = 1
	miscEnableDefault  = 1
)

// checkState refuses what no accelerator can continue.
func checkState(s *State, _ int) error {
	if s.fpFormat != 0 {
		return errors.New("Unsupported old non-softfloat CPU state")
	}
	return nil
}

// CPUCommonState is section "cpu_common".
var CPUCommonState = vmstate.Description[State]{
	Name: "cpu_common", Version: 1, MinVersion: 1,
	Fields: []vmstate.Field[State]{
		vmstate.Computed("halted", func(s *State) uint32 {
			if s.Halted || s.WaitSIPI {
				return 1
			}
			return 0
		}, func(s *State, v uint32) { s.Halted = v != 0 }),
		u32("interrupt_request", func(s *State) *uint32 { return &s.Requests }),
	},
	Subsections: []*vmstate.Description[State]{
		{Name: "cpu_common/exception_index", Version: 1, MinVersion: 1,
			Needed: func(s *State) bool { return s.exceptionIndex != 0 },
			Fields: []vmstate.Field[State]{vmstate.Of("exception_index", func(s *State) *int32 { return &s.exceptionIndex })}},
		{Name: "cpu_common/crash_occurred", Version: 1, MinVersion: 1,
			Needed: func(s *State) bool { return s.Crashed },
			Fields: []vmstate.Field[State]{vmstate.Of("crash_occurred", func(s *State) *bool { return &s.Crashed })}},
	},
	PreLoad: func(s *State) { s.exceptionIndex, s.Crashed = 0, false },
	PostLoad: func(s *State, _ int) error {
		if s.exceptionIndex > 0 && s.exceptionIndex < firstEvent {
			return errors.New("the CPU has an exception that is not delivered, which is not supported")
		}
		s.exceptionIndex = 0
		return nil
	},
}

// firstEvent is where QEMU's numbers for leaving the translator begin; below are exceptions of the guest.
const firstEvent = 0x10000

func u64(name string, at func(*State) *uint64) vmstate.Field[State] { return vmstate.Of(name, at) }
func u32(name string, at func(*State) *uint32) vmstate.Field[State] { return vmstate.Of(name, at) }
func u16(name string, at func(*State) *uint16) vmstate.Field[State] { return vmstate.Of(name, at) }
func u8(name string, at func(*State) *uint8) vmstate.Field[State]   { return vmstate.Of(name, at) }

func segment(name string, at func(*State) *SegmentState) vmstate.Field[State] {
	return vmstate.Struct(name, &segmentState, at)
}

// register is a subsection with one register that travels if it has not its default.
func register[V vmstate.Number](section, field string, def V, at func(*State) *V) *vmstate.Description[State] {
	return &vmstate.Description[State]{Name: section, Version: 1, MinVersion: 1,
		Needed: func(s *State) bool { return *at(s) != def },
		Fields: []vmstate.Field[State]{vmstate.Of(field, at)}}
}

var nestedPagingState = vmstate.Description[State]{
	Name: "cpu/svn_npt", Version: 1, MinVersion: 1, // the name is QEMU's
	Needed: func(s *State) bool { return s.Mode2&Mode2NPT != 0 },
	Fields: []vmstate.Field[State]{
		u64("env.nested_cr3", func(s *State) *uint64 { return &s.SVM.NestedCR3 }),
		u32("env.nested_pg_mode", func(s *State) *uint32 { return &s.SVM.PagingMode }),
	},
}

var fpopState = vmstate.Description[State]{
	Name: "cpu/fpop_ip_dp", Version: 1, MinVersion: 1,
	Needed: func(s *State) bool { return s.FOp != 0 || s.FIP != 0 || s.FDP != 0 },
	Fields: []vmstate.Field[State]{
		u16("env.fpop", func(s *State) *uint16 { return &s.FOp }),
		u64("env.fpip", func(s *State) *uint64 { return &s.FIP }),
		u64("env.fpdp", func(s *State) *uint64 { return &s.FDP }),
	},
}

// fpregSize is an x87 register in the stream: mantissa, then exponent.
const fpregSize = 10

var fpregState = vmstate.Description[FPReg]{
	Name: "fpreg",
	Fields: []vmstate.Field[FPReg]{vmstate.Custom("tmp", fpregSize,
		func(f *FPReg, w *vmstate.Writer) { w.U64(f.Mantissa); w.U16(f.Exponent) },
		func(f *FPReg, r *vmstate.Reader) error { f.Mantissa, f.Exponent = r.U64(), r.U16(); return r.Err() })},
}

var segmentState = vmstate.Description[SegmentState]{
	Name: "segment", Version: 1, MinVersion: 1,
	Fields: []vmstate.Field[SegmentState]{
		vmstate.Of("selector", func(s *SegmentState) *uint32 { return &s.Selector }),
		vmstate.Of("base", func(s *SegmentState) *uint64 { return &s.Base }),
		vmstate.Of("limit", func(s *SegmentState) *uint32 { return &s.Limit }),
		vmstate.Of("flags", func(s *SegmentState) *uint32 { return &s.Flags }),
	},
}

var xmmState = vmstate.Description[[4]uint64]{
	Name: "xmm_reg", Version: 1, MinVersion: 1,
	Fields: []vmstate.Field[[4]uint64]{quad("_q_ZMMReg[0]", 0), quad("_q_ZMMReg[1]", 1)},
}

var ymmhState = vmstate.Description[[4]uint64]{
	Name: "ymmh_reg", Version: 1, MinVersion: 1,
	Fields: []vmstate.Field[[4]uint64]{quad("_q_ZMMReg[2]", 2), quad("_q_ZMMReg[3]", 3)},
}

func quad(name string, i int) vmstate.Field[[4]uint64] {
	return vmstate.Of(name, func(v *[4]uint64) *uint64 { return &v[i] })
}

var mtrrState = vmstate.Description[MTRR]{
	Name: "mtrr_var", Version: 1, MinVersion: 1,
	Fields: []vmstate.Field[MTRR]{
		vmstate.Of("base", func(m *MTRR) *uint64 { return &m.Base }),
		vmstate.Of("mask", func(m *MTRR) *uint64 { return &m.Mask }),
	},
}
