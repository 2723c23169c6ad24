package pm

import (
	"goemu/hw/qdev"
	"goemu/internal/clock"
	"goemu/internal/mainloop"
	"goemu/internal/memory"
	"goemu/migration/vmstate"
)

// Registers of the TCO watchdog (ICH9 data sheet, §13.9).
const (
	tcoReload, tcoDataIn, tcoDataOut, tcoStatus1, tcoStatus2 = 0x00, 0x02, 0x03, 0x04, 0x06
	tcoControl1, tcoControl2, tcoMessage1, tcoMessage2       = 0x08, 0x0a, 0x0c, 0x0d
	tcoWatchdog, tcoSWIRQ, tcoTimer                          = 0x0e, 0x10, 0x12
	tcoPorts                                                 = 32

	tcoTickNS                                = 600_000_000
	tcoTicks                                 = 0x3ff
	sts1Software, sts1Interrupt, sts1Expired = 1 << 1, 1 << 2, 1 << 3
	sts1Mask, sts2Mask                       = 0xe870, 0xfff8
	sts2Second, sts2Boot                     = 1 << 1, 1 << 2
	tcoHalt, tcoLock, cnt1Mask               = 1 << 11, 1 << 12, 0xfeff
)

// tcoRegs is the migrated state.
type tcoRegs struct {
	reload             uint16
	dataIn, dataOut    uint8
	status1, status2   uint16
	control1, control2 uint16
	message1, message2 uint8
	watchdog           uint8
	ticks              uint16
	swIRQ              uint8
	expires            int64 // -1 while it stands
	timeouts           uint8
}

// TCO is the watchdog timer of ICH9.
type TCO struct {
	tcoRegs
	timer *clock.Timer

	// SMI is the system management interrupt; Expired tells of a timer that ran out, second that it was for the second time in a row:
	// then the answer says whether the machine's watchdog action has been carried out.
	SMI     *qdev.IRQ
	Expired func(second bool) (acted bool)
}

// Init puts the registers into the state at power-on, which a reset does not touch.
func (t *TCO) Init() {
	t.tcoRegs = tcoRegs{control2: 8, ticks: 4, swIRQ: 3, expires: -1}
	t.timer = mainloop.NewTimer(clock.Virtual, t.expired)
}

// Locked tells whether the enable bit among the SMI controls cannot be changed.
func (t *TCO) Locked() bool { return t.control1&tcoLock != 0 }

// Region returns the registers.
func (t *TCO) Region() *memory.Region {
	r := memory.NewIO("sm-tco", tcoPorts, t)
	r.Valid, r.Impl = memory.Access{Min: 1, Max: 4}, memory.Access{Min: 1, Max: 2}
	return r
}

func (t *TCO) start() {
	t.expires = clock.Virtual.Now() + int64(t.ticks&tcoTicks)*tcoTickNS
	t.timer.Mod(t.expires)
}

func (t *TCO) stop() {
	t.expires = -1
	t.timer.Del()
}

// startable tells whether the timer may run: it does not with less than two ticks.
func (t *TCO) startable() bool { return t.control1&tcoHalt == 0 && t.ticks > 1 }

func (t *TCO) expired() {
	t.reload = 0
	t.status1 |= sts1Expired
	t.timeouts++
	second := t.timeouts == 2
	if second {
		t.status2 |= sts2Second | sts2Boot
		t.timeouts = 0
	}
	if t.Expired(second) {
		t.stop()
		return
	}
	t.reload = t.ticks
	t.start()
}

// Read implements memory.Ops.
func (t *TCO) Read(off uint64, _ int) uint64 {
	switch off {
	case tcoReload:
		if t.expires == -1 {
			return uint64(t.reload)
		}
		left := (t.expires - clock.Virtual.Now()) / tcoTickNS
		return uint64(uint16(left) | t.reload&^tcoTicks)
	case tcoDataIn:
		return uint64(t.dataIn)
	case tcoDataOut:
		return uint64(t.dataOut)
	case tcoStatus1:
		return uint64(t.status1)
	case tcoStatus2:
		return uint64(t.status2)
	case tcoControl1:
		return uint64(t.control1)
	case tcoControl2:
		return uint64(t.control2)
	case tcoMessage1:
		return uint64(t.message1)
	case tcoMessage2:
		return uint64(t.message2)
	case tcoWatchdog:
		return uint64(t.watchdog)
	case tcoTimer:
		return uint64(t.ticks)
	case tcoSWIRQ:
		return uint64(t.swIRQ)
	}
	return 0
}

// Write implements memory.Ops.
func (t *TCO) Write(off uint64, _ int, value uint64) {
	v := uint16(value)
	switch off {
	case tcoReload:
		t.timeouts = 0
		if !t.startable() {
			t.reload = v
			return
		}
		t.reload = t.ticks
		t.start()
	case tcoDataIn:
		t.dataIn = uint8(v)
		t.status1 |= sts1Software
		t.SMI.Raise()
	case tcoDataOut:
		t.dataOut = uint8(v)
		t.status1 |= sts1Interrupt
	case tcoStatus1:
		t.status1 = v & sts1Mask
	case tcoStatus2:
		t.status2 = v & sts2Mask
	case tcoControl1:
		t.control1 = v&cnt1Mask | t.control1&tcoLock
		if !t.startable() {
			t.stop()
			return
		}
		t.reload = t.ticks
		t.start()
	case tcoControl2:
		t.control2 = v
	case tcoMessage1:
		t.message1 = uint8(v)
	case tcoMessage2:
		t.message2 = uint8(v)
	case tcoWatchdog:
		t.watchdog = uint8(v)
	case tcoTimer:
		t.ticks = v
	case tcoSWIRQ:
		t.swIRQ = uint8(v)
	}
}

// TCOState is the state of the watchdog.
var TCOState = vmstate.Description[TCO]{Name: "tco io device status", Version: 1, MinVersion: 1, Fields: []vmstate.Field[TCO]{
	vmstate.Of("tco.rld", func(t *TCO) *uint16 { return &t.reload }),
	vmstate.Of("tco.din", func(t *TCO) *uint8 { return &t.dataIn }),
	vmstate.Of("tco.dout", func(t *TCO) *uint8 { return &t.dataOut }),
	vmstate.Of("tco.sts1", func(t *TCO) *uint16 { return &t.status1 }),
	vmstate.Of("tco.sts2", func(t *TCO) *uint16 { return &t.status2 }),
	vmstate.Of("tco.cnt1", func(t *TCO) *uint16 { return &t.control1 }),
	vmstate.Of("tco.cnt2", func(t *TCO) *uint16 { return &t.control2 }),
	vmstate.Of("tco.msg1", func(t *TCO) *uint8 { return &t.message1 }),
	vmstate.Of("tco.msg2", func(t *TCO) *uint8 { return &t.message2 }),
	vmstate.Of("tco.wdcnt", func(t *TCO) *uint8 { return &t.watchdog }),
	vmstate.Of("tco.tmr", func(t *TCO) *uint16 { return &t.ticks }),
	vmstate.Of("sw_irq_gen", func(t *TCO) *uint8 { return &t.swIRQ }),
	vmstate.Timer("tco_timer", func(t *TCO) vmstate.TimerState { return t.timer }),
	vmstate.Of("expire_time", func(t *TCO) *int64 { return &t.expires }),
	vmstate.Of("timeouts_no", func(t *TCO) *uint8 { return &t.timeouts }),
}}
