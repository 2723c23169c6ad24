// Package mc146818 is the Motorola MC146818A real-time clock with the 128 bytes of CMOS memory of a PC.
package mc146818

import (
	"time"

	"goemu/hw/isa"
	"goemu/hw/qdev"
	"goemu/internal/clock"
	"goemu/internal/mainloop"
	"goemu/internal/memory"
)

// Registers (MC146818A data sheet, figure 12); the century bytes are a PC's.
const (
	regSeconds, regSecondsAlarm = 0x00, 0x01
	regMinutes, regMinutesAlarm = 0x02, 0x03
	regHours, regHoursAlarm     = 0x04, 0x05
	regDayOfWeek                = 0x06
	regDayOfMonth               = 0x07
	regMonth                    = 0x08
	regYear                     = 0x09
	regA, regB, regC, regD      = 0x0a, 0x0b, 0x0c, 0x0d
	regCentury                  = 0x32
	regCenturyPS2               = 0x37

	// CMOSSize is the number of bytes.
	CMOSSize = 128
)

// Bits of the control registers.
const (
	aUIP        = 0x80
	aRate       = 0x0f
	aDivider    = 0x70
	aDivRunning = 0x20 // the highest divider setting with which the clock runs
	aDivReset   = 0x60

	bSet, bPIE, bAIE, bUIE, bSQWE, bBinary, b24H = 0x80, 0x40, 0x20, 0x10, 0x08, 0x04, 0x02

	cIRQF, cPF, cAF, cUF = 0x80, 0x40, 0x20, 0x10
	cSources             = cPF | cAF | cUF

	dValid = 0x80

	hourPM    = 0x80
	alarmAny  = 0xc0 // an alarm byte with both bits set matches everything
	initialA  = 0x26 // 32768 Hz crystal, 1024 Hz rate
	initialB  = b24H
	portBase  = 0x70
	indexMask = 0x7f
)

// Times.
const (
	second      = int64(time.Second)
	crystal     = 32768
	uipHold     = 8 * second / crystal // how long before an update the update-in-progress bit is set
	secondsADay = 24 * 60 * 60
)

// RTC is the device type mc146818rtc.
type RTC struct {
	isa.Device
	props struct {
		BaseYear int32  `prop:"base_year,default=1980"`
		IOBase   uint16 `prop:"iobase,default=112"`
		IRQ      uint8  `prop:"irq,default=8"`
	}
	irq    *qdev.IRQ
	clk    *clock.Clock
	start  time.Time
	since  int64 // the host's clock at start
	wakeup func()
	set    func(seconds int64)

	cmos       [CMOSSize]uint8
	index      uint8
	baseRTC    int64 // seconds since 1970 at lastUpdate
	lastUpdate int64
	offset     int64
	period     uint32 // of the periodic interrupt, in crystal clocks
	coalesced  uint32
	reinject   uint16
	nextPeriod int64
	nextAlarm  uint64
	periodic   *clock.Timer
	update     *clock.Timer
}

// Class is the device type.
var Class = qdev.Class{Name: "mc146818rtc", Bus: isa.BusType, Internal: true, Category: qdev.Misc,
	New: func() qdev.Device { return new(RTC) }, State: qdev.State(&state)}

// Config says how the clock starts and what it follows.
type Config struct {
	Start  time.Time    // the guest's first time; its fields are taken as they are, in any zone
	Clock  *clock.Clock // nil for the host's
	IRQ    *qdev.IRQ
	Wakeup func() // an alarm may end a suspension; nil if nothing is to happen
	// Set hears when the guest sets the time, in seconds from the time that it would show had nobody set it; nil if nobody asks.
	Set func(seconds int64)
}

// New puts the clock on the bus.
func New(tree *qdev.Tree, bus *isa.Bus, c Config) (*RTC, error) {
	d, err := tree.New(&Class)
	if err != nil {
		return nil, err
	}
	r := d.(*RTC)
	r.irq, r.clk, r.start, r.wakeup, r.set = c.IRQ, c.Clock, c.Start, c.Wakeup, c.Set
	r.since = clock.Host.Now()
	r.InitOutputs(&r.irq)
	if r.clk == nil {
		r.clk = clock.Host
	}
	r.props.BaseYear = 0
	return r, qdev.Realize(r, bus)
}

// Realize implements qdev.Device.
func (r *RTC) Realize() error {
	r.cmos[regA], r.cmos[regB], r.cmos[regD] = initialA, initialB, dValid
	r.periodic = mainloop.NewTimer(r.clk, r.periodicDue)
	r.update = mainloop.NewTimer(r.clk, r.updateDue)
	y, m, d := r.start.Date()
	r.baseRTC = time.Date(y, m, d, r.start.Hour(), r.start.Minute(), r.start.Second(), 0, time.UTC).Unix()
	r.lastUpdate = r.clk.Now()
	r.showTime(time.Unix(r.baseRTC, 0).UTC())
	ports := memory.NewIO("rtc", 2, r)
	ports.Impl.Max = 1
	ports.Coalesced = []memory.Span{{Size: 1}} // the index
	r.MapRegion(ports, r.props.IOBase)
	return nil
}

// Unrealize implements qdev.Device.
func (r *RTC) Unrealize() {
	r.periodic.Del()
	r.update.Del()
	r.UnmapPorts()
}

// Reset implements qdev.Device.
func (r *RTC) Reset() {
	r.cmos[regB] &^= bPIE | bAIE | bSQWE
	r.cmos[regC] &^= cIRQF | cSources
	r.checkUpdateTimer()
	r.irq.Lower()
}

// SetCMOS writes a byte of the battery-backed memory, as the machine does for its configuration.
func (r *RTC) SetCMOS(at int, v uint8) { r.cmos[at&indexMask] = v }

// CMOS reads a byte of the battery-backed memory.
func (r *RTC) CMOS(at int) uint8 { return r.cmos[at&indexMask] }

// running tells whether the time advances.
func (r *RTC) running() bool { return r.cmos[regB]&bSet == 0 && r.cmos[regA]&aDivider <= aDivRunning }

// now returns the guest's time in nanoseconds since 1970.
func (r *RTC) now() int64 { return r.baseRTC*second + r.clk.Now() - r.lastUpdate + r.offset }

// Read implements memory.Ops.
func (r *RTC) Read(offset uint64, _ int) uint64 {
	if offset == 0 {
		return 0xff
	}
	at := r.index
	if at == regCenturyPS2 {
		at = regCentury
	}
	switch at {
	case regSeconds, regMinutes, regHours, regDayOfWeek, regDayOfMonth, regMonth, regYear, regCentury:
		if r.running() {
			r.updateTime()
		}
	case regA:
		if r.updating() {
			return uint64(r.cmos[regA] | aUIP)
		}
	case regC:
		v := r.cmos[regC]
		r.irq.Lower()
		r.cmos[regC] = 0
		if v&(cUF|cAF) != 0 {
			r.checkUpdateTimer()
		}
		return uint64(v)
	}
	return uint64(r.cmos[at])
}

// updating tells whether an update is so near that the time must not be read.
func (r *RTC) updating() bool {
	if !r.running() {
		return false
	}
	if r.update.Pending() && r.clk.Now() >= r.update.Expiry()-uipHold {
		r.cmos[regA] |= aUIP // stays until the update
		return true
	}
	return r.now()%second >= second-uipHold
}

// Write implements memory.Ops.
func (r *RTC) Write(offset uint64, _ int, value uint64) {
	v := uint8(value)
	if offset == 0 {
		r.index = v & indexMask
		return
	}
	at := r.index
	if at == regCenturyPS2 {
		at = regCentury
	}
	switch at {
	case regSecondsAlarm, regMinutesAlarm, regHoursAlarm:
		r.cmos[at] = v
		r.checkUpdateTimer()
	case regSeconds, regMinutes, regHours, regDayOfWeek, regDayOfMonth, regMonth, regYear, regCentury:
		r.cmos[at] = v
		if r.running() {
			r.takeTime()
			r.checkUpdateTimer()
		}
	case regA:
		r.writeA(v)
	case regB:
		r.writeB(v)
	case regC, regD: // read-only
	default:
		r.cmos[at] = v
	}
}

func (r *RTC) writeA(v uint8) {
	old := r.cmos[regA]
	switch {
	case v&aDivReset == aDivReset:
		if r.running() {
			r.updateTime()
		}
		r.cmos[regA] &^= aUIP
	case old&aDivReset == aDivReset && v&aDivider <= aDivRunning: // the first update comes half a second later
		if r.cmos[regB]&bSet == 0 {
			r.offset = second / 2
			r.takeTime()
		}
		r.cmos[regA] &^= aUIP
	}
	r.cmos[regA] = v&^aUIP | r.cmos[regA]&aUIP
	if (old^v)&aRate != 0 {
		r.setPeriod(r.clk.Now())
	}
	r.checkUpdateTimer()
}

func (r *RTC) writeB(v uint8) {
	old := r.cmos[regB]
	if v&bSet != 0 {
		if r.running() {
			r.updateTime()
		}
		r.cmos[regA] &^= aUIP
		v &^= bUIE
	} else if old&bSet != 0 && r.cmos[regA]&aDivider <= aDivRunning {
		r.offset = r.now() % second
		r.takeTime()
	}
	if v&r.cmos[regC]&cSources != 0 {
		r.cmos[regC] |= cIRQF
		r.irq.Raise()
	} else {
		r.cmos[regC] &^= cIRQF
		r.irq.Lower()
	}
	r.cmos[regB] = v
	if (old^v)&bPIE != 0 {
		r.setPeriod(r.clk.Now())
	}
	r.checkUpdateTimer()
}
