package tcg

import (
	"sync/atomic"
	"time"
)

// tscClock is the time stamp counter that all CPUs share: the host's, standing still while the machine is stopped.
type tscClock struct {
	freq    uint64        // Hz; 0: the host's own rate
	offset  atomic.Uint64 // added to the host's counter
	stopped atomic.Bool
	frozen  atomic.Uint64
}

// epoch is when the process began, and epochTSC the host's counter then.
var (
	epoch    = time.Now()
	epochTSC = startTSC()
)

func startTSC() uint64 {
	if hostHasTSC {
		return hostTSC()
	}
	return 0
}

// measureTime is the shortest time over which the host's rate is measured.
const measureTime = 10 * time.Millisecond

// TSCFrequency is the rate of the guest's time stamp counter in Hz.
func (a *Accel) TSCFrequency() uint64 {
	switch {
	case a.tsc.freq != 0:
		return a.tsc.freq
	case !hostHasTSC:
		return defaultTSC
	}
	if d := measureTime - time.Since(epoch); d > 0 {
		time.Sleep(d)
	}
	ticks, ns := hostTSC()-epochTSC, time.Since(epoch)
	return uint64(float64(ticks) / ns.Seconds())
}

// defaultTSC is the rate where the host has no counter.
const defaultTSC = 1e9

// raw is the counter of the host, or one made from its clock at a fixed frequency.
func (t *tscClock) raw() uint64 {
	if t.freq == 0 && hostHasTSC {
		return hostTSC()
	}
	f := t.freq
	if f == 0 {
		f = defaultTSC
	}
	ns := uint64(time.Since(epoch))
	return ns/1e9*f + ns%1e9*f/1e9
}

func (t *tscClock) init(freq uint64) {
	t.freq = freq
	t.offset.Store(-t.raw())
}

func (t *tscClock) read() uint64 {
	if t.stopped.Load() {
		return t.frozen.Load()
	}
	return t.raw() + t.offset.Load()
}

// delta is what to add to the host's counter for a CPU with an offset of its own, or noTSC.
func (t *tscClock) delta(own uint64) uint64 {
	if t.freq != 0 || !hostHasTSC || t.stopped.Load() {
		return noTSC
	}
	return t.offset.Load() + own
}

func (t *tscClock) stop() {
	if !t.stopped.Load() {
		t.frozen.Store(t.read())
		t.stopped.Store(true)
	}
}

func (t *tscClock) start() {
	if t.stopped.Load() {
		t.offset.Store(t.frozen.Load() - t.raw())
		t.stopped.Store(false)
	}
}

func (c *CPU) readTSC() uint64 { return c.accel.tsc.read() + c.env.TSCOffset }

// TSC is the guest's time stamp counter on this CPU.
func (c *CPU) TSC() uint64 { return c.readTSC() }

// TSC is the counter without the CPUs' own offsets.
func (a *Accel) TSC() uint64 { return a.tsc.read() }

// TSCDelay is how many nanoseconds pass until the guest's time stamp counter reaches a value; not positive if it has.
func (c *CPU) TSCDelay(tsc uint64) int64 {
	ticks := int64(tsc - c.readTSC())
	if ticks <= 0 {
		return ticks
	}
	return int64(float64(ticks) / float64(c.accel.TSCFrequency()) * 1e9)
}

// SetTSC makes the counter go on from v; it stands still now.
func (a *Accel) SetTSC(v uint64) {
	if a.tsc.stopped.Load() {
		a.tsc.frozen.Store(v)
	}
}
