package hpet

import "goemu/internal/clock"

// half returns the lower or upper half of a register.
func half(v uint64, off uint64) uint64 {
	if off&upper != 0 {
		return v >> 32
	}
	return v & 0xffffffff
}

// withHalf replaces one half of a register.
func withHalf(old, off, v uint64) uint64 {
	if off&upper != 0 {
		return old&0xffffffff | v<<32
	}
	return old&upperHalf | v&0xffffffff
}

// Read implements memory.Ops.
func (h *HPET) Read(off uint64, _ int) uint64 {
	if off >= regTimers {
		return h.readTimer(off - regTimers)
	}
	switch off &^ upper {
	case regID:
		return half(idBase|uint64(h.count-1)<<idTimersShift|femtoPerTick<<32, off)
	case regConfig:
		return half(h.config&0xffffffff, off)
	case regStatus:
		return half(h.isr&0xffffffff, off)
	case regCounter:
		if h.enabled() {
			return half(h.ticks(), off)
		}
		return half(h.counter, off)
	}
	return 0
}

func (h *HPET) readTimer(off uint64) uint64 {
	n := off / timerBlock
	if n >= uint64(h.count) {
		return 0
	}
	t := &h.timers[n]
	switch reg := off % timerBlock; reg &^ upper {
	case regTimerConfig:
		return half(t.config, reg)
	case regTimerCompare:
		return half(t.cmp, reg)
	case regTimerRoute:
		return half(t.fsb, reg)
	}
	return 0
}

// Write implements memory.Ops.
func (h *HPET) Write(off uint64, _ int, v uint64) {
	if off >= regTimers {
		if n := (off - regTimers) / timerBlock; n < uint64(h.count) {
			h.timers[n].write((off-regTimers)%timerBlock, v)
		}
		return
	}
	switch off {
	case regConfig:
		h.writeConfig(v)
	case regStatus:
		for i := range h.timers[:h.count] {
			if v&h.isr>>i&1 != 0 {
				h.timers[i].setIRQ(false)
			}
		}
	case regCounter, regCounter + upper:
		h.counter = withHalf(h.counter, off, v)
	}
}

func (h *HPET) writeConfig(v uint64) {
	old := h.config
	h.config = old&^cfgMask | v&cfgMask
	now := uint64(clock.Virtual.Now())
	switch on, off := h.config&^old, old&^h.config; {
	case on&cfgEnable != 0:
		h.offset = h.counter*tickNS - now
		for i := range h.timers[:h.count] {
			if t := &h.timers[i]; t.config&timerEnable != 0 && t.cmp != ^uint64(0) {
				t.start()
			}
		}
	case off&cfgEnable != 0:
		h.counter = h.ticks()
		for i := range h.timers[:h.count] {
			h.timers[i].stop()
		}
	}
	switch { // the other two are disconnected while they are replaced
	case h.config&^old&cfgLegacy != 0:
		h.pit.Lower()
		h.line(legacyPIT).Lower()
		h.line(legacyRTC).Lower()
	case old&^h.config&cfgLegacy != 0:
		h.line(legacyPIT).Lower()
		h.pit.Raise()
		h.line(legacyRTC).Set(h.rtcOut != 0)
	}
}

func (t *comparator) write(reg, v uint64) {
	switch reg {
	case regTimerConfig:
		t.writeConfig(v)
	case regTimerCompare, regTimerCompare + upper:
		t.writeCompare(reg, v)
	case regTimerRoute, regTimerRoute + upper:
		t.fsb = withHalf(t.fsb, reg, v)
	}
}

func (t *comparator) writeConfig(v uint64) {
	old := t.config
	v &= 0xffffffff
	if v&^old&timerFSB != 0 {
		t.setIRQ(false)
	}
	t.config = old&^timerMask | v&timerMask
	if t.config&timer32 != 0 {
		t.cmp, t.period = uint64(uint32(t.cmp)), uint64(uint32(t.period))
	}
	switch {
	case t.config&^old&timerEnable != 0 && t.h.enabled():
		t.start()
	case old&^t.config&timerEnable != 0:
		t.stop()
	}
}

func (t *comparator) writeCompare(reg, v uint64) {
	if !t.periodic() || t.config&timerSet != 0 {
		t.cmp = withHalf(t.cmp, reg, v)
	}
	if t.periodic() {
		limit := uint64(1)<<63 - 1
		if t.config&timer32 != 0 {
			limit = 1<<31 - 1
		}
		t.period = withHalf(t.period, reg, v) & limit
	}
	t.config &^= timerSet
	if t.h.enabled() && t.config&timerEnable != 0 {
		t.start()
	}
}
