package x86

import (
	"slices"

	"goemu/migration/vmstate"
)

// AVX512State is what AVX-512 adds to the vector registers.
type AVX512State struct {
	Mask  [8]uint64     // k0…k7
	Upper [16][4]uint64 // upper halves of ZMM0…15
	More  [16][8]uint64 // ZMM16…31
}

// TileState is that of AMX.
type TileState struct {
	Config [64]uint8
	Data   [8192]uint8
}

// BoundState is that of MPX: lower and upper bounds, and the registers BNDCFGU, BNDSTATUS and IA32_BNDCFGS.
type BoundState struct {
	Regs                   [4][2]uint64
	Config, Status, Kernel uint64
}

// Numbers of performance counters in the migrated form.
const (
	MaxFixedCounters = 3
	MaxCounters      = 18
)

// PMUState are the architectural performance counters (Intel SDM volume 3, chapter 20).
type PMUState struct {
	FixedControl, Control, Status, OverflowControl uint64
	Fixed                                          [MaxFixedCounters]uint64
	Counter, Select                                [MaxCounters]uint64
}

func (p *PMUState) used() bool { return *p != PMUState{} }

// Numbers of the registers of Hyper-V's interface for guests.
const (
	HVCrashParams = 5
	HVSINTs       = 16
	HVTimers      = 4
)

// HyperVState are the registers of Hyper-V's interface for guests (Hypervisor Top Level Functional Specification).
type HyperVState struct {
	GuestOS, Hypercall, VAPIC, TSC, Runtime           uint64
	Crash                                             [HVCrashParams]uint64
	SynIC                                             HVSynICState
	TimerConfig, TimerCount                           [HVTimers]uint64
	Reenlightenment, TSCEmulation, TSCEmulationStatus uint64
}

// HVSynICState is its synthetic interrupt controller.
type HVSynICState struct {
	Control, EventPage, MessagePage uint64
	SINT                            [HVSINTs]uint64
}

// extra is a subsection of several registers.
func extra(name string, needed func(*State) bool, fields ...vmstate.Field[State]) vmstate.Description[State] {
	return vmstate.Description[State]{Name: name, Version: 1, MinVersion: 1, Needed: needed, Fields: fields}
}

func u64s(name string, at func(*State) []uint64) vmstate.Field[State] { return vmstate.Array(name, at) }

var pmuState = extra("cpu/msr_architectural_pmu", func(s *State) bool { return s.PMU.used() },
	u64("env.msr_fixed_ctr_ctrl", func(s *State) *uint64 { return &s.PMU.FixedControl }),
	u64("env.msr_global_ctrl", func(s *State) *uint64 { return &s.PMU.Control }),
	u64("env.msr_global_status", func(s *State) *uint64 { return &s.PMU.Status }),
	u64("env.msr_global_ovf_ctrl", func(s *State) *uint64 { return &s.PMU.OverflowControl }),
	u64s("env.msr_fixed_counters", func(s *State) []uint64 { return s.PMU.Fixed[:] }),
	u64s("env.msr_gp_counters", func(s *State) []uint64 { return s.PMU.Counter[:] }),
	u64s("env.msr_gp_evtsel", func(s *State) []uint64 { return s.PMU.Select[:] }),
)

var boundState = extra("cpu/mpx", func(s *State) bool { return s.Bounds != BoundState{} },
	vmstate.Structs("env.bnd_regs", &boundRegState, func(s *State) [][2]uint64 { return s.Bounds.Regs[:] }),
	u64("env.bndcs_regs.cfgu", func(s *State) *uint64 { return &s.Bounds.Config }),
	u64("env.bndcs_regs.sts", func(s *State) *uint64 { return &s.Bounds.Status }),
	u64("env.msr_bndcfgs", func(s *State) *uint64 { return &s.Bounds.Kernel }),
)

var boundRegState = vmstate.Description[[2]uint64]{
	Name: "bnd_regs", Version: 1, MinVersion: 1,
	Fields: []vmstate.Field[[2]uint64]{
		vmstate.Of("lb", func(b *[2]uint64) *uint64 { return &b[0] }),
		vmstate.Of("ub", func(b *[2]uint64) *uint64 { return &b[1] }),
	},
}

var hvHypercallState = extra("cpu/msr_hyperv_hypercall", func(s *State) bool { return s.HyperV.Hypercall != 0 || s.HyperV.GuestOS != 0 },
	u64("env.msr_hv_guest_os_id", func(s *State) *uint64 { return &s.HyperV.GuestOS }),
	u64("env.msr_hv_hypercall", func(s *State) *uint64 { return &s.HyperV.Hypercall }),
)

var hvCrashState = extra("cpu/msr_hyperv_crash", func(s *State) bool { return s.HyperV.Crash != [HVCrashParams]uint64{} },
	u64s("env.msr_hv_crash_params", func(s *State) []uint64 { return s.HyperV.Crash[:] }),
)

var hvSynICState = extra("cpu/msr_hyperv_synic", func(s *State) bool { return s.HyperV.SynIC != HVSynICState{} },
	u64("env.msr_hv_synic_control", func(s *State) *uint64 { return &s.HyperV.SynIC.Control }),
	u64("env.msr_hv_synic_evt_page", func(s *State) *uint64 { return &s.HyperV.SynIC.EventPage }),
	u64("env.msr_hv_synic_msg_page", func(s *State) *uint64 { return &s.HyperV.SynIC.MessagePage }),
	u64s("env.msr_hv_synic_sint", func(s *State) []uint64 { return s.HyperV.SynIC.SINT[:] }),
)

var hvTimerState = extra("cpu/msr_hyperv_stimer",
	func(s *State) bool {
		return s.HyperV.TimerConfig != [HVTimers]uint64{} || s.HyperV.TimerCount != [HVTimers]uint64{}
	},
	u64s("env.msr_hv_stimer_config", func(s *State) []uint64 { return s.HyperV.TimerConfig[:] }),
	u64s("env.msr_hv_stimer_count", func(s *State) []uint64 { return s.HyperV.TimerCount[:] }),
)

var hvReenlightenmentState = extra("cpu/msr_hyperv_reenlightenment",
	func(s *State) bool {
		return s.HyperV.Reenlightenment != 0 || s.HyperV.TSCEmulation != 0 || s.HyperV.TSCEmulationStatus != 0
	},
	u64("env.msr_hv_reenlightenment_control", func(s *State) *uint64 { return &s.HyperV.Reenlightenment }),
	u64("env.msr_hv_tsc_emulation_control", func(s *State) *uint64 { return &s.HyperV.TSCEmulation }),
	u64("env.msr_hv_tsc_emulation_status", func(s *State) *uint64 { return &s.HyperV.TSCEmulationStatus }),
)

var avx512State = extra("cpu/avx512", func(s *State) bool { return s.AVX512 != AVX512State{} },
	u64s("env.opmask_regs", func(s *State) []uint64 { return s.AVX512.Mask[:] }),
	vmstate.Structs("env.xmm_regs[0]", &zmmhState, func(s *State) [][4]uint64 { return s.AVX512.Upper[:] }),
	vmstate.Structs("env.xmm_regs[16]", &hi16State, func(s *State) [][8]uint64 { return s.AVX512.More[:] }),
)

var zmmhState = vmstate.Description[[4]uint64]{
	Name: "zmmh_reg", Version: 1, MinVersion: 1,
	Fields: []vmstate.Field[[4]uint64]{quad("_q_ZMMReg[4]", 0), quad("_q_ZMMReg[5]", 1), quad("_q_ZMMReg[6]", 2), quad("_q_ZMMReg[7]", 3)},
}

var hi16State = vmstate.Description[[8]uint64]{
	Name: "hi16_zmm_reg", Version: 1, MinVersion: 1,
	Fields: hi16Fields(),
}

func hi16Fields() (list []vmstate.Field[[8]uint64]) {
	for i, name := range []string{"_q_ZMMReg[0]", "_q_ZMMReg[1]", "_q_ZMMReg[2]", "_q_ZMMReg[3]", "_q_ZMMReg[4]", "_q_ZMMReg[5]", "_q_ZMMReg[6]", "_q_ZMMReg[7]"} {
		list = append(list, vmstate.Of(name, func(v *[8]uint64) *uint64 { return &v[i] }))
	}
	return list
}

var pdptrState = vmstate.Description[State]{
	Name: "cpu/pdptrs", Version: 1, MinVersion: 1,
	Needed:   func(s *State) bool { return s.PDPTRValid },
	Fields:   []vmstate.Field[State]{u64s("env.pdptrs", func(s *State) []uint64 { return s.PDPTR[:] })},
	PostLoad: func(s *State, _ int) error { s.PDPTRValid = true; return nil },
}

var xfdState = extra("cpu/msr_xfd", func(s *State) bool { return s.XFD != 0 || s.XFDErr != 0 || s.Tiles.used() },
	u64("env.msr_xfd", func(s *State) *uint64 { return &s.XFD }),
	u64("env.msr_xfd_err", func(s *State) *uint64 { return &s.XFDErr }),
)

var tileState = extra("cpu/intel_amx_xtile", func(s *State) bool { return s.Tiles.used() },
	vmstate.Array("env.xtilecfg", func(s *State) []uint8 { return s.Tiles.Config[:] }),
	vmstate.Array("env.xtiledata", func(s *State) []uint8 { return s.Tiles.Data[:] }),
)

func (t *TileState) used() bool {
	set := func(b byte) bool { return b != 0 }
	return slices.ContainsFunc(t.Config[:], set) || slices.ContainsFunc(t.Data[:], set)
}
