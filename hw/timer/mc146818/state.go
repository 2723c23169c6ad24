package mc146818

import "goemu/migration/vmstate"

var state = vmstate.Description[RTC]{
	Name: "mc146818rtc", Version: 3, MinVersion: 1,
	PreSave: func(r *RTC) {
		if r.running() {
			r.updateTime()
		}
	},
	Fields: []vmstate.Field[RTC]{
		vmstate.Buffer("cmos_data", CMOSSize, func(r *RTC) []byte { return r.cmos[:] }),
		vmstate.Of("cmos_index", func(r *RTC) *uint8 { return &r.index }),
		vmstate.Unused[RTC](28),
		vmstate.Timer("periodic_timer", func(r *RTC) vmstate.TimerState { return r.periodic }),
		vmstate.Of("next_periodic_time", func(r *RTC) *int64 { return &r.nextPeriod }),
		vmstate.Unused[RTC](24),
		vmstate.Of("irq_coalesced", func(r *RTC) *uint32 { return &r.coalesced }).Since(2),
		vmstate.Of("period", func(r *RTC) *uint32 { return &r.period }).Since(2),
		vmstate.Of("base_rtc", func(r *RTC) *int64 { return &r.baseRTC }).Since(3),
		vmstate.Of("last_update", func(r *RTC) *int64 { return &r.lastUpdate }).Since(3),
		vmstate.Of("offset", func(r *RTC) *int64 { return &r.offset }).Since(3),
		vmstate.Timer("update_timer", func(r *RTC) vmstate.TimerState { return r.update }).Since(3),
		vmstate.Of("next_alarm_time", func(r *RTC) *uint64 { return &r.nextAlarm }).Since(3),
	},
	Subsections: []*vmstate.Description[RTC]{{Name: "mc146818rtc/irq_reinject_on_ack_count", Version: 1, MinVersion: 1,
		Needed: func(r *RTC) bool { return r.reinject != 0 },
		Fields: []vmstate.Field[RTC]{
			vmstate.Of("irq_reinject_on_ack_count", func(r *RTC) *uint16 { return &r.reinject }),
		}}},
	PostLoad: func(r *RTC, version int) error {
		r.index &= indexMask
		if version <= 2 {
			r.takeTime()
			r.offset = 0
			r.checkUpdateTimer()
		}
		return nil
	},
}
