// Package hpet is the high precision event timer of a PC (IA-PC HPET specification 1.0a): a 100 MHz counter with comparators, which
// can stand in for the 8254 and the real-time clock. Wire it between those two and their interrupts: their outputs go to LegacyLines,
// its own outputs to the interrupt controllers.
package hpet

import (
	"goemu/hw/qdev"
	"goemu/internal/clock"
	"goemu/internal/mainloop"
	"goemu/internal/memory"
	"goemu/migration/vmstate"
)

// Address is where a PC has its HPET, Lines the number of interrupts it can be routed to.
const (
	Address = 0xfed00000
	Lines   = 32
	size    = 0x400

	minTimers, maxTimers = 3, 32
	tickNS               = 10
)

// Registers; the timer's are relative to its block.
const (
	regID, regPeriod = 0x00, 0x04
	regConfig        = 0x10
	regStatus        = 0x20
	regCounter       = 0xf0
	regTimers        = 0x100
	timerBlock       = 0x20
	regTimerConfig   = 0x00
	regTimerCompare  = 0x08
	regTimerRoute    = 0x10
	upper            = 4 // offset of a register's upper half
)

// Bits.
const (
	idBase          = 0x8086a001 // vendor, legacy replacement, 64-bit counter, revision
	idTimersShift   = 8
	cfgEnable       = 1 << 0
	cfgLegacy       = 1 << 1
	cfgMask         = 0x3
	timerLevel      = 1 << 1
	timerEnable     = 1 << 2
	timerPeriodic   = 1 << 3
	timerPeriodCap  = 1 << 4
	timerSizeCap    = 1 << 5
	timerSet        = 1 << 6
	timer32         = 1 << 8
	timerRouteMask  = 0x3e00
	timerRouteShift = 9
	timerFSB        = 1 << 14
	timerFSBCap     = 1 << 15
	timerMask       = 0x7f4e
	timerIntCap     = 32 // shift
	legacyPIT       = 0
	legacyRTC       = 8
	upperHalf       = 0xffffffff << 32
	femtoPerTick    = tickNS * 1000000
)

// comparator is one timer.
type comparator struct {
	h        *HPET
	n        uint8
	config   uint64
	cmp      uint64
	fsb      uint64
	period   uint64
	wrapFlag uint8
	timer    *clock.Timer
}

// HPET is the device type hpet.
type HPET struct {
	qdev.Base
	props struct {
		Timers      uint8  `prop:"timers,default=3"`
		MSI         bool   `prop:"msi,default=false" help:"on/off"`
		IntCap      uint32 `prop:"hpet-intcap,default=0"`
		OffsetSaved bool   `prop:"hpet-offset-saved,default=true"`
	}
	mem    *memory.Region
	dma    *memory.AddressSpace
	io     *memory.Region
	irqs   []*qdev.IRQ
	pit    *qdev.IRQ // high while the 8254 may interrupt
	rtcOut uint8

	config, isr, counter, offset uint64
	count                        uint8
	timers                       [maxTimers]comparator
}

// Class is the device type.
var Class = qdev.Class{Name: "hpet", Internal: true, Category: qdev.Misc, New: func() qdev.Device { return new(HPET) }, State: qdev.State(&state)}

// Config says how the HPET is connected.
type Config struct {
	Memory *memory.Region       // where it is mapped, at Address
	DMA    *memory.AddressSpace // for message-signalled interrupts
	IRQs   []*qdev.IRQ          // by global interrupt number; missing ones are not connected
	PIT    *qdev.IRQ            // driven low while the HPET replaces the 8254
	IntCap uint32               // interrupts that timers may be routed to: 4 on the pc machine
}

// New puts the HPET into the machine.
func New(tree *qdev.Tree, c Config) (*HPET, error) {
	d, err := tree.New(&Class)
	if err != nil {
		return nil, err
	}
	h := d.(*HPET)
	h.mem, h.dma, h.irqs, h.pit = c.Memory, c.DMA, c.IRQs, c.PIT
	if h.props.IntCap == 0 {
		h.props.IntCap = c.IntCap
	}
	return h, qdev.Realize(h, tree.Root())
}

// Realize implements qdev.Device.
func (h *HPET) Realize() error {
	h.count = min(max(h.props.Timers, minTimers), maxTimers)
	for i := range h.timers {
		t := &h.timers[i]
		t.h, t.n = h, uint8(i)
		t.timer = mainloop.NewTimer(clock.Virtual, t.due)
	}
	h.io = memory.NewIO("hpet", size, h)
	h.io.Valid = memory.Access{Min: 4, Max: 8}
	h.mem.Add(h.io, Address, 0)
	return nil
}

// Unrealize implements qdev.Device.
func (h *HPET) Unrealize() {
	for i := range h.timers {
		h.timers[i].timer.Del()
	}
	h.mem.Remove(h.io)
}

// Reset implements qdev.Device.
func (h *HPET) Reset() {
	for i := range h.timers[:h.count] {
		t := &h.timers[i]
		t.stop()
		t.cmp, t.period, t.wrapFlag = ^uint64(0), 0, 0
		t.config = timerPeriodCap | timerSizeCap | uint64(h.props.IntCap)<<timerIntCap
		if h.props.MSI {
			t.config |= timerFSBCap
		}
	}
	h.pit.Raise()
	h.counter, h.offset, h.config, h.isr, h.rtcOut = 0, 0, 0, 0, 0
}

// LegacyLines returns the inputs for the 8254 and the real-time clock, which pass through unless they are replaced.
func (h *HPET) LegacyLines() (pit, rtc *qdev.IRQ) {
	pit = qdev.NewIRQ(func(_ int, level bool) {
		if h.config&cfgLegacy == 0 {
			h.line(legacyPIT).Set(level)
		}
	}, 0)
	rtc = qdev.NewIRQ(func(_ int, level bool) {
		h.rtcOut = 0
		if level {
			h.rtcOut = 1
		}
		if h.config&cfgLegacy == 0 {
			h.line(legacyRTC).Set(level)
		}
	}, 0)
	return pit, rtc
}

func (h *HPET) line(n uint64) *qdev.IRQ {
	if n < uint64(len(h.irqs)) {
		return h.irqs[n]
	}
	return nil
}

func (h *HPET) enabled() bool { return h.config&cfgEnable != 0 }

// ticks returns the counter while it runs.
func (h *HPET) ticks() uint64 { return (uint64(clock.Virtual.Now()) + h.offset) / tickNS }

func (t *comparator) periodic() bool { return t.config&timerPeriodic != 0 }

// route returns the interrupt of the timer.
func (t *comparator) route() uint64 {
	if t.n <= 1 && t.h.config&cfgLegacy != 0 {
		return [2]uint64{legacyPIT, legacyRTC}[t.n]
	}
	return t.config & timerRouteMask >> timerRouteShift
}

// setIRQ raises or lowers the timer's interrupt.
func (t *comparator) setIRQ(on bool) {
	h, mask, line := t.h, uint64(1)<<t.n, t.h.line(t.route())
	switch {
	case !on || t.config&timerEnable == 0 || !h.enabled():
		h.isr &^= mask
		if t.config&timerFSB == 0 {
			line.Lower()
		}
	case t.config&timerFSB != 0:
		h.dma.Store(t.fsb>>32, 4, t.fsb&0xffffffff)
	case t.config&timerLevel != 0:
		h.isr |= mask
		line.Raise()
	default:
		h.isr &^= mask
		line.Pulse()
	}
}

// diff returns the ticks until the comparator matches, at least one.
func (t *comparator) diff(now uint64) uint64 {
	if t.config&timer32 != 0 {
		return uint64(max(int32(uint32(t.cmp)-uint32(now)), 1))
	}
	return uint64(max(int64(t.cmp-now), 1))
}

func (t *comparator) arm(d uint64) {
	const limit = 1 << 58 // longer than anybody runs, and no overflow
	t.timer.Mod(clock.Virtual.Now() + int64(min(d, limit)*tickNS))
}

// start sets the timer for the next match. In 32-bit one-shot mode it also fires when the counter wraps.
func (t *comparator) start() {
	now := t.h.ticks()
	t.wrapFlag = 0
	d := t.diff(now)
	if t.config&timer32 != 0 && !t.periodic() {
		if wrap := uint64(^uint32(now)); wrap < d {
			d, t.wrapFlag = wrap, 1
		}
	}
	t.arm(d)
}

func (t *comparator) stop() {
	t.timer.Del()
	t.setIRQ(false)
}

// due is the timer's callback.
func (t *comparator) due() {
	now := t.h.ticks()
	switch {
	case t.periodic() && t.period != 0:
		t.advance(now)
		t.arm(t.diff(now))
	case t.config&timer32 != 0 && !t.periodic() && t.wrapFlag != 0:
		t.wrapFlag = 0
		t.arm(t.diff(now))
	}
	t.setIRQ(true)
}

// advance moves the comparator by whole periods until it is not before now.
func (t *comparator) advance(now uint64) {
	if t.config&timer32 != 0 {
		if late := int32(uint32(now) - uint32(t.cmp)); late > 0 && uint32(t.period) != 0 {
			n := (uint32(late) + uint32(t.period) - 1) / uint32(t.period)
			t.cmp = uint64(uint32(t.cmp) + n*uint32(t.period))
		}
		return
	}
	if late := int64(now - t.cmp); late > 0 {
		n := (uint64(late) + t.period - 1) / t.period
		t.cmp += n * t.period
	}
}

var timerState = vmstate.Description[comparator]{Name: "hpet_timer", Version: 1, MinVersion: 1, Fields: []vmstate.Field[comparator]{
	vmstate.Of("tn", func(t *comparator) *uint8 { return &t.n }),
	vmstate.Of("config", func(t *comparator) *uint64 { return &t.config }),
	vmstate.Of("cmp", func(t *comparator) *uint64 { return &t.cmp }),
	vmstate.Of("fsb", func(t *comparator) *uint64 { return &t.fsb }),
	vmstate.Of("period", func(t *comparator) *uint64 { return &t.period }),
	vmstate.Of("wrap_flag", func(t *comparator) *uint8 { return &t.wrapFlag }),
	vmstate.Timer("qemu_timer", func(t *comparator) vmstate.TimerState { return t.timer }),
}}

var state = vmstate.Description[HPET]{Name: "hpet", Version: 2, MinVersion: 1,
	PreSave: func(h *HPET) {
		if h.enabled() {
			h.counter = h.ticks()
		}
	},
	Fields: []vmstate.Field[HPET]{
		vmstate.Of("config", func(h *HPET) *uint64 { return &h.config }),
		vmstate.Of("isr", func(h *HPET) *uint64 { return &h.isr }),
		vmstate.Of("hpet_counter", func(h *HPET) *uint64 { return &h.counter }),
		vmstate.Of("num_timers", func(h *HPET) *uint8 { return &h.count }).Since(2),
		vmstate.Structs("timer", &timerState, func(h *HPET) []comparator { return h.timers[:min(max(h.count, minTimers), maxTimers)] }),
	},
	Subsections: []*vmstate.Description[HPET]{
		{Name: "hpet/rtc_irq_level", Version: 1, MinVersion: 1, Needed: func(h *HPET) bool { return h.rtcOut != 0 },
			Fields: []vmstate.Field[HPET]{vmstate.Of("rtc_irq_level", func(h *HPET) *uint8 { return &h.rtcOut })}},
		{Name: "hpet/offset", Version: 1, MinVersion: 1, Needed: func(h *HPET) bool { return h.enabled() && h.props.OffsetSaved },
			Fields: []vmstate.Field[HPET]{vmstate.Of("hpet_offset", func(h *HPET) *uint64 { return &h.offset })}},
	},
	PostLoad: func(h *HPET, _ int) error {
		h.count = min(max(h.count, minTimers), maxTimers)
		for i := range h.timers {
			h.timers[i].n = uint8(i)
		}
		if h.enabled() && !h.props.OffsetSaved {
			h.offset = h.counter*tickNS - uint64(clock.Virtual.Now())
		}
		return nil
	}}
