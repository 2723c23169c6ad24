package apic

import "goemu/migration/vmstate"

// state is the migrated state. The deadline of the TSC mode travels with the CPU.
var state = vmstate.Description[APIC]{
	Name: "apic", Version: 3, MinVersion: 3,
	Fields: []vmstate.Field[APIC]{
		vmstate.Computed("apicbase", func(a *APIC) uint32 { return uint32(a.base.Load()) }, func(a *APIC, v uint32) { a.base.Store(uint64(v)) }),
		vmstate.Of("id", func(a *APIC) *uint8 { return &a.id }),
		vmstate.Of("arb_id", func(a *APIC) *uint8 { return &a.arbID }),
		vmstate.Of("tpr", func(a *APIC) *uint8 { return &a.tpr }),
		vmstate.Of("spurious_vec", func(a *APIC) *uint32 { return &a.svr }),
		vmstate.Of("log_dest", func(a *APIC) *uint8 { return &a.logicalDest }),
		vmstate.Of("dest_mode", func(a *APIC) *uint8 { return &a.destMode }),
		vmstate.Array("isr", func(a *APIC) []uint32 { return a.isr[:] }),
		vmstate.Array("tmr", func(a *APIC) []uint32 { return a.tmr[:] }),
		vmstate.Array("irr", func(a *APIC) []uint32 { return a.irr[:] }),
		vmstate.Array("lvt", func(a *APIC) []uint32 { return a.lvt[:] }),
		vmstate.Of("esr", func(a *APIC) *uint32 { return &a.esr }),
		vmstate.Array("icr", func(a *APIC) []uint32 { return a.icr[:] }),
		vmstate.Of("divide_conf", func(a *APIC) *uint32 { return &a.divide }),
		vmstate.Of("count_shift", func(a *APIC) *int32 { return &a.countShift }),
		vmstate.Of("initial_count", func(a *APIC) *uint32 { return &a.initialCount }),
		vmstate.Of("initial_count_load_time", func(a *APIC) *int64 { return &a.loadTime }),
		vmstate.Of("next_time", func(a *APIC) *int64 { return &a.nextTime }),
		vmstate.Timer("timer_expiry", func(a *APIC) vmstate.TimerState { return a.timer }),
	},
	Subsections: []*vmstate.Description[APIC]{{Name: "apic_sipi", Version: 1, MinVersion: 1,
		Needed: func(a *APIC) bool { return a.waitSIPI != 0 },
		Fields: []vmstate.Field[APIC]{
			vmstate.Of("sipi_vector", func(a *APIC) *int32 { return &a.sipiVector }),
			vmstate.Of("wait_for_sipi", func(a *APIC) *int32 { return &a.waitSIPI }),
		}}},
	PreLoad: func(a *APIC) { a.waitSIPI = 0 }, // what a missing subsection means
	PostLoad: func(a *APIC, _ int) error {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.countShift &= 7
		a.update()
		return nil
	},
}
