package fdc

import (
	"fmt"

	"goemu/migration/vmstate"
)

var isaState = vmstate.Description[Controller]{Name: "fdc", Version: 2, MinVersion: 2,
	Fields: []vmstate.Field[Controller]{vmstate.Struct("state", &controllerState, func(c *Controller) *Controller { return c })}}

var controllerState = vmstate.Description[Controller]{Name: "fdc", Version: 2, MinVersion: 2,
	PreSave: func(c *Controller) { c.saved = c.output | c.selected },
	PreLoad: func(c *Controller) { c.phase, c.senses = phaseUnknown, 0; c.result.Del() },
	Fields: []vmstate.Field[Controller]{
		vmstate.Of("sra", func(c *Controller) *uint8 { return &c.statusA }),
		vmstate.Of("srb", func(c *Controller) *uint8 { return &c.statusB }),
		vmstate.Of("dor_vmstate", func(c *Controller) *uint8 { return &c.saved }),
		vmstate.Of("tdr", func(c *Controller) *uint8 { return &c.tape }),
		vmstate.Of("dsr", func(c *Controller) *uint8 { return &c.rate }),
		vmstate.Of("msr", func(c *Controller) *uint8 { return &c.status }),
		vmstate.Of("status0", func(c *Controller) *uint8 { return &c.st0 }),
		vmstate.Of("status1", func(c *Controller) *uint8 { return &c.st1 }),
		vmstate.Of("status2", func(c *Controller) *uint8 { return &c.st2 }),
		vmstate.Array("fifo", func(c *Controller) []uint8 { return c.fifo[:] }),
		vmstate.Of("data_pos", func(c *Controller) *uint32 { return &c.pos }),
		vmstate.Of("data_len", func(c *Controller) *uint32 { return &c.length }),
		vmstate.Of("data_state", func(c *Controller) *uint8 { return &c.dataState }),
		vmstate.Of("data_dir", func(c *Controller) *uint8 { return (*uint8)(&c.dir) }),
		vmstate.Of("eot", func(c *Controller) *uint8 { return &c.endSector }),
		vmstate.Of("timer0", func(c *Controller) *uint8 { return &c.timer0 }),
		vmstate.Of("timer1", func(c *Controller) *uint8 { return &c.timer1 }),
		vmstate.Of("precomp_trk", func(c *Controller) *uint8 { return &c.precompensation }),
		vmstate.Of("config", func(c *Controller) *uint8 { return &c.config }),
		vmstate.Of("lock", func(c *Controller) *uint8 { return &c.lock }),
		vmstate.Of("pwrd", func(c *Controller) *uint8 { return &c.powerDown }),
		vmstate.Custom("num_floppies", 1, func(_ *Controller, w *vmstate.Writer) { w.U8(MaxDrives) }, loadCount).As("uint8 equal"),
		vmstate.Structs("drives", &driveState, func(c *Controller) []drive { return c.drives[:] }).Since(1),
	},
	PostLoad: (*Controller).loaded,
	Subsections: []*vmstate.Description[Controller]{
		{Name: "fdc/reset_sensei", Version: 1, MinVersion: 1, Needed: func(c *Controller) bool { return c.senses != 0 },
			Fields: []vmstate.Field[Controller]{vmstate.Of("reset_sensei", func(c *Controller) *int32 { return &c.senses })}},
		{Name: "fdc/result_timer", Version: 1, MinVersion: 1, Needed: func(c *Controller) bool { return c.result.Pending() },
			Fields: []vmstate.Field[Controller]{vmstate.Timer("result_timer", func(c *Controller) vmstate.TimerState { return c.result })}},
		{Name: "fdc/phase", Version: 1, MinVersion: 1, Needed: func(c *Controller) bool { return c.phase != c.likelyPhase() },
			Fields: []vmstate.Field[Controller]{vmstate.Of("phase", func(c *Controller) *uint8 { return (*uint8)(&c.phase) })}},
	}}

func loadCount(_ *Controller, r *vmstate.Reader) error {
	if n := r.U8(); n != MaxDrives && r.Err() == nil {
		return fmt.Errorf("%#x != %#x", n, MaxDrives)
	}
	return r.Err()
}

// likelyPhase is the phase of a stream that does not tell.
func (c *Controller) likelyPhase() phase {
	switch {
	case c.status&msrNonDMA != 0 || c.status&msrReady == 0:
		return phaseExecution
	case c.status&msrToHost != 0:
		return phaseResult
	}
	return phaseCommand
}

// loaded takes over what was loaded.
func (c *Controller) loaded(int) error {
	c.selected, c.output = c.saved&dorSelect, c.saved&^dorSelect
	if c.phase == phaseUnknown {
		c.phase = c.likelyPhase()
	}
	switch {
	case c.phase > phaseResult || c.dir > dirVerify || c.senses < 0 || c.senses > resetSenses:
		return fmt.Errorf("fdc: phase %d, direction %d, %d interrupts to be sensed", c.phase, c.dir, c.senses)
	case c.phase != phaseExecution && c.pos >= sectorSize:
		return fmt.Errorf("fdc: byte %d of a command", c.pos)
	}
	return nil
}

var driveState = vmstate.Description[drive]{Name: "fdrive", Version: 1, MinVersion: 1,
	Fields: []vmstate.Field[drive]{
		vmstate.Of("head", func(d *drive) *uint8 { return &d.head }),
		vmstate.Of("track", func(d *drive) *uint8 { return &d.track }),
		vmstate.Of("sect", func(d *drive) *uint8 { return &d.sector }),
	},
	PostLoad: func(d *drive, _ int) error { d.revalidate(); return nil },
	Subsections: []*vmstate.Description[drive]{
		{Name: "fdrive/media_changed", Version: 1, MinVersion: 1, Needed: func(d *drive) bool { return d.there() && d.changed != 1 },
			Fields: []vmstate.Field[drive]{vmstate.Of("media_changed", func(d *drive) *uint8 { return &d.changed })}},
		{Name: "fdrive/media_rate", Version: 1, MinVersion: 1,
			Fields: []vmstate.Field[drive]{vmstate.Of("media_rate", func(d *drive) *uint8 { return &d.rate })}},
		{Name: "fdrive/perpendicular", Version: 1, MinVersion: 1, Needed: func(d *drive) bool { return d.perpendicular != 0 },
			Fields: []vmstate.Field[drive]{vmstate.Of("perpendicular", func(d *drive) *uint8 { return &d.perpendicular })}},
	}}
