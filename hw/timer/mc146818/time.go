package mc146818

import (
	"math/bits"
	"time"

	"goemu/internal/clock"
)

// encode and decode convert between numbers and the format that register B selects.
func (r *RTC) encode(v int) uint8 {
	if r.cmos[regB]&bBinary != 0 {
		return uint8(v)
	}
	return uint8(v/10<<4 | v%10)
}

func (r *RTC) decode(v uint8) int {
	if v&alarmAny == alarmAny {
		return -1
	}
	if r.cmos[regB]&bBinary != 0 {
		return int(v)
	}
	return int(v>>4)*10 + int(v&0xf)
}

// hour converts a decoded hour under the 12-hour clock; afternoon comes from the hours register even for the alarm.
func (r *RTC) hour(h int) int {
	if h < 0 || r.cmos[regB]&b24H != 0 {
		return h
	}
	h %= 12
	if r.cmos[regHours]&hourPM != 0 {
		h += 12
	}
	return h
}

// hours returns the hour that the registers show.
func (r *RTC) hours() int { return r.hour(r.decode(r.cmos[regHours] &^ hourPM)) }

// showTime puts a time into the registers.
func (r *RTC) showTime(t time.Time) {
	c := &r.cmos
	c[regSeconds], c[regMinutes] = r.encode(t.Second()), r.encode(t.Minute())
	if c[regB]&b24H != 0 {
		c[regHours] = r.encode(t.Hour())
	} else {
		h := t.Hour() % 12
		if h == 0 {
			h = 12
		}
		c[regHours] = r.encode(h)
		if t.Hour() >= 12 {
			c[regHours] |= hourPM
		}
	}
	c[regDayOfWeek] = r.encode(int(t.Weekday()) + 1)
	c[regDayOfMonth], c[regMonth] = r.encode(t.Day()), r.encode(int(t.Month()))
	year := t.Year() - int(r.props.BaseYear)
	c[regYear] = r.encode(year % 100)
	c[regCentury] = r.encode(year / 100)
}

// updateTime brings the registers up to date.
func (r *RTC) updateTime() {
	if r.cmos[regB]&bSet == 0 {
		r.showTime(time.Unix(r.now()/second, 0).UTC())
	}
}

// takeTime makes what the guest has written the time.
func (r *RTC) takeTime() {
	c := &r.cmos
	year := r.decode(c[regYear]) + int(r.props.BaseYear) + 100*r.decode(c[regCentury])
	r.baseRTC = unixTime(year, r.decode(c[regMonth]), r.decode(c[regDayOfMonth])) +
		int64(r.hours())*3600 + int64(r.decode(c[regMinutes]))*60 + int64(r.decode(c[regSeconds]))
	r.lastUpdate = r.clk.Now()
	if r.set != nil {
		r.set(r.setBy())
	}
}

// setBy returns by how many seconds the time differs from the one that the clock was started with and that has gone on with the host's.
func (r *RTC) setBy() int64 {
	t := time.Unix(r.baseRTC, 0).UTC()
	t = time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, r.start.Location())
	return t.Unix() - (r.start.UnixNano()+clock.Host.Now()-r.since)/second
}

// unixTime returns the seconds from 1970 to the start of a day of the Gregorian calendar; months count from March, so that the leap day
// is the last one. What is not a date gives some time, the same as in QEMU.
func unixTime(year, month, day int) int64 {
	const daysTo1970 = 719469
	if month < 3 {
		month += 12
		year--
	}
	days := day + (153*month-457)/5 + 365*year + year/4 - year/100 + year/400 - daysTo1970
	return int64(days) * secondsADay
}

// untilAlarm returns the seconds until the alarm, between 1 and a day.
func (r *RTC) untilAlarm() int64 {
	hour := r.cmos[regHoursAlarm]
	if hour&alarmAny != alarmAny && r.cmos[regB]&b24H == 0 {
		hour &^= hourPM
	}
	want := [3]int{r.hour(r.decode(hour)), r.decode(r.cmos[regMinutesAlarm]), r.decode(r.cmos[regSecondsAlarm])}
	r.updateTime()
	now := r.hours()*3600 + r.decode(r.cmos[regMinutes])*60 + r.decode(r.cmos[regSeconds])
	match := func(t int) bool {
		return (want[0] < 0 || want[0] == t/3600) && (want[1] < 0 || want[1] == t/60%60) && (want[2] < 0 || want[2] == t%60)
	}
	if now < 0 {
		return secondsADay
	}
	for d := 1; d <= secondsADay; { // skip what cannot match
		t := (now + d) % secondsADay
		switch {
		case match(t):
			return int64(d)
		case want[0] >= 0 && want[0] != t/3600:
			d += 3600 - t%3600
		case want[1] >= 0 && want[1] != t/60%60:
			d += 60 - t%60
		default:
			d++
		}
	}
	return secondsADay
}

// checkUpdateTimer sets the timer for the next second or alarm if anybody can notice it.
func (r *RTC) checkUpdateTimer() {
	c := &r.cmos
	if c[regA]&aDivReset == aDivReset {
		r.update.Del()
		return
	}
	next := r.clk.Now() + second - r.now()%second
	r.nextAlarm = uint64(next + (r.untilAlarm()-1)*second)
	if c[regA]&aUIP == 0 && c[regC]&cUF != 0 {
		if c[regB]&bSet != 0 || c[regC]&cAF != 0 {
			r.update.Del()
			return
		}
		next = int64(r.nextAlarm)
	}
	if r.update.Expiry() != next {
		r.update.Mod(next)
	}
}

// updateDue is the callback of the update timer.
func (r *RTC) updateDue() {
	if r.cmos[regA]&aDivReset == aDivReset {
		return
	}
	r.updateTime()
	r.cmos[regA] &^= aUIP
	flags := uint8(cUF)
	if r.clk.Now() >= int64(r.nextAlarm) {
		flags |= cAF
		if r.cmos[regB]&bAIE != 0 && r.wakeup != nil {
			r.wakeup()
		}
	}
	news := flags &^ r.cmos[regC]
	r.cmos[regC] |= flags
	if news&r.cmos[regB] != 0 {
		r.cmos[regC] |= cIRQF
		r.irq.Raise()
	}
	r.checkUpdateTimer()
}

// muldiv returns a*b/c without overflow in between.
func muldiv(a, b, c uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	q, _ := bits.Div64(hi%c, lo, c)
	return q
}

// ticks returns the period of the periodic interrupt in crystal clocks, 0 if it is off.
func (r *RTC) ticks() uint32 {
	code := r.cmos[regA] & aRate
	if code == 0 || r.cmos[regB]&bPIE == 0 {
		return 0
	}
	if code <= 2 {
		code += 7
	}
	return 1 << (code - 1)
}

// setPeriod starts or stops the periodic interrupt at the time now.
func (r *RTC) setPeriod(now int64) {
	r.period = r.ticks()
	if r.period == 0 {
		r.coalesced = 0
		r.periodic.Del()
		return
	}
	next := muldiv(uint64(now), crystal, uint64(second)) + uint64(r.period)
	r.nextPeriod = int64(muldiv(next, uint64(second), crystal)) + 1
	r.periodic.Mod(r.nextPeriod)
}

// periodicDue is the callback of the periodic timer.
func (r *RTC) periodicDue() {
	r.setPeriod(r.nextPeriod)
	r.cmos[regC] |= cPF
	if r.cmos[regB]&bPIE != 0 {
		r.cmos[regC] |= cIRQF
		r.irq.Raise()
	}
}

// ForgetMissed drops the periodic interrupts that the guest has not taken in time.
func (r *RTC) ForgetMissed() { r.coalesced, r.reinject = 0, 0 }
